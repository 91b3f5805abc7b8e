"""What Monte Carlo dropout costs, beside the predictions that it is made of."""

from __future__ import annotations

from timeit import Timer

import numpy as np

import fastdrop
from benchmarks import fresh, goals
from benchmarks.measure import compare, middle, ratio
from benchmarks.tables import Table, figure, goal
from fastdrop import nn
from fastdrop.models import cnn, mlp

SAMPLES = 50

TITLE = f"predict_mc, {SAMPLES} samples, over the predictions that they are made of"

# Name, rows and their shape, the layers, and how many of them come before the noise.
CASES = {
    "MLP 784-512-512-10": (1000, (784,), lambda: mlp(10)[1:], 2),
    "CNN": (256, (28, 28, 1), lambda: cnn(10), 3),
    "one layer of 50": (
        100,
        (8,),
        lambda: [nn.Dense(50), nn.ReLU(), nn.Dropout(0.1), nn.Dense(1)],
        2,
    ),
}


def measure(quick: bool, threads: int | None) -> list[dict]:
    return fresh.call(monte_carlo, quick=quick, threads=threads)


def monte_carlo(quick: bool, threads: int | None) -> list[dict]:
    """Rows of this process."""
    if threads is not None:
        fastdrop.set_num_threads(threads)
    rows = []
    for name, (count, shape, make, first) in CASES.items():
        samples, count = (2, 8) if quick else (SAMPLES, count)
        layers = make()
        loss = "mean_squared_error" if "50" in name else "softmax_cross_entropy"
        model = nn.Sequential(layers, loss=loss, input_shape=shape, rng=0)
        # The two parts, with the weights of the whole.
        before = nn.Sequential(layers[:first], loss="mean_squared_error")
        after = nn.Sequential(layers[first + 1 :], loss=loss)
        x = np.random.default_rng(0).standard_normal((count, *shape), np.float32)
        between = before.forward(x)
        timers = {
            "mc": Timer(lambda m=model, x=x, s=samples: m.predict_mc(x, s, rng=0)),
            "before": Timer(lambda m=before, x=x: m.predict(x)),
            "after": Timer(lambda m=after, x=between: m.predict(x)),
        }
        times = compare(timers, quick=quick, seconds=0.2)
        parts = [b + samples * a for b, a in zip(times["before"], times["after"], strict=True)]
        rows.append(
            {
                "network": name,
                "rows": count,
                "milliseconds": middle(times["mc"]) * 1e3,
                "parts_milliseconds": middle(parts) * 1e3,
                "figure": ratio(times["mc"], parts),
                **goals.monte_carlo(name),
            }
        )
    return rows


def tables(rows: list[dict]) -> list[Table]:
    header = ["network", "rows", "predict_mc, ms", "its parts, ms", "ratio", "goal"]
    body = [
        [
            row["network"],
            str(row["rows"]),
            f"{row['milliseconds']:.2f}",
            f"{row['parts_milliseconds']:.2f}",
            figure(row),
            goal(row),
        ]
        for row in rows
    ]
    return [(header, body)]
