"""What dropout does on average, against sampling, quadrature and another library."""

import numpy as np
import pytest

from fastdrop import dropout
from fastdrop.theory import (
    fast_dropout,
    linear_moments,
    ridge_penalty,
    ridge_weight,
    sigmoid_moments,
    unit_moments,
)

# Standard errors that a figure may be away from what is expected of it.
Z = 5

rates = pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])


def normals(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def assert_moments(samples, mean, variance):
    """That samples along axis 0 have this mean and this variance, all of them."""
    centred = samples - mean
    for power, expected in ((centred, 0.0), (centred**2, variance)):
        error = power.std(axis=0) / np.sqrt(len(samples))
        # At a rate of 0.5 every square is the same.
        assert (np.abs(power.mean(axis=0) - expected) < Z * error + 1e-9).all()


# Moments


@rates
def test_moments_of_units(rate):
    x = normals(6)
    samples = dropout(np.tile(x, (200_000, 1)), rate, rng=1)
    assert_moments(samples, *unit_moments(x, rate))


@rates
def test_moments_of_a_linear_layer(rate):
    x, weight, bias = normals(2, 9), normals(9, 3, seed=1), normals(3, seed=2)
    samples = dropout(np.tile(x, (100_000, 1, 1)), rate, rng=1) @ weight + bias
    mean, variance = linear_moments(x, weight, rate, bias)
    assert mean.shape == variance.shape == (2, 3)
    assert_moments(samples, mean, variance)


def test_each_unit_may_have_its_rate():
    x, weight, each = normals(4), normals(4, seed=1), np.array([0.0, 0.2, 0.5, 0.9])
    samples = dropout(np.tile(x, (200_000, 1)), each, rng=1)
    assert unit_moments(x, each)[1][0] == 0
    assert_moments(samples[:, 1:], *(moment[1:] for moment in unit_moments(x, each)))
    mean, variance = linear_moments(x, weight, each)
    assert_moments((samples @ weight)[:, None], mean, variance)


# The penalty


@rates
def test_expected_squared_error_is_the_penalised_one(rate):
    x, y, weight = normals(7, 4), normals(7, seed=1), normals(4, seed=2)
    masked = dropout(np.tile(x, (100_000, 1, 1)), rate, rng=1)
    losses = ((y - masked @ weight) ** 2).sum(axis=1)
    expected = ((y - x @ weight) ** 2).sum() + ridge_penalty(x, weight, rate)
    assert abs(losses.mean() - expected) < Z * losses.std() / np.sqrt(len(losses))


@rates
def test_sampled_gradient_is_zero_at_the_minimiser(rate):
    x, y = normals(7, 4), normals(7, seed=1)
    weight = ridge_weight(x, y, rate)
    masked = dropout(np.tile(x, (100_000, 1, 1)), rate, rng=1)
    gradients = np.einsum("snf,sn->sf", masked, masked @ weight - y)
    error = gradients.std(axis=0) / np.sqrt(len(gradients))
    assert (np.abs(gradients.mean(axis=0)) < Z * error).all()


@rates
def test_minimiser_is_that_of_many_masked_copies(rate):
    x, y = normals(30, 3), normals(30, 2, seed=1)
    masked = dropout(np.tile(x, (20_000, 1)), rate, rng=1)
    found = np.linalg.lstsq(masked, np.tile(y, (20_000, 1)), rcond=None)[0]
    weight = ridge_weight(x, y, rate)
    assert np.abs(found - weight).max() < 0.03 * np.abs(weight).max()


def test_unit_columns_make_it_plain_ridge_regression():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = normals(20, 5), normals(20, seed=1)
    x /= np.linalg.norm(x, axis=0)
    theirs = linear_model.Ridge(alpha=0.3 / 0.7, fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(ridge_weight(x, y, 0.3), theirs.coef_, rtol=1e-9)
    assert ridge_penalty(x, theirs.coef_, 0.3) == pytest.approx(
        0.3 / 0.7 * np.sum(theirs.coef_**2), rel=1e-12
    )


def test_minimiser_without_dropout_is_least_squares():
    x, y = normals(9, 3), normals(9, seed=1)
    expected = np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(ridge_weight(x, y, 0.0), expected, rtol=1e-10)


def test_feature_that_is_always_zero_gets_no_weight():
    x = normals(9, 3)
    x[:, 1] = 0
    assert ridge_weight(x, normals(9, seed=1), 0.5)[1] == 0


# The pass without sampling


def quadrature(mean, variance):
    """Mean and variance of a sigmoid, by the trapezoidal rule over ten deviations."""
    z = np.linspace(-10, 10, 4001)
    density = np.exp(-z * z / 2)
    density /= density.sum()
    values = 1 / (1 + np.exp(-(mean[:, None] + np.sqrt(variance) * z)))
    average = values @ density
    return average, (values - average[:, None]) ** 2 @ density


@pytest.mark.parametrize("variance", [1e-3, 0.1, 1.0, 4.0, 10.0, 100.0])
def test_moments_of_a_sigmoid(variance):
    mean = np.linspace(-20, 20, 161)
    average, spread = quadrature(mean, variance)
    found = sigmoid_moments(mean, variance)
    assert np.abs(found[0] - average).max() <= 0.02
    assert np.abs(found[1] - spread).max() <= 0.03
    assert (found[1] >= 0).all()


def test_sigmoid_of_a_constant_is_exact():
    mean, variance = sigmoid_moments([-800.0, 0.3, 800.0], 0.0)
    np.testing.assert_allclose(mean, [0.0, 1 / (1 + np.exp(-0.3)), 1.0], rtol=1e-15)
    assert (variance < 0.01).all()


@rates
def test_pass_without_sampling(rate):
    x, weight, bias = normals(200), normals(200, 3, seed=1) / 10, normals(3, seed=2)
    masked = dropout(np.tile(x, (20_000, 1)), rate, rng=1) @ weight + bias
    samples = 1 / (1 + np.exp(-masked))
    mean, variance = fast_dropout(x, weight, rate, bias)
    assert np.abs(samples.mean(axis=0) - mean).max() < 0.02
    assert np.abs(samples.var(axis=0) - variance).max() < 0.03
    # Sampling says that it is not the sigmoid of the mean for rates like these.
    if rate == 0.8:
        plain = 1 / (1 + np.exp(-(x @ weight + bias)))
        assert np.abs(samples.mean(axis=0) - plain).max() > 0.04


# Errors


@pytest.mark.parametrize("rate", [1.0, [0.5, 1.0]])
def test_rate_of_one_has_no_moments(rate):
    with pytest.raises(ValueError, match="unit_moments: rate must be below 1"):
        unit_moments([1.0, 2.0], rate)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: unit_moments([1.0], 1.5), ValueError, r"unit_moments: rate must be in \[0, 1\]"),
        (lambda: unit_moments(["a"], 0.5), TypeError, "unit_moments: x must hold real numbers"),
        (lambda: unit_moments([1.0], [0.1, 0.2]), ValueError, r"broadcast .* \(1,\), got \(2,\)"),
        (
            lambda: linear_moments(np.ones((2, 3)), np.ones((2, 3)), 0.5),
            ValueError,
            r"linear_moments: weight must be \(3,\) or \(3, units\), got shape \(2, 3\)",
        ),
        (lambda: ridge_penalty([1.0], [1.0], 0.5), ValueError, r"\(samples, features\), got .*1,"),
        (lambda: ridge_weight([[1.0]], [1.0, 2.0], 0.5), ValueError, "one row for each of 1"),
        (lambda: sigmoid_moments(0.0, -1.0), ValueError, "variance must be at least 0, got -1.0"),
        (lambda: sigmoid_moments(0.0, np.nan), ValueError, "variance must be at least 0, got nan"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
