"""The fully connected layer."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from fastdrop.nn.arguments import check_count
from fastdrop.nn.layer import Layer, Shape
from fastdrop.nn.sources import Sources, sources


class Dense(Layer):
    """A fully connected layer: ``y = x @ weight + bias``.

    Parameters
    ----------
    units : int
        Size of the output's last axis, at least 1.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where the first weights come from; by default from the `Sequential`
        around it, or else fresh entropy.

    Attributes
    ----------
    params, grads : dict
        ``"weight"``, of shape (in, units), and ``"bias"``, (units,). Weights
        start as He normals, ``N(0, 2 / in)`` [1]_, biases as 0.

    Raises
    ------
    TypeError, ValueError
        If `units` is not an int of at least 1, or `rng` of no such kind; in
        calls, if the input's last axis is not `in`.

    Notes
    -----
    Backward, with all axes but the last as one: ``dweight = x.T @ dy``,
    ``dbias = sum(dy)``, ``dx = dy @ weight.T``. Between the two the layer
    keeps a reference to `x`.

    References
    ----------
    .. [1] He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.

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

    def __init__(self, units: int, *, rng: Any = None) -> None:
        super().__init__()
        self.units = check_count(units, "units", "Dense")
        self._sources = None if rng is None else sources(rng, "Dense")
        self._x: np.ndarray | None = None

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        if len(input_shape) < 2:
            raise ValueError(
                f"{self.where}: expected an input of shape (batch, features), "
                f"got input of shape {input_shape}"
            )
        if self.params:
            self._check(input_shape)
        else:
            self._make_params(input_shape[-1], dtype, sources)
        return (*input_shape[:-1], self.units)

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        if not self.params:
            self.build(x.shape, x.dtype)
        self._check(x.shape)
        self._x = x
        y = x @ self.params["weight"]
        y += self.params["bias"]
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        if self._x is None:
            raise RuntimeError(f"{self.where}: backward needs a forward before it")
        weight = self.params["weight"]
        if not self.grads:
            self.grads = {name: np.empty_like(param) for name, param in self.params.items()}
        rows = dy.reshape(-1, self.units)
        np.matmul(self._x.reshape(-1, len(weight)).T, rows, out=self.grads["weight"])
        np.sum(rows, axis=0, out=self.grads["bias"])
        return dy @ weight.T

    def _make_params(self, features: Any, dtype: Any, given: Sources | None) -> None:
        if not features:
            raise ValueError(f"{self.where}: expected at least one feature, got {features}")
        draws = self._sources or given or sources(None, self.where)
        weight = draws.weights.standard_normal((features, self.units), dtype)
        weight *= sqrt(2.0 / features)
        self.params = {"weight": weight, "bias": np.zeros(self.units, dtype)}

    def _check(self, shape: Shape) -> None:
        features = len(self.params["weight"])
        if len(shape) < 2 or shape[-1] != features:
            raise ValueError(
                f"{self.where}: expected last axis {features}, got input of shape {shape}"
            )
