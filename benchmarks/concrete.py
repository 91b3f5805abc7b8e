"""Gal, Hron & Kendall 2017, "Concrete dropout", section 4.1: the rate falls as data grow.

Their data, network and regularisers: ``y = 2 x + 8 + N(0, 1)``, three layers of
1,024 ReLU units, concrete dropout in front of each layer. Unlike theirs, the
noise of the data is known to the network, not learned: the loss is the squared
error.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np

from benchmarks import tables
from benchmarks.measure import progress
from fastdrop import nn

# Training samples, and the epochs of their code.
SIZES = {10: 2000, 25: 1000, 50: 500, 100: 200, 1000: 20, 10_000: 2}
UNITS, BATCH, SAMPLES, TEST = 1024, 20, 20, 1000
LENGTH_SCALE = 1e-4
# By number of samples; what their figure 1 shows.
THEIR_RATES, THEIR_ERRORS = {10: 0.40, 10_000: 0.16}, {10: 1.9, 10_000: 1.0}


def data(samples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.standard_normal((samples, 1))
    return x, 2 * x + 8 + rng.standard_normal((samples, 1))


def network(samples: int, seed: int, units: int = UNITS) -> nn.Sequential:
    """Regularisers for so many samples, as in their code."""
    weights, entropy = LENGTH_SCALE**2 / samples, 2 / samples

    def behind_noise(width: int) -> nn.Layer:
        dense = nn.Dense(width, init="glorot_uniform")
        return nn.ConcreteDropout(
            dense, rate=0.1, weight_regularizer=weights, dropout_regularizer=entropy
        )

    layers: list[nn.Layer] = []
    for _ in range(3):
        layers += [behind_noise(units), nn.ReLU()]
    return nn.Sequential([*layers, behind_noise(1)], loss="mean_squared_error", rng=seed)


def train(samples: int, epochs: int, seed: int) -> dict:
    """Train one network; its rates, layer by layer, and its test error."""
    rng = np.random.default_rng(seed)
    x, y = data(samples, rng)
    x_test, y_test = data(TEST, rng)
    model, started = network(samples, seed), perf_counter()
    model.fit(x, y, epochs=epochs, batch_size=BATCH, verbose=False)
    rates = [layer.current_rate for layer in model.layers if isinstance(layer, nn.ConcreteDropout)]
    mean = model.predict_mc(x_test, samples=SAMPLES, rng=seed).mean
    return {
        "samples": samples,
        "seed": seed,
        "rates": rates,
        "rmse": float(np.sqrt(np.mean((mean - y_test) ** 2))),
        "seconds": perf_counter() - started,
    }


def concrete_rows(options: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Every number of samples, with each seed."""
    runs = [(size, seed) for size in SIZES for seed in range(options.seeds or 3)]
    for size, seed in progress(runs, "concrete dropout"):
        keep(train(size, options.epochs or SIZES[size], seed))


def concrete_table(rows: list[dict]) -> str:
    """Means over the seeds."""
    header = ["samples", "rates of the layers", "mean rate", "theirs", "RMSE", "theirs"]
    body = []
    for size, same in _by_size(rows):
        rates = np.mean([row["rates"] for row in same], axis=0)
        body.append(
            [
                f"{size:,}",
                ", ".join(f"{rate:.2f}" for rate in rates),
                f"{rates.mean():.2f}",
                f"{THEIR_RATES[size]:.2f}" if size in THEIR_RATES else "",
                f"{np.mean([row['rmse'] for row in same]):.2f}",
                f"{THEIR_ERRORS[size]:.1f}" if size in THEIR_ERRORS else "",
            ]
        )
    return tables.markdown((header, body))


def _by_size(rows: list[dict]) -> Iterator[tuple[int, list[dict]]]:
    for size in dict.fromkeys(row["samples"] for row in rows):
        yield size, [row for row in rows if row["samples"] == size]
