"""scikit-learn's MLPClassifier and the one that takes its place: accuracy and time of a fit."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from timeit import Timer
from typing import Any

import numpy as np

import fastdrop
from benchmarks import goals
from benchmarks.lasting import Process
from benchmarks.measure import middle, progress, ratio
from benchmarks.tables import Table, figure, goal

TITLE = "MLPClassifier, dropout included, beside scikit-learn's: float32, all epochs"

# Data, hidden layers, epochs and batch size of both; dropout is ours alone. The first
# has the layers and the batches that are scikit-learn's defaults.
CASES: dict[str, tuple[str, dict[str, Any], float]] = {
    "digits, 100": (
        "digits",
        {"hidden_layer_sizes": (100,), "max_iter": 200, "batch_size": 200},
        0.3,
    ),
    "digits, 512-512": (
        "digits",
        {"hidden_layer_sizes": (512, 512), "max_iter": 60, "batch_size": 64},
        0.3,
    ),
    "MNIST, 512-512": (
        "mnist",
        {"hidden_layer_sizes": (512, 512), "max_iter": 10, "batch_size": 128},
        0.2,
    ),
}
LIBRARIES = ("fastdrop", "scikit-learn")
ROUNDS = {"digits": 5, "mnist": 3}


def fits(library: str, case: str, threads: int, quick: bool) -> dict[str, Any]:
    """A timer for each seed's fit, and the test accuracy of the last one."""
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    fastdrop.set_num_threads(threads)
    threadpool_limits(threads, user_api="blas")
    warnings.simplefilter("ignore")  # that more epochs would be better
    name, given, rate = CASES[case]
    x, y, x_test, y_test = fastdrop.data.load(name)
    x, x_test = x.reshape(len(x), -1), x_test.reshape(len(x_test), -1)
    if quick:
        x, y, given = x[:64], y[:64], {**given, "max_iter": 1, "batch_size": 32}
    # Nothing but the epochs ends it.
    given = {**given, "tol": 0.0, "n_iter_no_change": np.inf}
    make = MLPClassifier if library == "scikit-learn" else fastdrop.MLPClassifier
    if library == "fastdrop":
        given["dropout"] = rate
    last: list[Any] = []

    def fit(seed: int) -> None:
        last[:] = [make(**given, random_state=seed).fit(x, y)]

    found = {f"fit {seed}": Timer(partial(fit, seed)) for seed in range(ROUNDS[name])}
    return {**found, "accuracy": _Score(lambda: last[0].score(x_test, y_test))}


class _Score:
    """Stands with the timers: what it gives is no time."""

    def __init__(self, score: Callable[[], float]) -> None:
        self._score = score

    def timeit(self, number: int) -> float:
        return self._score()


def measure(quick: bool, threads: int | None) -> list[dict]:
    """A process for each library; they take turns, one seed after the other."""
    available = fastdrop.get_num_threads()
    arguments = {"threads": min(threads or available, available), "quick": quick}
    cases = {
        name: case
        for name, case in CASES.items()
        if case[0] == "digits" or "FASTDROP_DATA" in os.environ
    }
    rows = []
    for name in progress(cases, "estimators"):
        seconds: dict[str, list[float]] = {library: [] for library in LIBRARIES}
        accuracies: dict[str, list[float]] = {library: [] for library in LIBRARIES}
        with ExitStack() as stack:
            timers = {
                library: stack.enter_context(
                    Process(fits, library=library, case=name, **arguments)
                ).timers
                for library in LIBRARIES
            }
            for seed in range(1 if quick else ROUNDS[cases[name][0]]):
                for library in LIBRARIES:
                    seconds[library].append(timers[library][f"fit {seed}"].timeit(1))
                    accuracies[library].append(timers[library]["accuracy"].timeit(1))
        rows += _rows(name, cases[name], seconds, accuracies)
    return rows


def _rows(
    name: str, case: tuple, seconds: dict[str, list[float]], accuracies: dict[str, list[float]]
) -> list[dict]:
    """How much quicker ours is, and by how many percent points more often right."""
    ours, theirs = LIBRARIES
    about = {
        "case": name,
        "epochs": case[1]["max_iter"],
        "batch": case[1]["batch_size"],
        "dropout": case[2],
        "seeds": len(seconds[ours]),
    }
    means = {library: 100 * float(np.mean(found)) for library, found in accuracies.items()}
    return [
        {
            **about,
            "what": "seconds",
            **{library: middle(found) for library, found in seconds.items()},
            "figure": ratio(seconds[theirs], seconds[ours]),
            **goals.estimator_speed(name),
        },
        {
            **about,
            "what": "test accuracy, %",
            **means,
            "figure": means[ours] - means[theirs],
            **goals.estimator_accuracy(name),
        },
    ]


def tables(rows: list[dict]) -> list[Table]:
    header = ["layers", "epochs", "batch", "dropout", "seeds", "what", *LIBRARIES]
    header += ["times as fast, or points more", "goal"]
    body = [
        [
            row["case"],
            *(str(row[name]) for name in ("epochs", "batch", "dropout", "seeds")),
            row["what"],
            *(f"{row[library]:.2f}" for library in LIBRARIES),
            figure(row),
            goal(row),
        ]
        for row in rows
    ]
    return [(header, body)]
