"""Training steps of recurrent layers beside PyTorch's, and what their dropout adds to them."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.util import find_spec
from timeit import Timer

import numpy as np

import fastdrop
from benchmarks.lasting import Process
from benchmarks.measure import compare, middle, progress, ratio
from benchmarks.tables import Table, pivot

BATCH, STEPS, FEATURES, UNITS = 64, 50, 128, 256

TITLE = (
    f"Recurrent layers, forward and backward: batches of {BATCH}, {STEPS} steps, "
    f"{FEATURES} features, {UNITS} units, float32"
)

KINDS = {"SimpleRNN": "RNN", "LSTM": "LSTM", "GRU": "GRU"}  # with PyTorch's names
DROPOUT = 0.3

TIME, FASTER, TAX = "milliseconds", "fastdrop, times as fast", "recurrent dropout over none"


def fastdrop_steps(kind: str, threads: int, quick: bool) -> dict[str, Timer]:
    """A step of our layer, with and without its recurrent dropout."""
    from fastdrop.nn import cells

    fastdrop.set_num_threads(threads)
    x, dy = _numbers(quick)

    def timer(rate: float) -> Timer:
        layer = getattr(cells, kind)(
            dy.shape[-1], return_sequences=True, recurrent_dropout=rate, rng=0
        )
        layer.reuses = True

        def step() -> None:
            layer.forward(x, training=True)
            layer.backward(dy)

        return Timer(step)

    return {"none": timer(0.0), "recurrent dropout": timer(DROPOUT)}


def torch_steps(kind: str, threads: int, quick: bool) -> dict[str, Timer]:
    import torch

    torch.set_num_threads(threads)
    x, dy = map(torch.from_numpy, _numbers(quick))
    x.requires_grad_()
    layer = getattr(torch.nn, KINDS[kind])(x.shape[-1], dy.shape[-1], batch_first=True)

    def step() -> None:
        layer.zero_grad()
        x.grad = None
        layer(x)[0].backward(dy)

    return {"none": Timer(step)}


def measure(quick: bool, threads: int | None) -> list[dict]:
    """A process for each library, in turn."""
    available = fastdrop.get_num_threads()
    arguments = {"threads": min(threads or available, available), "quick": quick}
    libraries = {"fastdrop": fastdrop_steps}
    if find_spec("torch") is not None:
        libraries["PyTorch"] = torch_steps
    rows: list[dict] = []
    for kind in progress(KINDS, "recurrent"):
        with ExitStack() as stack:
            timers = {
                (library, variant): timer
                for library, steps in libraries.items()
                for variant, timer in stack.enter_context(
                    Process(steps, kind=kind, **arguments)
                ).timers.items()
            }
            times = compare(timers, quick=quick, rounds=15, seconds=0.3, rest=0.1)
        ours = times["fastdrop", "none"]
        for (library, variant), found in times.items():
            row = {"layer": kind, "dropout": variant, "library": library}
            rows.append({"what": TIME, **row, "figure": 1e3 * middle(found)})
            if library != "fastdrop":
                goal = {"goal": f"{kind}: steps, times as fast as PyTorch", "least": 1}
                rows.append({"what": FASTER, **row, "figure": ratio(found, ours), **goal})
        figure = ratio(times["fastdrop", "recurrent dropout"], ours)
        row = {"layer": kind, "dropout": "", "library": "fastdrop", "figure": figure}
        goal = {"goal": f"{kind}: step with recurrent dropout over the step without", "most": 1.1}
        rows.append({"what": TAX, **row, **goal})
    return rows


def tables(rows: list[dict]) -> list[Table]:
    kinds = [[row for row in rows if row["what"] == what] for what in (TIME, FASTER, TAX)]
    return [pivot(kind, ("what", "layer", "dropout"), "library") for kind in kinds if kind]


def _numbers(quick: bool) -> tuple[np.ndarray, np.ndarray]:
    """An input, and a gradient by the output."""
    batch, steps, features, units = (2, 3, 4, 5) if quick else (BATCH, STEPS, FEATURES, UNITS)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, steps, features), np.float32)
    return x, rng.standard_normal((batch, steps, units), np.float32)
