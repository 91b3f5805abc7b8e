"""The program that alternates matrix products and dropout, in a fresh process.

It must decide itself what is imported first, so it imports neither fastdrop nor
PyTorch at the top, nor any module that does.
"""

from __future__ import annotations

import sys
from timeit import Timer

import numpy as np

from benchmarks.measure import compare, middle, ratio

BATCH, UNITS = 128, 1024
SIZES = {"128 x 1024": (BATCH, UNITS), "2^20": (2**20,)}

# Stands in the place of a backend where a copy of NumPy's stands in that of dropout: it has
# no threads, so what it loses beside a matrix product is what it finds no longer cached.
COPY = "no dropout, x * 2"


def run(backend: str, order: list[str], quick: bool, threads: int | None) -> list[dict]:
    """Rows of this process, which imports the packages in `order`."""
    if early := {"fastdrop", "torch"} & sys.modules.keys():
        raise RuntimeError(f"the order of imports is not {order}: {early} came first")
    for package in order:
        if package == "fastdrop":
            _start_fastdrop(backend, threads)
        else:
            _start_torch()
    rows = []
    if backend:
        for size, shape in SIZES.items():
            row = {"backend": backend, "order": ", ".join(order), "size": size}
            rows.append(row | _with_matmul(shape, quick, backend == COPY))
    if "torch" in order:
        seconds = _time_torch(quick)
        what = {"backend": backend, "order": ", ".join(order), "size": "torch.mul, 2^20"}
        rows.append(what | {"seconds": seconds, "figure": 1.0})
    return rows


def _with_matmul(shape: tuple[int, ...], quick: bool, copies: bool) -> dict:
    import fastdrop

    rng = np.random.default_rng(0)
    names = {
        "a": rng.standard_normal((BATCH, UNITS), np.float32),
        "b": rng.standard_normal((UNITS, UNITS), np.float32),
        "x": rng.standard_normal(shape, np.float32),
        "matmul": np.matmul,
        "dropout": fastdrop.dropout,
        "stream": fastdrop.MaskStream(0),
        "two": np.float32(2),
    }
    calls = {"matmul": "matmul(a, b)"}
    calls["dropout"] = "x * two" if copies else "dropout(x, 0.5, rng=stream)"
    calls["both"] = "; ".join(calls.values())
    timers = {name: Timer(call, globals=names) for name, call in calls.items()}
    times = compare(timers, quick=quick, seconds=0.2)
    alone = [sum(pair) for pair in zip(times["matmul"], times["dropout"], strict=True)]
    seconds = {f"{name}_seconds": middle(times[name]) for name in times}
    return {"figure": ratio(times["both"], alone), **seconds}


def _start_fastdrop(backend: str, threads: int | None) -> None:
    """Import it and start its threads: a library's runtime loads with its first call."""
    import fastdrop

    if threads is not None:
        fastdrop.set_num_threads(threads)
    fastdrop.set_backend(backend)
    fastdrop.dropout(np.ones(2**20, np.float32), 0.5, rng=0)


def _start_torch() -> None:
    import torch

    torch.ones(2**20).mul_(2)


def _time_torch(quick: bool) -> float:
    """Seconds of a loop of PyTorch's own, which fastdrop must not slow either."""
    import torch

    x = torch.ones(2**20)
    timer = Timer("mul(x, 2.0, out=y)", globals={"mul": torch.mul, "x": x, "y": x.clone()})
    return middle(compare({"torch": timer}, quick=quick, seconds=0.2)["torch"])
