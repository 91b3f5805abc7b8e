"""Each noise layer against the formula of its paper, written here in plain NumPy."""

import numpy as np
import pytest
from gradients import GRADIENT, assert_gradient

import fastdrop
from fastdrop import nn
from fastdrop.mask import MaskStream

Z = 5  # how many standard errors a statistic may be off


def normals(*shape, seed=3, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# How each layer is made of a rate and a stream, and what shape it takes.
LAYERS = {
    "Dropout": (lambda rate, s: nn.Dropout(rate, rng=s), (5, 4)),
    "Dropout standard": (lambda rate, s: nn.Dropout(rate, mode="standard", rng=s), (5, 4)),
    "CurriculumDropout": (lambda rate, s: nn.CurriculumDropout(rate, gamma=50.0, rng=s), (5, 4)),
    "TemporalDropout": (lambda rate, s: nn.TemporalDropout(rate, rng=s), (3, 4, 5)),
    "DropPath": (lambda rate, s: nn.DropPath(rate, rng=s), (6, 2, 3)),
    "AlphaDropout": (lambda rate, s: nn.AlphaDropout(rate, rng=s), (5, 4)),
    "FeatureAlphaDropout": (lambda rate, s: nn.FeatureAlphaDropout(rate, rng=s), (3, 2, 2, 4)),
    "GaussianDropout": (lambda rate, s: nn.GaussianDropout(rate, rng=s), (5, 4)),
    "AdaptiveDropout": (lambda rate, s: nn.AdaptiveDropout(rate, rng=s), (5, 4)),
    "DropBlock2D": (lambda rate, s: nn.DropBlock2D(rate, 2, rng=s), (2, 5, 6, 3)),
    "Zoneout": (lambda rate, s: nn.Zoneout(rate, rng=s), (3, 4, 5)),
    "VariationalDropout": (lambda rate, s: nn.VariationalDropout(rate, 0.1, rng=s), (5, 4)),
    "ConcreteDropout": (lambda rate, s: concrete(rate, s), (5, 4)),
    "DropConnect": (lambda rate, s: drop_connect(rate, s), (5, 4)),
    "GaussianNoise": (lambda rate, s: nn.GaussianNoise(rate, rng=s), (5, 4)),
    "Standout": (lambda rate, s: standout(s), (5, 4)),
}


def concrete(rate, stream, layer=None):
    return nn.ConcreteDropout(layer or nn.Dense(3, rng=1), rate, 0.01, 0.1, rng=stream)


def drop_connect(rate, stream, **settings):
    layer = nn.DropConnect(3, rate, rng=1, **settings)
    layer.inner[0]._own = layer.inner[0]._rng = stream
    return layer


def standout(stream, **settings):
    layer = nn.Standout(3, 0.7, 0.2, rng=1, **settings)
    layer.inner[0]._own = layer.inner[0]._rng = stream
    return layer


def rewound(layer, stream, x):
    """The layer's output, by the draws that the stream begins with."""
    stream.load_state_dict(MaskStream(7).state_dict())
    for name, array in layer.state.items():
        array[...] = rewound.state[name]
    return layer.forward(x, training=True)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_gradients_are_those_of_central_differences(name, rate):
    make, shape = LAYERS[name]
    stream = MaskStream(7)
    layer, x = make(rate, stream), normals(*shape)
    layer.build(shape, np.float64)
    rewound.state = {key: array.copy() for key, array in layer.state.items()}
    if name == "CurriculumDropout":  # at its final rate
        rewound.state["step"][...] = 10**6
    if name == "AdaptiveDropout":
        rewound.state["importance"][...] = np.arange(4.0)
    weights = normals(*rewound(layer, stream, x).shape, seed=5)

    def loss():
        return float((rewound(layer, stream, x) * weights).sum()) + layer.penalty()

    loss()
    dx = layer.backward(weights).copy()
    grads = {key: grad.copy() for key, grad in layer.grads.items()}
    if rate == 1 and name not in ("Standout", "GaussianNoise", "DropConnect", "AdaptiveDropout"):
        assert not dx.any() or name == "Zoneout"
    if np.any(dx):
        assert_gradient(dx, loss, x)
    assert grads.keys() == layer.params.keys()
    for key, param in layer.params.items():
        if np.isinf(param).any():
            assert not grads[key].any(), "an infinite logit moves nowhere"
        elif np.any(grads[key]):
            assert_gradient(grads[key], loss, param)
        else:
            before = loss()
            param += 0.1
            assert abs(loss() - before) <= GRADIENT * abs(before)
            param -= 0.1


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "Standout"])
def test_rate_1_is_defined_and_finite(name):
    make, shape = LAYERS[name]
    layer, x = make(1.0, MaskStream(1)), normals(*shape)
    if name == "CurriculumDropout":
        layer.state["step"][...] = 10**6
    with np.errstate(all="raise"):
        y = layer.forward(x, training=True)
        dx = layer.backward(np.ones_like(y))
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()
    assert np.isfinite(layer.penalty())
    expected = {"GaussianNoise": None, "ConcreteDropout": 0.0, "DropConnect": 0.0}.get(name, 0.0)
    if expected is not None:
        assert (y == expected).all()


@pytest.mark.parametrize("name", LAYERS)
def test_rest_outside_training(name):
    make, shape = LAYERS[name]
    layer, x = make(0.3, MaskStream(1)), normals(*shape)
    y, dy = layer.forward(x), normals(*shape)
    if name == "Dropout standard":
        np.testing.assert_allclose(y, 0.7 * x, rtol=1e-15)
        np.testing.assert_allclose(layer.backward(dy), 0.7 * dy, rtol=1e-15)
    elif name == "Zoneout":
        before = 0.0
        for t in range(shape[1]):
            before = 0.7 * x[:, t] + 0.3 * before
            np.testing.assert_allclose(y[:, t], before, rtol=1e-12)
    elif name in ("ConcreteDropout", "DropConnect"):
        weight = layer.params.get("weight", layer.params.get("layer.weight"))
        np.testing.assert_allclose(y, x @ weight, rtol=1e-12)
    elif name == "Standout":
        z = x @ layer.params["weight"]
        np.testing.assert_allclose(y, np.maximum(z, 0) / (1 + np.exp(-0.7 * z - 0.2)), rtol=1e-12)
    else:
        assert y is x
        assert layer.backward(dy) is dy


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_stream_reproduces_a_layer_and_another_does_not(name, dtype):
    make, shape = LAYERS[name]
    x = normals(*shape, dtype=dtype)
    first, same, other = (
        [layer.forward(x, training=True) for _ in range(6)]
        for layer in (make(0.3, MaskStream(seed)) for seed in (1, 1, 2))
    )
    assert all(y.dtype == dtype for y in first)
    for a, b in zip(first, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_noisy_and_their_config_makes_them_again(name):
    layer = LAYERS[name][0](0.3, MaskStream(1))
    assert layer.noisy
    again = type(layer)(**layer.config())
    assert str(again.config()) == str(layer.config()) or name == "ConcreteDropout"


@pytest.mark.parametrize("name", LAYERS)
def test_networks_go_on_from_a_checkpoint_bit_for_bit(name, tmp_path):
    """Curriculum, adaptive and concrete rates among them."""
    make, shape = LAYERS[name]
    x, y = normals(24, *shape[1:]), np.arange(24) % 3

    def network():
        layer = make(0.4, None)
        for part in layer.inner:
            part._own = part._rng = None
        tail = [nn.Flatten()] if len(shape) > 2 else []
        return nn.Sequential([layer, *tail, nn.Dense(3)], rng=5)

    whole = network()
    whole.fit(x, y, epochs=4, batch_size=8, verbose=False)
    begun = network()
    begun.fit(x, y, epochs=2, batch_size=8, verbose=False)
    begun.save(tmp_path / "model")
    loaded = fastdrop.load(tmp_path / "model")
    loaded.fit(x, y, epochs=4, batch_size=8, initial_epoch=2, verbose=False)
    assert loaded.history.history == whole.history.history
    for ours, theirs in zip(loaded.layers, whole.layers, strict=True):
        for kind in ("params", "state"):
            for key, array in getattr(theirs, kind).items():
                np.testing.assert_array_equal(getattr(ours, kind)[key], array)


# Each formula


@pytest.mark.parametrize("kind", ["Dropout", "Dropout standard", "GaussianDropout"])
def test_steps_of_a_training_draw_what_fresh_recipes_draw(kind):
    """Also where the rate, the shape, the layout or the dtype changes between two."""
    stream, seen = MaskStream(7), MaskStream(7)
    layer = LAYERS[kind][0](0.5, stream)
    x = normals(6, 4, dtype=np.float32)
    steps = [(x, 0.5)] * 3 + [(x, 0.25), (x[:3], 0.25), (x[:3], 0.25), (x, 0.0), (x, 0.0)]
    steps += [(x, 0.5), (x, 0.5), (x.T, 0.5), (x.T, 0.5), (x.astype(float), 0.5), (x, 1.0)] + [
        (x, 1.0)
    ] * 2
    layer.reuses = True
    for x, rate in steps:
        layer.rate = rate
        y = layer.forward(x, training=True).copy()
        if rate == 0:
            expected = x
        else:
            mask = layer.kind(x.shape, rate, key=seen.key, stream=seen.next()[1])
            assert layer.mask == mask
            assert layer.mask.scale == mask.scale
            expected = mask.apply(x)
        assert (y == expected).all()
        dx = layer.backward(x)
        assert (dx == expected).all()
    assert stream.state_dict() == seen.state_dict()


def test_a_schedule_may_go_from_rates_to_one_rate():
    layer = nn.Dropout(lambda step: np.full(4, 0.3) if step < 2 else 0.5, rng=MaskStream(7))
    x, layer.reuses = normals(6, 4), True
    for _ in range(5):
        layer.forward(x, training=True)
    assert layer.mask.rate == 0.5


def test_the_callers_array_for_the_result_is_checked_in_every_step():
    layer, x = nn.Dropout(0.5, rng=MaskStream(7)), normals(6, 4)
    layer.reuses = True
    layer.forward(x, training=True)
    locked = np.zeros_like(x)
    locked.flags.writeable = False
    for out in (np.zeros((2, 2)), np.zeros(x.shape, np.float16), locked):
        with pytest.raises((TypeError, ValueError), match="out must"):
            layer.forward(x, training=True, out=out)
    with pytest.raises(ValueError, match="out must be writeable"):
        layer.forward(locked, training=True, out=locked)


def test_a_mode_that_is_set_between_steps_holds_from_the_next_on():
    layer, x = nn.Dropout(0.5, rng=MaskStream(7)), normals(5, 4)
    layer.reuses = True
    for mode, factor in [("inverted", 2), ("standard", 1), ("standard", 1), ("inverted", 2)]:
        layer.mode = mode
        y = layer.forward(x, training=True)
        assert (y == x * layer.mask.keep() * factor).all()


def test_standard_mode_drops_the_same_units_and_does_not_rescale():
    x = normals(40, 30)
    inverted = nn.Dropout(0.3, rng=1).forward(x, training=True)
    standard = nn.Dropout(0.3, mode="standard", rng=1).forward(x, training=True)
    np.testing.assert_array_equal(standard == 0, inverted == 0)
    assert set(np.unique(standard / x)) == {0.0, 1.0}
    with pytest.raises(ValueError, match="Dropout: mode must be 'inverted' or 'standard', got 'x'"):
        nn.Dropout(0.3, mode="x")


def test_standard_mode_behind_a_dense_layer_is_right():
    """There, where inverted dropout would be done by the layer before."""
    layers = [nn.Dense(50, rng=1), nn.ReLU(), nn.Dropout(0.4, mode="standard", rng=2)]
    model = nn.Sequential(layers, input_shape=(6,), dtype=np.float64)
    x = normals(9, 6)
    relu = np.maximum(x @ layers[0].params["weight"], 0)
    np.testing.assert_allclose(model.forward(x), 0.6 * relu, rtol=1e-12)
    y = model.forward(x, training=True)
    np.testing.assert_allclose(y, relu * layers[2].mask.keep(), rtol=1e-12)


def test_rates_follow_the_curriculum():
    gamma, rate = 0.01, 0.6
    layer = nn.CurriculumDropout(rate, gamma=gamma, rng=0)
    for t in range(5):
        k = 1 - rate
        keep = (1 - k) * np.exp(-gamma * t) + k
        assert layer.current_rate == pytest.approx(1 - keep, abs=1e-15)
        layer.forward(np.ones((2, 2)), training=True)
        layer.forward(np.ones((2, 2)))  # no step
    assert nn.CurriculumDropout(0.5, steps=200).rate.gamma == 10 / 200
    with pytest.raises(ValueError, match="give gamma or steps, got gamma=None, steps=None"):
        nn.CurriculumDropout(0.5)


def test_any_schedule_is_a_rate():
    layer = nn.Dropout(nn.LinearDecay(0.0, 1.0, decay_steps=4), rng=0)
    x = np.ones((100, 100))
    shares = [float((layer.forward(x, training=True) == 0).mean()) for _ in range(6)]
    np.testing.assert_allclose(shares, [0, 0.25, 0.5, 0.75, 1, 1], atol=Z * 0.5 / 100)
    layer = nn.Dropout(lambda step: 0.5 + step, rng=0)
    layer.forward(x, training=True)
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\], got 1.5, from its schedule"):
        layer.forward(x, training=True)
    assert layer.state["step"] == 1, "the step that failed does not count"


def test_a_callback_sets_rates_by_the_epoch():
    noise = [nn.Dropout(0.5), nn.GaussianDropout(0.5)]
    model = nn.Sequential([noise[0], nn.Dense(3), noise[1]], rng=0)
    seen = []

    class Watch(nn.Callback):
        def on_epoch_end(self, model, epoch, logs):
            seen.append([layer.rate for layer in noise])

    ramp = nn.RateScheduler(nn.LinearDecay(0.0, 0.5, decay_steps=2))
    x, y = normals(8, 4), np.arange(8) % 3
    model.fit(x, y, epochs=4, callbacks=[ramp, Watch()], verbose=False)
    assert seen == [[0.0] * 2, [0.25] * 2, [0.5] * 2, [0.5] * 2]
    with pytest.raises(ValueError, match="RateScheduler: the model has no noise layer"):
        nn.Sequential([nn.Dense(3)]).fit(x, y, callbacks=[ramp], verbose=False)
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\], got 2"):
        model.fit(x, y, callbacks=[nn.RateScheduler(lambda epoch: 2)], verbose=False)


def test_a_stateful_mask_lasts_until_it_is_reset():
    x = np.ones((4, 3, 50))
    layer = nn.TemporalDropout(0.5, stateful=True, rng=0)
    first = layer.forward(x, training=True)
    longer = layer.forward(np.ones((4, 7, 50)), training=True)
    np.testing.assert_array_equal(longer[:, 0], first[:, 0])
    with pytest.raises(ValueError, match=r"4 samples of 50 features.*call reset_state first"):
        layer.forward(np.ones((5, 3, 50)), training=True)
    layer.reset_state()
    assert (layer.forward(x, training=True) != first).any()
    fresh = nn.TemporalDropout(0.5, rng=0)
    assert (fresh.forward(x, training=True) != fresh.forward(x, training=True)).any()


def test_alpha_dropout_keeps_mean_and_variance():
    x, rate, n = normals(1000, 400), 0.3, 400_000
    saturation, q = -1.7580993408473766, 0.7
    a = (q + saturation**2 * q * (1 - q)) ** -0.5
    b = -a * (1 - q) * saturation
    layer = nn.AlphaDropout(rate, rng=0)
    y = layer.forward(x, training=True)
    expected = np.where(layer.mask.keep(), a * x + b, a * saturation + b)
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)
    assert abs(y.mean()) < Z / n**0.5
    assert abs(y.var() - 1) < Z * 3 / n**0.5


def test_feature_alpha_dropout_shares_a_draw_along_a_map():
    layer = nn.FeatureAlphaDropout(0.5, rng=0)
    y = layer.forward(np.ones((30, 3, 5, 7)), training=True)
    assert layer.mask.keep().shape == (30, 1, 1, 7)
    assert (y == y[:, :1, :1]).all()
    assert len(np.unique(y)) == 2
    function = fastdrop.feature_alpha_dropout(np.ones((30, 3, 5, 7)), 0.5, rng=0)
    np.testing.assert_array_equal(y, function)
    with pytest.raises(ValueError, match=r"FeatureAlphaDropout: expected an input of shape"):
        layer.forward(np.ones((3, 4)), training=True)


def test_drop_path_drops_whole_samples():
    layer = nn.DropPath(0.25, rng=0)
    y = layer.forward(np.ones((4000, 2, 3)), training=True)
    share = (y[:, 0, 0] == 0).mean()
    assert abs(share - 0.25) < Z * (0.25 * 0.75 / 4000) ** 0.5
    assert (y == y[:, :1, :1]).all()
    assert set(np.unique(y)) == {0.0, 1 / 0.75}
    np.testing.assert_array_equal(y, fastdrop.drop_path(np.ones((4000, 2, 3)), 0.25, rng=0))
    with pytest.raises(ValueError, match="drop_path: x must have its samples along axis 0"):
        fastdrop.drop_path(np.float32(1))


def test_residual_adds_its_branch():
    dense, path = nn.Dense(3, rng=1), nn.DropPath(0.5, rng=0)
    layer, x = nn.Residual([dense, nn.Tanh(), path]), normals(6, 3)
    y = layer.forward(x, training=True)
    kept = path.mask.keep()
    np.testing.assert_allclose(y, x + 2 * kept * np.tanh(x @ dense.params["weight"]), rtol=1e-12)
    assert (y[~kept[:, 0]] == x[~kept[:, 0]]).all()
    assert layer.noisy
    assert not nn.Residual([nn.ReLU()]).noisy
    weights = normals(6, 3, seed=4)
    layer.forward(x)
    computed = layer.backward(weights).copy()
    assert_gradient(computed, lambda: float((layer.forward(x) * weights).sum()), x)
    with pytest.raises(ValueError, match="Residual: expected a branch that keeps the shape"):
        nn.Residual([nn.Dense(4)]).forward(x)
    with pytest.raises(TypeError, match="Residual: layers must be a list of at least one layer"):
        nn.Residual([])


@pytest.mark.parametrize("stddev", [0.0, 0.5, 3.0])
def test_gaussian_noise_is_added(stddev):
    x = normals(300, 300)
    layer = nn.GaussianNoise(stddev, rng=0)
    noise = layer.forward(x, training=True) - x
    n = noise.size
    assert abs(noise.mean()) <= Z * stddev / n**0.5
    assert abs(noise.std() - stddev) <= Z * stddev / (2 * n) ** 0.5
    dy = normals(300, 300, seed=5)
    assert layer.backward(dy) is dy
    np.testing.assert_array_equal(x + noise, fastdrop.gaussian_noise(x, stddev, rng=0))
    with pytest.raises(ValueError, match="GaussianNoise: stddev must be finite and at least 0"):
        nn.GaussianNoise(-1)


def test_gaussian_dropout_has_its_mean_and_variance():
    rate, n = 0.2, 400_000
    y = nn.GaussianDropout(rate, rng=0).forward(np.ones(n), training=True)
    variance = rate / (1 - rate)
    assert abs(y.mean() - 1) < Z * (variance / n) ** 0.5
    assert abs(y.var() - variance) < Z * variance * (2 / n) ** 0.5


@pytest.mark.parametrize("reuses", [False, True])
def test_adaptive_rates_are_the_formula(reuses):
    layer, rate, momentum = nn.AdaptiveDropout(0.6, momentum=0.8, rng=0), 0.6, 0.8
    layer.reuses = reuses  # as in training, where the checks of a step are not made again
    importance = np.zeros(5)
    for step in range(4):
        x = normals(50, 2, 5, seed=step) * np.arange(1, 6)
        rates = rate * (1 - importance / importance.max()) if step else np.full(5, rate)
        rates = np.round(rates * 2**16) / 2**16 if step else rates
        y = layer.forward(x, training=True)
        np.testing.assert_allclose(np.broadcast_to(layer.mask.rate, 5), rates, rtol=1e-12)
        kept = layer.mask.keep()
        np.testing.assert_allclose(y, np.where(kept, x * layer.mask.scale, 0), rtol=1e-12)
        again = fastdrop.Mask(x.shape, layer.mask.rate, key=layer.mask.key, stream=step)
        assert layer.mask == again
        np.testing.assert_array_equal(layer.backward(x), again.apply(x))
        importance = momentum * importance + (1 - momentum) * np.abs(x).mean(axis=(0, 1))
        np.testing.assert_allclose(layer.state["importance"], importance, rtol=1e-12)
    assert rates[4] == 0
    assert rates[0] > rates[3], "strong units are dropped less"
    with pytest.raises(ValueError, match="AdaptiveDropout: expected last axis 5, got input"):
        layer.forward(np.ones((2, 4)), training=True)


@pytest.mark.parametrize("shape", [(200, 6), (100, 6), (1, 6), (50, 3, 6), (40, 5, 5, 6)])
def test_importance_is_that_of_the_first_rows(shape):
    """Of 128, or of 32 samples where these have more."""
    layer, x = (
        nn.AdaptiveDropout(0.5, rng=0),
        normals(*shape) * np.arange(1.0, shape[0] + 1).reshape(-1, *[1] * (len(shape) - 1)),
    )
    layer.forward(x, training=True)
    seen = {2: x[:128], 3: x[:43], 4: x[:32]}[len(shape)]
    expected = 0.1 * np.abs(seen).mean(axis=tuple(range(len(shape) - 1)))
    np.testing.assert_allclose(layer.state["importance"], expected, rtol=1e-12)


def test_adaptive_rates_of_a_subclass_are_those_of_its_mask():
    class Same(nn.AdaptiveDropout):
        @property
        def current_rate(self):
            super().current_rate  # noqa: B018
            return np.full(6, 0.25)

    layer, x = Same(0.5, rng=0), normals(40, 6)
    layer.reuses = True
    for stream in range(3):
        y = layer.forward(x, training=True)
        again = fastdrop.Mask(x.shape, np.full(6, 0.25), key=layer.mask.key, stream=stream)
        np.testing.assert_array_equal(y, again.apply(x))


def test_adaptive_dropout_is_asked_for_what_it_cannot_do():
    layer = nn.AdaptiveDropout(lambda step: [0.1, 0.2], rng=0)
    with pytest.raises(TypeError, match=r"rate must be one number, got an array of rates \(2,\)"):
        layer.forward(np.ones((3, 2)), training=True)
    layer = nn.AdaptiveDropout(0.5, rng=0)
    with pytest.raises(TypeError, match="rate must be one number"):
        layer.rate = [0.1, 0.2]
    layer = nn.AdaptiveDropout(0.5, shared_axes=-1, rng=0)
    with pytest.raises(ValueError, match="shared_axes must leave out the last axis"):
        layer.forward(np.ones((3, 2)), training=True)


def test_importance_from_elsewhere_is_taken():
    layer, x = nn.AdaptiveDropout(0.5, rng=0), normals(40, 6)
    layer.forward(x, training=True)
    other = layer.state["importance"] = layer.state["importance"].astype(np.float32)
    rates = layer.current_rate
    assert layer.state["importance"] is other, "asking changes nothing"
    layer.forward(x, training=True)
    np.testing.assert_array_equal(layer.mask.rate, rates)
    assert layer.state["importance"].dtype == np.float64


def test_standout_keeps_by_the_sigmoid_of_its_input():
    layer = standout(MaskStream(0))
    x = normals(20_000, 4)
    y = layer.forward(x, training=True)
    z = x @ layer.params["weight"]
    keep = 1 / (1 + np.exp(-(0.7 * z + 0.2)))
    active = z > 0
    np.testing.assert_allclose(y[y != 0], z[y != 0], rtol=1e-12)
    for unit in range(3):
        on = active[:, unit]
        error = (y[on, unit] != 0).astype(float) - keep[on, unit]
        spread = (keep[on, unit] * (1 - keep[on, unit])).sum() ** 0.5
        assert abs(error.sum()) < Z * spread


def test_dropconnect_drops_weights():
    layer = drop_connect(0.5, MaskStream(0), l2=0.1)
    x, dy = normals(6, 4), normals(6, 3, seed=9)
    y = layer.forward(x, training=True)
    weight = layer.params["weight"]
    masked = weight * layer.mask.keep() * 2
    assert 0 < (masked == 0).sum() < masked.size
    np.testing.assert_allclose(y, x @ masked, rtol=1e-12)
    np.testing.assert_allclose(layer.backward(dy), dy @ masked.T, rtol=1e-12)
    expected = (x.T @ dy) * layer.mask.keep() * 2 + 0.2 * weight
    np.testing.assert_allclose(layer.grads["weight"], expected, rtol=1e-12)


def naive_blocks(seeds, block):
    """Which elements no block covers."""
    n, rows, columns, channels = seeds.shape
    kept = np.ones((n, rows + block - 1, columns + block - 1, channels), bool)
    for i, r, c, k in zip(*np.nonzero(~seeds), strict=True):
        kept[i, r : r + block, c : c + block, k] = False
    return kept


@pytest.mark.parametrize("block", [1, 2, 5])
def test_dropblock_is_the_papers_algorithm(block):
    rate, shape = 0.3, (50, 6, 7, 4)
    layer, x = nn.DropBlock2D(rate, block, rng=0), normals(*shape)
    y = layer.forward(x, training=True)
    seeds = layer.mask.seeds
    height, width = shape[1:3]
    gamma = rate / block**2 * height * width / ((height - block + 1) * (width - block + 1))
    assert seeds.rate == pytest.approx(gamma, rel=1e-15)
    kept = naive_blocks(seeds.keep(), block)
    np.testing.assert_array_equal(layer.mask.keep(), kept)
    np.testing.assert_allclose(y, np.where(kept, x * kept.size / kept.sum(), 0), rtol=1e-12)
    np.testing.assert_array_equal(y, fastdrop.drop_block(x, rate, block, rng=0))
    # Expected share: an element is dropped by any of the seeds that reach it.
    reach = np.zeros((height, width))
    for r in range(height - block + 1):
        for c in range(width - block + 1):
            reach[r : r + block, c : c + block] += 1
    share = 1 - ((1 - gamma) ** reach).mean()
    assert abs((~kept).mean() - share) < Z * block * (share / kept.size) ** 0.5
    with pytest.raises(ValueError, match="block_size must be at most the height and width"):
        nn.DropBlock2D(0.1, 7).forward(x, training=True)


def test_zoneout_keeps_the_step_before():
    x = normals(5, 6, 4)
    layer = nn.Zoneout(0.5, rng=0)
    y = layer.forward(x, training=True)
    kept, before = layer.mask.keep(), np.zeros((5, 4))
    assert 0.3 < kept.mean() < 0.7
    for t in range(6):
        before = np.where(kept[:, t], x[:, t], before)
        np.testing.assert_array_equal(y[:, t], before)
    with pytest.raises(ValueError, match="with at least one time step, got input of shape"):
        layer.forward(np.ones((2, 0, 3)))


def test_zoneout_of_arrays_blends():
    x, previous = normals(50, 40), normals(50, 40, seed=4)
    y, mask = fastdrop.zoneout(x, previous, 0.3, rng=0, return_mask=True)
    np.testing.assert_array_equal(y, np.where(mask.keep(), x, previous))
    assert abs((y == previous).mean() - 0.3) < Z * (0.21 / 2000) ** 0.5
    mean = fastdrop.zoneout(x, previous, 0.3, training=False)
    np.testing.assert_allclose(mean, 0.7 * x + 0.3 * previous, rtol=1e-12)
    with pytest.raises(ValueError, match="zoneout: previous must have the shape and dtype of x"):
        fastdrop.zoneout(x, previous[:3])


@pytest.mark.parametrize("axes", [(), (0,)])
def test_concrete_masks_are_the_papers_formula(axes):
    p, t = 0.3, 0.1
    mask = fastdrop.ConcreteMask((400, 30), p, key=5, stream=2, shared_axes=axes)
    u = np.empty(mask.keep().size)
    from fastdrop.kernels import reference

    reference.uniforms(u, 5, 2, 0, 1)
    u = u.reshape(mask.keep().shape)
    inside = np.log(p) - np.log(1 - p) + np.log(u) - np.log(1 - u)
    drop = 1 / (1 + np.exp(-inside / t))
    np.testing.assert_allclose(mask.keep(), 1 - drop, rtol=1e-9, atol=1e-12)
    x = normals(400, 30)
    np.testing.assert_allclose(mask.apply(x), x * (1 - drop) / (1 - p), rtol=1e-9, atol=1e-9)
    if not axes:
        assert abs((drop > 0.5).mean() - p) < Z * (p * (1 - p) / u.size) ** 0.5
    np.testing.assert_array_equal(mask[3:9].apply(x[3:9]), mask.apply(x)[3:9])


def test_the_concrete_penalty_is_the_papers():
    layer = concrete(0.3, MaskStream(0))
    layer.forward(normals(5, 4), training=True)
    weight, p = layer.params["layer.weight"], layer.current_rate
    expected = 0.01 * (weight**2).sum() / (1 - p)
    expected += 0.1 * 4 * (p * np.log(p) + (1 - p) * np.log(1 - p))
    assert layer.penalty() == pytest.approx(expected, rel=1e-12)


def test_concrete_dropout_of_a_convolution_drops_maps():
    layer = concrete(0.5, MaskStream(0), nn.Conv2D(2, 1, rng=1))
    layer.forward(np.ones((6, 4, 5, 3)), training=True)
    assert layer.mask.keep().shape == (6, 1, 1, 3)
    with pytest.raises(TypeError, match="ConcreteDropout: layer must be a Dense or a Conv2D"):
        nn.ConcreteDropout(nn.ReLU())


def test_the_variational_penalty_is_molchanovs():
    layer = nn.VariationalDropout(0.3, kl_weight=0.5, rng=0)
    x = normals(20_000, 3)
    y = layer.forward(x, training=True)
    alpha = 0.3 / 0.7
    log_alpha = np.log(alpha)
    sigmoid = 1 / (1 + np.exp(-(1.87320 + 1.48695 * log_alpha)))
    negative = 0.63576 * sigmoid - 0.5 * np.log(1 + 1 / alpha) - 0.63576
    assert layer.penalty() == pytest.approx(0.5 * 3 * -negative, rel=1e-12)
    factor = y / x
    assert abs(factor.mean() - 1) < Z * (alpha / x.size) ** 0.5
    assert abs(factor.var() - alpha) < Z * alpha * (2 / x.size) ** 0.5


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: nn.VariationalDropout([0.1, 0.2]),
            TypeError,
            "VariationalDropout: rate must be one",
        ),
        (lambda: nn.VariationalDropout(0.5, -1), ValueError, "kl_weight must be finite and at"),
        (lambda: nn.AdaptiveDropout([0.1]), TypeError, "AdaptiveDropout: rate must be one number"),
        (lambda: nn.AdaptiveDropout(0.1, 1.0), ValueError, r"momentum must be in \[0, 1\)"),
        (lambda: nn.DropBlock2D(0.1, 0), ValueError, "block_size must be at least 1, got 0"),
        (
            lambda: nn.DropBlock2D(1.1),
            ValueError,
            r"DropBlock2D: rate must be in \[0, 1\], got 1.1",
        ),
        (lambda: nn.Standout(3, np.nan), ValueError, "Standout: alpha must be finite, got nan"),
        (lambda: nn.DropConnect(3, 2.0), ValueError, r"rate must be in \[0, 1\], got 2.0"),
        (lambda: nn.GaussianNoise("1"), TypeError, "GaussianNoise: stddev must be a number"),
        (lambda: nn.Curriculum(2.0, 1.0), ValueError, r"Curriculum: rate must be in \[0, 1\]"),
        (lambda: nn.RateScheduler(0.5), TypeError, "RateScheduler: schedule must be callable"),
        (lambda: fastdrop.gaussian_noise(np.ones(2), -1.0), ValueError, "stddev must be finite"),
        (lambda: fastdrop.concrete_dropout(np.ones(2), [0.1, 0.2]), TypeError, "one number, got"),
        (lambda: fastdrop.drop_block(np.ones((2, 3))), ValueError, "x must be images"),
    ],
)
def test_bad_settings_are_told(make, error, text):
    with pytest.raises(error, match=text):
        make()
