"""Standout: units are dropped by a rate that follows from their own input."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from fastdrop.nn.arguments import check_real
from fastdrop.nn.dense import Dense
from fastdrop.nn.fusion import NO_TAIL, Tail
from fastdrop.nn.initializers import Initializer
from fastdrop.nn.layer import Shape
from fastdrop.nn.noise import Drawing
from fastdrop.nn.sources import Sources
from fastdrop.standard import StandardMask


class Standout(Dense):
    """A fully connected layer with ReLU, whose units are kept by how strong they are.

    Parameters
    ----------
    units : int
        Size of the output's last axis, at least 1.
    alpha, beta : float, default 1.0 and 0.0
        Of the keep probability, ``sigmoid(alpha * (x @ weight) + beta)``.
    init, l1, l2, max_norm
        As in `Dense`.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where first weights and masks come from; by default from the
        `Sequential` around it, or else fresh entropy.

    Attributes
    ----------
    params, grads : dict
        As of `Dense`.
    mask : StandardMask or None
        The recipe of the last forward pass with ``training=True``, with a rate
        for each unit of each sample.

    Raises
    ------
    TypeError, ValueError
        As `Dense`.

    Notes
    -----
    In training ``y = keep * max(x @ weight + bias, 0)``, and outside it ``keep``
    is its expectation, the probability; nothing is rescaled [1]_. The mask's own
    network shares the layer's weights, as is proposed there, and gets no
    gradient of its own: where it drops, nothing goes back. Outside training the
    gradient goes through the activation alone.

    References
    ----------
    .. [1] Ba, Frey, "Adaptive dropout for training deep neural networks",
       NeurIPS 2013.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.Standout(3, beta=40.0, rng=0)  # as good as never dropped
    >>> x = np.ones((1, 2))
    >>> y = layer.forward(x, training=True)
    >>> bool((y == np.maximum(x @ layer.params["weight"], 0)).all())
    True
    """

    def __init__(
        self,
        units: int,
        alpha: float = 1.0,
        beta: float = 0.0,
        *,
        init: Initializer = "he_normal",
        l1: float = 0.0,
        l2: float = 0.0,
        max_norm: float | None = None,
        rng: Any = None,
    ) -> None:
        super().__init__(units, init=init, l1=l1, l2=l2, max_norm=max_norm, rng=rng)
        self.alpha = check_real(alpha, "alpha", self.where)
        self.beta = check_real(beta, "beta", self.where)
        self.mask: StandardMask | None = None
        self._drawing = Drawing(self._sources.masks if self._sources else None)
        self._slope: np.ndarray | None = None

    @property
    def inner(self) -> list[Any]:
        return [self._drawing]

    @property
    def noisy(self) -> bool:
        return True

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        self._drawing.build(input_shape, dtype, sources)
        return super().build(input_shape, dtype, sources)

    def forward(self, x: np.ndarray, training: bool = False, tail: Tail = NO_TAIL) -> np.ndarray:
        z = super().forward(x, training, tail)
        strength = (z - self.params["bias"]).astype(np.float64)
        with np.errstate(over="ignore"):
            rates = 1.0 / (1.0 + np.exp(self.alpha * strength + self.beta))
        np.maximum(z, 0, out=z)
        self.mask = None
        if training:
            # NaN drops nothing: it has to show in the loss.
            rates = np.nan_to_num(rates, copy=False)
            rates.flags.writeable = False
            # The rates are of the own rows, so there is no whole mask to slice.
            first = self.share.first * prod(z.shape[1:]) if self.share else 0
            self.mask = StandardMask.of(z.shape, rates, (), *self._drawing.draw(), first)
            self._slope = self.mask.apply((z > 0).astype(z.dtype))
            return self.mask.apply(z, z)
        kept = (1.0 - rates).astype(z.dtype)
        self._slope = kept * (z > 0)
        z *= kept
        return z

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return super().backward(self._through(dy))

    def learn(self, dy: np.ndarray) -> None:
        super().learn(self._through(dy))

    def forget(self) -> None:
        super().forget()
        self._slope = None

    def _through(self, dy: np.ndarray) -> np.ndarray:
        slope = self._remembered(self._slope)
        return self._gradient(dy, slope.shape, slope.dtype) * slope
