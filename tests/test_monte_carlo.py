"""Predictions with the noise left on, against loops written out."""

import threading

import numpy as np
import pytest
from networks import convolutional, images, kept, network, samples
from processes import run_code

import fastdrop
from fastdrop import nn
from fastdrop.kernels import numpy_layers
from fastdrop.kernels.layers import layer_kernels
from fastdrop.nn import Dense, Dropout, ReLU, Sequential
from fastdrop.nn import monte_carlo as mc

# Largest error in float32, as a share of the largest value or of 1.
NEAR = 1e-5


def assert_near(actual, expected):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= NEAR * max(1, np.abs(expected).max())


def naive_entropy(p):
    """Of one row of probabilities."""
    return -sum(value * np.log(value) for value in p.astype(np.float64) if value > 0)


class Counting(nn.Layer):
    """Doubles its input and remembers the calls: how many, and whether in training."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x, training=False):
        self.calls.append((len(x), training))
        return 2 * x


class Own(Dropout):
    """Noise that is not its recipe alone."""

    def forward(self, x, training=False, out=None):
        return 3 * super().forward(x, training)


def regression(rng=0):
    layers = [Dropout(0.1), Dense(20), ReLU(), Dropout(0.3), Dense(2)]
    return Sequential(layers, loss="mean_squared_error", rng=rng)


def sequences(rng=0):
    """Masks of several kinds, with axes that share them; the batch's too."""
    layers = [Dense(6), nn.SpatialDropout1D(0.3), Dense(5), Dropout(0.4, shared_axes=0)]
    return Sequential([*layers, nn.GaussianDropout(0.2), nn.Flatten(), Dense(3)], rng=rng)


def steps(count=37):
    return np.random.default_rng(3).normal(size=(count, 4, 5)).astype(np.float32)


# A network of each kind, and rows for it.
NETWORKS = {
    "dense": (network, lambda: samples(37)[0]),
    "regression": (regression, lambda: samples(37)[0]),
    "convolutional": (convolutional, lambda: images(37)[0]),
    "sequences": (sequences, steps),
    "one rate a unit": (
        lambda: Sequential([Dense(4), Dropout([0.1, 0.5, 0.9, 0.0]), Dense(3)], rng=0),
        lambda: samples(37)[0],
    ),
}

each_network = pytest.mark.parametrize("name", NETWORKS)


def made(name):
    make, rows = NETWORKS[name]
    model, x = make(), rows()
    model.predict(x)
    return model, x


# What is computed


def test_mean_and_spread_are_those_of_noisy_passes():
    """Of a loop over the model's own passes in training: other masks, so z-scores."""
    model, x = made("dense")
    count = 4000
    passes = np.stack([model.loss.predict(model.forward(x, training=True)) for _ in range(count)])
    found = model.predict_mc(x, count, rng=1)
    error = passes.std(axis=0) * np.sqrt(2 / count)
    assert (np.abs(found.mean - passes.mean(axis=0)) < 5 * error).all()
    centred = (passes - passes.mean(axis=0)) ** 2
    error = centred.std(axis=0) * np.sqrt(2 / count)
    assert (np.abs(found.std**2 - centred.mean(axis=0)) < 5 * error).all()


def test_a_sample_is_the_layers_with_rows_of_one_mask():
    """Sample s of row i takes row s * rows + i of each dropout's mask."""
    model, x = made("regression")
    found = model.predict_mc(x, 5, rng=7, return_samples=True).samples
    first, dense, _, second, last = model.layers
    weights = [layer.params[name] for layer in (dense, last) for name in ("weight", "bias")]
    key, stream = fastdrop.MaskStream(7).next()
    masks = fastdrop.MaskStream(np.random.SeedSequence((key, stream)))
    z = masks.draw((5 * 37, 8), first.rate).apply(np.tile(x, (5, 1)))
    h = masks.draw((5 * 37, 20), second.rate).apply(np.maximum(z @ weights[0] + weights[1], 0))
    assert_near(found.reshape(5 * 37, 2), h @ weights[2] + weights[3])


@each_network
def test_figures_are_those_of_the_samples(name):
    model, x = made(name)
    found = model.predict_mc(x, 30, rng=1, return_samples=True)
    drawn = found.samples.astype(np.float64)
    assert drawn.shape == (30, *model.predict(x).shape)
    assert (drawn.std(axis=0) > 0).any(axis=-1).all()
    assert_near(found.mean, drawn.mean(axis=0))
    assert_near(found.std, drawn.std(axis=0))
    assert {array.dtype for array in found if array is not None} == {np.dtype(np.float32)}


@each_network
def test_no_sample_is_another(name):
    model, x = made(name)
    drawn = model.predict_mc(x, 30, rng=1, return_samples=True).samples
    assert len({sample.tobytes() for sample in drawn}) == 30


def test_entropies_of_classes():
    model, x = made("dense")
    found = model.predict_mc(x, 30, rng=1, return_samples=True)
    assert (found.mutual_information >= 0).all()
    for row in range(len(x)):
        entropy = naive_entropy(found.samples[:, row].mean(axis=0))
        mean = np.mean([naive_entropy(p) for p in found.samples[:, row]])
        assert found.entropy[row] == pytest.approx(entropy, abs=1e-5)
        assert found.mutual_information[row] == pytest.approx(entropy - mean, abs=1e-5)


def test_entropies_as_scipy_has_them():
    stats = pytest.importorskip("scipy.stats")
    model, x = made("convolutional")
    found = model.predict_mc(x, 30, rng=1, return_samples=True)
    p = found.samples.astype(np.float64)
    entropy = stats.entropy(p.mean(axis=0), axis=-1)
    assert_near(found.entropy, entropy)
    assert_near(found.mutual_information, entropy - stats.entropy(p, axis=-1).mean(axis=0))


def test_entropies_of_questions_are_summed():
    x, y = samples(40, classes=2)
    layers = [Dense(8), ReLU(), Dropout(0.5), Dense(2)]
    model = Sequential(layers, loss="binary_cross_entropy", rng=0)
    model.train_batch(x, np.stack([y, 1 - y], axis=1))
    found = model.predict_mc(x, 20, rng=1, return_samples=True)
    for row in range(len(x)):
        p = found.samples[:, row].astype(np.float64)
        mean = p.mean(axis=0)
        entropy = sum(naive_entropy(np.array([q, 1 - q])) for q in mean)
        expected = np.mean([sum(naive_entropy(np.array([q, 1 - q])) for q in s) for s in p])
        assert found.entropy[row] == pytest.approx(entropy, abs=1e-5)
        assert found.mutual_information[row] == pytest.approx(entropy - expected, abs=1e-5)


def test_certain_predictions_have_no_entropy():
    """Probabilities that are 0 and 1 exactly."""
    model = Sequential([Dropout(0.5), Dense(3)], rng=0, input_shape=(2,))
    model.layers[1].params["bias"][...] = [1000, 0, 0]
    found = model.predict_mc(np.ones((4, 2)), 5, rng=1)
    assert (found.entropy == 0).all()
    assert (found.mutual_information == 0).all()


def test_regression_has_no_entropy():
    model, x = made("regression")
    found = model.predict_mc(x, 5, rng=1)
    assert found.entropy is None
    assert found.mutual_information is None
    assert found.samples is None


def test_one_sample_has_no_spread():
    model, x = made("dense")
    found = model.predict_mc(x, 1, rng=1)
    assert (found.std == 0).all()
    assert (found.mutual_information < 1e-6).all()


def test_small_spread_beside_a_large_mean():
    layers = [Dropout(0.5), Dense(1)]
    model = Sequential(layers, loss="mean_squared_error", rng=0, dtype=np.float64, input_shape=(1,))
    model.layers[1].params["weight"][...] = 1e-3
    model.layers[1].params["bias"][...] = 1e6
    found = model.predict_mc(np.ones((1, 1)), 200, rng=1, return_samples=True)
    np.testing.assert_allclose(found.std[0, 0], 1e-3, rtol=0.02)


# Where the noise comes from


@each_network
def test_same_rng_same_samples(name):
    model, x = made(name)
    first, again, other = (model.predict_mc(x, 7, seed, return_samples=True) for seed in (1, 1, 2))
    assert (first.samples == again.samples).all()
    assert (first.samples != other.samples).any()


def test_fresh_entropy_by_default():
    model, x = made("dense")
    assert (model.predict_mc(x, 3).mean != model.predict_mc(x, 3).mean).any()


@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.PCG64, fastdrop.MaskStream])
def test_generators_and_streams_advance(kind):
    model, x = made("dense")
    first, second = (kind(3) for _ in range(2))
    found = [model.predict_mc(x, 3, first).mean for _ in range(2)]
    assert (found[0] == model.predict_mc(x, 3, second).mean).all()
    assert (found[0] != found[1]).any()


def test_layers_with_an_rng_of_their_own_draw_from_the_call_too():
    layers = [Dense(8), Dropout(0.5, rng=5), Dense(4), Own(0.5, rng=5), Dense(3)]
    model, x = Sequential(layers, rng=0), samples(9)[0]
    found = [model.predict_mc(x, 3, seed, return_samples=True).samples for seed in (1, 1, 2)]
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any(axis=(1, 2)).all()


@each_network
@pytest.mark.parametrize("size", [1, 10, 36, 40, 1000])
def test_batches_take_rows_of_the_same_masks(name, size):
    model, x = made(name)
    whole = model.predict_mc(x, 11, rng=1, return_samples=True)
    found = model.predict_mc(x, 11, rng=1, batch_size=size, return_samples=True)
    for ours, theirs in zip(found, whole, strict=True):
        if theirs is not None:
            assert_near(ours, theirs)


# Which layers are noisy, and what they start from


def test_what_precedes_the_noise_is_computed_once():
    before, after = Counting(), Counting()
    model = Sequential([before, Dense(4), ReLU(), Dropout(0.5), after, Dense(3)], rng=0)
    x = samples(10)[0]
    model.predict_mc(x, 8, rng=1, batch_size=4)
    assert before.calls == [(4, False), (4, False), (2, False)]
    assert {training for _, training in after.calls} == {False}
    assert sum(rows for rows, _ in after.calls) == 8 * 10


def test_samples_share_batches_while_these_are_small():
    after = Counting()
    model = Sequential([Dropout(0.5), after, Dense(3)], rng=0)
    model.predict_mc(samples(10)[0], 8, rng=1, batch_size=40)
    assert after.calls == [(40, False), (40, False)]


def test_rows_stay_what_they_are():
    model, x = Sequential([Dropout(0.5), nn.Flatten(), Dropout(0.5), Dense(3)], rng=0), steps()
    before = x.copy()
    model.predict_mc(x, 5, rng=1)
    assert (x == before).all()


def test_layers_may_give_views_and_what_must_not_be_written():
    class Turned(nn.Layer):
        def forward(self, x, training=False):
            return x[:, ::-1]

    given = []

    class Fixed(nn.Layer):
        def forward(self, x, training=False):
            y = x.copy()
            y.flags.writeable = False
            given.append((y, y.copy()))
            return y

    drawn = []
    for layers in ([], [Turned(), Turned()], [Fixed()]):
        layers = [Dropout(0.5), *layers, Dropout(0.5), Dense(3)]
        model = Sequential(layers, loss="mean_squared_error", rng=0)
        drawn.append(model.predict_mc(samples(9)[0], 4, rng=1, return_samples=True).samples)
    assert all((other == drawn[0]).all() for other in drawn[1:])
    assert given
    assert all((y == before).all() for y, before in given)
    turned = Sequential(
        [Dropout(0.5), Turned(), Dropout(0.5), Turned(), Dense(3)], loss="mean_squared_error", rng=0
    )
    found = turned.predict_mc(samples(9)[0], 4, rng=1, return_samples=True).samples
    masks = fastdrop.MaskStream(np.random.SeedSequence(fastdrop.MaskStream(1).next()))
    z = masks.draw((36, 8), 0.5).apply(np.tile(samples(9)[0], (4, 1)))[:, ::-1]
    z = masks.draw((36, 8), 0.5).apply(z)[:, ::-1]
    last = turned.layers[-1].params
    assert_near(found.reshape(36, 3), z @ last["weight"] + last["bias"])


def test_batch_normalisation_uses_running_statistics():
    layers = [Dense(8), Dropout(0.5), nn.BatchNorm(), ReLU(), Dropout(0.5), Dense(3)]
    model, (x, y) = Sequential(layers, rng=0), samples()
    model.fit(x, y, epochs=2, verbose=False)
    before = kept(model)
    whole = model.predict_mc(x, 5, rng=1, return_samples=True).samples
    assert kept(model) == before
    # A row's samples would depend on the others in its batch.
    assert_near(model.predict_mc(x, 5, rng=1, batch_size=1, return_samples=True).samples, whole)


def test_batch_normalisation_beside_noise_in_one_layer():
    branch = [Dense(8), nn.BatchNorm(), Dropout(0.5)]
    model, (x, y) = Sequential([Dense(8), nn.Residual(branch), Dense(3)], rng=0), samples()
    model.fit(x, y, epochs=2, verbose=False)
    before = kept(model)
    drawn = model.predict_mc(x, 400, rng=1, return_samples=True).samples
    assert kept(model) == before
    # Were the batch's own statistics used, one row would be normalised to 0.
    alone = model.predict_mc(x[:1], 400, rng=2, return_samples=True).samples
    error = np.sqrt((drawn[:, 0].var(axis=0) + alone[:, 0].var(axis=0)) / 400)
    assert (drawn[:, 0].std(axis=0) > 0).all()
    assert (np.abs(drawn[:, 0].mean(axis=0) - alone[:, 0].mean(axis=0)) < 5 * error).all()


def test_rates_that_change_with_training_stay():
    branch = [Dense(8), nn.CurriculumDropout(0.5, steps=10)]
    layers = [nn.CurriculumDropout(0.5, steps=10), Dense(8), nn.Residual(branch)]
    layers += [nn.AdaptiveDropout(0.5), Dense(3)]
    model, (x, y) = Sequential(layers, rng=0), samples()
    model.fit(x, y, epochs=2, verbose=False)
    before = kept(model)
    assert model.layers[0].current_rate > 0
    model.predict_mc(x, 5, rng=1)
    assert kept(model) == before


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.AlphaDropout(0.3),
        lambda: nn.GaussianNoise(0.5),
        lambda: nn.DropConnect(8, 0.3),
        lambda: nn.Residual([Dense(8), Dropout(0.3)]),
        lambda: Dropout(0.3, mode="standard"),
        lambda: Own(0.3),
    ],
)
def test_noise_of_other_kinds(layer):
    """With the moments that their own passes in training have."""
    model, x = Sequential([Dense(8), layer(), Dense(3)], rng=0, loss="mean_squared_error"), None
    x = samples(6)[0]
    count = 3000
    passes = np.stack([model.forward(x, training=True) for _ in range(count)])
    found = model.predict_mc(x, count, rng=1)
    error = passes.std(axis=0) * np.sqrt(2 / count)
    assert (found.std > 0).all()
    assert (np.abs(found.mean - passes.mean(axis=0)) < 5 * error).all()
    centred = (passes - passes.mean(axis=0)) ** 2
    error = centred.std(axis=0) * np.sqrt(2 / count)
    assert (np.abs(found.std**2 - centred.mean(axis=0)) < 5 * error).all()


# Threads with samples of their own


def wide(rng=0):
    """Enough between the layers that each of three threads takes samples."""
    layers = [Dense(96), ReLU(), Dropout(0.5), Dense(40), nn.BatchNorm(), ReLU(), Dropout(0.3)]
    return Sequential([*layers, Dense(3)], rng=rng), samples(600)[0]


def wide_images(rng=0):
    layers = [Dropout(0.2), nn.Conv2D(4, 3), ReLU(), nn.MaxPool2D(2), nn.SpatialDropout2D(0.3)]
    x = np.random.default_rng(0).normal(size=(400, 12, 12, 2)).astype(np.float32)
    return Sequential([*layers, nn.Flatten(), Dense(3)], rng=rng), x


@pytest.fixture
def idents(monkeypatch):
    """Of the threads in which layers compute."""
    if layer_kernels() is numpy_layers:
        pytest.skip("NumPy's products have threads of their own")
    found, inner = set(), mc._pass

    def noted(*arguments):
        found.add(threading.get_ident())
        return inner(*arguments)

    monkeypatch.setattr(mc, "_pass", noted)
    return found


@pytest.mark.parametrize("make", [wide, wide_images])
@pytest.mark.parametrize("count", [6, 13])
def test_threads_change_no_bit(make, count, idents, monkeypatch):
    model, x = make()
    drawn = []
    for threads in (1, 2, 3):
        idents.clear()
        monkeypatch.setattr(mc, "get_num_threads", lambda threads=threads: threads)
        drawn.append(model.predict_mc(x, count, rng=1, return_samples=True))
        # Who is quick may take all of another's samples.
        own = idents - {threading.get_ident()}
        assert own if threads > 1 else not own
        assert len(own) <= threads
    for other in drawn[1:]:
        for ours, theirs in zip(other, drawn[0], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_samples_of_threads_are_rows_of_one_mask(idents, monkeypatch):
    monkeypatch.setattr(mc, "get_num_threads", lambda: 3)
    x = np.random.default_rng(0).normal(size=(5000, 10)).astype(np.float32)
    model = Sequential([Dropout(0.4), Dense(2)], loss="mean_squared_error", rng=0)
    found = model.predict_mc(x, 7, rng=7, batch_size=5000, return_samples=True).samples
    masks = fastdrop.MaskStream(np.random.SeedSequence(fastdrop.MaskStream(7).next()))
    z = masks.draw((7 * 5000, 10), 0.4).apply(np.tile(x, (7, 1)))
    last = model.layers[-1].params
    assert_near(found.reshape(7 * 5000, 2), z @ last["weight"] + last["bias"])
    assert idents - {threading.get_ident()}


def test_threads_take_no_layer_from_elsewhere(idents, monkeypatch):
    monkeypatch.setattr(mc, "get_num_threads", lambda: 2)
    counting = Counting()
    model = Sequential([Dense(96), Dropout(0.5), counting, Dense(3)], rng=0)
    model.predict_mc(samples(600)[0], 8, rng=1)
    assert idents == {threading.get_ident()}
    assert len(counting.calls) == 8


def test_schedules_are_asked_once_whatever_the_threads(idents, monkeypatch):
    asked = []
    for threads in (1, 3):
        monkeypatch.setattr(mc, "get_num_threads", lambda threads=threads: threads)
        layers = [Dense(96), Dropout(lambda step: asked.append(step) or 0.5), Dense(3)]
        model = Sequential(layers, rng=0, input_shape=(8,))
        asked.clear()
        model.predict_mc(samples(600)[0], 9, rng=1)
        assert asked == [0]


def test_error_of_the_loss_ends_the_threads(idents, monkeypatch):
    monkeypatch.setattr(mc, "get_num_threads", lambda: 2)
    model, x = wide()
    model.predict(x)
    count = threading.active_count()

    def failing(outputs):
        raise RuntimeError("the loss")

    monkeypatch.setattr(model.loss, "predict", failing)
    with pytest.raises(RuntimeError, match="the loss") as error:
        model.predict_mc(x, 50, rng=1)
    assert threading.active_count() == count
    assert error.traceback, "which holds what was computing"


def test_thread_that_outlives_the_main_one():
    code = """
import threading, time
import numpy as np
import fastdrop
from fastdrop.nn import Dense, Dropout, Sequential, monte_carlo
monte_carlo.get_num_threads = lambda: 2
model = Sequential([Dense(96), Dropout(0.5), Dense(3)], rng=0)
x = np.ones((600, 8), np.float32)
whole = model.predict_mc(x, 9, rng=1)
def late():
    threading.main_thread().join()
    time.sleep(0.2)
    print((model.predict_mc(x, 9, rng=1).mean == whole.mean).all(), flush=True)
threading.Thread(target=late).start()
"""
    assert run_code(code) == "True"


def test_error_in_a_thread(idents, monkeypatch):
    monkeypatch.setattr(mc, "get_num_threads", lambda: 2)
    model, x = wide()
    model.predict(x)
    before, forward = [dict(vars(layer)) for layer in model.layers], nn.BatchNorm.forward
    calls = []

    def failing(layer, x, training=False):
        calls.append(threading.get_ident())
        if len(calls) == 4:
            raise RuntimeError("the fourth call")
        return forward(layer, x, training)

    monkeypatch.setattr(nn.BatchNorm, "forward", failing)
    count = threading.active_count()
    with pytest.raises(RuntimeError, match="the fourth call"):
        model.predict_mc(x, 50, rng=1)
    assert threading.get_ident() not in calls
    assert len(calls) < 20, "what was to come is not computed"
    assert threading.active_count() == count
    for layer, attributes in zip(model.layers, before, strict=True):
        assert vars(layer).keys() == attributes.keys()
        assert all(vars(layer)[name] is value for name, value in attributes.items())


# What is left behind


@each_network
def test_training_goes_on_as_if_nothing_had_been(name):
    results = []
    for between in (False, True):
        model, x = made(name)
        target = model.predict(x)
        y = target.argmax(axis=1) if name != "regression" else target + 1
        for _ in range(3):
            if between:
                model.predict_mc(x, 3)
                model.predict_mc(x, 3, rng=1)
            model.train_batch(x, y)
        results.append(kept(model))
    assert results[0] == results[1]


def test_layers_are_afterwards_what_they_were():
    """Between a forward and its backward too."""
    gradients = []
    for between in (False, True):
        model, x = made("convolutional")
        y = model.forward(x, training=True)
        mask = model.layers[4].mask
        assert mask is not None
        if between:
            before = [dict(vars(layer)) for layer in model.layers]
            model.predict_mc(x, 3, rng=1)
            assert model.layers[4].mask is mask
            for layer, attributes in zip(model.layers, before, strict=True):
                assert vars(layer).keys() == attributes.keys()
                assert all(vars(layer)[name] is value for name, value in attributes.items())
        gradients.append(model.backward(np.ones_like(y)))
    assert (gradients[0] == gradients[1]).all()


def test_layers_are_what_they_were_after_an_error():
    class Failing(Counting):
        def forward(self, x, training=False):
            y = super().forward(x, training)
            if len(self.calls) == 4:
                raise RuntimeError("the fourth call")
            return y

    failing, branch = Failing(), [Dense(8), nn.BatchNorm(), Dropout(0.5, rng=3)]
    layers = [Dense(8), Dropout(0.5), nn.Residual(branch), failing, Dense(3)]
    model, x = Sequential(layers, rng=0), samples(6)[0]
    model.predict(x)
    attributes = [dict(vars(layer)) for layer in (*layers, *branch)]
    with pytest.raises(RuntimeError, match="fourth"):
        model.predict_mc(x, 9, rng=1)
    for layer, before in zip((*layers, *branch), attributes, strict=True):
        assert vars(layer).keys() == before.keys()
        assert all(vars(layer)[name] is value for name, value in before.items())


# Errors


def test_network_without_noise():
    model = Sequential([Dense(4), ReLU(), Dense(3)], rng=0)
    with pytest.raises(ValueError, match="predict_mc: layers must hold one that draws noise"):
        model.predict_mc(samples()[0])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"samples": 0}, ValueError, "predict_mc: samples must be at least 1, got 0"),
        ({"samples": 2.5}, TypeError, "predict_mc: samples must be an int, got 2.5"),
        ({"batch_size": 0}, ValueError, "predict_mc: batch_size must be at least 1, got 0"),
        ({"rng": "no"}, TypeError, "predict_mc: rng must be None, an int"),
        ({"x": np.ones((2, 5))}, ValueError, r"expected last axis 8, got input of shape \(2, 5\)"),
        ({"x": np.ones((0, 8))}, ValueError, "predict_mc: x must hold at least one sample"),
    ],
)
def test_errors(arguments, error, text):
    model, x = made("dense")
    stream = fastdrop.MaskStream(0)
    with pytest.raises(error, match=text):
        model.predict_mc(**{"x": x, "rng": stream} | arguments)
    assert stream.state_dict()["next"] == 0
