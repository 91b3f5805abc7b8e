"""Predictions with the noise left on, beside as many of the same layers without it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from timeit import Timer
from typing import NamedTuple

import numpy as np

import fastdrop
from benchmarks import fresh
from benchmarks.measure import compare, middle, progress
from benchmarks.tables import Table, figure, goal
from fastdrop import models, nn

TITLE = "Monte Carlo dropout: 50 samples"

SAMPLES = 50


class Case(NamedTuple):
    """A network, the rows that it takes, and where in it the first noise is."""

    layers: Callable[[], list[nn.Layer]]
    shape: tuple[int, ...]
    first: int
    loss: str = "softmax_cross_entropy"


def _regression() -> list[nn.Layer]:
    return [nn.Dense(50), nn.ReLU(), nn.Dropout(0.05), nn.Dense(1)]


CASES = {
    "MLP 784-512-512-10": Case(partial(models.mlp, 10), (1000, 784), 3),
    "CNN of models.cnn": Case(partial(models.cnn, 10), (256, 28, 28, 1), 3),
    "regression 8-50-1": Case(_regression, (100, 8), 2, "mean_squared_error"),
}


def measure(quick: bool, threads: int | None) -> list[dict]:
    """A fresh process for each network."""
    return [
        fresh.call(cost, name=name, quick=quick, threads=threads)
        for name in progress(CASES, "Monte Carlo")
    ]


def cost(name: str, quick: bool, threads: int | None) -> dict:
    """The row of a network: `predict_mc` over the passes that it takes, each by `predict`."""
    if threads is not None:
        fastdrop.set_num_threads(threads)
    case = CASES[name]
    shape = (8, *case.shape[1:]) if quick else case.shape
    samples = 2 if quick else SAMPLES
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    model = nn.Sequential(case.layers(), loss=case.loss, rng=0, input_shape=shape[1:])
    before, after = model.layers[: case.first], model.layers[case.first :]
    assert after[0].noisy
    assert not any(layer.noisy for layer in before)
    # Outputs of a regression are what the layers give, and nothing is made of them.
    start = nn.Sequential(before, loss="mean_squared_error")
    rest = nn.Sequential(after, loss=case.loss)
    h = start.predict(x)
    timers = {
        "whole": Timer(partial(model.predict_mc, x, samples, 0)),
        "before": Timer(partial(start.predict, x)),
        "after": Timer(partial(rest.predict, h)),
    }
    times = compare(timers, quick=quick, rounds=9, seconds=0.3)
    passes = [
        before + samples * after
        for before, after in zip(times["before"], times["after"], strict=True)
    ]
    return {
        "network": name,
        "rows": shape[0],
        "seconds": middle(times["whole"]),
        "passes_seconds": middle(passes),
        "figure": middle(a / b for a, b in zip(times["whole"], passes, strict=True)),
        "goal": "predict_mc with 50 samples over one predict of what precedes the noise, "
        "50 of the rest",
        "most": 1.0,
    }


def tables(rows: list[dict]) -> list[Table]:
    header = ["network", "rows", "predict_mc, ms", "predicts, ms", "ratio", "goal"]
    body = [
        [
            row["network"],
            str(row["rows"]),
            f"{row['seconds'] * 1e3:.3g}",
            f"{row['passes_seconds'] * 1e3:.3g}",
            figure(row),
            goal(row),
        ]
        for row in rows
    ]
    return [(header, body)]
