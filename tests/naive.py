"""The masks in plain Python, written from their definition alone.

It imports nothing of the package: what the package computes is compared with
this. Slow (a few microseconds a draw), and meant to be read.
"""

import math
import struct
from fractions import Fraction
from functools import lru_cache

import numpy as np

WORDS = 1 << 32
COMPANION = 1 << 63


def philox(counter, key, rounds=10):
    """Philox4x32 of Salmon et al. (2011): four words from four and a key of two."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for number in range(rounds):
        if number:
            k0, k1 = (k0 + 0x9E3779B9) % WORDS, (k1 + 0xBB67AE85) % WORDS
        high0, low0 = divmod(0xD2511F53 * c0, WORDS)
        high1, low1 = divmod(0xCD9E8D57 * c2, WORDS)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
    return c0, c1, c2, c3


@lru_cache(maxsize=1 << 16)
def block(number, key, stream):
    """The four words of one block of a stream."""
    words = struct.unpack("<4I", struct.pack("<QQ", number, stream))
    return philox(words, struct.unpack("<2I", struct.pack("<Q", key)))


def word(i, key, stream):
    return block(i // 4, key, stream)[i % 4]


def digit(i, key, stream):
    return struct.unpack("<8H", struct.pack("<4I", *block(i // 8, key, stream)))[i % 8]


def draw(i, key, stream):
    """The 32-bit integer that decides element `i` of a mask."""
    return digit(i, key, stream) * 65536 + digit(i, key, stream + COMPANION)


def threshold(rate):
    """``round(rate * 2**32)``, half to even; the product of a double by 2**32 is exact."""
    return round(Fraction(rate) * WORDS)


def scale(rate):
    """``1 / (1 - T / 2**32)``, and 0 where nothing is kept."""
    kept = WORDS - threshold(rate)
    return float(Fraction(WORDS, kept)) if kept else 0.0


def keep(count, rate, key, stream=0, offset=0):
    """Whether each of `count` draws keeps."""
    return [draw(offset + i, key, stream) >= threshold(rate) for i in range(count)]


def uniform(i, key, stream):
    return ((word(i, key, stream) >> 9) + 0.5) * 2.0**-23


def radius(i, key, stream):
    """The Box-Muller radius of normal `i`, by which its error is bounded."""
    return math.sqrt(-2 * math.log(uniform(i - i % 2, key, stream)))


def normal(i, key, stream):
    angle = 2 * math.pi * uniform(i - i % 2 + 1, key, stream)
    return radius(i, key, stream) * (math.sin(angle) if i % 2 else math.cos(angle))


def rounded(value, kind):
    """A double rounded once to float16, float32 or float64 ("e", "f", "d")."""
    return struct.unpack("<" + kind, struct.pack("<" + kind, value))[0]


def product(x, factor, kind):
    """One element times a factor rounded to its type; float16 goes through float32.

    The double product of two float32 is exact, so that it is rounded once.
    """
    working = "f" if kind == "e" else kind
    return rounded(rounded(x * rounded(factor, working), working), kind)


def own(shape, shared_axes):
    """The mask's own shape: 1 at the shared axes."""
    return tuple(1 if axis in shared_axes else size for axis, size in enumerate(shape))


def keep_array(shape, rate, key, stream=0, shared_axes=(), offset=0):
    """The mask in its own shape; draws are numbered in C order over that."""
    rates = np.broadcast_to(np.array(rate, float), own(shape, shared_axes))
    kept = [
        draw(offset + i, key, stream) >= threshold(each)
        for i, each in enumerate(rates.ravel().tolist())
    ]
    return np.array(kept, bool).reshape(rates.shape)


def apply(x, rate, key, stream=0, shared_axes=(), offset=0):
    """Dropout of an array of float32 or float64."""
    rates = np.broadcast_to(np.array(rate, float), own(x.shape, shared_axes))
    scales = np.array([scale(each) for each in rates.ravel().tolist()]).reshape(rates.shape)
    keep = keep_array(x.shape, rate, key, stream, shared_axes, offset)
    with np.errstate(all="ignore"):
        return np.where(keep, x * scales.astype(x.dtype), x.dtype.type(0))
