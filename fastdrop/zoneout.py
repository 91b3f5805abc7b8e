"""Zoneout: what is dropped keeps its previous value."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.arrays import check_array, check_out
from fastdrop.layout import check_axes, layout
from fastdrop.mask import Mask
from fastdrop.rates import check_rate
from fastdrop.recipe import check_rates_fit
from fastdrop.rng import source


def zoneout(
    x: Any,
    previous: Any,
    rate: Any = 0.5,
    *,
    rng: Any = None,
    shared_axes: int | tuple[int, ...] = (),
    training: bool = True,
    out: np.ndarray | None = None,
    return_mask: bool = False,
) -> np.ndarray | tuple[np.ndarray, Mask]:
    """Keep the previous state with probability `rate`, where dropout would give 0.

    Parameters
    ----------
    x, previous : array_like of float16, float32 or float64
        The new state and the one before it, of one shape and dtype.
    rate, rng, shared_axes, out, return_mask
        As in `fastdrop.dropout`; `rate` is the probability of `previous`.
    training : bool, default True
        False gives the expectation, ``(1 - rate) * x + rate * previous``.

    Returns
    -------
    ndarray or (ndarray, Mask)
        Of the shape and dtype of `x`. Where ``mask.keep()`` is True it is `x`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `dropout`, and if `x` and `previous` differ in shape or dtype.

    References
    ----------
    Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden
    activations", ICLR 2017.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> y = fastdrop.zoneout(np.ones(8), np.full(8, 9.0), 0.5, rng=0)
    >>> sorted({float(value) for value in y})
    [1.0, 9.0]
    >>> fastdrop.zoneout(np.ones(2), np.full(2, 9.0), 0.25, training=False)
    array([3., 3.])
    """
    where = "zoneout"
    x, previous = check_array(x, where), check_array(previous, where, "previous")
    if (x.shape, x.dtype) != (previous.shape, previous.dtype):
        raise ValueError(
            f"{where}: previous must have the shape and dtype of x, {x.shape} and {x.dtype}, "
            f"got {previous.shape} and {previous.dtype}"
        )
    rate = check_rate(rate, where)
    axes = check_axes(shared_axes, x.ndim, where)
    if not isinstance(rate, float):
        check_rates_fit(rate, layout(x.shape, axes).shape, where)
    draw = source(rng, where)
    if out is not None:
        check_out(out, x, where)
    if not training:
        share = np.asarray(rate, x.dtype)
        mean = (1 - share) * x + share * previous
        if out is not None:
            np.copyto(out, mean)
        y, mask = mean if out is None else out, Mask.of(x.shape, 0.0, axes, 0, 0)
    else:
        identity = isinstance(rate, float) and rate == 0.0
        mask = Mask.of(x.shape, rate, axes, *((0, 0) if identity else draw()))
        y = mask.blend(x, previous, out)
    return (y, mask) if return_mask else y
