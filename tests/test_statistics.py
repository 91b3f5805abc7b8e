"""Whether the draws behave as independent ones.

Seeds are fixed. A p-value must exceed 1e-6, so that a sound generator passes here
for ever and a repeated or shifted mask, a lost bit or a swapped word does not.
"""

from itertools import combinations
from math import sqrt

import numpy as np
import pytest
from scipy import stats

from fastdrop import GaussianMask, Mask, MaskStream, kernels

LEAST = 1e-6
COUNT = 1 << 16

pytestmark = pytest.mark.parametrize("backend", ["cython"], indirect=True)


def recipes(vary, count):
    """Places that differ in one number only: neighbours, and by single bits."""
    base = {"key": 0x243F6A8885A308D3, "stream": 77, "offset": 0}
    top = 63 if vary == "stream" else 64
    steps = [*range(count - 8), *(1 << (top - 1 - bit) for bit in (0, 1, 2, 15, 30, 31, 32, 33))]
    for step in steps:
        yield base | {vary: (base[vary] ^ step) if vary != "offset" else step * COUNT % 2**63}


FAMILIES = {
    "keys": lambda: recipes("key", 40),
    "streams": lambda: recipes("stream", 40),
    "offsets": lambda: ({"key": 3, "stream": 5, "offset": k * COUNT} for k in range(40)),
    "far offsets": lambda: (
        {"key": 3, "stream": 5, "offset": (1 << bit) - (COUNT if bit == 64 else 0)}
        for bit in range(17, 65)
    ),
    "seeds": lambda: ({"key": MaskStream(seed).key} for seed in range(40)),
    "spawned": lambda: ({"key": stream.key} for stream in MaskStream(1).spawn(40)),
    # What differs by one in both: a sum of key and stream would not tell them apart.
    "diagonal": lambda: ({"key": 100 - k, "stream": 100 + k} for k in range(40)),
}
each_family = pytest.mark.parametrize("family", FAMILIES)


def masks(family, rate=0.5):
    return np.array([Mask(COUNT, rate, **place).keep() for place in FAMILIES[family]()])


@each_family
@pytest.mark.parametrize("rate", [0.5, 0.1])
def test_pairs_of_masks_are_uncorrelated(backend, family, rate):
    """Every pair, and each with the next shifted by a few places."""
    keep = masks(family, rate)
    signs = (keep - (1 - rate)) / sqrt(rate * (1 - rate))
    correlation = signs @ signs.T / sqrt(COUNT)
    pairs = np.array([correlation[i, j] for i, j in combinations(range(len(keep)), 2)])
    least = 2 * stats.norm.sf(np.abs(pairs).max()) * pairs.size
    assert least > LEAST
    # As a whole they are as wide as independent ones.
    assert stats.kstest(pairs, "norm").pvalue > LEAST
    for shift in (1, 2, 4, 8, 16, 32, 64):
        shifted = (signs[:-1, shift:] * signs[1:, :-shift]).sum(axis=1) / sqrt(COUNT - shift)
        alone = (signs[:, shift:] * signs[:, :-shift]).sum(axis=1) / sqrt(COUNT - shift)
        for z in (shifted, alone):
            assert 2 * stats.norm.sf(np.abs(z).max()) * z.size > LEAST


@each_family
def test_bits_of_neighbours_are_equidistributed(backend, family):
    """Eight draws in a row, and one draw of eight masks, as bytes."""
    keep = masks(family)
    rows = np.packbits(keep, axis=1).ravel()
    columns = np.packbits(keep[: len(keep) // 8 * 8], axis=0).ravel()
    for bytes_ in (rows, columns):
        observed = np.bincount(bytes_, minlength=256)
        p = stats.chisquare(observed).pvalue
        assert LEAST < p < 1 - LEAST


@each_family
@pytest.mark.parametrize("rate", [0.5, 0.1])
def test_run_lengths(backend, family, rate):
    """Runs of kept draws, over all masks in a row, are geometric."""
    keep = masks(family, rate).ravel()
    drops = np.flatnonzero(~keep)
    lengths = np.diff(drops) - 1
    longest = int(np.log(lengths.size * rate / 50) / -np.log1p(-rate))
    observed = np.bincount(np.minimum(lengths, longest), minlength=longest + 1)
    shares = rate * (1 - rate) ** np.arange(longest + 1)
    shares[-1] = (1 - rate) ** longest
    p = stats.chisquare(observed, shares * lengths.size).pvalue
    assert LEAST < p < 1 - LEAST


@each_family
def test_rates_in_each_mask(backend, family):
    """How many are kept, mask by mask, is binomial."""
    for rate in (0.01, 0.3, 0.9):
        kept = masks(family, rate).sum(axis=1)
        z = (kept - COUNT * (1 - rate)) / sqrt(COUNT * rate * (1 - rate))
        assert 2 * stats.norm.sf(np.abs(z).max()) * z.size > LEAST
        p = stats.chi2.sf((z**2).sum(), z.size)
        assert LEAST < p < 1 - LEAST


def test_masks_of_one_stream_share_nothing(backend):
    """Steps and layers of a training: no two masks are alike, whatever their order."""
    stream = MaskStream(11)
    seen = [stream.draw(256, 0.5).keep().tobytes() for _ in range(2000)]
    assert len(set(seen)) == len(seen)


def test_companion_stream_is_no_streams_neighbour(backend):
    """The refining digits, which only ties look at, are independent of the first ones."""
    count = 1 << 22
    place = {"key": 5, "stream": 6}
    # Among draws that share the first digit of a threshold, the rest decides.
    low = Mask(count, 2**16 * 0x4000 / 2**32, **place).keep()
    high = Mask(count, 2**16 * 0x4040 / 2**32, **place).keep()
    tied = 0
    dropped = 0
    for digit in range(0x4000, 0x4040):
        below = Mask(count, (digit << 16) / 2**32, **place).keep()
        middle = Mask(count, ((digit << 16) + 2**15) / 2**32, **place).keep()
        above = Mask(count, ((digit + 1) << 16) / 2**32, **place).keep()
        tied += np.count_nonzero(below & ~above)
        dropped += np.count_nonzero(below & ~middle)
    assert tied == np.count_nonzero(low & ~high)
    assert abs(tied - count / 1024) < 5 * sqrt(count / 1024)
    assert abs(dropped - tied / 2) < 5 * sqrt(tied) / 2


def test_uniforms(backend):
    """Equal cells, by the first bits, the last bits and pairs of neighbours."""
    out = np.empty(1 << 22)
    kernels.active().uniforms(out, 9, 10, 2**34 - out.size // 2, 1)
    levels = (out * 2**23 - 0.5).astype(np.int64)
    for cells in (levels >> 15, levels & 0xFF):
        p = stats.chisquare(np.bincount(cells, minlength=256)).pvalue
        assert LEAST < p < 1 - LEAST
    pairs = (levels[0::2] >> 15) * 256 + (levels[1::2] >> 15)
    p = stats.chisquare(np.bincount(pairs, minlength=65536)).pvalue
    assert LEAST < p < 1 - LEAST


def test_normals(backend):
    noise = GaussianMask(1 << 20, 0.5, key=12, stream=13).noise() - 1
    assert stats.kstest(noise, "norm").pvalue > LEAST
    first, second = noise[0::2], noise[1::2]
    assert abs(stats.pearsonr(first, second)[0]) < 5 / sqrt(first.size)
    assert abs(stats.pearsonr(first**2, second**2)[0]) < 5 / sqrt(first.size)
    assert abs(stats.kurtosis(noise)) < 5 * sqrt(24 / noise.size)


@pytest.mark.parametrize("rate", [1e-6, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_probability_of_dropping(backend, rate):
    """Over 2**30 draws, within 4.5 standard errors."""
    count, piece = 1 << 30, 1 << 24
    mask = Mask(count, rate, key=0x13198A2E03707344, stream=3, offset=2**35 - count // 2)
    kept = sum(
        np.count_nonzero(mask[start : start + piece].keep()) for start in range(0, count, piece)
    )
    assert abs(count - kept - count * rate) < 4.5 * sqrt(count * rate * (1 - rate))
