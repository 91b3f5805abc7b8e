"""PyTorch's dropout and fastdrop's in turn, in a process that imports them in a given order.

It must decide itself what is imported first, so it imports neither at the top,
nor any module that does.
"""

from __future__ import annotations

import sys
from importlib import import_module
from timeit import Timer
from typing import Any

import numpy as np

from benchmarks.measure import compare, middle, ratio
from benchmarks.networks import BATCH, Case, train_torch

SIZES = (2**12, 2**20)
RATE = 0.5

# A step differs by as much from one turn to the next as it gains.
ROUNDS = 21


def run(order: list[str], quick: bool, threads: int | None) -> list[dict]:
    """Rows of this process, which imports the packages in `order`."""
    if early := {"fastdrop", "torch"} & sys.modules.keys():
        raise RuntimeError(f"the order of imports is not {order}: {early} came first")
    for package in order:
        if import_module(package).__name__ == "fastdrop":
            _start_fastdrop(threads)
    import torch

    import fastdrop

    torch.set_num_threads(threads or fastdrop.get_num_threads())
    # As in a program that trains: once an allocator has seen so much freed, it
    # keeps memory of a few MiB, and new tensors need not be had from the system.
    torch.ones(6 << 20)
    rows = [row for n in SIZES for row in _layer(torch, n, quick)]
    rows += [_step(torch, network, quick) for network in ("MLP", "CNN")]
    return [{"order": ", ".join(order)} | row for row in rows]


def _start_fastdrop(threads: int | None) -> None:
    """Start its threads: a library's runtime loads with its first call."""
    import fastdrop

    if threads is not None:
        fastdrop.set_num_threads(threads)
    fastdrop.dropout(np.ones(2**20, np.float32), RATE, rng=0)


def _layer(torch: Any, n: int, quick: bool) -> list[dict]:
    """The layer forward without gradients, and forward and backward."""
    import fastdrop.torch

    x, dy = torch.randn(n), torch.ones(n)
    leaf = x.clone().requires_grad_()
    layers = {"nn": torch.nn.Dropout(RATE), "fastdrop": fastdrop.torch.Dropout(RATE)}
    timers = {name: Timer(lambda f=f: f(x)) for name, f in layers.items()}
    times = compare(timers, quick=quick, rounds=ROUNDS)
    rows = [_row(times, "forward", n)]
    both = {"nothing": _nothing(torch)} | layers
    timers = {name: Timer(lambda f=f: _there_and_back(f, leaf, dy)) for name, f in both.items()}
    times = compare(timers, quick=quick, rounds=ROUNDS)
    nothing = {"nothing": ratio(times["nn"], times["nothing"])}
    saved = {name: _saved(torch, f, leaf) / n for name, f in layers.items()}
    rows.append(_row(times, "forward and backward", n) | nothing)
    rows.append({"what": "saved", "size": n, "theirs": saved["nn"], "figure": saved["fastdrop"]})
    return rows


def _row(times: dict, what: str, size: Any) -> dict:
    seconds = {f"{name}_seconds": middle(each) for name, each in times.items()}
    return {
        "what": what,
        "size": size,
        "figure": ratio(times["nn"], times["fastdrop"]),
        **seconds,
    }


def _there_and_back(layer: Any, x: Any, dy: Any) -> None:
    layer(x).backward(dy)
    x.grad = None


def _nothing(torch: Any) -> Any:
    """What autograd itself costs: a function of Python's side that does nothing."""

    class Nothing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, dy):
            return dy

    return Nothing.apply


def _saved(torch: Any, layer: Any, x: Any) -> int:
    """Bytes that autograd saves for backward."""
    sizes = []

    def pack(tensor):
        sizes.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(x)
    return sum(sizes)


def _step(torch: Any, network: str, quick: bool) -> dict:
    """A training step with PyTorch's dropout, with fastdrop's, and with none."""
    from fastdrop.torch import replace_dropout

    timers = {
        "nn": Timer(_training(torch, Case(network, "SGD"), quick)),
        "fastdrop": Timer(_training(torch, Case(network, "SGD"), quick, replace_dropout)),
        "none": Timer(_training(torch, Case(network, "SGD", False), quick)),
    }
    times = compare(timers, quick=quick, rounds=ROUNDS, seconds=0.3)
    tax = {"tax": ratio(times["fastdrop"], times["none"])}
    return _row(times, f"{network}, a step", BATCH) | tax


def _training(torch: Any, case: Case, quick: bool, change: Any = None) -> Any:
    """A function that trains on one batch after the other."""
    torch.manual_seed(0)
    return train_torch(torch, case, *case.numbers(4, 4 if quick else BATCH), change).step
