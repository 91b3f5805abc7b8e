"""IDX files, the format in which MNIST and Fashion-MNIST come."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from math import prod
from typing import IO

import numpy as np

_TYPES: dict[int, np.dtype] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_MOST_AXES = 64  # NumPy's own limit
_CHUNK = 1 << 20


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """The array of an IDX file, gzip-compressed or plain.

    Parameters
    ----------
    path : path-like
        Its first bytes, not its name, tell whether it is compressed.

    Returns
    -------
    ndarray
        Of uint8, int8, int16, int32, float32 or float64 in native byte order,
        with 1 to 64 axes; writeable.

    Raises
    ------
    ValueError
        If the file is no IDX file, is truncated or corrupt, or goes on behind
        its array.
    OSError
        If it cannot be opened or read: FileNotFoundError if it is missing.

    Notes
    -----
    Two zero bytes, a byte for the type, a byte for the number of axes, each
    axis's size as a big-endian uint32, and the elements, big-endian, in C
    order [1]_. No more is held in memory than the file has, whatever sizes its
    header claims, nor more than those sizes, however far it would unpack.

    References
    ----------
    .. [1] LeCun, Cortes, Burges, "The MNIST database of handwritten digits",
       section "File formats", http://yann.lecun.com/exdb/mnist/

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from fastdrop import idx
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "labels-idx1-ubyte")
    ...     size = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
    ...     idx.read(path)
    array([5, 0, 4], dtype=uint8)
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not zipped:
            return _parse(file, name)
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _parse(unpacked, name)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f"read: {name} is a truncated or corrupt gzip file ({error}); download it again"
            ) from error


def _parse(file: IO[bytes] | gzip.GzipFile, name: str) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4:
        raise ValueError(
            f"read: {name} is empty or truncated: expected a header of at least 8 bytes, "
            f"got {len(magic)}; download it again"
        )
    dtype, axes = _TYPES.get(magic[2]), magic[3]
    if magic[:2] != bytes(2) or dtype is None or not 1 <= axes <= _MOST_AXES:
        codes = " ".join(f"{code:02x}" for code in _TYPES)
        raise ValueError(
            f"read: {name} is not an IDX file: expected the bytes 00 00, a type ({codes}) and "
            f"1 to {_MOST_AXES} axes, got {magic.hex(' ')}; give an original file, plain or .gz"
        )
    sizes = file.read(4 * axes)
    head = 4 + len(sizes)
    if len(sizes) < 4 * axes:
        raise ValueError(
            f"read: {name} is truncated: expected a header of {4 + 4 * axes} bytes, got {head}; "
            "download it again"
        )
    shape = struct.unpack(f">{axes}I", sizes)
    length = dtype.itemsize * prod(shape)
    # One byte past the end: gzip verifies its checksum there.
    body = bytearray()
    while chunk := file.read(min(_CHUNK, length + 1 - len(body))):
        body += chunk
    if len(body) < length:
        raise ValueError(
            f"read: {name} is truncated: expected {head + length:,} bytes, "
            f"got {head + len(body):,}; download it again"
        )
    if len(body) > length:
        raise ValueError(
            f"read: {name} is corrupt: expected {head + length:,} bytes for an array of shape "
            f"{shape}, got more; download it again"
        )
    try:
        array = np.frombuffer(body, dtype).reshape(shape)
    except ValueError as error:  # an axis of size 0 beside huge ones
        raise ValueError(
            f"read: {name} is corrupt: its sizes {shape} make no array; download it again"
        ) from error
    return array.astype(dtype.newbyteorder("="), copy=False)
