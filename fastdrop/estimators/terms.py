"""Losses and steps in scikit-learn's terms: the same numbers for the same weights."""

from __future__ import annotations

from math import sqrt

import numpy as np

from fastdrop.kernels.layers import layer_kernels
from fastdrop.nn.losses import BinaryCrossEntropy, MeanSquaredError, _column, _Elementwise
from fastdrop.nn.optimizers import SGD, Adam
from fastdrop.threads import team_size


class SummedCrossEntropy(BinaryCrossEntropy):
    """Of several questions the sum, and not the mean."""

    def forward(
        self, logits: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None
    ) -> float:
        return super().forward(logits, y, weights) * logits.shape[1]

    def backward(self) -> np.ndarray:
        dz = super().backward()
        dz *= dz.shape[1]
        return dz


class HalfSquaredError(MeanSquaredError):
    """Half the squares. The loss is their mean over several outputs, but the gradient is
    that of their sum: scikit-learn has both, and its `tol` and `learning_rate_init`
    belong to them."""

    def forward(
        self, outputs: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None
    ) -> float:
        return super().forward(outputs, y, weights) / 2

    def backward(self) -> np.ndarray:
        dz = super().backward()
        dz *= dz.shape[1] / 2
        return dz


class HalfPoissonDeviance(_Elementwise):
    """``y log(y / p) - y + p`` for ``p = exp(output)``, summed over several outputs.

    Targets are at least 0.
    """

    def _check_range(self, y: np.ndarray, where: str) -> None:
        # Written so that NaN fails.
        right = (y >= 0) & (y < np.inf)
        if not right.all():
            raise ValueError(
                f"{where}: y must be finite and at least 0 for the loss 'poisson', "
                f"got {y[~right][0]}"
            )

    def forward(
        self, outputs: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None
    ) -> float:
        y = np.asarray(y, outputs.dtype)
        p = np.exp(outputs)
        weights = _column(weights, outputs)
        share = 1 / len(y) if weights is None else weights / len(y)
        self._last = ((p - y) * share,)
        losses = y * np.log(np.where(y > 0, y, 1)) - y * outputs - y + p
        return float((losses * share).sum())

    def backward(self) -> np.ndarray:
        return self._remembered()[0]

    def predict(self, outputs: np.ndarray) -> np.ndarray:
        """Expected counts."""
        return np.exp(outputs)


class Momentum(SGD):
    """Momentum of steps, and not of gradients: each has in it the learning rate of its time."""

    def _move(self, param, grad, rate, step, factor, velocity=None) -> None:
        super()._move(param, grad, 1.0, step, factor * rate, velocity)


class EpsilonHat(Adam):
    """Adam in the second form of its paper (end of section 2): epsilon is added to the
    second moment before that is corrected for its start at 0."""

    def _move(self, param, grad, rate, step, factor, moment, square) -> None:
        root = sqrt(1 - self.beta_2**step)
        layer_kernels().adam(
            param,
            grad,
            moment,
            square,
            rate / (1 - self.beta_1**step),
            self.beta_1,
            self.beta_2,
            1 / root,
            self.epsilon / root,
            0.0,
            factor,
            team_size(param.nbytes),
        )
