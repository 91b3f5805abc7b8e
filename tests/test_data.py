"""Arrays from data sets."""

import sys

import numpy as np
import pytest

from fastdrop.data import digits


def test_digits_are_images_and_labels():
    data = digits()
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x.shape == (len(y), 64)
        assert x.dtype == np.float32
        assert y.dtype == np.int64
        assert (x.min(), x.max()) == (0, 1)
        assert set(y) == set(range(10))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_digits_are_parted_evenly(share):
    from sklearn.datasets import load_digits

    data = digits(share)
    every, labels = load_digits(return_X_y=True)
    assert len(data.y_train) + len(data.y_test) == 1797
    # Every image comes once: sums of pixels and labels are kept.
    assert data.x_train.sum(dtype=float) + data.x_test.sum(dtype=float) == every.sum() / 16
    for digit in range(10):
        count = (labels == digit).sum()
        assert (data.y_train == digit).sum() == int(count * share)


def test_digits_are_the_same_every_time():
    for first, second in zip(digits(), digits(), strict=True):
        assert np.array_equal(first, second)
    # The first zero is for the test, the second (image 10) for training.
    from sklearn.datasets import load_digits

    every = load_digits(return_X_y=True)[0] / 16
    assert (digits().x_test[0] == every[0]).all()
    assert (digits().x_train[digits().y_train == 0][0] == every[10]).all()


@pytest.mark.parametrize(
    ("share", "error", "text"),
    [
        (0, ValueError, r"digits: train_share must be in \(0, 1\), got 0"),
        (1.0, ValueError, r"digits: train_share must be in \(0, 1\), got 1.0"),
        (float("nan"), ValueError, "digits: train_share must be in"),
        (1e-9, ValueError, "leaves a part empty"),
        ("half", TypeError, "digits: train_share must be a number, got 'half'"),
    ],
)
def test_a_bad_share_is_told(share, error, text):
    with pytest.raises(error, match=text):
        digits(share)


def test_without_scikit_learn_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r'pip install "fastdrop\[app\]"'):
        digits()
