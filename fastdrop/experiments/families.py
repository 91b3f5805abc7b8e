"""Which kind of noise?"""

from __future__ import annotations

from typing import Unpack

from fastdrop.experiments.experiment import Case, Experiment
from fastdrop.kinds import KINDS, suited
from fastdrop.runs import Run
from fastdrop.setting import Asked
from fastdrop.summaries import ONE_SEED, Summary, best_of


def family(
    *,
    rate: float = 0.5,
    seeds: int = 3,
    seed: int | None = 0,
    n_jobs: int | None = None,
    progress: bool = False,
    **asked: Unpack[Asked],
) -> Run:
    """Train the same network with every kind of noise, and without any.

    Parameters
    ----------
    rate : float, default 0.5
        Of each kind, in [0, 1): Gaussian noise has the variance of dropout's
        factors, kinds that learn their rates start there, `CurriculumDropout`
        ends there. `Standout` has none.
    seeds, seed, n_jobs, progress, **asked
        As of `compare`, whose errors these are, too. The model is mlp, cnn,
        regularized or text.

    Returns
    -------
    Run
        Of the arms "without noise" and those that are named as the layers of
        `fastdrop.nn` are. Rows have ``where``: "hidden", "conv" or "input",
        where this noise was, and no other.

    Notes
    -----
    Noise stands where the model has dropout. `DropConnect` and `ConcreteDropout`
    are the dense layer behind it, `Standout` is the one before it. `DropBlock2D`
    has blocks of half the map, of 7 at most.

    Examples
    --------
    >>> import fastdrop
    >>> run = fastdrop.experiments.family(hidden=(8,), epochs=1, seeds=1)
    >>> [arm.arm for arm in run.arms][:4]
    ['without noise', 'Dropout', 'GaussianDropout', 'GaussianNoise']
    """
    experiment = Experiment(
        "family", rate=rate, seeds=seeds, seed=seed, n_jobs=n_jobs, progress=progress, **asked
    )
    base = experiment.base
    names = suited(base.model)
    if not names or not base.hidden:
        raise ValueError(
            "family: the model must be mlp, cnn, regularized or text, with hidden layers, got "
            f"{base.model} with {list(base.hidden)}"
        )
    cases = [Case("without noise", 0.0, {"rate": 0.0}, {"where": ""})]
    cases += [
        Case(name, base.rate, {"place": place, "kind": name}, {"where": place})
        for name in names
        if (place := KINDS[name].place)
    ]
    plain, *arms = experiment.train(cases)
    best, near = best_of(arms)
    worse = [arm for arm in arms if arm.test_error > plain.test_error]
    found = [
        f"Lowest test error with {best.arm}: {best.said('test_error')}; "
        f"without noise it is {plain.said('test_error')}."
    ]
    if best.seeds == 1:
        found.append(ONE_SEED)
    if near:
        found.append(f"Within one standard deviation of it: {_names(near)}.")
    if worse:
        found.append(f"Worse than no noise: {_names(worse)}.")
    return experiment.run(*found)


def _names(arms: list[Summary]) -> str:
    return ", ".join(arm.arm for arm in arms)
