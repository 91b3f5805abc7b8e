"""What it costs to train in two processes in place of two threads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import fastdrop
from benchmarks import goals
from benchmarks.machine import ROOT
from benchmarks.measure import middle, ratio
from benchmarks.networks import BATCH
from benchmarks.tables import Table, figure, goal

TITLE = f"Two processes of one thread (MPI): SGD and dropout, global batches of {BATCH}"

ROUNDS, STEPS = 5, {"CNN": 50, "MLP": 50}


def measure(quick: bool, threads: int | None) -> list[dict]:
    """Rounds of one process and of two; without mpi4py or two processors, nothing."""
    launcher = mpiexec()
    if find_spec("mpi4py") is None or launcher is None or fastdrop.get_num_threads() < 2:
        return []
    rows: list[dict] = []
    for network, steps in STEPS.items():
        found: dict[int, list[dict]] = {1: [], 2: []}
        for _ in range(1 if quick else ROUNDS):
            for ranks, results in found.items():
                case = {"network": network, "steps": 3 if quick else steps, "threads": 3 - ranks}
                results.append(_run(launcher, ranks, case))
        rows += _rows(network, found[1], found[2])
    return rows


def _rows(network: str, one: list[dict], two: list[dict]) -> list[dict]:
    steps = [[run["step"] for run in runs] for runs in (one, two)]
    waiting, summing, alone = (
        [run[name] for run in two] for name in ("waiting", "summing", "allreduce")
    )
    times = {
        "a step, one process of two threads": steps[0],
        "a step, two processes of one thread": steps[1],
        "of it waiting for the other": waiting,
        "of it the sum": summing,
        "MPI's Allreduce of such a buffer": alone,
    }
    rows = [
        {"what": f"{network}: {what}, ms", "figure": middle(found) * 1e3}
        for what, found in times.items()
    ]
    shares = {
        "two processes, times as fast as one": (ratio(*steps), goals.two_processes(network)),
        "waiting over the step": (ratio(waiting, steps[1]), {}),
        "the sum over the step": (ratio(summing, steps[1]), goals.sums(network)),
    }
    return rows + [
        {"what": f"{network}: {what}", "figure": share, **aim}
        for what, (share, aim) in shares.items()
    ]


def mpiexec() -> str | None:
    """The launcher of the environment, or of the system."""
    beside = Path(sys.executable).with_name("mpiexec")
    return str(beside) if beside.exists() else shutil.which("mpiexec")


def _run(launcher: str, ranks: int, case: dict) -> dict:
    start = [launcher, "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run(
        [*start, sys.executable, "-m", "benchmarks.ranked", json.dumps(case)],
        cwd=ROOT,
        env={**os.environ, "FASTDROP_NUM_THREADS": str(case["threads"])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    return json.loads(done.stdout.splitlines()[-1])


def tables(rows: list[dict]) -> list[Table]:
    if not rows:
        return []
    return [(["what", "figure", "goal"], [[row["what"], figure(row), goal(row)] for row in rows])]
