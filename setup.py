"""What pyproject.toml cannot say: how the Cython extension is built.

The SIMD core is compiled once for each instruction set, by flags on one
source; which one runs is chosen at run time. Without a C compiler fastdrop
installs without the extension, and Numba computes; with one, a failed build
is an error.
"""

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SIMD = Path("fastdrop/kernels/simd")

# No -ffast-math: it flushes subnormals for the whole process. No contraction:
# fused in one build and not in another, results would differ. With trapping
# math a select becomes a branch, ten times slower; with math errno, sqrt a call.
FLAGS = ["-O3", "-ffp-contract=off", "-fno-trapping-math", "-fno-math-errno"]
X86 = platform.machine().lower() in ("x86_64", "amd64")
ISA_FLAGS = {"baseline": []}
if X86:
    ISA_FLAGS["avx2"] = ["-DFASTDROP_AVX2", "-mavx2", "-mprfchw"]
    ISA_FLAGS["avx512"] = ["-DFASTDROP_AVX512", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mprfchw"]
    ISA_FLAGS["avx512"] += ["-mavx512vl", "-mprefer-vector-width=512"]


class BuildKernels(build_ext):
    """Builds the extension where there is a compiler, the core once per ISA."""

    def build_extensions(self):
        if not self.compiles("int main(void) { return 0; }"):
            print("fastdrop: no C compiler; installing without the extension (Numba computes)")
            self.extensions = []
            return
        print(f"fastdrop: kernels for {', '.join(ISA_FLAGS)}")
        super().build_extensions()

    def build_extension(self, ext):
        for isa, flags in ISA_FLAGS.items():
            folder = Path(self.build_temp) / isa
            ext.extra_objects += self.compiler.compile(
                [str(SIMD / "masks.c")],
                output_dir=str(folder),
                extra_postargs=[*FLAGS, *flags, f"-DFASTDROP_ISA={isa}"],
            )
        super().build_extension(ext)

    def compiles(self, source, flags=()):
        """Whether a program compiles, links and runs."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "probe.c"
            path.write_text(source)
            try:
                objects = self.compiler.compile([str(path)], folder, extra_postargs=list(flags))
                program = str(Path(folder) / "probe")
                self.compiler.link_executable(objects, program, extra_postargs=list(flags))
                return subprocess.run([program], timeout=30).returncode == 0
            except Exception:
                return False


def extensions():
    import numpy

    return [
        Extension(
            "fastdrop.kernels.cython_kernels",
            ["fastdrop/kernels/cython_kernels.pyx", str(SIMD / "isa.c"), str(SIMD / "team.c")],
            depends=[*map(str, SIMD.iterdir())],
            include_dirs=["fastdrop/kernels", numpy.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")]
            + [("FASTDROP_X86", None)] * X86,
            extra_compile_args=FLAGS,
            extra_link_args=["-pthread"],
        )
    ]


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildKernels})
