"""How samples are cut into batches, and taken from where they are."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any

import numpy as np

# Rows and samples of one batch after the other.
Batches = Generator[tuple[Any, np.ndarray], None, None]


def slices(samples: int, size: int) -> Iterator[slice]:
    """Batches of `size`; the last one may be smaller."""
    return (slice(start, min(start + size, samples)) for start in range(0, samples, size))


class InMemory:
    """Samples of an array: batches in any order, in the model's dtype, in one buffer."""

    def __init__(self, x: np.ndarray, dtype: Any, size: int) -> None:
        self._x, self._dtype, self._size = x, dtype, size
        # Taken straight into it, unless the numbers have to be converted.
        same = x.dtype == dtype
        self._buffer = np.empty((min(size, len(x)), *x.shape[1:]), dtype) if same else None

    def batches(self, order: np.random.Generator | None) -> Iterator[np.ndarray]:
        """The rows of each batch of an epoch, shuffled if there is a generator."""
        count = len(self._x)
        rows = np.arange(count) if order is None else order.permutation(count)
        return (rows[batch] for batch in slices(count, self._size))

    def read(self, batches: Iterable[np.ndarray]) -> Batches:
        """Rows and samples of one batch after the other, each until the next."""
        return ((rows, self._take(rows)) for rows in batches)

    def _take(self, rows: np.ndarray) -> np.ndarray:
        if self._buffer is None:
            return self._x[rows].astype(self._dtype)
        # mode: with "raise", NumPy goes through a copy. Rows are a permutation.
        return np.take(self._x, rows, axis=0, out=self._buffer[: len(rows)], mode="clip")
