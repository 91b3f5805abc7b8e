"""Sums and means over time against a loop, central differences and PyTorch."""

import numpy as np
import pytest
from gradients import assert_gradient

from fastdrop import nn
from fastdrop.nn.embedding import Embedding
from fastdrop.nn.sequence_pooling import GlobalAvgPool1D, GlobalSumPool1D

KINDS = {GlobalSumPool1D: np.sum, GlobalAvgPool1D: np.mean}
LENGTHS = [None, np.array([4, 1, 3]), np.array([2, 4, 4], np.uint8)]

each_kind = pytest.mark.parametrize("kind", KINDS)
in_both_lengths = pytest.mark.parametrize("lengths", LENGTHS, ids=str)


def normals(*shape, seed=3, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@each_kind
@in_both_lengths
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_sequence_has_its_own_steps(kind, lengths, dtype):
    x = normals(3, 4, 5, dtype=dtype)
    y = kind().forward(x, lengths=lengths)
    assert (y.shape, y.dtype) == ((3, 5), dtype)
    for n, length in enumerate([4] * 3 if lengths is None else lengths):
        expected = KINDS[kind](x[n, :length].astype(np.float64), axis=0)
        np.testing.assert_allclose(y[n], expected, rtol=1e-5, atol=1e-6)


@each_kind
@in_both_lengths
def test_gradients_are_those_of_central_differences(kind, lengths):
    layer, x, dy = kind(), normals(3, 4, 5), normals(3, 5, seed=4)
    layer.forward(x, training=True, lengths=lengths)
    dx = layer.backward(dy)
    assert_gradient(dx, lambda: (layer.forward(x, lengths=lengths) * dy).sum(), x)
    for n, length in enumerate([] if lengths is None else lengths):
        assert not dx[n, length:].any()


@each_kind
def test_torch_gives_the_same(kind):
    torch = pytest.importorskip("torch")
    lengths = np.array([4, 1, 3])
    x, dy = normals(3, 4, 5, dtype=np.float32), normals(3, 5, seed=4, dtype=np.float32)
    layer = kind()
    y = layer.forward(x, lengths=lengths)
    theirs = torch.tensor(x, requires_grad=True)
    means = torch.stack(
        [getattr(theirs[n, :length], KINDS[kind].__name__)(0) for n, length in enumerate(lengths)]
    )
    means.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(y, means.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.backward(dy), theirs.grad.numpy(), rtol=1e-6)


@each_kind
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
def test_what_is_beyond_the_lengths_does_not_matter(kind, garbage):
    x, lengths = normals(3, 4, 5), np.array([3, 1, 2])
    layer = kind()
    expected = layer.forward(x, lengths=lengths)
    for n, length in enumerate(lengths):
        x[n, length:] = garbage
    with np.errstate(all="raise"):
        assert np.array_equal(layer.forward(x, lengths=lengths), expected)
    layer.backward(np.full((3, 5), garbage))
    assert not layer.backward(np.full((3, 5), garbage))[0, 3:].any()


def test_padding_changes_no_bit():
    x = normals(2, 9, 5, dtype=np.float32)
    alone = GlobalAvgPool1D().forward(x[:, :7])
    assert np.array_equal(GlobalAvgPool1D().forward(x, lengths=np.array([7, 7])), alone)


def test_a_sum_of_embeddings_is_a_product_with_a_bag():
    x = np.array([[3, 1, 0], [2, 0, 0]])
    bag = np.array([[0, 1, 0, 1], [0, 0, 1, 0]], np.float32)
    embedding, dense = Embedding(4, 2, padding=0), nn.Dense(2)
    sums = nn.Sequential([embedding, GlobalSumPool1D()], optimizer=nn.SGD(0.1), rng=0)
    product = nn.Sequential([dense], optimizer=nn.SGD(0.1), rng=0, input_shape=(4,))
    sums.forward(x)
    dense.params["weight"][...] = embedding.params["weight"]
    np.testing.assert_allclose(sums.forward(x), product.forward(bag), rtol=1e-6)
    sums.train_batch(x, [0, 1])
    product.train_batch(bag, [0, 1])
    np.testing.assert_allclose(embedding.params["weight"], dense.params["weight"], rtol=1e-5)


@each_kind
@pytest.mark.parametrize(
    ("shape", "lengths", "error", "text"),
    [
        ((2, 3), None, ValueError, r"expected sequences of shape \(N, T, C\), .* got .* \(2, 3\)"),
        ((2, 0, 3), None, ValueError, r".* T at least 1, got input of shape \(2, 0, 3\)"),
        ((2, 4, 3), [5, 1], ValueError, r"lengths must be in \[1, 4\], .* got 5"),
        ((2, 4, 3), [1, 0], ValueError, r"lengths must be in \[1, 4\], .* got 0"),
        ((2, 4, 3), [1], ValueError, r"lengths must be of shape \(2,\), .* got shape \(1,\)"),
        ((2, 4, 3), [1.0, 2.0], TypeError, "lengths must be integers, got float64"),
    ],
)
def test_bad_inputs_are_told(kind, shape, lengths, error, text):
    with pytest.raises(error, match=f"^{kind.__name__}: {text}"):
        kind().forward(np.ones(shape), lengths=lengths)


@each_kind
def test_arrays_of_other_kinds_are_told(kind):
    layer = kind()
    with pytest.raises(TypeError, match=f"^{kind.__name__}: x must be float32 or float64"):
        layer.forward(np.ones((2, 3, 4), int))
    with pytest.raises(RuntimeError, match="backward needs a forward before it"):
        layer.backward(np.ones((2, 4)))
    layer.forward(np.ones((2, 3, 4)))
    with pytest.raises(
        ValueError, match=rf"^{kind.__name__}: dy must have .* \(2, 4\), got \(4,\)"
    ):
        layer.backward(np.ones(4))
