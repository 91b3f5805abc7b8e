"""What a second thread gains, and whether a sample among many costs what it costs among few."""

from __future__ import annotations

from functools import partial
from timeit import Timer

import fastdrop
from benchmarks import fresh, goals, networks, training
from benchmarks.lasting import Process
from benchmarks.measure import compare, middle, ratio
from benchmarks.networks import BATCH, Case
from benchmarks.tables import Table, figure, goal

TITLE = f"Scaling: the CNN with SGD and dropout, batches of {BATCH}"

SIZES = (1_000, 10_000, 60_000)

_CASE = {"network": "CNN", "optimizer": "SGD"}


def measure(quick: bool, threads: int | None) -> list[dict]:
    available = fastdrop.get_num_threads()
    most = min(threads or available, available)
    sizes = (20, 40) if quick else SIZES
    rows = fresh.call(fits, sizes=sizes, threads=most, quick=quick)
    return rows if most == 1 else _threads(quick) + rows


def _threads(quick: bool) -> list[dict]:
    """Steps on one thread and on two, in turn."""
    # The environment, for the BLAS that NumPy brings.
    one, two = (
        Process(
            training.trainings,
            {"OMP_NUM_THREADS": str(count)},
            library="fastdrop",
            threads=count,
            quick=quick,
            **_CASE,
        )
        for count in (1, 2)
    )
    with one, two:
        timers = {"one": one.timers["dropout"], "two": two.timers["dropout"]}
        times = compare(timers, quick=quick, seconds=1.0, rest=0.1)
    milliseconds = [
        {"what": f"a step, threads: {name}, ms", "figure": middle(found) * 1e3}
        for name, found in times.items()
    ]
    gain = {"what": "two threads over one, times as fast", "figure": ratio(*times.values())}
    return [*milliseconds, gain | goals.second_thread()]


def fits(sizes: list[int], threads: int, quick: bool) -> list[dict]:
    """Rows of this process: an epoch of `Sequential.fit` on so many samples."""
    nn, case = networks.load_fastdrop(threads), Case(**_CASE)
    x, y = (array[0] for array in case.numbers(1, max(sizes)))
    fit = partial(networks.fastdrop_model(nn, case).fit, batch_size=BATCH, verbose=False)
    timers = {size: Timer(partial(fit, x[:size], y[:size])) for size in sizes}
    times = compare(timers, quick=quick, rounds=3, seconds=1.0)
    each = {size: middle(found) / size * 1e6 for size, found in times.items()}
    rows = [
        {"what": f"an epoch of fit on {size:,} samples, us a sample", "figure": microseconds}
        for size, microseconds in each.items()
    ]
    spread = max(each.values()) / min(each.values())
    return [*rows, {"what": "the slowest over the quickest", "figure": spread, **goals.flat_fit()}]


def tables(rows: list[dict]) -> list[Table]:
    return [(["what", "figure", "goal"], [[row["what"], figure(row), goal(row)] for row in rows])]
