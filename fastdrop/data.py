"""Arrays to train on, from where they are to be had."""

from __future__ import annotations

from numbers import Real
from typing import NamedTuple

import numpy as np


class Dataset(NamedTuple):
    """Samples and integer labels, parted into those to train on and those to test on."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def digits(train_share: float = 0.5) -> Dataset:
    """The 1,797 handwritten digits that scikit-learn ships, parted for training and test.

    Parameters
    ----------
    train_share : float, default 0.5
        Share of each digit's images to train on, in (0, 1). Half is the share
        of scikit-learn's own example of these digits.

    Returns
    -------
    Dataset
        ``x`` is float32 in [0, 1] of shape (samples, 64), 8 by 8 pixels row by
        row; ``y`` is int64 in [0, 10).

    Raises
    ------
    ImportError
        If scikit-learn is not installed; the text says how to get it.
    TypeError, ValueError
        If `train_share` is not a number or not in (0, 1), or if it leaves a
        part empty.

    Notes
    -----
    The parts are fixed and stratified: of each digit's ``n`` images, image
    ``i`` is to train on where ``floor((i + 1) * share) > floor(i * share)``,
    which spreads them evenly, and depends on no release of scikit-learn.

    References
    ----------
    Alpaydin, Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998; its test set.

    Examples
    --------
    >>> import fastdrop
    >>> digits = fastdrop.data.digits()
    >>> digits.x_train.shape, digits.x_test.shape
    ((896, 64), (901, 64))
    """
    if not isinstance(train_share, Real):
        raise TypeError(f"digits: train_share must be a number, got {train_share!r}")
    share = float(train_share)
    if not 0.0 < share < 1.0:
        raise ValueError(f"digits: train_share must be in (0, 1), got {train_share!r}")
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ImportError(
            'digits: scikit-learn is not installed: `pip install "fastdrop[app]"`'
        ) from None
    x, y = load_digits(return_X_y=True)
    x, y = (x / 16).astype(np.float32), y.astype(np.int64)
    train = np.zeros(len(y), bool)
    for digit in range(10):
        images = np.flatnonzero(y == digit)
        taken = np.floor(np.arange(len(images) + 1) * share)
        train[images[np.diff(taken) > 0]] = True
    if train.all() or not train.any():
        raise ValueError(f"digits: train_share {share} of 1,797 images leaves a part empty")
    return Dataset(x[train], y[train], x[~train], y[~train])
