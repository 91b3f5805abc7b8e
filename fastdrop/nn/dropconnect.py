"""A fully connected layer whose weights are dropped."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.kernels.layers import layer_kernels
from fastdrop.mask import Mask
from fastdrop.nn.dense import Dense
from fastdrop.nn.initializers import Initializer
from fastdrop.nn.layer import Layer, Shape
from fastdrop.nn.noise import Noise
from fastdrop.nn.schedules import config_of
from fastdrop.nn.sources import Sources
from fastdrop.threads import get_num_threads


class DropConnect(Dense):
    """A fully connected layer that drops weights, not units, in training.

    Parameters
    ----------
    units : int
        Size of the output's last axis, at least 1.
    rate : float, array_like of float, or schedule, default 0.5
        Probability of dropping a weight, in [0, 1], as in `Dropout`.
    init, l1, l2, max_norm
        As in `Dense`. Penalties are those of all weights, dropped or not.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where first weights and masks come from; by default from the
        `Sequential` around it, or else fresh entropy.

    Attributes
    ----------
    params, grads : dict
        As of `Dense`.
    mask : Mask or None
        The recipe of the last forward pass with ``training=True``, of the shape
        of the weights.

    Raises
    ------
    TypeError, ValueError
        As `Dense` and `Dropout`.

    Notes
    -----
    ``y = x @ mask.apply(weight) + bias``; back, ``dweight = mask.apply(x.T @
    dy)`` and ``dx = dy @ mask.apply(weight).T``. One mask serves the whole
    batch; in [1]_ every sample has its own, which takes as many products of a
    vector and a matrix. Outside training the weights are what they are, the
    mean of the masked ones, where [1]_ samples outputs of a Gaussian.

    References
    ----------
    .. [1] Wan, Zeiler, Zhang, LeCun, Fergus, "Regularization of neural networks
       using DropConnect", ICML 2013.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer, x = fastdrop.nn.DropConnect(2, 0.5, rng=0), np.eye(3)
    >>> y = layer.forward(x, training=True)
    >>> bool((y == layer.params["weight"] * layer.mask.keep() * 2).all())
    True
    """

    def __init__(
        self,
        units: int,
        rate: Any = 0.5,
        *,
        init: Initializer = "he_normal",
        l1: float = 0.0,
        l2: float = 0.0,
        max_norm: float | None = None,
        rng: Any = None,
    ) -> None:
        super().__init__(units, init=init, l1=l1, l2=l2, max_norm=max_norm, rng=rng)
        self._noise = Noise(rate, (), self._sources.masks if self._sources else None)

    @property
    def inner(self) -> list[Layer]:
        return [self._noise]

    @property
    def noisy(self) -> bool:
        return True

    @property
    def rate(self) -> Any:
        """The rate or its schedule."""
        return self._noise.rate

    @rate.setter
    def rate(self, rate: Any) -> None:
        self._noise.rate = rate

    @property
    def mask(self) -> Mask | None:
        return self._noise.mask

    @property  # type: ignore[override]
    def state(self) -> dict[str, np.ndarray]:
        return self._noise.state

    @state.setter
    def state(self, arrays: dict[str, np.ndarray]) -> None:
        if "_noise" in vars(self):
            self._noise.state = arrays

    def config(self) -> dict[str, Any]:
        return super().config() | {"rate": config_of(self.rate)}

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        shape = super().build(input_shape, dtype, sources)
        self._noise.build(self.params["weight"].shape, dtype, sources)
        return shape

    def forget(self) -> None:
        super().forget()
        self._noise.forget()

    def _weight(self, training: bool) -> np.ndarray:
        self._noise.share = None  # of processes with parts of a batch all have these weights
        return self._noise.forward(self.params["weight"], training)

    def _weight_gradient(self, x: np.ndarray, dz: np.ndarray, added: bool) -> None:
        if self.mask is None:
            super()._weight_gradient(x, dz, added)
            return
        grad = self.grads["weight"]
        product, threads = self._room("dweight", grad.shape, grad.dtype), get_num_threads()
        layer_kernels().matmul(x, dz, product, True, False, None, False, False, threads)
        if added:  # to a penalty's, which no mask touches
            grad += self.mask.apply(product, product)
        else:
            self.mask.apply(product, grad)
