"""Layers that change the shape alone."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from fastdrop.nn.layer import Layer, Shape
from fastdrop.nn.sources import Sources


class Flatten(Layer):
    """All axes but the first as one: (N, H, W, C) to (N, H * W * C).

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> fastdrop.nn.Flatten().forward(np.ones((2, 3, 4, 5))).shape
    (2, 60)
    """

    def __init__(self) -> None:
        super().__init__()
        self._shape: tuple[int, ...] | None = None

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        return (input_shape[0], prod(size or 0 for size in input_shape[1:]))

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        self._shape = x.shape
        return x.reshape(len(x), prod(x.shape[1:]))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy.reshape(self._remembered(self._shape))
