"""Recurrent layers against loops from the formulas, central differences and PyTorch."""

from types import SimpleNamespace

import numpy as np
import pytest
from gradients import assert_gradient, copies
from recurrence import gates_of, naive, normals

import fastdrop
from fastdrop.kernels import layers as kernels
from fastdrop.nn import Adam, Dense, MeanSquaredError, Sequential
from fastdrop.nn.bidirectional import Bidirectional
from fastdrop.nn.cells import GRU, LSTM, SimpleRNN
from fastdrop.nn.recurrent import orthogonal
from fastdrop.nn.sequences import turned

N, T, F, H = 3, 4, 2, 3
LENGTHS = np.array([4, 1, 3])
CELLS = {"SimpleRNN": SimpleRNN, "LSTM": LSTM, "GRU": GRU}

# Largest error, as a share of the largest value or of 1.
EXACT, NEAR = 1e-12, 1e-5

OPTIONS = {
    "plain": {},
    "dropout": {"dropout": 0.4},
    "recurrent dropout": {"recurrent_dropout": 0.4},
    "both": {"dropout": 0.4, "recurrent_dropout": 0.3},
    "untied": {"dropout": 0.4, "recurrent_dropout": 0.3, "tied": False},
    "per step": {"dropout": 0.4, "recurrent_dropout": 0.3, "per_step": True},
    "untied per step": {
        "dropout": 0.4,
        "recurrent_dropout": 0.3,
        "tied": False,
        "per_step": True,
    },
    "zoneout": {"zoneout": 0.4},
    "zoneout and dropout": {"zoneout": 0.3, "dropout": 0.2, "recurrent_dropout": 0.3},
    "backwards": {"go_backwards": True},
    "backwards, noisy": {"go_backwards": True, "recurrent_dropout": 0.3, "zoneout": 0.2},
    "all": {"dropout": 1.0, "recurrent_dropout": 1.0, "zoneout": 1.0},
}

each_cell = pytest.mark.parametrize("cell", CELLS)
each_option = pytest.mark.parametrize("options", OPTIONS)
in_sequences = pytest.mark.parametrize("sequences", [True, False], ids=["sequences", "last"])
with_lengths = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])


@pytest.fixture(params=["cython", "numpy"])
def layer_kernels(request, monkeypatch):
    """Both modules of layer kernels in turn."""
    monkeypatch.setenv("FASTDROP_LAYERS", request.param)
    monkeypatch.setattr(kernels, "_loaded", None)


def made(cell, dtype=np.float64, seed=1, shape=(N, T, F), units=H, **options):
    """A layer with biases unlike those it starts with, an input, and a forward pass that
    draws the same masks each time."""
    layer = CELLS[cell](units, rng=seed, **options)
    output = layer.build(shape, np.dtype(dtype))
    for name in ("bias", "recurrent_bias"):
        if name in layer.params:
            layer.params[name] += normals(*layer.params[name].shape, seed=seed + 1).astype(dtype)
    recipe = layer._rng.state_dict()

    def forward(x, training=True, lengths=None):
        layer._rng.load_state_dict(recipe)
        return layer.forward(x, training, lengths)

    x, dy = normals(*shape, seed=seed + 2), normals(*output, seed=seed + 3)
    return SimpleNamespace(
        layer=layer, x=x.astype(dtype), dy=dy.astype(dtype), forward=forward, output=output
    )


def assert_close(actual, expected, bound):
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    assert np.abs(actual - expected).max() <= bound * max(1, np.abs(expected).max())


# Outputs by the formulas


@with_lengths
@in_sequences
@each_option
@each_cell
def test_formula(cell, options, sequences, lengths, layer_kernels):
    """With the masks that the recipes are, of which each rate above 0 has one."""
    m = made(cell, return_sequences=sequences, **OPTIONS[options])
    y = m.forward(m.x, True, lengths)
    assert_close(y, naive(m.layer, m.x, lengths), EXACT)
    assert (m.layer.mask is not None) == (m.layer.dropout > 0)
    assert (m.layer.recurrent_mask is not None) == (m.layer.recurrent_dropout > 0)


@each_option
@each_cell
def test_evaluation(cell, options):
    """No masks, and the mean of zoneout."""
    m = made(cell, return_sequences=True, **OPTIONS[options])
    y = m.forward(m.x, training=False)
    assert m.layer.mask is m.layer.recurrent_mask is m.layer.zoneout_masks is None
    assert_close(y, naive(m.layer, m.x, None), EXACT)


@each_cell
def test_one_mask_for_a_sequence(cell):
    m = made(cell, dropout=0.5, recurrent_dropout=0.25)
    m.forward(m.x)
    assert m.layer.mask.shape == (N, T, F)
    assert m.layer.mask.shared_axes == (1,)
    assert m.layer.mask.keep().shape == (N, 1, F)
    assert m.layer.recurrent_mask.shape == (N, H)
    assert (m.layer.mask.rate, m.layer.recurrent_mask.rate) == (0.5, 0.25)


@each_cell
def test_masks_of_gates_and_steps(cell):
    gates = gates_of(CELLS[cell](1))
    for tied, per_step in ((False, False), (True, True), (False, True)):
        rates = {"dropout": 0.5, "recurrent_dropout": 0.5, "zoneout": 0.5}
        m = made(cell, tied=tied, per_step=per_step, **rates)
        m.forward(m.x)
        each = () if tied else (gates,)
        assert m.layer.mask.keep().shape == (*each, N, T if per_step else 1, F)
        assert m.layer.recurrent_mask.shape == (*((T,) if per_step else ()), *each, N, H)
        assert {mask.shape for mask in m.layer.zoneout_masks.values()} == {(T, N, H)}


@each_cell
def test_masks_are_drawn_again(cell):
    m = made(cell, dropout=0.5, recurrent_dropout=0.5)
    first = m.layer.forward(m.x, training=True).copy()
    masks = m.layer.mask, m.layer.recurrent_mask
    again = m.layer.forward(m.x, training=True)
    assert masks[0] != m.layer.mask
    assert masks[1] != m.layer.recurrent_mask
    assert (first != again).any()
    np.testing.assert_array_equal(m.forward(m.x), m.forward(m.x))


def test_rates_0_and_1():
    m = made("LSTM")
    before = m.layer._rng.state_dict()
    assert not m.layer.noisy
    np.testing.assert_array_equal(
        m.layer.forward(m.x, training=True), m.layer.forward(m.x, training=False)
    )
    assert m.layer._rng.state_dict() == before
    whole = made("LSTM", dropout=1.0, recurrent_dropout=1.0)
    bias = whole.layer.params["bias"].reshape(4, H)
    i, o = (1 / (1 + np.exp(-bias[g])) for g in (0, 3))
    f, g = 1 / (1 + np.exp(-bias[1])), np.tanh(bias[2])
    cell = i * g * (1 + f + f**2 + f**3)
    assert_close(whole.forward(whole.x), np.tile(o * np.tanh(cell), (N, 1)), EXACT)
    stays = made("GRU", zoneout=1, return_sequences=True)
    assert (stays.forward(stays.x) == 0).all()


@pytest.mark.parametrize("name", ["dropout", "recurrent_dropout", "zoneout"])
@each_cell
def test_noisy(cell, name):
    assert CELLS[cell](2, **{name: 0.1}).noisy
    assert Bidirectional(CELLS[cell](2, **{name: 0.1})).noisy
    assert not CELLS[cell](2, **{name: 0.0}).noisy


# Gradients


def check_gradients(layer, forward, x, dy, lengths, training=True):
    def loss():
        return float((forward(x, training, lengths) * dy).sum())

    loss()
    dx = layer.backward(dy).copy()
    (grads,) = copies([layer])
    layer.learn(dy)
    for name, grad in copies([layer])[0].items():
        np.testing.assert_array_equal(grad, grads[name])
    assert grads.keys() == layer.params.keys()
    for computed, array in [(dx, x), *((grads[k], layer.params[k]) for k in grads)]:
        if np.any(computed):
            assert_gradient(computed, loss, array)
        else:  # of what is dropped altogether
            before = loss()
            array += 0.5
            assert loss() == before
            array -= 0.5


@with_lengths
@in_sequences
@each_option
@each_cell
def test_gradients(cell, options, sequences, lengths):
    m = made(cell, return_sequences=sequences, **OPTIONS[options])
    check_gradients(m.layer, m.forward, m.x, m.dy, lengths)


@each_cell
def test_gradients_in_evaluation(cell):
    m = made(cell, return_sequences=True, zoneout=0.3, dropout=0.5, recurrent_dropout=0.5)
    check_gradients(m.layer, m.forward, m.x, m.dy, None, training=False)


def test_gradients_with_two_rates_of_zoneout():
    for zoneout in ((0.5, 0.0), (0.0, 0.5), (0.3, 0.6)):
        m = made("LSTM", zoneout=zoneout, return_sequences=True)
        assert_close(m.forward(m.x), naive(m.layer, m.x, None), EXACT)
        check_gradients(m.layer, m.forward, m.x, m.dy, None)


@each_cell
def test_gradients_from_a_state(cell):
    """Of a stateful layer's second batch: nothing goes back into the first."""
    m = made(cell, stateful=True, return_sequences=True, recurrent_dropout=0.3)
    m.layer.forward(m.x)
    states = {name: state.copy() for name, state in m.layer._states.items()}

    def forward(x, training, lengths):
        m.layer._states = states
        return m.forward(x, training, lengths)

    check_gradients(m.layer, forward, m.x, m.dy, None)


@with_lengths
@pytest.mark.parametrize("merge", ["concat", "sum"])
@in_sequences
@each_cell
def test_gradients_both_ways(cell, sequences, merge, lengths):
    inner = CELLS[cell](H, rng=1, return_sequences=sequences, recurrent_dropout=0.3, zoneout=0.2)
    layer = Bidirectional(inner, merge)
    output = layer.build((N, T, F), np.dtype(float))
    rngs = [(part._rng, part._rng.state_dict()) for part in layer.inner]

    def forward(x, training, lengths):
        for rng, state in rngs:
            rng.load_state_dict(state)
        return layer.forward(x, training, lengths)

    x, dy = normals(N, T, F), normals(*output, seed=5)
    assert output[-1] == (2 * H if merge == "concat" else H)
    y, (one, other) = forward(x, True, lengths), layer.inner
    parts = naive(one, x, lengths), naive(other, x, lengths)
    if sequences:
        parts = parts[0], turned(parts[1], lengths)
    assert_close(y, np.concatenate(parts, axis=-1) if merge == "concat" else sum(parts), EXACT)
    check_gradients(layer, forward, x, dy, lengths)


# Lengths


@each_cell
def test_padding_has_no_say(cell):
    """Whatever stands there, the results are the same, and the gradients finite."""
    m = made(cell, return_sequences=True, dropout=0.3, recurrent_dropout=0.3)
    y = m.forward(m.x, True, LENGTHS).copy()
    dx = m.layer.backward(m.dy).copy()
    (grads,) = copies([m.layer])
    x, dy = m.x.copy(), m.dy.copy()
    for row, length in enumerate(LENGTHS):
        x[row, length:], dy[row, length:] = np.nan, np.nan
        assert (y[row, length:] == 0).all()
        assert (dx[row, length:] == 0).all()
    np.testing.assert_array_equal(m.forward(x, True, LENGTHS), y)
    np.testing.assert_array_equal(m.layer.backward(dy), dx)
    for name, grad in m.layer.grads.items():
        np.testing.assert_array_equal(grad, grads[name])


@each_cell
def test_lengths_are_those_of_shorter_inputs(cell):
    m = made(cell, go_backwards=True)
    y = m.forward(m.x, False, LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = m.layer.forward(m.x[row : row + 1, :length])
        assert_close(y[row : row + 1], alone, EXACT)


def test_turned():
    x = np.arange(8).reshape(2, 4, 1)
    np.testing.assert_array_equal(turned(x, None)[..., 0], [[3, 2, 1, 0], [7, 6, 5, 4]])
    back = turned(x, np.array([3, 1]))
    np.testing.assert_array_equal(back[..., 0], [[2, 1, 0, 3], [4, 5, 6, 7]])
    np.testing.assert_array_equal(turned(back, np.array([3, 1])), x)


# States


@each_cell
def test_stateful_is_one_long_sequence(cell):
    m = made(cell, return_sequences=True, stateful=True)
    x = normals(N, 3 * T, F, seed=9)
    parts = [m.layer.forward(x[:, start : start + T]) for start in range(0, 3 * T, T)]
    whole = made(cell, return_sequences=True)
    assert_close(np.concatenate(parts, axis=1), whole.layer.forward(x), EXACT)
    m.layer.reset_state()
    np.testing.assert_array_equal(m.layer.forward(x[:, :T]), parts[0])


def test_another_batch_size():
    m = made("LSTM", stateful=True)
    m.layer.forward(m.x)
    with pytest.raises(ValueError, match=r"LSTM: a stateful layer goes on from a batch of 3 .*2$"):
        m.layer.forward(m.x[:2])
    m.layer.reset_state()
    assert m.layer.forward(m.x[:2]).shape == (2, H)


# PyTorch


def theirs(torch, layer, features, **options):
    """PyTorch's layer with our weights; of both ways if ours is."""
    parts = layer.inner or [layer]
    kind = {"SimpleRNN": "RNN"}.get(type(parts[0]).__name__, type(parts[0]).__name__)
    model = getattr(torch.nn, kind)(
        features, parts[0].units, batch_first=True, bidirectional=len(parts) > 1
    )
    with torch.no_grad():
        for part, end in zip(parts, ("", "_reverse"), strict=False):
            zeros = np.zeros_like(part.params["bias"])
            values = {
                "weight_ih_l0": part.params["weight"].T,
                "weight_hh_l0": part.params["recurrent_weight"].T,
                "bias_ih_l0": part.params["bias"],
                "bias_hh_l0": part.params.get("recurrent_bias", zeros),
            }
            for name, value in values.items():
                getattr(model, name + end).copy_(torch.from_numpy(value.copy()))
    return model


@pytest.mark.filterwarnings("default")
@with_lengths
@pytest.mark.parametrize("both", [False, True], ids=["forward", "both ways"])
@each_cell
def test_pytorch(cell, both, lengths, layer_kernels):
    """In float32, at sizes with tiles left over, with packed sequences for lengths."""
    torch = pytest.importorskip("torch")
    shape, units = (7, 12, 19), 37
    layer = CELLS[cell](units, return_sequences=True, rng=3)
    layer = Bidirectional(layer) if both else layer
    layer.build(shape, np.dtype(np.float32))
    model = theirs(torch, layer, shape[2])
    x = normals(*shape).astype(np.float32)
    x_torch = torch.from_numpy(x.copy()).requires_grad_()
    if lengths is None:
        y_torch, _ = model(x_torch)
    else:
        lengths = np.array([12, 1, 5, 12, 7, 2, 3])
        pack = torch.nn.utils.rnn.pack_padded_sequence
        packed = pack(x_torch, torch.from_numpy(lengths), True, enforce_sorted=False)
        y_packed, _ = model(packed)
        y_torch, _ = torch.nn.utils.rnn.pad_packed_sequence(y_packed, True, total_length=12)
    y = layer.forward(x, True, lengths)
    assert_close(y, y_torch.detach().numpy(), NEAR)
    dy = normals(*y.shape, seed=4).astype(np.float32)
    y_torch.backward(torch.from_numpy(dy))
    assert_close(layer.backward(dy), x_torch.grad.numpy(), NEAR)
    for part, end in zip(layer.inner or [layer], ("", "_reverse"), strict=False):
        grads = {"weight": "weight_ih_l0", "recurrent_weight": "weight_hh_l0"}
        grads |= {"bias": "bias_ih_l0", "recurrent_bias": "bias_hh_l0"}
        for name, grad in part.grads.items():
            expected = getattr(model, grads[name] + end).grad.numpy()
            assert_close(grad, expected.T, NEAR)


# First weights


@each_cell
def test_first_weights(cell):
    layer = CELLS[cell](40, rng=0)
    layer.build((None, None, 60), np.dtype(np.float32))
    gates = gates_of(layer)
    shapes = {name: param.shape for name, param in layer.params.items()}
    assert shapes.pop("recurrent_bias", (gates * 40,)) == (gates * 40,)
    assert shapes == {
        "weight": (60, gates * 40),
        "recurrent_weight": (40, gates * 40),
        "bias": (gates * 40,),
    }
    for part in np.split(layer.params["recurrent_weight"].astype(float), gates, axis=1):
        np.testing.assert_allclose(part @ part.T, np.eye(40), atol=1e-5)
    limit = np.sqrt(6 / (60 + 40))
    assert 0.95 * limit < np.abs(layer.params["weight"]).max() <= limit
    bias = layer.params["bias"].reshape(gates, 40)
    np.testing.assert_array_equal(bias.sum(axis=1), [0, 40, 0, 0] if gates == 4 else [0] * gates)
    again = CELLS[cell](40, rng=0)
    again.build((None, None, 60), np.dtype(np.float32))
    np.testing.assert_array_equal(again.params["weight"], layer.params["weight"])


def test_other_first_weights():
    layer = LSTM(3, forget_bias=0.5, init="zeros", recurrent_init=lambda shape, rng: np.ones(shape))
    layer.build((2, 4, 5), np.dtype(np.float64))
    assert (layer.params["weight"] == 0).all()
    assert (layer.params["recurrent_weight"] == 1).all()
    assert layer.params["bias"].sum() == 1.5
    q = orthogonal(1, np.random.default_rng(0))
    assert abs(q) == 1


def test_both_ways_have_weights_and_masks_of_their_own():
    layer = Bidirectional(GRU(H, rng=0, recurrent_dropout=0.5, return_sequences=True))
    x = normals(N, T, F)
    layer.forward(x, training=True)
    one, other = layer.inner
    assert (one.params["weight"] != other.params["weight"]).all()
    assert one.recurrent_mask != other.recurrent_mask
    assert (one.go_backwards, other.go_backwards) == (False, True)
    again = Bidirectional(GRU(H, rng=0, recurrent_dropout=0.5, return_sequences=True))
    np.testing.assert_array_equal(again.forward(x), layer.forward(x))


# In a network


def reloaded(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    return fastdrop.load(tmp_path / "model.safetensors")


NETWORKS = {
    "LSTM": lambda: LSTM(5, dropout=0.2, recurrent_dropout=0.3, zoneout=(0.1, 0.2)),
    "LSTM of its own rng": lambda: LSTM(5, recurrent_dropout=0.3, rng=8),
    "GRU": lambda: GRU(5, recurrent_dropout=0.3, tied=False),
    "SimpleRNN": lambda: SimpleRNN(5, dropout=0.2, per_step=True, go_backwards=True),
    "Bidirectional": lambda: Bidirectional(LSTM(5, recurrent_dropout=0.3), "sum"),
    "Bidirectional of its own rng": lambda: Bidirectional(GRU(5, dropout=0.3, rng=8)),
}


@pytest.fixture
def known(monkeypatch):
    """The layers under their public names."""
    for kind in (LSTM, GRU, SimpleRNN, Bidirectional):
        monkeypatch.setattr(fastdrop.nn, kind.__name__, kind, raising=False)


@pytest.mark.parametrize("name", NETWORKS)
def test_saving(name, tmp_path, known):
    """The loaded model predicts the same, and trains on as if it had never stopped."""
    x, y = normals(12, T, F), np.arange(12) % 3
    model = Sequential([NETWORKS[name](), Dense(3)], rng=0)
    model.fit(x, y, epochs=2, batch_size=5, verbose=False)
    other = reloaded(model, tmp_path)
    assert str(other.layers[0].config().keys()) == str(model.layers[0].config().keys())
    np.testing.assert_array_equal(model.predict(x), other.predict(x))
    for trained in (model, other):
        trained.fit(x, y, epochs=4, batch_size=5, initial_epoch=2, verbose=False)
    for ours, their in zip(model.layers, other.layers, strict=True):
        for param, value in ours.params.items():
            np.testing.assert_array_equal(value, their.params[param])
    assert model.history.history == other.history.history


@each_cell
def test_it_learns(cell):
    """Which of two signs came first, a few steps ago."""
    rng = np.random.default_rng(0)
    x = 0.1 * rng.standard_normal((256, 8, 1), np.float32)
    x[:, 0, 0] = np.where(rng.random(256) < 0.5, 1, -1)
    y = (x[:, 0, 0] > 0).astype(int)
    model = Sequential([CELLS[cell](8, recurrent_dropout=0.1), Dense(2)], rng=0)
    model.fit(x, y, epochs=40, verbose=False)
    assert model.evaluate(x, y)["accuracy"] > 0.95


def test_arrays_are_used_again():
    m = made("LSTM", np.float32, return_sequences=True, dropout=0.2, recurrent_dropout=0.2)
    fresh = m.forward(m.x), m.layer.backward(m.dy).copy(), copies([m.layer])
    m.layer.reuses = True
    for _ in range(2):
        y = m.forward(m.x)
        dx = m.layer.backward(m.dy)
    np.testing.assert_array_equal(y, fresh[0])
    np.testing.assert_array_equal(dx, fresh[1])
    for name, grad in m.layer.grads.items():
        np.testing.assert_array_equal(grad, fresh[2][0][name])
    assert m.forward(m.x[:2]).shape == (2, T, H)
    m.layer.forget()
    with pytest.raises(RuntimeError, match=r"^LSTM: backward needs a forward before it$"):
        m.layer.backward(m.dy)


def test_threads_change_no_bit():
    results = []
    before = fastdrop.get_num_threads()
    for threads in (1, 2):
        fastdrop.set_num_threads(threads)
        m = made("GRU", np.float32, shape=(65, 6, 40), units=70, recurrent_dropout=0.3)
        results.append((m.forward(m.x), m.layer.backward(m.dy), *m.layer.grads.values()))
    fastdrop.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_mean_squared_error_of_sequences():
    """Through `Sequential`, with the time axis kept."""
    x = normals(10, T, F)
    y = x[:, ::-1, :1] * 0.5  # what is still to come, for some of them
    layers = [LSTM(6, return_sequences=True), Bidirectional(GRU(4, return_sequences=True))]
    model = Sequential([*layers, Dense(1)], loss=MeanSquaredError(), optimizer=Adam(0.02), rng=0)
    losses = model.fit(x, y, epochs=60, batch_size=10, verbose=False).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


# Errors


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"units": 0}, ValueError, "LSTM: units must be at least 1, got 0"),
        ({"dropout": 1.5}, ValueError, "LSTM: dropout must be in [0, 1], got 1.5"),
        ({"dropout": [0.5]}, TypeError, "LSTM: dropout must be a number, got [0.5]"),
        ({"recurrent_dropout": -1}, ValueError, "recurrent_dropout must be in [0, 1], got -1"),
        ({"zoneout": np.nan}, ValueError, "LSTM: zoneout must be in [0, 1], got nan"),
        ({"zoneout": (0.1,)}, ValueError, "LSTM: zoneout must be a number, or one for each of"),
        ({"init": "he"}, ValueError, "LSTM: init must be one of"),
        ({"recurrent_init": "he"}, ValueError, "LSTM: recurrent_init must be"),
        ({"forget_bias": "1"}, TypeError, "LSTM: forget_bias must be a number, got '1'"),
        ({"rng": "0"}, TypeError, "LSTM: rng must be"),
    ],
)
def test_wrong_arguments(options, error, text):
    with pytest.raises(error) as caught:
        LSTM(**{"units": 2} | options)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((3, 0, 2), "LSTM: expected at least one time step, got a sequence of length 0, input of"),
        (
            (3, 2),
            "LSTM: expected an input of shape (batch, time, features), got input of shape (3, 2)",
        ),
        ((3, 4, 0), "LSTM: expected last axis 2, got input of shape (3, 4, 0)"),
        ((3, 4, 5), "LSTM: expected last axis 2, got input of shape (3, 4, 5)"),
    ],
)
def test_wrong_inputs(shape, text):
    m = made("LSTM")
    for call in (m.layer.forward, lambda x: m.layer.build(x.shape, x.dtype)):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            call(np.zeros(shape))
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("lengths", "error", "text"),
    [
        ([4, 5, 1], ValueError, "GRU: lengths must be in [1, 4], as the input has 4 time steps"),
        ([4, 0, 1], ValueError, "got 0 in them"),
        ([4, 1], ValueError, "GRU: lengths must be of shape (3,), one for each sequence, got"),
        ([1.0, 2.0, 3.0], TypeError, "GRU: lengths must be integers, got float64"),
    ],
)
def test_wrong_lengths(lengths, error, text):
    m = made("GRU")
    with pytest.raises(error) as caught:
        m.forward(m.x, False, np.array(lengths))
    assert text in str(caught.value)


def test_wrong_gradients():
    m = made("GRU")
    m.forward(m.x)
    with pytest.raises(ValueError, match=r"GRU: dy must have the output's shape \(3, 3\)"):
        m.layer.backward(m.dy[:2])
    both = Bidirectional(GRU(2))
    both.forward(m.x)
    with pytest.raises(ValueError, match=r"Bidirectional: dy must have the output's last axis 4"):
        both.backward(np.zeros((3, 2)))


def test_wrong_both_ways():
    with pytest.raises(TypeError, match=r"^Bidirectional: layer must be a recurrent layer, got"):
        Bidirectional(Dense(2))
    with pytest.raises(ValueError, match=r"^Bidirectional: merge must be 'concat' or 'sum'"):
        Bidirectional(GRU(2), "product")
    with pytest.raises(ValueError, match=r"^Bidirectional: layer must not be built yet"):
        Bidirectional(made("GRU").layer)
