"""The choice of backend, and what an install is without some of them."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from backends import BACKENDS
from processes import run_code

import fastdrop

SHOW = "import fastdrop; print(*fastdrop.backends(), fastdrop.get_backend(), sep=',')"
KEEP = "print(fastdrop.Mask(12, 0.5, key=1).keep().tolist())"
NO_NUMBA = "import sys; sys.modules['numba'] = None\n"


@pytest.fixture(scope="module")
def uncompiled(tmp_path_factory):
    """A folder with the package as it is installed without a C compiler."""
    root = tmp_path_factory.mktemp("uncompiled")
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(Path(fastdrop.__file__).parent, root / "fastdrop", ignore=ignored)
    return root


def test_all_are_here():
    assert fastdrop.backends() == BACKENDS


def test_set_and_use(backend):
    assert fastdrop.get_backend() == backend
    for other in BACKENDS:
        with fastdrop.use_backend(other):
            assert fastdrop.get_backend() == other
            with fastdrop.use_backend(backend):
                assert fastdrop.get_backend() == backend
            assert fastdrop.get_backend() == other
        assert fastdrop.get_backend() == backend
    with pytest.raises(RuntimeError, match="inside"), fastdrop.use_backend("reference"):
        raise RuntimeError("inside")
    assert fastdrop.get_backend() == backend


def test_set_is_for_every_thread_and_use_for_one(backend):
    with ThreadPoolExecutor(1) as pool, fastdrop.use_backend("reference"):
        assert pool.submit(fastdrop.get_backend).result() == backend


@pytest.mark.parametrize("name", ["Cython", "", "torch", 3])
def test_unknown(name):
    before = fastdrop.get_backend()
    text = f"backend must be one of cython, numba, reference, got {name!r}$"
    with pytest.raises(ValueError, match=f"^set_backend: {text}"):
        fastdrop.set_backend(name)
    with pytest.raises(ValueError, match=f"^use_backend: {text}"), fastdrop.use_backend(name):
        pass
    assert fastdrop.get_backend() == before


@pytest.mark.parametrize("name", BACKENDS)
def test_environment(name):
    assert run_code(SHOW, FASTDROP_BACKEND=name).split(",")[-1] == name


def test_default():
    for environment in ({}, {"FASTDROP_BACKEND": ""}):
        assert run_code(SHOW, **environment) == "cython,numba,reference,cython"


def test_unknown_in_the_environment():
    said = run_code(SHOW, fails=True, FASTDROP_BACKEND="fortran")
    text = "FASTDROP_BACKEND: backend must be one of cython, numba, reference, got 'fortran'"
    assert f"ValueError: {text}" in said


def test_without_a_compiler(uncompiled):
    """Numba takes over, with the same masks."""
    assert run_code(SHOW, root=uncompiled) == "numba,reference,numba"
    expected = str(fastdrop.Mask(12, 0.5, key=1).keep().tolist())
    assert run_code(f"import fastdrop; {KEEP}", root=uncompiled) == expected
    code = "import fastdrop; fastdrop.set_backend('cython')"
    said = run_code(code, root=uncompiled, fails=True)
    assert "ImportError: set_backend: backend 'cython' is not here" in said
    assert "`pip install --force-reinstall --no-deps fastdrop`" in said
    said = run_code(SHOW, root=uncompiled, fails=True, FASTDROP_BACKEND="cython")
    assert "ImportError: FASTDROP_BACKEND: backend 'cython' is not here" in said


def test_without_numba():
    assert run_code(NO_NUMBA + SHOW) == "cython,reference,cython"
    said = run_code(NO_NUMBA + "import fastdrop; fastdrop.set_backend('numba')", fails=True)
    assert "ImportError: set_backend: backend 'numba' is not here" in said
    assert "`pip install numba`" in said


def test_without_either(uncompiled):
    assert run_code(NO_NUMBA + SHOW, root=uncompiled) == "reference,reference"
    expected = str(fastdrop.Mask(12, 0.5, key=1).keep().tolist())
    assert run_code(f"{NO_NUMBA}import fastdrop; {KEEP}", root=uncompiled) == expected


def test_import_is_light():
    """What costs time is loaded by what needs it; and nothing is set on the way."""
    heavy = ("numba", "scipy", "matplotlib", "sklearn", "tqdm", "torch", "click", "joblib")
    code = f"""
import os, sys
import numpy
environment, errors = dict(os.environ), numpy.geterr()
import fastdrop
assert dict(os.environ) == environment
assert numpy.geterr() == errors
print([name for name in {heavy} if name in sys.modules])
"""
    assert run_code(code) == "[]"


def test_version_and_lazy_rooms():
    assert "nn" in dir(fastdrop)
    assert fastdrop.nn.__name__ == "fastdrop.nn"
    with pytest.raises(AttributeError, match=r"^module 'fastdrop' has no attribute 'nothing'$"):
        fastdrop.nothing  # noqa: B018
    assert all(hasattr(fastdrop, name) for name in fastdrop.__all__)


def test_backends_agree_through_the_public_face():
    x = np.random.default_rng(1).standard_normal((50, 37)).astype("f")
    results = set()
    for name in BACKENDS:
        with fastdrop.use_backend(name):
            results.add(fastdrop.dropout(x, 0.3, rng=5).tobytes())
    assert len(results) == 1
