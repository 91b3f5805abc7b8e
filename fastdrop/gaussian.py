"""Multiplicative Gaussian noise."""

from __future__ import annotations

import numpy as np

from fastdrop import kernels
from fastdrop.recipe import Recipe
from fastdrop.threads import team_size


class GaussianMask(Recipe):
    """Multiplicative Gaussian noise as a recipe: ``x * N(1, rate / (1 - rate))``.

    Parameters and errors are those of `Mask`, whose mean and variance the
    noise has.

    Notes
    -----
    The standard deviation is ``sqrt(rate / (1 - rate))`` [1]_; a rate of 1
    gives +0.0, as in `Mask`. Normals are Box-Muller normals of the stream's
    words; backends agree to 2e-6 times the Box-Muller radius.

    References
    ----------
    .. [1] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout:
       a simple way to prevent neural networks from overfitting", JMLR 15,
       2014, section 10.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> mask = fastdrop.GaussianMask((4, 3), 0.5, key=7)
    >>> x = np.full((4, 3), 2.0)
    >>> bool(np.allclose(mask.apply(x), x * mask.noise()))
    True
    """

    __slots__ = ()

    @property
    def scale(self) -> float:
        """1.0: the noise has mean one, and nothing needs to be rescaled."""
        return 1.0

    @property
    def stddev(self) -> float | np.ndarray:
        """Standard deviation of the noise; inf at rate 1, where the result is 0."""
        rate = np.asarray(self._rate)
        odds = np.divide(rate, 1.0 - rate, out=np.full_like(rate, np.inf), where=rate < 1)
        return np.sqrt(odds) if rate.ndim else float(np.sqrt(odds))

    def noise(self) -> np.ndarray:
        """The noise itself: a float64 array of the mask's own shape.

        Examples
        --------
        >>> import fastdrop
        >>> fastdrop.GaussianMask((2, 5), 0.5, key=7, shared_axes=0).noise().shape
        (1, 5)
        """
        own = self._layout.shape
        whole = GaussianMask.of(own, self._rate, (), self._key, self._stream, self._offset)
        return whole.apply(np.ones(own))

    def write(self, x, out):
        stddev = np.asarray(self.stddev)
        nothing = np.isinf(stddev)
        with np.errstate(under="ignore"):
            stddevs = np.where(nothing, 0.0, stddev).astype(x.dtype)
        for arrays, place, span in self._calls(x, out):
            cycle = self._cycle(stddevs, *span)
            kernels.active().multiply_normals(*arrays, *place, cycle, team_size(x.nbytes))
        if nothing.any():
            np.copyto(out, 0.0, where=nothing)
