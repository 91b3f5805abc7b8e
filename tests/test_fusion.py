"""What `Sequential` fuses gives the numbers of its layers called one by one."""

from types import SimpleNamespace

import numpy as np
import pytest

import fastdrop
from fastdrop.kernels import layers as kernels
from fastdrop.nn import (
    SGD,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Sequential,
    SpatialDropout1D,
    SpatialDropout2D,
    TemporalDropout,
)
from fastdrop.nn.fusion import Tail, fuse

# Largest difference by rounding, as a share of the largest value or of 1.
NEAR = {"float32": 1e-5, "float64": 1e-12}


class Doubling(ReLU):
    """A ReLU that is none."""

    def forward(self, x, training=False):
        return super().forward(x, training) * 2

    def backward(self, dy):
        return super().backward(dy * 2)


class OwnDense(Dense):
    pass


class OwnConv2D(Conv2D):
    pass


class OwnMaxPool2D(MaxPool2D):
    pass


class OwnDropout(Dropout):
    pass


class Stack:
    """Such layers, with fixed first weights and masks from a stream of their own."""

    def __init__(self, layers, shape, dtype=np.float32):
        self.masks, self.layers = fastdrop.MaskStream(2), []
        for number, layer in enumerate(layers):
            settings = layer.config()
            if isinstance(layer, Dropout):
                settings["rng"] = self.masks
            elif "init" in settings:
                settings["rng"] = number
            self.layers.append(type(layer)(**settings))
        self.model = Sequential(self.layers, dtype=dtype, input_shape=shape[1:])
        rng = np.random.default_rng(4)
        for layer in self.layers:
            if layer.params:
                layer.params["bias"][:] = rng.normal(size=len(layer.params["bias"]))
        self.x = rng.normal(size=shape).astype(dtype)
        self.dy = rng.normal(size=self.model.forward(self.x).shape).astype(dtype)

    def passed(self, training, fused, reuses=False):
        """Output, gradients and masks of a forward and a backward pass; whether the
        numbers do not depend on `fused` at all."""
        x, dy = self.x.copy(), self.dy.copy()
        for layer in self.layers:
            layer.reuses = reuses
            for grad in layer.grads.values():
                grad.fill(np.nan)
        if fused:
            y = self.model.forward(x, training)
            dx = self.model.backward(dy)
        else:
            y, dx = x, dy
            with np.errstate(all="ignore"):
                for layer in self.layers:
                    y = layer.forward(y, training)
                for layer in reversed(self.layers):
                    dx = layer.backward(dx)
        # The caller's arrays are not written into.
        np.testing.assert_array_equal(x, self.x)
        np.testing.assert_array_equal(dy, self.dy)
        numbers = {"y": y, "dx": dx, **self.model._collect("grads")}
        return SimpleNamespace(
            numbers={name: array.copy() for name, array in numbers.items()},
            masks=[layer.mask for layer in self.layers if isinstance(layer, Dropout)],
            exact=not any(tail.pool for _, tail in fuse(self.layers)),
        )


def assert_same(found, expected):
    """The same masks and zeros, NaN and infinite numbers in the same places, and the
    same numbers: to the bit, but where a pool's windows are computed apart."""
    assert found.masks == expected.masks
    np.testing.assert_array_equal(found.numbers["y"] == 0, expected.numbers["y"] == 0)
    assert found.numbers.keys() == expected.numbers.keys()
    for name, array in found.numbers.items():
        other = expected.numbers[name]
        size = np.abs(other[np.isfinite(other)]).max(initial=1)
        bound = 0 if found.exact else NEAR[str(array.dtype)] * size
        assert array.dtype == other.dtype
        np.testing.assert_allclose(array, other, rtol=0, atol=bound)


def groups(layers):
    """What `fuse` makes of layers, written as "Conv2D+ReLU Flatten"."""
    found = []
    for layer, tail in fuse(layers):
        names = {"relu": tail.relu, "pool": tail.pool, "dropout": tail.dropout}
        parts = [layer, *sorted(filter(None, names.values()), key=layers.index)]
        found.append("+".join(type(part).__name__ for part in parts))
    return " ".join(found)


@pytest.fixture(params=["cython", "numpy"], autouse=True)
def layer_kernels(request, monkeypatch):
    """Both modules of layer kernels in turn."""
    monkeypatch.setenv("FASTDROP_LAYERS", request.param)
    monkeypatch.setattr(kernels, "_loaded", None)
    return request.param


ROWS, SEQUENCES = (7, 5), (4, 3, 5)
IMAGES, ODD = (3, 8, 6, 2), (3, 7, 9, 2)

RATES = np.linspace(0, 1, 6)

# What is fused of which layers, and what shape they take.
CASES = {
    "dense relu": ("Dense+ReLU", ROWS, Dense(6), ReLU()),
    "dense relu dropout": ("Dense+ReLU+Dropout", ROWS, Dense(6), ReLU(), Dropout(0.4)),
    "rate 0": ("Dense+ReLU+Dropout", ROWS, Dense(6), ReLU(), Dropout(0)),
    "rate 1": ("Dense+ReLU+Dropout", ROWS, Dense(6), ReLU(), Dropout(1)),
    "rate 1 of images": ("Conv2D+ReLU+Dropout", ODD, Conv2D(4, 3), ReLU(), Dropout(1)),
    "shared": ("Dense+ReLU+Dropout", ROWS, Dense(6), ReLU(), Dropout(0.4, 0)),
    "sequences": ("Dense+ReLU+Dropout", SEQUENCES, Dense(6), ReLU(), Dropout(0.4)),
    "spatial 1d": (
        "Dense+ReLU+SpatialDropout1D", SEQUENCES, Dense(6), ReLU(), SpatialDropout1D(0.4),
    ),
    "temporal": ("Dense+ReLU+TemporalDropout", SEQUENCES, Dense(6), ReLU(), TemporalDropout(0.4)),
    "penalties": (
        "Dense+ReLU+Dropout Dense", ROWS,
        Dense(6, l1=0.2, l2=0.1), ReLU(), Dropout(0.4), Dense(3),
    ),
    "conv relu": ("Conv2D+ReLU", ODD, Conv2D(4, 3), ReLU()),
    "conv pool": ("Conv2D+MaxPool2D", IMAGES, Conv2D(4, 3, padding="same"), MaxPool2D()),
    "conv relu pool dropout": (
        "Conv2D+ReLU+MaxPool2D+Dropout", IMAGES,
        Conv2D(4, 3, padding="same"), ReLU(), MaxPool2D(), Dropout(0.4),
    ),
    "conv pool relu dropout": (
        "Conv2D+MaxPool2D+ReLU+Dropout", IMAGES,
        Conv2D(4, 3, padding="same"), MaxPool2D(), ReLU(), Dropout(0.4),
    ),
    "leftovers": (
        "Conv2D+ReLU+MaxPool2D+Dropout", ODD,
        Conv2D(4, 3, padding="same"), ReLU(), MaxPool2D(), Dropout(0.4),
    ),
    "leftovers of 3 x 2": (
        "Conv2D+ReLU+MaxPool2D+Dropout", ODD,
        Conv2D(17, (2, 3)), ReLU(), MaxPool2D((3, 2)), Dropout(0.4),
    ),
    "strides": (
        "Conv2D+ReLU+MaxPool2D+Dropout", (3, 11, 12, 2),
        Conv2D(4, (3, 2), (2, 1), "same", l2=0.1), ReLU(), MaxPool2D((2, 3)), Dropout(0.4),
    ),
    "spatial": (
        "Conv2D+ReLU+MaxPool2D+SpatialDropout2D", ODD,
        Conv2D(4, 2), ReLU(), MaxPool2D(), SpatialDropout2D(0.4),
    ),
    "pool behind dropout": (
        "Conv2D+ReLU+Dropout MaxPool2D", IMAGES, Conv2D(4, 3), ReLU(), Dropout(0.4), MaxPool2D(),
    ),
    "two dropouts": (
        "Dense+ReLU+Dropout Dropout", ROWS, Dense(6), ReLU(), Dropout(0.4), Dropout(0.2),
    ),
    "two relus": ("Dense+ReLU ReLU Dropout", ROWS, Dense(6), ReLU(), ReLU(), Dropout(0.4)),
    "two pools": (
        "Conv2D+MaxPool2D+ReLU MaxPool2D", IMAGES, Conv2D(4, 1), MaxPool2D(), ReLU(), MaxPool2D(),
    ),
    "dropout without relu": ("Dense Dropout", ROWS, Dense(6), Dropout(0.4)),
    "dropout of a pool": (
        "Conv2D+MaxPool2D Dropout ReLU", IMAGES, Conv2D(4, 1), MaxPool2D(), Dropout(0.4), ReLU(),
    ),
    "rates": ("Dense+ReLU Dropout", ROWS, Dense(6), ReLU(), Dropout(RATES)),
    "overlapping": (
        "Conv2D+ReLU MaxPool2D Dropout", ODD, Conv2D(4, 3), ReLU(), MaxPool2D(3, 2), Dropout(0.4),
    ),
    "gaps": ("Conv2D+ReLU MaxPool2D", ODD, Conv2D(4, 3), ReLU(), MaxPool2D(2, 3)),
    "average": ("Conv2D AvgPool2D ReLU", ODD, Conv2D(4, 3), AvgPool2D(), ReLU()),
    "leaky": ("Dense LeakyReLU Dropout", ROWS, Dense(6), LeakyReLU(), Dropout(0.4)),
    "norm between": ("Dense BatchNorm ReLU", ROWS, Dense(6), BatchNorm(), ReLU()),
    "own dense": ("OwnDense ReLU Dropout", ROWS, OwnDense(6), ReLU(), Dropout(0.4)),
    "own conv": ("OwnConv2D ReLU MaxPool2D", ODD, OwnConv2D(4, 3), ReLU(), MaxPool2D()),
    "own relu": ("Dense Doubling Dropout", ROWS, Dense(6), Doubling(), Dropout(0.4)),
    "own pool": ("Conv2D+ReLU OwnMaxPool2D", ODD, Conv2D(4, 3), ReLU(), OwnMaxPool2D()),
    "own dropout": ("Dense+ReLU OwnDropout", ROWS, Dense(6), ReLU(), OwnDropout(0.4)),
    "network": (
        "Conv2D+ReLU+MaxPool2D+Dropout Conv2D+MaxPool2D+ReLU+SpatialDropout2D "
        "Flatten Dense+ReLU+Dropout Dense",
        (4, 13, 15, 1),
        Conv2D(5, 3), ReLU(), MaxPool2D(), Dropout(0.3),
        Conv2D(6, 2, padding="same"), MaxPool2D(), ReLU(), SpatialDropout2D(0.4),
        Flatten(), Dense(9), ReLU(), Dropout(0.5), Dense(4),
    ),
}  # fmt: skip


def stack(name, **settings):
    _, shape, *layers = CASES[name]
    return Stack(layers, shape, **settings)


each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_what_is_fused(name):
    expected, _, *layers = CASES[name]
    assert groups(layers) == expected


@each_case
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_layers_give_the_same_numbers(name, training, dtype):
    together, apart = stack(name, dtype=dtype), stack(name, dtype=dtype)
    for step in range(2):
        reuses = bool(step)
        found = together.passed(training, fused=True, reuses=reuses)
        assert_same(found, apart.passed(training, fused=False, reuses=reuses))
    assert found.numbers["y"].any() or name.startswith("rate 1")
    assert together.masks.state_dict() == apart.masks.state_dict()
    assert all((mask is not None) is training for mask in found.masks)


@each_case
def test_nan_and_infinite_numbers_go_the_same_way(name):
    together, apart = stack(name), stack(name)
    for each in (together, apart):
        flat = each.x.reshape(len(each.x), -1)
        flat[0, ::3], flat[1, 1], flat[2, -1] = np.nan, np.inf, -np.inf
        each.dy[-1] = np.inf
    found = together.passed(True, fused=True)
    assert_same(found, apart.passed(True, fused=False))


@pytest.mark.parametrize("seed", range(40))
def test_stacks_of_all_kinds(seed):
    """Layers in random order, as long as their shapes fit."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 6)), *map(int, rng.integers(4, 15, 2)), int(rng.integers(1, 4)))
    pairs = [tuple(map(int, rng.integers(1, 4, 2))) for _ in range(20)]

    def kind():
        return [
            lambda: Conv2D(3, pairs[0], pairs[1], rng.choice(["same", "valid"])),
            lambda: Dense(4),
            ReLU,
            ReLU,
            lambda: MaxPool2D(pairs[2]),
            lambda: MaxPool2D(pairs[3], pairs[4]),
            lambda: Dropout(0.3),
            lambda: SpatialDropout2D(0.3),
        ][rng.integers(8)]()

    layers, room = [], (None, *shape[1:])
    while len(layers) < 7:
        layer = kind()
        try:
            room = layer.build(room, np.float32)
        except ValueError:  # a window larger than what is left
            continue
        layers.append(layer)
    stacks = [Stack(layers, shape) for _ in "ab"]
    assert_same(stacks[0].passed(True, fused=True), stacks[1].passed(True, fused=False))
    assert_same(stacks[0].passed(False, fused=True), stacks[1].passed(False, fused=False))


def test_a_fused_dropout_knows_its_mask():
    layers = [Dense(50), ReLU(), Dropout(0.3, rng=1), Dense(2)]
    model = Sequential(layers, rng=0)
    x = np.random.default_rng(0).normal(size=(20, 8))
    hidden = np.maximum(model.forward(x) * 0 + 1, 0)
    assert hidden.shape == (20, 2)
    model.forward(x, training=True)
    first = layers[2].mask
    assert first == fastdrop.Mask((20, 50), 0.3, key=fastdrop.MaskStream(1).key)
    model.train_batch(x, np.zeros(20, int))
    assert layers[2].mask.stream == 1
    model.predict(x)
    assert layers[2].mask is None


def test_layers_may_be_replaced_between_calls():
    """The next call goes through what is in `layers` then, in training too."""
    x, y = np.random.default_rng(0).normal(size=(20, 8)), np.arange(20) % 3

    def network(second):
        layers = [Dense(6, rng=1), second, Dropout(0.5, rng=2), Dense(3, rng=3)]
        return Sequential(layers, optimizer="sgd")

    model, expected = network(ReLU()), network(LeakyReLU(0.5))
    relu = model.forward(x)
    model.layers[1] = LeakyReLU(0.5)
    leaky = model.forward(x)
    assert (relu != leaky).any()
    np.testing.assert_array_equal(leaky, expected.forward(x))
    for _ in range(2):
        assert model.train_batch(x, y) == expected.train_batch(x, y)
    for layers in (model.layers, expected.layers):
        layers.pop(2)
        layers[1] = ReLU()
    np.testing.assert_array_equal(model.forward(x), expected.forward(x))
    assert model.train_batch(x, y) == expected.train_batch(x, y)


def test_replaced_layers_are_built_as_the_first_were():
    """With weights and masks from the model's `rng`, for its shapes, and with a name in errors."""
    x, y = np.random.default_rng(0).normal(size=(20, 8)), np.arange(20) % 3
    losses = set()
    for _ in range(2):
        model = Sequential([Dense(6), ReLU(), Dense(3)], rng=0, optimizer=SGD(0.1))
        model.train_batch(x, y)
        model.layers[1:] = [Dropout(0.5), Dense(9), ReLU(), Dense(5)]
        losses.add(model.train_batch(x, y + 2))
        assert model.predict(x).shape == (20, 5)
        assert model.layers[3].params == {}
        assert model.layers[4].params["weight"].dtype == np.float32
        model.layers[0] = Dense(7)
        with pytest.raises(ValueError, match=r"^Sequential layer 2 \(Dense\): expected last"):
            model.predict(x)
    assert len(losses) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: setattr(layers[3], "rate", np.full((3, 3, 4), 0.5)),
        lambda layers: setattr(layers[3], "rate", 0.0),
        lambda layers: setattr(layers[2], "strides", (1, 1)),
    ],
    ids=["a rate for each element", "another rate", "overlapping windows"],
)
def test_settings_may_be_changed_between_calls(change):
    """Also to what is not fused."""
    together, apart = (
        Stack([Conv2D(4, 2), ReLU(), MaxPool2D(2), Dropout(0.5)], (3, 7, 7, 2)) for _ in range(2)
    )
    together.passed(True, fused=True)
    apart.masks.load_state_dict(together.masks.state_dict())
    for each in (together, apart):
        change(each.layers)
        each.dy = np.resize(each.dy, each.layers[2].forward(each.layers[0].forward(each.x)).shape)
    assert_same(together.passed(True, fused=True), apart.passed(True, fused=False))


@pytest.mark.parametrize("call", ["forward", "predict", "evaluate", "train_batch", "fit"])
def test_backward_follows_the_last_forward(call):
    """Whatever calls there were before."""
    together, apart = stack("network"), stack("network")
    together.model.optimizer.learning_rate = 0.0
    labels = {} if call in ("forward", "predict") else {"y": np.zeros(len(together.x), int)}
    silent = {"verbose": False} if call == "fit" else {}
    getattr(together.model, call)(together.x[::-1], **labels, **silent)
    apart.masks.load_state_dict(together.masks.state_dict())
    assert_same(together.passed(True, fused=True), apart.passed(True, fused=False))


@pytest.mark.parametrize("fused", [True, False])
def test_forward_alone_looks_for_no_winners(fused):
    """The same output; and a backward pass is refused, not computed from nothing."""
    layer = Conv2D(3, 2, rng=0) if fused else MaxPool2D(2)
    more = {"tail": Tail(pool=MaxPool2D(2))} if fused else {}
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 3))
    expected = layer.forward(x, **more).copy()
    layer.backward(expected)
    layer.forward_only = True
    np.testing.assert_array_equal(layer.forward(x, **more), expected)
    with pytest.raises(RuntimeError, match="backward needs a forward before it"):
        layer.backward(expected)
