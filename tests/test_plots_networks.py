"""Pictures of networks show their weights and what they compute."""

import numpy as np
import pytest
from networks import kept

import fastdrop
from fastdrop import nn, plots

RNG = np.random.default_rng(0)
IMAGES = RNG.random((6, 8, 8, 1), np.float32)
RATE = 0.25


def convolutional(noise=None):
    layers = [nn.Conv2D(5, 3), nn.ReLU(), noise or nn.Dropout(RATE), nn.Flatten(), nn.Dense(3)]
    return nn.Sequential(layers, input_shape=(8, 8, 1), rng=0)


def dense(rng=0, features=16):
    layers = [nn.Dense(12), nn.ReLU(), nn.Dropout(0.5), nn.Dense(3)]
    return nn.Sequential(layers, input_shape=(features,), rng=rng)


def maps_of(model, image):
    """What the convolution and its ReLU make of one image, from the formula."""
    weight, bias = (model.layers[0].params[name].astype(float) for name in ("weight", "bias"))
    maps = np.zeros((6, 6, 5)) + bias
    for i in range(6):
        for j in range(6):
            maps[i, j] += (image[i : i + 3, j : j + 3, :, None] * weight).sum(axis=(0, 1, 2))
    return np.maximum(maps, 0)


def drawn_maps(figure):
    """What is before and what is after, and the numbers of the maps."""
    axes = [ax for ax in figure.axes if ax.images and ax.get_title() != "image"]
    count = len(axes) // 2
    maps = [ax.images[0].get_array() for ax in axes]
    numbers = [int(ax.get_title().removeprefix("map ")) for ax in axes[:count]]
    return np.ma.stack(maps[:count], -1), np.ma.stack(maps[count:], -1), numbers


def test_activations_before_and_after_dropout():
    model = convolutional()
    figure = plots.activations(model, IMAGES[0])
    before, after, numbers = drawn_maps(figure)
    assert numbers == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(before, maps_of(model, IMAGES[0]), atol=1e-6)
    gone = np.ma.getmaskarray(after)
    assert abs(gone.mean() - RATE) < 5 * np.sqrt(RATE * (1 - RATE) / gone.size)
    np.testing.assert_allclose(after[~gone], before[~gone] / (1 - RATE), rtol=1e-5)
    assert figure.get_suptitle() == (
        "5 feature maps of layer 0 (Conv2D)\n"
        "before and after layer 2 (Dropout 0.25), white where it dropped"
    )
    scales = {ax.images[0].get_clim() for ax in figure.axes if ax.images[1:] == [] and ax.images}
    assert (0, float(after.max())) in [tuple(map(float, scale)) for scale in scales]
    assert "activation" in [ax.get_ylabel() for ax in figure.axes]


def test_activations_of_whole_maps_and_of_noise_that_drops_nothing():
    _, after, _ = drawn_maps(plots.activations(convolutional(nn.SpatialDropout2D(0.5)), IMAGES[0]))
    gone = np.ma.getmaskarray(after)
    assert (gone.all(axis=(0, 1)) | ~gone.any(axis=(0, 1))).all()
    assert 0 < gone.mean() < 1
    figure = plots.activations(convolutional(nn.GaussianDropout(0.5)), IMAGES[0], maps=2)
    before, after, numbers = drawn_maps(figure)
    assert not np.ma.getmaskarray(after).any()
    assert (after != before).any()
    strongest = np.argsort(maps_of(convolutional(), IMAGES[0]).mean(axis=(0, 1)))[-2:]
    assert numbers == sorted(strongest)
    assert "white" not in figure.get_suptitle()


def test_pictures_leave_the_network_as_it_was(tmp_path):
    model = convolutional(nn.Dropout(nn.LinearDecay(0.1, decay_steps=9, final=0.5)))
    labels = np.arange(6) % 3
    model.train_batch(IMAGES, labels)
    model.save(tmp_path / "model.safetensors")
    twin = fastdrop.load(tmp_path / "model.safetensors")
    plots.activations(model, IMAGES[0])
    plots.features(model, IMAGES)
    plots.filters(model)
    plots.uncertainty(model, IMAGES[0], (0, 90), samples=2)
    assert kept(model) == kept(twin)
    # Its masks come from where they would have come from.
    losses = [[one.train_batch(IMAGES, labels) for _ in range(3)] for one in (model, twin)]
    assert losses[0] == losses[1]
    assert kept(model) == kept(twin)


def tiles(ax, size, across, count):
    """The images of one axes, from rows of so many."""
    pixels = np.ma.filled(ax.images[0].get_array(), np.nan)
    gap = max(1, size // 14)
    found = []
    for number in range(count):
        top, left = (place * (size + gap) for place in divmod(number, across))
        found.append(pixels[top : top + size, left : left + size])
    return np.array(found), np.isfinite(pixels).sum()


def test_filters_are_the_weights_side_by_side():
    models = {"without dropout": dense(0), "with dropout": dense(1)}
    figure = plots.filters(models, count=10)
    scales = set()
    for ax, (name, model) in zip(figure.axes, models.items(), strict=False):
        found, pixels = tiles(ax, 4, 4, 10)
        weight = model.layers[0].params["weight"]
        np.testing.assert_allclose(found, weight.T[:10].reshape(10, 4, 4), rtol=1e-6)
        assert pixels == 10 * 16
        assert ax.get_title() == f"{name}\nweights of layer 0 (Dense), 10 of 12 units"
        scales.add(ax.images[0].get_clim())
    ((low, high),) = scales
    weights = np.abs([model.layers[0].params["weight"][:, :10] for model in models.values()])
    assert -low == high == pytest.approx(np.quantile(weights, 0.995))
    assert figure.axes[-1].get_xlabel() == "weight"


def test_filters_of_convolutions_grey_and_in_colour():
    model = convolutional()
    found, _ = tiles(plots.filters(model).axes[0], 3, 3, 5)
    weight = model.layers[0].params["weight"]
    np.testing.assert_allclose(found, np.moveaxis(weight[:, :, 0], -1, 0), rtol=1e-6)
    colour = nn.Sequential([nn.Conv2D(4, 3), nn.Flatten(), nn.Dense(2)], input_shape=(8, 8, 3))
    figure = plots.filters(colour)
    assert len(figure.axes) == 1
    found, _ = tiles(figure.axes[0], 3, 2, 4)
    weight = np.moveaxis(colour.layers[0].params["weight"], -1, 0)
    limit = np.quantile(np.abs(weight), 0.995)
    np.testing.assert_allclose(found, np.clip((weight / limit + 1) / 2, 0, 1), atol=1e-6)


def test_filters_of_a_later_layer_have_a_shape():
    model = dense()
    assert "layer 3 (Dense), 3 of 3" in (
        plots.filters(model, layer=3, shape=(3, 4)).axes[0].get_title()
    )
    with pytest.raises(
        ValueError, match=r"filters: layer 3 \(Dense\) takes 12 inputs, .* got \(\)"
    ):
        plots.filters(model, layer=3)


def hidden(model, x):
    weight, bias = (model.layers[0].params[name].astype(float) for name in ("weight", "bias"))
    return np.maximum(x @ weight + bias, 0)


def test_features_are_histograms_with_the_sparsity():
    models = {"without dropout": dense(0), "with dropout": dense(1)}
    x = RNG.normal(size=(50, 16)).astype(np.float32)
    figure = plots.features(models, x)
    assert figure.get_suptitle() == "Activations of layer 1 (ReLU) for 50 samples, without noise"
    left, right = figure.axes
    values = {name: hidden(model, x.astype(float)) for name, model in models.items()}
    for ax, of in ((left, lambda y: y.mean(axis=0)), (right, np.ravel)):
        ends = min(of(y).min() for y in values.values()), max(of(y).max() for y in values.values())
        stairs = [patch for patch in ax.patches if not patch.get_fill()]
        for drawn, (name, y) in zip(stairs, values.items(), strict=True):
            counts, edges = np.histogram(of(y), 40, ends)
            np.testing.assert_allclose(drawn.get_data().edges, edges, atol=1e-6)
            # A value may lie on an edge, and float32 on its other side.
            off = np.abs(drawn.get_data().values - 100 * counts / of(y).size)
            assert off.sum() <= 400 / of(y).size
            said = f"{100 * (y == 0).mean():.1f} % at 0"
            if ax is left:
                said = f"mean {y.mean():.2f}"
            assert f"{name}: {said}" in [text.get_text() for text in ax.get_legend().texts]
    assert (left.get_xlabel(), left.get_ylabel()) == ("mean activation of a unit", "units (%)")
    assert right.get_yscale() == "log"


def test_features_take_small_for_zero_and_maps_for_units():
    model = convolutional()
    figure = plots.features(model, IMAGES, small=0.2)
    maps = np.array([maps_of(model, image) for image in IMAGES])
    (text,) = figure.axes[1].get_legend().texts
    assert text.get_text() == f"{100 * (maps <= 0.2).mean():.1f} % up to 0.2"
    drawn = next(patch for patch in figure.axes[0].patches if not patch.get_fill())
    ends = drawn.get_data().edges[[0, -1]]
    means = maps.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(ends, [means.min(), means.max()], rtol=1e-5)


def test_uncertainty_is_what_predict_mc_says_of_turned_images():
    model = nn.Sequential([nn.Flatten(), *dense(features=64).layers], input_shape=(8, 8, 1), rng=0)
    for layer in model.layers[1:2]:
        layer.params["weight"] *= 5  # so that it is sure of something
    image = IMAGES[0]
    turned = np.stack([np.rot90(image, quarters) for quarters in (0, 1, 2)])
    expected = model.predict_mc(turned, 20, 3, return_samples=True)
    figure = plots.uncertainty(model, image, (0, 90, 180), samples=20, classes=2, rng=3)
    top, row, bottom = figure.axes
    shown = sorted(np.argsort(-expected.mean.max(axis=0))[:2])
    lines = {line.get_label(): line.get_ydata() for line in top.get_lines()}
    assert set(lines) == {f"class {number}" for number in shown}
    for number, dots in zip(shown, top.collections, strict=True):
        np.testing.assert_allclose(lines[f"class {number}"], expected.mean[:, number], atol=1e-5)
        np.testing.assert_allclose(
            dots.get_offsets()[:, 1], expected.samples[..., number].ravel(), atol=1e-5
        )
        assert np.abs(dots.get_offsets()[:, 0].reshape(20, 3) - [0, 90, 180]).max() < 45
    pictures = [np.asarray(drawn.get_array()) for drawn in row.images]
    np.testing.assert_allclose(pictures, turned[..., 0], atol=1e-5)
    for label, values in (
        ("predictive entropy", expected.entropy),
        ("mutual information", expected.mutual_information),
    ):
        (line,) = [line for line in bottom.get_lines() if line.get_label() == label]
        np.testing.assert_allclose(line.get_xydata(), np.c_[[0, 90, 180], values], atol=1e-4)
    assert (bottom.get_xlabel(), bottom.get_ylabel()) == ("turned by (degrees)", "nats")
    assert "20 predictions" in figure.get_suptitle()


def refused(error, words, call):
    with pytest.raises(error, match=words):
        call()


def test_what_is_missing_is_said():
    plain, conv = dense(), convolutional()
    without = nn.Sequential([nn.Conv2D(2, 3), nn.Flatten(), nn.Dense(2)], input_shape=(8, 8, 1))
    regression = nn.Sequential([nn.Dropout(0.5), nn.Dense(2)], loss="mean_squared_error")
    image = IMAGES[0]
    for error, words, call in (
        (ValueError, r"must have a convolution \(Conv2D\), got none",
         lambda: plots.activations(plain, np.ones(16))),
        (ValueError, "activations: the network must have a layer of noise, such as Dropout",
         lambda: plots.activations(without, image)),
        (ValueError, r"activations: layer must be a Conv2D, got layer 4 \(Dense\)",
         lambda: plots.activations(conv, image, layer=4)),
        (ValueError, "activations: layer must be from 0 to 4, got 5",
         lambda: plots.activations(conv, image, layer=5)),
        (ValueError, r"one sample of shape \(8, 8, 1\), as the network takes it, got .*\(9, 9\)",
         lambda: plots.activations(conv, np.ones((9, 9)))),
        (TypeError, "activations: model must be a Sequential, got 3",
         lambda: plots.activations(3, image)),
        (TypeError, "filters: models must be a Sequential, or a dict", lambda: plots.filters([])),
        (ValueError, "filters: the network has no weights yet",
         lambda: plots.filters(nn.Sequential([nn.Dense(2)]))),
        (ValueError, "filters: layers must hold a Conv2D or a Dense, got none",
         lambda: plots.filters(nn.Sequential([nn.ReLU()]))),
        (ValueError, r"inputs of layer 0 must be images .* got shape \(15,\)",
         lambda: plots.filters(dense(features=15))),
        (ValueError, r"features: the network takes samples of shape \(16,\), got some of \(9,\)",
         lambda: plots.features(plain, np.ones((2, 9)))),
        (ValueError, r"features: the network must have a hidden layer, got only layer 1 \(Dense\)",
         lambda: plots.features(regression, np.ones((2, 9)))),
        (ValueError, "uncertainty: the network must tell classes apart",
         lambda: plots.uncertainty(regression, np.ones((3, 3)))),
        (ValueError, "layers must hold one that draws noise",
         lambda: plots.uncertainty(without, image)),
        (ValueError, "uncertainty: angles must be finite numbers that grow, got",
         lambda: plots.uncertainty(conv, image, (0, 0))),
    ):  # fmt: skip
        refused(error, words, call)


def test_draw_says_what_there_is():
    with pytest.raises(ValueError, match=r"draw: kind must be one of masks, .*, got 'nothing'"):
        plots.draw("nothing")
    assert set(fastdrop.plots.KINDS) >= {"masks", "filters", "learning-curves"}
