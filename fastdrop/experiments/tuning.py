"""How large a network, and then how much dropout?"""

from __future__ import annotations

from typing import Unpack

from fastdrop.experiments.experiment import Case, Experiment
from fastdrop.nn.arguments import check_count
from fastdrop.runs import Run
from fastdrop.setting import Asked, one_rate
from fastdrop.summaries import Summary, percent

# Training errors up to here are those of a training set that is fitted: one
# wrong in a thousand may have a wrong label.
FITTED = 1e-3


def tune(
    *,
    layers: int = 2,
    start: int = 16,
    most: int = 2048,
    rate: float = 0.5,
    input_rate: float = 0.25,
    seeds: int = 3,
    seed: int | None = 0,
    n_jobs: int | None = None,
    progress: bool = False,
    **asked: Unpack[Asked],
) -> Run:
    """Hinton's recipe: a network that overfits, and then dropout.

    The hidden layers are doubled, without dropout, until the training samples are
    fitted; a network of that size is trained with dropout of its hidden units, and
    with that of the input besides.

    Parameters
    ----------
    layers : int, default 2
        How many hidden layers.
    start, most : int, default 16 and 2048
        Units of each in the smallest network, and in the largest that is tried.
    rate : float, default 0.5
        Of the hidden units, in (0, 1).
    input_rate : float, default 0.25
        Of the input, in [0, 0.25]; at 0 it is left out.
    seeds, seed, n_jobs, progress, **asked
        As of `compare`, whose errors these are, too; but for ``hidden``, which
        is what is sought.

    Returns
    -------
    Run
        Of the arms "without dropout" of each size, "with dropout 0.5" and "with
        dropout 0.5, input 0.25" of the last one; ``x`` is the units of a layer.

    Notes
    -----
    Fitted is a training error of at most 0.1 % after some epoch, with every seed.
    The test samples decide nothing but which arm is said to be the best.

    References
    ----------
    Hinton, Srivastava, Krizhevsky, Sutskever, Salakhutdinov, "Improving neural
    networks by preventing co-adaptation of feature detectors", 2012;
    Srivastava et al., "Dropout", JMLR 15, 2014, appendix A.

    Examples
    --------
    >>> import fastdrop
    >>> run = fastdrop.experiments.tune(layers=1, start=8, most=64, epochs=20, seeds=1)
    >>> [(arm.arm, arm.x) for arm in run.arms][-2:]
    [('with dropout 0.5', 64), ('with dropout 0.5, input 0.25', 64)]
    """
    counts = {"layers": layers, "start": start, "most": most}
    layers, units, most = (check_count(n, name, "tune") for name, n in counts.items())
    if most < units:
        raise ValueError(f"tune: most must be at least start, {units}, got {most}")
    if "hidden" in asked:
        raise ValueError("tune: hidden must not be given, it is what is sought")
    rate, input_rate = one_rate(rate, "tune"), one_rate(input_rate, "tune, input_rate")
    if not 0 < rate < 1:
        raise ValueError(f"tune: rate must be in (0, 1), got {rate}")
    if input_rate > 0.25:
        raise ValueError(f"tune: input_rate must be in [0, 0.25], got {input_rate}")
    experiment = Experiment(
        "tune", rate=rate, seeds=seeds, seed=seed, n_jobs=n_jobs, progress=progress,
        hidden=(units,) * layers, **asked,
    )  # fmt: skip
    experiment.own = {"layers": layers, "start": units, "most": most, "input_rate": input_rate}
    while True:
        hidden = (units,) * layers
        (plain,) = experiment.train([Case("without dropout", units, _grown(hidden, 0.0))])
        fitted = _fitted(experiment.run(), units)
        if fitted or 2 * units > most:
            break
        units *= 2
    cases = [Case(f"with dropout {rate:g}", units, _grown(hidden, rate))]
    if input_rate:
        name = f"with dropout {rate:g}, input {input_rate:g}"
        cases.append(Case(name, units, _grown(hidden, rate, input_rate)))
    dropped = experiment.train(cases)
    experiment.base = experiment.base.but(hidden=hidden)
    size = f"{layers} hidden layer{'s' * (layers > 1)} of {units:,} units"
    return experiment.run(
        f"{size} fit the training samples without dropout (training error "
        f"{percent(plain.train_error)}); their test error is "
        f"{plain.said('test_error')}."
        if fitted
        else f"Up to {size} nothing fits the training samples: the training error is "
        f"{percent(plain.train_error)}. Train for more epochs, or allow more units.",
        *_advice(plain, dropped),
    )


def _grown(hidden: tuple[int, ...], rate: float, input_rate: float = 0.0) -> dict[str, object]:
    return {"hidden": hidden, "rate": rate, "input_rate": input_rate}


def _fitted(run: Run, units: int) -> bool:
    rows = [row for row in run.rows if row["x"] == units]
    return all(min(row["train_errors"]) <= FITTED for row in rows)


def _advice(plain: Summary, dropped: list[Summary]) -> list[str]:
    best = min(dropped, key=lambda arm: arm.test_error)
    found = [
        f"{arm.arm[0].upper()}{arm.arm[1:]} the test error is {arm.said('test_error')}."
        for arm in dropped
    ]
    if best.test_error >= plain.test_error:
        found.append(
            "Dropout does not help here: try a lower rate, more units or more epochs, or do "
            "without."
        )
    elif best.train_error > FITTED and best.gap < plain.gap / 2:
        found.append(
            f"{best.arm[0].upper()}{best.arm[1:]} is the best; its training error, "
            f"{percent(best.train_error)}, leaves room for more units or epochs."
        )
    else:
        found.append(f"{best.arm[0].upper()}{best.arm[1:]} is the best.")
    return found
