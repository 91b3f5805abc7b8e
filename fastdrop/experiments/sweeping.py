"""At what rate, and where?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from fastdrop.experiments.experiment import Case, Experiment
from fastdrop.runs import Run
from fastdrop.setting import Asked, one_rate
from fastdrop.summaries import ONE_SEED, Summary, best_of, percent, points


def sweep(
    rates: Sequence[float] = (0.0, 0.2, 0.5, 0.8),
    where: str = "hidden",
    *,
    fixed_active: bool = False,
    seeds: int = 3,
    seed: int | None = 0,
    n_jobs: int | None = None,
    progress: bool = False,
    **asked: Unpack[Asked],
) -> Run:
    """Train the same network with dropout of each rate.

    Parameters
    ----------
    rates : sequence of float, default (0, 0.2, 0.5, 0.8)
        In [0, 1], all different.
    where : {"hidden", "input", "conv"}
        Where dropout is, and nowhere else: behind the hidden layers, on the
        input (in models of text, of words), behind the pools of the cnn.
    fixed_active : bool, default False
        Give the layers ``1 / (1 - rate)`` times as many units, or filters, so
        that as many are active as without dropout [1]_, figure 9b; by default
        the width is what is held fixed, figure 9a. Rates are below 1 then.
    seeds, seed, n_jobs, progress, **asked
        As of `compare`, whose errors these are, too.

    Returns
    -------
    Run
        With an arm for each rate, which is its ``x``: "hidden 0.5". Rows have
        ``where``, too.

    References
    ----------
    .. [1] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a
       simple way to prevent neural networks from overfitting", JMLR 15, 2014.

    Examples
    --------
    >>> import fastdrop
    >>> run = fastdrop.experiments.sweep((0, 0.9), hidden=(16,), epochs=5, seeds=2)
    >>> low, high = run.arms
    >>> low.arm, low.train_error < high.train_error
    ('hidden 0', True)
    """
    if "rate" in asked:
        raise TypeError("sweep: rates are given, not a rate")
    rates = [one_rate(rate, "sweep") for rate in rates]
    if not rates:
        raise ValueError("sweep: rates must hold at least one, got none")
    cases = [
        Case(
            f"{where} {rate:g}",
            rate,
            {"rate": rate, "place": where, "fixed_active": fixed_active},
            {"where": where, "fixed_active": fixed_active},
        )
        for rate in rates
    ]
    if len({case.x for case in cases}) < len(cases):
        raise ValueError(f"sweep: rates must be different ones, got {rates}")
    experiment = Experiment(
        "sweep", seeds=seeds, seed=seed, n_jobs=n_jobs, progress=progress, **asked
    )
    return experiment.run(*_findings(experiment.train(cases)))


def _findings(arms: list[Summary]) -> list[str]:
    best, near = best_of(arms)
    found = [f"Lowest test error at {best.arm}: {best.said('test_error')}."]
    if best.seeds == 1:
        return [*found, ONE_SEED]
    if near:
        names = ", ".join(arm.arm for arm in near)
        found.append(f"Within one standard deviation of it: {names}.")
    # More noise than the network can learn with shows in the training error.
    under = [
        arm
        for arm in arms
        if arm.x > best.x
        and arm not in near
        and arm.train_error > best.train_error + max(best.train_spread, arm.train_spread)
    ]
    if under:
        first = min(under, key=lambda arm: arm.x)
        found.append(
            f"From {first.arm} on it underfits: there the training error is "
            f"{percent(first.train_error)}, at {best.arm} {percent(best.train_error)}."
        )
    over = [arm for arm in arms if arm.x < best.x and arm not in near and arm.gap > best.gap]
    if over:
        last = max(over, key=lambda arm: arm.x)
        found.append(
            f"Up to {last.arm} it overfits: there the gap between training and test is "
            f"{points(last.gap)}, at {best.arm} {points(best.gap)}."
        )
    return found
