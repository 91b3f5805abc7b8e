"""The conformance suite again, for each instruction set of the Cython backend."""

import platform
from pathlib import Path

import pytest
from processes import run_code, run_python

from fastdrop.kernels import cython_kernels

HERE = Path(__file__).parent
SETS = ("avx512", "avx2", "avx2-other", "baseline")

each_set = pytest.mark.parametrize("isa", SETS)


def skip_unless_here(isa):
    if isa not in cython_kernels.ISAS:
        pytest.skip(f"this processor ({platform.machine()}) runs {', '.join(cython_kernels.ISAS)}")


def test_sets():
    assert set(cython_kernels.ISAS) <= set(SETS)
    assert "baseline" in cython_kernels.ISAS
    assert cython_kernels.isa() in cython_kernels.ISAS


@each_set
def test_conformance(isa):
    skip_unless_here(isa)
    files = [str(HERE / name) for name in ("test_kernels.py", "test_golden.py")]
    options = ("-q", "-x", "-k", "cython", "-p", "no:cacheprovider", "--override-ini=addopts=")
    said = run_python("-m", "pytest", *files, *options, timeout=300, FASTDROP_ISA=isa)
    assert " passed" in said
    assert "skipped" not in said


@each_set
def test_choice(isa):
    skip_unless_here(isa)
    code = "from fastdrop.kernels import cython_kernels; print(cython_kernels.isa())"
    assert run_code(code, FASTDROP_ISA=isa) == isa


def test_the_best_is_the_default():
    code = "from fastdrop.kernels import cython_kernels; print(cython_kernels.isa())"
    best = next(isa for isa in SETS if isa in cython_kernels.ISAS)
    assert run_code(code) == run_code(code, FASTDROP_ISA="") == best


@pytest.mark.parametrize("isa", ["avx1024", "AVX2", "0"])
def test_unknown_set(isa):
    """The error comes with the first use; the package is imported without one."""
    code = "import fastdrop; print('imported', flush=True); fastdrop.set_backend('cython')"
    said = run_code(code, fails=True, FASTDROP_ISA=isa)
    assert said.startswith("imported")
    rule = f"FASTDROP_ISA must be one of {', '.join(cython_kernels.ISAS)} on this processor"
    assert f"{rule}, got {isa!r}" in said


def test_numba_for_another_processor():
    """Where 32-bit products are slow, Numba's kernels shuffle instead: the same masks."""
    if "avx2" not in cython_kernels.ISAS:
        pytest.skip("this processor has no AVX2")
    code = """if True:
        import numpy as np
        from fastdrop.kernels import numba_kernels as fast, reference
        assert not fast._MULTIPLIES and not fast._IS_WIDE
        x = np.arange(1, 1500, dtype=np.float32)
        for threshold in (1 << 31, 123456789):
            for offset in (0, 3, (1 << 35) - 800):
                place, found = (1, 1, x.size, 7 << 40 | 5, 1 << 33 | 9, offset), []
                for kernels in (fast, reference):
                    out = np.empty_like(x)
                    kernels.apply(x, out, *place, threshold, 2.0, -0.0, 0.0, 1)
                    found.append(out)
                assert np.array_equal(*found), (threshold, offset)
        found = [np.empty(1500, np.float64) for _ in range(2)]
        fast.uniforms(found[0], 5, 6, 7, 1)
        reference.uniforms(found[1], 5, 6, 7, 1)
        assert np.array_equal(*found)
        print("equal")
    """
    assert run_code(code, NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES="+avx2,+fma") == "equal"
