"""Dropout with a rate for each unit, by how strong it is."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from fastdrop.arrays import is_direct
from fastdrop.kernels.layers import layer_kernels
from fastdrop.nn.arguments import check_number
from fastdrop.nn.layer import Shape
from fastdrop.nn.noise import Noise
from fastdrop.nn.sources import Sources
from fastdrop.recipe import Recipe
from fastdrop.threads import get_num_threads

# What a batch adds to the mean is taken from its first samples, so many at least and of so
# many rows: they have it to 7 %, and the running mean, of ten to twenty batches, to 2 %. All
# of 1,024 rows took as long as a quarter of the noise.
SAMPLES, ROWS = 32, 128


class AdaptiveDropout(Noise):
    """Dropout of units, in training, by how strong they are: strong ones are dropped less.

    Parameters
    ----------
    rate : float or schedule, default 0.5
        Probability of dropping a unit of no importance, in [0, 1].
    momentum : float, default 0.9
        Of the running mean: how much of it each training batch leaves, in
        [0, 1).
    shared_axes, rng
        As in `Dropout`.

    Attributes
    ----------
    mask : Mask or None
        As of `Dropout`, with a rate for each unit.
    state : dict
        ``"importance"``, float64 (units,), in a checkpoint with the model.
    current_rate : float or ndarray of shape (units,)
        Rates of the next training batch.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `Dropout`.

    Notes
    -----
    Units are the last axis. After each training batch ``importance = momentum *
    importance + (1 - momentum) * mean(abs(x))``, the mean over its first 128 rows, or
    its first 32 samples where those have more; the next one has the rates
    ``rate * (1 - importance / max(importance))``, and `rate` for all as long as
    every importance is 0. The strongest unit is never dropped. Rates are rounded to
    multiples of 2**-16, those below 2**-17 to 0: then 16 bits decide a draw, and need
    not be asked whether they do.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.AdaptiveDropout(0.5, rng=0)
    >>> y = layer.forward(np.array([[1.0, 2.0, 4.0]]), training=True)
    >>> layer.current_rate
    array([0.375, 0.25 , 0.   ])
    """

    def __init__(
        self,
        rate: Any = 0.5,
        momentum: float = 0.9,
        shared_axes: int | tuple[int, ...] = (),
        *,
        rng: Any = None,
    ) -> None:
        super().__init__(rate, shared_axes, rng)
        self.momentum = check_number(momentum, "momentum", self.where, below=1)
        # Rates that were asked for, their thresholds and scales.
        self._limits: tuple[Any, ...] = (None,)

    @property
    def current_rate(self) -> float | np.ndarray:
        # Checked when it was set; a step of a training asks often, and calls take longer
        # than the rates.
        rate = self._rate
        if type(rate) is not float:
            rate = self._check_one(super().current_rate)
        importance = self.state.get("importance")
        if importance is None:
            return rate
        if not is_direct(importance) or importance.dtype != np.float64:
            importance = np.array(importance, np.float64)
        units = importance.shape
        rates, scales, thresholds = np.empty(units), np.empty(units), np.empty(units, np.uint64)
        if not layer_kernels().unit_rates(importance, rate, rates, thresholds, scales):
            return rate
        rates.flags.writeable = scales.flags.writeable = False
        self._limits = rates, thresholds, scales
        return rates

    def _check_rate(self, rate: Any) -> Any:
        rate = super()._check_rate(rate)
        return rate if callable(rate) else self._check_one(rate)

    def _check_one(self, rate: Any) -> float:
        if isinstance(rate, np.ndarray):
            raise TypeError(
                f"{self.where}: rate must be one number, got an array of rates {rate.shape}"
            )
        return rate

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        units = input_shape[-1] if len(input_shape) > 1 else None
        if not units:
            raise ValueError(
                f"{self.where}: expected an input of shape (batch, ..., units), "
                f"got input of shape {input_shape}"
            )
        if len(input_shape) - 1 in self.axes(len(input_shape)):
            raise ValueError(
                f"{self.where}: shared_axes must leave out the last axis, whose units have "
                f"rates of their own, got {self.shared_axes} for {len(input_shape)} axes"
            )
        known = self.state.get("importance")
        if known is None:
            self.state["importance"] = np.zeros(units)
        elif known.shape != (units,):
            raise ValueError(
                f"{self.where}: expected last axis {len(known)}, got input of shape {input_shape}"
            )
        return super().build(input_shape, dtype, sources)

    def forward(
        self, x: np.ndarray, training: bool = False, out: np.ndarray | None = None
    ) -> np.ndarray:
        if not training:
            return super().forward(x, training, out)
        if not is_direct(x):
            x = self._input(x)
        known = self.state.get("importance")
        if known is None or known.shape != x.shape[-1:]:
            self.build(x.shape, x.dtype)
        elif not is_direct(known) or known.dtype != np.float64:  # from elsewhere
            self.state["importance"] = np.array(known, np.float64)
        # Before the noise, which may be written over x.
        rows = x[:ROWS] if x.ndim == 2 else x[: _enough(x.shape)].reshape(-1, x.shape[-1])
        sums = np.empty(x.shape[-1], x.dtype)
        layer_kernels().magnitude_sums(rows, sums, get_num_threads())
        y = super().forward(x, training, out)
        share = (1.0 - self.momentum) / max(len(rows), 1)
        layer_kernels().running_mean(self.state["importance"], sums, self.momentum, share)
        return y

    def _fits(self, rate: Any, last: Any) -> bool:
        return rate is self._limits[0] and rate.shape == np.shape(last)

    def _again(self, rate: Any) -> Recipe:
        return self.mask.rerated(*self.draw(), *self._limits)


def _enough(shape: tuple[int, ...]) -> int:
    """How many samples of a batch make its mean."""
    count, *between, _ = shape
    return min(count, max(SAMPLES, -(-ROWS // max(prod(between), 1))))
