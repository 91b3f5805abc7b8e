"""How active the hidden units of networks are, and how sparse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdrop.nn import Conv2D, Dense, Sequential
from fastdrop.plots.layers import (
    check_place,
    first_weights,
    models_of,
    noisy,
    output,
    samples_of,
)
from fastdrop.plots.style import colours, figure_for, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def features(
    models: Sequential | Mapping[str, Sequential],
    x: Any,
    *,
    layer: int | None = None,
    small: float = 0.0,
    figure: Figure | None = None,
) -> Figure:
    """Histograms of the mean activation of hidden units, and of activations.

    Parameters
    ----------
    models : Sequential, or dict of str to Sequential
        Those that are compared, by name.
    x : array_like of shape (samples, ...)
        What the activations are of, such as a batch of the test set.
    layer : int, optional
        Whose output it is, as ``model.layers`` counts; by default what the first
        hidden layer gives after its activation function, before any dropout.
    small : float, default 0.0
        Activations count as zero up to this size.
    figure : Figure or SubFigure, optional
        Where to draw; by default on a new one.

    Returns
    -------
    matplotlib.figure.Figure
        Two axes; the legends have the mean of all activations, and the share of
        zeros: the sparsity.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an argument is of a wrong kind, a network has no hidden layer, or `x` does
        not fit.

    Notes
    -----
    Figure 8 of [1]_: with dropout fewer units are active for a sample, and the mean
    activation of a unit is lower. All is computed without noise, as in prediction. Of
    a convolution a unit is a feature map.

    References
    ----------
    .. [1] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a
       simple way to prevent neural networks from overfitting", JMLR 15, 2014,
       section 7.2.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> from fastdrop import nn
    >>> model = nn.Sequential([nn.Dense(16), nn.ReLU(), nn.Dense(2)], rng=0)
    >>> figure = fastdrop.plots.features(model, np.eye(8))
    >>> [ax.get_xlabel() for ax in figure.axes]
    ['mean activation of a unit', 'activation']
    """
    where = "features"
    found = models_of(models, where)
    figure = figure_for(where, figure, (11, 4.4))
    values, places = {}, []
    for name, model in found.items():
        rows = samples_of(model, x, where)
        place = _hidden(model, where) if layer is None else check_place(layer, model, where)
        places.append(f"layer {place} ({type(model.layers[place]).__name__})")
        y = output(model, rows, place)
        values[name] = y.reshape(-1, y.shape[-1])
    means = {name: y.mean(axis=0, dtype=np.float64) for name, y in values.items()}
    text = places[0] if len(set(places)) == 1 else "the first hidden layer"
    figure.suptitle(f"Activations of {text} for {len(np.asarray(x)):,} samples, without noise")
    left, right = figure.subplots(1, 2)
    tints = colours(found)
    for ax, data in ((left, means), (right, values)):
        ends = min(y.min() for y in data.values()), max(y.max() for y in data.values())
        if ends[0] == ends[1]:
            ends = ends[0] - 0.5, ends[1] + 0.5
        edges = np.linspace(*ends, 41)
        for name, y in data.items():
            counts = np.histogram(y, edges)[0] / y.size
            mean, zeros = y.mean(dtype=np.float64), np.mean(np.abs(values[name]) <= small)
            said = f"mean {mean:.2f}" if ax is left else f"{100 * zeros:.1f} % at 0"
            if small and ax is right:
                said = f"{100 * zeros:.1f} % up to {small:g}"
            style = {"color": tints[name], "linewidth": 1.5}
            ax.stairs(100 * counts, edges, label=f"{name}: {said}".removeprefix(": "), **style)
            ax.stairs(100 * counts, edges, fill=True, alpha=0.2, color=tints[name])
        tidy(ax)
        ax.legend(frameon=False, loc="upper right")
    left.set_xlabel("mean activation of a unit")
    left.set_ylabel("units (%)")
    right.set_xlabel("activation")
    right.set_ylabel("activations (%, logarithmic)")
    right.set_yscale("log")
    left.set_title("How active a unit is", fontsize=11)
    right.set_title("How sparse activations are", fontsize=11)
    return figure


def _hidden(model: Sequential, where: str) -> int:
    """The last layer that belongs to the first hidden one, and draws no noise."""
    first = last = first_weights(model, where)
    for place, layer in enumerate(model.layers[first + 1 :], first + 1):
        if noisy(layer) or isinstance(layer, (Conv2D, Dense)):
            return last
        if type(layer).__name__ != "Flatten":
            last = place
    raise ValueError(
        f"{where}: the network must have a hidden layer, got only layer {first} "
        f"({type(model.layers[first]).__name__}) with weights"
    )
