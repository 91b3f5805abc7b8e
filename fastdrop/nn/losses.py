"""Loss functions, with what each says of outputs: predictions and right answers."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np

from fastdrop.kernels.layers import layer_kernels
from fastdrop.nn.arguments import check_number
from fastdrop.nn.layer import Shape, plain
from fastdrop.threads import get_num_threads


class Loss:
    """What training makes small: a mean over the batch.

    Notes
    -----
    With ``weights``, one number a sample, the loss is
    ``sum_n(weights[n] * loss[n]) / batch``, as in Keras: twice the weight is
    twice the gradient, whatever else is in the batch.

    NaN and infinite outputs give a NaN or infinite loss; NumPy's warnings of
    them are left to the caller's `numpy.errstate`.
    """

    def check(self, y: Any, output_shape: Shape, where: str) -> np.ndarray:
        """What `forward` takes for outputs of `output_shape`, made of the user's `y`.

        Raises
        ------
        TypeError, ValueError
            If `y` is of a wrong kind or shape or out of its range.
        """
        raise NotImplementedError

    def forward(
        self, outputs: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None
    ) -> float:
        """The mean loss, of a `y` that was checked."""
        raise NotImplementedError

    def backward(self) -> np.ndarray:
        """Gradient of the last `forward` by the outputs, in an array of its own."""
        raise NotImplementedError

    def predict(self, outputs: np.ndarray) -> np.ndarray:
        """What the outputs say, in the terms of `y`."""
        raise NotImplementedError

    def correct(self, outputs: np.ndarray, y: np.ndarray) -> int | None:
        """How many samples are answered right, or None where there is no such thing."""
        return None

    def config(self) -> dict[str, Any]:
        """The arguments that make the same loss."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}


class SoftmaxCrossEntropy(Loss):
    """Cross-entropy of the softmax of logits, on integer labels, mean over the batch.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        How much of each target is spread evenly over all classes, in [0, 1).

    Raises
    ------
    TypeError, ValueError
        If `label_smoothing` is no number or out of its range.

    Notes
    -----
    For logits `z` of shape (batch, classes), with the row's maximum `m` taken
    out, so that no exponential overflows [1]_, and targets `q`,

        loss = mean_n( log(sum_k exp(z[n, k] - m[n])) - sum_k q[n, k] (z[n, k] - m[n]) )

    The target is ``(1 - label_smoothing) * onehot(label) + label_smoothing /
    classes`` [2]_. Backward: ``(softmax(z) - q) / batch``.

    References
    ----------
    .. [1] Goodfellow, Bengio, Courville, "Deep Learning", MIT Press 2016,
       sections 4.1 and 6.2.2.3.
    .. [2] Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception
       architecture for computer vision", CVPR 2016, section 7.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> loss = fastdrop.nn.SoftmaxCrossEntropy()
    >>> round(loss.forward(np.zeros((4, 10)), np.array([0, 1, 2, 9])), 4)  # log(10)
    2.3026
    >>> float(abs(loss.backward().sum(axis=1)).max()) < 1e-15
    True
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        where = "SoftmaxCrossEntropy"
        self.label_smoothing = check_number(label_smoothing, "label_smoothing", where, below=1)
        self._last: tuple | None = None

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
        checked = labels.astype(np.intp, copy=False)
        # Without their sign, negative ones are the largest of all.
        if checked.view(np.uintp).max(initial=0) >= classes:
            wrong = (labels < 0) | (labels >= classes)
            raise ValueError(
                f"{where}: y must hold labels in [0, {classes}), the network's outputs, "
                f"got {labels[wrong][0]}"
            )
        return checked

    def forward(
        self, logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
    ) -> float:
        logits = _native(logits, type(self).__name__)
        labels = plain(self.check(labels, logits.shape, type(self).__name__))
        dz, losses = np.empty_like(logits), np.empty(len(logits), logits.dtype)
        threads = get_num_threads()
        layer_kernels().cross_entropy(logits, labels, self.label_smoothing, dz, losses, threads)
        if weights is not None:
            weights = np.asarray(weights, logits.dtype)
        self._last = dz, weights
        return _mean(losses, weights)

    def backward(self) -> np.ndarray:
        if self._last is None:
            raise RuntimeError("SoftmaxCrossEntropy: backward needs a forward before it")
        dz, weights = self._last
        return dz * (1 / len(dz) if weights is None else np.reshape(weights, (-1, 1)) / len(dz))

    def predict(self, logits: np.ndarray) -> np.ndarray:
        """Class probabilities: the softmax of each row."""
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return p

    def correct(self, logits: np.ndarray, labels: np.ndarray) -> int:
        """How many samples have their largest logit at their label."""
        return int(np.count_nonzero(logits.argmax(axis=1) == labels))


class _Elementwise(Loss):
    """A loss of each output by a target of its own, mean over all of them."""

    def __init__(self) -> None:
        self._last: tuple | None = None

    def check(self, y: Any, output_shape: Shape, where: str) -> np.ndarray:
        """Targets in the shape of the outputs; (batch,) will do for (batch, 1).

        Raises
        ------
        TypeError
            If they are not real numbers.
        ValueError
            If they are of another shape, not finite or out of their range.
        """
        y = np.asarray(y)
        if y.dtype.kind not in "fiub":
            raise TypeError(f"{where}: y must hold real numbers, got {y.dtype}")
        flat = output_shape[:1] if output_shape[1:] == (1,) else output_shape
        if y.shape not in (output_shape, flat):
            shapes = " or ".join(map(str, dict.fromkeys((output_shape, flat))))
            raise ValueError(
                f"{where}: y must be of the outputs' shape, {shapes}, got shape {y.shape}"
            )
        self._check_range(y, where)
        return y.reshape(output_shape)

    def _check_range(self, y: np.ndarray, where: str) -> None:
        raise NotImplementedError

    def _remembered(self) -> tuple:
        if self._last is None:
            raise RuntimeError(f"{type(self).__name__}: backward needs a forward before it")
        return self._last


class BinaryCrossEntropy(_Elementwise):
    """Cross-entropy of the sigmoid of each logit, on targets in [0, 1], mean over all.

    Targets are floats, ints or bools in the shape of the outputs, or (batch,)
    for outputs (batch, 1). Several outputs are independent yes-or-no questions.

    Notes
    -----
    For logits `z` and targets `t`, in the form that cannot overflow [1]_,

        loss = mean( max(z, 0) - z * t + log(1 + exp(-abs(z))) )

    Backward: ``(sigmoid(z) - t) / size``. A sample is right if all its
    probabilities are on their targets' side of 0.5.

    References
    ----------
    .. [1] Goodfellow, Bengio, Courville, "Deep Learning", MIT Press 2016,
       section 6.2.2.2.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> loss = fastdrop.nn.losses.BinaryCrossEntropy()
    >>> round(loss.forward(np.zeros((2, 1)), np.array([0, 1])), 4)  # log(2)
    0.6931
    >>> loss.backward()
    array([[ 0.25],
           [-0.25]])
    """

    def _check_range(self, y: np.ndarray, where: str) -> None:
        # Written so that NaN fails.
        inside = (y >= 0) & (y <= 1)
        if not inside.all():
            raise ValueError(f"{where}: y must hold targets in [0, 1], got {y[~inside][0]}")

    def forward(
        self, logits: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None
    ) -> float:
        y = _like(y, logits)
        weights = _column(weights, logits)
        small = np.exp(-np.abs(logits))
        losses = np.log1p(small)
        losses += np.maximum(logits, 0)
        losses -= logits * y
        self._last = logits, small, y, weights
        return _mean(losses, weights)

    def backward(self) -> np.ndarray:
        logits, small, y, weights = self._remembered()
        dz = _sigmoid(logits, small)
        dz -= y
        dz *= 1 / dz.size if weights is None else weights / dz.size
        return dz

    def predict(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities: the sigmoid of each logit."""
        return _sigmoid(logits, np.exp(-np.abs(logits)))

    def correct(self, logits: np.ndarray, y: np.ndarray) -> int:
        """How many samples have all their probabilities on the right side of 0.5."""
        right = (logits > 0) == (y.reshape(logits.shape) > 0.5)
        return int(np.count_nonzero(right.reshape(len(right), -1).all(axis=1)))


class MeanSquaredError(_Elementwise):
    """Squares of ``output - target``, mean over all elements.

    Targets are real numbers in the shape of the outputs, or (batch,) for
    outputs (batch, 1).

    Notes
    -----
    ``mean((z - t) ** 2)``; backward ``2 * (z - t) / size``. Predictions are
    the outputs themselves, and there are no right answers to count.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> loss = fastdrop.nn.losses.MeanSquaredError()
    >>> loss.forward(np.array([[1.0], [3.0]]), np.array([1.0, 1.0]))
    2.0
    >>> loss.backward()
    array([[0.],
           [2.]])
    """

    def _check_range(self, y: np.ndarray, where: str) -> None:
        finite = np.isfinite(y)
        if not finite.all():
            raise ValueError(f"{where}: y must hold finite numbers, got {y[~finite][0]}")

    def forward(
        self, outputs: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None
    ) -> float:
        weights = _column(weights, outputs)
        difference = outputs - _like(y, outputs)
        self._last = difference, weights
        return _mean(difference * difference, weights)

    def backward(self) -> np.ndarray:
        difference, weights = self._remembered()
        share = 2 / difference.size
        return difference * (share if weights is None else weights * share)

    def predict(self, outputs: np.ndarray) -> np.ndarray:
        """The outputs."""
        return outputs


LOSSES = {
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "mean_squared_error": MeanSquaredError,
}


def _native(outputs: np.ndarray, where: str) -> np.ndarray:
    """Outputs as kernels take them."""
    dtype = np.asarray(outputs).dtype.newbyteorder("=")
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"{where}: outputs must be float32 or float64, got {dtype}")
    return plain(np.asarray(outputs, dtype))


def _mean(losses: np.ndarray, weights: np.ndarray | None) -> float:
    if weights is not None:
        losses = losses * weights
    return float(losses.sum()) / losses.size


def _like(y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Targets in the outputs' dtype, for float64 or int64 would make float32 float64."""
    return np.asarray(y, outputs.dtype).reshape(outputs.shape)


def _column(weights: np.ndarray | None, outputs: np.ndarray) -> np.ndarray | None:
    """Weights of samples in the outputs' dtype, along their axis 0."""
    if weights is None:
        return None
    return np.asarray(weights, outputs.dtype).reshape(-1, *(1,) * (outputs.ndim - 1))


def _sigmoid(logits: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Given ``exp(-abs(logits))``, which does not overflow as ``exp(-logits)`` would."""
    # That or 1, its largest value: `np.where` took ten times as long.
    p = np.maximum(small, logits >= 0)
    p /= 1 + small
    return p
