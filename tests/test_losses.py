"""Losses against their formulas, PyTorch and central differences."""

from math import exp, inf, log, nan

import numpy as np
import pytest

from fastdrop.nn.losses import (
    LOSSES,
    BinaryCrossEntropy,
    MeanSquaredError,
    SoftmaxCrossEntropy,
)

# Bound of central differences in float64, as a share of the gradient's norm.
GRADIENT = 1e-6


def naive_softmax(z, label, smoothing=0.0):
    total = sum(exp(value) for value in z)
    target = [smoothing / len(z) + (1 - smoothing) * (k == label) for k in range(len(z))]
    return -sum(q * log(exp(value) / total) for q, value in zip(target, z, strict=True))


def naive_binary(z, t):
    terms = []
    for value, target in zip(z, t, strict=True):
        p = 1 / (1 + exp(-value))
        terms.append(-target * log(p) - (1 - target) * log(1 - p))
    return sum(terms) / len(terms)


def naive_squares(z, t):
    return sum((value - target) ** 2 for value, target in zip(z, t, strict=True)) / len(z)


def cases():
    """Name, loss, naive loss of one sample, outputs and targets."""
    rng = np.random.default_rng(0)
    z, labels = 3 * rng.normal(size=(6, 5)), rng.integers(0, 5, 6)
    yield "softmax", SoftmaxCrossEntropy(), naive_softmax, z, labels
    smooth = SoftmaxCrossEntropy(label_smoothing=0.2)
    yield "smoothed", smooth, lambda z, t: naive_softmax(z, t, 0.2), z, labels
    yield "binary", BinaryCrossEntropy(), naive_binary, z, rng.random((6, 5))
    yield "binary of 0 and 1", BinaryCrossEntropy(), naive_binary, z, rng.integers(0, 2, (6, 5))
    yield "one output", BinaryCrossEntropy(), naive_binary, z[:, :1], rng.random((6, 1))
    yield "squares", MeanSquaredError(), naive_squares, z, rng.normal(size=(6, 5))


CASES = {name: case for name, *case in cases()}
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.0, 3.0, 0.25])

each_loss = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
each_weighting = pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])


@each_loss
@each_weighting
def test_value_is_the_formulas(case, weights):
    loss, naive, outputs, y = case
    checked = loss.check(y, outputs.shape, "test")
    terms = [naive(z.tolist(), t.tolist()) for z, t in zip(outputs, y, strict=True)]
    shares = np.ones(6) if weights is None else weights
    expected = sum(w * term for w, term in zip(shares, terms, strict=True)) / 6
    value = loss.forward(outputs, checked, weights)
    assert type(value) is float
    assert value == pytest.approx(expected, rel=1e-13)


@each_loss
@each_weighting
def test_gradient_is_that_of_central_differences(case, weights):
    loss, _, outputs, y = case
    outputs, y = outputs.copy(), loss.check(y, outputs.shape, "test")
    loss.forward(outputs, y, weights)
    computed = loss.backward()
    assert computed.shape == outputs.shape
    measured = np.full_like(outputs, nan)
    for place in np.ndindex(outputs.shape):
        value, sides = outputs[place], []
        for side in (1e-5, -1e-5):
            outputs[place] = value + side
            sides.append(loss.forward(outputs, y, weights))
        outputs[place] = value
        measured[place] = (sides[0] - sides[1]) / 2e-5
    assert np.linalg.norm(measured) > 0
    assert np.linalg.norm(computed - measured) <= GRADIENT * np.linalg.norm(measured)


@each_weighting
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", LOSSES)
def test_pytorch_agrees(name, smoothing, dtype, weights):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    outputs = (4 * rng.normal(size=(6, 3))).astype(dtype)
    if name == "softmax_cross_entropy":
        loss, y = SoftmaxCrossEntropy(smoothing), rng.integers(0, 3, 6)
        peer = torch.nn.CrossEntropyLoss(reduction="none", label_smoothing=smoothing)
        given = torch.tensor(y)
    else:
        loss, y = LOSSES[name](), rng.random((6, 3))
        kind = {"binary_cross_entropy": "BCEWithLogitsLoss", "mean_squared_error": "MSELoss"}
        peer = getattr(torch.nn, kind[name])(reduction="none")
        given = torch.tensor(y.astype(dtype))
    value = loss.forward(outputs, loss.check(y, outputs.shape, "test"), weights)
    gradient = loss.backward()
    tensor = torch.tensor(outputs, requires_grad=True)
    losses = peer(tensor, given).reshape(6, -1).mean(dim=1)
    if weights is not None:
        losses = losses * torch.tensor(weights.astype(dtype))
    expected = losses.mean()
    expected.backward()
    bound = 1e-6 if dtype == np.float32 else 1e-14
    assert value == pytest.approx(expected.item(), rel=bound)
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=0, atol=bound)


@each_loss
def test_float32_stays_and_backward_is_a_new_array(case):
    loss, _, outputs, y = case
    outputs = outputs.astype(np.float32)
    before, y = outputs.copy(), loss.check(y, outputs.shape, "test")
    kept = y.copy()
    loss.forward(outputs, y, WEIGHTS)
    first = loss.backward()
    again = loss.backward()
    assert first.dtype == loss.predict(outputs).dtype == np.float32
    assert first.flags.c_contiguous
    first[...] = nan
    assert np.isfinite(again).all()
    assert np.array_equal(loss.backward(), again)
    assert np.array_equal(outputs, before)
    assert np.array_equal(y, kept)


@each_loss
@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_what_is_not_finite_is_seen_in_the_loss(case, bad):
    loss, _, outputs, y = case
    outputs = outputs.astype(np.float32)
    outputs[2, 0] = bad
    # At -inf, a class that is not the label is just impossible.
    y = np.zeros(6, int) if y.dtype.kind == "i" and y.ndim == 1 else y * 0.5
    with np.errstate(all="ignore"):
        value = loss.forward(outputs, loss.check(y, outputs.shape, "test"))
        loss.backward()
        loss.predict(outputs)
    assert not np.isfinite(value)


def test_softmax_cross_entropy_is_stable():
    loss = SoftmaxCrossEntropy()
    logits = np.array([[1e4, 0, -1e4], [-3e38, 3e38, 0]], np.float32)
    with np.errstate(over="ignore"):
        assert loss.forward(logits, np.array([0, 1])) == 0
    np.testing.assert_array_equal(loss.predict(logits[:1]), [[1, 0, 0]])
    assert loss.forward(np.log([[0.2, 0.3, 0.5]]), np.array([2])) == pytest.approx(log(2))
    assert loss.correct(np.eye(3), np.array([0, 1, 0])) == 2


@pytest.mark.parametrize(
    ("logits", "labels", "error", "text"),
    [
        (np.zeros(4), [0, 1, 2, 3], ValueError, r"outputs of shape \(4,\)"),
        (np.zeros((4, 0)), [0, 1, 2, 3], ValueError, r"labels in \[0, 0\)"),
        (np.zeros((2, 3), np.float16), [0, 1], TypeError, "float32 or float64, got float16"),
        (np.zeros((2, 3), int), [0, 1], TypeError, "float32 or float64, got int64"),
        (np.zeros((2, 3)), [0, 3], ValueError, r"labels in \[0, 3\).*got 3"),
        (np.zeros((2, 3)), [0, -1], ValueError, r"labels in \[0, 3\).*got -1"),
        (np.zeros((2, 3)), [[0], [1]], ValueError, r"got shape \(2, 1\)"),
        (np.zeros((2, 3)), [0.0, 1.7], TypeError, "integer labels, got float64"),
    ],
)
def test_softmax_cross_entropy_checks_what_its_kernel_does_not(logits, labels, error, text):
    with pytest.raises(error, match=text):
        SoftmaxCrossEntropy().forward(logits, labels)


def test_softmax_cross_entropy_takes_any_layout_and_one_weight_for_all():
    z, labels = np.random.default_rng(1).normal(size=(5, 4)), np.array([3, 0, 1, 1, 2])
    loss = SoftmaxCrossEntropy()
    value, gradient = loss.forward(z, labels), loss.backward()
    for same in (np.asfortranarray(z), z.astype(">f8"), z.tolist()):
        assert loss.forward(same, labels.astype(np.int32)) == value
        np.testing.assert_array_equal(loss.backward(), gradient)
    assert loss.forward(z, labels, 2.0) == 2 * value
    np.testing.assert_allclose(loss.backward(), 2 * gradient)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_cross_entropy_of_what_cannot_be_is_infinite(smoothing):
    assert SoftmaxCrossEntropy(smoothing).forward(np.array([[-inf, 0.0]]), np.array([0])) == inf


def test_binary_cross_entropy_is_stable():
    loss = BinaryCrossEntropy()
    logits = np.array([[1e4], [-1e4], [30.0], [-30.0]], np.float32)
    # -log(sigmoid(30)) is exp(-30) up to 1e-13 of it, which 1 - p would lose.
    with np.errstate(under="ignore"):
        assert loss.forward(logits, np.array([1, 0, 1, 0])) == pytest.approx(exp(-30) / 2)
        assert loss.forward(logits[:2], np.array([0, 1])) == 1e4
        np.testing.assert_allclose(
            loss.predict(logits), [[1], [0], [1], [exp(-30)]], rtol=1e-6, atol=0
        )


def test_predictions_and_right_answers():
    logits = np.log([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    np.testing.assert_allclose(SoftmaxCrossEntropy().predict(logits), np.exp(logits))
    assert SoftmaxCrossEntropy().correct(logits, np.array([2, 1])) == 1
    loss = BinaryCrossEntropy()
    odds = np.array([[0.25, 4.0], [3.0, 1 / 3], [9.0, 9.0]])
    p = np.array([[0.2, 0.8], [0.75, 0.25], [0.9, 0.9]])
    np.testing.assert_allclose(loss.predict(np.log(odds)), p)
    targets = np.array([[0, 1], [1, 1], [0.6, 0.7]])
    assert loss.correct(np.log(odds), targets) == 2  # both of a sample, or it is wrong
    assert loss.correct(np.log(odds[:, :1]), np.array([True, True, True])) == 2
    outputs = np.array([[1.5], [-2.0]])
    np.testing.assert_array_equal(MeanSquaredError().predict(outputs), outputs)
    assert MeanSquaredError().correct(outputs, outputs) is None


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), MeanSquaredError()])
@pytest.mark.parametrize("kind", [bool, np.uint8, int, np.float32, np.float64, list])
def test_one_output_takes_flat_targets_of_any_kind(loss, kind):
    outputs = np.array([[1.0], [-2.0], [0.5]], np.float32)
    flat = np.array([1, 0, 1])
    expected = loss.forward(outputs, loss.check(flat.reshape(3, 1), (3, 1), "test"))
    gradient = loss.backward()
    y = loss.check(flat.tolist() if kind is list else flat.astype(kind), (3, 1), "test")
    assert len(y) == 3
    assert loss.forward(outputs, y) == expected
    assert np.array_equal(loss.backward(), gradient)
    assert gradient.dtype == np.float32
    # A batch of the checked targets, as training takes it.
    assert loss.forward(outputs[1:], y[1:]) > 0


@pytest.mark.parametrize(
    ("name", "y", "shape", "error", "text"),
    [
        ("softmax_cross_entropy", [0, 1], (2, 3, 4), ValueError, r"outputs of shape \(batch, cl"),
        ("softmax_cross_entropy", [0.0, 1.0], (2, 3), TypeError, "integer labels, got float64"),
        ("softmax_cross_entropy", [0, 1, 1], (2, 3), ValueError, r"shape \(2,\), got shape \(3,\)"),
        ("softmax_cross_entropy", [0, 3], (2, 3), ValueError, r"labels in \[0, 3\).*got 3"),
        ("softmax_cross_entropy", [0, -1], (2, 3), ValueError, r"labels in \[0, 3\).*got -1"),
        ("binary_cross_entropy", [0, 1.5], (2, 1), ValueError, r"targets in \[0, 1\], got 1.5"),
        ("binary_cross_entropy", [0, -1], (2, 1), ValueError, r"targets in \[0, 1\], got -1"),
        ("binary_cross_entropy", [0, nan], (2, 1), ValueError, r"targets in \[0, 1\], got nan"),
        ("binary_cross_entropy", ["a", "b"], (2, 1), TypeError, "real numbers, got <U1"),
        ("binary_cross_entropy", [0, 1], (2, 2), ValueError, r"shape, \(2, 2\), got shape \(2,\)"),
        ("mean_squared_error", [0, 1, 2], (2, 1), ValueError, r"\(2, 1\) or \(2,\), got.*\(3,\)"),
        ("mean_squared_error", [[0, 1]], (2, 1), ValueError, r"got shape \(1, 2\)"),
        ("mean_squared_error", [0, inf], (2, 1), ValueError, "finite numbers, got inf"),
        ("mean_squared_error", [0, 1j], (2, 1), TypeError, "real numbers, got complex128"),
        ("mean_squared_error", [None, 1], (2, 1), TypeError, "real numbers, got object"),
    ],
)
def test_bad_targets_are_told(name, y, shape, error, text):
    with pytest.raises(error, match="^fit: .*" + text):
        LOSSES[name]().check(y, shape, "fit")


@pytest.mark.parametrize(
    ("smoothing", "error"),
    [(1, ValueError), (-0.1, ValueError), (nan, ValueError), ("0", TypeError)],
)
def test_bad_smoothing_is_told(smoothing, error):
    with pytest.raises(error, match="SoftmaxCrossEntropy: label_smoothing must be"):
        SoftmaxCrossEntropy(smoothing)


@pytest.mark.parametrize("name", LOSSES)
def test_backward_needs_a_forward(name):
    with pytest.raises(RuntimeError, match="backward needs a forward before it"):
        LOSSES[name]().backward()


def test_config_makes_the_same_loss():
    assert SoftmaxCrossEntropy(0.3).config() == {"label_smoothing": 0.3}
    for name, kind in LOSSES.items():
        assert type(kind(**kind().config())) is LOSSES[name]
