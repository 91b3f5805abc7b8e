"""What networks have learned, and what they compute: feature maps and filters."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdrop.nn import Conv2D, Dense, Sequential
from fastdrop.nn.arguments import check_count
from fastdrop.plots.layers import (
    check_place,
    first_weights,
    image_shape,
    models_of,
    noisy,
    one_sample,
    output,
    sample_shape,
    with_noise,
)
from fastdrop.plots.style import bare, figure_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def activations(
    model: Sequential,
    image: Any,
    *,
    layer: int | None = None,
    maps: int = 8,
    rng: Any = 0,
    figure: Figure | None = None,
) -> Figure:
    """Feature maps of a convolution before and after its dropout.

    Parameters
    ----------
    model : Sequential
        It stays as it is, its random streams too.
    image : array_like of shape (H, W, C)
        One sample.
    layer : int, optional
        The convolution, as ``model.layers`` counts; by default the first that
        has a dropout behind it.
    maps : int, default 8
        How many are shown: those with the largest mean, in their order.
    rng : None, int or SeedSequence, default 0
        Where the noise comes from.
    figure : Figure or SubFigure, optional
        Where to draw; by default on a new one.

    Returns
    -------
    matplotlib.figure.Figure
        The image, and two rows of maps: what the dropout layer takes, and what it
        gives in training. All have one scale.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an argument is of a wrong kind, the network has no convolution with
        noise behind it, or the image does not fit.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> from fastdrop import nn
    >>> layers = [nn.Conv2D(4, 3), nn.ReLU(), nn.SpatialDropout2D(0.5), nn.Flatten(), nn.Dense(2)]
    >>> figure = fastdrop.plots.activations(nn.Sequential(layers), np.ones((8, 8, 1)), maps=4)
    >>> [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
    ['before', 'after', 'activation']
    """
    where = "activations"
    maps = check_count(maps, "maps", where)
    x = one_sample(model, image, where)
    conv, noise = _convolution(model, layer, where)
    before = output(model, x, noise - 1)
    after, dropped = with_noise(model.layers[noise], before, rng)
    maps = min(maps, before.shape[3])
    figure = figure_for(where, figure, (max(7.5, 1.25 * maps + 1.75), 3.3))
    shown = np.sort(np.argsort(-before[0].mean(axis=(0, 1)), kind="stable")[:maps])
    low, high = min(0.0, before.min(), after.min()), max(before.max(), after.max())
    names = [type(model.layers[place]).__name__ for place in (conv, noise)]
    rate = getattr(model.layers[noise], "current_rate", None)
    at = f" {rate:g}" if isinstance(rate, float) else ""
    white = ", white where it dropped" if dropped is not None else ""
    figure.suptitle(
        f"{maps} feature maps of layer {conv} ({names[0]})\n"
        f"before and after layer {noise} ({names[1]}{at}){white}"
    )
    grid = figure.add_gridspec(2, maps + 1)
    ax = figure.add_subplot(grid[:, 0])
    bare(ax)
    ax.set_title("image", fontsize=9)
    _show(ax, x[0])
    shared = {"vmin": low, "vmax": high, "cmap": "viridis"}
    for row, (name, y) in enumerate((("before", before), ("after", after))):
        for column, number in enumerate(shown):
            ax = figure.add_subplot(grid[row, column + 1])
            bare(ax)
            values = np.ma.array(y[0, ..., number])
            if row and dropped is not None:
                values[dropped[0, ..., number]] = np.ma.masked
            drawn = ax.imshow(values, **shared)
            if not row:
                ax.set_title(f"map {number}", fontsize=9)
            elif dropped is not None:
                # White maps need an edge.
                ax.spines[:].set(visible=True, color="0.8")
            if not column:
                ax.set_ylabel(name)
    figure.colorbar(drawn, ax=figure.axes[1:], label="activation", shrink=0.9)
    return figure


def filters(
    models: Sequential | Mapping[str, Sequential],
    *,
    layer: int | None = None,
    count: int = 64,
    shape: tuple[int, ...] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """First-layer weights as images, networks side by side.

    Parameters
    ----------
    models : Sequential, or dict of str to Sequential
        Those that are compared, by name.
    layer : int, optional
        A `Conv2D` or a `Dense`, as ``model.layers`` counts; by default the first
        in each network.
    count : int, default 64
        How many units, the first ones, are shown of each.
    shape : tuple of int, optional
        (H, W) or (H, W, C) of the images that a dense layer takes; by default that
        of the network's samples, and for flat ones a square.
    figure : Figure or SubFigure, optional
        Where to draw; by default on a new one.

    Returns
    -------
    matplotlib.figure.Figure
        One axes for each network, all of one scale, which leaves out the largest
        half percent of the weights. Of colours, 0 is grey.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an argument is of a wrong kind, a network has no such layer or is not
        built, or its weights are not of images.

    Notes
    -----
    Figure 7 of [1]_: with dropout, units find edges, strokes and spots on their own;
    without it they look like noise, as each of them counts on others.

    References
    ----------
    .. [1] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a
       simple way to prevent neural networks from overfitting", JMLR 15, 2014.

    Examples
    --------
    >>> import fastdrop
    >>> from fastdrop import nn
    >>> model = nn.Sequential([nn.Dense(16)], input_shape=(25,))
    >>> figure = fastdrop.plots.filters(model)
    >>> figure.axes[0].get_title()
    'weights of layer 0 (Dense), 16 of 16 units'
    """
    where = "filters"
    found = models_of(models, where)
    count = check_count(count, "count", where)
    weights = {name: _images_of(model, layer, shape, where) for name, model in found.items()}
    figure = figure_for(where, figure, (4.6 * len(found) + (0.9 if len(found) == 1 else 0.4), 5))
    pixels = np.concatenate([w[:count].ravel() for w, _ in weights.values()])
    limit = float(np.quantile(np.abs(pixels), 0.995)) or 1.0
    for ax, (name, (w, text)) in zip(
        np.ravel(figure.subplots(1, len(found))), weights.items(), strict=True
    ):
        shown = w[:count]
        tiles = _tiled(shown / limit)
        if tiles.shape[2] == 3:
            ax.imshow(np.clip(np.where(np.isnan(tiles), 1, (tiles + 1) / 2), 0, 1))
        else:
            drawn = ax.imshow(tiles[..., 0] * limit, cmap="PuOr", vmin=-limit, vmax=limit)
        bare(ax)
        head = f"{name}\n" if name else ""
        ax.set_title(f"{head}{text}, {len(shown)} of {len(w)} units", fontsize=10)
    if tiles.shape[2] == 1:
        figure.colorbar(
            drawn, ax=figure.axes, label="weight", orientation="horizontal", shrink=0.6,
            aspect=50, extend="both",
        )  # fmt: skip
    return figure


def _convolution(model: Sequential, layer: int | None, where: str) -> tuple[int, int]:
    """Places of a convolution and of the noise that follows before other weights."""
    convs = [place for place, one in enumerate(model.layers) if isinstance(one, Conv2D)]
    if layer is not None:
        place = check_place(layer, model, where)
        if place not in convs:
            raise ValueError(
                f"{where}: layer must be a Conv2D, got layer {place} "
                f"({type(model.layers[place]).__name__})"
            )
        convs = [place]
    if not convs:
        raise ValueError(f"{where}: the network must have a convolution (Conv2D), got none")
    for conv in convs:
        for place, follower in enumerate(model.layers[conv + 1 :], conv + 1):
            if noisy(follower):
                return conv, place
            if isinstance(follower, (Conv2D, Dense)) or type(follower).__name__ == "Flatten":
                break
    raise ValueError(
        f"{where}: the network must have a layer of noise, such as Dropout, between a convolution "
        "and the next weights, got none"
    )


def _images_of(
    model: Sequential, layer: int | None, shape: Any, where: str
) -> tuple[np.ndarray, str]:
    """Weights (units, H, W, C) of a layer, and what they are."""
    place = first_weights(model, where) if layer is None else check_place(layer, model, where)
    chosen = model.layers[place]
    if not isinstance(chosen, (Conv2D, Dense)):
        raise ValueError(
            f"{where}: layer must be a Conv2D or a Dense, got layer {place} "
            f"({type(chosen).__name__})"
        )
    if not chosen.params:
        raise ValueError(
            f"{where}: the network has no weights yet: give it an input_shape, or train it"
        )
    weight = chosen.params["weight"]
    if isinstance(chosen, Conv2D):
        size = image_shape(weight.shape[:3], f"weights of layer {place}", where)
    else:
        given = shape or (sample_shape(model) if place == first_weights(model, where) else ())
        if prod(given) != len(weight):
            raise ValueError(
                f"{where}: layer {place} ({type(chosen).__name__}) takes {len(weight)} inputs, and "
                f"shape must be that of an image of as many, got {tuple(given)}"
            )
        size = image_shape(given, f"inputs of layer {place}", where)
    text = f"weights of layer {place} ({type(chosen).__name__})"
    return np.moveaxis(weight, -1, 0).reshape(-1, *size), text


def _tiled(images: np.ndarray) -> np.ndarray:
    """One image of many (N, H, W, C), NaN between them."""
    n, rows, columns, channels = images.shape
    across = ceil(n**0.5 * (rows / columns) ** 0.5)
    down = ceil(n / across)
    # A thin gap beside large images, one pixel beside kernels.
    gap = max(1, rows // 14)
    tiles = np.full((down * (rows + gap) - gap, across * (columns + gap) - gap, channels), np.nan)
    for number, image in enumerate(images):
        top, left = number // across * (rows + gap), number % across * (columns + gap)
        tiles[top : top + rows, left : left + columns] = image
    return tiles


def _show(ax: Any, image: np.ndarray) -> None:
    """A sample as an image, from its smallest to its largest value."""
    low, high = float(image.min()), float(image.max())
    image = (image - low) / ((high - low) or 1.0)
    ax.imshow(image if image.shape[2] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=1)
