"""What `fastdrop.torch` gives back to a program of PyTorch's on a CPU.

Which of the two is imported first may decide how their threads share the
processors; so the order of imports is part of the case.
"""

from __future__ import annotations

from importlib.util import find_spec

from benchmarks import fresh, goals, torch_turns
from benchmarks.measure import progress
from benchmarks.tables import Table, figure

TITLE = "PyTorch's dropout on the CPU, and fastdrop.torch in its place"

ORDERS = (["torch", "fastdrop"], ["fastdrop", "torch"])


def measure(quick: bool, threads: int | None) -> list[dict]:
    """A fresh process for each order, with nothing set in its environment."""
    if find_spec("torch") is None:
        return []
    rows: list[dict] = []
    for order in progress(ORDERS, "PyTorch"):
        rows += fresh.call(torch_turns.run, order=order, quick=quick, threads=threads)
    return [row | goals.in_torch(row["what"], row["size"]) for row in rows]


def tables(rows: list[dict]) -> list[Table]:
    layers = [_timed(row, row.get("nothing")) for row in rows if row["what"].startswith("forward")]
    steps = [_timed(row, row["none_seconds"] * 1e3, row["tax"]) for row in rows if "tax" in row]
    saved = [
        [row["order"], str(row["size"]), f"{row['theirs']:.3g}", figure(row)]
        for row in rows
        if row["what"] == "saved"
    ]
    common = ["imports in order", "what", "size", "nn.Dropout, ms", "fastdrop, ms", "times as fast"]
    return [
        ([*common, "no dropout, ms", "over no dropout"], steps),
        ([*common, "a function that does nothing"], layers),
        (["imports in order", "size", "nn.Dropout saves, bytes each", "fastdrop"], saved),
    ]


def _timed(row: dict, *others: float | None) -> list[str]:
    times = [f"{row[f'{name}_seconds'] * 1e3:.3g}" for name in ("nn", "fastdrop")]
    more = ["" if other is None else f"{other:.3g}" for other in others]
    return [row["order"], row["what"], str(row["size"]), *times, figure(row), *more]
