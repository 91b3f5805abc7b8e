"""Concrete dropout: a layer in front of which the rate is learned."""

from __future__ import annotations

from math import inf, log
from typing import Any

import numpy as np

from fastdrop.concrete import ConcreteMask
from fastdrop.functional import apply_noise
from fastdrop.kernels.layers import layer_kernels
from fastdrop.nn.arguments import check_number
from fastdrop.nn.conv import Conv2D
from fastdrop.nn.layer import Shape
from fastdrop.nn.noise import Drawing
from fastdrop.nn.sources import Sources
from fastdrop.nn.weighted import Weighted
from fastdrop.nn.wrapper import Wrapper
from fastdrop.rates import check_rate
from fastdrop.threads import get_num_threads


class ConcreteDropout(Wrapper, Drawing):
    """A layer with dropout of its input, whose rate is learned by gradient.

    Parameters
    ----------
    layer : Dense or Conv2D
        What gets the noisy input. Of a convolution whole feature maps of the
        input are dropped.
    rate : float, default 0.1
        Where training begins, in [0, 1]. At 0 and 1, whose logits are infinite,
        it stays there.
    weight_regularizer : float, default 1e-6
        ``lengthscale**2 / (tau * N)`` for N training samples and a noise
        precision tau, at least 0.
    dropout_regularizer : float, default 1e-5
        ``2 / (tau * N)``, or ``1 / N`` for cross-entropy; at least 0.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where the masks come from, as in `Dropout`.

    Attributes
    ----------
    params, grads : dict
        ``"logit"``, of shape (1,), that of the rate; and those of the layer, as
        ``"layer.weight"`` and ``"layer.bias"``.
    mask : ConcreteMask or None
        As of `Dropout`.
    current_rate : float
        What has been learned.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range.

    Notes
    -----
    `fastdrop.ConcreteMask` has the mask's formula. The penalty is
    ``weight_regularizer * sum(weight**2) / (1 - p)`` plus ``dropout_regularizer *
    K * (p * log(p) + (1 - p) * log(1 - p))``, with the rate ``p`` and ``K``
    features of the input [1]_; at the rates 0 and 1 the second part is 0, and at
    1 the first one, too. Outside training the input is left as it is.

    References
    ----------
    .. [1] Gal, Hron, Kendall, "Concrete dropout", NeurIPS 2017, equations 3 to 5.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop import nn
    >>> layer = nn.ConcreteDropout(nn.Dense(8, rng=0), rate=0.3, rng=0)
    >>> layer.forward(np.ones((4, 5)), training=True).shape
    (4, 8)
    >>> sorted(layer.params), round(layer.current_rate, 6)
    (['layer.bias', 'layer.weight', 'logit'], 0.3)
    """

    def __init__(
        self,
        layer: Weighted,
        rate: float = 0.1,
        weight_regularizer: float = 1e-6,
        dropout_regularizer: float = 1e-5,
        *,
        rng: Any = None,
    ) -> None:
        where = type(self).__name__
        if not isinstance(layer, Weighted):
            raise TypeError(f"{where}: layer must be a Dense or a Conv2D, got {layer!r}")
        Drawing.__init__(self, rng)
        self._hold({"layer": layer}, where)
        self.layer = layer
        checked = check_rate(rate, where)
        if not isinstance(checked, float):
            raise TypeError(f"{where}: rate must be one number, got an array of rates")
        self.rate = checked
        self.weight_regularizer = check_number(weight_regularizer, "weight_regularizer", where)
        self.dropout_regularizer = check_number(dropout_regularizer, "dropout_regularizer", where)
        self.mask: ConcreteMask | None = None
        self._x: np.ndarray | None = None

    @property
    def current_rate(self) -> float:
        """The rate of the next training batch."""
        if not self.own:
            return self.rate
        logit = float(self.own["logit"][0])
        with np.errstate(over="ignore"):
            return float(1.0 / (1.0 + np.exp(-logit)))

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        Drawing.build(self, input_shape, dtype, sources)
        shape = self.layer.build(input_shape, dtype, sources)
        if not self.own:
            odds = inf if self.rate == 1 else self.rate / (1 - self.rate)
            self.own = {"logit": np.full(1, log(odds) if odds else -inf, dtype)}
        return shape

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        x = self._input(x)
        if not self.own:
            self.build(x.shape, x.dtype)
        self._x, self.mask = x, None
        if training:
            axes = (1, 2) if isinstance(self.layer, Conv2D) else ()
            room = self._room("x", x.shape, x.dtype)
            rate = self.current_rate
            x, self.mask = apply_noise(
                self.where, ConcreteMask, x, rate, self.draw, axes, room, share=self.share
            )
        return self.layer.forward(x, training)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dx = self.layer.backward(dy)
        by_mask = self._finish(dx)
        return dx if by_mask is None else by_mask.apply(dx, self._room("dx", dx.shape, dx.dtype))

    def learn(self, dy: np.ndarray) -> None:
        self._finish(self.layer.backward(dy))

    def penalty(self) -> float:
        weights, entropy = self._regularizers()
        return super().penalty() + weights + entropy

    def forget(self) -> None:
        super().forget()
        self._x = None

    def _finish(self, dx: np.ndarray) -> ConcreteMask | None:
        """Fill in what the mask and the regularisers add to the gradients, given that
        by the noisy input."""
        weight, p = self.layer.params["weight"], self.current_rate
        logit = self.mask.gradient(self._remembered(self._x), dx) if self.mask else 0.0
        if 0 < p < 1:
            weights, _ = self._regularizers()
            slope = self.dropout_regularizer * weight.shape[-2] * float(self.own["logit"][0])
            logit += p * (weights + (1 - p) * slope)
        if p < 1:
            scale = 2 * self.weight_regularizer / (1 - p)
            self.layer.grads["weight"] += weight.dtype.type(scale) * weight
        self.own_grads = {"logit": np.full(1, logit, weight.dtype)}
        return self.mask

    def _regularizers(self) -> tuple[float, float]:
        """That of the weights, and that of the entropy."""
        weight, p = self.layer.params["weight"], self.current_rate
        squares = layer_kernels().sum_squares(weight, get_num_threads())
        weights = self.weight_regularizer * squares / (1 - p) if p < 1 else 0.0
        entropy = p * log(p) + (1 - p) * log(1 - p) if 0 < p < 1 else 0.0
        return weights, self.dropout_regularizer * weight.shape[-2] * entropy
