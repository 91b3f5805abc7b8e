"""The fully connected layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.kernels.layers import layer_kernels
from fastdrop.nn.arguments import check_count
from fastdrop.nn.fusion import NO_TAIL, Tail
from fastdrop.nn.initializers import Initializer
from fastdrop.nn.layer import Shape
from fastdrop.nn.sources import Sources
from fastdrop.nn.weighted import Weighted
from fastdrop.threads import get_num_threads


class Dense(Weighted):
    """A fully connected layer: ``y = x @ weight + bias``.

    Parameters
    ----------
    units : int
        Size of the output's last axis, at least 1.
    init : str or callable, default "he_normal"
        First weights: ``"he_normal"``, ``"glorot_uniform"``, ... (see
        `fastdrop.nn.initializers`), or a function ``(shape, rng) -> array``.
        Biases start as 0.
    l1, l2 : float, default 0.0
        The loss gets ``l1 * sum(abs(weight)) + l2 * sum(weight**2)``.
    max_norm : float, optional
        After each step a unit's incoming weights of larger Euclidean norm are
        scaled to this norm [1]_.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where the first weights come from; by default from the `Sequential`
        around it, or else fresh entropy.

    Attributes
    ----------
    params, grads : dict
        ``"weight"``, of shape (in, units), and ``"bias"``, (units,).

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range; in calls, if the
        input's last axis is not `in`.

    Notes
    -----
    Backward, with all axes but the last as one: ``dweight = x.T @ dy``,
    ``dbias = sum(dy)``, ``dx = dy @ weight.T``. Between the two the layer
    keeps a reference to `x`.

    References
    ----------
    .. [1] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a
       simple way to prevent neural networks from overfitting", JMLR 15, 2014,
       section 5.1.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.Dense(3, rng=0)
    >>> layer.forward(np.ones((2, 5), np.float32), training=True).shape
    (2, 3)
    >>> layer.backward(np.ones((2, 3), np.float32)).shape
    (2, 5)
    >>> layer.grads["bias"]
    array([2., 2., 2.], dtype=float32)
    """

    def __init__(
        self,
        units: int,
        *,
        init: Initializer = "he_normal",
        l1: float = 0.0,
        l2: float = 0.0,
        max_norm: float | None = None,
        rng: Any = None,
    ) -> None:
        super().__init__(init, l1, l2, max_norm, rng)
        self.units = check_count(units, "units", self.where)
        self._x: np.ndarray | None = None
        self._y: np.ndarray | None = None
        self._used: np.ndarray | None = None
        self._tail = NO_TAIL

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        if len(input_shape) < 2:
            raise ValueError(
                f"{self.where}: expected an input of shape (batch, features), "
                f"got input of shape {input_shape}"
            )
        features = input_shape[-1]
        if self.params:
            self._check(input_shape)
        elif not features:
            raise ValueError(f"{self.where}: expected at least one feature, got {features}")
        else:
            self._make_params((features, self.units), features, self.units, dtype, sources)
        return (*input_shape[:-1], self.units)

    def forward(self, x: np.ndarray, training: bool = False, tail: Tail = NO_TAIL) -> np.ndarray:
        x = self._input(x)
        if not self.params:
            self.build(x.shape, x.dtype)
        self._check(x.shape)
        self._used = weight = self._weight(training)
        bias = self.params["bias"]
        rows = x.reshape(-1, len(weight))
        y = self._room("y", (len(rows), self.units), weight.dtype)
        relu = tail.relu is not None
        layer_kernels().matmul(rows, weight, y, False, False, bias, relu, False, get_num_threads())
        self._x, self._tail = x, tail
        self._y = tail.drop(y.reshape(*x.shape[:-1], self.units), training)
        return self._y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dz = self._learn(dy)
        weight = self._remembered(self._used)
        dx = self._room("dx", (len(dz), len(weight)), weight.dtype)
        layer_kernels().matmul(dz, weight, dx, False, True, None, False, False, get_num_threads())
        return dx.reshape(self._remembered(self._x).shape)

    def learn(self, dy: np.ndarray) -> None:
        self._learn(dy)

    def forget(self) -> None:
        super().forget()
        self._x = self._y = self._used = None

    def _learn(self, dy: np.ndarray) -> np.ndarray:
        """Fill `grads`; the gradient by what comes before the tail."""
        x, y = self._remembered(self._x, self._y)
        added, threads = self._start_grads(), get_num_threads()
        dz = dy = self._gradient(dy, y.shape, y.dtype).reshape(-1, self.units)
        sums = self.grads["bias"]
        if self._tail.relu is None:
            layer_kernels().unit_sums(dy, None, None, sums, 1.0, added, threads)
        else:
            dz, scale = self._room("dz", dy.shape, dy.dtype), self._tail.scale
            y = y.reshape(dy.shape)
            layer_kernels().unit_sums(dy, y, dz, sums, scale, added, threads)
        rows = x.reshape(-1, x.shape[-1])
        self._weight_gradient(rows, dz, added)
        return dz

    def _weight(self, training: bool) -> np.ndarray:
        """What the input is multiplied by."""
        return self.params["weight"]

    def _weight_gradient(self, x: np.ndarray, dz: np.ndarray, added: bool) -> None:
        """``x.T @ dz`` into `grads`, or added to what is there."""
        grad, threads = self.grads["weight"], get_num_threads()
        layer_kernels().matmul(x, dz, grad, True, False, None, False, added, threads)

    def _check(self, shape: Shape) -> None:
        features = len(self.params["weight"])
        if len(shape) < 2 or shape[-1] != features:
            raise ValueError(
                f"{self.where}: expected last axis {features}, got input of shape {shape}"
            )
