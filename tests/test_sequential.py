"""Networks: what they compute, and how they are trained."""

import sys
from itertools import chain

import numpy as np
import pytest
from gradients import assert_gradient, assert_parameter_gradients, copies
from networks import convolutional, fitted, images, kept, network, samples

import fastdrop
from fastdrop.data import digits
from fastdrop.kernels import layers as kernels
from fastdrop.nn import (
    SGD,
    Adam,
    AvgPool2D,
    BatchNorm,
    Callback,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Sequential,
    SpatialDropout2D,
)

# Largest difference from PyTorch in float32, as a share of the largest value or of 1.
NEAR = 1e-5


def softmax(logits):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def weights(model):
    return [param for layer in model.layers for param in layer.params.values()]


# What it computes


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        ("softmax_cross_entropy", lambda rng: rng.integers(0, 4, 7)),
        ("binary_cross_entropy", lambda rng: rng.random((7, 4))),
        ("mean_squared_error", lambda rng: rng.normal(size=(7, 4))),
    ],
)
def test_gradients_of_losses_and_penalties(loss, targets):
    stream = fastdrop.MaskStream(6)
    layers = [Dense(6, l1=0.01), ReLU(), Dropout(0.4, rng=stream), BatchNorm(), Dense(9, l2=0.1)]
    layers += [ReLU(), Dropout(0.3, shared_axes=0, rng=stream), Dense(4, l1=0.02, l2=0.03)]
    model = Sequential(layers, loss=loss, rng=6, dtype=np.float64, input_shape=(3,))
    rng = np.random.default_rng(7)
    for layer in layers:
        # With biases of 0, a sample whose units are all dropped sits on ReLU's
        # kink, where there is no derivative to measure.
        if layer.params:
            layer.params["bias"][:] = rng.normal(size=len(layer.params["bias"]))
    x, y = rng.normal(size=(7, 3)), targets(rng)
    recipe = stream.state_dict()

    def value():
        stream.load_state_dict(recipe)
        outputs = model.forward(x, training=True)
        penalties = sum(layer.penalty() for layer in layers)
        return model.loss.forward(outputs, model.loss.check(y, (7, 4), "test")) + penalties

    value()
    dx = model.backward(model.loss.backward())
    grads = copies(layers)
    assert_gradient(dx, value, x)
    assert_parameter_gradients(grads, value, layers)


def test_gradients_of_a_convolutional_network():
    stream = fastdrop.MaskStream(5)
    layers = [Conv2D(3, 2, l2=0.1), ReLU(), MaxPool2D(), Dropout(0.3, rng=stream), BatchNorm()]
    layers += [Conv2D(2, (1, 2), padding="same"), LeakyReLU(0.3), GlobalAvgPool2D(), Dense(3)]
    model = Sequential(layers, rng=1, dtype=np.float64, input_shape=(6, 5, 2))
    rng = np.random.default_rng(7)
    layers[0].params["bias"][:] = 1
    x, labels = rng.normal(size=(3, 6, 5, 2)), rng.integers(0, 3, 3)
    recipe = stream.state_dict()

    def value():
        stream.load_state_dict(recipe)
        outputs = model.forward(x, training=True)
        return model.loss.forward(outputs, labels) + layers[0].penalty()

    value()
    dx = model.backward(model.loss.backward())
    grads = copies(layers)
    assert_gradient(dx, value, x)
    assert_parameter_gradients(grads, value, layers)


def test_training_a_convolutional_network_is_pytorchs():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    layers = [Conv2D(4, 3, padding="same"), BatchNorm(), ReLU(), MaxPool2D(), Dropout(0.3, rng=1)]
    layers += [Conv2D(5, (2, 3), 2), ReLU(), Flatten(), Dense(6, l2=0.01), ReLU()]
    layers += [Dropout(0.5, rng=2), Dense(3)]
    model = Sequential(layers, rng=0, optimizer=SGD(0.1, 0.9), input_shape=(9, 11, 2))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 9, 11, 2)).astype(np.float32), rng.integers(0, 3, 8)
    given = {
        name: torch.tensor(param, requires_grad=True)
        for name, param in model._collect("params").items()
    }
    state = {name: torch.tensor(array) for name, array in layers[1].state.items()}
    optimizer = torch.optim.SGD(given.values(), lr=0.1, momentum=0.9)

    def conv(z, number, **settings):
        weight, bias = given[f"{number}.weight"].permute(3, 2, 0, 1), given[f"{number}.bias"]
        return F.conv2d(z, weight, bias, **settings)

    def masked(z, number, first):
        mask = layers[number].mask
        keep = torch.tensor(mask.keep() * np.float32(mask.scale)) if mask else torch.ones(1)
        return z * (keep.movedim(-1, 1) if first and mask else keep)

    def forward(training):
        z = conv(torch.tensor(x).movedim(-1, 1), 0, padding="same")
        norm = given["1.weight"], given["1.bias"], training, 0.1, 1e-5
        z = F.batch_norm(z, state["mean"], state["variance"], *norm)
        z = masked(F.max_pool2d(F.relu(z), 2), 4, first=True)
        z = F.relu(conv(z, 5, stride=2)).movedim(1, -1).flatten(1)
        z = F.relu(z @ given["8.weight"] + given["8.bias"])
        return masked(z, 10, first=False) @ given["11.weight"] + given["11.bias"]

    for _ in range(4):
        loss = model.train_batch(x, y)
        optimizer.zero_grad()
        logits = forward(training=True)
        expected = F.cross_entropy(logits, torch.tensor(y))
        expected = expected + 0.01 * (given["8.weight"] ** 2).sum()
        expected.backward()
        optimizer.step()
        assert loss == pytest.approx(expected.item(), rel=NEAR)
    found = [*model._collect("params").values(), *layers[1].state.values(), model.predict(x)]
    others = [*given.values(), *state.values(), F.softmax(forward(training=False), 1)]
    for array, other in zip(found, others, strict=True):
        other = other.detach().numpy()
        np.testing.assert_allclose(array, other, rtol=0, atol=NEAR * max(1, np.abs(other).max()))


def test_summary_tells_layers_shapes_and_parameters():
    layers = [Conv2D(8, 3), BatchNorm(), MaxPool2D(), Flatten(), Dense(1000), Dropout(), Dense(2)]
    model = Sequential(layers, dtype=np.float64)
    assert "not built" in model.summary()
    model.predict(np.zeros((1, 7, 9, 2)))
    assert model.summary().splitlines() == [
        "layer         output           parameters",
        "0  Conv2D     (None, 5, 7, 8)         152",
        "1  BatchNorm  (None, 5, 7, 8)          16",
        "2  MaxPool2D  (None, 2, 3, 8)           0",
        "3  Flatten    (None, 48)                0",
        "4  Dense      (None, 1000)         49,000",
        "5  Dropout    (None, 1000)              0",
        "6  Dense      (None, 2)             2,002",
        "51,170 parameters, float64",
    ]


def test_summary_moves_no_random_stream():
    x, y = samples()
    model, other = network(), network()
    model.predict(x)
    other.predict(x)
    model.summary()
    assert model.train_batch(x, y) == other.train_batch(x, y)


def test_evaluate_is_the_mean_over_samples():
    x, y = samples(50)
    model = network()
    p = model.predict(x)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p, softmax(model.forward(x).astype(float)), rtol=1e-5)
    loss, accuracy = -np.log(p[np.arange(50), y]).mean(), (p.argmax(axis=1) == y).mean()
    for batch_size in (7, 50, 1024):
        figures = model.evaluate(x, y, batch_size=batch_size)
        assert figures == pytest.approx({"loss": loss, "accuracy": accuracy}, rel=1e-5)


def test_losses_without_right_answers_have_no_accuracy():
    x, _ = samples()
    model = network(loss="mean_squared_error")
    history = fitted(model, x, np.zeros((64, 3)), validation_data=(x[:5], np.zeros((5, 3))))
    assert history.keys() == {"loss", "val_loss"}
    assert model.evaluate(x, np.zeros((64, 3))).keys() == {"loss"}


def test_predict_is_free_of_dropout_and_batch_size():
    stream = fastdrop.MaskStream(0)
    model = Sequential([Dense(16), Dropout(0.9, rng=stream), Dense(3)], rng=0)
    x, _ = samples(50)
    whole = model.predict(x)
    assert np.array_equal(model.predict(x), whole)
    for batch_size in (1, 7, 49):
        np.testing.assert_allclose(model.predict(x, batch_size=batch_size), whole, rtol=1e-5)
    assert stream.state_dict()["next"] == 0


def test_images_of_several_sizes_pass_where_layers_allow_it():
    model = Sequential([Conv2D(4, 3), ReLU(), GlobalAvgPool2D(), Dense(3)], rng=0)
    for size in (9, 5, 12, 9):
        x, y = images(size=size)
        assert model.predict(x).shape == (64, 3)
        assert np.isfinite(model.train_batch(x, y))


def test_data_may_be_lists_integers_and_float64():
    x = np.arange(12).reshape(4, 3)
    given = [x, x.tolist(), x * 1.0, x.astype(">f4"), np.asfortranarray(x, np.float32)]
    losses = {network().train_batch(data, [0, 1, 2, 0]) for data in given}
    assert len(losses) == 1
    runs = [fitted(network(), data, [0, 1, 2, 0], shuffle=False) for data in given]
    assert {run["loss"][0] for run in runs} == losses


def test_input_shape_builds_at_once():
    model = network(input_shape=(8,))
    assert [param.shape for param in weights(model)] == [(8, 16), (16,), (16, 3), (3,)]
    x, y = samples()
    assert model.train_batch(x, y) == network().train_batch(x, y)


# Training


def test_train_batch_gives_the_loss_before_its_step():
    x, y = samples()
    model = network(rate=0.0, optimizer=SGD(0.1))
    before, copy = model.evaluate(x, y)["loss"], copies(model.layers, "params")
    assert model.train_batch(x, y) == pytest.approx(before, rel=1e-6)
    assert model.evaluate(x, y)["loss"] < before
    # One step of descent along the gradient that `backward` gives.
    twin = network(rate=0.0, input_shape=(8,))
    share = softmax(twin.forward(x)) - np.eye(3)[y]
    twin.backward((share / 64).astype(np.float32))
    for layer, other, start in zip(model.layers, twin.layers, copy, strict=True):
        for name, param in layer.params.items():
            np.testing.assert_allclose(
                param, start[name] - 0.1 * other.grads[name], rtol=1e-5, atol=1e-7
            )


def test_losses_of_an_epoch_are_means_over_samples():
    x, y = samples(50)
    model = network(rate=0.0, optimizer=SGD(0.0))
    history = fitted(model, x, y, batch_size=20)
    assert history["loss"] == [pytest.approx(model.evaluate(x, y)["loss"], rel=1e-5)]
    assert history["accuracy"] == [model.evaluate(x, y)["accuracy"]]


def spied(x, y, **settings):
    """The first feature of each batch that a run sees."""
    seen = []

    class Spy(Dense):
        def forward(self, x, training=False):
            if training:
                seen.append(x[:, 0].tolist())
            return super().forward(x, training)

    Sequential([Spy(2)], rng=0).fit(x, y, verbose=False, **settings)
    return seen


def test_epochs_are_shuffled_anew_and_see_every_sample_once():
    x, y = np.arange(50, dtype=np.float32)[:, None], [0, 1] * 25
    seen = spied(x, y, epochs=2, batch_size=16)
    assert [len(batch) for batch in seen] == [16, 16, 16, 2] * 2
    first, second = [*chain(*seen[:4])], [*chain(*seen[4:])]
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first != sorted(first)


@pytest.mark.parametrize("kind", [np.float32, np.int16])
def test_without_shuffling_samples_come_in_their_order(kind):
    x = np.arange(10, dtype=kind)[:, None]
    seen = spied(x, [0, 1] * 5, epochs=2, batch_size=4, shuffle=False)
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] * 2


def test_dropout_moves_neither_weights_nor_order():
    x, y = samples()
    plain = Sequential([Dense(16), ReLU(), Dense(3)], rng=0)
    expected = fitted(plain, x, y, epochs=3)
    assert fitted(network(rate=0.0), x, y, epochs=3) == expected
    assert fitted(network(rate=0.5), x, y, epochs=3) != expected


@pytest.mark.parametrize("share", [0.25, 0.3])
def test_a_validation_split_is_the_last_samples(share):
    x, y = samples(50)
    begin = {0.25: 38, 0.3: 35}[share]
    history = fitted(network(), x, y, epochs=3, validation_split=share)
    rest = x[begin:], y[begin:]
    assert history == fitted(network(), x[:begin], y[:begin], epochs=3, validation_data=rest)
    assert history.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert {len(values) for values in history.values()} == {3}


def test_validation_neither_trains_nor_draws():
    x, y = images()
    model, plain = convolutional(), convolutional()
    fitted(model, x, y, epochs=2, validation_data=(x[::-1] + 1, y))
    fitted(plain, x, y, epochs=2)
    assert kept(model) == kept(plain)
    assert model.history.history["loss"] == plain.history.history["loss"]
    figures = model.evaluate(x[::-1] + 1, y)
    assert figures["loss"] == model.history.history["val_loss"][-1]
    assert figures["accuracy"] == model.history.history["val_accuracy"][-1]


def test_class_weights_weigh_losses_and_gradients():
    x, y = samples()
    by_class = {0: 0.0, 2: 2.5}
    share = np.choose(y, [0.0, 1.0, 2.5])[:, None] / 64
    model, twin = (network(rate=0.0, optimizer=SGD(0.1), input_shape=(8,)) for _ in range(2))
    p = softmax(twin.forward(x).astype(float))
    expected = -(share[:, 0] * np.log(p[np.arange(64), y])).sum()
    history = fitted(model, x, y, batch_size=64, class_weight=by_class)
    assert history["loss"] == [pytest.approx(expected, rel=1e-5)]
    twin.backward(((p - np.eye(3)[y]) * share).astype(np.float32))
    for layer, other in zip(model.layers, twin.layers, strict=True):
        for name, param in layer.params.items():
            moved = other.params[name] - 0.1 * other.grads[name]
            np.testing.assert_allclose(param, moved, rtol=1e-5, atol=1e-7)
    # Validation does not know of them.
    history = fitted(model, x, y, class_weight=by_class, validation_data=(x, y))
    assert history["val_loss"] == [model.evaluate(x, y)["loss"]]


def test_class_weights_of_yes_and_no():
    x, y = samples(classes=2)
    models = [Sequential([Dense(1)], loss="binary_cross_entropy", rng=0) for _ in range(2)]
    p = 1 / (1 + np.exp(-models[1].forward(x)[:, 0].astype(float)))
    expected = -np.where(y, 3 * np.log(p), np.log(1 - p)).mean()
    history = fitted(models[0], x, y, batch_size=64, class_weight={1: 3.0})
    assert history["loss"] == [pytest.approx(expected, rel=1e-5)]


def test_sample_weights_weigh_losses_and_gradients():
    x, y = samples()
    weights = np.random.default_rng(1).uniform(0, 3, 64)
    models = [network(rate=0.0, optimizer=SGD(0.1), input_shape=(8,)) for _ in range(3)]
    p = softmax(models[2].forward(x).astype(float))
    expected = -(weights * np.log(p[np.arange(64), y])).sum() / 64
    whole = {"batch_size": 64, "shuffle": False}
    assert fitted(models[0], x, y, **whole, sample_weight=weights)["loss"] == [
        pytest.approx(expected, rel=1e-5)
    ]
    assert models[1].train_batch(x, y, weights) == pytest.approx(expected, rel=1e-5)
    models[2].backward(((p - np.eye(3)[y]) * weights[:, None] / 64).astype(np.float32))
    for model in models[:2]:
        for layer, other in zip(model.layers, models[2].layers, strict=True):
            for name, param in layer.params.items():
                moved = other.params[name] - 0.1 * other.grads[name]
                np.testing.assert_allclose(param, moved, rtol=1e-5, atol=1e-7)


def test_sample_weights_follow_their_samples():
    """Through shuffling and the split, and beside weights of classes."""
    x, y = samples()
    each = np.choose(y, [0.5, 1.0, 2.0])
    own = np.random.default_rng(1).uniform(0, 3, 64)
    by_class = {0: 0.5, 2: 2.0}
    for split in (0.0, 0.25):
        settings = {"epochs": 2, "batch_size": 10, "validation_split": split}
        found = fitted(network(), x, y, **settings, sample_weight=each)
        assert found == fitted(network(), x, y, **settings, class_weight=by_class)
        both = fitted(network(), x, y, **settings, sample_weight=own, class_weight=by_class)
        product = fitted(network(), x, y, **settings, sample_weight=own * each)
        np.testing.assert_allclose(both["loss"], product["loss"], rtol=1e-5)
        assert found["loss"] != both["loss"]


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_run_in_two_parts_is_one_run(done):
    x, y = images()
    whole, parts = convolutional(), convolutional()
    begun = []

    class Watch(Callback):
        def on_epoch_begin(self, model, epoch):
            begun.append(epoch)

    expected = fitted(whole, x, y, epochs=3)
    fitted(parts, x, y, epochs=done)
    assert parts.epoch == done
    found = fitted(parts, x, y, epochs=3, initial_epoch=done, callbacks=[Watch()])
    assert found == expected
    assert kept(parts) == kept(whole)
    assert begun == list(range(done, 3))
    assert parts.epoch == 3
    # A new run has a history of its own.
    assert len(fitted(parts, x, y)["loss"]) == parts.epoch == 1


@pytest.mark.parametrize(("l1", "l2"), [(0.01, 0.0), (0.0, 0.1), (0.01, 0.1)])
def test_penalties_are_in_the_losses(l1, l2):
    x, y = samples()
    settings = {"optimizer": SGD(0.0), "rng": 0, "input_shape": (8,)}
    plain = Sequential([Dense(9), Dense(3)], **settings)
    model = Sequential([Dense(9, l1=l1), Dense(3, l2=l2)], **settings)
    first, second = weights(model)[0].astype(float), weights(model)[2].astype(float)
    penalty = l1 * np.abs(first).sum() + l2 * (second**2).sum()
    assert penalty > 0
    expected = pytest.approx(plain.evaluate(x, y)["loss"] + penalty, rel=1e-6)
    assert model.evaluate(x, y)["loss"] == expected
    assert model.train_batch(x, y) == expected
    history = fitted(model, x, y, validation_data=(x, y))
    assert history["loss"] == history["val_loss"] == [expected]


def test_max_norm_holds_after_each_step():
    x, y = images()
    layers = [Conv2D(8, 3, max_norm=0.5), Flatten(), Dense(5, max_norm=0.1), Dense(3)]
    norms = []

    class Watch(Callback):
        def on_batch_end(self, model, step, loss):
            for layer in layers[0], layers[2], layers[3]:
                weight = layer.params["weight"].reshape(-1, len(layer.params["bias"]))
                norms.append(np.sqrt((weight.astype(float) ** 2).sum(axis=0)).max())

    model = Sequential(layers, optimizer=SGD(0.5), rng=0)
    fitted(model, x, y, epochs=2, batch_size=16, callbacks=[Watch()])
    assert len(norms) == 24
    assert max(norms[::3]) == pytest.approx(0.5, rel=1e-6)
    assert max(norms[1::3]) == pytest.approx(0.1, rel=1e-6)
    assert min(norms[2::3]) > 0.6  # as far as it pleases


@pytest.mark.parametrize(("optimizer", "bound"), [("adam", 0.05), (SGD(0.05, 0.9), 0.05)])
def test_training_learns_digits(optimizer, bound):
    # Ten seeds ended between 0.034 and 0.043 with Adam, 0.025 and 0.037 with SGD.
    data = digits()
    layers = [Dense(128), ReLU(), Dropout(0.2), Dense(10)]
    model = Sequential(layers, optimizer=optimizer, rng=0)
    validation = data.x_test, data.y_test
    history = fitted(model, data.x_train, data.y_train, epochs=30, validation_data=validation)
    final = model.evaluate(*validation)
    assert final == {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}
    assert 1 - final["accuracy"] < bound
    assert history["loss"][-1] < history["loss"][0] / 5


def strokes(count, seed):
    """Noisy images of a bar that lies, stands or leans, in any place."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(0, 0.4, (count, 12, 12, 1)), rng.integers(0, 3, count)
    for image, label in zip(x[..., 0], y, strict=True):
        row, column = rng.integers(1, 6, 2)
        steps = np.arange(5)
        image[row + steps * (label != 0), column + steps * (label != 1)] += 1.5
    return x.astype(np.float32), y


@pytest.mark.parametrize("module", ["cython", "numpy"])
@pytest.mark.parametrize("normalised", [False, True])
def test_convolutional_networks_learn_strokes(module, normalised, monkeypatch):
    # Five seeds ended above 0.98 in all four rows.
    monkeypatch.setenv("FASTDROP_LAYERS", module)
    monkeypatch.setattr(kernels, "_loaded", None)
    layers = [Conv2D(8, 3), ReLU(), MaxPool2D(), SpatialDropout2D(0.1)]
    layers += [Conv2D(16, 3), ReLU(), GlobalAvgPool2D(), Dropout(0.2), Dense(3)]
    if normalised:
        layers[5:5], layers[1:1] = [BatchNorm()], [BatchNorm()]
    model = Sequential(layers, optimizer=Adam(0.01), rng=0)
    fitted(model, *strokes(600, seed=1), epochs=8)
    assert model.evaluate(*strokes(300, seed=2))["accuracy"] > 0.95


# Callbacks


def test_callbacks_are_called_in_order():
    calls = []

    class Watch(Callback):
        def __init__(self, name):
            self.name = name

        def on_train_begin(self, model, epochs, steps):
            calls.append((self.name, "train begin", epochs, steps))

        def on_epoch_begin(self, model, epoch):
            calls.append((self.name, "epoch begin", epoch))

        def on_batch_end(self, model, step, loss):
            assert isinstance(loss, float)
            calls.append((self.name, "batch", step))

        def on_epoch_end(self, model, epoch, logs):
            assert model.epoch == epoch + 1
            assert model.history.history["loss"][-1] == logs["loss"]
            calls.append((self.name, "epoch", epoch, sorted(logs)))
            model.stop_training = epoch == 1

        def on_train_end(self, model):
            calls.append((self.name, "train end"))

    x, y = samples()
    history = fitted(network(), x, y, epochs=9, callbacks=[Watch("a"), Watch("b")])
    expected = [("train begin", 9, 2)]
    for epoch in range(2):
        expected += [("epoch begin", epoch), ("batch", 0), ("batch", 1)]
        expected += [("epoch", epoch, ["accuracy", "loss"])]
    expected += [("train end",)]
    assert calls == [(name, *call) for call in expected for name in "ab"]
    assert len(history["loss"]) == 2


def test_callbacks_hear_the_end_of_a_failed_run():
    ended = []

    class Fails(Callback):
        def on_batch_end(self, model, step, loss):
            raise KeyboardInterrupt

        def on_train_end(self, model):
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        fitted(network(), *samples(), callbacks=[Fails(), Fails()])
    assert ended == [True, True]


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


# Errors


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Sequential([]), ValueError, "Sequential: layers must hold at least one"),
        (lambda: Sequential([3]), TypeError, r"Sequential: layers\[0\] must be a layer, got 3"),
        (lambda: Sequential([ReLU()] * 2), ValueError, "the same ReLU again at 1"),
        (
            lambda: network(optimizer="adamm"),
            ValueError,
            "Sequential: optimizer must be one of 'adam', 'adamw', 'rmsprop', 'sgd' or an "
            "instance, got 'adamm'",
        ),
        (lambda: network(optimizer=[]), ValueError, "Sequential: optimizer must be one of"),
        (
            lambda: network(loss="mse"),
            ValueError,
            "Sequential: loss must be one of 'binary_cross_entropy', 'mean_squared_error', "
            "'softmax_cross_entropy' or an instance, got 'mse'",
        ),
        (lambda: network(loss=Dense), ValueError, "Sequential: loss must be one of"),
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


@pytest.mark.parametrize("shape", [4, "4", (-3,), (2.0,), ("a",), (None,)], ids=repr)
def test_bad_input_shapes_are_told(shape):
    with pytest.raises((TypeError, ValueError), match=r"^Sequential: input_shape must "):
        Sequential([Dense(2)], input_shape=shape)


@pytest.mark.parametrize(
    ("layers", "shape", "text"),
    [
        ([Dense(2), Conv2D(2, 3)], (4,), r"1 \(Conv2D\): expected images of shape \(N, H, W, C\)"),
        ([Conv2D(2, 3), Conv2D(2, (3, 9))], (9, 9, 1), r"1 \(Conv2D\): .* at least 3 x 9, got"),
        ([ReLU(), MaxPool2D(3)], (9, 2, 1), r"1 \(MaxPool2D\): expected .* at least 3 x 3, got"),
        ([Flatten(), AvgPool2D()], (9, 9, 1), r"1 \(AvgPool2D\): expected images of shape"),
        ([Flatten(), GlobalAvgPool2D()], (9, 9, 1), r"1 \(GlobalAvgPool2D\): expected images of"),
        ([ReLU(), SpatialDropout2D()], (9, 1), r"1 \(SpatialDropout2D\): expected an input of"),
        ([ReLU(), Dropout([0.1, 0.2])], (5,), r"1 \(Dropout\): rate "),
    ],
)
def test_layers_that_do_not_fit_are_named(layers, shape, text):
    model, samples = Sequential(layers), np.ones((4, *shape))
    for call in (
        lambda: Sequential(layers, input_shape=shape),
        lambda: model.predict(samples),
        lambda: model.train_batch(samples, [0] * 4),
    ):
        with pytest.raises(ValueError, match="^Sequential layer " + text):
            call()


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
        ({"initial_epoch": -1}, ValueError, "initial_epoch must be at least 0, got -1"),
        ({"validation_data": 3}, TypeError, r"validation_data must be \(x, y\), got int"),
        ({"validation_data": ([[1] * 8], [9])}, ValueError, "validation_data: y must hold labels"),
        ({"validation_split": 1}, ValueError, r"validation_split must be in \[0, 1\), got 1"),
        ({"validation_split": 0.01}, ValueError, "0.01 of 64 samples leaves a part empty"),
        (
            {"validation_split": 0.5, "validation_data": ([[1] * 8], [1])},
            ValueError,
            "validation_data and validation_split must not be given together",
        ),
        ({"class_weight": [1, 2, 3]}, TypeError, r"class_weight must be a dict, got \[1, 2, 3\]"),
        ({"class_weight": {7: 1}}, ValueError, "class_weight names 7, which is no label in y"),
        ({"class_weight": {0: -1}}, ValueError, r"class_weight\[0\] must be finite and at least 0"),
        ({"class_weight": {0: "1"}}, TypeError, r"class_weight\[0\] must be a number, got '1'"),
        ({"sample_weight": "x"}, TypeError, "sample_weight must hold real numbers, got <U1"),
        ({"sample_weight": np.ones(63)}, ValueError, r"one weight for each of 64 .* shape \(63,\)"),
        ({"sample_weight": np.full(64, np.nan)}, ValueError, "weight must be finite .* got nan"),
        ({"sample_weight": np.full(64, -1)}, ValueError, "weight must be .* at least 0, got -1"),
        ({"callbacks": [print]}, TypeError, "callbacks must be Callback objects, got <built-in"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, dict) else "",
)
def test_bad_training_data_are_told_and_nothing_is_trained(change, error, text):
    x, y = samples()
    model = network(input_shape=(8,))
    before = kept(model)
    arguments = {"x": x, "y": y, "verbose": False, **change}
    with pytest.raises(error, match="Sequential.fit.*" + text):
        model.fit(arguments.pop("x"), arguments.pop("y"), **arguments)
    assert kept(model) == before


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.ones((10, 3)), np.full(10, 7)),  # a label that is no class
        (np.ones((10, 3)), np.zeros(9, int)),
        (np.ones((10, 3)), np.zeros(10)),
    ],
)
@pytest.mark.parametrize("own", [None, 4], ids=["the model's rng", "the layer's rng"])
def test_a_failed_first_call_builds_nothing(x, y, own):
    def model():
        return Sequential([Dense(4, rng=own), BatchNorm(), ReLU(), Dense(2)], rng=0)

    failed, fresh = model(), model()
    with pytest.raises((TypeError, ValueError), match="fit"):
        failed.fit(x, y, verbose=False)
    assert not failed.layers[0].params
    # Another shape is welcome, and the first weights are those of a fresh model.
    x, y = np.random.default_rng(0).normal(size=(10, 5)), np.arange(10) % 2
    assert failed.train_batch(x, y) == fresh.train_batch(x, y)


def test_nan_in_the_data_is_told_and_not_learned():
    x, y = samples()
    model = network(input_shape=(8,))
    before = kept(model)
    x[5, 2] = np.nan
    with pytest.raises(FloatingPointError, match=r"train_batch: loss is nan; x has NaN"):
        model.train_batch(x, y)
    assert kept(model) == before
    assert model.train_batch(*samples()) > 0


def test_nan_in_the_data_does_not_reach_running_statistics():
    x, y = images()
    model = convolutional(input_shape=x.shape[1:])
    fitted(model, x, y)
    before = kept(model)
    bad = x.copy()
    bad[3, 4, 5, 1] = np.nan
    with pytest.raises(FloatingPointError, match="loss is nan"):
        model.train_batch(bad, y)
    assert kept(model) == before
    assert np.isfinite(model.predict(x)).all()


def test_divergence_is_told():
    x, y = samples()
    model = network(optimizer=SGD(1e30))
    text = r"Sequential.fit, epoch \d, step \d: loss is (nan|inf); a smaller learning_rate may help"
    with pytest.raises(FloatingPointError, match=text):
        model.fit(x, y, epochs=9, verbose=False)


def test_backward_needs_a_forward():
    with pytest.raises(RuntimeError, match=r"^Sequential layer 3 \(Dense\): backward needs a forw"):
        network(input_shape=(8,)).backward(np.ones((2, 3), np.float32))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Sequential(3), "layers must be a list of layers, got 3"),
        (lambda: Sequential([Dense(2)], dtype=None), "dtype must be float32 or float64"),
        (lambda: network().fit(*samples(), callbacks=3), "callbacks must be a list"),
    ],
)
def test_what_is_no_list_and_no_dtype(make, text):
    with pytest.raises(TypeError, match=text):
        make()
