"""Loss functions, with what each says of outputs: probabilities and right answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.nn.layer import Shape


class SoftmaxCrossEntropy:
    """Cross-entropy of the softmax of logits, on integer labels, mean over the batch.

    Notes
    -----
    For logits `z` of shape (batch, classes) and labels `t`,

        loss = mean_n( log(sum_k exp(z[n, k] - m[n])) - (z[n, t[n]] - m[n]) )

    with the row's maximum `m` taken out, so that no exponential overflows
    [1]_. Backward: ``(softmax(z) - onehot(t)) / batch``.

    References
    ----------
    .. [1] Goodfellow, Bengio, Courville, "Deep Learning", MIT Press 2016,
       sections 4.1 and 6.2.2.3.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> loss = fastdrop.nn.SoftmaxCrossEntropy()
    >>> round(loss.forward(np.zeros((4, 10)), np.array([0, 1, 2, 9])), 4)  # log(10)
    2.3026
    >>> float(abs(loss.backward().sum(axis=1)).max()) < 1e-15
    True
    """

    def __init__(self) -> None:
        self._probabilities: np.ndarray | None = None
        self._labels: np.ndarray | None = None

    def check(self, y: Any, output_shape: Shape, where: str) -> np.ndarray:
        """Labels as an array that fits outputs of `output_shape` (batch, classes).

        Raises
        ------
        TypeError
            If they are not integers.
        ValueError
            If there is not one for each sample, or one is outside
            ``[0, classes)``.
        """
        if len(output_shape) != 2:
            raise ValueError(
                f"{where}: softmax_cross_entropy expects outputs of shape (batch, classes), "
                f"got outputs of shape {output_shape}"
            )
        samples, classes = output_shape
        labels = np.asarray(y)
        if labels.dtype.kind not in "iu":
            raise TypeError(f"{where}: y must hold integer labels, got {labels.dtype}")
        if labels.shape != (samples,):
            raise ValueError(
                f"{where}: y must hold one label for each of {samples} samples, "
                f"shape ({samples},), got shape {labels.shape}"
            )
        wrong = (labels < 0) | (labels >= classes)
        if wrong.any():
            raise ValueError(
                f"{where}: y must hold labels in [0, {classes}), the network's outputs, "
                f"got {labels[wrong][0]}"
            )
        return labels

    def forward(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """The mean loss of checked labels."""
        z = logits - logits.max(axis=1, keepdims=True)
        picked = z[np.arange(len(labels)), labels]
        np.exp(z, out=z)
        total = z.sum(axis=1)
        z /= total[:, None]
        self._probabilities, self._labels = z, labels
        return float(np.mean(np.log(total) - picked))

    def backward(self) -> np.ndarray:
        """Gradient of the last `forward` by the logits, in an array of its own."""
        if self._probabilities is None or self._labels is None:
            raise RuntimeError("SoftmaxCrossEntropy: backward needs a forward before it")
        dz = self._probabilities.copy()
        dz[np.arange(len(dz)), self._labels] -= 1
        dz /= len(dz)
        return dz

    def predict(self, logits: np.ndarray) -> np.ndarray:
        """Class probabilities: the softmax of each row."""
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return p

    def correct(self, logits: np.ndarray, labels: np.ndarray) -> int:
        """How many samples have their largest logit at their label."""
        return int(np.count_nonzero(logits.argmax(axis=1) == labels))


LOSSES = {"softmax_cross_entropy": SoftmaxCrossEntropy}
