"""Some rows of data that are not in memory, read in a thread."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event, Thread

import numpy as np

from fastdrop.nn.stored import Stored


class Window:
    """The rows that are named, of each of some sources: in memory after `start` and `wait`.

    Parameters
    ----------
    sources : sequence of Stored
    rooms : sequence of ndarray
        Where the rows of each go; they may be as many as there is room for.
    rows : ndarray of int
        In any order.
    gap, piece : int
        Rows between two that are named are read, too, if they are at most so many;
        and no more than `piece` are read at once.
    """

    def __init__(
        self,
        sources: Sequence[Stored],
        rooms: Sequence[np.ndarray],
        rows: np.ndarray,
        gap: int,
        piece: int,
    ) -> None:
        self._sources, self.rooms, self._piece = sources, rooms, piece
        self._rows, self._gap = rows, gap
        self._stopped, self._done = False, Event()
        self._error: BaseException | None = None
        # Of each run of rows: its first one, and how far that is from its place here.
        self._firsts = self._shifts = np.empty(0, np.intp)
        self._thread = Thread(target=self._read, name="fastdrop-read-ahead", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def wait(self) -> None:
        """Until all is read; what went wrong there is raised here."""
        # Python 3.11 takes a thread for ended when Ctrl-C interrupts `join`.
        self._done.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End the thread, after the piece that it is reading."""
        self._stopped = True
        if self._thread.ident is not None:
            self._done.wait()
            self._thread.join()

    def take(self, place: int, rows: np.ndarray, out: np.ndarray) -> None:
        """Rows of the source at `place`, converted to the dtype of `out`."""
        room = self.rooms[place]
        places = rows + self._shifts[np.searchsorted(self._firsts, rows, "right") - 1]
        if room.dtype == out.dtype:
            # mode: with "raise", NumPy goes through a copy.
            np.take(room, places, axis=0, out=out, mode="clip")
        else:
            out[...] = room[places]

    def _read(self) -> None:
        try:
            if not len(self._rows):
                return
            rows = np.sort(self._rows)
            ends = np.flatnonzero(np.diff(rows) > self._gap + 1)
            firsts, lasts = rows[np.append(0, ends + 1)], rows[np.append(ends, -1)]
            lengths = lasts + 1 - firsts
            self._shifts = np.cumsum(lengths) - lengths - firsts
            self._firsts = firsts
            for first, last, shift in zip(firsts, lasts, self._shifts, strict=True):
                for begin in range(first, last + 1, self._piece):
                    end = min(begin + self._piece, last + 1)
                    for source, room in zip(self._sources, self.rooms, strict=True):
                        if self._stopped:
                            return
                        source.read(begin, room[begin + shift : end + shift])
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()
