"""First weights: random numbers whose variance suits the size of a layer."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

Initializer = str | Callable[[tuple[int, ...], np.random.Generator], Any]

# The variance, by the inputs of a unit and the outputs that an input reaches.
_VARIANCES: dict[str, Callable[[int, int], float]] = {
    "he": lambda fan_in, fan_out: 2.0 / fan_in,
    "glorot": lambda fan_in, fan_out: 2.0 / (fan_in + fan_out),
    "lecun": lambda fan_in, fan_out: 1.0 / fan_in,
}
INITIALIZERS = (
    *(f"{family}_{kind}" for family in _VARIANCES for kind in ("normal", "uniform")),
    "zeros",
)


def check_initializer(init: Any, name: str, where: str) -> Initializer:
    """`init` itself, if it is callable or one of `INITIALIZERS`.

    Raises
    ------
    ValueError
        If it is neither, with the known names.
    """
    if callable(init) or (isinstance(init, str) and init in INITIALIZERS):
        return init
    known = ", ".join(map(repr, INITIALIZERS))
    raise ValueError(f"{where}: {name} must be one of {known} or a function, got {init!r}")


def initialize(
    init: Initializer,
    shape: tuple[int, ...],
    fan_in: int,
    fan_out: int,
    rng: np.random.Generator,
    dtype: Any,
) -> np.ndarray:
    """First weights of a layer.

    Parameters
    ----------
    init : str or callable
        One of `INITIALIZERS`, or a function ``(shape, rng) -> array_like``.
    shape : tuple of int
    fan_in, fan_out : int
        How many inputs a unit has, and how many units an input reaches; at
        least 1. For a convolution, ``kh * kw * C`` and ``kh * kw * F``.
    rng : numpy.random.Generator
        Advances, but for "zeros".
    dtype : {float32, float64}

    Returns
    -------
    ndarray of `shape` and `dtype`
        C-contiguous and nobody else's.

    Raises
    ------
    TypeError
        If a function gives anything but real numbers.
    ValueError
        If a name is not known (the known ones are told), or a function gives
        an array of another shape.

    Notes
    -----
    ``*_normal`` are normals of mean 0, not truncated; ``*_uniform`` are
    uniform in ``[-a, a)`` with ``a = sqrt(3 * variance)``. The variance is

    - ``he_*``: ``2 / fan_in`` [1]_, which keeps activations of one size
      through layers of rectified units;
    - ``glorot_*``: ``2 / (fan_in + fan_out)`` [2]_;
    - ``lecun_*``: ``1 / fan_in`` [3]_, as self-normalising units want it.

    References
    ----------
    .. [1] He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.
    .. [2] Glorot, Bengio, "Understanding the difficulty of training deep
       feedforward neural networks", AISTATS 2010.
    .. [3] LeCun, Bottou, Orr, Müller, "Efficient backprop", 1998.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop.nn.initializers import initialize
    >>> rng = np.random.default_rng(0)
    >>> weight = initialize("he_uniform", (600, 50), 600, 50, rng, np.float32)
    >>> bool(abs(weight).max() <= 0.1), weight.dtype.name  # sqrt(6 / 600)
    (True, 'float32')
    >>> initialize(lambda shape, rng: np.eye(*shape), (2, 2), 2, 2, rng, np.float64)
    array([[1., 0.],
           [0., 1.]])
    """
    check_initializer(init, "init", "initialize")
    if not isinstance(init, str):
        return _from_function(init, shape, rng, dtype)
    if init == "zeros":
        return np.zeros(shape, dtype)
    family, kind = init.split("_")
    variance = _VARIANCES[family](fan_in, fan_out)
    if kind == "normal":
        weight = rng.standard_normal(shape, dtype)
        weight *= sqrt(variance)
    else:
        weight = rng.random(shape, dtype)
        weight -= 0.5
        weight *= 2 * sqrt(3 * variance)
    return weight


def _from_function(
    init: Callable, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any
) -> np.ndarray:
    given = np.asarray(init(shape, rng))
    if given.dtype.kind not in "fiub":
        raise TypeError(f"initialize: init must give real numbers, got {given.dtype}")
    if given.shape != tuple(shape):
        raise ValueError(f"initialize: init must give shape {tuple(shape)}, got {given.shape}")
    return np.array(given, dtype, order="C")
