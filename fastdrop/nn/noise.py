"""Layers that are noise in training and nothing at all afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.functional import dropout
from fastdrop.layout import check_axes, layout
from fastdrop.mask import Mask, MaskStream
from fastdrop.nn.layer import Layer, Shape
from fastdrop.nn.sources import Sources
from fastdrop.rates import check_rate
from fastdrop.recipe import check_rates_fit
from fastdrop.rng import source


class Dropout(Layer):
    """Inverted dropout in training, the identity otherwise.

    Parameters
    ----------
    rate : float or array_like of float, default 0.5
        Probability of dropping, in [0, 1]; an array as in `fastdrop.dropout`.
    shared_axes : int or tuple of int, default ()
        Axes along which one draw is shared; 0 shares it over the batch.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where the masks come from; by default from the `Sequential` around it,
        or else fresh entropy. An int or a SeedSequence starts a `MaskStream`,
        which the layer goes on drawing from.

    Attributes
    ----------
    mask : Mask or None
        The recipe of the last forward pass with ``training=True``, and all
        that the layer remembers; None after one with ``training=False``.
        ``mask.keep()`` says which units were kept.

    Raises
    ------
    TypeError, ValueError
        If `rate` or `rng` is of a wrong kind or out of its range.
    numpy.exceptions.AxisError
        In the first call, if a shared axis is not one of the input.

    Notes
    -----
    Forward is ``mask.apply(x)`` and backward ``mask.apply(dy)``: a diagonal
    operator is its own adjoint.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple
    way to prevent neural networks from overfitting", JMLR 15, 2014.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.Dropout(0.5, rng=0)
    >>> x = np.ones((2, 4), np.float32)
    >>> y = layer.forward(x, training=True)
    >>> bool((layer.backward(x) == y).all())
    True
    >>> layer.forward(x, training=False) is x
    True
    """

    def __init__(
        self,
        rate: Any = 0.5,
        shared_axes: int | tuple[int, ...] = (),
        *,
        rng: Any = None,
    ) -> None:
        super().__init__()
        self.rate = check_rate(rate, self.where)
        self.shared_axes = shared_axes
        self.mask: Mask | None = None
        source(rng, self.where)  # raises for what is no rng
        # The functional calls start a new stream for every int: the same mask
        # at every step. A layer goes on.
        lasting = (type(None), MaskStream, np.random.Generator, np.random.BitGenerator)
        self._own = rng if isinstance(rng, lasting) else MaskStream(rng)
        self._rng = self._own

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        axes = check_axes(self.shared_axes, len(input_shape), self.where)
        if not isinstance(self.rate, float):
            # Batches may be of another size than the first: their axis fits any.
            rows = np.shape(self.rate)[0] if np.ndim(self.rate) == len(input_shape) else 1
            own = layout((rows, *(size or 1 for size in input_shape[1:])), axes).shape
            check_rates_fit(self.rate, own, self.where)
        if self._own is None:
            self._rng = MaskStream() if sources is None else sources.masks
        return input_shape

    def forward(
        self, x: np.ndarray, training: bool = False, out: np.ndarray | None = None
    ) -> np.ndarray:
        if not training:
            self.mask = None
            return x
        if self._rng is None:
            self.build(x.shape, x.dtype)
        if out is None and self.reuses:
            out = self._room("y", x.shape, x.dtype)
        y, self.mask = dropout(
            x, self.rate, rng=self._rng, shared_axes=self.shared_axes, out=out, return_mask=True
        )
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        if self.mask is None:
            return dy
        return self.mask.apply(dy, self._room("dx", dy.shape, dy.dtype))


class _Spatial(Dropout):
    """One draw for all of some axes, in inputs of one rank."""

    axes: tuple[int, ...]
    layout: str

    def __init__(self, rate: Any = 0.5, *, rng: Any = None) -> None:
        super().__init__(rate, self.axes, rng=rng)

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        self._check(input_shape)
        return super().build(input_shape, dtype, sources)

    def forward(
        self, x: np.ndarray, training: bool = False, out: np.ndarray | None = None
    ) -> np.ndarray:
        self._check(x.shape)
        return super().forward(x, training, out)

    def _check(self, shape: Shape) -> None:
        if len(shape) != len(self.axes) + 2:
            raise ValueError(
                f"{self.where}: expected an input of shape {self.layout}, "
                f"got input of shape {shape}"
            )


class SpatialDropout1D(_Spatial):
    """Drops whole channels of sequences (N, T, C) in training.

    Parameters, errors and ``mask`` are those of `Dropout`; the draw is shared
    along axis 1.

    References
    ----------
    Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization
    using convolutional networks", CVPR 2015.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> y = fastdrop.nn.SpatialDropout1D(0.5, rng=0).forward(np.ones((2, 9, 4)), training=True)
    >>> bool((y == y[:, :1]).all())
    True
    """

    axes, layout = (1,), "(N, T, C)"


class SpatialDropout2D(_Spatial):
    """Drops whole feature maps of images (N, H, W, C) in training.

    Parameters, errors and ``mask`` are those of `Dropout`; the draw is shared
    along axes 1 and 2. Reference: that of `SpatialDropout1D`.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.SpatialDropout2D(0.5, rng=0)
    >>> y = layer.forward(np.ones((2, 5, 5, 3)), training=True)
    >>> bool((y == y[:, :1, :1]).all())
    True
    """

    axes, layout = (1, 2), "(N, H, W, C)"


class SpatialDropout3D(_Spatial):
    """Drops whole feature maps of volumes (N, D, H, W, C) in training.

    Parameters, errors and ``mask`` are those of `Dropout`; the draw is shared
    along axes 1, 2 and 3. Reference: that of `SpatialDropout1D`.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.SpatialDropout3D(0.5, rng=0)
    >>> layer.forward(np.ones((2, 5, 5, 5, 3)), training=True).shape
    (2, 5, 5, 5, 3)
    """

    axes, layout = (1, 2, 3), "(N, D, H, W, C)"


class TemporalDropout(_Spatial):
    """One mask for all time steps of (batch, time, features), in training.

    Parameters, errors and ``mask`` are those of `Dropout`; the draw is shared
    along axis 1.

    References
    ----------
    Gal, Ghahramani, "A theoretically grounded application of dropout in
    recurrent neural networks", NeurIPS 2016.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> y = fastdrop.nn.TemporalDropout(0.5, rng=0).forward(np.ones((2, 9, 4)), training=True)
    >>> bool((y == y[:, :1]).all())
    True
    """

    axes, layout = (1,), "(batch, time, features)"


# Those that multiply what they keep, and nothing else.
DROPOUTS = (Dropout, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D, TemporalDropout)
