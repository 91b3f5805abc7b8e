"""Training on a file, beside the same training in memory, and what it needs of memory."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

import fastdrop
from benchmarks import fresh, goals, networks
from benchmarks.measure import ratio
from benchmarks.tables import Table, figure, goal

TITLE = "Data larger than memory: the MLP with Adam and dropout, fit on a memory map of 4 GiB"

# What is measured of a file: whether the system has it in memory when a turn begins.
CACHED, COLD = "in the page cache", "dropped from it before"

# Samples that are in memory, too.
PART = 20_000

# Turns, and steps in each: as many for all, for `fit` on a file begins with a window's
# reading, and enough for several windows. An epoch has ten times as many.
ROUNDS, STEPS = 5, 1000


def measure(quick: bool, threads: int | None) -> list[dict]:
    """In a process of its own: the peak of a process never falls."""
    if not Path("/proc/self/status").exists():
        return []
    # What has up to 128 MiB is read at once.
    return fresh.call(train, mebibytes=160 if quick else 4096, threads=threads, quick=quick)


def train(mebibytes: int, threads: int | None, quick: bool) -> list[dict]:
    """Rows of this process."""
    available = fastdrop.get_num_threads()
    nn = networks.load_fastdrop(min(threads or available, available))
    with TemporaryDirectory() as folder:
        x = _written(Path(folder, "x"), mebibytes)
        y = np.random.default_rng(1).integers(0, networks.CLASSES, len(x))
        part = slice(0, PART)
        contenders = {
            "memory": Fit(nn, np.array(x[part]), y[part]),
            CACHED: Fit(nn, x, y),
            COLD: Fit(nn, x, y, cached=False),
        }
        steps, rounds = (1, 1) if quick else (STEPS, ROUNDS)
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, fit in contenders.items():
                times[name].append(fit.timeit(steps))
        rows = []
        for file in (CACHED, COLD):
            speed = ratio(times["memory"], times[file])
            row = {"what": "speed, over that in memory", "file": file, "figure": speed}
            rows.append(row | goals.streamed_speed(file))
            read = contenders[file].read / 2**20
            rows.append({"what": "read from the disk, MiB", "file": file, "figure": read})
    row = {"what": "peak of the whole process, MiB", "file": "", "figure": _peak()}
    return [*rows, row | goals.streamed_memory()]


def _written(path: Path, mebibytes: int) -> np.memmap:
    """A file of noise, of which none is in memory but what the system keeps."""
    noise = np.random.default_rng(0).standard_normal(2**18, np.float32)
    with path.open("wb") as file:
        for _ in range(mebibytes):
            file.write(noise)
        os.fsync(file.fileno())
    samples = (mebibytes << 18) // networks.SAMPLES["MLP"][0]
    return np.memmap(path, np.float32, "r", shape=(samples, *networks.SAMPLES["MLP"]))


class EnoughError(Exception):
    """So many steps are done."""


class Fit:
    """Stands for a `timeit.Timer` of steps within `fit`; ``read`` is bytes from the disk."""

    def __init__(self, nn: Any, x: np.ndarray, y: np.ndarray, cached: bool = True) -> None:
        self._model = networks.fastdrop_model(nn, networks.Case("MLP", "Adam"))
        self._nn, self._data, self.read = nn, (x, y), 0
        self._file, self._cached = getattr(x, "filename", None), cached

    def timeit(self, number: int) -> float:
        """Seconds of `number` steps, of as many epochs as that is."""

        class Counted(self._nn.Callback):
            left = number

            def on_batch_end(self, model: Any, step: int, loss: float) -> None:
                self.left -= 1
                if not self.left:
                    raise EnoughError

        if self._file is not None:
            _into_cache(self._file, self._cached)
        before, start = _read(), perf_counter()
        try:
            self._model.fit(
                *self._data,
                epochs=number,
                batch_size=networks.BATCH,
                callbacks=[Counted()],
                verbose=False,
            )
        except EnoughError:
            self.read += _read() - before
        return perf_counter() - start


def _into_cache(path: str, cached: bool) -> None:
    """Have the system hold all of a file in memory, or nothing of it."""
    with open(path, "rb", buffering=0) as file:
        if cached:
            piece = bytearray(2**20)
            while file.readinto(piece):
                pass
        else:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _peak() -> float:
    """MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _read() -> int:
    """Bytes that this process has had fetched from a disk."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))


def tables(rows: list[dict]) -> list[Table]:
    if not rows:
        return []
    header = ["what", "the file", "figure", "goal"]
    return [(header, [[row["what"], row["file"], figure(row), goal(row)] for row in rows])]
