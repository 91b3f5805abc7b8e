"""Whose threads compute in the Cython backend: our pool's, or OpenMP's if asked for."""

import sys
from pathlib import Path

import pytest
from processes import run_code, run_python

from fastdrop.kernels import cython_kernels

HERE = Path(__file__).parent
USE = """
import numpy as np
import fastdrop
fastdrop.set_backend("cython")
from fastdrop.kernels import cython_kernels
x = np.ones(1 << 20, np.float32)
out = np.empty_like(x)
cython_kernels.apply(x, out, x.size, 1, 1, 1, 2, 3, 1 << 31, 2.0, -0.0, 0.0, 2)
"""
LIBRARIES = """
with open("/proc/self/maps") as maps:
    print(sorted({line.split("/")[-1].split(".")[0] for line in maps if "omp" in line}))
"""


def test_the_pool_is_the_default():
    assert run_code(USE + "print(cython_kernels.team_name())") == "pool"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_openmp_is_loaded_unless_asked_for():
    assert run_code(USE + LIBRARIES) == "[]"
    assert "omp" in run_code(USE + LIBRARIES, FASTDROP_TEAM="openmp")


def test_unknown_team():
    said = run_code(USE, fails=True, FASTDROP_TEAM="tbb")
    assert "FASTDROP_TEAM must be one of pool, openmp, got 'tbb'" in said


def test_conformance_on_openmp():
    files = [str(HERE / name) for name in ("test_kernels.py", "test_golden.py")]
    options = ("-q", "-x", "-k", "cython", "-p", "no:cacheprovider", "--override-ini=addopts=")
    said = run_python("-m", "pytest", *files, *options, timeout=300, FASTDROP_TEAM="openmp")
    assert " passed" in said
    assert "skipped" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_one_call_on_openmp():
    """It has the bits of the pool; OpenMP is loaded by it and not before."""
    code = """
again = np.zeros_like(x)
place = x.size, 1, 1, 1, 2, 3, 1 << 31, 2.0, -0.0, 0.0
for threads in (1, 2, 5):
    cython_kernels.apply_at(x.ctypes.data, again.ctypes.data, 4, *place, threads)
    assert (again == out).all(), threads
    again[:] = 0
print(cython_kernels.team_name())
"""
    assert run_code(USE + code) == "pool"
    assert "omp" in run_code(USE + code + LIBRARIES)


def test_a_fork_after_openmp():
    """GNU OpenMP hangs in a forked child after a parallel region in its parent."""
    code = """
import os
expected = out.copy()
child = os.fork()
if child == 0:
    y = fastdrop.Mask(x.size, 0.5, key=1, stream=2, offset=3).apply(x)
    os._exit(0 if (y == expected).all() else 1)
print(os.waitpid(child, 0)[1])
"""
    assert run_code(USE + code, FASTDROP_TEAM="openmp", timeout=60) == "0"


def test_many_more_threads_than_processors():
    """The pool shares out to any number of threads; nothing waits for the late ones."""
    code = """
for threads in (3, 16, 256, 100_000):
    again = np.zeros_like(x)
    for _ in range(20):
        cython_kernels.apply(x, again, x.size, 1, 1, 1, 2, 3, 1 << 31, 2.0, -0.0, 0.0, threads)
    assert (again == out).all(), threads
print("ok")
"""
    assert run_code(USE + code, timeout=60) == "ok"
    assert cython_kernels.team_name() == "pool"


def test_threads_of_layers_sleep_when_nothing_follows():
    """They wait for more work longer than those of a mask do, but not for long."""
    code = """
import time
from fastdrop.kernels.layers import layer_kernels
a = np.ones((512, 512), np.float32)
layer_kernels().matmul(a, a, np.empty_like(a), False, False, None, False, False, 2)
time.sleep(0.05)
used = time.process_time()
time.sleep(0.3)
print(time.process_time() - used < 0.05)
"""
    assert run_code(USE + code, timeout=60) == "True"
