"""Activation functions: any shape, element for element."""

from __future__ import annotations

import numpy as np

from fastdrop.kernels.layers import layer_kernels
from fastdrop.nn.arguments import check_number
from fastdrop.nn.layer import Layer
from fastdrop.threads import get_num_threads

# Alone, too, a layer passes NaN and infinite numbers on without a word.
_quiet = np.errstate(all="ignore")


class _Activation(Layer):
    """A function whose derivative is one of its output, which the layer keeps."""

    def __init__(self) -> None:
        super().__init__()
        self._y: np.ndarray | None = None

    def forget(self) -> None:
        super().forget()
        self._y = None


class ReLU(_Activation):
    """Rectified linear unit: ``y = max(x, 0)``; backward ``dx = dy`` where ``y > 0``, else 0.

    Any shape. Between the two the layer keeps a reference to `y`.

    References
    ----------
    Nair, Hinton, "Rectified linear units improve restricted Boltzmann
    machines", ICML 2010.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.ReLU()
    >>> layer.forward(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    >>> layer.backward(np.ones(3))
    array([0., 0., 1.])
    """

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        x = self._input(x)
        self._y = self._room("y", x.shape, x.dtype)
        layer_kernels().relu(x, self._y, get_num_threads())
        return self._y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        y = self._remembered(self._y)
        dy = self._gradient(dy, y.shape, y.dtype)
        dx = self._room("dx", y.shape, y.dtype)
        layer_kernels().relu_backward(y, dy, dx, get_num_threads())
        return dx


class LeakyReLU(_Activation):
    """``y = x`` where ``x > 0``, else ``negative_slope * x``.

    Parameters
    ----------
    negative_slope : float, default 0.01
        At least 0.

    Raises
    ------
    TypeError, ValueError
        If `negative_slope` is no number or out of its range.

    References
    ----------
    Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic
    models", ICML 2013 workshop.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> fastdrop.nn.LeakyReLU(0.1).forward(np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = check_number(negative_slope, "negative_slope", self.where)

    @_quiet
    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        x = self._input(x)
        self._y = np.where(x > 0, x, x * x.dtype.type(self.negative_slope))
        return self._y

    @_quiet
    def backward(self, dy: np.ndarray) -> np.ndarray:
        y = self._remembered(self._y)
        dy = self._gradient(dy, y.shape, y.dtype)
        return np.where(y > 0, dy, dy * dy.dtype.type(self.negative_slope))


class Sigmoid(_Activation):
    """Logistic function: ``y = 1 / (1 + exp(-x))``; backward ``dx = dy * y * (1 - y)``.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> fastdrop.nn.Sigmoid().forward(np.array([0.0, 1000.0]))
    array([0.5, 1. ])
    """

    @_quiet
    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        x = self._input(x)
        # Through tanh, which never overflows.
        half = x.dtype.type(0.5)
        y = np.tanh(x * half)
        y += 1
        y *= half
        self._y = y
        return y

    @_quiet
    def backward(self, dy: np.ndarray) -> np.ndarray:
        y = self._remembered(self._y)
        dy = self._gradient(dy, y.shape, y.dtype)
        return dy * (y * (1 - y))


class Tanh(_Activation):
    """Hyperbolic tangent; backward ``dx = dy * (1 - y**2)``.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> fastdrop.nn.Tanh().forward(np.array([0.0, 100.0]))
    array([0., 1.])
    """

    @_quiet
    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        x = self._input(x)
        self._y = np.tanh(x)
        return self._y

    @_quiet
    def backward(self, dy: np.ndarray) -> np.ndarray:
        y = self._remembered(self._y)
        dy = self._gradient(dy, y.shape, y.dtype)
        return dy * (1 - y * y)


class SELU(_Activation):
    """Scaled exponential linear unit: ``y = scale * (x if x > 0 else alpha * (exp(x) - 1))``.

    Notes
    -----
    ``scale = 1.0507009873554805`` and ``alpha = 1.6732632423543772`` keep mean 0
    and variance 1 from layer to layer, with ``init="lecun_normal"`` and alpha
    dropout.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural
    networks", NeurIPS 2017.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> fastdrop.nn.SELU().forward(np.array([-100.0, 1.0])).round(4)
    array([-1.7581,  1.0507])
    """

    SCALE = 1.0507009873554805
    ALPHA = 1.6732632423543772

    @_quiet
    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        x = self._input(x)
        below = np.expm1(np.minimum(x, 0))
        below *= x.dtype.type(self.SCALE * self.ALPHA)
        self._y = np.where(x > 0, x * x.dtype.type(self.SCALE), below)
        return self._y

    @_quiet
    def backward(self, dy: np.ndarray) -> np.ndarray:
        y = self._remembered(self._y)
        dy = self._gradient(dy, y.shape, y.dtype)
        scale, slope = dy.dtype.type(self.SCALE), dy.dtype.type(self.SCALE * self.ALPHA)
        return dy * np.where(y > 0, scale, y + slope)


class Softmax(_Activation):
    """``y = exp(x) / sum(exp(x))`` over the last axis.

    Notes
    -----
    The row's maximum is taken out first, so that nothing overflows. Backward:
    ``dx = y * (dy - sum(dy * y))``. A network that is trained with
    ``"softmax_cross_entropy"`` ends without it: the loss takes logits.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> fastdrop.nn.Softmax().forward(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """

    @_quiet
    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        x = self._input(x)
        y = np.exp(x - x.max(axis=-1, keepdims=True))
        y /= y.sum(axis=-1, keepdims=True)
        self._y = y
        return y

    @_quiet
    def backward(self, dy: np.ndarray) -> np.ndarray:
        y = self._remembered(self._y)
        dy = self._gradient(dy, y.shape, y.dtype)
        return y * (dy - (dy * y).sum(axis=-1, keepdims=True))
