"""Zoneout along the time steps of a sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.mask import Mask
from fastdrop.nn.layer import Shape
from fastdrop.nn.noise import Noise
from fastdrop.nn.sources import Sources
from fastdrop.share import drawn


class Zoneout(Noise):
    """Keeps the previous time step's value, in training, where dropout would give 0.

    Parameters
    ----------
    rate : float, array_like of float, or schedule, default 0.5
        Probability of the previous value, in [0, 1], as in `Dropout`.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where the masks come from, as in `Dropout`.

    Attributes
    ----------
    mask : Mask or None
        As of `Dropout`; where it keeps, a step has its own value.

    Raises
    ------
    TypeError, ValueError
        As `Dropout`, and if the input is not (batch, time, features).

    Notes
    -----
    ``y[t] = x[t]`` with probability ``1 - rate``, else ``y[t - 1]``, and before
    the first step stands 0. Outside training ``y[t] = (1 - rate) * x[t] + rate *
    y[t - 1]``. Recurrent layers do it to their states: see their ``zoneout``.

    References
    ----------
    Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden
    activations", ICLR 2017.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> x = np.arange(1.0, 7.0).reshape(1, 6, 1)
    >>> fastdrop.nn.Zoneout(0.5, rng=0).forward(x, training=True).ravel()
    array([1., 1., 1., 4., 5., 6.])
    >>> fastdrop.nn.Zoneout(0.5).forward(x[:, :3]).ravel()
    array([0.5  , 1.25 , 2.125])
    """

    def __init__(self, rate: Any = 0.5, *, rng: Any = None) -> None:
        super().__init__(rate, (), rng)
        self._kept: np.ndarray | None = None

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        self._check(input_shape)
        return super().build(input_shape, dtype, sources)

    def forward(
        self, x: np.ndarray, training: bool = False, out: np.ndarray | None = None
    ) -> np.ndarray:
        x = self._input(x)
        self._check(x.shape)
        if training and self._rng is None:
            self.build(x.shape, x.dtype)
        rate = self.current_rate
        y = self._room("y", x.shape, x.dtype) if out is None else out
        if training:
            self.mask = drawn(Mask, x.shape, rate, (), self.draw(), self.share)
            kept = self.mask.keep()
            if callable(self.rate):
                self.state["step"] += 1
        else:
            self.mask = None
            kept = np.broadcast_to(np.asarray(1 - np.asarray(rate), x.dtype), x.shape)
        self._kept = kept
        before: Any = np.zeros(x[:, 0].shape, x.dtype)
        for t in range(x.shape[1]):
            y[:, t] = before = self._mix(kept[:, t], x[:, t], before)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        kept = self._remembered(self._kept)
        dy = self._gradient(dy, kept.shape, dy.dtype)
        dx = self._room("dx", dy.shape, dy.dtype)
        zero = later = np.zeros(dy[:, 0].shape, dy.dtype)
        for t in reversed(range(dy.shape[1])):
            later = later + dy[:, t]
            dx[:, t] = self._mix(kept[:, t], later, zero)
            later = self._mix(kept[:, t], zero, later)
        return dx

    def forget(self) -> None:
        super().forget()
        self._kept = None

    @staticmethod
    def _mix(kept: np.ndarray, new: np.ndarray, old: np.ndarray) -> np.ndarray:
        """The one or the other by a mask, or both by its expectation."""
        if kept.dtype == bool:
            return np.where(kept, new, old)
        return kept * new + (1 - kept) * old

    def _check(self, shape: Shape) -> None:
        if len(shape) != 3 or shape[1] == 0:
            raise ValueError(
                f"{self.where}: expected an input of shape (batch, time, features) with at least "
                f"one time step, got input of shape {shape}"
            )
