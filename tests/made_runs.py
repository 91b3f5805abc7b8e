"""Runs made by hand, and their means and deviations by NumPy."""

import numpy as np

from fastdrop.runs import Run


def made(kind, arms, seeds=3, epochs=5, **settings):
    """A run of arms (name, x, training error, test error), in the order of seeds."""
    rng, rows = np.random.default_rng(0), []
    for seed in range(seeds):
        for arm, x, train, test in arms:
            curves = {
                name: (error * (1 + rng.random(epochs))).tolist()
                for name, error in (("train_errors", train), ("test_errors", test))
            }
            last = curves["train_errors"][-1], curves["test_errors"][-1]
            row = {"arm": arm, "x": x, "seed": seed, "train_error": last[0], "test_error": last[1]}
            rows.append(
                row | {"gap": last[1] - last[0], "losses": [1.0] * epochs, "seconds": 1.0} | curves
            )
    words = {"model": "mlp", "network": "64-8-10 units", "rate": 0.5}
    return Run(kind, words | settings, tuple(rows))


COMPARED = [("without dropout", None, 0.001, 0.03), ("with dropout", None, 0.004, 0.02)]
SIZES = [
    (f"{arm} dropout", size, 0.001, error / size)
    for size in (100, 1000, 20)
    for arm, error in (("without", 9), ("with", 8))
]


def figures(run, arm, name, x=None):
    """Mean and standard deviation over the seeds, in percent."""
    values = [
        100 * np.array(row[name])
        for row in run.rows
        if row["arm"] == arm and (x is None or row["x"] == x)
    ]
    spread = np.std(values, axis=0, ddof=1) if len(values) > 1 else np.zeros_like(values[0])
    return np.mean(values, axis=0), spread
