"""Additive Gaussian noise on plain arrays."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from numbers import Real
from typing import Any

import numpy as np

from fastdrop import kernels
from fastdrop.arrays import check_array, check_out, finish, prepare
from fastdrop.rng import source
from fastdrop.threads import team_size


def gaussian_noise(
    x: Any,
    stddev: float = 1.0,
    *,
    rng: Any = None,
    training: bool = True,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Add Gaussian noise of mean 0; its backward pass is the identity.

    Parameters
    ----------
    x : array_like of float16, float32 or float64
        Any shape and memory layout.
    stddev : float, default 1.0
        Standard deviation, finite and at least 0.
    rng, training, out
        As in `fastdrop.dropout`.

    Returns
    -------
    ndarray
        Of the shape and dtype of `x`; with ``training=False`` or ``stddev=0`` it
        is `x` itself, not a copy (with `out`, a copy in it).

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range.

    Notes
    -----
    Box-Muller normals of the stream's words, as those of `GaussianMask`.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> y = fastdrop.gaussian_noise(np.zeros(10_000), 2.0, rng=0)
    >>> round(float(y.std()), 1)
    2.0
    """
    where = "gaussian_noise"
    given, x = x, check_array(x, where)
    if not isinstance(stddev, Real):
        raise TypeError(f"{where}: stddev must be a number, got {stddev!r}")
    # Written so that NaN fails.
    if not 0 <= float(stddev) < float("inf"):
        raise ValueError(f"{where}: stddev must be finite and at least 0, got {stddev}")
    y = add_normals(where, x, stddev if training else 0.0, source(rng, where), out)
    return given if y is x and isinstance(given, np.ndarray) else y


def add_normals(
    where: str,
    x: np.ndarray,
    stddev: float,
    draw: Callable[[], tuple[int, int]],
    out: np.ndarray | None,
    first: int = 0,
) -> np.ndarray:
    """The noise for a checked `stddev` and array, whose rows are those from `first`
    on of a batch; `draw` is asked for key and stream."""
    if out is not None:
        check_out(out, x, where)
    if stddev == 0:
        if out is None:
            return x
        np.copyto(out, x)
        return out
    operands, result = prepare(out, x)
    computed, written = operands
    kernels.active(), team_size(x.nbytes)  # raise for bad settings
    noise = np.empty_like(computed)
    offset = first * prod(x.shape[1:])
    kernels.active().normals(noise.reshape(-1), *draw(), offset, team_size(x.nbytes))
    noise *= float(stddev)
    with np.errstate(all="ignore"):
        np.add(computed, noise, out=written)
    return finish(operands, result, out)
