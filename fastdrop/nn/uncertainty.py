"""What many predictions of the same rows say about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastdrop.nn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy


class MonteCarlo(NamedTuple):
    """What `Sequential.predict_mc` finds.

    Attributes
    ----------
    mean : ndarray of shape (rows, outputs)
        Mean over the samples of what `Sequential.predict` gives: of the
        probabilities of classes, or of the outputs of a regression.
    std : ndarray of shape (rows, outputs)
        Their standard deviation, the root of the mean squared distance from
        `mean`.
    entropy : ndarray of shape (rows,), or None
        Of `mean`, in nats: how uncertain the prediction is. None where the
        loss knows no classes.
    mutual_information : ndarray of shape (rows,), or None
        `entropy` minus the mean entropy of the samples: the part of the
        uncertainty that more training data could take away. At least 0.
    samples : ndarray of shape (samples, rows, outputs), or None
        All of them, where asked for.
    """

    mean: np.ndarray
    std: np.ndarray
    entropy: np.ndarray | None
    mutual_information: np.ndarray | None
    samples: np.ndarray | None


class Summary:
    """Sums over samples of the same rows.

    Of distances from the first sample: squares of the samples themselves would
    lose what is small beside a large mean.
    """

    def __init__(self, loss: Loss, samples: int) -> None:
        """With room for so many samples; 0 keeps none."""
        found = (terms for kind, terms in _TERMS.items() if isinstance(loss, kind))
        self._terms = next(found, None)
        self._samples = samples
        self._kept: np.ndarray | None = None
        self._first: np.ndarray | None = None
        self._count = 0
        self._sum: Any = np.float64(0)
        self._squares: Any = np.float64(0)
        self._entropies: Any = np.float64(0)

    def add(self, p: np.ndarray, group: slice) -> None:
        """Predictions (samples, rows, ...), of the samples of that group."""
        if self._first is None:
            self._first = p[0].copy(order="K")
            if self._samples:
                self._kept = np.empty((self._samples, *p.shape[1:]), p.dtype)
        if self._kept is not None:
            self._kept[group] = p
        distance = p - self._first
        self._count += len(p)
        self._sum = self._sum + _total(distance)
        self._squares = self._squares + _total(np.square(distance, out=distance))
        if self._terms:
            self._entropies = self._entropies + _total(self._terms(p))

    def result(self) -> MonteCarlo:
        assert self._first is not None
        dtype, shift = self._first.dtype, self._sum / self._count
        mean = self._first + shift
        std = np.sqrt(np.maximum(self._squares / self._count - shift * shift, 0))
        entropy = information = None
        if self._terms:
            entropy = self._terms(mean).sum(axis=-1)
            expected = (self._entropies / self._count).sum(axis=-1)
            # Rounding may lead below 0.
            information = np.maximum(entropy - expected, 0).astype(dtype)
            entropy = entropy.astype(dtype)
        mean, std = (array.astype(dtype, order="C") for array in (mean, std))
        return MonteCarlo(mean, std, entropy, information, self._kept)


def _total(array: np.ndarray) -> np.ndarray:
    """Over the samples, in float64."""
    return array[0] if len(array) == 1 else array.sum(axis=0, dtype=np.float64)


def _terms(p: np.ndarray) -> np.ndarray:
    """``-p log p``, 0 at 0, in the dtype of `p`."""
    logs = np.log(np.maximum(p, np.finfo(p.dtype).tiny))
    return np.multiply(logs, -p, out=logs)


def _binary_terms(p: np.ndarray) -> np.ndarray:
    """Of yes-or-no questions."""
    return _terms(p) + _terms(1 - p)


# What an entropy is a sum of, along the last axis: of classes, or of questions.
_TERMS: dict[type[Loss], Callable[[np.ndarray], np.ndarray]] = {
    SoftmaxCrossEntropy: _terms,
    BinaryCrossEntropy: _binary_terms,
}
