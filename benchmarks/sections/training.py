"""Whole training steps beside other libraries', and what dropout adds to them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import fastdrop
from benchmarks import goals, networks, training
from benchmarks.lasting import Process
from benchmarks.measure import compare, middle, progress, ratio
from benchmarks.tables import Table, pivot

TITLE = f"Training steps: batches of {networks.BATCH}, float32"

CASES = (("MLP", "SGD"), ("CNN", "SGD"), ("CNN", "Adam"))

SPEED, FASTER, TAX = "samples a second", "fastdrop, times as fast", "dropout over no dropout"


def measure(quick: bool, threads: int | None) -> list[dict]:
    """A process for each library, for the threads of some go on spinning; all take turns."""
    available = fastdrop.get_num_threads()
    rows = []
    for network, optimizer in progress(CASES, "training"):
        case = {"network": network, "optimizer": optimizer}
        arguments = {**case, "threads": min(threads or available, available), "quick": quick}
        with ExitStack() as stack:
            timers = {
                library: stack.enter_context(
                    Process(training.trainings, library=library, **arguments)
                ).timers
                for library in networks.installed()
            }
            rows += _speeds(timers, case, quick) + _taxes(timers, case, quick)
    return rows


def _speeds(timers: dict[str, dict], case: dict[str, str], quick: bool) -> list[dict]:
    """Samples a second of each library, and fastdrop's by each peer's."""
    contenders = {
        (library, variant): timer
        for library, variants in timers.items()
        for variant, timer in variants.items()
    }
    times = compare(contenders, quick=quick, seconds=1.0, rest=0.3)
    batch = training.TINY if quick else networks.BATCH
    rows: list[dict[str, Any]] = []
    for (library, variant), found in times.items():
        row = {**case, "variant": variant, "library": networks.label(library)}
        rows.append({"what": SPEED, **row, "figure": batch / middle(found)})
        if library != "fastdrop":
            figure = ratio(found, times["fastdrop", variant])
            asked = goals.training_steps(**case, variant=variant, peer=library)
            rows.append({"what": FASTER, **row, "figure": figure, **asked})
    return rows


def _taxes(timers: dict[str, dict], case: dict[str, str], quick: bool) -> list[dict]:
    """Many short turns within each process, for the question is one of a few in a hundred."""
    rows = []
    for library, variants in timers.items():
        times = compare(variants, quick=quick, rounds=41, seconds=0.1, rest=0.0)
        row = {**case, "variant": "", "library": networks.label(library)}
        row["figure"] = ratio(times["dropout"], times["no dropout"])
        rows.append({"what": TAX, **row, **goals.dropout_tax(**case, library=library)})
    return rows


def tables(rows: list[dict]) -> list[Table]:
    columns = ("what", "network", "optimizer", "variant")
    kinds = [[row for row in rows if row["what"] == what] for what in (SPEED, FASTER, TAX)]
    return [pivot(kind, columns, "library") for kind in kinds if kind]
