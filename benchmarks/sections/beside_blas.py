"""Dropout between matrix products, as in a training step.

Threads that go on spinning after a kernel starve OpenBLAS's threads, which no
benchmark of the kernel alone shows. With PyTorch in the process one libgomp may
serve both, and who was imported first decides how its threads wait; so the
order of imports is part of the case.
"""

from __future__ import annotations

from importlib.util import find_spec

from benchmarks import fresh, goals, in_turn
from benchmarks.cases import fast_backends
from benchmarks.measure import progress
from benchmarks.tables import Table, figure, pivot

TITLE = "Beside BLAS: matmul and dropout in turn, over the sum of both alone"


def measure(quick: bool, threads: int | None) -> list[dict]:
    """A fresh process for each backend and order, with nothing set in its environment."""
    orders = [["fastdrop"]]
    if find_spec("torch") is not None:
        orders += [["torch", "fastdrop"], ["fastdrop", "torch"]]
    parts = [(backend, order) for order in orders for backend in fast_backends()]
    parts.insert(0, (in_turn.COPY, []))
    rows = []
    for backend, order in progress(parts, "beside BLAS"):
        rows += fresh.call(in_turn.run, backend=backend, order=order, quick=quick, threads=threads)
    for row in rows:
        if "matmul_seconds" in row and row["backend"] != in_turn.COPY:
            row.update(goals.beside_blas(row["backend"], row["size"]))
    if len(orders) > 1:
        alone = fresh.call(in_turn.run, backend="", order=["torch"], quick=quick, threads=threads)
        _relate(rows, alone[0])
        rows += alone
    return rows


def _relate(rows: list[dict], alone: dict) -> None:
    """PyTorch's times over its time in a process without fastdrop."""
    for row in rows:
        if row["size"] == alone["size"]:
            row["figure"] = row["seconds"] / alone["seconds"]


def tables(rows: list[dict]) -> list[Table]:
    ours = [row for row in rows if "matmul_seconds" in row]
    theirs = [row for row in rows if "seconds" in row]
    milliseconds = [
        [row["backend"], row["order"], row["size"]]
        + [f"{row[f'{name}_seconds'] * 1e3:.3f}" for name in ("matmul", "dropout", "both")]
        for row in ours
    ]
    header = ["backend", "imports in order", "size", "matmul ms", "dropout ms", "in turn ms"]
    found = [pivot(ours, ("backend", "order"), "size"), (header, milliseconds)]
    if theirs:
        body = [
            [row["order"], row["backend"], f"{row['seconds'] * 1e3:.3f}", figure(row)]
            for row in theirs
        ]
        header = ["imports in order", "backend", "torch.mul of 2^20, ms", "over torch alone"]
        found.append((header, body))
    return found
