"""Arrays from data sets."""

import gzip
import math
import os
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from test_idx import encode

from fastdrop.data import Dataset, digits, fashion_mnist, from_files, load, mnist

IDX_FILES = {
    "train-images-idx3-ubyte": ([place % 256 for place in range(3 * 784)], (3, 28, 28)),
    "train-labels-idx1-ubyte": ([5, 0, 9], (3,)),
    "t10k-images-idx3-ubyte": ([255 - place % 256 for place in range(2 * 784)], (2, 28, 28)),
    "t10k-labels-idx1-ubyte": ([7, 2], (2,)),
}
# Samples of each label: published for MNIST, 6,000 and 1,000 for Fashion-MNIST.
MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def write_idx(folder, without=(), **other):
    """Four small IDX files, two of them compressed; `other` replaces some."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, (name, content) in enumerate(IDX_FILES.items()):
        if name not in without:
            packed = encode(*other.get(name[:-11].replace("-", "_"), content))
            if place % 2:
                (folder / f"{name}.gz").write_bytes(gzip.compress(packed))
            else:
                (folder / name).write_bytes(packed)
    return folder


def parted(**other):
    """Arrays of a small data set, in which `other` replaces some; None leaves one out."""
    x = np.arange(24.0).reshape(6, 4)
    arrays = {"x_train": x[:4], "y_train": [0, 1, 2, 0], "x_test": x[4:], "y_test": [1, 2]}
    return {name: array for name, array in (arrays | other).items() if array is not None}


def write_npz(folder, arrays):
    np.savez(folder / "mine.npz", **arrays)
    return folder / "mine.npz"


def write_npy(folder, arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


WRITERS = pytest.mark.parametrize("write", [write_npz, write_npy])


def assert_same(data, other):
    for array, expected in zip(data, other, strict=True):
        assert array.dtype == expected.dtype
        assert np.array_equal(array, expected)


# Digits


def test_digits_are_images_and_labels():
    data = digits()
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x.shape == (len(y), 64)
        assert x.dtype == np.float32
        assert y.dtype == np.int64
        assert (x.min(), x.max()) == (0, 1)
        assert set(y) == set(range(10))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_digits_are_parted_evenly(share):
    from sklearn.datasets import load_digits

    data = digits(share)
    every, labels = load_digits(return_X_y=True)
    assert len(data.y_train) + len(data.y_test) == 1797
    # Every image comes once: sums of pixels and labels are kept.
    assert data.x_train.sum(dtype=float) + data.x_test.sum(dtype=float) == every.sum() / 16
    for digit in range(10):
        count = (labels == digit).sum()
        assert (data.y_train == digit).sum() == int(count * share)


def test_digits_are_the_same_every_time():
    for first, second in zip(digits(), digits(), strict=True):
        assert np.array_equal(first, second)
    # The first zero is for the test, the second (image 10) for training.
    from sklearn.datasets import load_digits

    every = load_digits(return_X_y=True)[0] / 16
    assert (digits().x_test[0] == every[0]).all()
    assert (digits().x_train[digits().y_train == 0][0] == every[10]).all()


@pytest.mark.parametrize(
    ("share", "error", "text"),
    [
        (0, ValueError, r"digits: train_share must be in \(0, 1\), got 0"),
        (1.0, ValueError, r"digits: train_share must be in \(0, 1\), got 1.0"),
        (float("nan"), ValueError, "digits: train_share must be in"),
        (1e-9, ValueError, "leaves a part empty"),
        ("half", TypeError, "digits: train_share must be a number, got 'half'"),
    ],
)
def test_a_bad_share_is_told(share, error, text):
    with pytest.raises(error, match=text):
        digits(share)


def test_without_scikit_learn_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r'pip install "fastdrop\[app\]"'):
        digits()


# MNIST and Fashion-MNIST


@pytest.mark.parametrize("subfolder", [True, False])
@pytest.mark.parametrize("by_variable", [True, False])
@pytest.mark.parametrize(("name", "function"), [("mnist", mnist), ("fashion_mnist", fashion_mnist)])
def test_idx_data(tmp_path, monkeypatch, name, function, subfolder, by_variable):
    write_idx(tmp_path / name if subfolder else tmp_path)
    # The argument goes before the variable.
    monkeypatch.setenv("FASTDROP_DATA", str(tmp_path if by_variable else tmp_path / "nowhere"))
    data = function(None if by_variable else tmp_path)
    assert data.x_train.shape == (3, 28, 28, 1)
    assert data.x_test.shape == (2, 28, 28, 1)
    for x in (data.x_train, data.x_test):
        assert x.dtype == np.float32
        assert (x.min(), x.max()) == (0, 1)
    for y, labels in ((data.y_train, [5, 0, 9]), (data.y_test, [7, 2])):
        assert y.dtype == np.int64
        assert y.tolist() == labels
    pixel = 28 * 28 + 3 * 28 + 5
    assert data.x_train[1, 3, 5, 0] == np.float32(pixel % 256) / np.float32(255)
    assert data.x_test[1, 3, 5, 0] == np.float32(255 - pixel % 256) / np.float32(255)
    assert_same(load(name, None if by_variable else str(tmp_path)), data)


def test_the_subfolder_goes_first(tmp_path):
    write_idx(tmp_path)
    write_idx(tmp_path / "fashion_mnist", train_labels=([1, 1, 1], (3,)))
    assert mnist(tmp_path).y_train.tolist() == [5, 0, 9]
    assert fashion_mnist(tmp_path).y_train.tolist() == [1, 1, 1]


def test_missing_files_are_told(tmp_path, monkeypatch):
    monkeypatch.delenv("FASTDROP_DATA", raising=False)
    everything = ", ".join(IDX_FILES)
    needed = rf"^mnist: the files {everything} \(plain or .gz\) are needed"
    with pytest.raises(
        FileNotFoundError, match=rf"{needed}, and no folder .* --data-dir .* FASTDROP_DATA$"
    ):
        mnist()
    inside = tmp_path / "mnist"
    looked = f"neither in {inside} nor in {tmp_path}; name the folder .* --data-dir .*_DATA$"
    with pytest.raises(FileNotFoundError, match=f"{needed}, and are {looked}"):
        mnist(tmp_path)
    write_idx(inside, without=["t10k-labels-idx1-ubyte"])
    monkeypatch.setenv("FASTDROP_DATA", str(tmp_path))
    with pytest.raises(
        FileNotFoundError,
        match=rf"^mnist: the files t10k-labels-idx1-ubyte \(plain .* are {looked}",
    ):
        mnist()


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"train_labels": ([5, 0], (2,))},
         r"train-labels-idx1-ubyte\.gz must hold a uint8 label for each of the 3 images of "
         r"train-images-idx3-ubyte, got uint8 of shape \(2,\)"),
        ({"t10k_labels": ([5, 10], (2,))}, r"t10k-labels-idx1-ubyte\.gz must .* in 0..9, got 10"),
        ({"t10k_labels": ([5, 1], (2,), 0x0C)}, "must hold a uint8 label .*, got int32"),
        ({"train_images": ([0] * 12, (3, 2, 2))},
         r"train-images-idx3-ubyte must hold uint8 images of shape \(samples, 28, 28\), "
         r"got uint8 of shape \(3, 2, 2\)"),
        ({"train_images": ([0.0] * 784, (1, 28, 28), 0x0D)}, "must hold uint8 .* got float32"),
        ({"train_images": ([], (0, 28, 28)), "train_labels": ([], (0,))},
         r"got uint8 of shape \(0, 28, 28\)"),
        # Images where labels should be.
        ({"train_labels": ([0] * 3 * 784, (3, 28, 28))}, r"got uint8 of shape \(3, 28, 28\)"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_told(tmp_path, files, text):
    with pytest.raises(ValueError, match=rf"^mnist: \S+.*{text}.*; download \w+ again"):
        mnist(write_idx(tmp_path, **files))


def test_a_broken_idx_file_is_told(tmp_path):
    file = write_idx(tmp_path) / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{file} is truncated: expected 2,368 bytes, got 2,367"):
        mnist(tmp_path)


def test_pixels_are_held_once_as_bytes_and_once_as_floats(tmp_path):
    images = ([7] * (2000 * 784), (2000, 28, 28))
    write_idx(tmp_path, train_images=images, train_labels=([1] * 2000, (2000,)))
    tracemalloc.start()
    try:
        data = mnist(tmp_path)
        assert data.x_train.nbytes == 2000 * 784 * 4
        assert tracemalloc.get_traced_memory()[1] < 5.5 * 2000 * 784
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "first", "counts", "mean", "std"),
    [
        ("mnist", ([5, 0, 4, 1, 9], [7, 2, 1, 0, 4]), (MNIST_TRAIN, MNIST_TEST),
         0.130660, 0.308108),
        ("fashion_mnist", ([9, 0, 0, 3, 0], [9, 2, 1, 1, 6]), ([6000] * 10, [1000] * 10),
         0.286041, 0.353024),
    ],
)  # fmt: skip
def test_the_real_files(name, first, counts, mean, std):
    folder = os.environ.get("FASTDROP_DATA")
    if not folder:
        pytest.skip("FASTDROP_DATA does not say where the real files are")
    if not Path(folder, name).is_dir():
        pytest.skip(f"FASTDROP_DATA has no folder {name}")
    data = load(name)
    assert data.x_train.shape == (60000, 28, 28, 1)
    assert data.x_test.shape == (10000, 28, 28, 1)
    for y, labels, count in zip((data.y_train, data.y_test), first, counts, strict=True):
        assert y[:5].tolist() == labels
        assert np.bincount(y).tolist() == count
    average = data.x_train.mean(dtype=float)
    assert average == pytest.approx(mean, abs=5e-7)
    square = np.square(data.x_train).mean(dtype=float)
    assert math.sqrt(square - average**2) == pytest.approx(std, abs=5e-7)


# One's own files


@WRITERS
def test_parted_arrays_stay_as_they_are(tmp_path, write):
    arrays = parted()
    data = from_files(write(tmp_path, {**arrays, "notes": np.arange(3)}))
    for array, name in zip(data, Dataset._fields, strict=True):
        assert array.dtype == (np.float32 if name[0] == "x" else np.int64)
        assert np.array_equal(array, arrays[name])
    assert_same(load(write(tmp_path, arrays), train_share=0.1), data)


@WRITERS
@pytest.mark.parametrize("share", [0.3, 0.5, 2 / 3])
def test_whole_arrays_are_parted_evenly(tmp_path, write, share):
    rng = np.random.default_rng(1)
    x, y = rng.random((61, 2, 3), np.float32), rng.choice([0, 3, 4, 70], 61)
    seen, train = {}, []
    for label in y.tolist():
        place = seen[label] = seen.get(label, -1) + 1
        train.append(math.floor((place + 1) * share) > math.floor(place * share))
    test = [not taken for taken in train]
    data = from_files(write(tmp_path, {"x": x, "y": y}), share)
    assert_same(data, (x[train], y[train], x[test], y[test]))
    assert_same(load(write(tmp_path, {"x": x, "y": y}), train_share=share), data)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int64", "float16", "float32", "float64", ">f4", "<f8"]
)
def test_samples_become_float32(tmp_path, dtype):
    x = np.asfortranarray([[0, 1, 3], [1, 0, 2]]).astype(dtype)
    data = from_files(write_npz(tmp_path, parted(x_train=x, y_train=[0, 1], x_test=x)))
    assert data.x_train.dtype == np.float32
    assert data.x_train.dtype.isnative
    assert data.x_train.flags.c_contiguous
    assert data.x_train.tolist() == x.astype(float).tolist()


def test_uint8_is_pixels(tmp_path):
    x = np.arange(256, dtype=np.uint8).reshape(2, 2, 64)
    data = from_files(write_npz(tmp_path, parted(x_train=x, y_train=[0, 1], x_test=x)))
    for part in (data.x_train, data.x_test):
        assert part.dtype == np.float32
        assert part.tolist() == (x.astype(np.float32) / np.float32(255)).tolist()


@pytest.mark.parametrize("dtype", ["int8", "uint8", ">i4", "uint64"])
def test_labels_become_int64(tmp_path, dtype):
    y = np.array([0, 100, 2, 0], dtype)
    data = from_files(write_npz(tmp_path, parted(y_train=y)))
    assert data.y_train.dtype == np.int64
    assert data.y_train.tolist() == [0, 100, 2, 0]


@pytest.mark.parametrize(
    ("other", "error", "text"),
    [
        ({"y_test": None}, ValueError,
         "expected the arrays x_train, y_train, .* or x and y, y_test missing; save"),
        ({"x_train": None, "y_train": None, "x_test": None, "y_test": None, "x": [[1.0]]},
         ValueError, "or x and y, y missing"),
        ({"x_train": [["a"]]}, TypeError, "x_train must hold real numbers, got <U1"),
        ({"x_test": [[1j]]}, TypeError, "x_test must hold real numbers, got complex128"),
        ({"x_test": [[None]]}, ValueError, r"x_test cannot be read \(.*allow_pickle=False\)"),
        ({"x_train": [1.0, 2.0]}, ValueError, r"x_train must have shape .* got shape \(2,\)"),
        ({"x_train": 1.0}, ValueError, r"x_train must have shape .* got shape \(\)"),
        ({"x_train": np.empty((0, 4)), "y_train": []}, ValueError, "x_train must .* not be empty"),
        ({"x_test": np.empty((2, 0))}, ValueError, r"x_test must .* empty, got shape \(2, 0\)"),
        ({"x_test": [[0, 0, 0, 1.0], [0, math.nan, 0, 0]]}, ValueError,
         "x_test must hold numbers that are finite in float32, got nan in sample 1"),
        ({"x_test": [[0, 0, 0, -math.inf], [0, 0, 0, 0]]}, ValueError, "got -inf in sample 0"),
        ({"x_test": [[0, 0, 1e39, 0], [0, 0, 0, 0]]}, ValueError, r"got 1e\+39 in sample 0"),
        ({"x_test": np.zeros((2, 4), np.uint8)}, TypeError,
         "must both be uint8 or neither, .* got float64 and uint8"),
        ({"x_test": np.zeros((2, 5))}, ValueError,
         r"x_test must have samples of the shape of x_train's, \(4,\), got \(5,\)"),
        ({"y_train": [0.0, 1.0, 2.0, 0.0]}, TypeError,
         r"y_train must hold integer labels, got float64; cast .* y_train.astype\(int\)"),
        ({"y_train": [True, False, True, True]}, TypeError, "y_train must .*, got bool; cast"),
        ({"y_train": ["a", "b", "c", "d"]}, TypeError, "y_train must hold integer labels, got <U1"),
        ({"y_test": [1, 2, 0]}, ValueError,
         r"y_test must .* each of the 2 samples of x_test, shape \(2,\), got shape \(3,\)"),
        ({"y_test": [[0, 1], [1, 0]]}, ValueError, r"y_test must hold one .* got shape \(2, 2\)"),
        ({"y_test": [0, -1]}, ValueError, r"y_test must hold labels in \[0, 2\*\*63\), got -1"),
        ({"y_test": np.array([0, 2**63], np.uint64)}, ValueError, f"y_test must .* got {2**63}"),
    ],
)  # fmt: skip
@WRITERS
def test_bad_arrays_are_told(tmp_path, write, other, error, text):
    path = write(tmp_path, parted(**other))
    with pytest.raises(error, match=f"^from_files: {path}: .*{text}"):
        from_files(path)


def test_a_part_that_is_left_empty_is_told(tmp_path):
    path = write_npz(tmp_path, {"x": np.eye(3), "y": [0, 1, 2]})
    with pytest.raises(ValueError, match=r"mine\.npz: train_share 0.5 of 3 samples leaves a part"):
        from_files(path)


def test_a_file_with_many_labels_is_parted_at_once(tmp_path):
    # One pass for each label would take minutes.
    y = np.arange(200_000) // 2
    data = from_files(write_npz(tmp_path, {"x": np.ones((len(y), 1)), "y": y}))
    assert np.array_equal(data.y_train, data.y_test)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_truncation_and_flip_of_a_file(tmp_path, save):
    path = tmp_path / "mine.npz"
    save(path, x=np.arange(12.0).reshape(4, 3), y=[0, 1, 0, 1])
    data, content = from_files(path), path.read_bytes()

    def is_told(changed):
        path.write_bytes(changed)
        try:
            assert_same(from_files(path), data)
        except ValueError as error:
            if str(path) not in str(error):
                raise
            return True
        return False

    for length in range(len(content)):
        assert is_told(content[:length])
    told = 0
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0xFF
        told += is_told(bytes(changed))
    assert told > len(content) / 2


def test_other_files_are_told(tmp_path):
    path = tmp_path / "mine.npz"
    for content in (b"", b"x,y\n1,2\n", encode([1], (1,))):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"^from_files: {path} is not an .npz file .*; save"):
            from_files(path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz does not exist; give an .npz"):
        from_files(tmp_path / "nowhere.npz")


def test_pickles_are_not_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    bomb = np.array([[Bomb()]], object)
    for write in (write_npz, write_npy):
        with pytest.raises(ValueError, match="x cannot be read"):
            from_files(write(tmp_path, {"x": bomb, "y": [0]}))
    assert not (tmp_path / "exploded").exists()


def test_an_array_that_goes_on_is_told(tmp_path):
    write_npy(tmp_path, parted())
    with (tmp_path / "y_test.npy").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match=r"y_test cannot be read \(it goes on"):
        from_files(tmp_path)


# By name


def test_load_knows_the_digits():
    assert_same(load("digits"), digits())
    assert_same(load("digits", train_share=0.8), digits(0.8))


def test_a_folder_that_is_called_like_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    write_npy(tmp_path / "digits", parted())
    assert_same(load("digits"), digits())
    assert_same(load("./digits"), from_files("digits"))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("minst",), ValueError,
         "load: name must be digits, mnist, fashion_mnist, reviews, a path .*.npz .* 'minst'"),
        (("mine.csv",), ValueError, "got 'mine.csv'"),
        (("",), ValueError, "load: name must be"),
        ((5,), TypeError, "load: name must be a string or a path, got 5"),
        (("nowhere.npz",), FileNotFoundError, "nowhere.npz does not exist"),
        (("mnist", "nowhere"), FileNotFoundError, "mnist: .* in nowhere; name the folder"),
        (("mnist", None, 1.5), ValueError, r"load: train_share must be in \(0, 1\), got 1.5"),
        (("mine.npz", None, "all"), TypeError, "load: train_share must be a number, got 'all'"),
    ],
)  # fmt: skip
def test_load_tells_what_it_does_not_know(arguments, error, text):
    with pytest.raises(error, match=text):
        load(*arguments)
