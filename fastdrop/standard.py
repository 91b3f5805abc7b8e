"""Masks that do not rescale."""

from __future__ import annotations

import numpy as np

from fastdrop import rates
from fastdrop.mask import Mask


class StandardMask(Mask):
    """A dropout mask as a recipe, without scaling: ``x * keep``.

    Parameters and errors are those of `Mask`, whose draws it has.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple
    way to prevent neural networks from overfitting", JMLR 15, 2014: outputs are
    multiplied by the keep probability at prediction instead.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> fastdrop.StandardMask(6, 0.5, key=1).apply(np.ones(6))
    array([0., 1., 0., 1., 0., 1.])
    """

    __slots__ = ()

    @property
    def scale(self) -> float | np.ndarray:
        """1.0, and 0.0 where nothing is kept (rate 1)."""
        if isinstance(self._threshold, int):
            return float(self._threshold < rates.ALWAYS)
        return (self._threshold < rates.ALWAYS).astype(np.float64)
