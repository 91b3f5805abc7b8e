"""The scaled copy, ``y = 2 x``: what dropout cannot be faster than.

Each call reads and writes every element once, as dropout must. Several honest
ways to do it compete, and the quickest is the one that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np

from benchmarks.measure import middle

Copy = Callable[[], object]


def copies(x: np.ndarray, out: np.ndarray, threads: int) -> dict[str, Copy]:
    """The ways to compute ``out = 2 x`` that are here, on one thread and on `threads`."""
    x, out = x.reshape(-1), out.reshape(-1)
    two = x.dtype.type(2)
    found: dict[str, Copy] = {"numpy, 1 thread": partial(np.multiply, x, two, out)}
    if threads > 1:
        found[f"numpy, {threads} threads"] = _sliced(x, two, out, threads)
        if (loop := _numba_loop()) is not None:
            found[f"numba, {threads} threads"] = partial(_numba_copy, loop, x, two, out, threads)
    if (scaled_copy := _compiled()) is not None:
        for count in sorted({1, threads}):
            found[f"C, {count} thread{'s' * (count > 1)}"] = partial(
                scaled_copy, x, out, 2.0, count
            )
    return found


def best(times: Mapping[str, list[float]]) -> str:
    """Name of the quickest copy."""
    return min(times, key=lambda name: middle(times[name]))


def _sliced(x: np.ndarray, two: np.generic, out: np.ndarray, threads: int) -> Copy:
    """NumPy's own loop, on all threads; the caller is one of them."""
    pool = _pool(threads - 1)
    bounds = [x.size * part // threads for part in range(threads + 1)]
    parts = [slice(a, b) for a, b in pairwise(bounds)]
    views = [(x[part], two, out[part]) for part in parts]

    def copy() -> None:
        others = [pool.submit(np.multiply, *view) for view in views[1:]]
        np.multiply(*views[0])
        for other in others:
            other.result()

    return copy


@lru_cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers)


def _compiled() -> Callable[[np.ndarray, np.ndarray, float, int], None] | None:
    """The extension's copy, compiled as its kernels are, with their threads."""
    try:
        from fastdrop.kernels import cython_kernels
    except ImportError:
        return None
    return getattr(cython_kernels, "scaled_copy", None)


def _numba_copy(loop: Callable, x: np.ndarray, two: np.generic, out: np.ndarray, threads: int):
    import numba

    # The backend sets its own number for its calls.
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    loop(x, two, out)


@lru_cache
def _numba_loop() -> Callable | None:
    """A parallel loop on TBB, Numba's quickest layer; None where there is none.

    A process has one layer. It is started as the backend starts it, and Numba's
    settings are left as they are.
    """
    try:
        import numba

        from fastdrop.kernels.numba_threads import can_run_parallel
    except ImportError:
        return None
    if not can_run_parallel():
        return None

    @numba.njit(parallel=True)
    def loop(x, two, out):
        for i in numba.prange(x.size):
            out[i] = two * x[i]

    return loop
