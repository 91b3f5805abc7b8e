"""Gal & Ghahramani 2016, table 1: regression with Monte Carlo dropout on UCI sets.

Their network and their search: dropout before each of two dense layers, 50 ReLU
units between them, the penalty that stands for the prior, dropout rate and
precision of the noise (tau) chosen for each split by the log likelihood of the
last fifth of its training part; then a fit of the whole training part, whose
test part is looked at once, with 10,000 samples. Unlike theirs, the learning rate
starts ten times as high and falls to 0 along a cosine, for fewer steps, and one
fit for each rate serves all taus of the search: the penalty, where a tau enters,
is less than a hundredth of the loss.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np

import fastdrop
from benchmarks import tables
from benchmarks.measure import progress
from fastdrop import nn
from fastdrop.uci import Regression, load_uci, log_likelihood

SETS = ("concrete", "energy", "yacht")
SPLITS, STEPS = 20, 12_000
HIDDEN, BATCH, LEARNING_RATE, LENGTH_SCALE = 50, 128, 1e-2, 1e-2
SAMPLES = 10_000


class Fit:
    """A network fitted to rows of a set, which it standardises."""

    def __init__(
        self, x: np.ndarray, y: np.ndarray, rate: float, tau: float, epochs: int | None, seed: int
    ) -> None:
        self._seed = seed
        self._x_moments = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
        self._y_moments = y.mean(), y.std()
        # The weights' prior, of precision 1 / LENGTH_SCALE**2 up to that of the noise:
        # equation 7 of their appendix.
        l2 = LENGTH_SCALE**2 * (1 - rate) / (2 * len(x) * tau)
        batches = -(-len(x) // BATCH)
        epochs = epochs or -(-STEPS // batches)
        dense = partial(nn.Dense, l2=l2, init="glorot_uniform")
        self._model = nn.Sequential(
            [nn.Dropout(rate), dense(HIDDEN), nn.ReLU(), nn.Dropout(rate), dense(1)],
            loss="mean_squared_error",
            optimizer=nn.Adam(nn.CosineDecay(LEARNING_RATE, epochs * batches)),
            rng=seed,
        )
        mean, deviation = self._y_moments
        targets = (y - mean) / deviation
        self._model.fit(self._standard(x), targets, epochs=epochs, batch_size=BATCH, verbose=False)

    def samples(self, x: np.ndarray, count: int) -> np.ndarray:
        """Predictions (samples, rows) in the units of `y`."""
        mean, deviation = self._y_moments
        found = self._model.predict_mc(
            self._standard(x), count, rng=self._seed, return_samples=True
        ).samples
        return found[:, :, 0] * deviation + mean

    def _standard(self, x: np.ndarray) -> np.ndarray:
        mean, deviation = self._x_moments
        return ((x - mean) / deviation).astype(np.float32)


def run_split(
    name: str, split: int, epochs: int | None, samples: int, data_dir: str | None
) -> dict:
    """Search, fit and test one split; a row of figures."""
    fastdrop.set_num_threads(1)
    data = load_uci(name, data_dir)
    train, test = data.splits[split]
    rate, tau = search(data, train, epochs, samples // 10, split)
    found = Fit(data.x[train], data.y[train], rate, tau, epochs, split)
    drawn = found.samples(data.x[test], samples)
    error = drawn.mean(axis=0) - data.y[test]
    return {
        "set": name,
        "split": split,
        "rate": rate,
        "tau": tau,
        "rmse": float(np.sqrt(np.mean(error**2))),
        "log_likelihood": log_likelihood(drawn, data.y[test], tau),
        "published": {what: float(values[split]) for what, values in data.published.items()},
    }


def search(
    data: Regression, train: np.ndarray, epochs: int | None, samples: int, seed: int
) -> tuple[float, float]:
    """Rate and tau of the largest log likelihood of the last fifth of the training part."""
    begin = len(train) * 4 // 5
    fitted, held_out = train[:begin], train[begin:]
    likelihoods = {}
    for rate in data.rates:
        fit = Fit(data.x[fitted], data.y[fitted], rate, float(np.median(data.taus)), epochs, seed)
        drawn = fit.samples(data.x[held_out], samples)
        for tau in data.taus:
            likelihoods[rate, tau] = log_likelihood(drawn, data.y[held_out], tau)
    return max(likelihoods, key=lambda pair: likelihoods[pair])


def uci_rows(options: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Every split of each set, a process for each processor."""
    sets = [options.arm] if options.arm else SETS
    # Spawned: a fork would have one thread where the parent has had several.
    with ProcessPoolExecutor(fastdrop.get_num_threads(), get_context("spawn")) as pool:
        rows = [
            pool.submit(run_split, name, split, options.epochs, SAMPLES, options.data_dir)
            for name in sets
            for split in range(SPLITS)
        ]
        for row in progress(rows, "splits"):
            keep(row.result())


def uci_table(rows: list[dict]) -> str:
    """Means over the splits and their standard errors, beside the published ones."""
    header = ["set", "splits", "RMSE", "published", "log likelihood", "published"]
    body = []
    for name in dict.fromkeys(row["set"] for row in rows):
        same = [row for row in rows if row["set"] == name]
        line = [name, str(len(same))]
        for what in ("rmse", "log_likelihood"):
            line.append(_mean(row[what] for row in same))
            line.append(_mean(row["published"].get(what, np.nan) for row in same))
        body.append(line)
    return tables.markdown((header, sorted(body)))


def _mean(values: Iterable[float]) -> str:
    found = np.fromiter(values, float)
    return f"{found.mean():.3f} ± {found.std() / np.sqrt(len(found)):.3f}"
