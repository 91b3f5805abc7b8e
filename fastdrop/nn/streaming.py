"""Batches of samples that are not in memory, read ahead in a thread.

An epoch's order: blocks of consecutive rows, in random order, are parted into
windows, and the rows of each window are shuffled. Rows are read a window at a
time, the next one while the network learns from the present one, so that two are
in memory. Data that are one window are shuffled as an array is, with the same bits.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import cycle
from typing import Any

import numpy as np

from fastdrop.nn.batches import Batches, InMemory, slices
from fastdrop.nn.stored import Stored, row_bytes
from fastdrop.nn.window import Window

# Bytes of the rows that stay together, and of those that are shuffled among each
# other. Windows of many blocks are like the whole: of MNIST sorted by its labels, cut
# as 4 GiB would be, an MLP learned as well in three epochs as in memory (96.5 and 96.6 %
# right), and with 8 blocks in a window it did not (93.6 %).
BLOCK, WINDOW = 2**22, 2**27

# Bytes that a row counts at least: its number and its place are in memory, too.
LEAST = 64

# Reading so large a share of a block takes less time than to leave it out.
GAP = 1 / 64

# Some of a batch's rows: those of the whole batch, and which of them these are.
Piece = tuple[np.ndarray, int, int]


def batched(x: Any, y: Any, dtype: Any, size: int) -> tuple[InMemory | Streamed, Any]:
    """What gives batches of `x`, and what then gives the targets of a batch's rows."""
    if not isinstance(x, Stored) and not isinstance(y, Stored):
        return InMemory(x, dtype, size), y
    samples = Streamed(x, y, dtype, size)
    return samples, samples if isinstance(y, Stored) else y


def in_order(x: Any, y: Any, dtype: Any, size: int) -> tuple[Batches, Any]:
    """Batch after batch in the samples' own order, and the targets likewise."""
    if not isinstance(x, Stored) and not isinstance(y, Stored):
        return ((rows, x[rows].astype(dtype, copy=False)) for rows in slices(len(x), size)), y
    samples, y = batched(x, y, dtype, size)
    return samples.read(samples.batches(None)), y


def part_of(data: Any, begin: int, end: int) -> Any:
    """Rows of an array or of `Stored` data, without reading them."""
    return data.part(begin, end) if isinstance(data, Stored) else data[begin:end]


class Streamed:
    """Samples of `Stored` data, or of an array with `Stored` targets: batches in an
    order that mixes well and is read in long pieces, in the model's dtype.

    ``streamed[rows]`` are the targets, if `Stored`, of the batch that was read last.
    """

    def __init__(self, x: Any, y: Any, dtype: Any, size: int) -> None:
        x = x if isinstance(x, Stored) else Stored(x, "x", "Streamed")
        self._sources = [x, y] if isinstance(y, Stored) else [x]
        self._dtypes = [np.dtype(dtype), *(source.dtype for source in self._sources[1:])]
        self._count, self._size = len(x), size
        # Also of targets in memory: where they are must not decide on the order.
        row = max(LEAST, row_bytes(x) + (0 if y is None else row_bytes(y)))
        self._block = max(1, BLOCK // row)
        self._blocks = -(-self._count // self._block)
        # As even as can be: rows of a small one would have few to mix with.
        self._windows = -(-self._blocks // max(1, WINDOW // (row * self._block)))
        self._together = -(-self._blocks // self._windows)
        self._last: tuple[Any, Any] = None, None

    def batches(self, order: np.random.Generator | None) -> Iterator[np.ndarray]:
        """The rows of each batch of an epoch, shuffled if there is a generator."""
        if order is None:
            batches = slices(self._count, self._size)
            return (np.arange(batch.start, batch.stop) for batch in batches)
        if self._windows == 1:
            return self._cut([order.permutation(self._count)])
        blocks = np.array_split(order.permutation(self._blocks), self._windows)
        # Drawn now: where `order` is must not depend on how far the epoch comes.
        within = np.random.default_rng(order.integers(2**63))
        return self._cut(within.permutation(self._rows(window)) for window in blocks)

    def _rows(self, blocks: np.ndarray) -> np.ndarray:
        rows = (blocks[:, None] * self._block + np.arange(self._block)).reshape(-1)
        return rows[rows < self._count]

    def _cut(self, windows: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Their rows in batches; one that a window does not fill goes on in the next."""
        rest = np.empty(0, np.intp)
        for rows in windows:
            rows = np.concatenate((rest, rows))
            whole = len(rows) - len(rows) % self._size
            for batch in slices(whole, self._size):
                yield rows[batch]
            rest = rows[whole:]
        if len(rest):
            yield rest

    def read(self, batches: Iterable[np.ndarray]) -> Batches:
        """Rows and samples of one batch after the other, each until the next.

        They may be any rows in any order. What is read together depends on the blocks
        that they are in, and nothing is read that is not asked for, but short gaps.
        """
        batch = self._rooms(0, self._dtypes)
        with closing(self._ahead(batches)) as windows:
            for window, pieces in windows:
                for rows, begin, end in pieces:
                    if len(rows) > len(batch[0]):
                        batch = self._rooms(len(rows), self._dtypes)
                    for place, room in enumerate(batch):
                        window.take(place, rows[begin:end], room[begin:end])
                    if end == len(rows):
                        self._last = rows, batch[-1][:end]
                        yield rows, batch[0][:end]

    def __getitem__(self, rows: Any) -> np.ndarray:
        if rows is not self._last[0]:
            raise IndexError("Streamed: targets are those of the batch that was read last")
        return self._last[1]

    def _rooms(self, rows: int, dtypes: Iterable[np.dtype]) -> list[np.ndarray]:
        return [
            np.empty((rows, *source.shape[1:]), dtype)
            for source, dtype in zip(self._sources, dtypes, strict=True)
        ]

    def _ahead(
        self, batches: Iterable[np.ndarray]
    ) -> Generator[tuple[Window, list[Piece]], None, None]:
        """Window after window, in memory, with the pieces of batches that are of it."""
        room = min(self._count, self._together * self._block)
        dtypes = [source.dtype for source in self._sources]
        rooms = cycle([self._rooms(room, dtypes), self._rooms(room, dtypes)])
        gap, wanted = int(self._block * GAP), self._wanted(batches)

        running: list[Window] = []

        def begin() -> list[Piece] | None:
            pieces = next(wanted, None)
            if pieces is not None:
                rows = np.concatenate([rows[begin:end] for rows, begin, end in pieces])
                running.append(Window(self._sources, next(rooms), rows, gap, self._block))
                running[-1].start()
            return pieces

        try:
            pieces = begin()
            while pieces is not None:
                running[0].wait()
                coming = begin()
                yield running[0], pieces
                del running[0]
                pieces = coming
        finally:
            for window in running:
                window.stop()

    def _wanted(self, batches: Iterable[np.ndarray]) -> Iterator[list[Piece]]:
        """The batches, cut where there would be rows of more blocks than a window has.

        In the order of `batches` that is where a new window begins.
        """
        pieces: list[Piece] = []
        held: set[int] = set()
        for rows in batches:
            blocks, begin = (rows // self._block).tolist(), 0
            if len(held.union(blocks)) > self._together:
                for place, block in enumerate(blocks):
                    if block not in held and len(held) == self._together:
                        yield [*pieces, (rows, begin, place)]
                        pieces, held, begin = [], set(), place
                    held.add(block)
            held.update(blocks[begin:])
            pieces.append((rows, begin, len(rows)))
        if pieces:
            yield pieces
