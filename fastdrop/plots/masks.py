"""Every kind of noise on one image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import fastdrop
from fastdrop.plots.style import bare, figure_for
from fastdrop.rates import check_rate

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def masks(
    image: Any = None,
    rate: float = 0.3,
    *,
    sample: int | None = None,
    rng: Any = 0,
    figure: Figure | None = None,
) -> Figure:
    """Every kind of noise on one image, which is cut into square samples.

    Each square is a sample of a batch of its own, so that it is seen what is drawn
    for each value, each channel, each row and each sample.

    Parameters
    ----------
    image : array_like of shape (H, W), (H, W, 1) or (H, W, 3), optional
        Grey or RGB; numbers in [0, 1], or uint8. By default a photo that
        scikit-learn ships, 64 x 64 pixels of it.
    rate : float, default 0.3
        Probability of dropping, in [0, 1).
    sample : int, optional
        Height and width of a sample, at least 2; by default a quarter of the
        image's shorter side. What is left over at the right and below is cut off.
    rng : int, SeedSequence or MaskStream, default 0
        Where the noise comes from.
    figure : Figure or SubFigure, optional
        Where to draw; by default on a new one.

    Returns
    -------
    matplotlib.figure.Figure
        Sixteen axes, the first of them with the image itself.

    Raises
    ------
    ImportError
        If matplotlib, or for the photo scikit-learn, is not installed.
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range.

    Notes
    -----
    All panels are shown with ``1 - rate`` of their brightness, and with half of it
    at least: what is kept is divided by ``1 - rate``, and would be cut at white.

    References
    ----------
    Photo: danielbuechele, https://www.flickr.com/photos/danielbuechele/6061409035/,
    CC BY 2.0.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> figure = fastdrop.plots.masks(np.ones((16, 16)), rate=0.5)
    >>> len(figure.axes), figure.axes[1].get_title().splitlines()[0]
    (16, 'dropout')
    """
    where = "masks"
    figure = figure_for(where, figure, (9, 10.2))
    rate = _check_rate(rate, where)
    samples, shape = _samples(_photo() if image is None else image, sample, where)
    stream = rng if isinstance(rng, fastdrop.MaskStream) else fastdrop.MaskStream(rng)
    size = samples.shape[1]
    dim = max(1 - rate, 0.5)
    figure.suptitle(
        f"Noise at rate {rate:g}, drawn for {len(samples)} samples, the squares of {size} × {size} "
        f"pixels\n(all at {dim:.0%} of their brightness, as what is kept becomes brighter)"
    )
    for ax, (name, text, noise) in zip(figure.subplots(4, 4).flat, _KINDS, strict=True):
        y = noise(samples, rate, stream)
        ax.imshow(np.clip(dim * _joined(y, shape), 0, 1), interpolation="nearest")
        bare(ax)
        for edge in range(size, len(samples) * size, size):
            if edge < shape[0] * size:
                ax.axhline(edge - 0.5, color="white", linewidth=0.8)
            if edge < shape[1] * size:
                ax.axvline(edge - 0.5, color="white", linewidth=0.8)
        ax.set_title(f"{name}\n{text}", fontsize=9)
    return figure


def _alpha(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """Alpha dropout is for activations of mean 0 and variance 1."""

    def noise(x: np.ndarray, rate: float, rng: Any) -> np.ndarray:
        mean, std = x.mean(), x.std() or np.float32(1)
        return function((x - mean) / std, rate, rng=rng) * std + mean

    return noise


def _temporal(x: np.ndarray, rate: float, rng: Any) -> np.ndarray:
    """Rows are time steps, columns of each colour are features."""
    steps = x.reshape(*x.shape[:2], -1)
    return fastdrop.temporal_dropout(steps, rate, rng=rng).reshape(x.shape)  # type: ignore[union-attr]


def _growing(x: np.ndarray, rate: float, rng: Any) -> np.ndarray:
    rates = np.linspace(0, rate, x.shape[2])[:, None]
    return fastdrop.dropout(x, rates, rng=rng)  # type: ignore[return-value]


def _standard(x: np.ndarray, rate: float, rng: Any) -> np.ndarray:
    key, stream = rng.next()
    return fastdrop.StandardMask(x.shape, rate, key=key, stream=stream).apply(x)


def _block(x: np.ndarray, rate: float, rng: Any) -> np.ndarray:
    return fastdrop.drop_block(x, rate, max(2, x.shape[1] // 4), rng=rng)  # type: ignore[return-value]


def _shared(axes: Any) -> Callable[..., Any]:
    return lambda x, rate, rng: fastdrop.dropout(x, rate, rng=rng, shared_axes=axes)


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, rate, rng: function(x, rate, rng=rng)


_KINDS: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("the image", "cut into samples", lambda x, rate, rng: x),
    ("dropout", "each value, the rest × 1 / (1 − rate)", _plain(fastdrop.dropout)),
    ("StandardMask", "each value, the rest as it was", _standard),
    ("dropout, array of rates", "from 0 at the left of a sample", _growing),
    ("dropout, shared_axes=3", "whole pixels", _shared(3)),
    ("dropout, shared_axes=0", "one mask for all samples", _shared(0)),
    ("spatial_dropout", "colours of a sample", _plain(fastdrop.spatial_dropout)),
    ("temporal_dropout", "one mask for all rows", _temporal),
    ("drop_block", "blocks of a colour", _block),
    ("drop_path", "whole samples", _plain(fastdrop.drop_path)),
    ("alpha_dropout", "not to 0: mean and variance stay", _alpha(fastdrop.alpha_dropout)),
    ("feature_alpha_dropout", "so, colours of a sample", _alpha(fastdrop.feature_alpha_dropout)),
    ("gaussian_dropout", "× N(1, rate / (1 − rate))", _plain(fastdrop.gaussian_dropout)),
    ("gaussian_noise", "+ N(0, rate²)", _plain(fastdrop.gaussian_noise)),
    ("concrete_dropout", "each value, some in part", _plain(fastdrop.concrete_dropout)),
    (
        "zoneout",
        "previous state: the negative",
        lambda x, rate, rng: fastdrop.zoneout(x, 1 - x, rate, rng=rng, shared_axes=3),
    ),
)


def _check_rate(rate: Any, where: str) -> float:
    checked = check_rate(rate, where)
    if not isinstance(checked, float) or checked == 1:
        raise ValueError(f"{where}: rate must be one number in [0, 1), got {rate!r}")
    return checked


def _photo() -> np.ndarray:
    """64 x 64 pixels, each the mean of 6 x 6, of the tower in the photo."""
    try:
        from sklearn.datasets import load_sample_image
    except ImportError:
        raise ImportError(
            "masks: scikit-learn is not installed, which has the image: give one, or "
            '`pip install "fastdrop[app]"`'
        ) from None
    part = load_sample_image("china.jpg")[24:408, 16:400]
    return part.reshape(64, 6, 64, 6, 3).mean(axis=(1, 3)) / 255


def _samples(image: Any, size: int | None, where: str) -> tuple[np.ndarray, tuple[int, int]]:
    """The image as float32 (N, size, size, 3), and how many samples below and beside each
    other."""
    x = np.asarray(image)
    if x.dtype.kind not in "fu" or (x.dtype.kind == "u" and x.dtype != np.uint8):
        raise TypeError(f"{where}: image must hold floats in [0, 1] or uint8, got {x.dtype}")
    if x.dtype == np.uint8:
        x = x / 255
    if x.ndim == 2:
        x = x[..., None]
    if x.ndim != 3 or x.shape[2] not in (1, 3) or min(x.shape[:2]) < 2:
        raise ValueError(
            f"{where}: image must be of shape (H, W), (H, W, 1) or (H, W, 3), and of 2 x 2 pixels "
            f"at least, got {np.shape(image)}"
        )
    if not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(
            f"{where}: image must hold floats in [0, 1], got {x.min():g} to {x.max():g}"
        )
    largest = min(x.shape[:2])
    if size is None:
        size = max(2, largest // 4)
    if not 2 <= size <= largest:
        raise ValueError(f"{where}: sample must be from 2 to {largest} pixels, got {size}")
    rows, columns = x.shape[0] // size, x.shape[1] // size
    x = np.broadcast_to(x[: rows * size, : columns * size], (rows * size, columns * size, 3))
    x = x.reshape(rows, size, columns, size, 3).swapaxes(1, 2).reshape(-1, size, size, 3)
    return x.astype(np.float32), (rows, columns)


def _joined(samples: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The image that samples were cut from."""
    rows, columns = shape
    size = samples.shape[1]
    x = samples.reshape(rows, columns, size, size, 3).swapaxes(1, 2)
    return x.reshape(rows * size, columns * size, 3)
