"""What forward and backward keep: nothing but their outputs."""

from __future__ import annotations

import sys

import numpy as np

import fastdrop
from benchmarks import cases, fresh, goals
from benchmarks.measure import progress
from benchmarks.tables import Table, figure, goal

TITLE = "Peak memory of forward and backward, beyond their two outputs"


def measure(quick: bool, threads: int | None) -> list[dict]:
    """A process for each backend: the peak of a process never falls."""
    size = 16 if quick else 256
    return [
        fresh.call(peak, backend=backend, mebibytes=size, threads=threads)
        for backend in progress(cases.fast_backends(), "memory")
    ]


def peak(backend: str, mebibytes: int, threads: int | None) -> dict:
    """A row of this process."""
    if threads is not None:
        fastdrop.set_num_threads(threads)
    fastdrop.set_backend(backend)
    # Libraries, threads and compilers have taken what they take before.
    fastdrop.dropout(np.ones(2**19, np.float32), 0.5, rng=0)
    x = np.ones(mebibytes << 18, np.float32)
    before = _peak()
    y, mask = fastdrop.dropout(x, 0.5, rng=0, return_mask=True)
    dx = mask.apply(x)
    more = (_peak() - before - y.nbytes - dx.nbytes) / 2**20
    return {
        "backend": backend,
        "array": f"{mebibytes} MiB",
        "figure": more,
        **goals.peak_memory(backend),
    }


def _peak() -> int:
    """The most bytes that this process has had in memory."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def tables(rows: list[dict]) -> list[Table]:
    header = ["backend", "float32 array", "MiB beyond the outputs", "goal"]
    return [
        (header, [[row["backend"], row["array"], figure(row), goal(row)] for row in rows]),
    ]
