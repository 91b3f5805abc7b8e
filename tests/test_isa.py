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
    """Where 32-bit products are slow, Numba's kernels shuffle, elsewhere not: the same masks."""
    if "avx2" not in cython_kernels.ISAS:
        pytest.skip("this processor has no AVX2")
    numba_kernels = pytest.importorskip("fastdrop.kernels.numba_kernels")
    other = "haswell" if numba_kernels._MULTIPLIES else "znver3"
    code = f"""if True:
        import numpy as np
        from fastdrop.kernels import numba_kernels as fast, reference
        assert fast._MULTIPLIES is {not numba_kernels._MULTIPLIES} and not fast._IS_WIDE
        recipe = 7 << 40 | 5, 1 << 33 | 9
        # The high word of a block changes at draw 2**35: between groups, and within one.
        for offset in (0, 3, (1 << 35) - 768, (1 << 35) - 800):
            for threshold in (1 << 31, 123456789):
                for dtype in (np.float32, np.float64):
                    x, found = np.arange(1, 1500, dtype=dtype), []
                    for kernels in (fast, reference):
                        y, keep = np.empty_like(x), np.empty(x.size, bool)
                        place = 1, 1, x.size, *recipe, offset
                        kernels.apply(x, y, *place, threshold, 2.0, -0.0, 0.0, 1)
                        kernels.keep(keep, *recipe, offset, threshold, 1)
                        found.append((y, keep))
                    for ours, theirs in zip(*found, strict=True):
                        assert np.array_equal(ours, theirs), (offset, threshold, dtype)
        print("equal")
    """
    assert run_code(code, NUMBA_CPU_NAME=other, NUMBA_CPU_FEATURES="+avx2,+fma") == "equal"
