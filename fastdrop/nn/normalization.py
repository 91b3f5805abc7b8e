"""Batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.kernels.layers import layer_kernels
from fastdrop.nn.arguments import check_number
from fastdrop.nn.layer import Layer, Shape
from fastdrop.nn.sources import Sources
from fastdrop.share import Share
from fastdrop.threads import get_num_threads


class BatchNorm(Layer):
    """Batch normalisation of the last axis: of units, or of the channels of images.

    Parameters
    ----------
    momentum : float, default 0.9
        What the running statistics keep of their value in each step, in [0, 1).
    epsilon : float, default 1e-5
        Added to the variance, at least 0.
    synchronized : bool, default False
        In a training of several processes (``fit`` with ``comm``), take mean and
        variance of the whole batch, for two exchanges a step. Without it each
        process normalises its own rows, and the running statistics are means
        over the processes.

    Attributes
    ----------
    params, grads : dict
        ``"weight"`` and ``"bias"``, of shape (channels,): the scale, which
        starts as 1, and the shift, as 0.
    state : dict
        ``"mean"`` and ``"variance"``, of shape (channels,): the running
        statistics, which start as 0 and 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is no number or out of its range; in calls, if the
        input's last axis is not that of the first call.

    Notes
    -----
    In training ``y = weight * (x - mean) / sqrt(variance + epsilon) + bias``
    with mean and (biased) variance over all axes but the last, and the running
    statistics move towards mean and unbiased variance (algorithms 1 and 2 of
    [1]_). Otherwise the running statistics take their place. Between forward
    and backward the layer keeps a reference to `x`.

    References
    ----------
    .. [1] Ioffe, Szegedy, "Batch normalization", ICML 2015.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.BatchNorm()
    >>> y = layer.forward(np.array([[1.0], [3.0]]), training=True)
    >>> y.round(3)
    array([[-1.],
           [ 1.]])
    >>> layer.state["mean"]  # 0.9 * 0 + 0.1 * 2
    array([0.2])
    """

    def __init__(
        self, momentum: float = 0.9, epsilon: float = 1e-5, synchronized: bool = False
    ) -> None:
        super().__init__()
        if not isinstance(synchronized, (bool, np.bool_)):
            raise TypeError(f"{self.where}: synchronized must be a bool, got {synchronized!r}")
        self.synchronized = bool(synchronized)
        self.momentum = check_number(momentum, "momentum", self.where, below=1)
        self.epsilon = check_number(epsilon, "epsilon", self.where)
        self._x: np.ndarray | None = None
        self._used: tuple[np.ndarray, np.ndarray, bool] | None = None

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        if len(input_shape) < 2 or not input_shape[-1]:
            raise ValueError(
                f"{self.where}: expected an input of shape (batch, ..., channels), "
                f"got input of shape {input_shape}"
            )
        channels = input_shape[-1]
        if not self.params:
            self.params = {"weight": np.ones(channels, dtype), "bias": np.zeros(channels, dtype)}
            self.state = {"mean": np.zeros(channels, dtype), "variance": np.ones(channels, dtype)}
        self._check(input_shape)
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        x = self._input(x)
        if not self.params:
            self.build(x.shape, x.dtype)
        self._check(x.shape)
        rows = x.reshape(-1, x.shape[-1])
        mean, variance = self.state["mean"], self.state["variance"]
        if training:
            mean, variance = np.empty_like(mean), np.empty_like(variance)
            layer_kernels().moments(rows, mean, variance, get_num_threads())
            count = len(rows)
            if self._together:
                count = self._moments_of_all(count, mean, variance)
            self._move("mean", mean)
            self._move("variance", variance * (count / max(1, count - 1)))
        inverse = 1 / np.sqrt(variance + variance.dtype.type(self.epsilon))
        a = self.params["weight"] * inverse
        b = self.params["bias"] - mean * a
        y = self._room("y", rows.shape, rows.dtype)
        layer_kernels().channel_affine(rows, a, b, y, get_num_threads())
        self._x, self._used = x, (mean.copy(), inverse, training)
        return y.reshape(x.shape)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x, (mean, inverse, training) = self._remembered(self._x, self._used)
        kernels, threads = layer_kernels(), get_num_threads()
        rows = x.reshape(-1, x.shape[-1])
        dy = self._gradient(dy, x.shape, x.dtype).reshape(rows.shape)
        if self.grads.keys() != self.params.keys():
            self.grads = {name: np.empty_like(param) for name, param in self.params.items()}
        sums, products = self.grads["bias"], self.grads["weight"]
        kernels.channel_sums(rows, dy, mean, sums, products, threads)
        products *= inverse
        a = self.params["weight"] * inverse
        dx = self._room("dx", rows.shape, rows.dtype)
        if training:
            if self._together:
                sums, products = self._sums_of_all(sums, products)
            # dx = a * (dy - mean(dy) - xhat * mean(dy * xhat)), gathered by dy and x.
            b = -a * inverse * products / len(rows)
            c = -a * sums / len(rows) - b * mean
            kernels.channel_affine2(dy, rows, a, b, c, dx, threads)
        else:
            kernels.channel_affine(dy, a, np.zeros_like(a), dx, threads)
        return dx.reshape(x.shape)

    def forget(self) -> None:
        super().forget()
        self._x = None

    @property
    def _together(self) -> Share | None:
        return self.share if self.synchronized else None

    def _moments_of_all(self, count: int, mean: np.ndarray, variance: np.ndarray) -> int:
        """Make the own mean and variance those of all processes' rows; how many there are.

        Of parts with counts ``n``: ``variance = sum(n * (variance + (mean - all) **
        2)) / sum(n)``, which loses no digits (Chan, Golub, LeVeque, "Algorithms for
        computing the sample variance", The American Statistician 37, 1983).
        """
        share = self._remembered(self._together)
        found = share.ranks.gather(np.concatenate([[count * (share.own > 0)], mean, variance]))
        counts, means, variances = np.split(found, [1, 1 + len(mean)], axis=1)
        total = counts.sum()
        mean[...] = center = (counts * means).sum(axis=0) / total
        variance[...] = (counts * (variances + (means - center) ** 2)).sum(axis=0) / total
        return int(total)

    def _sums_of_all(self, sums: np.ndarray, products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those of all rows, in the terms of the own ones: the gradient here is that
        of the mean over the own rows, which counts ``share.weight`` in all."""
        share = self._remembered(self._together)
        both = share.weight * np.concatenate([sums, products], dtype=np.float64)
        total = share.ranks.gather(both).sum(axis=0).astype(sums.dtype)
        return total[: len(sums)], total[len(sums) :]

    def _move(self, name: str, now: np.ndarray) -> None:
        running = self.state[name]
        running *= self.momentum
        running += now * running.dtype.type(1 - self.momentum)

    def _check(self, shape: Shape) -> None:
        channels = len(self.params["weight"])
        if len(shape) < 2 or shape[-1] != channels:
            raise ValueError(
                f"{self.where}: expected last axis {channels}, got input of shape {shape}"
            )
