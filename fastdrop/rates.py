"""Rates: what a dropping probability may be, its threshold and its scale.

The threshold is the 32-bit integer that draws are compared with, so that a
rate is honoured to 2**-32; the scale is exact for the rate that is applied.
"""

from __future__ import annotations

import numbers
from typing import Any, cast

import numpy as np

# The threshold of rate 1, above every draw.
ALWAYS = 1 << 32


def check_rate(rate: Any, where: str) -> float | np.ndarray:
    """`rate` as a float or as a read-only float64 array of one or more axes."""
    # The usual type first: asking an abstract class takes ten times as long.
    if type(rate) is float or isinstance(rate, numbers.Real):
        rate = cast(float, rate)  # or an int, a NumPy scalar, a Fraction
        # Written so that NaN fails; before the conversion, which an int may overflow.
        if not 0 <= rate <= 1:
            raise ValueError(f"{where}: rate must be in [0, 1], got {rate}")
        return float(rate)
    rates = _real_array(rate, where)
    if rates.ndim == 0:
        return check_rate(float(rates), where)
    if not (inside := (rates >= 0) & (rates <= 1)).all():
        raise ValueError(f"{where}: rate must be in [0, 1], got {rates[~inside][0]} in it")
    rates.flags.writeable = False
    return rates


def _real_array(rate: Any, where: str) -> np.ndarray:
    try:
        array = np.asarray(rate)
    except ValueError:  # a ragged list
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        what = "an array of " + str(array.dtype) if array.ndim else repr(rate)
        raise TypeError(f"{where}: rate must be a number or an array of numbers, got {what}")
    return array.astype(np.float64)


def thresholds(rate: float | np.ndarray) -> int | np.ndarray:
    """``round(rate * 2**32)``, half to even: an int, or uint64 for an array."""
    if isinstance(rate, float):
        return round(rate * ALWAYS)
    scaled = rate * ALWAYS
    return np.rint(scaled, out=scaled).astype(np.uint64)


def scales(threshold: int | np.ndarray) -> float | np.ndarray:
    """``1 / (1 - threshold / 2**32)`` in float64, and 0 where nothing is kept."""
    if isinstance(threshold, int):
        return 0.0 if threshold == ALWAYS else 1.0 / (1.0 - threshold / ALWAYS)
    # In place, and without a product of two types, for which NumPy takes a buffer: a
    # third less, where a layer has new rates at every step.
    scale = threshold.astype(np.float64)
    scale *= -1.0 / ALWAYS
    scale += 1.0
    if not scale.all():
        scale[scale == 0.0] = np.inf
    np.divide(1.0, scale, out=scale)
    scale.flags.writeable = False
    return scale
