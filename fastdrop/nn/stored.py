"""Samples that are not in memory: what gives its rows by slices."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from math import prod
from numbers import Number
from types import NoneType
from typing import Any

import numpy as np

from fastdrop.nn.layer import Shape
from fastdrop.nn.losses import Loss
from fastdrop.shards import Shards, release

# Data of at most so many bytes are read at once, and are then in memory.
SMALL = 2**27


class Stored:
    """Rows of data that stay where they are: each slice is read, and checked, when it
    is asked for, into an array of its own.

    All of the data must be as their first row is, in dtype and shape.
    """

    def __init__(self, data: Any, name: str, where: str) -> None:
        self._data, self._name, self._where = data, name, where
        # Arrays of zarr have a shape and no length.
        shape = data.shape if hasattr(data, "shape") else (len(data),)
        self._begin, self._end = 0, shape[0] if shape else 0
        self._check: Callable[[np.ndarray, str], np.ndarray] | None = None
        if not self._end:
            raise ValueError(f"{where}: {name} must hold at least one sample, got shape {shape}")
        first = self._part(0, 1)
        if first.dtype.kind not in "fiub":
            raise TypeError(f"{where}: {name} must hold real numbers, got {first.dtype}")
        if first.shape[:1] != (1,):
            raise ValueError(f"{self._place(0, 1)} must have 1 row, got shape {first.shape}")
        # Of the data, and of what is read of them.
        self._row = self.dtype, self._sample = first.dtype, first.shape[1:]

    def __len__(self) -> int:
        return self._end - self._begin

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self._sample)

    def __getitem__(self, rows: slice) -> np.ndarray:
        begin, end, _ = rows.indices(len(self))
        out = np.empty((max(0, end - begin), *self._sample), self.dtype)
        self.read(begin, out)
        return out

    def part(self, begin: int, end: int) -> Stored:
        """The rows `begin` to `end`, unread."""
        found = copy(self)
        found._begin, found._end = self._begin + begin, self._begin + end
        return found

    def checked(self, check: Callable[[np.ndarray, str], np.ndarray]) -> Stored:
        """The same, of which each part is what `check` makes of it and of its name."""
        found = copy(self)
        first = check(self[:1], self._place(0, 1))
        found._check, found.dtype, found._sample = check, first.dtype, first.shape[1:]
        return found

    def read(self, begin: int, out: np.ndarray) -> None:
        """Fill `out` with the rows from `begin` on."""
        if not len(out):
            return
        begin += self._begin
        end = begin + len(out)
        part, (dtype, sample) = self._part(begin, end), self._row
        if part.dtype != dtype:
            raise TypeError(f"{self._place(begin, end)} must be {dtype}, got {part.dtype}")
        if part.shape != (len(out), *sample):
            raise ValueError(
                f"{self._place(begin, end)} must have shape {(len(out), *sample)}, got {part.shape}"
            )
        if self._check is not None:
            part = self._check(part, self._place(begin, end))
        np.copyto(out, part)
        if isinstance(self._data, np.memmap):
            release(self._data[begin:end])

    def _part(self, begin: int, end: int) -> np.ndarray:
        try:
            return np.asarray(self._data[begin:end])
        except MemoryError:
            raise
        except Exception as error:
            kind = OSError if isinstance(error, OSError) else RuntimeError
            place = self._place(begin, end)
            raise kind(f"{place} cannot be read: {type(error).__name__}: {error}") from error

    def _place(self, begin: int, end: int) -> str:
        return f"{self._where}: {self._name}[{begin}:{end}]"


def stored(data: Any, name: str, where: str) -> Any:
    """`data` as they are if they are in memory, else `Stored`, or an array if they are
    small.

    Not in memory are a path, which stands for its `Shards`; a `numpy.memmap`; an
    object with ``chunks``, such as a data set of HDF5 or zarr; and other objects with
    ``__len__`` and ``__getitem__`` that are no sequences, such as lists, and that
    NumPy does not take for arrays by their ``__array__``.
    """
    if isinstance(data, (str, os.PathLike)):
        data = Shards(data)
    elif _in_memory(data):
        return data
    elif not _gives_rows(data):
        raise TypeError(
            f"{where}: {name} must be an array, a folder of .npy files, or an object with "
            f"__len__ and slices, got {type(data).__name__}"
        )
    found = Stored(data, name, where)
    return found[:] if len(found) * row_bytes(found) <= SMALL else found


def _in_memory(data: Any) -> bool:
    """Whether NumPy takes it for an array at once, or says best why not."""
    if isinstance(data, np.memmap):
        return data._mmap is None  # type: ignore[attr-defined]
    if isinstance(data, (np.ndarray, Sequence, Number, NoneType)):
        return True
    if hasattr(data, "__array_interface__"):
        return True
    return hasattr(data, "__array__") and not hasattr(data, "chunks")


def _gives_rows(data: Any) -> bool:
    if isinstance(data, Mapping) or not hasattr(data, "__getitem__"):
        return False
    return hasattr(data, "__len__") or hasattr(data, "shape")


def check_targets(loss: Loss, y: Any, shape: Shape, where: str) -> Any:
    """What `loss` takes for outputs of `shape`; of `Stored` targets each part when it is
    read, and now their number and first row."""
    if not isinstance(y, Stored):
        return loss.check(y, shape, where)
    if len(y) != shape[0]:
        raise ValueError(
            f"{where}: y must hold a target for each of {shape[0]} samples, got {len(y)}"
        )
    return y.checked(lambda part, place: loss.check(part, (len(part), *shape[1:]), place))


def row_bytes(data: Any) -> int:
    """Of an array or of `Stored` data."""
    return data.dtype.itemsize * prod(data.shape[1:])
