"""Questions asked of more than one run."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from fastdrop.data import Dataset, digits
from fastdrop.experiments import compare
from fastdrop.nn import SGD, Dense, Dropout, ReLU, Sequential


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_compare_is_two_plain_runs():
    data, before = digits(), blas_threads()
    result = compare(rate=0.4, hidden=(20,), epochs=3, batch_size=50, learning_rate=0.1, seed=4)
    assert blas_threads() == before
    for arm, noise in ((result.without, []), (result.with_dropout, [Dropout(0.4)])):
        layers = [Dense(20), ReLU(), *noise, Dense(10)]
        model = Sequential(layers, optimizer=SGD(0.1, 0.9), rng=4)
        history = model.fit(data.x_train, data.y_train, epochs=3, batch_size=50, verbose=False)
        # One BLAS thread and several may differ in the last bits.
        np.testing.assert_allclose(arm.losses, history.history["loss"], rtol=1e-4)
        assert arm.test_error == pytest.approx(
            1 - model.evaluate(data.x_test, data.y_test)["accuracy"], abs=0.003
        )
        assert arm.train_error == pytest.approx(
            1 - model.evaluate(data.x_train, data.y_train)["accuracy"], abs=0.003
        )
        assert len(arm.train_errors) == len(arm.test_errors) == 3
    assert (result.without.rate, result.with_dropout.rate) == (0, 0.4)
    assert result.sizes == (64, 20, 10)
    assert (result.seed, result.train_samples, result.test_samples) == (4, 896, 901)


def test_compare_repeats():
    settings = {"hidden": (20,), "epochs": 2}
    first, second, third = (compare(**settings, seed=seed) for seed in (1, 1, 2))
    assert first.with_dropout.losses == second.with_dropout.losses
    assert first.without.test_errors == second.without.test_errors
    assert first.with_dropout.losses != third.with_dropout.losses
    fresh = compare(**settings, seed=None)
    again = compare(**settings, seed=fresh.seed)
    assert fresh.with_dropout.losses == again.with_dropout.losses


def test_compare_learns_and_dropout_helps():
    # The seeds 0 to 9 ended with 2.7 to 3.6 % without dropout, 1.8 to 2.6 % with.
    result = compare()
    assert result.without.train_error == 0
    assert result.without.test_error < 0.04
    assert result.with_dropout.test_error < result.without.test_error


def test_compare_takes_other_data():
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 5), np.float32), rng.integers(0, 3, 40)
    result = compare(hidden=(4,), epochs=1, data=Dataset(x[:30], y[:30], x[30:], y[30:]))
    assert result.sizes == (5, 4, 3)
    assert (result.train_samples, result.test_samples) == (30, 10)


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"rate": 1.5}, ValueError, r"compare: rate must be in \[0, 1\], got 1.5"),
        ({"rate": [0.5]}, TypeError, "compare: rate must be one number"),
        ({"hidden": (0,)}, ValueError, "Dense: units must be at least 1, got 0"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"learning_rate": -1}, ValueError, "SGD: learning_rate must be finite"),
        ({"seed": -1}, ValueError, "compare: seed must be at least 0, got -1"),
        ({"seed": 0.5}, TypeError, "compare: seed must be an int or None, got 0.5"),
    ],
)
def test_bad_settings_are_told(settings, error, text):
    with pytest.raises(error, match=text):
        compare(**settings)
