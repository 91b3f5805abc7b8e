"""How sure a network is of a digit that is turned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdrop.nn import Sequential
from fastdrop.plots.layers import image_shape, one_sample
from fastdrop.plots.style import MARKERS, PALETTE, figure_for, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def uncertainty(
    model: Sequential,
    image: Any,
    angles: Sequence[float] = tuple(range(0, 181, 15)),
    *,
    samples: int = 100,
    classes: int = 3,
    rng: Any = 0,
    figure: Figure | None = None,
) -> Figure:
    """What Monte Carlo dropout says of an image that is turned step by step.

    Parameters
    ----------
    model : Sequential
        Of classes, with a layer of noise; it stays as it is.
    image : array_like of shape (H, W), (H, W, C) or (H * W,)
        One sample.
    angles : sequence of float, default 0, 15, ..., 180
        In degrees, counterclockwise, growing.
    samples : int, default 100
        How often each turned image is predicted.
    classes : int, default 3
        How many classes are shown: those with the largest mean probability at any
        angle.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream, default 0
        Where the noise comes from.
    figure : Figure or SubFigure, optional
        Where to draw; by default on a new one.

    Returns
    -------
    matplotlib.figure.Figure
        Of three axes: the sampled probabilities of the classes and their means, the
        turned images below, and predictive entropy and mutual information.

    Raises
    ------
    ImportError
        If matplotlib or SciPy is not installed.
    TypeError, ValueError
        If an argument is of a wrong kind, the network draws no noise or has no
        classes, or the image does not fit.

    Notes
    -----
    Figure 4 of [1]_: for angles that the network has not seen, samples of a class
    spread over [0, 1], although each of them may be sure of itself. Entropy and mutual
    information are those of `Sequential.predict_mc`, in nats.

    References
    ----------
    .. [1] Gal, Ghahramani, "Dropout as a Bayesian approximation", ICML 2016.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> from fastdrop import nn
    >>> layers = [nn.Dense(8), nn.ReLU(), nn.Dropout(0.5), nn.Dense(3)]
    >>> model = nn.Sequential(layers, input_shape=(16,), rng=0)
    >>> figure = fastdrop.plots.uncertainty(model, np.eye(4), (0, 45, 90), samples=5)
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['probability of a class', '', 'nats']
    """
    where = "uncertainty"
    figure = figure_for(where, figure, (9, 6.6))
    sample = one_sample(model, image, where)[0]
    shape = image_shape(sample.shape, "image", where)
    turns = _check_angles(angles, where)
    turned = _turned(sample.reshape(shape), turns, where)
    rows = turned.reshape(-1, *sample.shape).astype(sample.dtype)
    found = model.predict_mc(rows, samples, rng, return_samples=True)
    if found.entropy is None or found.mean.shape[-1] < 2:
        raise ValueError(f"{where}: the network must tell classes apart, got one of another loss")
    step = float(np.diff(turns).min()) if len(turns) > 1 else 1.0
    # As many pixels of the figure for each image in height as in width.
    span = (turns[-1] - turns[0]) / step + 1.4
    top, row, bottom = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [3, 8 / span, 1.6]}
    )
    shown = np.sort(np.argsort(-found.mean.max(axis=0), kind="stable")[:classes])
    _scatter(top, turns, found.samples, found.mean, shown, step)
    for angle, picture in zip(turns, turned, strict=True):
        half = 0.46 * step
        grey = picture if shape[2] == 3 else picture[..., 0]
        row.imshow(
            grey, extent=(angle - half, angle + half, 0, 1), aspect="auto", cmap="gray_r",
            vmin=float(turned.min()), vmax=float(turned.max()),
        )  # fmt: skip
    row.set_ylim(0, 1)
    row.set_yticks([])
    row.spines[:].set_visible(False)
    row.tick_params(bottom=False)
    bottom.plot(turns, found.entropy, "k-", marker="o", markersize=4, label="predictive entropy")
    bottom.plot(
        turns, found.mutual_information, "k--", marker="s", markersize=4,
        markerfacecolor="white", label="mutual information",
    )  # fmt: skip
    bottom.set_ylim(bottom=0)
    bottom.set_ylabel("nats")
    bottom.set_xlabel("turned by (degrees)")
    bottom.set_xticks(turns)
    bottom.set_xlim(turns[0] - 0.7 * step, turns[-1] + 0.7 * step)
    tidy(bottom)
    bottom.legend(frameon=False, loc="best", fontsize=9)
    figure.suptitle(
        f"One image, turned, and {samples} predictions of it with dropout left on\n"
        "(faint: each of them; line: their mean)"
    )
    return figure


def _scatter(
    ax: Any, angles: np.ndarray, samples: Any, mean: np.ndarray, shown: np.ndarray, step: float
) -> None:
    """Samples of each class, beside each other at an angle, and their means."""
    for place, number in enumerate(shown):
        tint, marker = PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)]
        beside = (place - (len(shown) - 1) / 2) * 0.22 * step
        x = np.broadcast_to(angles + beside, samples.shape[:2])
        ax.scatter(
            x, samples[..., number], s=14, color=tint, marker=marker, alpha=0.25, linewidth=0
        )
        ax.plot(
            angles + beside, mean[:, number], color=tint, marker=marker, markersize=5,
            linewidth=1, markeredgecolor="white", label=f"class {number}",
        )  # fmt: skip
    ax.set_ylim(-0.03, 1.03)
    ax.set_ylabel("probability of a class")
    ax.tick_params(bottom=False)
    tidy(ax)
    ax.legend(frameon=False, ncols=len(shown), loc="lower center", bbox_to_anchor=(0.5, 1))


def _check_angles(angles: Any, where: str) -> np.ndarray:
    turns = np.asarray(angles, float)
    if (
        turns.ndim != 1
        or not turns.size
        or not np.isfinite(turns).all()
        or any(np.diff(turns) <= 0)
    ):
        raise ValueError(f"{where}: angles must be finite numbers that grow, got {angles!r}")
    return turns


def _turned(image: np.ndarray, angles: np.ndarray, where: str) -> np.ndarray:
    """The image (H, W, C) at each angle; what comes in at the corners is as the smallest
    value."""
    try:
        from scipy.ndimage import rotate
    except ImportError:
        raise ImportError(
            f'{where}: SciPy is not installed: `pip install "fastdrop[app]"`'
        ) from None
    back = float(image.min())
    return np.stack(
        [rotate(image, angle, axes=(1, 0), reshape=False, order=1, cval=back) for angle in angles]
    )
