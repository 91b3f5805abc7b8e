"""Arrays to train on, from where they are to be had."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from fastdrop import idx
from fastdrop.shards import Shards as Shards
from fastdrop.shards import release as release

# Images and labels to train on, then those to test on.
_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_PARTED = ("x_train", "y_train", "x_test", "y_test")
_WHOLE = ("x", "y")
_FILES_HELP = "save arrays of numbers with numpy.savez, or numpy.save for each"


class Dataset(NamedTuple):
    """Samples and integer labels, parted into those to train on and those to test on."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def load(
    name: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    train_share: float = 0.5,
) -> Dataset:
    """The data of a name or a path, parted for training and test.

    Parameters
    ----------
    name : {"digits", "mnist", "fashion_mnist", "reviews"} or path-like
        `digits`, `mnist`, `fashion_mnist` or `fastdrop.reviews.reviews`; or
        one's own data for `from_files`: a path that ends in .npz or a folder of
        .npy files. A folder that is called like one of the names is "./digits".
    data_dir : path-like, optional
        Of "mnist", "fashion_mnist" and "reviews": where their files are.
    train_share : float, default 0.5
        Share of the samples to train on, in (0, 1), of "digits" and of files
        that are not parted; the others come parted.

    Returns
    -------
    Dataset
        ``x`` is float32, or strings in the reviews; ``y`` is int64; shapes are
        those of the function.

    Raises
    ------
    ValueError
        If the name is not known, the share not in (0, 1), or a file bad.
    TypeError
        If an argument or an array is of a wrong kind.
    FileNotFoundError, ImportError
        If the data are not there; the text says how to get them.

    Examples
    --------
    >>> from fastdrop import data
    >>> data.load("digits", train_share=0.8).x_train.shape
    (1433, 64)
    """
    if not isinstance(name, (str, os.PathLike)):
        raise TypeError(f"load: name must be a string or a path, got {name!r}")
    train_share = _check_share(train_share, "load")
    if name == "digits":
        return digits(train_share)
    if name == "mnist":
        return mnist(data_dir)
    if name == "fashion_mnist":
        return fashion_mnist(data_dir)
    if name == "reviews":
        from fastdrop.reviews import reviews

        return reviews(data_dir)
    # Not of a Path: that of "" is the current folder.
    if os.fspath(name).endswith(".npz") or os.path.isdir(name):
        return from_files(name, train_share)
    raise ValueError(
        "load: name must be digits, mnist, fashion_mnist, reviews, a path that ends in .npz or a "
        f"folder of .npy files, got {os.fspath(name)!r}"
    )


def digits(train_share: float = 0.5) -> Dataset:
    """The 1,797 handwritten digits that scikit-learn ships, parted for training and test.

    Parameters
    ----------
    train_share : float, default 0.5
        Share of each digit's images to train on, in (0, 1). Half is the share
        of scikit-learn's own example of these digits.

    Returns
    -------
    Dataset
        ``x`` is float32 in [0, 1] of shape (samples, 64), 8 by 8 pixels row by
        row; ``y`` is int64 in [0, 10).

    Raises
    ------
    ImportError
        If scikit-learn is not installed; the text says how to get it.
    TypeError, ValueError
        If `train_share` is not a number or not in (0, 1), or if it leaves a
        part empty.

    Notes
    -----
    The parts are fixed and stratified: of each digit's ``n`` images, image
    ``i`` is to train on where ``floor((i + 1) * share) > floor(i * share)``,
    which spreads them evenly, and depends on no release of scikit-learn.

    References
    ----------
    Alpaydin, Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998; its test set.

    Examples
    --------
    >>> import fastdrop
    >>> digits = fastdrop.data.digits()
    >>> digits.x_train.shape, digits.x_test.shape
    ((896, 64), (901, 64))
    """
    share = _check_share(train_share, "digits")
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ImportError(
            'digits: scikit-learn is not installed: `pip install "fastdrop[app]"`'
        ) from None
    x, y = load_digits(return_X_y=True)
    return _part((x / 16).astype(np.float32), y.astype(np.int64), share, "digits")


def mnist(data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """The 70,000 handwritten digits of MNIST, 10,000 of them for the test.

    Parameters
    ----------
    data_dir : path-like, optional
        The folder that holds the four original files, plain or .gz
        (train-images-idx3-ubyte, train-labels-idx1-ubyte,
        t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte), or one that has them
        in a subfolder ``mnist``, which goes first. By default what the
        environment variable ``FASTDROP_DATA`` says. Nothing is downloaded.

    Returns
    -------
    Dataset
        ``x`` is float32 in [0, 1], the pixels / 255, of shape
        (samples, 28, 28, 1); ``y`` is int64 in [0, 10).

    Raises
    ------
    FileNotFoundError
        If a file is missing; the text says which, and where it was looked for.
    ValueError
        If a file is bad, or images and labels do not fit each other.

    Notes
    -----
    Fashion-MNIST has files of the same names and sizes: nothing but the
    folder tells them apart.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document
    Recognition", Proceedings of the IEEE 86, 1998;
    http://yann.lecun.com/exdb/mnist/

    Examples
    --------
    >>> import fastdrop
    >>> mnist = fastdrop.data.mnist("folder/of/the/files")  # doctest: +SKIP
    >>> mnist.x_train.shape, mnist.x_test.shape  # doctest: +SKIP
    ((60000, 28, 28, 1), (10000, 28, 28, 1))
    """
    return _from_idx("mnist", data_dir)


def fashion_mnist(data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """The 70,000 images of clothes of Fashion-MNIST, 10,000 of them for the test.

    Parameters
    ----------
    data_dir : path-like, optional
        As for `mnist`; the subfolder is ``fashion_mnist``.

    Returns
    -------
    Dataset
        ``x`` is float32 in [0, 1], the pixels / 255, of shape
        (samples, 28, 28, 1); ``y`` is int64 in [0, 10): T-shirt, trouser,
        pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot.

    Raises
    ------
    FileNotFoundError, ValueError
        As by `mnist`.

    References
    ----------
    Xiao, Rasul, Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
    Machine Learning Algorithms", arXiv:1708.07747, 2017;
    https://github.com/zalandoresearch/fashion-mnist

    Examples
    --------
    >>> import fastdrop
    >>> clothes = fastdrop.data.fashion_mnist("folder/of/the/files")  # doctest: +SKIP
    >>> clothes.y_train[:5]  # doctest: +SKIP
    array([9, 0, 0, 3, 0])
    """
    return _from_idx("fashion_mnist", data_dir)


def from_files(path: str | os.PathLike[str], train_share: float = 0.5) -> Dataset:
    """One's own arrays: an .npz file, or a folder of .npy files.

    Parameters
    ----------
    path : path-like
        A file of `numpy.savez` with the arrays ``x_train``, ``y_train``,
        ``x_test`` and ``y_test``, or with ``x`` and ``y``; or a folder with
        x_train.npy and so on. Others that lie there are not read.
    train_share : float, default 0.5
        Share of each label's samples to train on, in (0, 1), of ``x`` and
        ``y``: parted as `digits` are. Arrays that are parted stay as they are.

    Returns
    -------
    Dataset
        ``x`` is float32 in the file's shape (samples, ...); **uint8 is taken
        for pixels and divided by 255**, other values stay. ``y`` is int64 of
        shape (samples,).

    Raises
    ------
    ValueError
        If the file cannot be read as such; if an array is missing, empty, of a
        wrong shape, or holds NaN, infinity, what float32 cannot hold, or a
        negative label; or if `train_share` is not in (0, 1) or leaves a part
        empty.
    TypeError
        If ``x`` are not real numbers, ``y`` not integers, or one of
        ``x_train`` and ``x_test`` alone is uint8.
    FileNotFoundError, PermissionError
        If it is missing or must not be read.

    Notes
    -----
    Pickled objects are never loaded.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from fastdrop import data
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "mine.npz")
    ...     np.savez(path, x=np.eye(6), y=[0, 1, 0, 1, 0, 1])
    ...     mine = data.from_files(path, train_share=2 / 3)
    >>> mine.x_train.shape, mine.y_train, mine.y_test
    ((4, 6), array([0, 1, 0, 1]), array([0, 1]))
    """
    share = _check_share(train_share, "from_files")
    path = Path(path)
    where = f"from_files: {path}"
    if not path.exists():
        raise FileNotFoundError(f"{where} does not exist; give an .npz file or a folder of .npy")
    arrays = _arrays(path, where)
    if "x" in arrays:
        return _part(*_pair(arrays, "x", "y", where), share, where)
    dtypes = arrays["x_train"].dtype, arrays["x_test"].dtype
    if dtypes.count(np.dtype(np.uint8)) == 1:
        raise TypeError(
            f"{where}: x_train and x_test must both be uint8 or neither, as uint8 is divided by "
            f"255, got {dtypes[0]} and {dtypes[1]}"
        )
    train = _pair(arrays, "x_train", "y_train", where)
    data = Dataset(*train, *_pair(arrays, "x_test", "y_test", where))
    if data.x_train.shape[1:] != data.x_test.shape[1:]:
        raise ValueError(
            f"{where}: x_test must have samples of the shape of x_train's, "
            f"{data.x_train.shape[1:]}, got {data.x_test.shape[1:]}"
        )
    return data


def _check_share(share: Any, where: str) -> float:
    if not isinstance(share, Real):
        raise TypeError(f"{where}: train_share must be a number, got {share!r}")
    # Written so that NaN fails.
    if not 0 < share < 1:  # type: ignore[operator]
        raise ValueError(f"{where}: train_share must be in (0, 1), got {share!r}")
    return float(share)


def _part(x: np.ndarray, y: np.ndarray, share: float, where: str) -> Dataset:
    """Parted as the Notes of `digits` say, for any labels."""
    order = np.argsort(y, kind="stable")
    counts = np.unique(y, return_counts=True)[1]
    place = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    train = np.empty(len(y), bool)
    train[order] = np.floor((place + 1) * share) > np.floor(place * share)
    if train.all() or not train.any():
        raise ValueError(f"{where}: train_share {share} of {len(y):,} samples leaves a part empty")
    return Dataset(x[train], y[train], x[~train], y[~train])


def _from_idx(name: str, data_dir: str | os.PathLike[str] | None) -> Dataset:
    files = _find(name, data_dir)
    return Dataset(*_images(files[0], files[1], name), *_images(files[2], files[3], name))


def _find(name: str, data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """The four files, from the subfolder `name` or the folder itself."""
    root = data_dir or os.environ.get("FASTDROP_DATA")
    advice = "name the folder that has them with --data-dir (data_dir) or FASTDROP_DATA"
    if not root:
        raise FileNotFoundError(
            f"{name}: the files {', '.join(_IDX_FILES)} (plain or .gz) are needed, and no folder "
            f"is given; {advice}"
        )
    missing: list[list[str]] = []
    for folder in (Path(root, name), Path(root)):
        files = {}
        for stem in _IDX_FILES:
            for file in (folder / stem, folder / f"{stem}.gz"):
                if file.is_file():
                    files[stem] = file
        if len(files) == len(_IDX_FILES):
            return list(files.values())
        missing.append([stem for stem in _IDX_FILES if stem not in files])
    # Of a folder that has some, the others are what its owner wants to know.
    fewest = min(missing, key=len)
    raise FileNotFoundError(
        f"{name}: the files {', '.join(fewest)} (plain or .gz) are needed, and are "
        f"neither in {Path(root, name)} nor in {Path(root)}; {advice}"
    )


def _images(images: Path, labels: Path, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as float32 in [0, 1], channels last, and labels as int64."""
    x, y = idx.read(images), idx.read(labels)
    if x.dtype != np.uint8 or x.shape[1:] != (28, 28) or not len(x):
        raise ValueError(
            f"{where}: {images} must hold uint8 images of shape (samples, 28, 28), "
            f"got {x.dtype} of shape {x.shape}; download it again"
        )
    if y.dtype != np.uint8 or y.shape != (len(x),):
        raise ValueError(
            f"{where}: {labels} must hold a uint8 label for each of the {len(x):,} images of "
            f"{images.name}, got {y.dtype} of shape {y.shape}; download both again"
        )
    if y.max() > 9:
        raise ValueError(
            f"{where}: {labels} must hold labels in 0..9, got {y.max()}; download it again"
        )
    return x[..., None] / np.float32(255), y.astype(np.int64)


def _arrays(path: Path, where: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file or of a folder of .npy files that make up a `Dataset`."""
    if path.is_dir():
        files = [file.name for file in path.iterdir()]
        return _read_arrays(files, lambda name: (path / name).open("rb"), where)
    with path.open("rb") as file:
        with _reading(f"{where} is not an .npz file"):
            archive = zipfile.ZipFile(file)
        with archive:
            return _read_arrays(archive.namelist(), archive.open, where)


def _read_arrays(
    files: Collection[str], open_file: Callable[[str], IO[bytes]], where: str
) -> dict[str, np.ndarray]:
    names = _PARTED if any(f"{name}.npy" in files for name in _PARTED) else _WHOLE
    if missing := [name for name in names if f"{name}.npy" not in files]:
        raise ValueError(
            f"{where}: expected the arrays x_train, y_train, x_test and y_test, or x and y, "
            f"{' and '.join(missing)} missing; {_FILES_HELP}"
        )
    arrays = {}
    for name in names:
        with _reading(f"{where}: {name} cannot be read"), open_file(f"{name}.npy") as file:
            arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
            # A zip's checksum is verified at its end.
            if file.read(1):
                raise ValueError("it goes on behind its array")
    return arrays


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Make one kind of error of the dozen, OSError among them, that bad files give."""
    try:
        yield
    except (PermissionError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"{what} ({error}); {_FILES_HELP}") from error


def _pair(
    arrays: dict[str, np.ndarray], x_name: str, y_name: str, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Checked samples and labels; taken out of `arrays`, to be held once."""
    x = _samples(arrays.pop(x_name), x_name, where)
    y = arrays.pop(y_name)
    if y.dtype.kind not in "iu":
        raise TypeError(
            f"{where}: {y_name} must hold integer labels, got {y.dtype}; cast whole numbers with "
            f"{y_name}.astype(int)"
        )
    if y.shape != (len(x),):
        raise ValueError(
            f"{where}: {y_name} must hold one label for each of the {len(x):,} samples of "
            f"{x_name}, shape ({len(x)},), got shape {y.shape}"
        )
    labels = y.astype(np.int64)
    # Also of a uint64 that int64 cannot hold.
    if (wrong := labels < 0).any():
        raise ValueError(f"{where}: {y_name} must hold labels in [0, 2**63), got {y[wrong][0]}")
    return x, labels


def _samples(x: np.ndarray, name: str, where: str) -> np.ndarray:
    if x.dtype.kind not in "fiub":
        raise TypeError(f"{where}: {name} must hold real numbers, got {x.dtype}")
    if x.ndim < 2 or not x.size:
        raise ValueError(
            f"{where}: {name} must have shape (samples, features) or (samples, ...) and not be "
            f"empty, got shape {x.shape}"
        )
    if x.dtype == np.uint8:
        return np.divide(x, np.float32(255), order="C")
    with np.errstate(all="ignore"):
        single = x.astype(np.float32, order="C", copy=False)
    if not (finite := np.isfinite(single)).all():
        row = np.argmin(finite.reshape(len(x), -1).all(axis=1))
        value = x[row][~finite[row]][0]
        raise ValueError(
            f"{where}: {name} must hold numbers that are finite in float32, got {value} in "
            f"sample {row}"
        )
    return single
