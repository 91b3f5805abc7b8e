"""Files become samples, samples predictions, and these files again."""

import csv

import numpy as np
import pytest
from PIL import Image

from fastdrop import nn
from fastdrop.inputs import Inputs, read_inputs
from fastdrop.prediction import load_model, predict


def model_of(shape, outputs=3, **options):
    layers = [nn.Flatten(), nn.Dense(8), nn.ReLU(), nn.Dropout(0.5), nn.Dense(outputs)]
    return nn.Sequential(layers, rng=0, input_shape=shape, **options)


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 1), (6, 4, 3)])
@pytest.mark.parametrize("ending", ["png", "PNG"])
def test_images_are_read_in_the_order_of_their_names(tmp_path, shape, ending):
    images = pixels(3, *shape)
    for name, image in zip("bca", images, strict=True):
        Image.fromarray(image.squeeze()).save(tmp_path / f"{name}.{ending}")
    (tmp_path / "notes.txt").write_text("no image")
    found = read_inputs(tmp_path, model_of(shape))
    assert found.names == tuple(f"{name}.{ending}" for name in "abc")
    assert found.x.dtype == np.float32
    # In [0, 1], as fastdrop.data has uint8.
    assert np.array_equal(found.x, images[[2, 0, 1]].astype(np.float32) / np.float32(255))
    alone = read_inputs(tmp_path / f"a.{ending}", model_of(shape))
    assert alone.names == (f"a.{ending}",)
    assert np.array_equal(alone.x, found.x[:1])


def test_colours_become_grey_and_grey_becomes_colours(tmp_path):
    grey, colour = pixels(5, 5), pixels(5, 5, 3)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(colour).save(tmp_path / "rgb.png")
    both = read_inputs(tmp_path, model_of((5, 5, 3))).x * 255
    assert np.array_equal(both[0], np.stack([grey] * 3, axis=-1))
    assert np.array_equal(both[1], colour)
    both = read_inputs(tmp_path, model_of((25,))).x * 255
    assert np.array_equal(both[0], grey.ravel())
    # ITU-R 601-2 luma, as Pillow documents it, cut to whole numbers.
    luma = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(both[1] - luma.ravel()).max() <= 1


def test_a_photograph_held_upright_is_turned(tmp_path):
    image = Image.fromarray(np.repeat(np.repeat([[0, 255]], 8, 0), 8, 1).astype(np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was turned: rows are columns from the right
    image.save(tmp_path / "x.jpg", exif=exif)
    turned = read_inputs(tmp_path, model_of((16, 8))).x[0]
    assert turned.shape == (16, 8)
    assert turned[:8].max() < 0.1 < 0.9 < turned[8:].min()


def test_bytes_and_floats_in_arrays(tmp_path):
    x = pixels(4, 7)
    model = model_of((7,))
    np.save(tmp_path / "bytes.npy", x)
    np.save(tmp_path / "floats.npy", x.astype(np.float64) / 100)
    found = read_inputs(tmp_path / "bytes.npy", model)
    assert np.array_equal(found.x, x.astype(np.float32) / np.float32(255))
    assert found.names == (0, 1, 2, 3)
    floats = read_inputs(tmp_path / "floats.npy", model).x
    assert np.array_equal(floats, (x / 100).astype(np.float32))


@pytest.mark.parametrize(
    ("names", "taken"),
    [(("y", "x_test", "x"), "x"), (("x_test", "x_train", "y"), "x_test"), (("mine",), "mine")],
)
def test_which_array_of_several_is_taken(tmp_path, names, taken):
    arrays = {name: np.full((2, 3), place, float) for place, name in enumerate(names)}
    np.savez(tmp_path / "x.npz", **arrays)
    found = read_inputs(tmp_path / "x.npz", model_of((3,)))
    assert np.array_equal(found.x, arrays[taken])


@pytest.mark.parametrize(
    ("given", "expected"),
    [((16,), (4, 4, 1)), ((4, 4), (4, 4, 1)), ((4, 4, 1), (16,)), ((4, 4), (16,)),
     ((4, 4, 1), (4, 4))],
)  # fmt: skip
def test_samples_of_as_many_numbers_are_reshaped(tmp_path, given, expected):
    x = np.arange(32.0).reshape(2, *given)
    np.save(tmp_path / "x.npy", x)
    found = read_inputs(tmp_path / "x.npy", model_of(expected)).x
    assert found.shape == (2, *expected)
    assert np.array_equal(found.ravel(), x.ravel())


def test_sequences_of_another_length_are_for_the_model_to_judge(tmp_path):
    recurrent = nn.Sequential([nn.LSTM(4), nn.Dense(2)], rng=0, input_shape=(5, 3))
    np.save(tmp_path / "x.npy", np.ones((2, 9, 3)))
    assert read_inputs(tmp_path / "x.npy", recurrent).x.shape == (2, 9, 3)
    dense = nn.Sequential([nn.Dense(4), nn.Flatten(), nn.Dense(2)], rng=0, input_shape=(5, 3))
    with pytest.raises(ValueError, match=r"samples of shape \(5, 3\), got \(9, 3\) \(.*layer 2"):
        read_inputs(tmp_path / "x.npy", dense)
    assert dense.predict(np.ones((1, 5, 3))).shape == (1, 2)


def sentences():
    layers = [nn.Embedding(20, 4), nn.GlobalAvgPool1D(), nn.Dense(2)]
    return nn.Sequential(layers, rng=0, input_shape=(7,))


def test_models_of_words_take_integers_as_they_are(tmp_path):
    x = np.arange(14, dtype=np.uint8).reshape(2, 7)
    np.save(tmp_path / "x.npy", x)
    assert np.array_equal(read_inputs(tmp_path / "x.npy", sentences()).x, x)


def write(folder):
    """Files that are bad for a model of (6, 4) images, each in its way."""
    grey = Image.fromarray(pixels(6, 4))
    for name in ("wide", "deep", "clear", "junk", "cut", "empty", "good"):
        (folder / name).mkdir()
    Image.fromarray(pixels(4, 6)).save(folder / "wide" / "x.png")
    Image.fromarray(pixels(6, 4).astype(np.uint16)).save(folder / "deep" / "x.png")
    Image.fromarray(pixels(6, 4, 4)).save(folder / "clear" / "x.png")
    grey.save(folder / "good" / "x.png")
    (folder / "junk" / "x.png").write_text("no image")
    image = (folder / "good" / "x.png").read_bytes()
    (folder / "cut" / "x.png").write_bytes(image[: len(image) // 2])
    np.save(folder / "small.npy", np.ones((2, 5, 4)))
    np.save(folder / "words.npy", np.array([["a", "b"]]))
    np.save(folder / "object.npy", np.array([[None]]), allow_pickle=True)
    np.save(folder / "nan.npy", np.full((2, 6, 4), np.nan))
    np.savez(folder / "two.npz", a=np.ones(3), b=np.ones(3))
    (folder / "junk.npz").write_text("no arrays")
    (folder / "x.txt").write_text("1 2 3")


BAD = [
    ("none", "is not there; give an .npy"),
    ("wide", r"x.png' has 6 x 4 pixels \(width x height\), and the model takes 4 x 6"),
    ("deep", "x.png' must have 8 bits a channel, got the mode I"),
    ("clear", "x.png' has transparent pixels"),
    ("junk", r"x.png' cannot be read as an image \(it is no image\)"),
    ("cut", "x.png' cannot be read as an image"),
    ("empty", "has no file in it that ends in .png"),
    ("small.npy", r"the model takes samples of shape \(6, 4\), got \(5, 4\)"),
    ("words.npy", "must hold real numbers, got <U1"),
    ("object.npy", "cannot be read .*pickle"),
    ("nan.npy", "finite in float32, got nan in sample 0"),
    ("two.npz", "must hold x, x_test or one array, got a, b"),
    ("junk.npz", "it is no .npz file"),
    ("x.txt", "must be an .npy, an .npz, an image or a folder"),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_bad_inputs_are_named(tmp_path, name, text):
    write(tmp_path)
    with pytest.raises((OSError, TypeError, ValueError), match=f"predict: '.*{name}.*{text}"):
        read_inputs(tmp_path / name, model_of((6, 4)))


@pytest.mark.parametrize(
    ("name", "model", "text"),
    [
        ("good", model_of((24,)), r"samples of shape \(24,\), which are no images"),
        ("good", model_of((6, 4, 2)), r"samples of shape \(6, 4, 2\), which are no images"),
        ("good", sentences(), "vocabulary of its training, which is not in its file.* got images"),
        ("words.npy", sentences(), "vocabulary of its training, which is not in its file.* <U1"),
    ],
)
def test_models_that_do_not_take_them_are_told(tmp_path, name, model, text):
    write(tmp_path)
    with pytest.raises((TypeError, ValueError), match=text):
        read_inputs(tmp_path / name, model)


def test_classes_with_and_without_samples():
    model, x = model_of((5,)), np.random.default_rng(0).random((9, 5), np.float32)
    inputs = Inputs(x, tuple(range(9)))
    p = model.predict(x)
    plain = predict(model, inputs)
    assert plain.kind == "class"
    assert list(plain.columns()) == ["row", "class", "probability"]
    assert np.array_equal(plain.columns()["probability"], p.max(axis=1))
    assert np.array_equal(plain.columns()["class"], p.argmax(axis=1))
    sampled, found = predict(model, inputs, 20, rng=3), model.predict_mc(x, 20, rng=3)
    columns = sampled.columns()
    best = found.mean.argmax(axis=1)
    assert np.array_equal(columns["class"], best)
    assert columns["probability"].tolist() == found.mean[range(9), best].tolist()
    assert columns["std"].tolist() == found.std[range(9), best].tolist()
    assert np.array_equal(columns["entropy"], found.entropy)
    assert np.array_equal(columns["mutual_information"], found.mutual_information)


@pytest.mark.parametrize(
    ("loss", "outputs", "names"),
    [
        ("binary_cross_entropy", 1, ["row", "probability", "std", "entropy", "mutual_information"]),
        ("mean_squared_error", 1, ["row", "value", "std"]),
        ("mean_squared_error", 2, ["row", "value_0", "value_1", "std_0", "std_1"]),
    ],
)
def test_answers_and_numbers(loss, outputs, names):
    model, x = model_of((5,), outputs, loss=loss), np.ones((2, 5), np.float32)
    found = predict(model, Inputs(x, (0, 1)), 10, rng=1)
    assert list(found.columns()) == names
    assert found.classes is None
    expected = model.predict_mc(x, 10, rng=1)
    assert np.array_equal(found.columns()[names[1]], expected.mean[:, 0])
    assert "probabilities" not in found.records()[0]


def test_files_have_every_row(tmp_path):
    model, x = model_of((5,)), np.random.default_rng(0).random((40, 5), np.float32)
    found = predict(model, Inputs(x, tuple(f"{place}.png" for place in range(40))), 7)
    for ending in ("csv", "npy", "npz"):
        assert found.save(tmp_path / f"all.{ending}") == tmp_path / f"all.{ending}"
    assert np.array_equal(np.load(tmp_path / "all.npy"), found.outputs)
    arrays = np.load(tmp_path / "all.npz")
    assert sorted(arrays) == sorted(
        ["names", "outputs", "std", "entropy", "mutual_information", "classes"]
    )
    assert np.array_equal(arrays["entropy"], found.entropy)
    assert arrays["names"][39] == "39.png"
    with (tmp_path / "all.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["file"] for line in lines] == list(found.names)
    for name in ("probability", "std", "entropy", "mutual_information"):
        expected = found.columns()[name]
        assert np.array_equal(np.array([line[name] for line in lines], np.float32), expected)
    third = np.array([line["probability_2"] for line in lines], np.float32)
    assert np.array_equal(third, found.outputs[:, 2])


def test_bad_places_and_models(tmp_path):
    found = predict(model_of((5,)), Inputs(np.ones((2, 5)), (0, 1)))
    with pytest.raises(ValueError, match=r"must end in one of .csv, .npy, .npz, got '.*x.txt'"):
        found.save(tmp_path / "x.txt")
    with pytest.raises(NotADirectoryError, match="missing' is not a folder"):
        found.save(tmp_path / "missing" / "x.csv")
    nn.Sequential([nn.Dense(2)]).save(tmp_path / "unbuilt")
    with pytest.raises(ValueError, match="unbuilt' has no weights yet"):
        load_model(tmp_path / "unbuilt")
    with pytest.raises(FileNotFoundError, match=r"none' cannot be read .*train --checkpoint FILE"):
        load_model(tmp_path / "none")
