"""Dropout and its kin on plain arrays: each checks, draws a recipe, applies it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastdrop import kernels
from fastdrop.alpha import AlphaMask
from fastdrop.arrays import check_array, check_out, finish, is_direct, prepare
from fastdrop.gaussian import GaussianMask
from fastdrop.layout import check_axes, layout
from fastdrop.mask import Mask
from fastdrop.rates import check_rate
from fastdrop.recipe import Recipe, check_rates_fit
from fastdrop.rng import source
from fastdrop.share import Share, drawn, whole
from fastdrop.threads import team_size


def dropout(
    x: Any,
    rate: Any = 0.5,
    *,
    rng: Any = None,
    shared_axes: int | tuple[int, ...] = (),
    training: bool = True,
    out: np.ndarray | None = None,
    return_mask: bool = False,
) -> np.ndarray | tuple[np.ndarray, Mask]:
    """Inverted dropout: each element is 0 with probability `rate`, else ``x / (1 - rate)``.

    Parameters
    ----------
    x : array_like of float16, float32 or float64
        Any shape and memory layout. What is computed from a subclass of
        ndarray is a plain array.
    rate : float or array_like of float, default 0.5
        Probability of dropping, in [0, 1]. An array broadcasts to the shape of
        `x` with 1 at the shared axes: per unit, per channel, per element.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where the mask comes from. None is fresh entropy. An int or a
        SeedSequence is a fresh `MaskStream`: the same int, the same mask. A
        Generator gives a key from its own bits; it and a MaskStream advance.
    shared_axes : int or tuple of int, default ()
        Axes along which one draw is shared, as in Flax's ``broadcast_dims``;
        negative ones count from the end.
    training : bool, default True
        False returns `x` as it is.
    out : ndarray, optional
        Takes the result: of the shape and dtype of `x`, in any layout; `x`
        itself to work in place.
    return_mask : bool, default False
        Return ``(y, mask)``; ``mask.apply(dy)`` is the backward pass.

    Returns
    -------
    ndarray or (ndarray, Mask)
        Of the shape and dtype of `x`. With ``training=False`` or ``rate=0`` it
        is `x` itself, not a copy (with `out`, a copy in it), and nothing is
        drawn.

    Raises
    ------
    TypeError
        If `x`, `rate`, `rng`, `shared_axes` or `out` is of a wrong type.
    ValueError
        If `rate` leaves [0, 1] or does not broadcast, an axis comes twice, or
        `out` cannot take the result.
    numpy.exceptions.AxisError
        If a shared axis is not one of `x`.

    Notes
    -----
    A dropped element is exactly +0.0, whatever stood there. The mask is a pure
    function of the key and the stream (see `Mask`); nothing is stored.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple
    way to prevent neural networks from overfitting", JMLR 15, 2014.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> y, mask = fastdrop.dropout(np.ones(8, np.float32), 0.5, rng=0, return_mask=True)
    >>> sorted({float(value) for value in y})
    [0.0, 2.0]
    >>> dx = mask.apply(np.ones(8, np.float32))
    >>> bool((dx == y).all())
    True
    """
    return _noise("dropout", Mask, x, rate, rng, shared_axes, training, out, return_mask)


def spatial_dropout(
    x: Any,
    rate: Any = 0.5,
    *,
    rng: Any = None,
    training: bool = True,
    out: np.ndarray | None = None,
    return_mask: bool = False,
    data_format: str = "channels_last",
) -> np.ndarray | tuple[np.ndarray, Mask]:
    """Drop whole feature maps: one draw for every sample and channel.

    Parameters
    ----------
    x : array_like of float16, float32 or float64
        Of rank 3 to 5: (N, ..., C), or (N, C, ...) for ``"channels_first"``.
    data_format : {"channels_last", "channels_first"}
        Where the channels are.
    rate, rng, training, out, return_mask
        As in `dropout`. An array of rates broadcasts to (N, 1, ..., C).

    Returns
    -------
    ndarray or (ndarray, Mask)
        As `dropout`.

    Raises
    ------
    TypeError, ValueError
        As `dropout`, and if the rank or `data_format` is another.

    References
    ----------
    Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization
    using convolutional networks", CVPR 2015.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> y = fastdrop.spatial_dropout(np.ones((2, 5, 5, 3)), 0.5, rng=0)
    >>> bool((y == y[:, :1, :1]).all())
    True
    """
    where = "spatial_dropout"
    axes = _map_axes(x, data_format, where)
    return _noise(where, Mask, x, rate, rng, axes, training, out, return_mask)


def temporal_dropout(
    x: Any,
    rate: Any = 0.5,
    *,
    rng: Any = None,
    training: bool = True,
    out: np.ndarray | None = None,
    return_mask: bool = False,
) -> np.ndarray | tuple[np.ndarray, Mask]:
    """Drop features of a sequence with one mask for all its time steps.

    Parameters
    ----------
    x : array_like of float16, float32 or float64
        Of shape (batch, time, features).
    rate, rng, training, out, return_mask
        As in `dropout`. An array of rates broadcasts to (batch, 1, features).

    Returns
    -------
    ndarray or (ndarray, Mask)
        As `dropout`.

    Raises
    ------
    TypeError, ValueError
        As `dropout`, and if `x` has another rank.

    References
    ----------
    Gal, Ghahramani, "A theoretically grounded application of dropout in
    recurrent neural networks", NeurIPS 2016.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> y = fastdrop.temporal_dropout(np.ones((2, 7, 4)), 0.5, rng=0)
    >>> bool((y == y[:, :1]).all())
    True
    """
    where = "temporal_dropout"
    shape = check_array(x, where).shape
    if len(shape) != 3:
        raise ValueError(f"{where}: x must be (batch, time, features), got shape {shape}")
    return _noise(where, Mask, x, rate, rng, (1,), training, out, return_mask)


def gaussian_dropout(
    x: Any,
    rate: Any = 0.5,
    *,
    rng: Any = None,
    shared_axes: int | tuple[int, ...] = (),
    training: bool = True,
    out: np.ndarray | None = None,
    return_mask: bool = False,
) -> np.ndarray | tuple[np.ndarray, GaussianMask]:
    """Multiply by Gaussian noise of mean 1 and variance ``rate / (1 - rate)``.

    Parameters
    ----------
    x, rate, rng, shared_axes, training, out, return_mask
        As in `dropout`; the mask is a `GaussianMask`. A rate of 1 gives 0.

    Returns
    -------
    ndarray or (ndarray, GaussianMask)
        As `dropout`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `dropout`.

    References
    ----------
    Srivastava et al., JMLR 15, 2014, section 10.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> y = fastdrop.gaussian_dropout(np.ones(10_000), 0.5, rng=0)
    >>> round(float(y.mean()), 1), round(float(y.std()), 1)
    (1.0, 1.0)
    """
    where = "gaussian_dropout"
    return _noise(where, GaussianMask, x, rate, rng, shared_axes, training, out, return_mask)


def alpha_dropout(
    x: Any,
    rate: Any = 0.5,
    *,
    rng: Any = None,
    shared_axes: int | tuple[int, ...] = (),
    training: bool = True,
    out: np.ndarray | None = None,
    return_mask: bool = False,
) -> np.ndarray | tuple[np.ndarray, AlphaMask]:
    """Dropout for SELU networks: keeps a mean of 0 and a variance of 1.

    Parameters
    ----------
    x, rate, rng, shared_axes, training, out, return_mask
        As in `dropout`; the mask is an `AlphaMask`, whose ``apply(dy)`` is the
        backward pass. A rate of 1 gives 0.

    Returns
    -------
    ndarray or (ndarray, AlphaMask)
        As `dropout`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `dropout`.

    Notes
    -----
    `AlphaMask` has the formula.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural
    networks", NeurIPS 2017.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> x = np.random.default_rng(0).normal(size=100_000)
    >>> y = fastdrop.alpha_dropout(x, 0.2, rng=0)
    >>> bool(abs(y.mean()) < 0.02), bool(abs(y.std() - 1) < 0.02)
    (True, True)
    """
    where = "alpha_dropout"
    return _noise(where, AlphaMask, x, rate, rng, shared_axes, training, out, return_mask)


def feature_alpha_dropout(
    x: Any,
    rate: Any = 0.5,
    *,
    rng: Any = None,
    training: bool = True,
    out: np.ndarray | None = None,
    return_mask: bool = False,
    data_format: str = "channels_last",
) -> np.ndarray | tuple[np.ndarray, AlphaMask]:
    """Alpha dropout of whole feature maps: one draw for every sample and channel.

    Parameters
    ----------
    x, data_format
        As in `spatial_dropout`.
    rate, rng, training, out, return_mask
        As in `alpha_dropout`.

    Returns
    -------
    ndarray or (ndarray, AlphaMask)
        As `dropout`.

    Raises
    ------
    TypeError, ValueError
        As `spatial_dropout`.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural
    networks", NeurIPS 2017.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> y = fastdrop.feature_alpha_dropout(np.ones((2, 5, 5, 3)), 0.5, rng=0)
    >>> bool((y == y[:, :1, :1]).all())
    True
    """
    where = "feature_alpha_dropout"
    axes = _map_axes(x, data_format, where)
    return _noise(where, AlphaMask, x, rate, rng, axes, training, out, return_mask)


def drop_path(
    x: Any,
    rate: Any = 0.5,
    *,
    rng: Any = None,
    training: bool = True,
    out: np.ndarray | None = None,
    return_mask: bool = False,
) -> np.ndarray | tuple[np.ndarray, Mask]:
    """Drop whole samples: what a residual branch adds to some of them.

    Parameters
    ----------
    x : array_like of float16, float32 or float64
        The branch's output, with the samples along axis 0.
    rate, rng, training, out, return_mask
        As in `dropout`. An array of rates broadcasts to (N, 1, ..., 1).

    Returns
    -------
    ndarray or (ndarray, Mask)
        As `dropout`.

    Raises
    ------
    TypeError, ValueError
        As `dropout`, and if `x` has no axis.

    References
    ----------
    Huang, Sun, Liu, Sedra, Weinberger, "Deep networks with stochastic depth",
    ECCV 2016; scaled while training, and not afterwards, as in Larsson, Maire,
    Shakhnarovich, "FractalNet", ICLR 2017.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> x, branch = np.ones((4, 3)), np.ones((4, 3))
    >>> y = x + fastdrop.drop_path(branch, 0.5, rng=0)
    >>> sorted({float(value) for value in y.ravel()})
    [1.0, 3.0]
    """
    where = "drop_path"
    shape = check_array(x, where).shape
    if not shape:
        raise ValueError(f"{where}: x must have its samples along axis 0, got shape ()")
    axes = tuple(range(1, len(shape)))
    return _noise(where, Mask, x, rate, rng, axes, training, out, return_mask)


def _map_axes(x: Any, data_format: Any, where: str) -> tuple[int, ...]:
    """The axes of a feature map."""
    shape = check_array(x, where).shape
    if not 3 <= len(shape) <= 5:
        raise ValueError(f"{where}: x must have 3 to 5 axes, got shape {shape}")
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(
            f"{where}: data_format must be 'channels_last' or 'channels_first', got {data_format!r}"
        )
    first = 1 if data_format == "channels_last" else 2
    return tuple(range(first, len(shape) - 2 + first))


def _noise(
    where: str,
    kind: type[Recipe],
    x: Any,
    rate: Any,
    rng: Any,
    shared_axes: Any,
    training: bool,
    out: np.ndarray | None,
    return_mask: bool,
):
    """Check everything, then draw and apply."""
    given, x = x, check_array(x, where)
    rate = check_rate(rate, where)
    axes = check_axes(shared_axes, x.ndim, where)
    draw = source(rng, where)
    if out is None and training and isinstance(rate, float) and rate and is_direct(x):
        # The usual call, for which all that `apply_noise` still asks is known.
        kernels.active(), team_size(x.nbytes)  # raise for bad settings, before a draw
        y = np.empty(x.shape, x.dtype)
        mask = kind.of(x.shape, rate, axes, *draw())
        mask.write_forward(x, y)
        return (y, mask) if return_mask else y
    y, mask = apply_noise(where, kind, x, rate, draw, axes, out, training)
    if y is x and isinstance(given, np.ndarray):
        y = given
    return (y, mask) if return_mask else y


def apply_noise(
    where: str,
    kind: type[Recipe],
    x: np.ndarray,
    rate: float | np.ndarray,
    draw: Callable[[], tuple[int, int]],
    axes: tuple[int, ...],
    out: np.ndarray | None,
    training: bool = True,
    share: Share | None = None,
    write: Callable[[Any, np.ndarray, np.ndarray], None] | None = None,
) -> tuple[np.ndarray, Any]:
    """Noise of a kind, and its recipe, for a checked rate and checked axes; `draw`
    is asked for key and stream once nothing can fail any more. With a share, `x`
    is these rows of a batch. `write` puts the noise on it."""
    x = check_array(x, where)
    if not isinstance(rate, float):
        check_rates_fit(rate, layout(whole(x.shape, share), axes).shape, where)
    if out is not None:
        check_out(out, x, where)
    if training and not (isinstance(rate, float) and rate == 0.0):
        operands, result = prepare(out, x)
        kernels.active(), team_size(x.nbytes)  # raise for bad settings
        mask = drawn(kind, x.shape, rate, axes, draw(), share)
        (write or kind.write_forward)(mask, *operands)
        return finish(operands, result, out), mask
    mask = kind.of(x.shape, 0.0, axes, 0, 0)
    if out is None:
        return x, mask
    np.copyto(out, x)
    return out, mask
