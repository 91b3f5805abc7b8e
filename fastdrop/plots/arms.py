"""Errors of arms side by side, and the picture that fits a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastdrop.plots.curves import about, learning_curves
from fastdrop.plots.style import BLUE, VERMILION, axes_for, figure_for, figure_of, tidy
from fastdrop.plots.sweeps import BARS, check_run, datasize, sweep, tune
from fastdrop.runs import Run, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def family(run: Run, *, ax: Axes | None = None) -> Figure:
    """Test error of each kind of dropout, the lowest on top, and the training errors.

    Parameters
    ----------
    run : Run
        Of kind "family".
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
    """
    check_run(run, ("family",), "family")
    ax = axes_for("family", ax, (8, 1.6 + 0.32 * len(run.arms)))
    arms = sorted(run.arms, key=lambda arm: arm.test_error)
    _side_by_side(ax, arms)
    for arm in arms:
        if arm.arm.startswith("without"):
            ax.axvline(
                100 * arm.test_error, color=VERMILION, linewidth=1, linestyle="--", zorder=1,
                label=f"test, {arm.arm}",
            )  # fmt: skip
            _legend(ax)
    ax.set_title(f"Error by kind of dropout\n{about(run)}", fontsize=11)
    return figure_of(ax)


def compare(run: Run, *, ax: Axes | None = None) -> Figure:
    """Training and test error of each arm, and the gap between them.

    Parameters
    ----------
    run : Run
        Of kind "compare" or "train".
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
    """
    check_run(run, ("compare", "train"), "compare")
    ax = axes_for("compare", ax, (8, 1.8 + 0.6 * len(run.arms)))
    _side_by_side(ax, run.arms, gaps=True)
    ax.set_title(f"From training error to test error\n{about(run)}", fontsize=11)
    return figure_of(ax)


def picture(run: Run, *, figure: Figure | None = None) -> Figure:
    """The figure that fits a run's kind.

    Parameters
    ----------
    run : Run
        Of any kind.
    figure : Figure or SubFigure, optional
        Where to draw; by default on a new one.

    Returns
    -------
    matplotlib.figure.Figure
        For a "compare" with both the learning curves and the gap.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If it is no run.
    """
    where = "picture"
    check_run(run, tuple(_PICTURES), where)
    draw = _PICTURES[run.kind]
    if draw is datasize:
        return datasize(run, figure=figure)
    if draw is compare:
        figure = figure_for(where, figure, (8, 7.4))
        top, bottom = figure.subplots(2, 1, height_ratios=[3, 1])
        learning_curves(run, ax=top)
        compare(run, ax=bottom)
        bottom.set_title("")
        return figure
    return draw(run, ax=None if figure is None else figure.add_subplot())


def _side_by_side(ax: Axes, arms: Sequence[Summary], gaps: bool = False) -> None:
    """A row for each arm, the first on top: training error, test error, and what is between."""
    rows = np.arange(len(arms))
    test = 100 * np.array([arm.test_error for arm in arms])
    train = 100 * np.array([arm.train_error for arm in arms])
    ax.hlines(rows, train, test, color="0.75", linewidth=2, zorder=1)
    ax.errorbar(
        test, rows, xerr=[100 * arm.test_spread for arm in arms], fmt="o", color=BLUE,
        label="test", **BARS,
    )  # fmt: skip
    ax.errorbar(
        train, rows, xerr=[100 * arm.train_spread for arm in arms], fmt="s", color=BLUE,
        markerfacecolor="white", label="training", **BARS,
    )  # fmt: skip
    if gaps:
        for row, arm in zip(rows, arms, strict=True):
            spread = f" ± {100 * arm.gap_spread:.2f}" if arm.seeds > 1 else ""
            ax.annotate(
                f"gap {100 * arm.gap:.2f}{spread} points",
                ((test[row] + train[row]) / 2, row),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
    ax.set_yticks(rows, [arm.arm for arm in arms])
    ax.set_ylim(len(arms) - 0.4, -0.6)
    ax.set_xlim(left=-0.02 * ax.get_xlim()[1])
    ax.set_xlabel("error (%)")
    tidy(ax)
    _legend(ax)


def _legend(ax: Axes) -> None:
    """Beside the axes: rows of arms fill them."""
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


_PICTURES: dict[str, Callable[..., Figure]] = {
    "train": learning_curves,
    "compare": compare,
    "sweep": sweep,
    "datasize": datasize,
    "tune": tune,
    "family": family,
}
