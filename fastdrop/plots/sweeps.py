"""Errors against a rate, the number of samples or of units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdrop.plots.curves import about
from fastdrop.plots.style import axes_for, colours, figure_for, figure_of, tidy
from fastdrop.runs import Run, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BARS: dict[str, Any] = {"capsize": 3, "markersize": 5, "linewidth": 1.5}


def sweep(run: Run, *, ax: Axes | None = None) -> Figure:
    """Training and test error against the rate of dropout.

    Parameters
    ----------
    run : Run
        Of kind "sweep".
    ax : Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        Points are means over the seeds, bars their standard deviations.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If it is no run of that kind.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way
    to prevent neural networks from overfitting", JMLR 15, 2014, figure 9.

    Examples
    --------
    >>> import fastdrop
    >>> run = fastdrop.experiments.sweep(rates=(0, 0.5), hidden=(8,), epochs=1, seeds=2)
    >>> fastdrop.plots.sweep(run).axes[0].get_xlabel()
    'dropout rate'
    """
    check_run(run, ("sweep",), "sweep")
    ax = axes_for("sweep", ax, (8, 5))
    _errors(ax, run)
    ax.set_xticks(sorted({arm.x for arm in run.arms}), minor=False)
    ax.set_xlabel("dropout rate")
    place = {"input": "of the input", "conv": "behind the pools"}.get(
        run.rows[0].get("where", "hidden"), "of hidden units"
    )
    active = ", as many active as without" if run.rows[0].get("fixed_active") else ""
    ax.set_title(f"Error by rate of dropout {place}{active}\n{about(run)}", fontsize=11)
    return figure_of(ax)


def datasize(run: Run, *, figure: Figure | None = None) -> Figure:
    """Test error against the number of training samples, and what dropout takes off it.

    Parameters
    ----------
    run : Run
        Of kind "datasize".
    figure : Figure or SubFigure, optional
        Where to draw; by default on a new one.

    Returns
    -------
    matplotlib.figure.Figure
        Of two axes. Points are means over the seeds, bars their standard
        deviations; those of the gain are of the differences seed by seed.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If it is no run of that kind.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way
    to prevent neural networks from overfitting", JMLR 15, 2014, figure 10.

    Examples
    --------
    >>> import fastdrop
    >>> run = fastdrop.experiments.datasize((20, 80), hidden=(8,), epochs=1, seeds=1)
    >>> fastdrop.plots.datasize(run).axes[1].get_xlabel()
    'training samples (logarithmic)'
    """
    check_run(run, ("datasize",), "datasize")
    figure = figure_for("datasize", figure, (8, 6.6))
    top, bottom = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [2, 1]})
    _errors(top, run)
    sizes, gains, spreads = _gains(run)
    bottom.errorbar(sizes, gains, spreads, fmt="o-", color="black", **BARS)
    bottom.axhline(0, color="0.5", linewidth=1)
    _count_axis(bottom, sorted({arm.x for arm in run.arms if arm.x}), "training samples")
    bottom.set_ylabel("gain by dropout (points)")
    tidy(bottom)
    top.set_title(f"Error by size of the training set\n{about(run)}", fontsize=11)
    return figure


def tune(run: Run, *, ax: Axes | None = None) -> Figure:
    """Training and test error against the units of a hidden layer, and of the last size
    with dropout.

    Parameters
    ----------
    run : Run
        Of kind "tune".
    ax : Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        Points are means over the seeds, bars their standard deviations.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If it is no run of that kind.

    Examples
    --------
    >>> import fastdrop
    >>> run = fastdrop.experiments.tune(layers=1, start=8, most=16, epochs=1, seeds=1)
    >>> fastdrop.plots.tune(run).axes[0].get_xlabel()
    'units of a hidden layer (logarithmic)'
    """
    check_run(run, ("tune",), "tune")
    ax = axes_for("tune", ax, (8, 5))
    _errors(ax, run)
    _count_axis(ax, sorted({arm.x for arm in run.arms if arm.x}), "units of a hidden layer")
    ax.set_title(f"Error by number of units, and with dropout\n{about(run)}", fontsize=11)
    return figure_of(ax)


def check_run(run: Any, kinds: Sequence[str], where: str) -> None:
    """Raise for what is no run of one of these kinds."""
    if not isinstance(run, Run):
        raise TypeError(f"{where}: run must be a Run, such as that of load_run, got {run!r}")
    if run.kind not in kinds:
        raise ValueError(f"{where}: run must be of kind {' or '.join(kinds)}, got {run.kind!r}")


def _errors(ax: Axes, run: Run) -> None:
    """Errors against x, a line for each arm; in a sweep, where each has one rate, for all."""
    series: dict[str, list[Summary]] = {}
    for arm in run.arms:
        series.setdefault("" if run.kind == "sweep" else arm.arm, []).append(arm)
    tints = colours(series)
    for place, (name, arms) in enumerate(series.items()):
        arms = sorted(arms, key=lambda arm: arm.x or 0)
        # Arms of a single size stand beside each other.
        beside = 1.06**place if run.kind == "tune" and len(arms) == 1 else 1.0
        x = [beside * (arm.x or 0) for arm in arms]
        of = f", {name}" if name else ""
        ax.errorbar(
            x, [100 * arm.test_error for arm in arms], [100 * arm.test_spread for arm in arms],
            fmt="o-", color=tints[name], label=f"test{of}", **BARS,
        )  # fmt: skip
        ax.errorbar(
            x, [100 * arm.train_error for arm in arms], [100 * arm.train_spread for arm in arms],
            fmt="s:", markerfacecolor="white", color=tints[name], label=f"training{of}", **BARS,
        )  # fmt: skip
    # A point at 0 is seen whole.
    ax.set_ylim(bottom=-0.02 * ax.get_ylim()[1])
    ax.set_ylabel("error (%)")
    tidy(ax)
    ax.legend(frameon=False)


def _count_axis(ax: Axes, counts: Sequence[float], name: str) -> None:
    """A logarithmic axis that names the counts there are."""
    ax.set_xscale("log")
    ax.set_xticks(counts, [f"{count:,.0f}" for count in counts])
    ax.minorticks_off()
    ax.set_xlabel(f"{name} (logarithmic)")


def _gains(run: Run) -> tuple[list[float], np.ndarray, np.ndarray]:
    """By training samples, what dropout takes off the test error, in points: mean and
    standard deviation over the seeds."""
    errors: dict[float, dict[int, dict[bool, float]]] = {}
    for row in run.rows:
        seeds = errors.setdefault(row["x"], {})
        seeds.setdefault(row["seed"], {})["without" in row["arm"]] = row["test_error"]
    gains = {
        size: [100 * (pair[True] - pair[False]) for pair in seeds.values() if len(pair) == 2]
        for size, seeds in sorted(errors.items())
    }
    # Of a run that was interrupted, one arm may be missing.
    gains = {size: gain for size, gain in gains.items() if gain}
    means = np.array([np.mean(gain) for gain in gains.values()])
    spreads = [np.std(gain, ddof=1) if len(gain) > 1 else 0.0 for gain in gains.values()]
    return [*gains], means, np.array(spreads)
