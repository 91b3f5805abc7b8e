"""What a process needs to train, and whether it grows."""

from __future__ import annotations

from pathlib import Path

import fastdrop
from benchmarks import fresh, goals, networks, training
from benchmarks.measure import progress
from benchmarks.tables import Table, pivot

TITLE = f"Memory of training: the CNN with SGD and dropout, 200 batches of {networks.BATCH}"

_PEAKS = {"training": "peak beyond imports and data", "process": "peak of the whole process"}


def measure(quick: bool, threads: int | None) -> list[dict]:
    """A process for each library: the peak of a process never falls. Where the
    kernel does not tell it, nothing."""
    if not Path("/proc/self/status").exists():
        return []
    available = fastdrop.get_num_threads()
    found = {
        library: fresh.call(
            training.memory,
            library=library,
            network="CNN",
            optimizer="SGD",
            threads=min(threads or available, available),
            quick=quick,
        )
        for library in progress(networks.installed(), "memory of training")
    }
    rows = []
    for library, figures in found.items():
        column = {"library": networks.label(library)}
        for name, what in _PEAKS.items():
            rows.append({"what": f"{what}, MiB", **column, "figure": figures[name]})
            if library != "fastdrop":
                share = found["fastdrop"][name] / figures[name]
                row = {"what": f"{what}, fastdrop's over it", **column, "figure": share}
                rows.append(row | goals.training_memory(what, library))
        row = {"what": "growth from step 20 to step 200, MiB", **column}
        rows.append(row | {"figure": figures["growth"]} | goals.training_growth(library))
    return rows


def tables(rows: list[dict]) -> list[Table]:
    return [pivot(rows, ("what",), "library")] if rows else []
