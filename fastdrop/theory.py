"""What dropout does on average: its moments, the penalty that it is, a pass without sampling.

Everything is computed in float64, for inverted dropout: a unit is 0 with
probability `rate`, else divided by ``1 - rate``.
"""

from __future__ import annotations

from math import log, pi, sqrt
from typing import Any

import numpy as np

from fastdrop.rates import check_rate


def unit_moments(x: Any, rate: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of units under dropout.

    Parameters
    ----------
    x : array_like of float
        The units, of any shape.
    rate : float or array_like of float
        Probability of dropping, in [0, 1); an array broadcasts to `x`.

    Returns
    -------
    (ndarray, ndarray) of float64
        Of the shape of `x`.

    Raises
    ------
    TypeError, ValueError
        If `x` holds no real numbers, or `rate` is out of its range or does not
        broadcast.

    Notes
    -----
    With ``m = 0`` with probability `rate` and else ``1 / (1 - rate)``,
    ``E[m * x] = x`` and ``Var[m * x] = x**2 * rate / (1 - rate)`` [1]_.

    References
    ----------
    .. [1] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a
       simple way to prevent neural networks from overfitting", JMLR 15, 2014,
       section 10.

    Examples
    --------
    >>> from fastdrop.theory import unit_moments
    >>> unit_moments([1.0, -2.0], 0.2)
    (array([ 1., -2.]), array([0.25, 1.  ]))
    """
    where = "unit_moments"
    x = _real(x, "x", where)
    return x.copy(), _variances(x, rate, where)


def linear_moments(
    x: Any, weight: Any, rate: Any, bias: Any = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of what a linear layer gives, with dropout on its input.

    Parameters
    ----------
    x : array_like of float, shape (..., in)
    weight : array_like of float, shape (in,) or (in, units)
    rate : float or array_like of float
        Probability of dropping, in [0, 1); an array broadcasts to `x`.
    bias : array_like of float, default 0.0
        Added to the mean.

    Returns
    -------
    (ndarray, ndarray) of float64
        Of the shape of ``x @ weight``.

    Raises
    ------
    TypeError, ValueError
        If an argument holds no real numbers, shapes do not fit each other, or
        `rate` is out of its range.

    Notes
    -----
    Units are dropped independently of each other: the mean is
    ``x @ weight + bias`` and the variance ``rate / (1 - rate) * x**2 @
    weight**2`` [1]_.

    References
    ----------
    .. [1] Wang, Manning, "Fast dropout training", ICML 2013, section 2.

    Examples
    --------
    >>> from fastdrop.theory import linear_moments
    >>> mean, variance = linear_moments([1.0, 2.0], [3.0, -1.0], 0.5)
    >>> float(mean), float(variance)
    (1.0, 13.0)
    """
    where = "linear_moments"
    x, weight = _real(x, "x", where), _real(weight, "weight", where)
    _check_product(x, weight, where)
    variance = _variances(x, rate, where) @ weight**2
    return x @ weight + _real(bias, "bias", where), variance


def ridge_penalty(x: Any, weight: Any, rate: float) -> float:
    """What dropout on the inputs adds to the squared error of a linear regression.

    Parameters
    ----------
    x : array_like of float, shape (samples, features)
    weight : array_like of float, shape (features,) or (features, outputs)
    rate : float or array_like of float
        Probability of dropping, in [0, 1); an array broadcasts to `x`.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        As `linear_moments`.

    Notes
    -----
    Over the masks, the mean of ``sum((y - (m * x) @ weight) ** 2)`` is
    ``sum((y - x @ weight) ** 2)`` plus this penalty [1]_ [2]_::

        rate / (1 - rate) * sum(gamma**2 * weight**2),  gamma = sqrt(diag(x.T @ x))

    a ridge regression in which each weight counts by how large its feature is.

    References
    ----------
    .. [1] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a
       simple way to prevent neural networks from overfitting", JMLR 15, 2014,
       section 9.1.
    .. [2] Wager, Wang, Liang, "Dropout training as adaptive regularization",
       NeurIPS 2013.

    Examples
    --------
    >>> from fastdrop.theory import ridge_penalty
    >>> ridge_penalty([[1.0, 2.0], [1.0, 0.0]], [3.0, 1.0], 0.5)
    22.0
    """
    where = "ridge_penalty"
    x, weight = _samples(x, where), _real(weight, "weight", where)
    _check_product(x, weight, where)
    return float((_variances(x, rate, where) @ weight**2).sum())


def ridge_weight(x: Any, y: Any, rate: float) -> np.ndarray:
    """The weights that linear regression with dropout on its inputs tends to.

    Parameters
    ----------
    x : array_like of float, shape (samples, features)
    y : array_like of float, shape (samples,) or (samples, outputs)
    rate : float or array_like of float
        Probability of dropping, in [0, 1); an array broadcasts to `x`.

    Returns
    -------
    ndarray of float64, shape (features,) or (features, outputs)
        If there are several, those of the smallest norm.

    Raises
    ------
    TypeError, ValueError
        As `linear_moments`.

    Notes
    -----
    The minimiser of the squared error plus `ridge_penalty`,

        inverse(x.T @ x + rate / (1 - rate) * diag(x.T @ x)) @ x.T @ y

    References
    ----------
    Those of `ridge_penalty`.

    Examples
    --------
    >>> from fastdrop.theory import ridge_weight
    >>> ridge_weight([[1.0], [1.0]], [2.0, 4.0], 0.25)  # 3 without dropout
    array([2.25])
    """
    where = "ridge_weight"
    x, y = _samples(x, where), _real(y, "y", where)
    if y.ndim not in (1, 2) or len(y) != len(x):
        raise ValueError(f"{where}: y must hold one row for each of {len(x)}, got shape {y.shape}")
    gamma = np.sqrt(_variances(x, rate, where).sum(axis=0))
    # As a least-squares problem: x.T @ x would square its condition number.
    rows = np.concatenate([x, np.diag(gamma)])
    targets = np.concatenate([y, np.zeros((len(gamma), *y.shape[1:]))])
    return np.linalg.lstsq(rows, targets, rcond=None)[0]


def sigmoid_moments(mean: Any, variance: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the sigmoid of a normal variable, nearly.

    Parameters
    ----------
    mean, variance : array_like of float
        Of the normal variable; they broadcast, and no variance is below 0.

    Returns
    -------
    (ndarray, ndarray) of float64
        Within 0.02 and 0.03 of the true ones.

    Raises
    ------
    TypeError, ValueError
        If an argument holds no real numbers, or a variance is below 0.

    Notes
    -----
    ``E[sigmoid(X)]`` is ``sigmoid(mean / sqrt(1 + pi * variance / 8))``, nearly;
    and as ``sigmoid(x)**2`` is ``sigmoid(a * (x - b))``, nearly, with
    ``a = 4 - 2 * sqrt(2)`` and ``b = -log(sqrt(2) - 1)``, so is
    ``E[sigmoid(X)**2]``, of which the variance is made [1]_.

    References
    ----------
    .. [1] Wang, Manning, "Fast dropout training", ICML 2013, sections 2 and 4.

    Examples
    --------
    >>> from fastdrop.theory import sigmoid_moments
    >>> mean, variance = sigmoid_moments(0.0, 4.0)
    >>> float(mean), round(float(variance), 3)
    (0.5, 0.109)
    """
    where = "sigmoid_moments"
    mean, variance = _real(mean, "mean", where), _real(variance, "variance", where)
    if not (variance >= 0).all():
        raise ValueError(f"{where}: variance must be at least 0, got {variance.min()}")
    a, b = 4 - 2 * sqrt(2), -log(sqrt(2) - 1)
    first = _mean_sigmoid(mean, variance)
    second = _mean_sigmoid(a * (mean - b), a * a * variance)
    return first, np.maximum(second - first * first, 0)


def fast_dropout(x: Any, weight: Any, rate: Any, bias: Any = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a layer of sigmoid units, with dropout on its input, unsampled.

    Parameters, shapes and errors are those of `linear_moments`.

    Returns
    -------
    (ndarray, ndarray) of float64
        Of the shape of ``x @ weight``.

    Notes
    -----
    What goes into a sigmoid is a sum of many independent terms and so, nearly,
    a normal variable of the moments of `linear_moments`; `sigmoid_moments` does
    the rest [1]_.

    References
    ----------
    .. [1] Wang, Manning, "Fast dropout training", ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop.theory import fast_dropout
    >>> mean, variance = fast_dropout(np.ones((2, 100)), np.full((100, 3), 0.01), 0.5)
    >>> mean.shape, round(float(mean[0, 0]), 3)
    ((2, 3), 0.731)
    """
    return sigmoid_moments(*linear_moments(x, weight, rate, bias))


def _mean_sigmoid(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * mean / np.sqrt(1 + pi / 8 * variance)))


def _variances(x: np.ndarray, rate: Any, where: str) -> np.ndarray:
    """Of units under dropout."""
    rates = np.asarray(check_rate(rate, where))
    if (rates == 1).any():
        raise ValueError(f"{where}: rate must be below 1, got 1")
    try:
        rates = np.broadcast_to(rates, x.shape)
    except ValueError:
        raise ValueError(
            f"{where}: rate must broadcast to the shape of x, {x.shape}, got {rates.shape}"
        ) from None
    return x * x * (rates / (1 - rates))


def _real(array: Any, name: str, where: str) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{where}: {name} must hold real numbers, got {array.dtype}")
    return array.astype(np.float64)


def _samples(x: Any, where: str) -> np.ndarray:
    x = _real(x, "x", where)
    if x.ndim != 2:
        raise ValueError(f"{where}: x must be (samples, features), got shape {x.shape}")
    return x


def _check_product(x: np.ndarray, weight: np.ndarray, where: str) -> None:
    size = x.shape[-1] if x.ndim else 1
    if not x.ndim or weight.ndim not in (1, 2) or len(weight) != size:
        raise ValueError(
            f"{where}: weight must be ({size},) or ({size}, units), got shape {weight.shape} "
            f"and x of shape {x.shape}"
        )
