"""The constants of the cost model on this machine, and whether its prediction holds here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from fastdrop import models, nn
from fastdrop.aligned import aligned
from fastdrop.distributed.cost import Link, Work, operations, outlook
from fastdrop.distributed.launch import mpi
from fastdrop.distributed.ranks import Ranks
from fastdrop.distributed.sums import Packed
from fastdrop.nn.arguments import check_count
from fastdrop.threads import get_num_threads

# Bytes of a message whose time is that of its way alone, and of a sum whose time is
# that of its bytes.
SHORT, LONG = 8, 2**23

# All sizes have their turns: a slow moment of the machine is one for all.
SWEEPS = 5

NETWORKS = {
    "MLP 784-1024-1024-10": (lambda: models.mlp(10, (1024, 1024)), (784,)),
    "CNN 32-64-128-10": (lambda: models.cnn(10), (28, 28, 1)),
}


@dataclass(frozen=True)
class Row:
    """A network: what it asks of a rank, and its step on all of them.

    Attributes
    ----------
    network : str
    batch : int
        Rows on all ranks together.
    work : Work
        Measured with each rank training for itself, all at once.
    predicted, measured : float
        Seconds of a step.
    """

    network: str
    batch: int
    work: Work
    predicted: float
    measured: float


@dataclass(frozen=True)
class Scaling:
    """What was measured on so many ranks.

    Attributes
    ----------
    ranks, threads : int
        Threads of each rank.
    link : Link or None
        None of one rank, which has nobody to send to.
    rows : tuple of Row
    """

    ranks: int
    threads: int
    link: Link | None
    rows: tuple[Row, ...]

    def table(self) -> str:
        """What was measured beside what the model says, as aligned text."""
        cells = [
            ["network", "rows", "us a row", "GFLOP/s", "fixed, ms", "gradients, MB"],
        ]
        cells[0] += ["predicted, ms", "measured, ms", "measured over predicted"]
        for row in self.rows:
            work = row.work
            cells.append(
                [
                    *(row.network, str(row.batch), f"{1e6 * work.row:.1f}"),
                    *(f"{work.operations / work.row / 1e9:.0f}", f"{1e3 * work.fixed:.2f}"),
                    *(f"{work.nbytes / 1e6:.1f}", f"{1e3 * row.predicted:.2f}"),
                    *(f"{1e3 * row.measured:.2f}", f"{row.measured / row.predicted:.2f}"),
                ]
            )
        return aligned(cells)

    def outlook(self, batch: int = 8192) -> str:
        """What the model says of many such ranks on usual networks, as aligned text;
        empty without a link, whose bytes were measured here."""
        if self.link is None:
            return ""
        figures = f"times as fast, {batch:,} rows", "stops scaling at", "rows a node for 0.8"
        cells = [["network", "wire", "nodes", *figures]]
        for row in self.rows:
            for one in outlook(row.work, self.link, batch):
                cells.append([row.network, one.wire, f"{one.nodes:,}", f"{one.speedup:.1f}"])
                cells[-1] += [f"{one.stops:,}", f"{one.rows:,}"]
        return aligned(cells, left=2)


def bench(comm: Any = None, *, batch: int = 128, seconds: float = 10.0) -> Scaling:
    """Measure the constants of `fastdrop.distributed.cost`, and a step beside its prediction.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm, optional
        The ranks, all of which call this; None is this process alone.
    batch : int, default 128
        Rows of a batch, on all ranks together.
    seconds : float, default 10.0
        About how long, with a few steps of each network at least.

    Returns
    -------
    Scaling
        The same on all ranks: of each time, that of the slowest one.

    Raises
    ------
    ImportError
        If `comm` is given and mpi4py is not installed.
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range.

    Examples
    --------
    >>> from fastdrop.distributed.bench import bench
    >>> found = bench(batch=8, seconds=0.1)
    >>> found.ranks, [row.network for row in found.rows]
    (1, ['MLP 784-1024-1024-10', 'CNN 32-64-128-10'])
    """
    if not 0 < seconds < float("inf"):
        raise ValueError(f"bench: seconds must be finite and above 0, got {seconds}")
    batch = check_count(batch, "batch", "bench")
    if comm is None or comm.size == 1:
        return Scaling(1, get_num_threads(), None, _rows(None, None, batch, seconds))
    with Ranks(comm, "bench") as ranks:
        link = _link(comm, ranks, seconds / 20)
        return Scaling(ranks.size, get_num_threads(), link, _rows(ranks, link, batch, seconds))


def _rows(ranks: Ranks | None, link: Link | None, batch: int, seconds: float) -> tuple[Row, ...]:
    each = seconds / len(NETWORKS) / 4
    return tuple(_row(name, ranks, link, batch, each) for name in NETWORKS)


def _link(comm: Any, ranks: Ranks, seconds: float) -> Link:
    """By a short message to all, and by the sum of a long array as a training has it."""
    head, in_place = np.zeros(SHORT, np.uint8), mpi("bench").IN_PLACE
    grads = [np.zeros(LONG // 4, np.float32)]
    packed = Packed(comm, grads, ranks._one_node)

    def message() -> None:
        comm.Allreduce(in_place, head)

    def add() -> None:
        packed.put(grads, 0.5)
        message()
        for total in packed.sums.values():
            total.add()

    def timed(call: Callable[[], Any]) -> float:
        def times(rounds: int) -> list[float]:
            found = []
            for _ in range(rounds):
                comm.Barrier()
                start = perf_counter()
                call()
                found.append(perf_counter() - start)
            return found

        return _slowest(times, ranks, seconds)

    messages = Link(1.0, 0.0).exchange(ranks.size, 0)
    each = Link(0.0, 1.0).exchange(ranks.size, LONG)
    alpha = timed(message) / messages
    beta = max(0.0, timed(add) - messages * alpha) / each
    packed.free()
    return Link(alpha, beta)


def _row(name: str, ranks: Ranks | None, link: Link | None, batch: int, seconds: float) -> Row:
    layers, sample = NETWORKS[name]
    model = nn.Sequential(layers(), optimizer="sgd", rng=0, input_shape=sample)
    size = 1 if ranks is None else ranks.size

    def step(rows: int, comm: Any = None) -> float:
        return _slowest(lambda rounds: _steps(model, rows, rounds, comm), ranks, seconds / SWEEPS)

    # About the rows that a rank gets, and on both sides of them.
    counts = [max(1, round(batch / size * part)) for part in (0.5, 1.0, 2.0)]
    sweeps = [[*map(step, counts), step(batch, ranks)] for _ in range(SWEEPS)]
    *times, measured = np.median(sweeps, axis=0).tolist()
    row, fixed = np.polyfit(counts, times, 1).tolist() if len({*counts}) > 1 else (0.0, 0.0)
    # A line through times of a busy machine may lie anywhere.
    row = min(max(row, 0.1 * times[-1] / counts[-1]), times[-1] / counts[-1])
    nbytes = sum(param.nbytes for layer in model.layers for param in layer.params.values())
    work = Work(max(0.0, fixed), row, nbytes, operations(model))
    predicted = work.step(size, batch, link or Link(0.0, 0.0))
    return Row(name, batch, work, predicted, measured)


def _steps(model: nn.Sequential, rows: int, rounds: int, comm: Any) -> list[float]:
    """Seconds of so many steps of a training."""
    clock = _Clock()
    samples = rows * (rounds + 1)
    sample: Any = model._sample or ()
    x = np.resize(np.random.default_rng(0).random((rows, *sample), np.float32), (samples, *sample))
    model.fit(
        *(x, np.arange(samples) % 10),
        batch_size=rows,
        callbacks=[clock],
        verbose=False,
        comm=comm,
    )
    return [after - before for before, after in pairwise(clock.times)]


class _Clock(nn.Callback):
    """When each batch ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_batch_end(self, model: nn.Sequential, step: int, loss: float) -> None:
        self.times.append(perf_counter())


def _slowest(times: Callable[[int], list[float]], ranks: Ranks | None, seconds: float) -> float:
    """The median of times that take about so long, of the rank where it is largest."""
    times(1)  # which may load and allocate
    rounds = round(seconds / _of_all(median(times(3)), ranks))
    return _of_all(median(times(min(max(rounds, 3), 500))), ranks)


def _of_all(value: float, ranks: Ranks | None) -> float:
    return value if ranks is None else float(ranks.gather([value]).max())
