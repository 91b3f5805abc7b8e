"""Recipes: what a mask is, its parts, and the stream that numbers masks."""

import copy
import json
import math
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from math import prod

import naive
import numpy as np
import pytest
from naive import own

import fastdrop
from fastdrop import AlphaMask, GaussianMask, Mask, MaskStream

KEY = 0xFEDCBA9876543210
KINDS = (Mask, AlphaMask, GaussianMask)
SHAPES = [(11,), (4, 5), (3, 4, 5), (2, 3, 4, 3), (2, 3, 2, 3, 2)]
PATTERNS = [
    (shape, axes)
    for shape in SHAPES
    for count in range(len(shape) + 1)
    for axes in combinations(range(len(shape)), count)
]
each_kind = pytest.mark.parametrize("kind", KINDS)
each_pattern = pytest.mark.parametrize(("shape", "axes"), PATTERNS)


def numbers(shape, kind="d"):
    return np.random.default_rng(prod(shape)).standard_normal(shape).astype(kind)


def some_rates(shape):
    """Rates of any shape, 0 and 1 among them."""
    rates = np.random.default_rng(5).random(shape)
    rates.flat[::5] = 0.0
    rates.flat[3::5] = 1.0
    return rates


@pytest.mark.parametrize("kind", ["f", "d"])
@each_pattern
def test_every_broadcast_pattern(backend, shape, axes, kind):
    x = numbers(shape, kind)
    for rate in (0.4, some_rates(own(shape, axes))):
        for offset in (0, 2**35 - 11):
            mask = Mask(shape, rate, key=KEY, stream=3, shared_axes=axes, offset=offset)
            place = rate, KEY, 3, axes, offset
            keep = mask.keep()
            assert keep.dtype == bool
            assert keep.shape == own(shape, axes)
            assert np.array_equal(keep, naive.keep_array(shape, *place))
            assert mask.apply(x).tobytes() == naive.apply(x, *place).tobytes()
            y = 100 + x
            assert mask.blend(x, y).tobytes() == np.where(keep, x, y).tobytes()


@each_pattern
def test_every_broadcast_pattern_of_normals(backend, shape, axes):
    x = numbers(shape)
    mask = GaussianMask(shape, 0.3, key=KEY, stream=4, shared_axes=axes, offset=2**34 - 3)
    count = prod(own(shape, axes))
    normals = [naive.normal(2**34 - 3 + i, KEY, 4) for i in range(count)]
    noise = 1 + math.sqrt(0.3 / 0.7) * np.array(normals).reshape(own(shape, axes))
    np.testing.assert_allclose(mask.noise(), noise, rtol=0, atol=2e-5)
    np.testing.assert_allclose(mask.apply(x), x * noise, rtol=0, atol=1e-4)


RATE_SHAPES = [
    ((4, 5), (), [(5,), (1, 5), (4, 1), (4, 5), (1, 1), (1,)]),
    ((4, 5), (0,), [(5,), (1, 5), (1,)]),
    ((4, 5), (1,), [(4, 1), (1, 1)]),
    ((4, 6, 5), (1,), [(5,), (1, 5), (1, 1, 5), (4, 1, 1), (4, 1, 5)]),
    ((3, 2, 4, 3, 2), (1, 3), [(2,), (4, 1, 2), (4, 1, 1), (3, 1, 4, 1, 1), (3, 1, 4, 1, 2)]),
    ((3, 2, 4, 3, 2), (0, 2, 4), [(3, 1), (2, 1, 1, 1), (2, 1, 3, 1), (1, 2, 1, 1, 1)]),
    ((2, 3, 2, 3, 2, 3), (1, 3, 5), [(2, 1), (2, 1, 2, 1), (2, 1, 1, 1, 1, 1), (2, 1, 2, 1, 2, 1)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "axes", "rates"),
    [(shape, axes, rates) for shape, axes, several in RATE_SHAPES for rates in several],
)
def test_array_rates(backend, shape, axes, rates):
    x, rate = numbers(shape), some_rates(rates)
    arguments = {"key": KEY, "stream": 9, "shared_axes": axes, "offset": 7}
    place = rate, KEY, 9, axes, 7
    mask = Mask(shape, rate, **arguments)
    keep = naive.keep_array(shape, *place)
    assert np.array_equal(mask.keep(), keep)
    assert mask.apply(x).tobytes() == naive.apply(x, *place).tobytes()
    assert np.array_equal(mask.blend(x, -x), np.where(keep, x, -x))
    for each in (*KINDS[1:], Mask):
        # Rate for rate the same as the mask of rates written out in full.
        whole = each(shape, np.broadcast_to(rate, own(shape, axes)), **arguments)
        assert each(shape, rate, **arguments).apply(x).tobytes() == whole.apply(x).tobytes()


SLICES = [
    *((0, 4), (1, 3), (2, 4), (3, 3), (3, 1), (0, 0), (4, 4), (-2, None), (None, -1), (-3, -1)),
    *((None, None), (-100, 100), (2, 100), (100, 200)),
]


@each_kind
@pytest.mark.parametrize(
    ("shape", "axes"), [pattern for pattern in PATTERNS if len(pattern[0]) > 1]
)
def test_slices(backend, shape, axes, kind):
    shape = (4, *shape[1:])
    x = numbers(shape)
    per_row = some_rates((4, *(1,) * (len(shape) - 1)))
    for rate in (0.4, some_rates(own(shape, axes)), some_rates(own(shape, axes)[1:]), per_row):
        if 0 in axes and rate is per_row:
            continue
        mask = kind(shape, rate, key=KEY, stream=2, shared_axes=axes, offset=2**32 - 6)
        whole = mask.apply(x)
        for start, stop in SLICES:
            rows = mask[start:stop]
            assert rows.shape == x[start:stop].shape
            assert rows.apply(x[start:stop]).tobytes() == whole[start:stop].tobytes()
        again = mask[1:][:2][1:]
        assert again.apply(x[1:][:2][1:]).tobytes() == whole[2:3].tobytes()
        assert again == mask[2:3]


def test_slices_have_offsets():
    mask = Mask((10, 4, 3), 0.5, key=1, offset=100)
    assert mask[2:5].offset == 100 + 2 * 12
    assert mask[2:5].shape == (3, 4, 3)
    assert mask[2:5][1:].offset == 100 + 3 * 12
    assert Mask((10, 4, 3), 0.5, key=1, shared_axes=1)[2:5].offset == 2 * 3
    shared = Mask((10, 4, 3), 0.5, key=1, shared_axes=0, offset=7)
    assert (shared[2:5].offset, shared[2:5].shape) == (7, (3, 4, 3))


@pytest.mark.parametrize("step", [2, -1, 3])
def test_slices_of_another_step(step):
    with pytest.raises(ValueError, match=rf"^Mask: step must be 1 in mask\[a:b\], got {step}$"):
        Mask(8, 0.5, key=0)[::step]


@pytest.mark.parametrize("rows", [0, (slice(1), slice(1)), None, ...])
def test_what_is_not_a_slice(rows):
    with pytest.raises(TypeError, match=r"^Mask: a mask is sliced as mask\[a:b\], got mask\["):
        Mask((8, 8), 0.5, key=0)[rows]


def test_no_rows():
    with pytest.raises(IndexError, match=r"^Mask: a mask of shape \(\) has no rows to slice$"):
        Mask((), 0.5, key=0)[:1]


@each_kind
def test_properties(kind):
    mask = kind((2, 3, 4), 0.25, key=5, stream=6, shared_axes=(-1, 0), offset=7)
    assert (mask.shape, mask.rate) == ((2, 3, 4), 0.25)
    assert (mask.key, mask.stream, mask.offset) == (5, 6, 7)
    assert mask.shared_axes == (0, 2)
    defaults = kind(4, 0.25, key=5)
    assert (defaults.shape, defaults.stream) == ((4,), 0)
    assert (defaults.offset, defaults.shared_axes) == (0, ())
    with pytest.raises(AttributeError, match=r"rate|attribute"):
        mask.rate = 0.5


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1 / 3, 1e-10, 1 - 1e-10, 1.0])
def test_scale(rate):
    """Of the rate that is applied, not of the one that was asked for."""
    assert Mask(3, rate, key=0).scale == naive.scale(rate)
    assert Mask(3, [rate, 0.5, 1.0], key=0).scale.tolist() == [naive.scale(rate), 2.0, 0.0]
    assert GaussianMask(3, rate, key=0).scale == 1.0


def test_rates_are_the_masks_own():
    rate = np.array([0.25, 0.5])
    mask = Mask((3, 2), rate, key=0)
    rate[:] = 0
    assert mask.rate.tolist() == [0.25, 0.5]
    with pytest.raises(ValueError, match="read-only"):
        mask.rate[0] = 1


@each_kind
@pytest.mark.parametrize("rate", [0.3, [[0.3], [0.6]]])
def test_equal_hash_repr_copy_pickle(kind, rate):
    arguments = {"key": KEY, "stream": 2**63 - 1, "shared_axes": (1,), "offset": 2**64 - 8}
    mask = kind((2, 3), rate, **arguments)
    x = numbers((2, 3))
    for twin in (
        kind((2, 3), rate, **arguments),
        copy.copy(mask),
        copy.deepcopy(mask),
        *(pickle.loads(pickle.dumps(mask, protocol)) for protocol in range(2, 6)),
    ):
        assert type(twin) is kind
        assert twin == mask
        assert hash(twin) == hash(mask)
        assert twin.apply(x).tobytes() == mask.apply(x).tobytes()
    others = [
        kind((2, 4), rate, **arguments),
        kind((2, 3), 0.31, **arguments),
        kind((2, 3), [[0.3], [0.61]], **arguments),
        *(other((2, 3), rate, **arguments) for other in KINDS if other is not kind),
        *(
            kind((2, 3), rate, **arguments | {name: value})
            for name, value in [("key", 1), ("stream", 1), ("shared_axes", ()), ("offset", 1)]
        ),
    ]
    assert all(mask != other for other in others)
    assert mask != (2, 3)
    if rate == 0.3:
        assert eval(repr(mask), {kind.__name__: kind}) == mask
    assert str(KEY) in repr(mask)


@pytest.mark.parametrize(
    ("rate", "kept"), [(0, True), (1, False), (1e-10, True), (1 - 2.0**-34, False)]
)
def test_rates_that_decide_without_a_draw(backend, rate, kept):
    x = np.array([np.nan, -np.inf, -0.0, 3, 1e-310])
    mask = Mask(5, rate, key=1)
    assert (mask.keep() == kept).all()
    assert mask.apply(x).tobytes() == (x if kept else np.zeros(5)).tobytes()
    assert mask.blend(x, x[::-1]).tobytes() == (x if kept else x[::-1]).tobytes()
    assert mask.apply(x, out=x) is x
    gaussian = GaussianMask(5, float(rate in (1, 1 - 2.0**-34)), key=1).apply(np.full(5, np.nan))
    assert np.isnan(gaussian).all() if kept else gaussian.tobytes() == bytes(40)


@pytest.mark.parametrize("count", [1, 8, 100])
def test_the_end_of_a_stream(backend, count):
    offset = 2**64 - count
    mask = Mask(count, 0.5, key=KEY, offset=offset)
    assert mask.keep().tolist() == naive.keep(count, 0.5, KEY, 0, offset)
    assert mask[count:].keep().tolist() == []
    shared = Mask((7, count), 0.5, key=KEY, shared_axes=0, offset=offset)
    assert shared.keep().ravel().tolist() == mask.keep().tolist()
    for kind in KINDS:
        with pytest.raises(ValueError, match=r"offset \+ number of draws must be at most 2\*\*64"):
            kind(count + 1, 0.5, key=0, offset=offset)


def test_alpha_formula():
    """Klambauer et al. 2017, section 3: q the probability of keeping, s where SELU saturates."""
    s = -1.0507009873554805 * 1.6732632423543772
    for asked in (0.05, 0.1, 0.5, 0.9):
        rate = naive.threshold(asked) / 2**32
        q = 1 - rate
        a = (q + s**2 * q * (1 - q)) ** -0.5
        b = -a * (1 - q) * s
        mask = AlphaMask(1000, asked, key=2)
        assert mask.scale == pytest.approx(a, rel=1e-14)
        x = numbers((1000,))
        expected = np.where(mask.keep(), a * x + b, a * s + b)
        np.testing.assert_allclose(mask.forward(x), expected, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(mask.apply(x), np.where(mask.keep(), a * x, 0), rtol=1e-12)
        # Mean 0 and variance 1 in, mean 0 and variance 1 out, exactly.
        assert q * b + rate * (a * s + b) == pytest.approx(0, abs=1e-12)
        second = q * (a**2 + b**2) + rate * (a * s + b) ** 2
        assert second == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("kind", ["f", "d"])
def test_alpha_of_rates(backend, kind):
    rate = np.array([0.0, 0.3, 1.0, 0.6])
    x = numbers((50, 4), kind)
    mask = AlphaMask((50, 4), rate, key=2)
    y = mask.forward(x)
    assert np.array_equal(y[:, 0], x[:, 0])
    assert (y[:, 2] == 0).all()
    assert mask.scale[2] == 0
    for k in (1, 3):
        # In float64 the same recipe with one rate; its draws are those of column k.
        alone = AlphaMask((50, 4), rate[k], key=2)
        assert mask.scale[k] == pytest.approx(alone.scale, rel=1e-15)
        np.testing.assert_allclose(y[:, k], alone.forward(x)[:, k], rtol=1e-6, atol=1e-7)


def test_gaussian_formula():
    assert GaussianMask(1, 0.2, key=0).stddev == math.sqrt(0.2 / 0.8)
    assert GaussianMask(1, 0.0, key=0).stddev == 0
    assert GaussianMask(1, 1, key=0).stddev == np.inf
    stddev = GaussianMask(4, [0.0, 0.5, 0.9, 1.0], key=0).stddev
    np.testing.assert_allclose(stddev, [0, 1, 3, np.inf], rtol=1e-15)


def test_gaussian_of_rates(backend):
    mask = GaussianMask((300, 3), [0.0, 0.4, 1.0], key=3)
    x = np.full((300, 3), np.inf)
    y = mask.apply(x)
    assert np.isposinf(y[:, 0]).all()
    assert np.isinf(y[:, 1]).all()
    assert y[:, 2].tobytes() == np.zeros(300).tobytes()
    alone = GaussianMask((300, 3), 0.4, key=3)
    assert np.array_equal(mask.noise()[:, 1], alone.noise()[:, 1])


@each_kind
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (0, 3), (2, 0, 4), (1,), (1, 1, 1)])
def test_empty_and_scalar(backend, kind, shape):
    for axes in [(), *((axis,) for axis in range(len(shape)))]:
        mask = kind(shape, 0.5, key=1, shared_axes=axes)
        x = np.ones(shape, np.float32)
        assert mask.apply(x).shape == shape
        noise = mask.noise() if kind is GaussianMask else mask.keep()
        assert noise.shape == own(shape, axes)
        if shape:
            assert mask[:0].apply(x[:0]).shape == (0, *shape[1:])


BAD = [
    ({"shape": -1}, ValueError, r"shape must hold no negative size, got \(-1,\)"),
    ({"shape": (2, -3)}, ValueError, r"shape must hold no negative size, got \(2, -3\)"),
    ({"shape": 2.5}, TypeError, r"shape must be an int or a sequence of ints, got 2\.5"),
    ({"shape": None}, TypeError, r"shape must be an int or a sequence of ints, got None"),
    ({"shape": (2, "3")}, TypeError, r"shape must be an int or a sequence of ints"),
    ({"key": -1}, ValueError, r"key must be in \[0, 2\*\*64\), got -1"),
    ({"key": 2**64}, ValueError, r"key must be in \[0, 2\*\*64\), got 18446744073709551616"),
    ({"key": 1.0}, TypeError, r"key must be an int, got 1\.0"),
    ({"key": None}, TypeError, r"key must be an int, got None"),
    ({"stream": -1}, ValueError, r"stream must be in \[0, 2\*\*63\), got -1"),
    ({"stream": 2**63}, ValueError, r"stream must be in \[0, 2\*\*63\), got 9223372036854775808"),
    ({"stream": "1"}, TypeError, r"stream must be an int, got '1'"),
    ({"offset": -1}, ValueError, r"offset must be in \[0, 2\*\*64\), got -1"),
    ({"offset": 2**64}, ValueError, r"offset must be in \[0, 2\*\*64\), got 184467440737095516"),
    ({"offset": 1.5}, TypeError, r"offset must be an int, got 1\.5"),
    ({"shared_axes": 2}, np.exceptions.AxisError, r"shared_axes must be in \[-2, 1\] .* got 2"),
    ({"shared_axes": (0, -3)}, np.exceptions.AxisError, r"shared_axes must be in .* got -3"),
    ({"shared_axes": (0, 0)}, ValueError, r"shared_axes must name each axis once, got \(0, 0\)"),
    ({"shared_axes": (1, -1)}, ValueError, r"shared_axes must name each axis once"),
    ({"shared_axes": 0.5}, TypeError, r"shared_axes must be an int or several, got 0\.5"),
    ({"shared_axes": None}, TypeError, r"shared_axes must be an int or several, got None"),
    ({"rate": -0.1}, ValueError, r"rate must be in \[0, 1\], got -0\.1"),
    ({"rate": 1.1}, ValueError, r"rate must be in \[0, 1\], got 1\.1"),
    ({"rate": np.nan}, ValueError, r"rate must be in \[0, 1\], got nan"),
    ({"rate": np.inf}, ValueError, r"rate must be in \[0, 1\], got inf"),
    ({"rate": -np.inf}, ValueError, r"rate must be in \[0, 1\], got -inf"),
    ({"rate": [0.5, np.nan, 0.1]}, ValueError, r"rate must be in \[0, 1\], got .*nan.* in it"),
    ({"rate": "0.5"}, TypeError, r"rate must be a number or an array of numbers, got '0\.5'"),
    ({"rate": None}, TypeError, r"rate must be a number or an array of numbers, got None"),
    ({"rate": 0.5j}, TypeError, r"rate must be a number or an array of numbers, got 0\.5j"),
    ({"rate": [0.5j]}, TypeError, r"rate must be a number .*, got an array of complex128"),
    ({"rate": ["a"]}, TypeError, r"rate must be a number .*, got an array of <U1"),
    ({"rate": [0.5, 0.5]}, ValueError, r"rate must broadcast .* shape \(4, 3\), got .* \(2,\)"),
    ({"rate": np.full((4, 3, 1), 0.5)}, ValueError, r"rate must broadcast .* \(4, 3, 1\)"),
    (
        {"rate": np.full(3, 0.5), "shared_axes": 1},
        ValueError,
        r"rate must .* \(4, 1\), got .* \(3,\)",
    ),
]


@each_kind
@pytest.mark.parametrize(("changed", "error", "text"), BAD)
def test_bad_parameters(kind, changed, error, text):
    good = {"shape": (4, 3), "rate": 0.5, "key": 0}
    with pytest.raises(error, match=f"^{kind.__name__}: {text}"):
        kind(**good | changed)


@pytest.mark.parametrize(
    "rate",
    [*(0, 1, True, 0.25, 1e-10, 2.0**-32, 1 - 1e-10, float(np.nextafter(0, 1))),
     *(np.float16(0.25), np.float32(0.25), np.int8(1), np.array(0.25), np.array(1))],
)  # fmt: skip
def test_rates_that_are_accepted(backend, rate):
    mask = Mask((20, 5), rate, key=4)
    assert mask.rate == float(rate)
    assert type(mask.rate) is float
    assert mask.keep().ravel().tolist() == naive.keep(100, float(rate), 4)


def test_words_that_are_accepted():
    mask = Mask(np.int64(3), 0.5, key=np.uint64(2**64 - 1), stream=np.int32(3), offset=np.uint8(9))
    assert (mask.shape, mask.key, mask.stream, mask.offset) == ((3,), 2**64 - 1, 3, 9)
    assert all(type(word) is int for word in (mask.key, mask.stream, mask.offset))
    assert Mask([2, 3], 0.5, key=0, shared_axes=[np.int64(-1)]).shared_axes == (1,)


@each_kind
def test_operands_that_do_not_fit(backend, kind):
    mask, x, name = kind((2, 3), 0.5, key=0), np.ones((2, 3)), kind.__name__
    for bad, error, text in [
        (np.ones(6), ValueError, r"x must have the mask's shape \(2, 3\), got \(6,\)"),
        (np.ones((3, 2)), ValueError, r"x must have the mask's shape \(2, 3\), got \(3, 2\)"),
        (np.ones((2, 3), int), TypeError, r"x must be float16, float32 or float64, got int64"),
        ([[1, 2, 3]] * 2, TypeError, r"x must be float16, float32 or float64, got int64"),
    ]:
        out = np.full((2, 3), 7.0)
        with pytest.raises(error, match=rf"^{name}\.apply: {text}$"):
            mask.apply(bad, out=out)
        assert (out == 7).all()
    for bad, error, text in [
        (np.ones(6), ValueError, r"out must have the shape of x, \(2, 3\), got \(6,\)"),
        (np.ones((2, 3), "f"), TypeError, r"out must have the dtype of x, float64, got float32"),
        ([1], TypeError, r"out must be a numpy array, got list"),
    ]:
        with pytest.raises(error, match=rf"^{name}\.apply: {text}$"):
            mask.apply(x, out=bad)


def test_blend_of_two_types():
    mask = Mask(3, 0.5, key=0)
    with pytest.raises(TypeError, match=r"^Mask\.blend: y must have the dtype of x, float64, got"):
        mask.blend(np.ones(3), np.ones(3, np.float32))
    with pytest.raises(ValueError, match=r"^Mask\.blend: y must have the mask's shape \(3,\), got"):
        mask.blend(np.ones(3), np.ones(4))


@pytest.mark.parametrize("kind", ["e", "f", "d"])
def test_blend_copies_bits(backend, kind):
    x, y = np.array([[np.nan, -0.0, np.inf, 1e-7, 3] * 40, [5.0, -np.inf] * 100], kind)
    mask = Mask(200, 0.5, key=8)
    expected = np.where(mask.keep(), x, y)
    assert mask.blend(x, y).tobytes() == expected.tobytes()
    for target in (x.copy(), x[::-1].copy()[::-1]):
        assert mask.blend(target, y, out=target) is target
        assert target.tobytes() == expected.tobytes()
    target = y.copy()
    assert mask.blend(x, target, out=target).tobytes() == expected.tobytes()
    both = np.concatenate([x, y])
    mask.blend(both[:200], both[200:], out=both[100:300])
    assert both[100:300].tobytes() == expected.tobytes()


# The stream of masks


@pytest.mark.parametrize(
    "seed", [0, 7, 2**128 + 5, [1, 2], np.random.SeedSequence(9, spawn_key=(3,))]
)
def test_key_of_a_seed(seed):
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    assert MaskStream(seed).key == int(sequence.generate_state(1, np.uint64)[0])


def test_fresh_streams_differ():
    assert MaskStream().key != MaskStream().key
    assert MaskStream(None).key != MaskStream(None).key


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), ("abc", TypeError), (1.5, TypeError)]
)
def test_bad_seeds_are_numpys_errors(seed, error):
    with pytest.raises(error) as numpys:
        np.random.SeedSequence(seed)
    with pytest.raises(error) as ours:
        MaskStream(seed)
    assert str(ours.value) == str(numpys.value)


def test_draws_are_numbered():
    stream = MaskStream(3)
    masks = [stream.draw((4, 6), 0.3, shared_axes=-1) for _ in range(4)]
    for number, mask in enumerate(masks):
        same = Mask((4, 6), 0.3, key=stream.key, stream=number, shared_axes=1)
        assert mask == same
    assert len({mask.keep().tobytes() for mask in [stream.draw(64, 0.5) for _ in range(20)]}) == 20


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((-1, 0.5), ValueError, "shape must hold no negative size"),
        ((3, 1.5), ValueError, r"rate must be in \[0, 1\], got 1\.5"),
        ((3, None), TypeError, "rate must be a number"),
        ((3, [0.5, 0.5]), ValueError, "rate must broadcast"),
        ((3, 0.5, 1), np.exceptions.AxisError, "shared_axes must be in"),
        (((3, 3), 0.5, (0, 0)), ValueError, "shared_axes must name each axis once"),
        (((2**40, 2**40), 0.5), ValueError, r"number of draws must be at most 2\*\*64"),
    ],
)
def test_a_failed_draw_takes_no_number(arguments, error, text):
    stream = MaskStream(3)
    stream.draw(1, 0.5)
    with pytest.raises(error, match=text):
        stream.draw(*arguments)
    assert stream.state_dict()["next"] == 1


def test_spawned_streams():
    keys = [stream.key for stream in MaskStream(5).spawn(3)]
    children = np.random.SeedSequence(5).spawn(4)
    assert keys == [int(child.generate_state(1, np.uint64)[0]) for child in children[:3]]
    stream = MaskStream(5)
    stream.spawn(3)
    assert stream.spawn(1)[0].key == int(children[3].generate_state(1, np.uint64)[0])
    assert stream.state_dict()["next"] == 0
    assert len({*keys, stream.key}) == 4


@pytest.mark.parametrize(
    "seed", [0, 2**200, [1, 2**40], None, np.random.SeedSequence(1).spawn(3)[2]]
)
def test_state_goes_through_json(seed):
    stream = MaskStream(seed)
    stream.spawn(2)
    for _ in range(3):
        stream.draw(4, 0.5)
    state = json.loads(json.dumps(stream.state_dict()))
    others = [MaskStream(99), pickle.loads(pickle.dumps(stream)), copy.deepcopy(stream)]
    others[0].load_state_dict(state)
    expected = [stream.draw(4, 0.5) for _ in range(3)], stream.spawn(1)[0].key
    assert [mask.stream for mask in expected[0]] == [3, 4, 5]
    for other in others:
        assert ([other.draw(4, 0.5) for _ in range(3)], other.spawn(1)[0].key) == expected
        assert other.state_dict() == stream.state_dict()


@pytest.mark.parametrize(
    "changed",
    [
        *({"next": value} for value in (-1, 1.0, "3", None, 2**63 + 1, True)),
        *({"entropy": value} for value in (-1, "abc", 1.5, {}, None)),
        *({"spawn_key": value} for value in (3, None, ["a"], [-1], [1.5])),
        *({"pool_size": value} for value in (0, 1.5, None, "4")),
        *({"children_spawned": value} for value in (-1, None, "1", 2**32)),
        *({name: ...} for name in ("next", "entropy", "spawn_key", "pool_size")),
    ],
    ids=repr,
)
def test_a_bad_state_changes_nothing(changed):
    stream = MaskStream(3)
    stream.draw(1, 0.5)
    before = stream.state_dict()
    bad = MaskStream(4).state_dict() | changed
    bad = {name: value for name, value in bad.items() if value is not ...}
    with pytest.raises(ValueError, match=r"^MaskStream\.load_state_dict: d must be a state_dict"):
        stream.load_state_dict(bad)
    assert stream.state_dict() == before
    assert stream.key == MaskStream(3).key


@pytest.mark.parametrize("state", [None, [], "state", 3, {}])
def test_what_is_no_state(state):
    stream = MaskStream(3)
    with pytest.raises(ValueError, match=r"^MaskStream\.load_state_dict: d must be a state_dict"):
        stream.load_state_dict(state)
    assert stream.state_dict() == MaskStream(3).state_dict()


def test_the_last_stream():
    stream = MaskStream(3)
    stream.load_state_dict(stream.state_dict() | {"next": 2**63 - 1})
    assert stream.draw(5, 0.5).stream == 2**63 - 1
    for _ in range(2):
        with pytest.raises(OverflowError, match=r"^MaskStream: all 2\*\*63 streams of this key"):
            stream.draw(5, 0.5)
        with pytest.raises(OverflowError, match="all 2"):
            fastdrop.dropout(np.ones(3), 0.5, rng=stream)
    assert stream.state_dict()["next"] == 2**63


def test_threads_draw_numbers_of_their_own():
    """Also where another thread takes its turn after every line of a draw."""
    stream, before = MaskStream(3), threading.gettrace()

    def trace(frame, event, argument):
        time.sleep(0)
        return trace if frame.f_code is MaskStream.next.__code__ else None

    def draw(_):
        return [stream.draw(1, 0.5).stream for _ in range(100)]

    threading.settrace(trace)
    try:
        with ThreadPoolExecutor(16) as pool:
            numbers = [number for several in pool.map(draw, range(16)) for number in several]
    finally:
        threading.settrace(before)
    assert sorted(numbers) == list(range(1600))


def test_repr_of_a_stream():
    stream = MaskStream(0)
    stream.draw(1, 0.5)
    assert repr(stream) == f"MaskStream(key={stream.key}, next=1)"


@pytest.mark.parametrize("kind", [Mask, AlphaMask])
@pytest.mark.parametrize("rates", [0.4, np.linspace(0, 1, 6).reshape(3, 1, 2, 1)])
def test_many_short_runs(backend, kind, rates):
    """So many kernel calls that the mask is made instead: the same elements."""
    shape = (600, 2, 2, 2)
    rate = rates if isinstance(rates, float) else np.resize(rates, (600, 1, 2, 1))
    mask = kind(shape, rate, key=5, shared_axes=(1, 3), offset=11)
    assert mask._layout.calls > 1000
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = np.concatenate([mask[k : k + 1].apply(x[k : k + 1]) for k in range(600)])
    assert (mask.apply(x) == expected).all()
    blended = np.concatenate(
        [mask[k : k + 1].blend(x[k : k + 1], -x[k : k + 1]) for k in range(600)]
    )
    assert (mask.blend(x, -x) == blended).all()


def test_a_pickled_mask_stays_read_only():
    mask = pickle.loads(pickle.dumps(Mask(3, [0.1, 0.2, 0.3], key=1)))
    assert not mask.rate.flags.writeable
    assert mask == Mask(3, [0.1, 0.2, 0.3], key=1)


def test_no_rows_at_the_end_of_a_stream():
    mask = Mask((4, 2), 0.5, key=0, offset=2**64 - 8)
    empty = mask[4:4]
    assert empty.shape == (0, 2)
    assert Mask(empty.shape, 0.5, key=0, offset=empty.offset) == empty


@pytest.mark.parametrize("kind", [Mask, AlphaMask])
@pytest.mark.parametrize("sizes", [(5, 1, 1), (5, 3, 1), (3, 1), (1, 3, 1), (1,), (1, 1, 1)])
def test_a_rate_for_each_long_row(backend, kind, sizes):
    """One call for each rate, and the elements of a rate for each element."""
    shape = (5, 3, 5000)
    some = np.resize([0.3, 0.0, 1.0, 0.5, 1e-3], sizes)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    mask = kind(shape, some, key=5, offset=11)
    each = kind(shape, np.broadcast_to(some, shape), key=5, offset=11)
    assert (mask.apply(x) == each.apply(x)).all()
    assert (mask.keep() == each.keep()).all()
    assert (mask[1:4].apply(x[1:4]) == each.apply(x)[1:4]).all()
    if kind is AlphaMask:
        assert (mask.forward(x) == each.forward(x)).all()
