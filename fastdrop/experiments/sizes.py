"""With how many training samples does dropout help?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np

from fastdrop.experiments.experiment import Case, Experiment
from fastdrop.nn.arguments import check_count
from fastdrop.runs import Run
from fastdrop.setting import Asked
from fastdrop.summaries import points


def datasize(
    sizes: Sequence[int] | None = None,
    *,
    rate: float = 0.5,
    input_rate: float = 0.0,
    seeds: int = 3,
    seed: int | None = 0,
    n_jobs: int | None = None,
    progress: bool = False,
    **asked: Unpack[Asked],
) -> Run:
    """Train without and with dropout on ever more of the training samples.

    Parameters
    ----------
    sizes : sequence of int, optional
        How many training samples, each from one for each class up to all. By
        default all, half of them, and so on, six in all.
    rate : float, default 0.5
        Probability of dropping, in [0, 1]: the ``rate`` of the model.
    input_rate : float, default 0.0
        Of the dropout on the input, besides.
    seeds, seed, n_jobs, progress, **asked
        As of `compare`, whose errors these are, too.

    Returns
    -------
    Run
        Of the arms "without dropout" and "with dropout", whose ``x`` is the
        number of training samples.

    Notes
    -----
    A seed draws its samples so that each class has its share; those of a smaller
    size are among those of a larger one. They are repeated up to as many as there
    are: all sizes are trained for as many steps, and tested on the same samples.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple
    way to prevent neural networks from overfitting", JMLR 15, 2014, figure 10.

    Examples
    --------
    >>> import fastdrop
    >>> run = fastdrop.experiments.datasize((20, 800), hidden=(16,), epochs=5, seeds=1)
    >>> [(arm.arm, arm.x) for arm in run.arms[:2]]
    [('without dropout', 20), ('with dropout', 20)]
    >>> run.arms[0].test_error > run.arms[2].test_error
    True
    """
    experiment = Experiment(
        "datasize", rate=rate, seeds=seeds, seed=seed, n_jobs=n_jobs, progress=progress, **asked
    )
    if sizes is None:
        labels = experiment.base.data.y_train
        total, least = len(labels), len(np.unique(labels))
        sizes = sorted({max(least, total >> halved) for halved in range(6)})
    counts = [check_count(size, "sizes", "datasize") for size in sizes]
    if not counts or len(set(counts)) < len(counts):
        raise ValueError(f"datasize: sizes must be different ones, at least one, got {counts}")
    experiment.own = {"input_rate": float(input_rate)}
    on = {"rate": experiment.base.rate, "input_rate": input_rate}
    arms = experiment.train(
        Case(arm, size, {"samples": size, **changes})
        for size in counts
        for arm, changes in (("without dropout", {"rate": 0.0}), ("with dropout", on))
    )
    gains = {
        without.x: (without.test_error - dropped.test_error, without, dropped)
        for without, dropped in zip(arms[::2], arms[1::2], strict=True)
    }
    most = max(gains, key=lambda size: gains[size][0])
    gain, without, dropped = gains[most]
    found = [
        f"Dropout helps most with {most:,} training samples: the test error falls from "
        f"{without.said('test_error')} to "
        f"{dropped.said('test_error')}, by {points(gain)}."
        if gain > 0
        else "Dropout does not help with any of these numbers of training samples."
    ]
    others = [f"{points(gains[size][0])} with {size:,}" for size in gains if size != most]
    if others and gain > 0:
        found.append(f"Elsewhere the gain is {', '.join(others)}.")
    return experiment.run(*found)
