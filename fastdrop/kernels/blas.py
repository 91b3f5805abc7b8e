"""SciPy's BLAS: where its products are, and one thread for each of them.

The layer kernels call BLAS from inside their own threads. BLAS must not start
threads of its own then: two teams that wait for each other by spinning made a
training step eight times slower.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _controllers() -> list[Any]:
    """The BLAS that SciPy has loaded: its own, or one that it shares."""
    import scipy.linalg.cython_blas  # noqa: F401

    found = [lib for lib in ThreadpoolController().lib_controllers if lib.user_api == "blas"]
    return [lib for lib in found if "scipy" in lib.filepath] or found


class _OneThread:
    """Holds BLAS at one thread while anybody is inside, and gives back what was set."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: list[int] = []

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = [lib.get_num_threads() for lib in _controllers()]
                self._set([1] * len(self._before))
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._set(self._before)

    def _set(self, numbers: list[int]) -> None:
        for lib, number, before in zip(_controllers(), numbers, self._before, strict=True):
            if before != 1:
                lib.set_num_threads(number)


one_thread = _OneThread()
