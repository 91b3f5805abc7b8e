"""What ``import fastdrop`` costs a program that imports NumPy anyway."""

from __future__ import annotations

from benchmarks import fresh, goals
from benchmarks.measure import middle, progress
from benchmarks.tables import Table, figure, goal

TITLE = "Import time"

_PROGRAM = """
import sys
from time import perf_counter
start = perf_counter()
import {package}
print(perf_counter() - start, int("numba" in sys.modules))
"""


def measure(quick: bool, threads: int | None) -> list[dict]:
    """Fresh processes in turn, the first of each unread: it may fill the disk's cache."""
    times: dict[str, list[float]] = {"numpy": [], "fastdrop": []}
    numba = 0
    for _ in progress(range(2 if quick else 16), "import"):
        for package, found in times.items():
            seconds, numba = fresh.run(["-c", _PROGRAM.format(package=package)]).split()
            found.append(float(seconds))
    numpy, ours = (middle(found[1:]) for found in times.values())
    return [
        {"what": "import numpy, ms", "figure": numpy * 1e3},
        {"what": "import fastdrop (and numpy), ms", "figure": ours * 1e3},
        {"what": "difference, ms", "figure": (ours - numpy) * 1e3, **goals.import_time()},
        {"what": "numba imported", "figure": int(numba), **goals.numba_imported()},
    ]


def tables(rows: list[dict]) -> list[Table]:
    return [(["what", "figure", "goal"], [[row["what"], figure(row), goal(row)] for row in rows])]
