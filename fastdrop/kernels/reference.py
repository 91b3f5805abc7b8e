"""The mask kernels in plain NumPy: slow and obvious, the definition of the stream.

Philox4x32-10 is that of Salmon et al. (2011), "Parallel random numbers: as
easy as 1, 2, 3". Checked against the authors' known answers; the other
backends are checked against this module.
"""

from __future__ import annotations

import numpy as np

PHILOX_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
PHILOX_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
PHILOX_ROUNDS = 10
DIGIT_BITS = 16

COMPANION = 1 << 63
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(counter, key, rounds=PHILOX_ROUNDS):
    """Philox4x32 of counters ``(x0, x1, x2, x3)`` under the key words ``(k0, k1)``.

    Words are uint64 arrays (or ints) that hold 32 bits; they broadcast.
    """
    x0, x1, x2, x3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = (int(word) for word in key)
    m0, m1 = (np.uint64(m) for m in PHILOX_MULTIPLIERS)
    for _ in range(rounds):
        p0, p1 = m0 * x0, m1 * x2
        x0, x1, x2, x3 = (
            (p1 >> _HALF) ^ x1 ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> _HALF) ^ x3 ^ np.uint64(k1),
            p0 & _LOW,
        )
        k0 = (k0 + PHILOX_INCREMENTS[0]) & 0xFFFFFFFF
        k1 = (k1 + PHILOX_INCREMENTS[1]) & 0xFFFFFFFF
    return x0, x1, x2, x3


def words(indices, key, stream):
    """The 32-bit words of a stream at uint64 indices, as uint64."""
    block, place = indices >> np.uint64(2), (indices & np.uint64(3)).astype(np.intp)
    counter = (block & _LOW, block >> _HALF, stream & 0xFFFFFFFF, stream >> 32)
    return np.choose(place, philox(counter, (key & 0xFFFFFFFF, key >> 32)))


def digits(indices, key, stream):
    """The 16-bit digits of a stream at uint64 indices, as uint64."""
    word = words(indices >> np.uint64(1), key, stream)
    high = (indices & np.uint64(1)) * np.uint64(DIGIT_BITS)
    return (word >> high) & np.uint64(0xFFFF)


def draws(indices, key, stream):
    """The 32-bit integers that decide a mask, ``digit << 16 | refine``, as uint64."""
    refine = digits(indices, key, stream ^ COMPANION)
    return digits(indices, key, stream) << np.uint64(DIGIT_BITS) | refine


def apply(x, out, outer, shared, inner, key, stream, offset, threshold, a, b, c, threads):
    kept = _kept(outer * inner, key, stream, offset, np.uint64(threshold))
    a, b, c = (np.asarray(value, x.dtype) for value in (a, b, c))
    _affine(x, out, (outer, shared, inner), kept, a, b, c)


def apply_rates(x, out, outer, shared, inner, key, stream, offset, thresholds, a, b, c, threads):
    kept = _kept(outer * inner, key, stream, offset, thresholds)
    a, b, c = (_cycle(values, outer, inner) for values in (a, b, c))
    _affine(x, out, (outer, shared, inner), kept, a, b, c)


def blend(x, y, out, outer, shared, inner, key, stream, offset, threshold, threads):
    blend_rates(x, y, out, outer, shared, inner, key, stream, offset, np.uint64(threshold), threads)


def blend_rates(x, y, out, outer, shared, inner, key, stream, offset, thresholds, threads):
    shape = (outer, shared, inner)
    kept = _kept(outer * inner, key, stream, offset, thresholds).reshape(outer, 1, inner)
    out.reshape(shape)[...] = np.where(kept, x.reshape(shape), y.reshape(shape))


def keep(out, key, stream, offset, threshold, threads):
    out.reshape(-1)[:] = _kept(out.size, key, stream, offset, np.uint64(threshold))


def keep_rates(out, key, stream, offset, thresholds, threads):
    out.reshape(-1)[:] = _kept(out.size, key, stream, offset, thresholds)


def uniforms(out, key, stream, offset, threads):
    word = words(_indices(out.size, offset), key, stream)
    out.reshape(-1)[:] = _uniform(word)


def normals(out, key, stream, offset, threads):
    out.reshape(-1)[:] = _normal(_indices(out.size, offset), key, stream)


def multiply_normals(x, out, outer, shared, inner, key, stream, offset, stddevs, threads):
    shape = (outer, shared, inner)
    noise = _normal(_indices(outer * inner, offset), key, stream).astype(x.dtype)
    with np.errstate(all="ignore"):
        factor = 1 + _cycle(stddevs, outer, inner) * noise.reshape(outer, 1, inner)
        np.multiply(x.reshape(shape), factor, out=out.reshape(shape))


def _indices(size, offset):
    return np.uint64(offset) + np.arange(size, dtype=np.uint64)


def _kept(size, key, stream, offset, thresholds):
    return draws(_indices(size, offset), key, stream) >= np.resize(thresholds, size)


def _cycle(values, outer, inner):
    return np.resize(values, outer * inner).reshape(outer, 1, inner)


def _affine(x, out, shape, kept, a, b, c):
    kept = kept.reshape(shape[0], 1, shape[2])
    with np.errstate(all="ignore"):
        out.reshape(shape)[...] = np.where(kept, a * x.reshape(shape) + b, c)


def _uniform(word):
    return ((word >> np.uint64(9)).astype(np.float64) + 0.5) * 2.0**-23


def _normal(indices, key, stream):
    first = indices & ~np.uint64(1)
    u1 = _uniform(words(first, key, stream))
    u2 = _uniform(words(first + np.uint64(1), key, stream))
    radius, angle = np.sqrt(-2 * np.log(u1)), 2 * np.pi * u2
    return radius * np.where(indices & np.uint64(1), np.sin(angle), np.cos(angle))
