"""How exactly a rate is honoured: P(drop) over 2^30 draws, and how long that takes."""

from __future__ import annotations

from math import sqrt
from time import perf_counter

import numpy as np

import fastdrop
from benchmarks import cases, fresh, goals
from benchmarks.measure import progress
from benchmarks.tables import Table, figure, goal

TITLE = "P(drop) over 2^30 draws"

RATES = (1e-6, 0.01, 0.1, 0.5, 0.9, 0.999)
CHUNK = 2**22


def measure(quick: bool, threads: int | None) -> list[dict]:
    return [
        row
        for backend in cases.fast_backends()
        for row in fresh.call(
            rates, backend=backend, draws=2**18 if quick else 2**30, threads=threads
        )
    ]


def rates(backend: str, draws: int, threads: int | None) -> list[dict]:
    """Rows of this process."""
    if threads is not None:
        fastdrop.set_num_threads(threads)
    fastdrop.set_backend(backend)
    fastdrop.Mask(CHUNK, 0.5, key=0).keep()
    return [_rate(backend, rate, draws) for rate in progress(RATES, f"P(drop), {backend}")]


def _rate(backend: str, rate: float, draws: int) -> dict:
    start = perf_counter()
    mask = fastdrop.Mask(draws, rate, key=cases.KEY)
    kept = sum(
        int(np.count_nonzero(mask[first : first + CHUNK].keep()))
        for first in range(0, draws, CHUNK)
    )
    z = (draws - kept - rate * draws) / sqrt(draws * rate * (1 - rate))
    return {
        "backend": backend,
        "rate": rate,
        "draws": draws,
        "dropped": draws - kept,
        "z": z,
        "figure": abs(z),
        "seconds": perf_counter() - start,
        **goals.standard_errors(backend),
    }


def tables(rows: list[dict]) -> list[Table]:
    header = ["backend", "rate", "draws", "dropped", "standard errors", "goal", "seconds"]
    body = [
        [
            row["backend"],
            f"{row['rate']:g}",
            f"{row['draws']:,}",
            f"{row['dropped']:,}",
            figure(row),
            goal(row),
            f"{row['seconds']:.2f}",
        ]
        for row in rows
    ]
    return [(header, body)]
