"""Concrete dropout: masks that are nearly 0 or 1, and smooth in their rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop import kernels
from fastdrop.functional import apply_noise
from fastdrop.layout import check_axes
from fastdrop.rates import check_rate
from fastdrop.recipe import Recipe
from fastdrop.rng import source
from fastdrop.threads import team_size

# That of the paper's code.
TEMPERATURE = 0.1


class ConcreteMask(Recipe):
    """A concrete dropout mask as a recipe: ``x * keep / (1 - rate)``, `keep` in [0, 1].

    Parameters and errors are those of `Mask`, and `rate` is one number.

    Attributes
    ----------
    temperature : float
        0.1: how far the mask is from 0 and 1.

    Notes
    -----
    ``keep = 1 - sigmoid((log(p) - log(1 - p) + log(u) - log(1 - u)) / t)``, with
    the rate ``p``, uniforms ``u`` of the stream, and the temperature ``t`` [1]_,
    equation 5. It is smooth in `p`: see `gradient`. A rate of 1 gives 0, and a
    rate of 0 changes nothing.

    References
    ----------
    .. [1] Gal, Hron, Kendall, "Concrete dropout", NeurIPS 2017.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> mask = fastdrop.ConcreteMask(1000, 0.2, key=7)
    >>> keep = mask.keep()
    >>> bool((keep >= 0).all() and (keep <= 1).all()), round(float(keep.mean()), 1)
    (True, 0.8)
    """

    __slots__ = ()
    temperature = TEMPERATURE

    def _set(self, shape, rate, shared_axes, key, stream, offset) -> None:
        if not isinstance(rate, float):
            raise TypeError(f"{type(self).__name__}: rate must be one number, got an array")
        super()._set(shape, rate, shared_axes, key, stream, offset)

    @property
    def scale(self) -> float:
        """``1 / (1 - rate)``, and 0 where nothing is kept (rate 1)."""
        return 0.0 if self._rate == 1 else 1.0 / (1.0 - float(self._rate))

    def keep(self, dtype: Any = np.float64) -> np.ndarray:
        """The mask itself, of its own shape: float32 or float64, in [0, 1]."""
        u = np.empty(self._layout.shape, dtype)
        if self._rate in (0, 1):
            u.fill(1.0 - float(self._rate))
            return u
        place = self._key, self._stream, self._offset
        kernels.active().uniforms(u.reshape(-1), *place, team_size(u.nbytes))
        keep = np.log(u)
        keep -= np.log1p(np.negative(u, out=u), out=u)
        keep += float(np.log(self._rate) - np.log1p(-self._rate))
        keep /= self.temperature
        with np.errstate(over="ignore"):
            np.exp(keep, out=keep)
        keep += 1
        return np.reciprocal(keep, out=keep)

    def write(self, x, out):
        if self._rate == 1:
            out.fill(0.0)
            return
        keep = self.keep(x.dtype)
        keep *= self.scale
        with np.errstate(all="ignore"):
            np.multiply(x, keep, out=out)

    def gradient(self, x: np.ndarray, dy: np.ndarray) -> float:
        """Derivative of ``sum(dy * apply(x))`` by the logit of the rate,
        ``log(rate / (1 - rate))``; 0 for the rates 0 and 1, whose logits are infinite.

        Parameters
        ----------
        x, dy : ndarray of float32 or float64
            Of the mask's `shape`.

        Examples
        --------
        >>> import fastdrop, numpy as np
        >>> x = np.ones(1000)
        >>> abs(fastdrop.ConcreteMask(1000, 0.2, key=7).gradient(x, x)) > 0
        True
        """
        if self._rate in (0, 1):
            return 0.0
        keep = self.keep(x.dtype)
        # d keep / d logit = -keep * (1 - keep) / t, and d scale / d logit = p * scale.
        slope = keep - 1
        slope /= self.temperature
        slope += self._rate
        slope *= keep
        with np.errstate(all="ignore"):
            return self.scale * float(np.sum(slope * x * dy, dtype=np.float64))


def concrete_dropout(
    x: Any,
    rate: float = 0.5,
    *,
    rng: Any = None,
    shared_axes: int | tuple[int, ...] = (),
    training: bool = True,
    out: np.ndarray | None = None,
    return_mask: bool = False,
) -> np.ndarray | tuple[np.ndarray, ConcreteMask]:
    """Dropout by a mask that is nearly 0 or 1 and smooth in `rate`, which so can be learned.

    Parameters
    ----------
    x, rng, shared_axes, training, out, return_mask
        As in `fastdrop.dropout`; the mask is a `ConcreteMask`, which has the
        gradient by the rate.
    rate : float, default 0.5
        Probability of dropping, in [0, 1].

    Returns
    -------
    ndarray or (ndarray, ConcreteMask)
        As `dropout`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `dropout`, and if `rate` is an array.

    References
    ----------
    Gal, Hron, Kendall, "Concrete dropout", NeurIPS 2017.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> y = fastdrop.concrete_dropout(np.ones(10_000), 0.5, rng=0)
    >>> round(float(y.mean()), 1)
    1.0
    """
    where = "concrete_dropout"
    checked = check_rate(rate, where)
    if not isinstance(checked, float):
        raise TypeError(f"{where}: rate must be one number, got an array of rates")
    draw = source(rng, where)
    axes = check_axes(shared_axes, np.ndim(x), where)
    y, mask = apply_noise(where, ConcreteMask, x, checked, draw, axes, out, training)
    return (y, mask) if return_mask else y
