"""The picture of every kind of noise shows what each kind is."""

import re
import sys

import numpy as np
import pytest

import fastdrop
from fastdrop import plots

RATE, SIZE = 0.25, 4
# None is 0, none shines through the noise as another.
IMAGE = 0.2 + 0.7 * np.random.default_rng(0).random((16, 12, 3))


def panels(image=IMAGE, rate=RATE, **options):
    """What is drawn, by name, as samples (N, SIZE, SIZE, 3)."""
    found = {}
    for ax in plots.masks(image, rate, **options).axes:
        pixels = np.asarray(ax.images[0].get_array())
        rows, columns = (length // SIZE for length in pixels.shape[:2])
        tiles = pixels.reshape(rows, SIZE, columns, SIZE, 3).swapaxes(1, 2)
        found[ax.get_title().splitlines()[0]] = tiles.reshape(-1, SIZE, SIZE, 3)
    return found


@pytest.fixture(scope="module")
def drawn():
    return panels(sample=SIZE)


def test_every_function_of_the_package_is_there(drawn):
    functions = [name for name in fastdrop.__all__ if re.search("drop|noise|zone", name)]
    assert len(functions) == 11
    assert {name for name in functions if name not in drawn} == set()
    assert len(drawn) == 16


def test_the_image_is_shown_with_what_is_left_of_its_brightness(drawn):
    whole = drawn["the image"]
    assert whole.shape == (12, SIZE, SIZE, 3)
    np.testing.assert_allclose(whole[1], (1 - RATE) * IMAGE[:SIZE, SIZE : 2 * SIZE], rtol=1e-6)
    np.testing.assert_allclose(whole[-1], (1 - RATE) * IMAGE[-SIZE:, -SIZE:], rtol=1e-6)


# Along which axes of (N, H, W, C) all is dropped or nothing.
SHARED = {
    "dropout": (),
    "dropout, shared_axes=3": (3,),
    "dropout, shared_axes=0": (0,),
    "spatial_dropout": (1, 2),
    "temporal_dropout": (1,),
    "drop_path": (1, 2, 3),
}


@pytest.mark.parametrize("name", SHARED)
def test_what_is_dropped_together(drawn, name):
    y, axes = drawn[name], SHARED[name]
    kept = y != 0
    np.testing.assert_allclose(y[kept], drawn["the image"][kept] / (1 - RATE), rtol=1e-5)
    assert (kept.all(axis=axes) | ~kept.any(axis=axes)).all()
    # And along no other axis.
    for axis in set(range(4)) - set(axes):
        others = (*axes, axis)
        assert not (kept.all(axis=others) | ~kept.any(axis=others)).all()
    draws = kept.size / np.prod([kept.shape[axis] for axis in axes])
    assert abs(kept.mean() - (1 - RATE)) < 5 * np.sqrt(RATE * (1 - RATE) / draws)


def test_kinds_that_do_otherwise(drawn):
    x = drawn["the image"]
    y = drawn["StandardMask"]
    assert np.allclose(y[y != 0], x[y != 0], rtol=1e-6)
    assert 0.6 < (y != 0).mean() < 0.9
    y = drawn["dropout, array of rates"]
    assert (y[:, :, 0] != 0).all()
    assert (y[:, :, -1] == 0).any()
    # Of a size of 2: a dropped value has a dropped neighbour in its row.
    gone = drawn["drop_block"] == 0
    beside = np.zeros_like(gone)
    beside[:, :, 1:] |= gone[:, :, :-1]
    beside[:, :, :-1] |= gone[:, :, 1:]
    assert gone.any()
    assert beside[gone].all()
    y, dim = drawn["zoneout"], 1 - RATE
    old = np.isclose(y, dim - x)
    assert (old | np.isclose(y, x)).all()
    assert 0.1 < old.mean() < 0.4
    # Nothing is 0: the mean stays, and what is dropped goes to one value.
    values, counts = np.unique(drawn["alpha_dropout"].round(5), return_counts=True)
    assert 0.1 < counts.max() / counts.sum() < 0.4
    assert values[counts.argmax()] > 0
    y = drawn["concrete_dropout"] * (1 - RATE) / x
    assert ((y > 0.01) & (y < 0.99)).any()
    assert (y > 0.99).mean() > 0.5
    noise = drawn["gaussian_noise"] / dim - x / dim
    assert (
        abs(noise[(drawn["gaussian_noise"] > 0) & (drawn["gaussian_noise"] < 1)].std() - RATE)
        < 0.05
    )


def test_titles_say_the_rate_and_the_samples():
    figure = plots.masks(IMAGE, 0.4, sample=6)
    assert figure.get_suptitle().splitlines() == [
        "Noise at rate 0.4, drawn for 4 samples, the squares of 6 × 6 pixels",
        "(all at 60% of their brightness, as what is kept becomes brighter)",
    ]


def test_grey_and_uint8_images_and_what_is_cut_off():
    grey = panels(np.full((9, 11), 51, np.uint8), sample=SIZE)
    assert grey["the image"].shape == (4, SIZE, SIZE, 3)
    np.testing.assert_allclose(grey["the image"], 0.2 * (1 - RATE), rtol=1e-6)


def test_the_seed_decides(drawn):
    again, other = panels(sample=SIZE), panels(sample=SIZE, rng=1)
    assert all((again[name] == drawn[name]).all() for name in drawn)
    assert not any((other[name] == drawn[name]).all() for name in drawn if name != "the image")


def test_the_photo_needs_no_download():
    ax = plots.masks().axes[0]
    assert ax.images[0].get_array().shape == (64, 64, 3)
    assert np.ptp(ax.images[0].get_array()) > 0.5


@pytest.mark.parametrize(
    ("image", "options", "error", "words"),
    [
        (np.ones((8, 8, 2)), {}, ValueError, r"image must be of shape .* got \(8, 8, 2\)"),
        (np.ones(64), {}, ValueError, r"image must be of shape .* got \(64,\)"),
        (np.full((8, 8), 2.0), {}, ValueError, r"floats in \[0, 1\], got 2 to 2"),
        (np.full((8, 8), np.nan), {}, ValueError, r"floats in \[0, 1\], got nan"),
        (np.ones((8, 8), int), {}, TypeError, "got int64"),
        (np.ones((8, 8)), {"sample": 9}, ValueError, "sample must be from 2 to 8 pixels, got 9"),
        (np.ones((8, 8)), {"rate": 1}, ValueError, r"one number in \[0, 1\), got 1"),
        (np.ones((8, 8)), {"rate": 1.5}, ValueError, r"masks: rate must be in \[0, 1\], got 1.5"),
    ],
)
def test_bad_arguments(image, options, error, words):
    with pytest.raises(error, match=words):
        plots.masks(image, **options)


def test_without_scikit_learn_an_image_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r'give one, or `pip install "fastdrop\[app\]"`'):
        plots.masks()
