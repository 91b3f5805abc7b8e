"""What pyproject.toml cannot say: how the Cython extension is built.

The SIMD core is compiled once for each instruction set, by flags on one
source; which one runs is chosen at run time. Without a C compiler fastdrop
installs without the extension, and Numba computes; with one, a failed build
is an error.
"""

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

SIMD = Path("fastdrop/kernels/simd")

# No -ffast-math: it flushes subnormals for the whole process. No contraction:
# fused in one build and not in another, results would differ. With trapping
# math a select becomes a branch, ten times slower; with math errno, sqrt a call.
FLAGS = ["-O3", "-ffp-contract=off", "-fno-trapping-math", "-fno-math-errno"]
POSIX_64_BIT = os.name == "posix" and sys.maxsize > 1 << 32
X86 = platform.machine().lower() in ("x86_64", "amd64")
ISA_FLAGS = {"baseline": []}
if X86:
    ISA_FLAGS["avx2"] = ["-DFASTDROP_AVX2", "-mavx2", "-mfma"]
    ISA_FLAGS["avx512"] = ["-DFASTDROP_AVX512", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mfma"]
    ISA_FLAGS["avx512"] += ["-mavx512vl", "-mprefer-vector-width=512"]


KERNELS = "fastdrop.kernels.cython_kernels"
LAYERS = "fastdrop.kernels.cython_layers"
# What each extension has once for every instruction set.
CORES = {KERNELS: "masks.c", LAYERS: "layers.c"}
OPENMP = "fastdrop.kernels.openmp_team"
OPENMP_PROBE = """
#include <omp.h>
int main(void) {
    int threads = 0;
    #pragma omp parallel num_threads(2) reduction(+ : threads)
    threads += 1;
    return threads < 1 || omp_get_max_threads() < 1;
}
"""


class BuildKernels(build_ext):
    """Builds what the compiler at hand can build, the core once per ISA."""

    def initialize_options(self):
        super().initialize_options()
        self.parallel = os.cpu_count()  # extensions side by side

    def build_extensions(self):
        if not POSIX_64_BIT or not self.compiles("int main(void) { return 0; }"):
            what = "no C compiler" if POSIX_64_BIT else "no POSIX threads and 64-bit words here"
            print(f"fastdrop: {what}; installing without the extension (Numba computes)")
            self.extensions = []
            return
        flags = next(
            (f for f in (["-fopenmp"], []) if self.compiles(OPENMP_PROBE, f, run=True)), None
        )
        print(f"fastdrop: kernels for {', '.join(ISA_FLAGS)}; OpenMP {'yes' if flags else 'no'}")
        for ext in list(self.extensions):
            if ext.name == OPENMP and flags is None:
                self.extensions.remove(ext)
            elif ext.name == OPENMP:
                ext.extra_compile_args += flags
                ext.extra_link_args += flags
        super().build_extensions()

    def build_extension(self, ext):
        if core := CORES.get(ext.name):
            ext.extra_objects = [obj for isa in ISA_FLAGS for obj in self.compile_core(core, isa)]
        super().build_extension(ext)

    def compile_core(self, core, isa):
        return self.compiler.compile(
            [str(SIMD / core)],
            output_dir=str(Path(self.build_temp) / isa),
            extra_postargs=[*FLAGS, *ISA_FLAGS[isa], f"-DFASTDROP_ISA={isa}"],
        )

    def compiles(self, source, flags=(), run=False):
        """Whether a program compiles and links, and with `run` ends well."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "probe.c"
            path.write_text(source)
            try:
                objects = self.compiler.compile([str(path)], folder, extra_postargs=list(flags))
                program = str(Path(folder) / "probe")
                self.compiler.link_executable(objects, program, extra_postargs=list(flags))
                return not run or subprocess.run([program], timeout=30).returncode == 0
            except (CompileError, LinkError, OSError, subprocess.SubprocessError):
                return False


def extension(name, sources, macros=()):
    return Extension(
        name,
        sources,
        depends=[str(path) for path in SIMD.iterdir()],
        include_dirs=["fastdrop/kernels", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"), *macros],
        extra_compile_args=[*FLAGS],
        extra_link_args=["-pthread"],
    )


setup(
    ext_modules=[
        extension(
            KERNELS,
            ["fastdrop/kernels/cython_kernels.pyx", str(SIMD / "isa.c"), str(SIMD / "team.c")],
            [("FASTDROP_X86", None)] * X86,
        ),
        extension(
            LAYERS,
            ["fastdrop/kernels/cython_layers.pyx", str(SIMD / "isa_layers.c")],
            [("FASTDROP_X86", None)] * X86,
        ),
        extension(OPENMP, ["fastdrop/kernels/openmp_team.pyx"]),
    ],
    cmdclass={"build_ext": BuildKernels},
)
