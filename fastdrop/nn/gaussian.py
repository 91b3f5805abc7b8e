"""Gaussian noise in training: multiplied, added, or of a learned strength."""

from __future__ import annotations

from math import inf, log
from typing import Any

import numpy as np

from fastdrop.additive import add_normals
from fastdrop.arrays import check_array
from fastdrop.functional import apply_noise
from fastdrop.gaussian import GaussianMask
from fastdrop.layout import check_axes
from fastdrop.nn.arguments import check_number
from fastdrop.nn.layer import Shape
from fastdrop.nn.noise import Drawing, Noise
from fastdrop.nn.sources import Sources
from fastdrop.rates import check_rate


class GaussianDropout(Noise):
    """Multiplies by Gaussian noise of mean 1 and variance ``rate / (1 - rate)``, in training.

    Parameters
    ----------
    rate, shared_axes, rng
        As in `Dropout`, whose mean and variance the noise has.

    Attributes
    ----------
    mask : GaussianMask or None
        As of `Dropout`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `Dropout`.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple
    way to prevent neural networks from overfitting", JMLR 15, 2014, section 10.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.GaussianDropout(0.2, rng=0)
    >>> y = layer.forward(np.ones((100, 100)), training=True)
    >>> round(float(y.mean()), 1), round(float(y.var()), 2)
    (1.0, 0.25)
    """

    kind = GaussianMask

    def __init__(
        self, rate: Any = 0.5, shared_axes: int | tuple[int, ...] = (), *, rng: Any = None
    ) -> None:
        super().__init__(rate, shared_axes, rng)


class GaussianNoise(Drawing):
    """Adds Gaussian noise of mean 0 in training.

    Parameters
    ----------
    stddev : float
        Standard deviation of the noise, at least 0.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where the noise comes from, as in `Dropout`.

    Raises
    ------
    TypeError, ValueError
        If `stddev` or `rng` is of a wrong kind or out of its range.

    References
    ----------
    Bishop, "Training with noise is equivalent to Tikhonov regularization",
    Neural Computation 7, 1995.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.GaussianNoise(3.0, rng=0)
    >>> round(float(layer.forward(np.zeros((200, 200)), training=True).std()), 1)
    3.0
    """

    def __init__(self, stddev: float, *, rng: Any = None) -> None:
        super().__init__(rng)
        self.stddev = check_number(stddev, "stddev", self.where)

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        if not training:
            return x
        if self._rng is None:
            self.build(x.shape, x.dtype)
        x = check_array(x, self.where)
        out = self._room("y", x.shape, x.dtype) if self.reuses else None
        first = self.share.first if self.share else 0
        return add_normals("gaussian_noise", x, self.stddev, self.draw, out, first)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy


# KL divergence from the log-uniform prior, Molchanov et al. 2017, equation 14.
_K1, _K2, _K3 = 0.63576, 1.87320, 1.48695


class VariationalDropout(Drawing):
    """Gaussian dropout whose strength each unit learns: ``x * N(1, alpha)`` in training.

    Parameters
    ----------
    rate : float, default 0.5
        Where training begins, in [0, 1]: ``alpha = rate / (1 - rate)``. At 1 the
        result is 0, and nothing is learned.
    kl_weight : float, default 1.0
        Factor of the penalty, at least 0. For a loss that is a mean over the
        samples it is outgoing weights for each unit, over the number of
        training samples.
    shared_axes : int or tuple of int, default ()
        Axes along which one draw is shared.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where the noise comes from, as in `Dropout`.

    Attributes
    ----------
    params, grads : dict
        ``"log_alpha"``, of shape (units,); units are the last axis.
    mask : GaussianMask or None
        As of `Dropout`, with a rate for each unit.
    rate : float
        Where training began.
    current_rate : ndarray of shape (units,)
        ``alpha / (1 + alpha)``: near 1 for units that do without their input.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `Dropout`.

    Notes
    -----
    The penalty is ``kl_weight`` times the sum over units of the KL divergence of
    the noise from a log-uniform prior, approximately
    ``k1 - k1 * sigmoid(k2 + k3 * log(alpha)) + log(1 + 1 / alpha) / 2`` with
    ``k1, k2, k3 = 0.63576, 1.87320, 1.48695`` [2]_, which holds for every alpha;
    in [1]_ alpha is at most 1. With ``y = x * (1 + sqrt(alpha) * e)`` the
    gradient by ``log(alpha)`` is ``sum(dy * (y - x)) / 2``.

    References
    ----------
    .. [1] Kingma, Salimans, Welling, "Variational dropout and the local
       reparameterization trick", NeurIPS 2015.
    .. [2] Molchanov, Ashukha, Vetrov, "Variational dropout sparsifies deep
       neural networks", ICML 2017, equation 14.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.VariationalDropout(0.2, rng=0)
    >>> y = layer.forward(np.ones((10_000, 2)), training=True)
    >>> np.round(layer.current_rate, 3), round(float(y.var()), 2)
    (array([0.2, 0.2]), 0.25)
    """

    def __init__(
        self,
        rate: float = 0.5,
        kl_weight: float = 1.0,
        shared_axes: int | tuple[int, ...] = (),
        *,
        rng: Any = None,
    ) -> None:
        super().__init__(rng)
        checked = check_rate(rate, self.where)
        if not isinstance(checked, float):
            raise TypeError(f"{self.where}: rate must be one number, got an array of rates")
        self.rate = checked
        self.kl_weight = check_number(kl_weight, "kl_weight", self.where)
        self.shared_axes = shared_axes
        self.mask: GaussianMask | None = None
        self._x: np.ndarray | None = None

    @property
    def current_rate(self) -> np.ndarray:
        """Rates of the next training batch."""
        with np.errstate(over="ignore"):
            return 1.0 / (1.0 + np.exp(-self.params["log_alpha"].astype(np.float64)))

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        axes = check_axes(self.shared_axes, len(input_shape), self.where)
        units = input_shape[-1] if len(input_shape) > 1 else None
        if not units or len(input_shape) - 1 in axes:
            raise ValueError(
                f"{self.where}: expected an input of shape (batch, ..., units), units not shared, "
                f"got input of shape {input_shape} and shared_axes {self.shared_axes}"
            )
        if not self.params:
            odds = inf if self.rate == 1 else self.rate / (1 - self.rate)
            start = log(odds) if odds else -inf
            self.params = {"log_alpha": np.full(units, start, dtype)}
        elif len(self.params["log_alpha"]) != units:
            raise ValueError(
                f"{self.where}: expected last axis {len(self.params['log_alpha'])}, "
                f"got input of shape {input_shape}"
            )
        return super().build(input_shape, dtype, sources)

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        x = self._input(x)
        if not self.params or x.shape[-1:] != self.params["log_alpha"].shape:
            self.build(x.shape, x.dtype)
        self._x, self.mask = x, None
        if not training:
            return x
        axes = check_axes(self.shared_axes, x.ndim, self.where)
        out = self._room("y", x.shape, x.dtype)
        rate = self.current_rate
        y, self.mask = apply_noise(
            self.where, GaussianMask, x, rate, self.draw, axes, out, share=self.share
        )
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x = self._remembered(self._x)
        dy = self._gradient(dy, x.shape, x.dtype)
        by_kl = self.kl_weight * self._divergence(derivative=True)
        if self.mask is None:
            self.grads = {"log_alpha": by_kl.astype(x.dtype)}
            return dy
        # The noise itself, times x, drawn again.
        noise = self.mask.apply(x, self._room("noise", x.shape, x.dtype))
        noise -= x
        noise *= dy
        by_noise = 0.5 * noise.reshape(-1, x.shape[-1]).sum(axis=0, dtype=np.float64)
        by_noise[self.current_rate == 1] = 0
        self.grads = {"log_alpha": (by_noise + by_kl).astype(x.dtype)}
        return self.mask.apply(dy, self._room("dx", dy.shape, dy.dtype))

    def penalty(self) -> float:
        return self.kl_weight * float(self._divergence().sum())

    def forget(self) -> None:
        super().forget()
        self._x = None

    def _divergence(self, derivative: bool = False) -> np.ndarray:
        """The KL divergence of each unit, or its derivative by ``log(alpha)``; 0 where
        alpha is 0 or infinite, which no step can change."""
        log_alpha = self.params["log_alpha"].astype(np.float64)
        fixed = np.isinf(log_alpha)
        log_alpha[fixed] = 0.0
        s = 1.0 / (1.0 + np.exp(-(_K2 + _K3 * log_alpha)))
        if derivative:
            value = -_K1 * _K3 * s * (1 - s) - 0.5 / (1.0 + np.exp(log_alpha))
        else:
            value = _K1 - _K1 * s + 0.5 * np.log1p(np.exp(-log_alpha))
        value[fixed] = 0.0
        return value
