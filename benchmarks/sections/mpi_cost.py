"""The cost model of training in several processes: its constants, and whether it holds."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

from benchmarks.machine import ROOT
from benchmarks.measure import progress
from benchmarks.sections.distributed import mpiexec
from benchmarks.tables import Table
from fastdrop.distributed.cost import Link, Work, outlook

TITLE = "What a step costs in several processes, as the cost model says and as it is"

RANKS = (1, 2, 4)

# Rows of a batch on all nodes together, of which the outlook is.
BATCH = 8192


def measure(quick: bool, threads: int | None) -> list[dict]:
    """`fastdrop bench --mpi` on each number of processes; without mpi4py, nothing."""
    launcher = mpiexec()
    if find_spec("mpi4py") is None or launcher is None:
        return []
    program = [sys.executable, "-m", "fastdrop", "bench", "--mpi", "--json"]
    program += ["--seconds", "0.5" if quick else "20"]
    program += ["--threads", str(threads)] if threads else []
    rows: list[dict] = []
    for ranks in progress(RANKS[: 2 if quick else None], "MPI"):
        done = subprocess.run(
            [launcher, "-n", str(ranks), *program],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=300,
        )
        found = json.loads(done.stdout)
        about = {"ranks": ranks, "threads": found["threads"], **(found["link"] or {})}
        rows += [{**about, **row.pop("work"), **row} for row in found["rows"]]
    return rows


def _link(row: dict) -> tuple[str, str]:
    if "alpha" not in row:
        return "", ""
    return f"{1e6 * row['alpha']:.1f}", f"{1e9 * row['beta']:.2f}"


def tables(rows: list[dict]) -> list[Table]:
    if not rows:
        return []
    steps = [
        [
            *(row["network"], f"{row['ranks']} of {row['threads']}", f"{1e6 * row['row']:.0f}"),
            *(f"{row['operations'] / row['row'] / 1e9:.0f}", f"{1e3 * row['fixed']:.1f}"),
            *_link(row),
            *(f"{1e3 * row['predicted']:.1f}", f"{1e3 * row['measured']:.1f}"),
            f"{row['measured'] / row['predicted']:.2f}",
        ]
        for row in rows
    ]
    header = ["network", "processes of threads", "row, us", "GFLOP/s", "fixed, ms", "alpha, us"]
    header += ["beta, ns a byte", "predicted, ms", "measured, ms", "measured over predicted"]
    beta = next((row["beta"] for row in rows if row["ranks"] == 2), 0.0)
    nodes = [
        [
            *(row["network"], one.wire, f"{one.nodes:,}", f"{one.speedup:.0f}"),
            *(f"{one.stops:,}", f"{one.rows:,}"),
        ]
        for row in rows
        if row["ranks"] == 1
        for one in outlook(
            Work(row["fixed"], row["row"], row["nbytes"], row["operations"]), Link(0.0, beta), BATCH
        )
    ]
    figures = [f"times as fast, {BATCH:,} rows in all", "stops scaling at, nodes"]
    figures += ["rows a node that keep 0.8 of its speed"]
    return [(header, steps), (["network", "wire", "nodes", *figures], nodes)]
