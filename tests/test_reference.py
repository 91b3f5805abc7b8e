"""`reference` against published vectors and against a naive form in Python ints."""

from pathlib import Path

import naive
import numpy as np
import pytest

from fastdrop import rates
from fastdrop.kernels import reference

KAT = [
    line.split()
    for line in (Path(__file__).with_name("philox_kat.txt")).read_text().splitlines()
    if line.startswith("philox4x32 10 ")
]

# (key, stream, first draw): key and stream of more than 32 bits, and places where
# a counter of 31 or 32 bits would come round.
PLACES = [
    (0, 0, 0),
    (0x0123456789ABCDEF, 5, 3),
    (2**64 - 1, 2**63 - 1, 2**64 - 100),
    (0xFEDCBA9876543210, 2**32 + 1, 2**31 - 50),
    (0xFEDCBA9876543210, 2**32 - 1, 2**32 - 50),
    (1 << 32, 1 << 40, 2**34 - 50),
    (1, 1 << 62, 2**35 - 50),
    (7, 11, 3 * 2**35 - 51),
    (7, 12, 2**63 - 50),
]
COUNT = 100


def test_all_known_answers_are_here():
    assert len(KAT) == 55


@pytest.mark.parametrize("row", KAT, ids=lambda row: "-".join(row[2:8]))
def test_philox_known_answer(row):
    numbers = [int(word, 16) for word in row[2:]]
    counter, key, expected = numbers[:4], numbers[4:6], numbers[6:]
    assert [int(word) for word in reference.philox(counter, key)] == expected
    assert list(naive.philox(counter, key)) == expected


@pytest.mark.parametrize(("key", "stream", "first"), PLACES)
@pytest.mark.parametrize("what", ["word", "digit", "draw"])
def test_stream(what, key, stream, first):
    indices = np.uint64(first) + np.arange(COUNT, dtype=np.uint64)
    got = getattr(reference, what + "s")(indices, key, stream).tolist()
    assert got == [getattr(naive, what)(first + i, key, stream) for i in range(COUNT)]


def test_digits_are_the_words_little_endian():
    words = [naive.word(i, 3, 1) for i in range(8)]
    pieces = [piece for word in words for piece in (word & 0xFFFF, word >> 16)]
    indices = np.arange(16, dtype=np.uint64)
    assert reference.digits(indices, 3, 1).tolist() == pieces


def test_companion_is_the_same_stream_with_its_top_bit():
    indices = np.arange(50, dtype=np.uint64)
    draws = reference.draws(indices, 9, 4)
    assert (draws >> np.uint64(16)).tolist() == [naive.digit(i, 9, 4) for i in range(50)]
    refined = [naive.digit(i, 9, 4 ^ 2**63) for i in range(50)]
    assert (draws & np.uint64(0xFFFF)).tolist() == refined


@pytest.mark.parametrize(("key", "stream", "first"), PLACES)
def test_uniforms_and_normals(key, stream, first):
    out = np.full(COUNT, np.nan)
    reference.uniforms(out, key, stream, first, 1)
    assert out.tolist() == [naive.uniform(first + i, key, stream) for i in range(COUNT)]
    assert np.array_equal(out.astype(np.float32), out)
    reference.normals(out, key, stream, first, 1)
    expected = [naive.normal(first + i, key, stream) for i in range(COUNT)]
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("word", [0, 511, 512, 2**32 - 1])
def test_uniforms_lie_inside_the_unit_interval(word):
    got = float(reference._uniform(np.uint64(word)))
    assert got == ((word >> 9) + 0.5) / 2**23
    assert 0 < np.float32(got) < 1


@pytest.mark.parametrize(
    "rate",
    [
        *(0.0, 1.0, 0.5, 0.1, 0.3, 1 / 3, 0.999, 1e-6, 1e-10, 1 - 1e-10),
        *(2.0**-32, 2.0**-33, 3 * 2.0**-33, 5 * 2.0**-33, 2.0**-34),
        *(1 - 2.0**-32, 1 - 2.0**-33, 1 - 3 * 2.0**-33),
        float(np.nextafter(0, 1)),
        float(np.nextafter(1, 0)),
    ],
)
def test_threshold_and_scale(rate):
    expected, scale = naive.threshold(rate), naive.scale(rate)
    assert rates.thresholds(rate) == expected
    assert rates.scales(expected) == scale
    several = rates.thresholds(np.array([rate, 0.5]))
    assert several.dtype == np.uint64
    assert several.tolist() == [expected, 2**31]
    assert rates.scales(several).tolist() == [scale, 2.0]


@pytest.mark.parametrize(("key", "stream", "first"), PLACES)
def test_thresholds_equal_to_a_draw(key, stream, first):
    """A draw is kept at the threshold itself and dropped by the next one."""
    for i in range(COUNT):
        value = naive.draw(first + i, key, stream)
        for threshold, expected in ((value, True), (value + 1, False)):
            out = np.full(1, not expected)
            reference.keep_rates(out, key, stream, first + i, np.uint64([threshold]), 1)
            assert out[0] == expected


@pytest.mark.parametrize("kind", ["f", "d"])
@pytest.mark.parametrize("geometry", [(30, 1, 1), (5, 4, 1), (1, 4, 5), (3, 2, 5)])
def test_kernels_element_by_element(geometry, kind):
    """Each masking kernel, with a rate for every third draw, one element at a time."""
    outer, shared, inner = geometry
    place = 0x0123456789ABCDEF, 2**40, 2**35 - 3
    thresholds = [naive.threshold(rate) for rate in (0.25, 0.7, 1.0)]
    a, b, c = [1.25, 0.1, 3.0], [0.3, -0.0, -2.0], [0.0, -1.5, 9.0]
    size = outer * shared * inner
    x = np.linspace(-3, 3, size).astype(kind)
    y = np.linspace(10, 20, size).astype(kind)
    affine, alike, blended, mixed = (np.full(size, np.nan, kind) for _ in range(4))
    several = [np.array(values, kind) for values in (a, b, c)]
    reference.apply_rates(x, affine, *geometry, *place, np.uint64(thresholds), *several, 1)
    reference.apply(x, alike, *geometry, *place, thresholds[0], a[0], b[0], c[0], 1)
    reference.blend_rates(x, y, mixed, *geometry, *place, np.uint64(thresholds), 1)
    reference.blend(x, y, blended, *geometry, *place, thresholds[0], 1)
    keep, keeps = np.empty((2, outer * inner), bool)
    reference.keep(keep, *place, thresholds[0], 1)
    reference.keep_rates(keeps, *place, np.uint64(thresholds), 1)
    normals = np.full(size, np.nan, kind)
    reference.multiply_normals(x, normals, *geometry, *place, several[0], 1)

    def line(k, r):
        scaled = naive.product(float(x[k]), a[r], kind)
        return naive.rounded(scaled + naive.rounded(b[r], kind), kind)

    for o in range(outer):
        for s in range(shared):
            for i in range(inner):
                k, d = (o * shared + s) * inner + i, o * inner + i
                r, value = d % 3, naive.draw(place[2] + d, *place[:2])
                first, kept = value >= thresholds[0], value >= thresholds[r]
                assert keep[d] == first
                assert keeps[d] == kept
                assert alike[k] == (line(k, 0) if first else c[0])
                assert affine[k] == (line(k, r) if kept else c[r])
                assert blended[k] == (x[k] if first else y[k])
                assert mixed[k] == (x[k] if kept else y[k])
                factor = 1 + a[r] * naive.normal(place[2] + d, *place[:2])
                assert normals[k] == pytest.approx(x[k] * factor, rel=1e-5, abs=1e-5)
