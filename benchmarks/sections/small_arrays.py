"""What a call costs before the first element: arrays of 1,000."""

from __future__ import annotations

from functools import partial
from timeit import Timer

import numpy as np

import fastdrop
from benchmarks import cases, fresh, goals
from benchmarks.measure import compare, middle, ratio
from benchmarks.tables import Table, figure, goal

TITLE = "Small arrays: 1,000 float32 elements"

N = 1000

# What is measured, over what, and the goal of it.
_PAIRS = (
    ("mask.apply(x)", "x * m", goals.small_mask),
    ("dropout(x, 0.5, rng=stream)", "x * (g.random(n, dtype=f4) < 0.5) * 2", goals.small_call),
)


def measure(quick: bool, threads: int | None) -> list[dict]:
    return fresh.call(small, quick=quick, threads=threads)


def small(quick: bool, threads: int | None) -> list[dict]:
    """Rows of this process."""
    if threads is not None:
        fastdrop.set_num_threads(threads)
    mask = fastdrop.Mask((N,), 0.5, key=cases.KEY)
    names = {
        "x": cases.numbers((N,), "float32"),
        "m": (mask.keep() * mask.scale).astype(np.float32),
        "mask": mask,
        "dropout": fastdrop.dropout,
        "stream": fastdrop.MaskStream(0),
        "g": np.random.default_rng(0),
        "n": N,
        "f4": np.float32,
    }
    rows = []
    for backend in cases.fast_backends():
        choose = partial(fastdrop.set_backend, backend)
        statements = [statement for pair in _PAIRS for statement in pair[:2]]
        timers = {name: Timer(name, choose, globals=names) for name in statements}
        times = compare(timers, quick=quick)
        for ours, theirs, asked in _PAIRS:
            rows.append(
                {
                    "backend": backend,
                    "call": ours,
                    "over": theirs,
                    "seconds": middle(times[ours]),
                    "over_seconds": middle(times[theirs]),
                    "figure": ratio(times[ours], times[theirs]),
                    **asked(backend),
                }
            )
    return rows


def tables(rows: list[dict]) -> list[Table]:
    header = ["backend", "call", "us", "over", "us", "ratio", "goal"]
    body = [
        [
            row["backend"],
            f"`{row['call']}`",
            f"{row['seconds'] * 1e6:.2f}",
            f"`{row['over']}`",
            f"{row['over_seconds'] * 1e6:.2f}",
            figure(row),
            goal(row),
        ]
        for row in rows
    ]
    return [(header, body)]
