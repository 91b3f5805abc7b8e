"""Vectors of words against a loop, central differences and PyTorch; dropout of whole words."""

import numpy as np
import pytest
from gradients import assert_gradient

from fastdrop import Mask, MaskStream, nn
from fastdrop.nn.embedding import Embedding, EmbeddingDropout
from fastdrop.nn.sequence_pooling import GlobalAvgPool1D

X = np.array([[3, 1, 3, 0], [2, 3, 0, 0], [4, 0, 1, 0], [0, 0, 0, 0]])


def normals(*shape, seed=3, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def made(kind=Embedding, *args, dtype=np.float64, **settings):
    layer = kind(6, 3, *args, rng=1, **settings)
    layer.build(X.shape, np.dtype(dtype))
    return layer


def naive_gradient(x, dy, words, padding=None):
    grad = np.zeros((words, dy.shape[-1]), dy.dtype)
    for place in np.ndindex(x.shape):
        if x[place] != padding:
            grad[x[place]] += dy[place]
    return grad


# Embedding


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", ">i8", "uint64", "int64"])
@pytest.mark.parametrize("training", [True, False])
def test_rows_are_looked_up(dtype, training):
    layer = made()
    weight = layer.params["weight"]
    y = layer.forward(X.astype(dtype), training)
    assert y.shape == (4, 4, 3)
    for n, t in np.ndindex(X.shape):
        assert (y[n, t] == weight[X[n, t]]).all()
    assert layer.lengths is None


def test_every_layout_is_read_alike():
    layer = made()
    expected = layer.forward(X).copy()
    for x in (np.asfortranarray(X), X.repeat(2, axis=1)[:, ::2], X[::-1][::-1], X.tolist()):
        assert np.array_equal(layer.forward(x), expected)


@pytest.mark.parametrize("padding", [None, 0, 3])
def test_the_gradient_is_that_of_a_loop_and_of_central_differences(padding):
    layer, dy = made(padding=padding), normals(*X.shape, 3)
    layer.forward(X, training=True)
    dx = layer.backward(dy)
    assert dx.shape == X.shape
    assert not dx.any()
    expected = naive_gradient(X, dy, 6, padding)
    assert not expected[5].any()
    np.testing.assert_allclose(layer.grads["weight"], expected, rtol=1e-12, atol=0)
    if padding is None:
        assert_gradient(
            layer.grads["weight"], lambda: (layer.forward(X) * dy).sum(), layer.params["weight"]
        )


@pytest.mark.parametrize("units", [1, 15, 16, 33])
@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (1, 400)])
def test_gradients_of_any_width(units, shape):
    rng = np.random.default_rng(0)
    for x in (rng.integers(0, 30, shape), np.full(shape, 4), np.zeros(shape, int)):
        layer, dy = Embedding(30, units, padding=0, rng=0), normals(*shape, units, dtype=np.float32)
        layer.forward(x, training=True)
        layer.learn(dy)
        np.testing.assert_allclose(
            layer.grads["weight"], naive_gradient(x, dy, 30, 0), rtol=1e-4, atol=1e-4
        )


def test_learning_overwrites_the_gradient_of_the_step_before():
    layer = made(dtype=np.float32)
    for seed, x in enumerate((X, np.full((2, 9), 5), np.array([[1]]))):
        layer.forward(x, training=True)
        dy = normals(*x.shape, 3, seed=seed, dtype=np.float32)
        layer.learn(dy)
        np.testing.assert_allclose(
            layer.grads["weight"], naive_gradient(x, dy, 6), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("units", [2, 7, 40])
@pytest.mark.parametrize("padding", [None, 0, 5])
def test_torch_gives_the_same(padding, units):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, dy = rng.integers(0, 150, (8, 30)), normals(8, 30, units, dtype=np.float32)
    layer = Embedding(150, units, padding=padding, rng=0)
    y = layer.forward(x, training=True)
    weight = torch.tensor(layer.params["weight"], requires_grad=True)
    theirs = torch.nn.functional.embedding(torch.from_numpy(x), weight, padding_idx=padding)
    assert np.array_equal(y, theirs.detach().numpy())
    theirs.backward(torch.from_numpy(dy))
    layer.learn(dy)
    np.testing.assert_allclose(layer.grads["weight"], weight.grad.numpy(), rtol=1e-5, atol=1e-5)


def test_padding_is_zero_and_not_trained():
    layer = Embedding(6, 3, padding=2, init=lambda shape, rng: np.ones(shape))
    model = nn.Sequential([layer, GlobalAvgPool1D(), nn.Dense(2)], optimizer=nn.Adam(0.1), rng=0)
    x = np.array([[2, 3, 2, 2], [4, 2, 5, 2]])
    for _ in range(5):
        model.train_batch(x, [0, 1])
    weight = layer.params["weight"]
    assert not weight[2].any()
    assert (weight[[0, 1]] == 1).all()
    assert (weight[3:] != 1).all()
    assert (layer.forward(x)[0, [0, 2, 3]] == 0).all()


@pytest.mark.parametrize(
    ("padding", "lengths"), [(0, [3, 2, 3, 1]), (3, [4, 4, 4, 4]), (1, [4, 4, 4, 4]), (5, [4] * 4)]
)
def test_lengths_are_up_to_the_last_that_is_not_padding(padding, lengths):
    layer = made(padding=padding)
    layer.forward(X)
    assert layer.lengths.tolist() == lengths
    assert layer.lengths.dtype == np.int64
    layer.forward(np.full((2, 3), padding))
    assert layer.lengths.tolist() == [1, 1]


def test_sequential_hands_the_lengths_on():
    layer = Embedding(6, 3, padding=0)
    model = nn.Sequential([layer, nn.Dropout(0.5), GlobalAvgPool1D()], rng=0)
    y = model.forward(X)
    weight = layer.params["weight"]
    np.testing.assert_allclose(y[0], weight[[3, 1, 3]].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(y[2], (weight[4] + weight[1]) / 3, rtol=1e-6)
    assert not y[3].any()
    assert not model.backward(y).any()


def test_first_vectors_are_those_of_the_initialiser():
    layer = Embedding(20_000, 50, init="lecun_normal", rng=0)
    layer.forward(np.array([[0]]))
    assert layer.params["weight"].dtype == np.float32
    assert layer.params["weight"].std() == pytest.approx(1, rel=0.01)
    layer = Embedding(20_000, 50, rng=0)
    layer.forward(np.array([[0]]))
    assert layer.params["weight"].std() == pytest.approx((2 / 51) ** 0.5, rel=0.01)


def test_the_same_rng_gives_the_same_vectors():
    first, second = (nn.Sequential([Embedding(9, 2), GlobalAvgPool1D()], rng=4) for _ in range(2))
    assert np.array_equal(first.forward(X), second.forward(X))
    assert np.array_equal(made().params["weight"], made(EmbeddingDropout).params["weight"])


# EmbeddingDropout


def dropped_naively(layer, x):
    """``mask.apply(weight)[x]``, by the public recipe."""
    mask = layer.mask
    recipe = Mask((6, 3), mask.rate, key=mask.key, stream=mask.stream, shared_axes=1)
    return recipe.apply(layer.params["weight"])[x]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("padding", [None, 0])
def test_words_are_dropped_as_the_recipe_says(dtype, rate, padding):
    layer = made(EmbeddingDropout, rate, padding=padding, dtype=dtype)
    for _ in range(5):
        y = layer.forward(X, training=True)
        assert y.dtype == dtype
        assert np.array_equal(y, dropped_naively(layer, X))
        assert not np.signbit(y[y == 0]).any() or rate == 0


def test_a_word_is_dropped_everywhere_or_nowhere():
    x = np.random.default_rng(0).integers(0, 200, (64, 50))
    layer = EmbeddingDropout(200, 4, 0.4, rng=0)
    y, plain = layer.forward(x, training=True).copy(), layer.forward(x)
    zero, scaled = (y == 0).all(axis=2), (y == plain * np.float32(1 / 0.6)).all(axis=2)
    assert (zero != scaled).all()
    for word in range(200):
        assert len(set(zero[x == word])) == 1
    assert 40 < len(set(x[zero])) < 120


def test_the_rate_is_honoured():
    layer, words = EmbeddingDropout(2000, 1, 0.3, rng=0), np.arange(2000)[None]
    dropped = sum((layer.forward(words, training=True) == 0).sum() for _ in range(100))
    # Standard deviation of 200,000 draws: 205.
    assert abs(dropped - 60_000) < 5 * 205


def test_each_forward_draws_a_new_mask_and_evaluation_none():
    layer = made(EmbeddingDropout, 0.5)
    streams = []
    for _ in range(3):
        layer.forward(X, training=True)
        streams.append(layer.mask.stream)
        assert np.array_equal(layer.forward(X), layer.params["weight"][X])
        assert layer.mask is None
    assert streams == [0, 1, 2]


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_the_gradient_through_dropped_words(rate):
    layer, dy = made(EmbeddingDropout, rate, padding=0), normals(*X.shape, 3)
    layer.forward(X, training=True)
    mask = layer.mask
    layer.backward(dy)
    factors = mask.keep() * mask.scale
    assert rate != 0.5 or 0 < factors[1:5].astype(bool).sum() < 4
    expected = naive_gradient(X, dy, 6, padding=0) * factors
    np.testing.assert_allclose(layer.grads["weight"], expected, rtol=1e-12, atol=1e-15)
    layer.forward(X)
    layer.learn(dy)
    np.testing.assert_allclose(layer.grads["weight"], naive_gradient(X, dy, 6, 0), rtol=1e-12)


def test_the_gradient_by_central_differences():
    layer, dy = made(EmbeddingDropout, 0.5), normals(*X.shape, 3)
    state = layer._masks.state_dict()

    def total():
        layer._masks.load_state_dict(state)
        return (layer.forward(X, training=True) * dy).sum()

    total()
    layer.learn(dy)
    assert_gradient(layer.grads["weight"].copy(), total, layer.params["weight"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_dropped_is_zero_whatever_stood_there(value):
    layer = made(EmbeddingDropout, 0.5)
    layer.params["weight"][...] = value
    with np.errstate(all="raise"):
        y = layer.forward(X, training=True)
        layer.learn(np.full(y.shape, value))
    dropped = ~layer.mask.keep()[:, 0]
    assert dropped[X].any()
    assert (y[dropped[X]] == 0).all()
    assert (layer.grads["weight"][dropped] == 0).all()
    assert not np.isfinite(y[~dropped[X]]).any()


def test_masks_come_from_the_network_and_noise_from_training_alone():
    layer = EmbeddingDropout(6, 3, 0.5)
    model = nn.Sequential([layer, GlobalAvgPool1D(), nn.Dense(2)], rng=7)
    model.forward(X, training=True)
    first = layer.mask
    again = EmbeddingDropout(6, 3, 0.5)
    nn.Sequential([again, GlobalAvgPool1D(), nn.Dense(2)], rng=7).forward(X, training=True)
    assert again.mask == first
    assert layer.noisy
    assert not Embedding(6, 3).noisy
    assert np.array_equal(model.forward(X), model.forward(X))
    assert not np.array_equal(*(np.array(model.forward(X, training=True)) for _ in range(2)))


def test_an_rng_of_its_own_goes_before_that_of_the_network():
    masks = []
    for seed in (1, 2):
        layer = EmbeddingDropout(6, 3, rng=5)
        nn.Sequential([layer, GlobalAvgPool1D()], rng=seed).forward(X, training=True)
        masks.append((layer.mask, layer.params["weight"].tolist()))
    assert masks[0] == masks[1]
    stream = MaskStream(3)
    EmbeddingDropout(6, 3, rng=stream)
    assert stream.state_dict()["next"] == 1


def test_config_makes_the_same_layer():
    layer = EmbeddingDropout(6, 3, 0.25, padding=1, init="zeros")
    config = {"words": 6, "units": 3, "rate": 0.25, "padding": 1, "init": "zeros"}
    assert layer.config() == config
    del config["rate"]
    assert Embedding(**config).config() == config


# What is told


@pytest.mark.parametrize("kind", [Embedding, EmbeddingDropout])
@pytest.mark.parametrize(
    ("x", "error", "text"),
    [
        ([[0, 6]], ValueError, r"x must hold indices in \[0, 6\), got 6"),
        ([[0, -1]], ValueError, r"x must hold indices in \[0, 6\), got -1"),
        (np.array([[2**63]], np.uint64), ValueError, f"got {2**63}"),
        ([[0.0, 1.0]], TypeError, "x must hold integers, got float64"),
        ([[True]], TypeError, "x must hold integers, got bool"),
        ([["a"]], TypeError, "x must hold integers, got <U1"),
        ([1, 2], ValueError, r"expected indices of shape \(N, T\), .* got input of shape \(2,\)"),
        (np.zeros((2, 0), int), ValueError, r"T at least 1, got input of shape \(2, 0\)"),
        (np.zeros((2, 3, 1), int), ValueError, r"got input of shape \(2, 3, 1\)"),
    ],
)
def test_bad_inputs_are_told(kind, x, error, text):
    with pytest.raises(error, match=f"^{kind.__name__}: .*{text}"):
        kind(6, 3).forward(x, training=True)


def test_sequential_names_the_layer():
    model = nn.Sequential([Embedding(6, 3), GlobalAvgPool1D()])
    where = r"Sequential layer 0 \(Embedding\)"
    with pytest.raises(ValueError, match=rf"^{where}: x must hold indices in \[0, 6\), got 9"):
        model.predict([[9]])
    with pytest.raises(TypeError, match=f"must hold integers, as {where} takes them, got float64"):
        model.predict([[1.0]])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Embedding(0, 3), ValueError, "Embedding: words must be at least 1, got 0"),
        (lambda: Embedding(3, 0), ValueError, "Embedding: units must be at least 1, got 0"),
        (lambda: Embedding(3, 2.0), TypeError, "Embedding: units must be an int, got 2.0"),
        (lambda: Embedding(3, 2, padding=-1), ValueError, "padding must be at least 0, got -1"),
        (lambda: Embedding(3, 2, padding=3), ValueError, r"padding must be .* \[0, 3\), got 3"),
        (lambda: Embedding(3, 2, init="he"), ValueError, "Embedding: init must be one of"),
        (lambda: Embedding(3, 2, rng="x"), TypeError, "Embedding: rng must be None, an int"),
        (lambda: EmbeddingDropout(3, 2, 1.5), ValueError, r"Dropout: rate must be in \[0, 1\]"),
        (lambda: EmbeddingDropout(3, 2, np.nan), ValueError, "rate must be in .* got nan"),
        (lambda: EmbeddingDropout(3, 2, [0.1] * 3), TypeError, "rate must be one number, got"),
    ],
)
def test_bad_settings_are_told(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_gradients_of_another_kind_are_told():
    layer = made(dtype=np.float32)
    with pytest.raises(RuntimeError, match="Embedding: backward needs a forward before it"):
        layer.learn(np.ones((4, 4, 3), np.float32))
    layer.forward(X)
    with pytest.raises(TypeError, match=r"Embedding: dy must be float32, .* got float64"):
        layer.learn(np.ones((4, 4, 3)))
    with pytest.raises(ValueError, match=r"Embedding: dy must have .* \(4, 4, 3\), got \(4, 3\)"):
        layer.learn(np.ones((4, 3), np.float32))
