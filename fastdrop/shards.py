"""Arrays that are too large for memory: folders of .npy files, and pages given back."""

from __future__ import annotations

import mmap
import os
import re
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

# Bytes of addresses in one table of pages, on most systems; at least a page.
TABLE = 2**21


class Shards:
    """The .npy files of a folder as one array, along axis 0, that stays on the disk.

    Parameters
    ----------
    path : path-like
        A folder, of which the .npy files are taken in the order of their names,
        numbers in them as numbers: ``part-9.npy`` comes before ``part-10.npy``.
        Or one .npy file.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    TypeError
        If `path` is no path.
    ValueError
        If there is no .npy file, or one cannot be read, has no axis, or has rows of
        another shape or dtype than the first.

    Notes
    -----
    ``len(shards)`` is the number of rows; ``shards[a:b]`` reads the rows a to b, in
    step 1, into a new array. No file stays open. Pickled objects are never loaded.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from fastdrop.data import Shards
    >>> with TemporaryDirectory() as folder:
    ...     for number, rows in enumerate(np.split(np.arange(12).reshape(6, 2), 3)):
    ...         np.save(f"{folder}/part-{number}.npy", rows)
    ...     shards = Shards(folder)
    ...     shards.shape, shards[3:5].tolist()
    ((6, 2), [[6, 7], [8, 9]])
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"Shards: path must be a path, got {type(path).__name__}")
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(
                f"Shards: {str(path)!r} is not there; give a folder of .npy files, or one"
            )
        whole = [self.path] if self.path.suffix == ".npy" else []
        self._files = sorted(self.path.glob("*.npy"), key=_number) if self.path.is_dir() else whole
        if not self._files:
            raise ValueError(f"Shards: {str(path)!r} must be or hold .npy files, got none")
        shapes: list[tuple[int, ...]] = []
        for file in self._files:
            array = _opened(file)
            if array.ndim == 0:
                raise ValueError(f"Shards: {str(file)!r} must hold rows, got one number")
            if not shapes:
                self.dtype, sample = array.dtype, array.shape[1:]
            if (array.dtype, array.shape[1:]) != (self.dtype, sample):
                raise ValueError(
                    f"Shards: {str(file)!r} must hold rows of shape {sample} and {self.dtype}, "
                    f"as {self._files[0].name!r} does, got {array.shape[1:]} and {array.dtype}"
                )
            shapes.append(array.shape)
        # Where each file begins, and where the last one ends.
        self._starts = list(accumulate((shape[0] for shape in shapes), initial=0))
        self.shape = (self._starts[-1], *sample)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise TypeError(f"Shards: rows must be a slice in step 1, got {rows!r}")
        begin, end, _ = rows.indices(len(self))
        out = np.empty((max(0, end - begin), *self.shape[1:]), self.dtype)
        done, shard = 0, bisect_right(self._starts, begin) - 1
        while done < len(out):
            start, stop = self._starts[shard : shard + 2]
            array = _opened(self._files[shard])
            if array.dtype != self.dtype or array.shape != (stop - start, *self.shape[1:]):
                raise ValueError(f"Shards: {str(self._files[shard])!r} is not what it was")
            part = array[begin + done - start : end - start]
            out[done : done + len(part)] = part
            done, shard = done + len(part), shard + 1
        return out

    def __repr__(self) -> str:
        return f"Shards({str(self.path)!r}, shape={self.shape}, dtype={self.dtype})"


def release(array: Any) -> None:
    """Give back the memory of a memory map's pages; what they hold stays in the file.

    Pages of a map that were read or written count as the process's memory, until
    the system is short of it. Where they are needed again, they are read again.

    Parameters
    ----------
    array : numpy.memmap
        A slice, of which the pages are given back, or the whole. Of other
        arrays and of maps in mode "c", whose changes are in no file, nothing is.

    Examples
    --------
    Dropout from file to file, in the memory of 1,000 rows:

    >>> from tempfile import TemporaryFile
    >>> import fastdrop, numpy as np
    >>> from fastdrop.data import release
    >>> mask = fastdrop.Mask((4_000, 16), 0.5, key=7)
    >>> with TemporaryFile() as a, TemporaryFile() as b:
    ...     x = np.memmap(a, np.float32, "w+", shape=(4_000, 16))
    ...     y = np.memmap(b, np.float32, "w+", shape=(4_000, 16))
    ...     x[:] = 1
    ...     for start in range(0, len(x), 1_000):
    ...         rows = slice(start, start + 1_000)
    ...         _ = mask[rows].apply(x[rows], out=y[rows])
    ...         release(x[rows])
    ...         release(y[rows])
    ...     bool((y == mask.apply(np.ones((4_000, 16), np.float32))).all())
    True
    """
    pages = getattr(array, "_mmap", None)
    if pages is None or array.mode == "c" or not array.size or not hasattr(mmap, "MADV_DONTNEED"):
        return
    first = np.frombuffer(pages, np.uint8).ctypes.data
    begin, end = np.lib.array_utils.byte_bounds(array)
    # With a page that is used the system maps some around it, of the same table.
    begin, end = max(first, begin - begin % TABLE), min(first + len(pages), end + -end % TABLE)
    pages.madvise(mmap.MADV_DONTNEED, begin - first, end - begin)


def _number(file: Path) -> tuple[list[str | int], str]:
    """What names are sorted by: as text, but for the numbers in them."""
    parts = re.split(r"([0-9]+)", file.stem)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], file.name


def _opened(file: Path) -> np.ndarray:
    try:
        return np.lib.format.open_memmap(file, mode="r")
    except (EOFError, OSError, ValueError) as error:
        raise ValueError(f"Shards: {str(file)!r} cannot be read as .npy ({error})") from error
