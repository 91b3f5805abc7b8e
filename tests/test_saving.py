"""Checkpoints: what is in them, training that goes on, and files that are damaged."""

import builtins
import errno
import hashlib
import json
import os
import signal
import stat
import sys
import tracemalloc

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from processes import run_code

import fastdrop
from fastdrop.nn import (
    SGD,
    Adam,
    AdamW,
    AvgPool2D,
    BatchNorm,
    BinaryCrossEntropy,
    Callback,
    Checkpoint,
    Conv2D,
    CosineDecay,
    Dense,
    Dropout,
    EarlyStopping,
    ExponentialDecay,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    LeakyReLU,
    LearningRateScheduler,
    LinearDecay,
    MaxPool2D,
    MeanSquaredError,
    Optimizer,
    PiecewiseConstant,
    ReduceOnPlateau,
    ReLU,
    RMSprop,
    Sequential,
    SoftmaxCrossEntropy,
    SpatialDropout2D,
    Tanh,
    TemporalDropout,
)
from fastdrop.nn.saving import CheckpointError

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def samples(count=36, shape=(6,), classes=3):
    rng = np.random.default_rng(0)
    return rng.random((count, *shape), np.float32), rng.integers(0, classes, count)


def mlp(*, rng=0, **settings):
    layers = [Dense(9, l2=1e-3), BatchNorm(), ReLU(), Dropout(0.3), Dense(8), Tanh()]
    layers += [Dropout([0.2] * 4 + [0.6] * 4, 0), Dense(3, max_norm=2.0)]
    return Sequential(layers, rng=rng, **settings)


def cnn(**settings):
    layers = [Conv2D(4, 3, padding="same"), ReLU(), MaxPool2D(), Dropout(0.2)]
    layers += [Conv2D(5, (2, 3), (1, 2)), BatchNorm(0.8), LeakyReLU(0.1), SpatialDropout2D(0.4)]
    layers += [Flatten(), Dense(3, init="glorot_uniform")]
    return Sequential(layers, rng=1, **settings)


def tiny(weight=1.0):
    model = Sequential([Dense(1), Dropout(0.5)], optimizer=SGD(0.1), rng=0, input_shape=(2,))
    model.layers[0].params["weight"][:] = weight
    return model


def reloaded(model, tmp_path, **options):
    model.save(tmp_path / "model.safetensors")
    return fastdrop.load(tmp_path / "model.safetensors", **options)


def everything(model):
    """All that a model is, as arrays' bytes and plain values."""
    sources = model._sources

    def written(arrays):
        return [(name, a.dtype.str, a.shape, a.tobytes()) for name, a in arrays.items()]

    memory = model._optimizer_state
    slots = {name: a for name, a in sorted(memory.items()) if isinstance(a, np.ndarray)}
    return {
        "layers": [(type(layer), str(layer.config())) for layer in model.layers],
        "params": [written(layer.params) for layer in model.layers],
        "state": [written(layer.state) for layer in model.layers],
        "loss": (type(model.loss), model.loss.config()),
        "optimizer": (type(model.optimizer), model.optimizer.config()),
        "slots": written(slots),
        "memory": {name: value for name, value in memory.items() if name not in slots},
        "sources": str(
            [
                sources.weights.bit_generator.state,
                sources.order.bit_generator.state,
                sources.masks.state_dict(),
            ]
        ),
        "history": model.history and model.history.history,
        "run": (model.epoch, model.dtype, model._sample, model._output),
    }


def assert_same(model, other):
    ours, theirs = everything(model), everything(other)
    for part, value in ours.items():
        assert theirs[part] == value, part


# What is saved


@pytest.mark.parametrize(
    ("layers", "shape", "settings"),
    [
        ([Dense(3, l1=0.1, l2=0.2, max_norm=1, init="lecun_uniform")], (4,), {}),
        ([Dropout(np.full((5, 4), 0.25)), Dropout(1, (1, -1)), Flatten(), Dense(3)], (5, 4), {}),
        ([TemporalDropout(0.25), Flatten(), Dense(3)], (5, 4), {"optimizer": "rmsprop"}),
        (
            [Conv2D(2, (3, 2), (2, 1), "same"), AvgPool2D((2, 1), 1), GlobalAvgPool2D()],
            (6, 5, 2),
            {"optimizer": AdamW(LinearDecay(0.1, 0.0, 5), clip_norm=0.5), "dtype": np.float64},
        ),
        (
            [BatchNorm(0.5, 1e-3), MaxPool2D((1, 2)), Flatten(), Dense(3)],
            (4, 5, 1),
            {"loss": SoftmaxCrossEntropy(0.1), "optimizer": SGD(0.1, 0.9, True, 1.0)},
        ),
    ],
)
def test_everything_comes_back(tmp_path, layers, shape, settings):
    model = Sequential(layers, rng=2, **settings)
    x, y = samples(8, shape)
    y %= model.forward(x[:1]).shape[-1]
    for _ in range(2):
        model.train_batch(x, y)
    same = reloaded(model, tmp_path)
    assert_same(model, same)
    assert np.array_equal(same.predict(x), model.predict(x))
    assert same.train_batch(x, y) == model.train_batch(x, y)
    assert_same(model, same)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), MeanSquaredError()])
def test_other_losses(tmp_path, loss):
    model = Sequential([Dense(1)], loss=loss, rng=0)
    x, y = samples(classes=2)
    history = model.fit(x, y, epochs=2, verbose=False)
    same = reloaded(model, tmp_path)
    assert same.history.history == history.history
    assert same.evaluate(x, y) == model.evaluate(x, y)


def test_a_figure_that_is_nan_or_a_numpy_number(tmp_path):
    model = tiny()
    model.history = fastdrop.nn.History({"a": [np.nan, np.inf], "b": [np.float32(0.1), 1]})
    history = reloaded(model, tmp_path).history.history
    assert str(history) == str({"a": [np.nan, np.inf], "b": [float(np.float32(0.1)), 1]})


def test_the_file_is_as_documented(tmp_path):
    model = mlp(optimizer=SGD(0.1, momentum=0.5))
    model.fit(*samples(), epochs=2, verbose=False)
    model.save(tmp_path / "file")
    with safetensors.safe_open(tmp_path / "file", "numpy") as file:
        said = json.loads(file.metadata()["fastdrop"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    weight = model.layers[0].params["weight"]
    np.testing.assert_array_equal(tensors["params.0.weight"], weight, strict=True)
    np.testing.assert_array_equal(tensors["state.1.mean"], model.layers[1].state["mean"])
    assert tensors["optimizer.velocity.7.bias"].shape == (3,)
    assert said["format"] == 1
    assert said["epoch"] == 2
    assert said["layers"][6]["config"] == {
        "rate": [0.2] * 4 + [0.6] * 4,
        "shared_axes": 0,
        "mode": "inverted",
    }
    assert said["optimizer"]["state"] == {"step": 4}
    assert said["sample"] == [6]
    blob = (tmp_path / "file").read_bytes()
    blank = blob.replace(said["sha256"].encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == said["sha256"]


def test_the_same_model_is_the_same_file(tmp_path):
    model = mlp()
    model.fit(*samples(), epochs=1, verbose=False)
    same = reloaded(model, tmp_path)
    first = (tmp_path / "model.safetensors").read_bytes()
    same.save(tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").read_bytes() == first


def test_order_of_parameters_stays(tmp_path):
    # Norms of all gradients together are summed in it.
    assert [*reloaded(tiny(), tmp_path).layers[0].params] == ["weight", "bias"]


def test_arrays_that_are_not_contiguous(tmp_path):
    model = tiny()
    model.layers[0].state = {"fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)).T[::2]}
    model._sample = None  # no layer that is built anew has such a state
    state = reloaded(model, tmp_path).layers[0].state["fortran"]
    np.testing.assert_array_equal(state, [[0, 3], [2, 5]])
    assert state.flags.carray


# Models that are not built


def test_a_model_that_is_not_built(tmp_path):
    layers = [Dense(4, rng=7), Dropout(0.5, rng=3), Dense(3)]
    model = Sequential(layers, rng=np.random.default_rng(5), optimizer="sgd")
    same = reloaded(model, tmp_path)
    assert same._sample is None
    assert same.history is None
    x, y = samples()
    history = [m.fit(x, y, epochs=3, verbose=False).history for m in (model, same)]
    assert history[0] == history[1]
    assert_same(model, same)


def test_layers_that_were_used_before(tmp_path):
    x, _ = samples()
    layer = Dense(3, rng=0)
    y = layer.forward(x)
    same = reloaded(Sequential([layer]), tmp_path)
    np.testing.assert_array_equal(same.forward(x), y)


def test_layers_that_were_added_since_the_model_was_built(tmp_path):
    x, _ = samples(shape=(2,))
    model = tiny()
    model.layers.append(Dense(3))
    same = reloaded(model, tmp_path)
    np.testing.assert_array_equal(same.predict(x), model.predict(x))


# Training that goes on


def own_sources():
    shared = fastdrop.MaskStream(5)
    layers = [Dropout(0.1, rng=shared), Dense(8, rng=3), Dropout(0.2, rng=np.random.MT19937(1))]
    layers += [Dense(8), Dropout(0.3, rng=np.random.default_rng(2)), Dropout(0.4, rng=shared)]
    return Sequential([*layers, Dense(3)], rng=4)


def callbacks_of(tmp_path):
    """By name, what makes callbacks; one for each run."""
    return {
        "none": list,
        "checkpoint": lambda: [Checkpoint(tmp_path / "{epoch}-{loss:.3f}")],
        "stopping": lambda: [EarlyStopping(patience=2, min_delta=0.02)],
        "plateau": lambda: [ReduceOnPlateau(factor=0.5, patience=1)],
        "scheduler": lambda: [LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))],
        "all": lambda: [
            Checkpoint(tmp_path / "best", "val_loss"),
            ReduceOnPlateau("loss", factor=0.5, patience=1),
            EarlyStopping("val_accuracy", patience=3),
        ],
    }


RUNS = [
    (lambda: mlp(optimizer=SGD(0.1, momentum=0.9)), "none"),
    (lambda: mlp(optimizer=SGD(0.2, momentum=0.9, nesterov=True, clip_norm=0.5)), "all"),
    (lambda: mlp(optimizer=Adam(0.02)), "checkpoint"),
    (lambda: mlp(optimizer=Adam(CosineDecay(0.05, 12, warmup_steps=3))), "none"),
    (lambda: mlp(optimizer=AdamW(ExponentialDecay(0.05, 5, 0.5))), "stopping"),
    (lambda: mlp(optimizer=SGD(PiecewiseConstant([4, 9], [0.1, 0.05, 0.01]))), "none"),
    (lambda: mlp(optimizer=RMSprop(0.01, momentum=0.5), dtype=np.float64), "plateau"),
    (lambda: mlp(optimizer=Adam(0.1)), "plateau"),
    (lambda: mlp(optimizer=SGD(0.5)), "stopping"),
    (lambda: mlp(optimizer=SGD(0.1)), "scheduler"),
    (lambda: cnn(optimizer=SGD(0.1, momentum=0.9)), "none"),
    (lambda: cnn(optimizer=Adam(0.02)), "all"),
    (own_sources, "none"),
]


def data_of(model):
    x, y = samples(shape=(8, 8, 2) if type(model.layers[0]) is Conv2D else (6,))
    # Fewer than a batch in the last; three batches an epoch.
    settings = {"batch_size": 10, "verbose": False, "class_weight": {0: 2.0}}
    return (x[:28], y[:28]), settings | {"validation_data": (x[28:], y[28:])}


@pytest.mark.parametrize(("make", "name"), RUNS)
def test_training_goes_on_bit_for_bit(tmp_path, make, name):
    callbacks = callbacks_of(tmp_path)[name]
    model, part = make(), make()
    data, settings = data_of(model)
    model.fit(*data, epochs=5, callbacks=callbacks(), **settings)
    part.fit(*data, epochs=2, callbacks=callbacks(), **settings)
    part = reloaded(part, tmp_path)
    assert part.epoch == 2
    assert everything(part)["params"] != everything(model)["params"]
    part.fit(*data, epochs=5, initial_epoch=part.epoch, callbacks=callbacks(), **settings)
    assert_same(model, part)


class CtrlC(Callback):
    """The real one, in the second batch of an epoch."""

    def __init__(self, epoch):
        self.epoch, self.calls = epoch, 0

    def on_batch_end(self, model, step, loss):
        if model.epoch == self.epoch and step == 1:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("make", "name"), RUNS)
def test_an_interrupted_run_goes_on_from_its_checkpoint(tmp_path, make, name):
    callbacks = callbacks_of(tmp_path)[name]
    model, killed = make(), make()
    data, settings = data_of(model)
    last = Checkpoint(tmp_path / "last")
    model.fit(*data, epochs=5, callbacks=callbacks(), **settings)
    with pytest.raises(KeyboardInterrupt):
        killed.fit(*data, epochs=5, callbacks=[*callbacks(), last, CtrlC(2)], **settings)
    again = fastdrop.load(tmp_path / "last")
    assert again.epoch == 2
    again.fit(*data, epochs=5, initial_epoch=again.epoch, callbacks=callbacks(), **settings)
    assert_same(model, again)


def test_a_schedule_of_ones_own(tmp_path):
    model = mlp(optimizer=SGD(lambda step: 0.1 / (step + 1)))
    x, y = samples()
    model.train_batch(x, y)
    same = reloaded(reloaded(model, tmp_path), tmp_path)
    np.testing.assert_array_equal(same.predict(x), model.predict(x))
    with pytest.raises(ValueError, match=r"set optimizer\.learning_rate"):
        same.train_batch(x, y)
    same = reloaded(model, tmp_path)
    same.optimizer.learning_rate = model.optimizer.learning_rate
    assert same.train_batch(x, y) == model.train_batch(x, y)


# Random sources


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
@pytest.mark.parametrize("wrap", [np.random.Generator, lambda bits: bits])
def test_a_layers_own_generator_goes_on(tmp_path, kind, wrap):
    rng = wrap(getattr(np.random, kind)(3))
    model = Sequential([Dropout(0.5, rng=rng)], rng=0)
    x = np.ones((40, 40), np.float32)
    # An odd number of 32-bit draws leaves half a word behind.
    np.random.Generator(getattr(rng, "bit_generator", rng)).integers(0, 9, 5, dtype=np.uint32)
    model.forward(x, training=True)
    same = reloaded(model, tmp_path)
    for _ in range(2):
        np.testing.assert_array_equal(same.forward(x, True), model.forward(x, True))
    model.forward(x, True)
    assert (same.forward(x, True) != same.forward(x, True)).any()


def test_shared_sources_are_shared_again(tmp_path):
    generator, stream = np.random.default_rng(1), fastdrop.MaskStream(2)
    rngs = [generator, stream, None, stream, generator.bit_generator, generator, None]
    model = Sequential([Dropout(0.5, rng=rng) for rng in rngs], rng=3)
    x = np.ones((20, 20), np.float32)
    model.forward(x, True)
    same = reloaded(model, tmp_path)
    np.testing.assert_array_equal(same.forward(x, True), model.forward(x, True))
    held = [layer._rng for layer in same.layers]
    assert held[0] is held[5]
    assert held[0].bit_generator is held[4]
    assert held[1] is held[3]
    assert held[2] is held[6] is same._sources.masks
    assert held[1] is not held[2]


def test_saving_and_loading_moves_no_source(tmp_path):
    model = own_sources()
    model.fit(*samples(), epochs=1, verbose=False)
    before = everything(model)
    reloaded(model, tmp_path)
    assert everything(model) == before


# Classes of one's own


class Noise(Layer):
    """Has a source of its own, a parameter, and a state that is no float."""

    def __init__(self, width=(1, 2), rng=None):
        super().__init__()
        self.width = width
        self.rng = np.random.default_rng(rng)

    def build(self, input_shape, dtype, sources=None):
        if not self.params:
            self.params = {"scale": np.ones(input_shape[-1], dtype)}
            self.state = {"calls": np.zeros((), np.int64)}
        return input_shape

    def forward(self, x, training=False):
        self.x = x
        self.state["calls"] += training
        noise = self.rng.normal(size=x.shape).astype(x.dtype) if training else 0
        return x * self.params["scale"] + noise

    def backward(self, dy):
        self.grads = {"scale": (dy * self.x).sum(0)}
        return dy * self.params["scale"]


class Half(SoftmaxCrossEntropy):
    def forward(self, outputs, y, weights=None):
        return super().forward(outputs, y, weights) / 2


class Counting(Optimizer):
    """Remembers numbers, too."""

    def __init__(self, learning_rate=0.1, factor=0.5):
        super().__init__(learning_rate)
        self.factor = factor

    def step(self, params, grads, state):
        state["step"] = state.get("step", 0) + 1
        state["rate"] = np.float64(state.get("rate", 1.0) * self.factor)
        state.setdefault("last", {})["sizes"] = [param.size for param in params.values()]
        for name, param in params.items():
            param -= state["rate"] * grads[name]


OWN = {"Noise": Noise, "Half": Half, "Counting": Counting}


def own():
    layers = [Dense(4), Noise((3, 4), rng=1), Dense(3)]
    return Sequential(layers, loss=Half(), optimizer=Counting(factor=0.25), rng=0)


def test_classes_of_ones_own(tmp_path):
    model = own()
    x, y = samples()
    model.fit(x, y, epochs=2, verbose=False)
    same = reloaded(model, tmp_path, layers=OWN)
    assert type(same.layers[1]) is Noise
    assert same.layers[1].width == (3, 4)
    assert same.layers[1].state["calls"].dtype == np.int64
    assert_same(model, same)
    for m in (model, same):
        m.fit(x, y, epochs=3, initial_epoch=2, verbose=False)
    assert_same(model, same)


@pytest.mark.parametrize("name", OWN)
def test_unknown_classes_are_named(tmp_path, name):
    known = {other: kind for other, kind in OWN.items() if other != name}
    with pytest.raises(CheckpointError, match=rf"model\.safetensors.* '{name}'.*layers="):
        reloaded(own(), tmp_path, layers=known)


def test_a_class_of_ones_own_with_the_name_of_one_of_ours(tmp_path):
    twice = type("Dropout", (Dropout,), {"forward": lambda self, x, training=False: 2 * x})
    model = Sequential([twice(0.5)], rng=0)
    with pytest.raises(CheckpointError, match="'Dropout', which is not one of fastdrop's"):
        reloaded(model, tmp_path)
    same = reloaded(model, tmp_path, layers={"Dropout": twice})
    assert same.predict(np.ones((1, 3))).shape == (1, 3)
    assert type(same.layers[0]) is twice


def test_a_class_of_another_kind_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="needs a Layer class 'Noise'"):
        reloaded(own(), tmp_path, layers=OWN | {"Noise": Half})


def test_a_class_that_has_changed(tmp_path):
    model = own()
    model.forward(np.ones((2, 5)))

    class Other(Noise):
        def build(self, input_shape, dtype, sources=None):
            self.params = {"scale": np.ones(7, dtype)}
            return input_shape

    with pytest.raises(CheckpointError, match=r"layer 1 \(Other\): params must be .*\(7,\).*\(4,"):
        reloaded(model, tmp_path, layers=OWN | {"Noise": Other})
    without = type("Without", (Noise,), {"__init__": lambda self: Layer.__init__(self)})
    with pytest.raises(CheckpointError, match="width"):
        reloaded(model, tmp_path, layers=OWN | {"Noise": without})


@pytest.mark.parametrize("layers", [[Noise], {"Noise": 3}, {"Noise": Noise()}, {"Noise": dict}])
def test_layers_must_be_classes(tmp_path, layers):
    with pytest.raises(TypeError, match="load: layers must be a dict of classes"):
        reloaded(tiny(), tmp_path, layers=layers)


# First weights by a function


def test_init_by_a_function_is_left_out(tmp_path):
    model = Sequential([Dense(3, init=lambda shape, rng: np.eye(*shape))], input_shape=(3,))
    same = reloaded(model, tmp_path)
    np.testing.assert_array_equal(same.layers[0].params["weight"], np.eye(3))
    assert same.layers[0].init == "he_normal"


def test_init_stays(tmp_path):
    model = Sequential([Dense(3, init="lecun_normal")], input_shape=(3,))
    assert reloaded(model, tmp_path).layers[0].init == "lecun_normal"


def test_init_by_a_function_is_needed_still(tmp_path):
    model = Sequential([Dense(3, init=lambda shape, rng: np.eye(*shape))])
    with pytest.raises(ValueError, match=r"layer 0 \(Dense\): init must not be a function"):
        model.save(tmp_path / "model")
    assert not any(tmp_path.iterdir())


# What cannot be saved


class Unnamed(Layer):
    def __init__(self, size):
        super().__init__()


class Foreign(np.random.PCG64):
    """A bit generator that is none of NumPy's."""


def broken(**parts):
    model = tiny()
    for name, value in parts.items():
        setattr(model.layers[0] if hasattr(model.layers[0], name) else model, name, value)
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sequential([Noise(width=len)]), r"layer 0 \(Noise\): width must be numbers"),
        (lambda: Sequential([Unnamed(3)]), r"layer 0 \(Unnamed\): an argument must be"),
        (
            lambda: Sequential([Dropout(0.5, rng=np.random.Generator(Foreign(1)))]),
            r"layer 0 \(Dropout\): _own must have one of NumPy's bit generators",
        ),
        (
            lambda: broken(_sample=None, state={"x": np.ones(2, complex)}),
            r"Sequential\.save: state\.0\.x must hold real numbers.*complex128",
        ),
        (lambda: broken(_optimizer_state={"step": {1}}), r"the optimizer's state must be numbers"),
        (lambda: broken(history=fastdrop.nn.History({"loss": [object()]})), r"history must be"),
    ],
)
def test_what_no_file_can_hold(tmp_path, make, message):
    path = tmp_path / "model"
    path.write_bytes(b"before")
    with pytest.raises(TypeError, match=message):
        make().save(path)
    assert path.read_bytes() == b"before"


@pytest.mark.parametrize("path", [3, None, 1.5])
def test_paths(tmp_path, path):
    with pytest.raises(TypeError, match=r"Sequential\.save: path must be"):
        tiny().save(path)
    with pytest.raises(TypeError, match="load: path must be"):
        fastdrop.load(path)
    tiny().save(os.fsencode(tmp_path / "bytes"))
    assert fastdrop.load(str(tmp_path / "bytes")).epoch == 0


def test_without_safetensors(tmp_path, monkeypatch):
    model = tiny()
    model.save(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.delitem(sys.modules, "safetensors.numpy")
    command = r'safetensors is not installed: `pip install "fastdrop\[app\]"`'
    with pytest.raises(ImportError, match=rf"Sequential\.save: {command}"):
        model.save(tmp_path / "model")
    with pytest.raises(ImportError, match=f"load: {command}"):
        fastdrop.load(tmp_path / "model")


def test_import_stays_light():
    code = (
        "import fastdrop, sys; assert 'load' in dir(fastdrop); print('fastdrop.nn' in sys.modules)"
    )
    assert run_code(code) == "False"
    assert "load" in fastdrop.__all__
    assert fastdrop.load is fastdrop.nn.saving.load


# Damaged, foreign and newer files


def document_of(path):
    with safetensors.safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["fastdrop"])


def forge(path, document, tensors):
    """A file with any contents and the right checksum."""
    blank = {"format": 1, "sha256": "0" * 64} | document | {"sha256": "0" * 64}
    blob = safetensors.numpy.save(tensors, {"fastdrop": json.dumps(blank)})
    path.write_bytes(blob.replace(b"0" * 64, hashlib.sha256(blob).hexdigest().encode(), 1))


def refused(path, message="^load: "):
    with pytest.raises(CheckpointError, match=message) as caught:
        fastdrop.load(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_every_truncation_is_found(tmp_path):
    path = tmp_path / "model"
    tiny().save(path)
    blob = path.read_bytes()
    assert fastdrop.load(path).layers[0].params["weight"].tolist() == [[1], [1]]
    for size in reversed(range(len(blob))):
        os.truncate(path, size)
        refused(path, "damaged" if size else "is empty")
    path.write_bytes(blob + b"\0")
    refused(path, "damaged")


def test_every_flipped_bit_is_found(tmp_path):
    path = tmp_path / "model"
    tiny().save(path)
    blob = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(blob):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), place)
                refused(path)
            os.pwrite(file.fileno(), bytes([byte]), place)
    assert fastdrop.load(path).layers[0].params["weight"].tolist() == [[1], [1]]


def test_a_newer_file(tmp_path):
    path = tmp_path / "model"
    forge(path, {"format": 2, "fastdrop": "9.1", "what": "is not known yet"}, {})
    refused(path, r"has format 2, of fastdrop 9\.1.*up to 1")


@pytest.mark.parametrize(
    "blob",
    [
        b"\0",
        b"\0" * 8,
        b"\0" * 4096,
        b"\x80\x04\x95 this is a pickle",
        (20).to_bytes(8, "little") + b"[" * 20,
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        (2).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"null",
        (2**63).to_bytes(8, "little") + b"{}",
        safetensors.numpy.save({"x": np.ones(3)}),
        safetensors.numpy.save({"x": np.ones(3)}, {"format": "pt"}),
        safetensors.numpy.save({"x": np.ones(3)}, {"fastdrop": "3"}),
        safetensors.numpy.save({"x": np.ones(3)}, {"fastdrop": '{"sha256": 3}'}),
        safetensors.numpy.save({"x": np.ones(3)}, {"fastdrop": '{"sha256": ""}'}),
    ],
)
def test_foreign_files(tmp_path, blob):
    path = tmp_path / "model"
    path.write_bytes(blob)
    refused(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fastdrop.load(tmp_path / "nowhere")
    with pytest.raises(IsADirectoryError):
        fastdrop.load(tmp_path)


def at(document, *path):
    for name in path:
        document = document[name]
    return document


@pytest.mark.parametrize(
    "change",
    [
        lambda d, t: d.clear(),
        lambda d, t: d.update(dtype="int8"),
        lambda d, t: d.update(dtype="nonsense"),
        lambda d, t: d.update(sample=[3]),
        lambda d, t: d.update(sample=7),
        lambda d, t: d.update(format="1"),
        lambda d, t: d.update(layers=[]),
        lambda d, t: d["layers"].pop(0),
        lambda d, t: d["layers"][0].update({"class": "Callback"}),
        lambda d, t: d["layers"][0].update({"class": "saving"}),
        lambda d, t: d["layers"][0]["config"].update(units=0),
        lambda d, t: d["layers"][0]["config"].update(other=0),
        lambda d, t: d["layers"][0]["config"].update(units=2),
        lambda d, t: d["layers"][0].update(params=["weight"]),
        lambda d, t: d["layers"][0].update(rngs={"forward": 0}),
        lambda d, t: d["layers"][1].update(rngs={"_rng": 99}),
        lambda d, t: d["optimizer"].update(slots=["velocity.0.weight"]),
        lambda d, t: d["random"][0].update(PCG64={"state": 3}),
        lambda d, t: d["random"].insert(0, {"Mersenne": 3}),
        lambda d, t: d["random"].insert(0, {"MaskStream": {"next": -1}}),
        lambda d, t: t.clear(),
        lambda d, t: t.update({"params.0.weight": np.ones((2, 1))}),
        lambda d, t: t.update({"params.0.bias": np.ones(2, np.float32)}),
    ],
)
def test_files_that_contradict_themselves(tmp_path, change):
    path = tmp_path / "model"
    tiny().save(path)
    document, tensors = document_of(path), safetensors.numpy.load_file(path)
    forge(path, document, tensors)
    fastdrop.load(path)
    change(document, tensors)
    forge(path, document, tensors)
    refused(path)


@pytest.mark.parametrize(("claimed", "shape"), [(2**40, [1]), (None, [2**40]), (2**63, [1])])
def test_sizes_that_a_header_claims_take_no_memory(tmp_path, claimed, shape):
    path = tmp_path / "model"
    ours = {"__metadata__": {"fastdrop": '{"format": 1, "sha256": "00"}'}}
    text = json.dumps(ours | {"x": {"dtype": "F64", "shape": shape, "data_offsets": [0, 2**43]}})
    path.write_bytes((claimed or len(text)).to_bytes(8, "little") + text.encode())
    tracemalloc.start()
    refused(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("units", [5 * 10**7, 10**13])
def test_sizes_that_layers_claim_take_no_memory(tmp_path, units):
    path = tmp_path / "model"
    tiny().save(path)
    document, tensors = document_of(path), safetensors.numpy.load_file(path)
    document["layers"][0]["config"]["units"] = units
    forge(path, document, tensors)
    code = f"""
import resource
import fastdrop.nn.saving
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    fastdrop.load({str(path)!r})
except fastdrop.nn.saving.CheckpointError:
    # In KiB, or on some systems bytes.
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 100_000)
"""
    assert run_code(code) == "True"


# Whole files or none


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupted(*_):
    raise KeyboardInterrupt


class FullFile:
    """A file of which a part can be written."""

    def __init__(self, file, failure):
        self._file, self._failure = file, failure

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, part):
        self._file.write(part[:9])
        self._failure()


@pytest.mark.parametrize("step", ["fsync", "replace", "open", "write"])
@pytest.mark.parametrize(("failure", "error"), [(full, OSError), (interrupted, KeyboardInterrupt)])
def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch, step, failure, error):
    path = tmp_path / "model"
    tiny().save(path)
    before = contents(tmp_path)
    with monkeypatch.context() as patch:
        if step == "write":
            plain = builtins.open
            patch.setattr(builtins, "open", lambda *a, **k: FullFile(plain(*a, **k), failure))
        else:
            patch.setattr(os, step, failure)
        with pytest.raises(error):
            tiny(2.0).save(path)
    assert contents(tmp_path) == before
    tiny(2.0).save(path)
    assert contents(tmp_path) != before


def test_a_full_disk(tmp_path):
    code = f"""
import resource
import numpy as np
import fastdrop
from fastdrop.nn import Dense, Sequential
small, large = (Sequential([Dense(n)], rng=0, input_shape=(n,)) for n in (10, 500))
path = {str(tmp_path / "model")!r}
small.save(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, resource.RLIM_INFINITY))
try:
    large.save(path)
except OSError as error:
    print(error.strerror)
assert fastdrop.load(path).predict(np.ones((1, 10))).shape == (1, 10)
"""
    assert run_code(code) == os.strerror(errno.EFBIG)
    assert [*contents(tmp_path)] == ["model"]


@needs_fork
def test_a_killed_process_leaves_a_whole_file(tmp_path):
    # Two at once, each with a model of its own, in files of two sizes.
    code = f"""
import os, signal, time
import numpy as np
import fastdrop
from fastdrop.nn import Dense, Sequential
path = {str(tmp_path / "model")!r}
models = [Sequential([Dense(n)], rng=0, input_shape=(300,)) for n in (400, 700)]
for number, model in enumerate(models, 1):
    model.layers[0].params["weight"][:] = number
models[0].save(path)
fastdrop.load(path)
found = set()
for turn in range(12):
    children = []
    for model in models:
        child = os.fork()
        if not child:
            while True:
                model.save(path)
        children.append(child)
    time.sleep(0.02 + 0.007 * turn)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    weight = fastdrop.load(path).layers[0].params["weight"]
    number = int(weight[0, 0])
    assert (weight == number).all() and weight.shape == (300, 100 + 300 * number), number
    found.add(number)
print(sorted(found))
"""
    said = run_code(code)
    assert said in ("[1, 2]", "[1]", "[2]")
    left = [name for name in contents(tmp_path) if name != "model"]
    assert all(name.startswith(".fastdrop-") for name in left)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions(tmp_path):
    def mode():
        return stat.S_IMODE(path.stat().st_mode)

    path = tmp_path / "model"
    before = os.umask(0o027)
    try:
        tiny().save(path)
        assert mode() == 0o640
        path.chmod(0o600)
        tiny().save(path)
        assert mode() == 0o600
    finally:
        os.umask(before)


def test_a_link_stays_a_link(tmp_path):
    folder = tmp_path / "there"
    folder.mkdir()
    link = tmp_path / "link"
    link.symlink_to(folder / "model")
    for weight in (1, 2):  # one that leads nowhere yet, and one that does
        tiny(weight).save(link)
        assert link.is_symlink()
        assert fastdrop.load(folder / "model").layers[0].params["weight"][0, 0] == weight
    assert [*contents(folder)] == ["model"]


def test_places_where_no_file_can_be(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        tiny().save(tmp_path / "nowhere" / "model")
    with pytest.raises(OSError, match="regular file"):
        tiny().save(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="regular file"):
        tiny().save(tmp_path / "pipe")
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_long_name(tmp_path):
    path = tmp_path / ("m" * 250)
    tiny().save(path)
    assert fastdrop.load(path).epoch == 0
