"""IDX files, written here with struct alone."""

import gzip
import itertools
import struct
import tracemalloc
from math import prod

import numpy as np
import pytest

from fastdrop import idx

# The format's codes of its types, with struct's letters for them.
LETTERS = {0x08: "B", 0x09: "b", 0x0B: "h", 0x0C: "i", 0x0D: "f", 0x0E: "d"}
CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
EXTREMES = {
    "uint8": [0, 1, 128, 255],
    "int8": [0, -1, -128, 127],
    "int16": [1, -2, -(2**15), 2**15 - 1],
    "int32": [1, -2, -(2**31), 2**31 - 1],
    "float32": [1.5, -0.0, 2.0**-149, float("inf")],
    "float64": [0.1, -0.0, 5e-324, float("-inf")],
}
HEADER = 4 + 2 * 4
TINY = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255])


def encode(values, shape, code=8):
    """An IDX file of numbers in a flat list."""
    return struct.pack(
        f">HBB{len(shape)}I{len(values)}{LETTERS[code]}", 0, code, len(shape), *shape, *values
    )


def assert_right_or_told(path, content):
    """The array is the one that the file describes, or the error names the file."""
    path.write_bytes(content)
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except Exception:
            content = None
    try:
        array = idx.read(path)
    except ValueError as error:
        if str(path) not in str(error):
            raise
        return False
    assert encode(array.ravel().tolist(), array.shape, CODES[array.dtype.name]) == content
    return True


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some-file"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", CODES)
def test_every_type_plain_and_compressed(path, name, pack):
    values = EXTREMES[name] * 3
    path.write_bytes(pack(encode(values, (2, 1, 6), CODES[name])))
    array = idx.read(path)
    assert array.shape == (2, 1, 6)
    assert array.dtype == np.dtype(name)
    assert array.dtype.isnative
    assert array.flags.carray
    # Bit patterns, as -0.0 == 0.0.
    assert array.tobytes() == struct.pack(f"={12}{LETTERS[CODES[name]]}", *values)


def test_the_content_tells_whether_it_is_compressed(tmp_path):
    plain, packed = tmp_path / "a.gz", tmp_path / "b"
    plain.write_bytes(TINY)
    packed.write_bytes(gzip.compress(TINY))
    assert idx.read(plain).tolist() == [[1, 2, 3], [4, 5, 255]]
    assert idx.read(str(packed)).tolist() == [[1, 2, 3], [4, 5, 255]]
    # Some programs write one file as several that are compressed.
    packed.write_bytes(gzip.compress(TINY[:7]) + gzip.compress(TINY[7:]))
    assert idx.read(packed).tolist() == [[1, 2, 3], [4, 5, 255]]


@pytest.mark.parametrize("shape", [(5,), (0,), (3, 0, 2), (2, 3, 4, 5), (1,) * 64, (1 << 21,)])
def test_every_shape(path, shape):
    values = [place % 251 for place in range(prod(shape))]
    path.write_bytes(encode(values, shape))
    array = idx.read(path)
    assert array.shape == shape
    assert array.ravel().tolist() == values


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "empty or truncated: expected a header of at least 8 bytes, got 0; download"),
        (gzip.compress(b""), "empty or truncated"),
        (b"\0\0\x08", "at least 8 bytes, got 3"),
        (TINY[:7], "is truncated: expected a header of 12 bytes, got 7"),
        (encode([1], (1,)) + b"\0", r"corrupt: expected 9 bytes for an array of shape \(1,\)"),
        (struct.pack(">HBB3I", 0, 8, 3, 60000, 28, 28) + bytes(984),
         "is truncated: expected 47,040,016 bytes, got 1,000; download it again"),
        (b"\x89PNG\r\n\x1a\n", r"is not an IDX file: .* got 89 50 4e 47; give an original file"),
        (b"\0\1" + TINY[2:], "is not an IDX file"),
        (b"\1\0" + TINY[2:], "is not an IDX file"),
        (struct.pack("<HBBI", 0, 10, 1, 1), r"a type \(08 09 0b 0c 0d 0e\).* got 00 00 0a 01"),
        (struct.pack(">HBB", 0, 8, 0) + b"1234", "1 to 64 axes, got 00 00 08 00"),
        (struct.pack(">HBB65I", 0, 8, 65, *[1] * 65) + b"1", "1 to 64 axes, got 00 00 08 41"),
        (struct.pack(">HBB4I", 0, 8, 4, 0, *[2**32 - 1] * 3), "is corrupt: its sizes .* no array"),
        (gzip.compress(TINY)[:-1], "is a truncated or corrupt gzip file .*; download it again"),
        (gzip.compress(TINY) + b"more", "is a truncated or corrupt gzip file"),
        (gzip.compress(TINY)[:10] + b"\xff" * 20, "corrupt gzip file .*invalid block type"),
        (gzip.compress(TINY)[:-8] + bytes(8), "corrupt gzip file .*CRC check failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_bad_file_is_told(path, content, text):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^read: \S*some-file .*{text}"):
        idx.read(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        idx.read(tmp_path / "nowhere")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_truncation_is_told(path, pack):
    content = pack(TINY)
    assert assert_right_or_told(path, content)
    for length in range(len(content)):
        assert not assert_right_or_told(path, content[:length])


def test_every_byte_of_the_header(path):
    right = 0
    for place, value in itertools.product(range(HEADER), range(256)):
        content = bytearray(TINY)
        content[place] = value
        right += assert_right_or_told(path, bytes(content))
    # The true value of each byte, and 9 for the type: the same bytes as int8.
    assert right == HEADER + 1


def test_every_bit_of_a_compressed_file(path):
    content = gzip.compress(TINY, mtime=0)
    right = 0
    for place, bit in itertools.product(range(len(content)), range(8)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        right += assert_right_or_told(path, bytes(flipped))
    # Time, level and system in the header mean nothing; all else does.
    assert 0 < right < 0.25 * 8 * len(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(struct.pack(">HBB3I", 0, 14, 3, *[2**32 - 1] * 3), id="huge sizes"),
        pytest.param(gzip.compress(TINY + bytes(1 << 27)), id="unpacks far"),
    ],
)
def test_a_bad_file_takes_no_memory(path, content):
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="expected"):
            idx.read(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()
