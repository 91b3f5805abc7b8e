"""Each layer against central differences, PyTorch, and what it promises."""

import tracemalloc
from types import SimpleNamespace

import naive
import numpy as np
import pytest
from gradients import assert_gradient, assert_parameter_gradients, copies

import fastdrop
from fastdrop import nn
from fastdrop.kernels import layers as kernels
from fastdrop.nn.sources import sources

# Largest error in float32, as a share of the largest value or of 1.
NEAR = 1e-5


def normals(*shape, seed=3, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def assert_near(actual, expected):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= NEAR * max(1, np.abs(expected).max())


@pytest.fixture(params=["cython", "numpy"])
def layer_kernels(request, monkeypatch):
    """Both modules of layer kernels in turn."""
    monkeypatch.setenv("FASTDROP_LAYERS", request.param)
    monkeypatch.setattr(kernels, "_loaded", None)
    return request.param


# How each layer is made, given a stream for its masks, and what shape it takes.
LAYERS = {
    "Dense": (lambda s: nn.Dense(4, rng=1), (5, 3)),
    "Dense of sequences": (lambda s: nn.Dense(4, rng=1), (5, 2, 3)),
    "Dense of one": (lambda s: nn.Dense(1, rng=1), (1, 1)),
    "Dense l1": (lambda s: nn.Dense(4, l1=0.1, rng=1), (5, 3)),
    "Dense l2": (lambda s: nn.Dense(4, l2=0.1, rng=1), (5, 3)),
    "Dense l1 and l2": (lambda s: nn.Dense(4, l1=0.3, l2=0.1, rng=1), (5, 3)),
    "Conv2D": (lambda s: nn.Conv2D(3, 3, rng=1), (2, 5, 6, 2)),
    "Conv2D l1 and l2": (lambda s: nn.Conv2D(3, 2, l1=0.3, l2=0.1, rng=1), (2, 4, 4, 1)),
    "Conv2D same": (lambda s: nn.Conv2D(3, 3, padding="same", rng=1), (2, 5, 4, 2)),
    "Conv2D same, even": (lambda s: nn.Conv2D(2, (2, 4), padding="same", rng=1), (2, 5, 6, 2)),
    "Conv2D stride 2": (lambda s: nn.Conv2D(3, 3, 2, rng=1), (2, 8, 7, 2)),
    "Conv2D same, strides": (lambda s: nn.Conv2D(2, (2, 3), (3, 2), "same", rng=1), (2, 7, 6, 2)),
    "Conv2D stride above window": (lambda s: nn.Conv2D(2, 1, (2, 3), "same", rng=1), (2, 5, 7, 2)),
    "Conv2D 1 x 4": (lambda s: nn.Conv2D(2, (1, 4), rng=1), (2, 3, 6, 1)),
    "Conv2D of one pixel": (lambda s: nn.Conv2D(2, 3, padding="same", rng=1), (2, 1, 1, 3)),
    "MaxPool2D": (lambda s: nn.MaxPool2D(2), (2, 4, 6, 3)),
    "MaxPool2D leftovers": (lambda s: nn.MaxPool2D(2), (2, 5, 7, 2)),
    "MaxPool2D overlapping": (lambda s: nn.MaxPool2D((3, 2), (2, 1)), (2, 6, 5, 2)),
    "MaxPool2D gaps": (lambda s: nn.MaxPool2D((1, 2), 3), (2, 5, 8, 2)),
    "AvgPool2D": (lambda s: nn.AvgPool2D(2), (2, 5, 6, 3)),
    "AvgPool2D overlapping": (lambda s: nn.AvgPool2D((3, 2), (2, 1)), (2, 6, 5, 2)),
    "AvgPool2D gaps": (lambda s: nn.AvgPool2D((1, 2), 3), (2, 5, 8, 2)),
    "GlobalAvgPool2D": (lambda s: nn.GlobalAvgPool2D(), (2, 3, 5, 4)),
    "Flatten": (lambda s: nn.Flatten(), (2, 3, 2, 2)),
    "BatchNorm": (lambda s: nn.BatchNorm(), (6, 3)),
    "BatchNorm of images": (lambda s: nn.BatchNorm(0.7, 1e-2), (2, 3, 5, 4)),
    "ReLU": (lambda s: nn.ReLU(), (5, 3)),
    "LeakyReLU": (lambda s: nn.LeakyReLU(0.2), (5, 3)),
    "Sigmoid": (lambda s: nn.Sigmoid(), (5, 3)),
    "Tanh": (lambda s: nn.Tanh(), (5, 3)),
    "SELU": (lambda s: nn.SELU(), (5, 3)),
    "Softmax": (lambda s: nn.Softmax(), (5, 2, 3)),
    "Dropout": (lambda s: nn.Dropout(0.5, rng=s), (5, 3)),
    "Dropout of rate 0": (lambda s: nn.Dropout(0, rng=s), (5, 3)),
    "Dropout shared": (lambda s: nn.Dropout(0.5, shared_axes=0, rng=s), (5, 3)),
    "Dropout of rates": (lambda s: nn.Dropout([0.2, 0.8, 0.5], rng=s), (5, 3)),
    "SpatialDropout1D": (lambda s: nn.SpatialDropout1D(0.5, rng=s), (3, 4, 3)),
    "SpatialDropout2D": (lambda s: nn.SpatialDropout2D(0.5, rng=s), (3, 2, 3, 3)),
    "SpatialDropout3D": (lambda s: nn.SpatialDropout3D(0.5, rng=s), (3, 2, 2, 2, 3)),
    "TemporalDropout": (lambda s: nn.TemporalDropout(0.5, rng=s), (3, 4, 3)),
}

each_layer = pytest.mark.parametrize("name", LAYERS)
in_both_modes = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])


def made(name, dtype=np.float64, seed=3):
    """A built layer with biases and statistics unlike those it starts with, an input, a
    gradient by the output, and what to call for a forward pass with the same mask."""
    make, shape = LAYERS[name]
    stream = fastdrop.MaskStream(2)
    layer, x = make(stream), normals(*shape, seed=seed, dtype=dtype)
    output = layer.build(shape, np.dtype(dtype))
    if layer.params:
        layer.params["bias"][...] = normals(*layer.params["bias"].shape, seed=4)
    if layer.state:
        layer.params["weight"][...] = normals(*layer.params["weight"].shape, seed=5)
        layer.state["mean"][...] = normals(*layer.state["mean"].shape, seed=6)
        layer.state["variance"][...] = 0.5 + normals(*layer.state["mean"].shape, seed=7) ** 2
    recipe = stream.state_dict()

    def forward(x, training=True):
        stream.load_state_dict(recipe)
        return layer.forward(x, training)

    return SimpleNamespace(
        layer=layer, x=x, dy=normals(*output, seed=seed + 5, dtype=dtype), forward=forward
    )


def arrays(layer):
    """All arrays that a layer holds, but for those in its dicts."""
    for value in vars(layer).values():
        parts = value if isinstance(value, tuple) else (value,)
        yield from (part for part in parts if isinstance(part, np.ndarray))
    yield from layer._rooms.values()


# Gradients


@each_layer
@in_both_modes
def test_gradients_are_those_of_central_differences(name, training, layer_kernels):
    case = made(name)

    def total():
        return (case.forward(case.x, training) * case.dy).sum() + case.layer.penalty()

    total()
    dx = np.array(case.layer.backward(case.dy))
    grads = copies([case.layer])
    assert_gradient(dx, total, case.x)
    assert_parameter_gradients(grads, total, [case.layer])


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith(("Dense", "Conv2D"))])
def test_learning_fills_the_same_gradients(name):
    case = made(name, np.float32)
    case.forward(case.x)
    case.layer.backward(case.dy)
    expected = copies([case.layer])[0]
    for grad in case.layer.grads.values():
        grad.fill(np.nan)
    case.layer.learn(case.dy)
    for kind, grad in case.layer.grads.items():
        np.testing.assert_array_equal(grad, expected[kind])


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.25, 0.0), (0.0, 0.5), (0.25, 0.5)], ids=str)
@pytest.mark.parametrize("make", [lambda **s: nn.Dense(3, **s), lambda **s: nn.Conv2D(2, 2, **s)])
def test_penalties_are_their_formulas(make, l1, l2):
    layer = make(l1=l1, l2=l2, rng=0)
    layer.build((1, 2, 2, 3), np.float32)
    layer.params["bias"][:] = 100  # not penalised
    weights = [float(w) for w in layer.params["weight"].ravel()]
    expected = l1 * sum(map(abs, weights)) + l2 * sum(w * w for w in weights)
    assert layer.penalty() == pytest.approx(expected, rel=1e-6)


# PyTorch


def first(images):
    """Channels first, as PyTorch has them."""
    return images.movedim(-1, 1)


def last(images):
    return images.movedim(1, -1)


def same_padding(size, kernel, strides):
    """What `torch.nn.functional.pad` adds for padding "same", the last axis first."""
    pads = []
    for n, k, s in zip(size, kernel, strides, strict=True):
        needed = max((-(-n // s) - 1) * s + k - n, 0)
        pads = [needed // 2, needed - needed // 2, *pads]
    return pads


def peer_of(layer):
    """The same function in PyTorch, of an input and the layer's parameters and state."""
    import torch

    F = torch.nn.functional

    def conv(x, weight, bias):
        kernel, strides = layer.kernel_size, layer.strides
        pads = same_padding(x.shape[1:3], kernel, strides) if layer.padding == "same" else [0] * 4
        return last(F.conv2d(F.pad(first(x), pads), weight.permute(3, 2, 0, 1), bias, strides))

    def batch_norm(x, weight, bias, mean, variance, training):
        moved = 1 - layer.momentum
        y = F.batch_norm(first(x), mean, variance, weight, bias, training, moved, layer.epsilon)
        return last(y)

    return {
        nn.Dense: lambda x, weight, bias: x @ weight + bias,
        nn.Conv2D: conv,
        nn.MaxPool2D: lambda x: last(F.max_pool2d(first(x), layer.pool_size, layer.strides)),
        nn.AvgPool2D: lambda x: last(F.avg_pool2d(first(x), layer.pool_size, layer.strides)),
        nn.GlobalAvgPool2D: lambda x: F.adaptive_avg_pool2d(first(x), 1).flatten(1),
        nn.Flatten: lambda x: x.flatten(1),
        nn.BatchNorm: batch_norm,
        nn.ReLU: F.relu,
        nn.LeakyReLU: lambda x: F.leaky_relu(x, layer.negative_slope),
        nn.Sigmoid: lambda x: x.sigmoid(),
        nn.Tanh: lambda x: x.tanh(),
        nn.SELU: F.selu,
        nn.Softmax: lambda x: F.softmax(x, -1),
    }[type(layer)]


def assert_is_pytorchs(layer, x, dy, training=True):
    """Outputs, gradients and running statistics of one pass."""
    import torch

    state = {name: torch.tensor(array) for name, array in layer.state.items()}
    given = {name: torch.tensor(p, requires_grad=True) for name, p in layer.params.items()}
    tensor = torch.tensor(x, requires_grad=True)
    mode = {"training": training} if state else {}
    expected = peer_of(layer)(tensor, **given, **state, **mode)
    expected.backward(torch.tensor(dy))
    y = layer.forward(x, training)
    assert y.dtype == np.float32
    assert_near(y, expected.detach().numpy())
    assert_near(layer.backward(dy), tensor.grad.numpy())
    for name, param in given.items():
        assert_near(layer.grads[name], param.grad.numpy())
    for name, array in state.items():
        assert_near(layer.state[name], array.numpy())


@pytest.mark.parametrize(
    "name", [name for name in LAYERS if "Dropout" not in name and " l" not in name]
)
@in_both_modes
def test_layers_are_pytorchs(name, training, layer_kernels):
    pytest.importorskip("torch")
    case = made(name, np.float32)
    assert_is_pytorchs(case.layer, case.x, case.dy, training)


@pytest.mark.parametrize("seed", range(24))
def test_windows_of_all_kinds_are_pytorchs(seed):
    """Convolutions and pools of random sizes, windows, strides and paddings."""
    pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    kernel, strides = (tuple(map(int, rng.integers(1, 5, 2))) for _ in range(2))
    size, channels = rng.integers(4, 14, 2), int(rng.integers(1, 9))
    layers = [
        nn.Conv2D(int(rng.integers(1, 20)), kernel, strides, padding, rng=seed)
        for padding in ("valid", "same")
    ]
    layers += [nn.MaxPool2D(kernel, strides), nn.AvgPool2D(kernel, strides)]
    x = normals(3, *size, channels, seed=seed, dtype=np.float32)
    for layer in layers:
        shape = layer.build(x.shape, x.dtype)
        assert_is_pytorchs(layer, x, normals(*shape, seed=seed + 1, dtype=np.float32))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, (2, 5)])
@pytest.mark.parametrize("size", [(6, 6), (7, 5)])
def test_same_padding_is_pytorchs_own(kernel, size):
    torch = pytest.importorskip("torch")
    layer, x = nn.Conv2D(3, kernel, padding="same", rng=0), normals(2, *size, 2, dtype=np.float32)
    y = layer.forward(x)
    weight, bias = (torch.tensor(layer.params[name]) for name in ("weight", "bias"))
    expected = torch.nn.functional.conv2d(
        first(torch.tensor(x)), weight.permute(3, 2, 0, 1), bias, padding="same"
    )
    assert_near(y, last(expected).numpy())


@pytest.mark.parametrize("shape", [(64, 5), (2, 5), (16, 7, 5), (8, 6, 7, 5)])
def test_running_statistics_are_pytorchs_after_many_steps(shape):
    torch = pytest.importorskip("torch")
    layer, peer = nn.BatchNorm(), torch.nn.BatchNorm1d(5)
    for seed in range(20):
        # A mean far from 0, as of pixels, must not cost the variance its digits.
        x = 100 + normals(*shape, seed=seed, dtype=np.float32)
        layer.forward(x, training=True)
        peer(torch.tensor(x.reshape(-1, 5)))
    assert_near(layer.state["mean"], peer.running_mean.numpy())
    assert_near(layer.state["variance"], peer.running_var.numpy())
    expected = peer.eval()(torch.tensor(x.reshape(-1, 5))).detach().numpy()
    # Rounding x itself, near 100, is an error of 1e-5.
    assert np.abs(layer.forward(x).reshape(-1, 5) - expected).max() < 1e-4


# Layers with noise


NOISE = {
    "Dropout": (nn.Dropout, (6, 5), ()),
    "SpatialDropout1D": (nn.SpatialDropout1D, (4, 3, 5), (1,)),
    "SpatialDropout2D": (nn.SpatialDropout2D, (4, 2, 3, 5), (1, 2)),
    "SpatialDropout3D": (nn.SpatialDropout3D, (4, 2, 1, 3, 5), (1, 2, 3)),
    "TemporalDropout": (nn.TemporalDropout, (4, 3, 5), (1,)),
}


@pytest.mark.parametrize("name", NOISE)
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_noise_is_its_mask_forward_and_backward(name, rate, backend):
    kind, shape, axes = NOISE[name]
    stream = fastdrop.MaskStream(3)
    layer = kind(rate, rng=stream)
    for step in range(2):
        x, dy = normals(*shape, dtype=np.float32), normals(*shape, seed=4, dtype=np.float32)
        y = layer.forward(x, training=True)
        assert layer.mask.shared_axes == (axes if rate else layer.mask.shared_axes)
        np.testing.assert_array_equal(y, naive.apply(x, rate, stream.key, step, axes))
        np.testing.assert_array_equal(
            layer.backward(dy), naive.apply(dy, rate, stream.key, step, axes)
        )


@pytest.mark.parametrize("name", NOISE)
def test_noise_rests_outside_training(name):
    kind, shape, _ = NOISE[name]
    stream, x = fastdrop.MaskStream(1), normals(*shape)
    layer = kind(0.5, rng=stream)
    y = layer.forward(x, training=True)
    assert (y != x).any()
    assert layer.forward(x, training=False) is x
    assert layer.mask is None
    assert layer.backward(y) is y
    assert stream.state_dict()["next"] == 1


def test_dropout_keeps_its_mask_and_nothing_else():
    layer, x = nn.Dropout(0.5, rng=0), np.ones((512, 512), np.float32)
    layer.forward(x, training=True)
    before = dict(vars(layer))
    tracemalloc.start()
    y = layer.forward(x, training=True)
    del y
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 4096  # a mask of bits would be 32 KiB
    changed = {name for name, value in vars(layer).items() if value is not before[name]}
    assert changed == {"mask"}
    assert isinstance(layer.mask, fastdrop.Mask)


@pytest.mark.parametrize(
    "make",
    [
        lambda: 5,
        lambda: np.random.SeedSequence(5),
        lambda: np.random.default_rng(5),
        lambda: np.random.PCG64(5),
        lambda: fastdrop.MaskStream(5),
    ],
    ids=["int", "SeedSequence", "Generator", "BitGenerator", "MaskStream"],
)
def test_every_rng_reproduces_layers(make):
    ones = np.ones((3, 100))
    for kind in (lambda rng: nn.Dense(9, rng=rng), lambda rng: nn.Dropout(0.5, rng=rng)):
        layers = kind(make()), kind(make())
        outputs = [[layer.forward(ones, training=True) for layer in layers] for _ in range(2)]
        for one, other in outputs:
            assert np.array_equal(one, other)
    assert not np.array_equal(*(one for one, _ in outputs))  # dropout goes on drawing


def test_sources_are_independent():
    stream = fastdrop.MaskStream(5)
    first, second = sources(stream, "test"), sources(stream, "test")
    assert stream.state_dict()["next"] == 2
    given = [source.random() for each in (first, second) for source in (each.weights, each.order)]
    assert len({*given}) == 4
    assert len({first.masks.key, second.masks.key, stream.key}) == 3


# What all layers promise


@each_layer
@in_both_modes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_build_says_the_shape_and_the_dtype_stays(name, training, dtype):
    case = made(name, dtype)
    assert case.layer.build((None, *case.x.shape[1:]), dtype)[1:] == case.dy.shape[1:]
    y = case.forward(case.x, training)
    dx = case.layer.backward(case.dy)
    assert (y.dtype, y.shape) == (dtype, case.dy.shape)
    assert (dx.dtype, dx.shape) == (dtype, case.x.shape)
    for param in [*case.layer.params.values(), *case.layer.grads.values()]:
        assert param.dtype == dtype


@each_layer
@pytest.mark.parametrize(
    "arrange",
    [
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
        lambda x: np.ascontiguousarray(x[::-1])[::-1],
        lambda x: np.frombuffer(b"?" + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
    ],
    ids=["fortran", "sliced", "negative", "unaligned and read-only"],
)
def test_arrays_may_lie_as_they_like(name, arrange, layer_kernels):
    case = made(name, np.float32)
    y, dx = case.forward(case.x), np.array(case.layer.backward(case.dy))
    grads = copies([case.layer])[0]
    x, dy = arrange(case.x), arrange(case.dy)
    np.testing.assert_array_equal(case.forward(x), y)
    np.testing.assert_array_equal(case.layer.backward(dy), dx)
    for kind, grad in case.layer.grads.items():
        np.testing.assert_array_equal(grad, grads[kind])
    np.testing.assert_array_equal(x, case.x)
    np.testing.assert_array_equal(dy, case.dy)


@each_layer
@in_both_modes
def test_results_are_the_callers_own(name, training, layer_kernels):
    """No later call writes into them, and calls do not write into what they are given."""
    case, other = made(name, np.float32), made(name, np.float32, seed=9)
    kept = []
    for given in (case, other):
        for array in (given.x, given.dy):
            array.flags.writeable = False
        y = case.forward(given.x, training)
        kept += [(y, y.copy())]
        dx = case.layer.backward(given.dy)
        kept += [(dx, dx.copy())]
    case.layer.reuses = True  # as in the training step of a network
    for _ in range(2):
        case.forward(other.x, training)
        case.layer.backward(other.dy)
    for result, copy in kept:
        np.testing.assert_array_equal(result, copy)


@each_layer
def test_reused_arrays_give_the_same_numbers(name, layer_kernels):
    """A large batch, a small one, which takes the front of the arrays, a large one again."""
    fresh, reusing = made(name, np.float32), made(name, np.float32)
    reusing.layer.reuses = True
    for seed, size in ((1, None), (2, 1), (3, None)):
        x, dy = (
            normals(*array.shape, seed=seed, dtype=np.float32)[:size]
            for array in (fresh.x, fresh.dy)
        )
        for a, b in zip(
            (fresh.forward(x), fresh.layer.backward(dy)),
            (reusing.forward(x), reusing.layer.backward(dy)),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)
        for kind in ("grads", "state"):
            (expected,), (found,) = copies([fresh.layer], kind), copies([reusing.layer], kind)
            for key, array in expected.items():
                np.testing.assert_array_equal(found[key], array)


@each_layer
def test_forgetting_lets_go_of_arrays(name):
    case = made(name, np.float32)
    case.layer.reuses = True
    case.forward(case.x)
    case.layer.backward(case.dy)
    params = copies([case.layer], "params")[0]
    case.layer.forget()
    least = min(case.x[0].size, case.dy[0].size)
    assert not any(array.size > least for array in arrays(case.layer))
    for kind, param in case.layer.params.items():
        np.testing.assert_array_equal(param, params[kind])


@each_layer
def test_config_makes_such_a_layer(name):
    layer = made(name).layer
    config = layer.config()
    again = type(layer)(**config)
    for argument, value in config.items():
        np.testing.assert_array_equal(getattr(again, argument), value)
    assert again.build(LAYERS[name][1], np.float32) == made(name).dy.shape


@each_layer
def test_no_floating_point_error_is_told(name):
    """NaN, infinite, huge and tiny numbers are values like others."""
    case = made(name, np.float32)
    values = np.array([np.inf, -np.inf, np.nan, 3e38, -3e38, 1e-41, 0], np.float32)
    x, dy = (np.resize(values, array.shape) for array in (case.x, case.dy))
    with np.errstate(all="raise"):
        for training in (True, False):
            case.forward(x, training)
            case.layer.backward(dy)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Dense(300, rng=0),
        lambda: nn.Dense(300, init="lecun_normal", rng=0),
        lambda: nn.Conv2D(100, (2, 5), rng=0),
        lambda: nn.Conv2D(100, (2, 5), init="glorot_uniform", rng=0),
    ],
)
def test_first_weights_have_the_variance_of_their_fan(make):
    layer = make()
    layer.build((None, 30, 30, 30), np.float32)
    weight = layer.params["weight"]
    inputs, units = weight.size // weight.shape[-1], layer.params["bias"].size
    reached = units * (10 if weight.ndim == 4 else 1)
    expected = {
        "he_normal": 2 / inputs,
        "lecun_normal": 1 / inputs,
        "glorot_uniform": 2 / (inputs + reached),
    }[layer.init]
    # At least 9,000 numbers: the deviation of normals is within 3 % at 4 sigma.
    assert weight.std() == pytest.approx(expected**0.5, rel=0.03)
    assert not layer.params["bias"].any()


def test_relu_keeps_nan_and_selects_backward(layer_kernels):
    layer = nn.ReLU()
    y = layer.forward(np.array([-1.0, np.nan, 2.0, -np.inf, np.inf], np.float32))
    np.testing.assert_array_equal(y, np.array([0, np.nan, 2, 0, np.inf], np.float32))
    dx = layer.backward(np.array([np.nan, 1, 3, np.inf, 5], np.float32))
    np.testing.assert_array_equal(dx, np.array([0, 0, 3, 0, 5], np.float32))
    assert dx.dtype == np.float32


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (7,), (2, 1, 3, 1, 2)])
@pytest.mark.parametrize("kind", [nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.SELU])
def test_activations_take_any_shape(kind, shape, layer_kernels):
    layer, x = kind(), normals(*shape)
    y = layer.forward(x)
    assert np.shape(y) == np.shape(layer.backward(y)) == shape
    each = [float(kind().forward(np.array([value]))[0]) for value in np.ravel(x)]
    np.testing.assert_allclose(np.ravel(y), each, rtol=1e-14)


def test_pools_leave_out_what_no_whole_window_reaches():
    x = np.arange(15.0).reshape(1, 3, 5, 1)
    layer = nn.MaxPool2D(2)
    np.testing.assert_array_equal(layer.forward(x)[0, :, :, 0], [[6, 8]])
    expected = np.zeros((3, 5))
    expected[1, 1], expected[1, 3] = 5, 7
    np.testing.assert_array_equal(
        layer.backward(np.array([5.0, 7.0]).reshape(1, 1, 2, 1))[0, :, :, 0], expected
    )
    np.testing.assert_array_equal(nn.AvgPool2D(2).forward(x)[0, :, :, 0], [[3, 5]])


# Errors


@pytest.mark.parametrize("name", [name for name in LAYERS if not name.startswith("Dropout")])
def test_backward_needs_a_forward(name):
    layer = LAYERS[name][0](None)
    layer.build(LAYERS[name][1], np.dtype(float))
    if isinstance(layer, nn.Dropout):
        assert layer.mask is None
        return
    with pytest.raises(RuntimeError, match="^" + type(layer).__name__ + ": backward needs a forw"):
        layer.backward(made(name).dy)


IMAGES = r"expected images of shape \(N, H, W, C\), got input of shape "


@pytest.mark.parametrize(
    ("make", "shape", "text"),
    [
        (lambda: nn.Dense(3), (4,), r"Dense: expected an input of shape \(batch, features\), got"),
        (lambda: nn.Dense(3), (4, 0), "Dense: expected at least one feature, got 0"),
        (lambda: nn.Conv2D(3, 2), (4, 5), "Conv2D: " + IMAGES + r"\(\w+, 5\)"),
        (lambda: nn.Conv2D(3, (2, 6)), (4, 5, 5, 1), r"Conv2D: .* 2 x 6, got input of .*5, 5, 1\)"),
        (lambda: nn.Conv2D(3, 2), (4, 5, 5, 0), "Conv2D: expected at least one channel, got 0"),
        (lambda: nn.MaxPool2D(), (4, 5, 5), "MaxPool2D: " + IMAGES + r"\(\w+, 5, 5\)"),
        (lambda: nn.MaxPool2D((6, 2)), (4, 5, 5, 1), r"MaxPool2D: expected .* at least 6 x 2, got"),
        (lambda: nn.AvgPool2D(), (4, 5, 5), "AvgPool2D: " + IMAGES + r"\(\w+, 5, 5\)"),
        (lambda: nn.AvgPool2D(6), (4, 5, 5, 1), r"AvgPool2D: expected .* at least 6 x 6, got"),
        (lambda: nn.GlobalAvgPool2D(), (4, 5, 5), "GlobalAvgPool2D: " + IMAGES),
        (lambda: nn.GlobalAvgPool2D(), (4, 0, 5, 3), "GlobalAvgPool2D: " + IMAGES),
        (lambda: nn.BatchNorm(), (5,), r"BatchNorm: expected an input of shape \(batch, ...,"),
        (lambda: nn.SpatialDropout1D(), (4, 5), r"SpatialDropout1D: .*\(N, T, C\), got"),
        (lambda: nn.SpatialDropout2D(), (4, 5, 3), r"SpatialDropout2D: .*\(N, H, W, C\), got"),
        (lambda: nn.SpatialDropout3D(), (4, 5, 3, 2), r"SpatialDropout3D: .*\(N, D, H, W, C\)"),
        (lambda: nn.TemporalDropout(), (4, 5), r"TemporalDropout: .*\(batch, time, features\)"),
    ],
)
def test_wrong_shapes_are_told(make, shape, text):
    with pytest.raises(ValueError, match="^" + text):
        make().forward(np.ones(shape), training=True)
    with pytest.raises(ValueError, match="^" + text):
        make().build((None, *shape[1:]), np.float32)


@pytest.mark.parametrize(
    ("make", "shape", "wrong", "text"),
    [
        (lambda: nn.Dense(3), (2, 4), (2, 5), r"Dense: expected last axis 4, got .*\(2, 5\)"),
        (lambda: nn.Conv2D(3, 2), (2, 4, 4, 1), (2, 4, 4, 2), r"Conv2D: .*\(N, H, W, 1\), got"),
        (lambda: nn.BatchNorm(), (2, 4), (2, 5), "BatchNorm: expected last axis 4, got"),
    ],
)
def test_another_shape_than_the_firsts_is_told(make, shape, wrong, text):
    layer = make()
    layer.forward(np.ones(shape))
    with pytest.raises(ValueError, match="^" + text):
        layer.forward(np.ones(wrong))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nn.Dense(0), ValueError, "Dense: units must be at least 1, got 0"),
        (lambda: nn.Dense(2.5), TypeError, "Dense: units must be an int, got 2.5"),
        (lambda: nn.Dense(2, rng="x"), TypeError, "Dense: rng must be None, an int"),
        (lambda: nn.Dense(2, l1=-1), ValueError, "Dense: l1 must be finite and at least 0, got -1"),
        (lambda: nn.Dense(2, l2=np.nan), ValueError, "Dense: l2 must be finite and at least 0"),
        (lambda: nn.Dense(2, max_norm="3"), TypeError, "Dense: max_norm must be a number, got '3'"),
        (lambda: nn.Dense(2, init="he"), ValueError, "Dense: init must be one of 'he_normal', "),
        (lambda: nn.Conv2D(0, 3), ValueError, "Conv2D: filters must be at least 1, got 0"),
        (lambda: nn.Conv2D(2, 0), ValueError, "Conv2D: kernel_size must be at least 1, got 0"),
        (
            lambda: nn.Conv2D(2, (3, 3, 3)),
            ValueError,
            r"Conv2D: kernel_size must be an int or two of them, got \(3, 3, 3\)",
        ),
        (lambda: nn.Conv2D(2, 3, 1.5), TypeError, "Conv2D: strides must be an int, got 1.5"),
        (
            lambda: nn.Conv2D(2, 3, padding="full"),
            ValueError,
            "Conv2D: padding must be 'valid' or 'same', got 'full'",
        ),
        (lambda: nn.MaxPool2D(0), ValueError, "MaxPool2D: pool_size must be at least 1, got 0"),
        (lambda: nn.MaxPool2D(2, (1, 0)), ValueError, "MaxPool2D: strides must be at least 1, got"),
        (lambda: nn.MaxPool2D((16, 17)), ValueError, r"at most 256 pixels, got \(16, 17\)"),
        (lambda: nn.AvgPool2D("2"), TypeError, "AvgPool2D: pool_size must be an int, got '2'"),
        (lambda: nn.BatchNorm(1), ValueError, r"BatchNorm: momentum must be in \[0, 1\), got 1"),
        (lambda: nn.BatchNorm(epsilon=-1), ValueError, "BatchNorm: epsilon must be finite and at"),
        (lambda: nn.LeakyReLU(np.inf), ValueError, "LeakyReLU: negative_slope must be finite"),
        (lambda: nn.Dropout(1.5), ValueError, r"Dropout: rate must be in \[0, 1\], got 1.5"),
        (lambda: nn.Dropout(np.nan), ValueError, r"Dropout: rate must be in \[0, 1\], got nan"),
        (lambda: nn.Dropout("0.5"), TypeError, "Dropout: rate must be a number"),
        (lambda: nn.Dropout(0.5, rng=1.5), TypeError, "Dropout: rng must be None, an int"),
        (lambda: nn.SpatialDropout2D(-1), ValueError, "SpatialDropout2D: rate must be in "),
    ],
)
def test_bad_settings_are_told(make, error, text):
    with pytest.raises(error, match=text):
        make()


CHECKED = [
    *("Dense", "Conv2D", "MaxPool2D", "AvgPool2D", "GlobalAvgPool2D", "BatchNorm"),
    *("ReLU", "LeakyReLU", "Sigmoid", "Tanh", "SELU", "Softmax"),
]


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("dtype", ["float16", "int64", "complex128", ">f4", object])
def test_arrays_of_other_kinds_are_told(name, dtype):
    """Kernels read what they are told is there: a wrong dtype must not come so far."""
    case = made(name, np.float32)
    for layer in (case.layer, LAYERS[name][0](None)):
        with pytest.raises(TypeError, match=f"^{name}: x must be float32.*, got "):
            layer.forward(case.x.astype(dtype))
    case.forward(case.x)
    with pytest.raises(TypeError, match=f"^{name}: dy must be float32.*, got "):
        case.layer.backward(case.dy.astype(dtype))


@pytest.mark.parametrize("name", CHECKED)
def test_gradients_of_another_kind_than_the_output_are_told(name):
    case = made(name, np.float32)
    case.forward(case.x)
    for dy in (case.dy[:1], np.repeat(case.dy, 2, axis=0), case.dy[..., :1], case.dy.ravel()):
        with pytest.raises(ValueError, match=f"^{name}: dy must .*shape.*, got "):
            case.layer.backward(dy)
    with pytest.raises(TypeError, match=f"^{name}: dy must be float32.*, got float64"):
        case.layer.backward(case.dy.astype(float))


@pytest.mark.parametrize("name", ["Dense", "Conv2D", "BatchNorm"])
def test_inputs_of_another_kind_than_the_parameters_are_told(name):
    case = made(name, np.float32)
    with pytest.raises(TypeError, match=f"^{name}: x must be float32.*, got float64"):
        case.layer.forward(case.x.astype(float))
