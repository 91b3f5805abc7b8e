"""First weights: their distributions, and that they are the same tomorrow."""

from math import inf, sqrt

import numpy as np
import pytest

from fastdrop.nn.initializers import INITIALIZERS, check_initializer, initialize

# Variances by fan_in and fan_out, from the papers.
VARIANCES = {
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}
SHAPE, FAN_IN, FAN_OUT = (5, 4, 20, 250), 400, 5000
COUNT = 100_000


def draw(name, dtype=np.float64, seed=0):
    return initialize(name, SHAPE, FAN_IN, FAN_OUT, np.random.default_rng(seed), dtype)


def test_names():
    families = {f"{family}_{kind}" for family in VARIANCES for kind in ("normal", "uniform")}
    assert {*INITIALIZERS} == {*families, "zeros"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("family", VARIANCES)
def test_normals_have_their_variance(family, dtype):
    weight = draw(f"{family}_normal", dtype)
    assert weight.dtype == dtype
    assert weight.shape == SHAPE
    assert weight.flags.carray
    z = weight.ravel().astype(np.float64) / sqrt(VARIANCES[family](FAN_IN, FAN_OUT))
    # Each within five standard deviations of what normals have.
    assert abs(z.mean()) < 5 / sqrt(COUNT)
    assert abs((z**2).mean() - 1) < 5 * sqrt(2 / COUNT)
    assert abs((z**4).mean() - 3) < 5 * sqrt(96 / COUNT)
    assert abs(z).max() > 4  # not truncated


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("family", VARIANCES)
def test_uniforms_have_their_variance_and_their_limit(family, dtype):
    weight = draw(f"{family}_uniform", dtype)
    assert weight.dtype == dtype
    assert weight.shape == SHAPE
    limit = sqrt(3 * VARIANCES[family](FAN_IN, FAN_OUT))
    u = weight.ravel().astype(np.float64) / limit
    assert abs(u).max() <= 1 + 1e-7
    assert u.max() > 0.999
    assert u.min() < -0.999
    assert abs(u.mean()) < 5 * sqrt(1 / 3 / COUNT)
    counts = np.histogram(u, 20, (-1, 1))[0]
    # Chi-square of 19 degrees of freedom: 60 is beyond p = 1e-5.
    assert (((counts - COUNT / 20) ** 2) / (COUNT / 20)).sum() < 60


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_he_normals_are_the_generators_own(dtype):
    rng = np.random.default_rng(3)
    weight = initialize("he_normal", (7, 5), 7, 5, np.random.default_rng(3), dtype)
    assert np.array_equal(weight, rng.standard_normal((7, 5), dtype) * sqrt(2 / 7))
    assert weight.dtype == dtype


def test_zeros_draw_nothing():
    rng = np.random.default_rng(0)
    weight = initialize("zeros", (3, 2), 3, 2, rng, np.float32)
    assert np.array_equal(weight, np.zeros((3, 2), np.float32))
    assert weight.dtype == np.float32
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("name", [name for name in INITIALIZERS if name != "zeros"])
def test_generators_reproduce_and_advance(name):
    assert np.array_equal(draw(name), draw(name))
    assert not np.array_equal(draw(name), draw(name, seed=1))
    rng = np.random.default_rng(0)
    first, second = (initialize(name, (9,), 9, 9, rng, np.float64) for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", [name for name in INITIALIZERS if name != "zeros"])
def test_pytorch_has_the_same_spread(name):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    tensor = torch.empty(500, 400, dtype=torch.float64)  # (out, in)
    family, kind = name.split("_")
    if family == "glorot":
        getattr(torch.nn.init, f"xavier_{kind}_")(tensor)
    else:
        gain = {"he": "relu", "lecun": "linear"}[family]
        getattr(torch.nn.init, f"kaiming_{kind}_")(tensor, nonlinearity=gain)
    ours = initialize(name, (400, 500), 400, 500, np.random.default_rng(0), np.float64)
    # Two estimates from 200,000 draws each.
    assert abs(ours.std() / tensor.std().item() - 1) < 5 * sqrt(1 / 200_000)


def test_ones_own_function():
    asked = []

    def diagonal(shape, rng):
        asked.append((shape, rng))
        return source

    source, rng = np.asfortranarray(np.arange(6).reshape(2, 3)), np.random.default_rng(0)
    weight = initialize(diagonal, (2, 3), 2, 3, rng, np.float32)
    assert asked == [((2, 3), rng)]
    assert weight.dtype == np.float32
    assert weight.flags.carray
    assert np.array_equal(weight, source)
    own = np.ones((2, 3))
    weight = initialize(lambda shape, rng: own, (2, 3), 2, 3, rng, np.float64)
    weight[...] = inf
    assert np.array_equal(own, np.ones((2, 3)))


@pytest.mark.parametrize(
    ("init", "error", "text"),
    [
        ("he", ValueError, "init must be one of 'he_normal', 'he_uniform', .*'zeros' or a func.*"),
        (None, ValueError, "init must be one of .* got None"),
        (["zeros"], ValueError, r"init must be one of .* got \['zeros'\]"),
        (lambda shape, rng: np.ones(3), ValueError, r"must give shape \(2, 3\), got \(3,\)"),
        (lambda shape, rng: np.full(shape, 1j), TypeError, "real numbers, got complex128"),
        (lambda shape, rng: None, TypeError, "real numbers, got object"),
    ],
)
def test_bad_initializers_are_told(init, error, text):
    with pytest.raises(error, match="^initialize: .*" + text):
        initialize(init, (2, 3), 2, 3, np.random.default_rng(0), np.float32)


def test_layers_check_at_their_door():
    assert check_initializer("he_normal", "init", "Dense") == "he_normal"
    assert check_initializer(np.ones, "init", "Dense") is np.ones
    with pytest.raises(ValueError, match=r"^Dense: weight_init must be one of 'he_normal', "):
        check_initializer("normal", "weight_init", "Dense")
