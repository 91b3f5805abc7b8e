"""Layers, losses, optimisers and their training."""

import signal
import sys
import tracemalloc

import numpy as np
import pytest

import fastdrop
from fastdrop.data import digits
from fastdrop.nn import (
    SGD,
    Adam,
    Callback,
    Dense,
    Dropout,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
)
from fastdrop.nn.sources import sources

# Bound of central differences in float64, as a share of the gradient's norm.
GRADIENT = 1e-6


def difference(function, array, step=1e-6):
    """Gradient of a function of no arguments by an array that it reads."""
    gradient = np.empty_like(array)
    for place in np.ndindex(array.shape):
        value = array[place]
        array[place] = value + step
        above = function()
        array[place] = value - step
        gradient[place] = (above - function()) / (2 * step)
        array[place] = value
    return gradient


def assert_gradient(computed, measured):
    assert computed.shape == measured.shape
    assert np.linalg.norm(measured) > 0
    assert np.linalg.norm(computed - measured) <= GRADIENT * np.linalg.norm(measured)


def samples(count=64, features=8, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((count, features), np.float32), rng.integers(0, classes, count)


def network(rng=0, rate=0.5, **settings):
    layers = [Dense(16), ReLU(), Dropout(rate), Dense(3)]
    return Sequential(layers, rng=rng, **settings)


def weights(model):
    return [param for layer in model.layers for param in layer.params.values()]


# Gradients


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda stream: Dense(4, rng=1), (5, 3)),
        (lambda stream: Dense(4, rng=1), (5, 2, 3)),
        (lambda stream: ReLU(), (5, 3)),
        (lambda stream: Dropout(0.5, rng=stream), (5, 3)),
        (lambda stream: Dropout(0.5, shared_axes=0, rng=stream), (5, 3)),
        (lambda stream: Dropout([0.2, 0.8, 0.5], rng=stream), (5, 3)),
    ],
)
def test_layer_gradients(make, shape):
    rng = np.random.default_rng(3)
    x, dy = rng.normal(size=shape), rng.normal(size=shape)
    stream = fastdrop.MaskStream(2)
    layer, recipe = make(stream), stream.state_dict()

    def total():
        stream.load_state_dict(recipe)
        return (layer.forward(x, training=True) * dy).sum()

    dy = rng.normal(size=layer.forward(x, training=True).shape)
    total()
    dx = layer.backward(dy)
    grads = {name: grad.copy() for name, grad in layer.grads.items()}
    assert grads.keys() == layer.params.keys()
    assert_gradient(dx, difference(total, x))
    for name, param in layer.params.items():
        assert_gradient(grads[name], difference(total, param))


def test_softmax_cross_entropy_gradient():
    rng = np.random.default_rng(4)
    logits, labels = rng.normal(size=(6, 5)), rng.integers(0, 5, 6)
    loss = SoftmaxCrossEntropy()
    loss.forward(logits, labels)
    computed = loss.backward()
    assert_gradient(computed, difference(lambda: loss.forward(logits, labels), logits))


def test_network_gradients():
    stream = fastdrop.MaskStream(5)
    layers = [Dense(6), ReLU(), Dropout(0.4, rng=stream), Dense(5), ReLU()]
    layers += [Dropout(0.3, shared_axes=0, rng=stream), Dense(4)]
    model = Sequential(layers, rng=6, dtype=np.float64, input_shape=(3,))
    rng = np.random.default_rng(7)
    for layer in layers:
        # With biases of 0, a sample whose units are all dropped sits on ReLU's
        # kink, where there is no derivative to measure.
        if layer.params:
            layer.params["bias"][:] = rng.normal(size=layer.units)
    x, labels = rng.normal(size=(7, 3)), rng.integers(0, 4, 7)
    recipe, loss = stream.state_dict(), SoftmaxCrossEntropy()

    def value():
        stream.load_state_dict(recipe)
        return loss.forward(model.forward(x, training=True), labels)

    value()
    dx = model.backward(loss.backward())
    grads = [grad.copy() for layer in layers for grad in layer.grads.values()]
    assert_gradient(dx, difference(value, x))
    for param, grad in zip(weights(model), grads, strict=True):
        assert param.dtype == np.float64
        assert_gradient(grad, difference(value, param))


# Layers and loss


def test_he_weights():
    layer = Dense(2000, rng=0)
    y = layer.forward(np.zeros((1, 50), np.float32))
    assert y.dtype == layer.params["weight"].dtype == np.float32
    assert layer.params["weight"].shape == (50, 2000)
    # 100,000 normals: the standard deviation is within 1 % at 4.5 sigma.
    assert abs(layer.params["weight"].std() / 0.2 - 1) < 0.01
    assert not layer.params["bias"].any()


def test_relu_keeps_nan_and_selects_backward():
    layer = ReLU()
    y = layer.forward(np.array([-1.0, np.nan, 2.0, -np.inf, np.inf], np.float32))
    np.testing.assert_array_equal(y, np.array([0, np.nan, 2, 0, np.inf], np.float32))
    dx = layer.backward(np.array([np.nan, 1, 3, np.inf, 5], np.float32))
    np.testing.assert_array_equal(dx, np.array([0, 0, 3, 0, 5], np.float32))
    assert dx.dtype == np.float32


def test_dropout_keeps_its_mask_and_nothing_else():
    layer, x = Dropout(0.5, rng=0), np.ones((512, 512), np.float32)
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


def test_dropout_is_its_mask_forward_and_backward(backend):
    layer = Dropout(0.3, shared_axes=-1, rng=3)
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 40, 5)).astype(np.float32)[:, :, None, :]
    y = layer.forward(x, training=True)
    assert layer.mask == fastdrop.Mask(x.shape, 0.3, key=layer.mask.key, shared_axes=-1)
    kept = np.broadcast_to(layer.mask.keep(), x.shape)
    scale = np.float32(layer.mask.scale)
    assert 0 < kept.mean() < 1
    np.testing.assert_array_equal(y, np.where(kept, x * scale, 0))
    np.testing.assert_array_equal(layer.backward(dy), np.where(kept, dy * scale, 0))


def test_dropout_goes_on_drawing_and_rests_without_training():
    stream = fastdrop.MaskStream(1)
    layer, x = Dropout(0.5, rng=stream), np.ones((4, 50))
    first, second = layer.forward(x, training=True), layer.forward(x, training=True)
    assert (first != second).any()
    assert layer.forward(x, training=False) is x
    assert layer.mask is None
    assert layer.backward(first) is first
    assert stream.state_dict()["next"] == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: 5,
        lambda: np.random.SeedSequence(5),
        lambda: np.random.default_rng(5),
        lambda: np.random.PCG64(5),
        lambda: fastdrop.MaskStream(5),
    ],
)
def test_every_rng_reproduces_layers_and_networks(make):
    x, y = samples()
    ones = np.ones((3, 100))
    layers = Dropout(0.5, rng=make()), Dropout(0.5, rng=make())
    masks = [[layer.forward(ones, training=True) for layer in layers] for _ in range(2)]
    for first, second in masks:
        assert np.array_equal(first, second)
    assert not np.array_equal(masks[0][0], masks[1][0])
    losses = [network(make()).fit(x, y, epochs=2, verbose=False).history for _ in range(2)]
    assert losses[0] == losses[1]
    assert losses[0] != network(6).fit(x, y, epochs=2, verbose=False).history


def test_sources_are_independent():
    stream = fastdrop.MaskStream(5)
    first, second = sources(stream, "test"), sources(stream, "test")
    assert stream.state_dict()["next"] == 2
    given = [source.random() for each in (first, second) for source in (each.weights, each.order)]
    assert len({*given}) == 4
    assert len({first.masks.key, second.masks.key, stream.key}) == 3


def test_without_rng_nothing_repeats():
    x, y = samples()
    assert network(None).train_batch(x, y) != network(None).train_batch(x, y)


def test_softmax_cross_entropy_is_stable():
    loss = SoftmaxCrossEntropy()
    logits = np.array([[1e4, 0, -1e4], [-3e38, 3e38, 0]], np.float32)
    with np.errstate(over="ignore"):
        assert loss.forward(logits, np.array([0, 1])) == 0
    np.testing.assert_array_equal(loss.predict(logits[:1]), [[1, 0, 0]])
    assert loss.forward(np.log([[0.2, 0.3, 0.5]]), np.array([2])) == pytest.approx(np.log(2))
    assert loss.correct(np.eye(3), np.array([0, 1, 0])) == 2


def test_layers_alone_say_what_they_need():
    with pytest.raises(RuntimeError, match="Dense: backward needs a forward before it"):
        Dense(3).backward(np.ones((2, 3)))
    with pytest.raises(RuntimeError, match="ReLU: backward needs a forward before it"):
        ReLU().backward(np.ones((2, 3)))
    layer = Dense(3)
    layer.forward(np.ones((2, 4)))
    with pytest.raises(
        ValueError, match=r"^Dense: expected last axis 4, got input of shape \(2, 5\)"
    ):
        layer.forward(np.ones((2, 5)))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Dense(0), ValueError, "Dense: units must be at least 1, got 0"),
        (lambda: Dense(2.5), TypeError, "Dense: units must be an int, got 2.5"),
        (lambda: Dense(2, rng="x"), TypeError, "Dense: rng must be None, an int"),
        (lambda: Dropout(1.5), ValueError, r"Dropout: rate must be in \[0, 1\], got 1.5"),
        (lambda: Dropout(np.nan), ValueError, r"Dropout: rate must be in \[0, 1\], got nan"),
        (lambda: Dropout("0.5"), TypeError, "Dropout: rate must be a number"),
        (lambda: Dropout(0.5, rng=1.5), TypeError, "Dropout: rng must be None, an int"),
        (lambda: SGD(-1), ValueError, "SGD: learning_rate must be finite and at least 0, got -1"),
        (lambda: SGD(np.nan), ValueError, "SGD: learning_rate must be finite"),
        (lambda: SGD("1"), TypeError, "SGD: learning_rate must be a number, got '1'"),
        (lambda: SGD(0.1, 1), ValueError, r"SGD: momentum must be in \[0, 1\), got 1"),
        (lambda: Adam(beta_2=1), ValueError, r"Adam: beta_2 must be in \[0, 1\), got 1"),
        (lambda: Sequential([]), ValueError, "Sequential: layers must hold at least one"),
        (lambda: Sequential([3]), TypeError, r"Sequential: layers\[0\] must be a layer, got 3"),
        (lambda: Sequential([ReLU()] * 2), ValueError, "the same ReLU again at 1"),
        (
            lambda: network(optimizer="adamm"),
            ValueError,
            "Sequential: optimizer must be one of 'adam', 'sgd' or an instance, got 'adamm'",
        ),
        (lambda: network(optimizer=[]), ValueError, "Sequential: optimizer must be one of"),
        (
            lambda: network(loss="mse"),
            ValueError,
            "Sequential: loss must be one of 'softmax_cross_entropy' or an instance, got 'mse'",
        ),
        (lambda: network(dtype="float16"), TypeError, "dtype must be float32 or float64"),
        (lambda: network(rng=1.5), TypeError, "Sequential: rng must be None, an int"),
        (
            lambda: Sequential([Dense(2)], input_shape=()),
            ValueError,
            r"Sequential layer 0 \(Dense\): expected an input of shape \(batch, features\)",
        ),
        (
            lambda: Sequential([Dense(2), Dropout(shared_axes=2)], input_shape=(3,)),
            np.exceptions.AxisError,
            r"Sequential layer 1 \(Dropout\): shared_axes must be in",
        ),
    ],
)
def test_bad_settings_are_told(make, error, text):
    with pytest.raises(error, match=text):
        make()


# Optimisers


def test_sgd_with_momentum_follows_its_formula():
    rng = np.random.default_rng(0)
    param, velocity, state = rng.normal(size=(3, 2)), np.zeros((3, 2)), {}
    params, optimizer = {"w": param.copy()}, SGD(0.1, momentum=0.9)
    for _ in range(4):
        grad = rng.normal(size=(3, 2))
        optimizer.step(params, {"w": grad}, state)
        velocity = 0.9 * velocity + grad
        param = param - 0.1 * velocity
        np.testing.assert_allclose(params["w"], param, rtol=1e-14)


def test_adam_follows_its_formula():
    rng = np.random.default_rng(0)
    param, state = {"w": rng.normal(size=(3, 2)), "b": rng.normal(size=5)}, {}
    params = {name: value.copy() for name, value in param.items()}
    m, v = dict.fromkeys(param, 0), dict.fromkeys(param, 0)
    for t in range(1, 5):
        grads = {name: rng.normal(size=value.shape) for name, value in param.items()}
        Adam(0.01, 0.8, 0.95, 1e-3).step(params, grads, state)
        for name, grad in grads.items():
            m[name] = 0.8 * m[name] + 0.2 * grad
            v[name] = 0.95 * v[name] + 0.05 * grad**2
            root = np.sqrt(v[name] / (1 - 0.95**t)) + 1e-3
            param[name] = param[name] - 0.01 * m[name] / (1 - 0.8**t) / root
            np.testing.assert_allclose(params[name], param[name], rtol=1e-12)


# Training


def test_losses_do_not_depend_on_backend_or_threads():
    rng = np.random.default_rng(0)
    x, y = rng.random((512, 4), np.float32), rng.integers(0, 3, 512)
    before, losses = fastdrop.get_num_threads(), set()
    for name in fastdrop.backends():
        for threads in (1, 2):
            with fastdrop.use_backend(name):
                fastdrop.set_num_threads(threads)
                model = Sequential([Dense(1024), ReLU(), Dropout(0.5), Dense(3)], rng=0)
                losses.add((model.train_batch(x, y), model.train_batch(x, y)))
    fastdrop.set_num_threads(before)
    assert len(losses) == 1


def test_dropout_moves_neither_weights_nor_order():
    x, y = samples()
    plain = Sequential([Dense(16), ReLU(), Dense(3)], rng=0)
    expected = plain.fit(x, y, epochs=3, verbose=False).history
    assert network(0, rate=0.0).fit(x, y, epochs=3, verbose=False).history == expected
    assert network(0, rate=0.5).fit(x, y, epochs=3, verbose=False).history != expected


def test_epochs_are_shuffled_anew_and_see_every_sample_once():
    seen = []

    class Spy(Dense):
        def forward(self, x, training=False):
            seen.append(x[:, 0].copy())
            return super().forward(x, training)

    x = np.arange(50, dtype=np.float32)[:, None]
    Sequential([Spy(2)], rng=0).fit(x, [0, 1] * 25, epochs=2, batch_size=16, verbose=False)
    assert [len(batch) for batch in seen] == [16, 16, 16, 2] * 2
    first, second = np.concatenate(seen[:4]), np.concatenate(seen[4:])
    assert sorted(first) == sorted(second) == list(range(50))
    assert list(first) != list(second)
    assert list(first) != sorted(first)


def test_losses_of_an_epoch_are_means_over_samples():
    x, y = samples(50)
    model = network(rate=0.0, optimizer=SGD(0.0))
    history = model.fit(x, y, batch_size=20, verbose=False).history
    assert history["loss"] == [pytest.approx(model.evaluate(x, y)["loss"], rel=1e-5)]
    assert history["accuracy"] == [model.evaluate(x, y)["accuracy"]]


@pytest.mark.parametrize(("optimizer", "bound"), [("adam", 0.05), (SGD(0.05, 0.9), 0.05)])
def test_training_learns_digits(optimizer, bound):
    # Ten seeds ended between 0.034 and 0.043 with Adam, 0.025 and 0.037 with SGD.
    data = digits()
    layers = [Dense(128), ReLU(), Dropout(0.2), Dense(10)]
    model = Sequential(layers, optimizer=optimizer, rng=0)
    validation = data.x_test, data.y_test
    history = model.fit(
        data.x_train, data.y_train, epochs=30, validation_data=validation, verbose=False
    ).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert {len(values) for values in history.values()} == {30}
    final = model.evaluate(*validation)
    assert final == {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}
    assert 1 - final["accuracy"] < bound
    assert history["loss"][-1] < history["loss"][0] / 5


def test_evaluate_is_the_mean_over_samples():
    x, y = samples(50)
    model = network()
    p = model.predict(x)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    loss, accuracy = -np.log(p[np.arange(50), y]).mean(), (p.argmax(axis=1) == y).mean()
    for batch_size in (7, 50, 1024):
        figures = model.evaluate(x, y, batch_size=batch_size)
        assert figures == pytest.approx({"loss": loss, "accuracy": accuracy}, rel=1e-5)


def test_predict_is_free_of_dropout_and_batch_size():
    stream = fastdrop.MaskStream(0)
    model = Sequential([Dense(16), Dropout(0.9, rng=stream), Dense(3)], rng=0)
    x, _ = samples(50)
    whole = model.predict(x)
    assert np.array_equal(model.predict(x), whole)
    for batch_size in (1, 7, 49):
        np.testing.assert_allclose(model.predict(x, batch_size=batch_size), whole, rtol=1e-5)
    assert stream.state_dict()["next"] == 0


def test_data_may_be_lists_integers_and_float64():
    x = np.arange(12).reshape(4, 3)
    losses = {network().train_batch(data, [0, 1, 2, 0]) for data in (x, x.tolist(), x * 1.0)}
    assert len(losses) == 1


def test_input_shape_builds_at_once():
    model = network(input_shape=(8,))
    assert [param.shape for param in weights(model)] == [(8, 16), (16,), (16, 3), (3,)]
    x, y = samples()
    assert model.train_batch(x, y) == network().train_batch(x, y)


def test_wrong_shapes_name_the_layer():
    reused = Dense(5)
    reused.forward(np.ones((2, 128), np.float32))
    x = np.ones((32, 8), np.float32)
    model = Sequential([Dense(64), ReLU(), reused])
    text = r"^Sequential layer 2 \(Dense\): expected last axis 128, got input of shape \(32, 64\)$"
    with pytest.raises(ValueError, match=text):
        model.predict(x)
    model = network(input_shape=(8,))
    with pytest.raises(ValueError, match=r"layer 0 \(Dense\): expected last axis 8, got input"):
        model.predict(x[:, :7])


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"y": [0] * 63}, ValueError, r"one label for each of 64 samples.*got shape \(63,\)"),
        ({"y": np.zeros((64, 1), int)}, ValueError, r"got shape \(64, 1\)"),
        ({"y": [0.0] * 64}, TypeError, "y must hold integer labels, got float64"),
        ({"y": [0] * 63 + [3]}, ValueError, r"y must hold labels in \[0, 3\).*got 3"),
        ({"y": [0] * 63 + [-1]}, ValueError, r"y must hold labels in \[0, 3\).*got -1"),
        ({"x": np.zeros((0, 8)), "y": []}, ValueError, "x must hold at least one sample"),
        ({"x": 3.0}, ValueError, "x must hold at least one sample"),
        ({"x": np.zeros((64, 8), complex)}, TypeError, "x must hold real numbers, got complex"),
        ({"x": np.zeros((64, 2, 8))}, ValueError, r"outputs of shape \(batch, classes\)"),
        ({"epochs": -1}, ValueError, "epochs must be at least 1, got -1"),
        ({"epochs": 1.0}, TypeError, "epochs must be an int, got 1.0"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"validation_data": 3}, TypeError, r"validation_data must be \(x, y\), got int"),
        ({"validation_data": ([[1] * 8], [9])}, ValueError, "validation_data: y must hold labels"),
        ({"callbacks": [print]}, TypeError, "callbacks must be Callback objects, got <built-in"),
    ],
)
def test_bad_training_data_are_told_and_nothing_is_trained(change, error, text):
    x, y = samples()
    model = network(input_shape=(8,))
    before = [param.copy() for param in weights(model)]
    arguments = {"x": x, "y": y, "verbose": False, **change}
    with pytest.raises(error, match="Sequential.fit.*" + text):
        model.fit(arguments.pop("x"), arguments.pop("y"), **arguments)
    assert all(map(np.array_equal, before, weights(model)))


def test_nan_in_the_data_is_told_and_not_learned():
    x, y = samples()
    model = network(input_shape=(8,))
    before = [param.copy() for param in weights(model)]
    x[5, 2] = np.nan
    with pytest.raises(FloatingPointError, match=r"train_batch: loss is nan; x has NaN"):
        model.train_batch(x, y)
    assert all(map(np.array_equal, before, weights(model)))


def test_divergence_is_told():
    x, y = samples()
    model = network(optimizer=SGD(1e30))
    text = r"Sequential.fit, epoch \d, step \d: loss is (nan|inf); a smaller learning_rate may help"
    with pytest.raises(FloatingPointError, match=text):
        model.fit(x, y, epochs=9, verbose=False)


def test_ctrl_c_waits_for_the_whole_step():
    class Interrupted(SGD):
        def _move(self, *args):
            if not moved:
                signal.raise_signal(signal.SIGINT)
            moved.append(args)
            super()._move(*args)

    x, y = samples()
    moved, handler = [], signal.getsignal(signal.SIGINT)
    model, expected = network(optimizer=Interrupted(0.1)), network(optimizer=SGD(0.1))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, epochs=5, batch_size=64, verbose=False)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, handler)
    expected.fit(x, y, batch_size=64, verbose=False)
    assert len(moved) == 4
    assert all(map(np.array_equal, weights(expected), weights(model)))
    assert model.history.history == {}


def test_callbacks_watch_and_stop():
    calls = []

    class Watch(Callback):
        def on_train_begin(self, model, epochs, steps):
            calls.append(("begin", epochs, steps))

        def on_batch_end(self, model, step, loss):
            calls.append(("batch", step))

        def on_epoch_end(self, model, epoch, logs):
            calls.append(("epoch", epoch, sorted(logs)))
            model.stop_training = epoch == 1

        def on_train_end(self, model):
            calls.append("end")

    x, y = samples()
    history = network().fit(x, y, epochs=9, callbacks=[Watch()], verbose=False)
    epoch = [("batch", 0), ("batch", 1)]
    logs = ["accuracy", "loss"]
    expected = [("begin", 9, 2), *epoch, ("epoch", 0, logs), *epoch, ("epoch", 1, logs), "end"]
    assert calls == expected
    assert len(history.history["loss"]) == 2


def test_callbacks_hear_the_end_of_a_failed_run():
    ended = []

    class Fails(Callback):
        def on_batch_end(self, model, step, loss):
            raise KeyboardInterrupt

        def on_train_end(self, model):
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        network().fit(*samples(), callbacks=[Fails()], verbose=False)
    assert ended == [True]


def test_progress_bar_is_shown_when_verbose(capsys):
    network().fit(*samples(), epochs=3)
    shown = capsys.readouterr().err
    assert "6/6" in shown
    assert "loss=" in shown


def test_without_tqdm_only_the_bar_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r'pip install "fastdrop\[app\]".*verbose=False'):
        network().fit(*samples())
    network().fit(*samples(), verbose=False)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.ones((10, 3)), np.full(10, 7)),  # a label that is no class
        (np.ones((10, 3)), np.zeros(9, int)),
        (np.ones((10, 3)), np.zeros(10)),
    ],
)
def test_a_failed_first_call_builds_nothing(x, y):
    def model():
        return Sequential([Dense(4), ReLU(), Dense(2)], rng=0)

    failed, fresh = model(), model()
    with pytest.raises((TypeError, ValueError), match="fit"):
        failed.fit(x, y, verbose=False)
    assert not failed.layers[0].params
    # Another shape is welcome, and the first weights are those of a fresh model.
    x, y = np.ones((10, 5)), np.zeros(10, int)
    assert failed.train_batch(x, y) == fresh.train_batch(x, y)
