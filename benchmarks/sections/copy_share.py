"""How fast each backend is as a share of a scaled copy by as many threads."""

from __future__ import annotations

from functools import partial
from itertools import product
from timeit import Timer

import numpy as np

import fastdrop
from benchmarks import baselines, cases, fresh, goals
from benchmarks.measure import compare, middle, progress, ratio
from benchmarks.tables import Table, pivot

TITLE = "Share of the copy: time of `y = 2 x` over time of dropout, both into a given array"

SIZES = (2**18, 2**20, 2**22, 2**24, 2**26)


def measure(quick: bool, threads: int | None) -> list[dict]:
    """Every shape, size, dtype, backend and rate, and how the share grows with the size."""
    sizes = (2**10, 2**18) if quick else SIZES
    rows = fresh.call(
        shares,
        shapes=list(cases.SHAPES),
        sizes=sizes,
        dtypes=cases.DTYPES,
        rates=cases.RATES,
        quick=quick,
        threads=threads,
    )
    return rows + growth(rows)


def shares(shapes, sizes, dtypes, rates, quick, threads) -> list[dict]:
    """Rows of this process."""
    if threads is not None:
        fastdrop.set_num_threads(threads)
    groups = list(product(shapes, sizes, dtypes))
    rows = []
    for shape, n, dtype in progress(groups, "share of the copy"):
        rows += _group(shape, n, dtype, rates, quick)
    return rows


def _group(shape: str, n: int, dtype: str, rates, quick: bool) -> list[dict]:
    """One array: the copies and every backend and rate, in one run."""
    x = cases.numbers(cases.SHAPES[shape].of(n), dtype)
    out = np.zeros_like(x)
    copies = baselines.copies(x, out, fastdrop.get_num_threads())
    contenders = {name: Timer(copy) for name, copy in copies.items()}
    table = [
        cases.Case(backend, shape, n, dtype, rate, "forward")
        for backend, rate in product(cases.fast_backends(), rates)
    ]
    for case in table:
        contenders[str(case)] = Timer(
            case.ready(x, out), setup=partial(fastdrop.set_backend, case.backend)
        )
    times = compare(contenders, quick=quick)
    best = baselines.best({name: times[name] for name in copies})
    return [
        {
            "backend": case.backend,
            "shape": shape,
            "dtype": dtype,
            "rate": case.rate,
            "n": n,
            "figure": ratio(times[best], times[str(case)]),
            "seconds": middle(times[str(case)]),
            "copy": best,
            "copy_seconds": middle(times[best]),
            **goals.share(case.backend, n),
        }
        for case in table
    ]


def growth(rows: list[dict]) -> list[dict]:
    """The share of the largest size by that of the smallest from 2^20 on."""
    found = []
    for row in rows:
        same = [
            other
            for other in rows
            if other["n"] >= 2**20
            and all(other[name] == row[name] for name in ("backend", "shape", "dtype", "rate"))
        ]
        if len(same) < 2 or row is not same[0]:
            continue
        figure = same[-1]["figure"] / row["figure"]
        kept = {name: row[name] for name in ("backend", "shape", "dtype", "rate")}
        column = f"{cases.power(same[-1]['n'])} / {cases.power(row['n'])}"
        found.append({**kept, "n": column, "figure": figure, **goals.growth(row["backend"])})
    return found


def tables(rows: list[dict]) -> list[Table]:
    columns = ("backend", "shape", "dtype", "rate")
    copies = {
        f"{cases.power(row['n'])} {row['dtype']}: {row['copy']}": row["copy_seconds"] * 1e3
        for row in rows
        if "copy" in row and row["shape"] == "elementwise"
    }
    header = ["the copy that was quickest (element-wise)", "ms"]
    quickest = [[name, f"{ms:.3f}"] for name, ms in copies.items()]
    return [pivot(rows, columns, "n"), (header, quickest)]
