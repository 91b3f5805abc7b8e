"""Alpha dropout masks, for networks of SELU units."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop import rates
from fastdrop.mask import Mask

# What SELU saturates at for large negative inputs, -scale * alpha
# (Klambauer et al. 2017).
SELU_SATURATION = -1.7580993408473766


class AlphaMask(Mask):
    """An alpha dropout mask as a recipe, for networks of SELU units.

    Parameters and errors are those of `Mask`.

    Notes
    -----
    With keep probability ``q = 1 - rate`` and ``s = -1.7581``, where SELU
    saturates, `forward` is ``a * x + b`` where kept and ``a * s + b`` where
    dropped, with ``a = (q + s**2 * q * (1 - q)) ** -0.5`` and
    ``b = -a * (1 - q) * s``, which keeps a mean of 0 and a variance of 1 [1]_.
    `apply` is its derivative, ``a * dy`` where kept and 0 where dropped; so
    `scale` is ``a``. A rate of 1 gives 0 everywhere.

    References
    ----------
    .. [1] Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural
       networks", NeurIPS 2017, section 3.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> mask = fastdrop.AlphaMask(4, 0.5, key=7)
    >>> bool((mask.apply(np.ones(4)) == mask.keep() * mask.scale).all())
    True
    """

    __slots__ = ()

    @property
    def scale(self) -> float | np.ndarray:
        """The factor ``a``, in float64; 0 where nothing is kept (rate 1)."""
        if self._scale is not None:
            return self._scale
        drop = np.asarray(self._threshold / rates.ALWAYS)
        keep = 1.0 - drop
        variance = keep * (1.0 + SELU_SATURATION**2 * drop)
        a = np.divide(1.0, np.sqrt(variance), out=np.zeros_like(keep), where=keep > 0)
        if a.ndim:  # kept, an array would tell `_cycles` that nothing is added
            return a
        self._scale = float(a)
        return self._scale

    def forward(self, x: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Drop and rescale `x`, keeping its mean and variance.

        Parameters, result and errors are those of `apply`.

        Examples
        --------
        >>> import fastdrop, numpy as np
        >>> mask = fastdrop.AlphaMask(1000, 0.2, key=7)
        >>> mask.forward(np.zeros(1000)).shape
        (1000,)
        """
        return self._run("forward", self.write_forward, x, out)

    def write_forward(self, x, out):
        a, drop = self.scale, self._threshold / rates.ALWAYS
        b = -a * drop * SELU_SATURATION
        self._write_affine(x, out, a, b, a * SELU_SATURATION + b)
