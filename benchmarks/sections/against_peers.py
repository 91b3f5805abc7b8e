"""How many times as fast as each peer: the same call, with fresh arrays, as users write it."""

from __future__ import annotations

from functools import partial
from timeit import Timer

import fastdrop
from benchmarks import cases, fresh, goals, peers
from benchmarks.measure import compare, middle, progress, ratio
from benchmarks.tables import Table, pivot

TITLE = "Times as fast as the peers (float32, rate 0.5, fresh arrays)"

N = 2**20
RATE = 0.5


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
    for peer in rivals:
        forward, backward = peer.calls(x, RATE, shape.own(n), fastdrop.get_num_threads())
        contenders[peer.name, "forward"] = Timer(forward)
        contenders[peer.name, "backward"] = Timer(backward)
    times = compare(contenders, quick=quick)
    rows = []
    for backend in cases.fast_backends():
        for peer in rivals:
            for way in ("forward", "backward"):
                ours, theirs = times[backend, way], times[peer.name, way]
                asked = name == "elementwise" and way == "forward" and not quick
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
                        **(goals.times_faster(backend, peer.package) if asked else {}),
                    }
                )
    return rows


def tables(rows: list[dict]) -> list[Table]:
    columns = ("way", "backend", "peer")
    ways = sorted(rows, key=lambda row: (row["way"] != "forward", row["backend"]))
    header = ["element-wise forward", "ms"]
    plain = [row for row in ways if row["shape"] == "elementwise" and row["way"] == "forward"]
    times = {row["peer"]: row["peer_seconds"] for row in plain}
    times |= {f"fastdrop, {row['backend']}": row["seconds"] for row in plain}
    body = [[name, f"{seconds * 1e3:.3f}"] for name, seconds in times.items()]
    return [pivot(ways, columns, "shape"), (header, body)]
