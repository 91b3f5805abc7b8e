"""Errors after each epoch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdrop.plots.style import PALETTE, axes_for, colours, figure_of, tidy
from fastdrop.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fastdrop.experiments import Training

# Of more arms, the training errors are left out.
FEW = 3


def learning_curves(result: Training | Run, *, ax: Axes | None = None) -> Figure:
    """Training and test error of each arm after each epoch.

    Parameters
    ----------
    result : Training, Comparison or Run
        Of a run with several seeds, lines are means and bands are their standard
        deviations. Of more than three arms only the test errors are shown.
    ax : Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        1200 by 750 pixels as `save` writes it. It belongs to no window:
        pyplot and its backend are not touched.

    Raises
    ------
    ImportError
        If matplotlib is not installed; the text says how to get it.

    Examples
    --------
    >>> import fastdrop
    >>> result = fastdrop.experiments.compare(hidden=(16,), epochs=3)
    >>> figure = fastdrop.plots.learning_curves(result)
    >>> figure.axes[0].get_xlabel()
    'epoch'
    """
    ax = axes_for("learning_curves", ax, (8, 5))
    found, title = _curves(result)
    # The last errors stand at the right, the largest one above the others.
    found = dict(sorted(found.items(), key=lambda arm: -arm[1]["test"][:, -1].mean()))
    tints, few = colours(found), len(found) <= FEW
    for place, (name, errors) in enumerate(found.items()):
        for what in ("test", "training") if few else ("test",):
            middle, spread = _mean(errors[what])
            epochs = np.arange(1, len(middle) + 1)
            label = f"{what}, {name}" if few else name
            # Dashes tell those apart for which there are no more colours.
            line = ("-", "--", "-.")[place // len(PALETTE) % 3] if what == "test" else ":"
            ax.plot(epochs, middle, color=tints[name], linestyle=line, label=label)
            if len(errors[what]) > 1:
                band = middle - spread, middle + spread
                ax.fill_between(epochs, *band, color=tints[name], alpha=0.15, linewidth=0)
        if few:
            middle = _mean(errors["test"])[0]
            ax.annotate(
                f"{middle[-1]:.2f} %",
                (len(middle), middle[-1]),
                xytext=(6, 0),
                textcoords="offset points",
                va="bottom" if place == 0 else "top",
                color=tints[name],
            )
    last = max(errors["test"].shape[1] for errors in found.values())
    # What matters happens far below the errors of the first epochs, which are
    # cut off; and a curve at 0 is still seen.
    worst = next(iter(found.values()))["test"][:, -1].mean()
    top = min(100.0, max(400 * worst, 1.0))
    ax.set_ylim(-0.02 * top, top)
    ax.set_xlim(min(1, last - 1), last)
    ax.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
    ax.set_xlabel("epoch")
    ax.set_ylabel("error (%)" if few else "test error (%)")
    ax.set_title(title, fontsize=11)
    tidy(ax)
    ax.legend(frameon=False, loc="upper right")
    return figure_of(ax)


def _curves(result: Training | Run) -> tuple[dict[str, dict[str, np.ndarray]], str]:
    """Errors of each arm, (seeds, epochs), and a title."""
    if not isinstance(result, Run):
        found = {
            arm.name: {"test": _matrix([arm.test_errors]), "training": _matrix([arm.train_errors])}
            for arm in result.arms
        }
        return found, f"Network: {result.network}, dropout {result.rate:g}"
    rows: dict[tuple[str, Any], list[dict[str, Any]]] = {}
    for row in result.rows:
        rows.setdefault((row["arm"], row["x"]), []).append(row)
    names = [arm for arm, _ in rows]
    found = {
        # Where it is needed to tell arms apart: samples, or units.
        arm if names.count(arm) == 1 else f"{arm}, {x:,g}": {
            "test": _matrix(row["test_errors"] for row in group),
            "training": _matrix(row["train_errors"] for row in group),
        }
        for (arm, x), group in rows.items()
    }
    return found, about(result)


def about(run: Run) -> str:
    """The network of a run, its rate where there is one, and how often it was trained."""
    # What `tune` changes is the network.
    name = "model" if run.kind == "tune" else "network"
    words = [f"{name.title()}: {run.settings.get(name, '?')}"]
    if isinstance(run.settings.get("rate"), float) and run.kind in ("train", "compare"):
        words.append(f"dropout {run.settings['rate']:g}")
    seeds = max(arm.seeds for arm in run.arms)
    if seeds > 1:
        words.append(f"{seeds} seeds: mean and standard deviation")
    return ", ".join(words)


def _matrix(curves: Iterable[Any]) -> np.ndarray:
    """(seeds, epochs); as long as the shortest."""
    curves = list(curves)
    epochs = min(map(len, curves))
    return np.array([curve[:epochs] for curve in curves], float)


def _mean(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over the seeds, in percent."""
    spread = errors.std(axis=0, ddof=1) if len(errors) > 1 else np.zeros(errors.shape[1])
    return 100 * errors.mean(axis=0), 100 * spread
