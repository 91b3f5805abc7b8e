"""Activation functions."""

from __future__ import annotations

import numpy as np

from fastdrop.nn.layer import Layer


class ReLU(Layer):
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

    def __init__(self) -> None:
        super().__init__()
        self._y: np.ndarray | None = None

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        self._y = np.maximum(x, 0)
        return self._y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        if self._y is None:
            raise RuntimeError(f"{self.where}: backward needs a forward before it")
        return np.where(self._y > 0, dy, 0)
