"""How many times as fast as each peer: the same call, with fresh arrays, as users write it."""

from __future__ import annotations

from functools import partial
from statistics import median
from timeit import Timer

import numpy as np

import fastdrop
from benchmarks import baselines, cases, fresh, goals, peers
from benchmarks.measure import compare, middle, progress, ratio
from benchmarks.tables import Table, pivot

TITLE = "Times as fast as the peers (float32, rate 0.5, fresh arrays)"

N = 2**20
RATE = 0.5

# In tables: the quickest way to compute `y = 2 x` into an array that is there.
COPY = "the copy"


def measure(quick: bool, threads: int | None) -> list[dict]:
    """One process for each package, for some leave each other no room."""
    found = progress(peers.packages(), "peers")
    return [
        row
        for package in found
        for row in fresh.call(against, package=package, quick=quick, threads=threads)
    ]


def against(package: str, quick: bool, threads: int | None) -> list[dict]:
    """Rows of this process: one package, every shape."""
    if threads is not None:
        fastdrop.set_num_threads(threads)
    return [row for shape in cases.SHAPES for row in _shape(package, shape, quick)]


def _shape(package: str, name: str, quick: bool) -> list[dict]:
    n = 2**10 if quick else N
    shape = cases.SHAPES[name]
    x = cases.numbers(shape.of(n), "float32")
    contenders = {}
    for backend in cases.fast_backends():
        choose = partial(fastdrop.set_backend, backend)
        call = cases.Case(backend, name, n, "float32", RATE, "call")
        # Backward as a user has it: the mask, and a fresh array for the gradient.
        backward = partial(call.mask().apply, x)
        contenders[backend, "forward"] = Timer(call.ready(x, x), choose)
        contenders[backend, "backward"] = Timer(backward, choose)
    rivals = peers.installed(package)
    copies = {}
    if name == "elementwise":
        copies = baselines.copies(x, np.zeros_like(x), fastdrop.get_num_threads())
        contenders |= {(copy, "copy"): Timer(call) for copy, call in copies.items()}
        rivals += [peers.DOUBLE] * (package == "numpy")
    for peer in rivals:
        forward, backward = peer.calls(x, RATE, shape.own(n), fastdrop.get_num_threads())
        contenders[peer.name, "forward"] = Timer(forward)
        contenders[peer.name, "backward"] = Timer(backward)
    times = compare(contenders, quick=quick)
    best = baselines.best({copy: times[copy, "copy"] for copy in copies}) if copies else ""
    rows = []
    for backend in cases.fast_backends():
        for peer in rivals:
            for way in ("forward", "backward"):
                ours, theirs = times[backend, way], times[peer.name, way]
                plain = name == "elementwise" and way == "forward"
                if peer is peers.DOUBLE and not plain:
                    continue
                asked = plain and not quick and peer is not peers.DOUBLE
                rows.append(
                    {
                        "backend": backend,
                        "peer": peers.label(peer),
                        "shape": name,
                        "way": way,
                        "n": n,
                        "figure": ratio(theirs, ours),
                        "seconds": middle(ours),
                        "peer_seconds": middle(theirs),
                        **(_over(times[best, "copy"], ours, theirs, best) if plain else {}),
                        **(goals.times_faster(backend, peer.package) if asked else {}),
                    }
                )
    return rows


def _over(copy: list[float], ours: list[float], theirs: list[float], name: str) -> dict:
    """How many copies of the array take as long."""
    return {
        "copy": name,
        "copy_seconds": middle(copy),
        "copies": ratio(ours, copy),
        "peer_copies": ratio(theirs, copy),
    }


def contenders(rows: list[dict], what: str) -> dict[str, float]:
    """``"seconds"`` or ``"copies"`` of each contender, element-wise forward, least first.

    The backends and the copy are measured in the process of each package: theirs
    is the median over the processes.
    """
    found: dict[str, set[float]] = {}
    for row in rows:
        if row["shape"] == "elementwise" and row["way"] == "forward" and what in row:
            found.setdefault(f"fastdrop, {row['backend']}", set()).add(row[what])
            found.setdefault(row["peer"], set()).add(row[f"peer_{what}"])
            if "copy" in row:
                copy = row["copy_seconds"] if what == "seconds" else 1.0
                found.setdefault(COPY, set()).add(copy)
    middles = {name: median(figures) for name, figures in found.items()}
    return dict(sorted(middles.items(), key=lambda item: item[1]))


def tables(rows: list[dict]) -> list[Table]:
    columns = ("way", "backend", "peer")
    ways = sorted(rows, key=lambda row: (row["way"] != "forward", row["backend"]))
    copies = contenders(rows, "copies")
    header = ["element-wise forward", "ms", *["copies"] * bool(copies)]
    body = [
        [name, f"{seconds * 1e3:.3f}", *([f"{copies[name]:.3g}"] if copies else [])]
        for name, seconds in contenders(rows, "seconds").items()
    ]
    return [pivot(ways, columns, "shape"), (header, body)]
