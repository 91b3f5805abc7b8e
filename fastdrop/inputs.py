"""Samples for a saved model, from arrays and images in files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from math import isqrt, prod
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np

from fastdrop.data import _reading, _samples
from fastdrop.nn import Sequential

IMAGES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Inputs:
    """Samples as a model takes them, and where each is from.

    Attributes
    ----------
    x : ndarray of shape (rows, ...)
    names : tuple of str or int
        Names of image files, or numbers of rows.
    """

    x: np.ndarray
    names: tuple[str | int, ...]


def read_inputs(path: str | os.PathLike[str], model: Sequential) -> Inputs:
    """Samples for a model, scaled as `fastdrop.data` scales those to train on.

    Parameters
    ----------
    path : path-like
        An .npy file; an .npz file, of which ``x``, else ``x_test``, else its only
        array is taken; a folder of .png and .jpg files, in the order of their
        names; or one of these.
    model : Sequential
        Built. Its samples say how large images have to be and whether they are
        grey or in colour; nothing is resized.

    Returns
    -------
    Inputs
        ``x`` is float32, **uint8 and images divided by 255**; or integers, for a
        model that takes these.

    Raises
    ------
    FileNotFoundError, PermissionError
        If nothing is there, or it must not be read.
    ValueError, TypeError
        If a file cannot be read as such, or holds what the model does not take;
        the text names it, what it has and what is expected.
    ImportError
        If images are there and Pillow is not.

    Notes
    -----
    Samples of as many numbers are reshaped as in training: rows of pixels to
    images and back, and an axis for one channel. Pickled objects are never loaded.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from fastdrop import inputs, nn
    >>> model = nn.Sequential([nn.Flatten(), nn.Dense(3)], input_shape=(8, 8, 1))
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "mine.npy")
    ...     np.save(path, np.full((5, 64), 255, np.uint8))
    ...     found = inputs.read_inputs(path, model)
    >>> found.x.shape, float(found.x.max()), found.names
    ((5, 8, 8, 1), 1.0, (0, 1, 2, 3, 4))
    """
    path = Path(path)
    where = f"predict: {str(path)!r}"
    if not path.exists():
        raise FileNotFoundError(f"{where} is not there; give an .npy, an .npz or a folder of .png")
    words = model.layers[0].takes_indices
    vocabulary = (
        f"{where}: the model takes numbers of words, as fastdrop.text makes them with the "
        "vocabulary of its training, which is not in its file; give an .npy of such integers"
    )
    if path.is_dir() or path.suffix.lower() in IMAGES:
        if words:
            raise TypeError(f"{vocabulary}, got images")
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        files = [file for file in files if file.suffix.lower() in IMAGES]
        if not files:
            raise ValueError(f"{where} has no file in it that ends in {', '.join(IMAGES)}")
        return Inputs(_images(files, model, where), tuple(file.name for file in files))
    if path.suffix.lower() not in (".npy", ".npz"):
        raise ValueError(f"{where} must be an .npy, an .npz, an image or a folder of images")
    with _reading(f"{where} cannot be read"):
        x, name = _array(path)
    if not words:
        x = _samples(x, name, where)
    elif x.dtype.kind not in "iu":
        raise TypeError(f"{vocabulary}, got {x.dtype}")
    return Inputs(reshaped(x, model, where), tuple(range(len(x))))


def _array(path: Path) -> tuple[np.ndarray, str]:
    """The array in a file, and its name."""
    if path.suffix.lower() == ".npy":
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False), "the array"
    if not is_zipfile(path):  # of which np.load would say that it is pickled
        raise ValueError("it is no .npz file")
    with np.load(path, allow_pickle=False) as arrays:
        names = arrays.files
        wanted = [name for name in ("x", "x_test") if name in names][:1] or names
        if len(wanted) != 1:
            raise ValueError(f"it must hold x, x_test or one array, got {', '.join(names)}")
        return arrays[wanted[0]], wanted[0]


def reshaped(x: np.ndarray, model: Sequential, where: str) -> np.ndarray:
    """`x` in the shape of the samples that the model was trained on, or one that it takes, too."""
    expected: tuple[Any, ...] = model._sample or ()
    given = x.shape[1:]
    flat = 1 in (len(expected), len(given)) and max(map(len, (_image(expected), _image(given)))) < 3
    if prod(expected) == prod(given) and (flat or _image(expected) == _image(given)):
        x = x.reshape(-1, *expected)
    try:
        return model._check_samples(x, where)
    except ValueError as error:
        raise ValueError(
            f"{where}: the model takes samples of shape {expected}, got {given} ({error})"
        ) from error


def _image(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """A sample's shape without its one channel."""
    return shape[:-1] if len(shape) == 3 and shape[-1] == 1 else shape


def _images(files: Iterable[Path], model: Sequential, where: str) -> np.ndarray:
    """Pixels in [0, 1], in the shape of the model's samples."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise ImportError(
            f'{where}: Pillow, which reads images, is not installed: `pip install "fastdrop[app]"`'
        ) from None
    sample: tuple[Any, ...] = model._sample or ()
    shape = _image(sample)
    if len(shape) == 1 and isqrt(shape[0]) ** 2 == shape[0]:
        shape = isqrt(shape[0]), isqrt(shape[0])
    if len(shape) not in (2, 3) or shape[2:] not in ((), (3,)):
        raise ValueError(
            f"{where}: the model takes samples of shape {sample}, which are no images, grey or "
            "in colour; give it an .npy or .npz file"
        )
    pixels = [_pixels(file, shape) for file in files]
    return np.stack(pixels).reshape(-1, *sample) / np.float32(255)


def _pixels(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The uint8 pixels of one image, grey (H, W) or in colour (H, W, 3)."""
    where = f"predict: {str(file)!r}"
    image = _image_in(file, where)
    height, width = shape[:2]
    if image.size != (width, height):
        raise ValueError(
            f"{where} has {image.width} x {image.height} pixels (width x height), and the "
            f"model takes {width} x {height}; nothing is resized here"
        )
    if image.mode[0] in "IF":
        raise ValueError(f"{where} must have 8 bits a channel, got the mode {image.mode}")
    if image.has_transparency_data:
        opaque, _ = image.convert("RGBA").getchannel("A").getextrema()
        if opaque != 255:
            raise ValueError(f"{where} has transparent pixels; save it without transparency")
    return np.asarray(image.convert("L" if len(shape) == 2 else "RGB"))


def _image_in(file: Path, where: str) -> Any:
    """An image, as it is to be seen; Pillow has a dozen errors for bad ones."""
    from PIL import Image, ImageOps

    data = BytesIO(file.read_bytes())
    try:
        # A camera held upright says so, and leaves the turning to who reads.
        return ImageOps.exif_transpose(Image.open(data))
    except MemoryError:
        raise
    except Exception as error:
        reason = "it is no image" if isinstance(error, Image.UnidentifiedImageError) else error
        raise ValueError(f"{where} cannot be read as an image ({reason})") from error
