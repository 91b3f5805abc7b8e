"""How many threads a call may use, and that no bit depends on it."""

import os
import threading

import joblib
import numpy as np
import pytest
from processes import run_code
from threadpoolctl import threadpool_info, threadpool_limits

import fastdrop
from fastdrop import AlphaMask, GaussianMask, Mask
from fastdrop.threads import alone

HERE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
COUNT = "import fastdrop; print(fastdrop.get_num_threads())"


@pytest.fixture(autouse=True)
def restored():
    before = fastdrop.get_num_threads()
    yield
    fastdrop.set_num_threads(before)


def default(**environment):
    return int(run_code(COUNT, **environment))


def test_default():
    assert 1 <= default() <= HERE


@pytest.mark.parametrize("n", [1, 2, np.int64(1), HERE, HERE + 1, 10**9, 10**30])
def test_set(n):
    fastdrop.set_num_threads(n)
    assert fastdrop.get_num_threads() == min(n, default())
    assert type(fastdrop.get_num_threads()) is int


def test_one_of_several_threads_is_alone():
    found, here = [], fastdrop.get_num_threads()
    with alone():
        with alone():
            found.append(fastdrop.get_num_threads())
        found.append(fastdrop.get_num_threads())
        other = threading.Thread(target=lambda: found.append(fastdrop.get_num_threads()))
        other.start()
        other.join()
    assert found == [1, 1, here]
    assert fastdrop.get_num_threads() == here


@pytest.mark.parametrize(
    ("n", "error", "text"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (-1, ValueError, "must be at least 1, got -1"),
        (1.5, TypeError, r"must be an int, got 1\.5"),
        (1.0, TypeError, r"must be an int, got 1\.0"),
        ("2", TypeError, "must be an int, got '2'"),
        (None, TypeError, "must be an int, got None"),
    ],
)
def test_bad_numbers(n, error, text):
    before = fastdrop.get_num_threads()
    with pytest.raises(error, match=f"^set_num_threads: n {text}$"):
        fastdrop.set_num_threads(n)
    assert fastdrop.get_num_threads() == before


@pytest.mark.parametrize(
    ("environment", "count"),
    [
        ({"FASTDROP_NUM_THREADS": "1"}, 1),
        ({"FASTDROP_NUM_THREADS": " 1 "}, 1),
        ({"FASTDROP_NUM_THREADS": "1000000000"}, None),
        ({"FASTDROP_NUM_THREADS": ""}, None),
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "1,4"}, 1),
        ({"OMP_NUM_THREADS": "100000"}, None),
        *(({"OMP_NUM_THREADS": text}, None) for text in ("", "0", "-1", "many", "1.5")),
        ({"FASTDROP_NUM_THREADS": "100", "OMP_NUM_THREADS": "1"}, None),
        ({"FASTDROP_NUM_THREADS": "1", "OMP_NUM_THREADS": "100"}, 1),
    ],
    ids=str,
)
def test_environment(environment, count):
    assert default(**environment) == (count or default())


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "two", "1,2"])
def test_bad_environment(text):
    said = run_code(COUNT, fails=True, FASTDROP_NUM_THREADS=text)
    assert f"ValueError: FASTDROP_NUM_THREADS must be an int of at least 1, got {text!r}" in said


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    assert run_code(code + COUNT) == "1"


@pytest.mark.parametrize("user_api", [None, "openmp"])
def test_threadpoolctl(user_api):
    before = fastdrop.get_num_threads()
    for limit in (1, 2):
        with threadpool_limits(limit, user_api):
            assert fastdrop.get_num_threads() == min(limit, before)
        assert fastdrop.get_num_threads() == before
    with threadpool_limits(1, "blas"):
        assert fastdrop.get_num_threads() == before
    ours = [each for each in threadpool_info() if each["internal_api"] == "fastdrop"]
    assert [each["num_threads"] for each in ours] == [before]


def in_worker():
    import fastdrop

    x = np.ones(2**20, np.float32)
    return fastdrop.get_num_threads(), fastdrop.dropout(x, 0.5, rng=3)


def test_joblib_worker(backend):
    """A worker's cap is obeyed, and its masks are the same."""
    expected = fastdrop.dropout(np.ones(2**20, np.float32), 0.5, rng=3)
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        several = joblib.Parallel(n_jobs=2)(joblib.delayed(in_worker)() for _ in range(3))
    for count, y in several:
        assert count == 1
        assert np.array_equal(y, expected)


@pytest.mark.parametrize("kind", [Mask, AlphaMask, GaussianMask])
@pytest.mark.parametrize(
    ("shape", "axes"), [(2**20 + 3, ()), ((64, 20_001), 0), ((3, 500, 901), 1), ((500, 2003), 1)]
)
def test_no_bit_depends_on_it(backend, kind, shape, axes):
    """Above the size from which a call takes several threads, and just below it."""
    x = np.random.default_rng(1).standard_normal(shape).astype("f")
    mask = kind(shape, 0.3, key=1, shared_axes=axes, offset=2**35 - 1000)
    results = set()
    for threads in (1, 2, 10**9):
        fastdrop.set_num_threads(threads)
        results.add(mask.apply(x).tobytes())
        if x.ndim > 1:
            rows = len(x) // 3
            parts = [mask[a:b].apply(x[a:b]) for a, b in ((0, rows), (rows, len(x)))]
            results.add(np.concatenate(parts).tobytes())
    assert len(results) == 1
