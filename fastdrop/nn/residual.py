"""A branch that is added to its input."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fastdrop.nn.layer import Layer, Shape
from fastdrop.nn.sources import Sources
from fastdrop.nn.wrapper import Wrapper


class Residual(Wrapper):
    """Layers one after another, whose output is added to their input: ``y = x + f(x)``.

    Parameters
    ----------
    layers : iterable of Layer
        The branch; its output has the shape of its input. With `DropPath` last
        it is left out for some samples.

    Raises
    ------
    TypeError, ValueError
        If `layers` holds no layers, or the branch changes the shape.

    References
    ----------
    He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR
    2016.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop import nn
    >>> block = nn.Residual([nn.Dense(3, rng=0), nn.ReLU()])
    >>> x = np.ones((2, 3))
    >>> bool((block.forward(x) >= x).all())
    True
    """

    def __init__(self, layers: Iterable[Layer]) -> None:
        where = type(self).__name__
        if not isinstance(layers, Iterable) or not (layers := list(layers)):
            raise TypeError(f"{where}: layers must be a list of at least one layer, got {layers!r}")
        super().__init__({str(place): layer for place, layer in enumerate(layers)}, where)

    @property
    def layers(self) -> list[Layer]:
        """The branch."""
        return self.inner

    @property
    def noisy(self) -> bool:
        return any(layer.noisy for layer in self.inner)

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        shape = input_shape
        for layer in self.inner:
            shape = layer.build(shape, dtype, sources)
        if shape[1:] != input_shape[1:]:
            raise ValueError(
                f"{self.where}: expected a branch that keeps the shape {input_shape}, got {shape}"
            )
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        y = x
        for layer in self.inner:
            y = layer.forward(y, training)
        if y.shape != x.shape:
            raise ValueError(
                f"{self.where}: expected a branch that keeps the shape {x.shape}, got {y.shape}"
            )
        return np.add(x, y, out=self._room("y", x.shape, x.dtype))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dx = dy
        for layer in reversed(self.inner):
            dx = layer.backward(dx)
        return np.add(dx, dy, out=self._room("dx", dx.shape, dx.dtype))
