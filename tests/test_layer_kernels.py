"""Each module of layer kernels against loops written from the formulas, and against PyTorch.

Outputs and scratch memory are filled with garbage first, and all arrays lie
between guards; inputs are read-only and must not change. Floating-point errors
raise. Where the values are small integers every sum is exact, and so is the test.
"""

import ast
import hashlib
import inspect
import math
import re
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from processes import run_code

import fastdrop
from fastdrop.kernels import layers

# Where the mask extension was built, this one was, too, or the build is broken.
MODULES = ["numpy_layers"]
if find_spec("fastdrop.kernels.cython_layers") or find_spec("fastdrop.kernels.cython_kernels"):
    MODULES.append("cython_layers")

CONTRACT = {
    name: re.findall(r"\w+", arguments)
    for name, arguments in re.findall(r"^(\w+)\(([^)]*)\)", layers.__doc__, re.MULTILINE)
}
# Tested with convolutions, in test_recurrent_kernels, and without `run`: not all is of one dtype.
ELSEWHERE = {"conv2d_scratch", "recurrent", "recurrent_backward", "running_mean", "unit_rates"}
# Largest error, as a share of the largest value or of 1.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
GUARD, SENTINEL = (5, 4096), 77

SIZES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 127, 1000)
ROWS = [
    (1, 1),
    (1, 33),
    (3, 1),
    (3, 8),
    (17, 3),
    (33, 33),
    (65, 16),
    (129, 17),
    (5000, 1),
    (700, 130),
]
SPECIAL = (np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-41, -1e-41, 3e38, -3e38)

by_size = pytest.mark.parametrize("size", SIZES)
by_rows = pytest.mark.parametrize(("rows", "units"), ROWS)
by_accumulate = pytest.mark.parametrize("accumulate", [False, True])


@pytest.fixture(params=MODULES)
def kernels(request):
    return import_module(f"fastdrop.kernels.{request.param}")


@pytest.fixture(params=TOLERANCE)
def dtype(request):
    return request.param


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def guarded(start, dtype, fill=np.nan):
    """A copy of an array, or garbage of a shape, between guards and at an odd place."""
    if not isinstance(start, np.ndarray):
        start = np.full(start, SENTINEL + 1 if dtype == np.uint8 else fill, dtype)
    before, after = GUARD
    whole = np.full(before + start.size + after, SENTINEL, dtype)
    array = whole[before : before + start.size].reshape(start.shape)
    array[...] = start
    return array


def assert_guards(array, name):
    before, after = GUARD
    guards = np.concatenate([array.base[:before], array.base[-after:]])
    np.testing.assert_array_equal(guards, SENTINEL, err_msg=f"written outside of {name}")


INTEGERS = {"winners": np.uint8, "labels": np.intp}


def run(kernels, name, dtype, outputs, threads=1, fill=np.nan, **inputs):
    """The arrays that a kernel writes, given its inputs by name.

    `outputs` says for each its shape, or the array that it holds before, or
    the name of an input that it is.
    """
    arrays = {
        key: guarded(value, INTEGERS.get(key, dtype), fill)
        for key, value in [*inputs.items(), *outputs.items()]
        if isinstance(value, np.ndarray) or (key in outputs and isinstance(value, tuple))
    }
    written = {key: value if isinstance(value, str) else key for key, value in outputs.items()}
    kept = {key: arrays[key].copy() for key in arrays.keys() - set(written.values())}
    for key in kept:
        arrays[key].flags.writeable = False
    arguments = inputs | outputs | arrays | {key: arrays[of] for key, of in written.items()}
    arguments["threads"] = threads
    if "scratch" in CONTRACT[name]:
        backward = name == "conv2d_backward"
        given = arguments | {"out": arguments["y" if backward else "out"], "backward": backward}
        count = kernels.conv2d_scratch(*(given[key] for key in CONTRACT["conv2d_scratch"]))
        arguments["scratch"] = arrays["scratch"] = guarded((count,), dtype)
    with np.errstate(all="raise"):
        returned = getattr(kernels, name)(*(arguments[key] for key in CONTRACT[name]))
    for key, array in arrays.items():
        assert_guards(array, key)
    for key, before in kept.items():
        np.testing.assert_array_equal(arrays[key], before, err_msg=f"{name} changed {key}")
    return [arrays[key] for key in written.values()] if outputs else returned


def assert_near(actual, expected, dtype, exact=False):
    """Within the dtype's tolerance, or the same, NaN where NaN is expected."""
    assert actual.shape == np.shape(expected)
    if exact:
        np.testing.assert_array_equal(actual, np.asarray(expected))
    elif actual.size:
        scale = max(1.0, np.abs(expected).max())
        assert np.abs(actual - expected).max() <= TOLERANCE[dtype] * scale


def normals(seed, *shape):
    """In float64, of values that float32 has."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32).astype(float)


def integers(seed, *shape):
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(float)


def special(seed, *shape):
    """Every third value is a special one."""
    x = normals(seed, *shape)
    x.flat[seed % 3 :: 3] = np.resize(SPECIAL, x.flat[seed % 3 :: 3].size)
    return x.astype(np.float32).astype(float)


# The formulas


def places(images, size, window, strides, padding=(0, 0)):
    """Of each window, each place in it that is in the image: ``window, place, pixel``."""
    for n, oh, ow in np.ndindex(len(images), *size):
        for i, j in np.ndindex(*window):
            row, column = strides[0] * oh - padding[0] + i, strides[1] * ow - padding[1] + j
            if 0 <= row < images.shape[1] and 0 <= column < images.shape[2]:
                yield (n, oh, ow), (i, j), (n, row, column)


def naive_conv(x, weight, size, strides, padding):
    out = np.zeros((len(x), *size, weight.shape[3]))
    for window, place, pixel in places(x, size, weight.shape[:2], strides, padding):
        out[window] += x[pixel] @ weight[place]
    return out


def naive_conv_gradients(x, weight, dz, strides, padding):
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    for window, place, pixel in places(x, dz.shape[1:3], weight.shape[:2], strides, padding):
        dx[pixel] += weight[place] @ dz[window]
        dweight[place] += np.outer(x[pixel], dz[window])
    return dx, dweight


def pooled_size(x, pool, strides):
    return (x.shape[1] - pool[0]) // strides[0] + 1, (x.shape[2] - pool[1]) // strides[1] + 1


def naive_max_pool(x, pool, strides):
    shape = (len(x), *pooled_size(x, pool, strides), x.shape[3])
    out, winners = np.zeros(shape), np.zeros(shape, np.uint8)
    for n, oh, ow, c in np.ndindex(shape):
        rows, columns = range(strides[0] * oh, strides[0] * oh + pool[0]), strides[1] * ow
        values = [x[n, row, columns + j, c] for row in rows for j in range(pool[1])]
        nans = [k for k, value in enumerate(values) if math.isnan(value)]
        winner = nans[0] if nans else values.index(max(values))
        out[n, oh, ow, c], winners[n, oh, ow, c] = values[winner], winner
    return out, winners


def naive_max_pool_backward(dy, winners, shape, pool, strides):
    dx = np.zeros(shape)
    for n, oh, ow, c in np.ndindex(dy.shape):
        i, j = divmod(int(winners[n, oh, ow, c]), pool[1])
        dx[n, strides[0] * oh + i, strides[1] * ow + j, c] += dy[n, oh, ow, c]
    return dx


# Names


def test_names_and_arguments(kernels):
    public = {
        name: function
        for name, function in vars(kernels).items()
        if not name.startswith("_") and getattr(function, "__module__", "") == kernels.__name__
    }
    assert len(CONTRACT) == 26
    at = {name for name in public if name.endswith("_at")}
    assert at == ({"matmul_at", "mostly_zeros_at"} if "cython" in kernels.__name__ else set())
    public = {name: list(inspect.signature(f).parameters) for name, f in public.items()}
    assert {name: public[name] for name in public.keys() - at} == CONTRACT


# Products and activations


@pytest.mark.parametrize(
    ("m", "k", "n"),
    [
        (1, 1, 1),
        (1, 5, 3),
        (3, 1, 33),
        (17, 3, 1),
        (8, 8, 8),
        (33, 17, 9),
        (64, 130, 33),
        (3, 999, 5),
    ],
)
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_matmul(kernels, dtype, m, k, n, transpose_a, transpose_b):
    a, b, bias, before = normals(1, m, k), normals(2, k, n), normals(3, n), normals(4, m, n)
    product = sum(np.outer(a[:, p], b[p]) for p in range(k))
    given = {"a": a.T.copy() if transpose_a else a, "b": b.T.copy() if transpose_b else b}
    given |= {"transpose_a": transpose_a, "transpose_b": transpose_b}
    for accumulate, biased, relu in np.ndindex(2, 2, 2):
        expected = product + accumulate * before + biased * bias
        start = before if accumulate else (m, n)
        given |= {"bias": bias if biased else None, "relu": bool(relu)}
        (out,) = run(kernels, "matmul", dtype, {"out": start}, accumulate=bool(accumulate), **given)
        assert_near(out, np.maximum(expected, 0) if relu else expected, dtype)


def test_matmul_nan(kernels, dtype):
    a, b = integers(1, 9, 4), integers(2, 4, 17)
    a[2, 1] = np.nan
    given = {"transpose_a": False, "transpose_b": False, "bias": None, "accumulate": False}
    (out,) = run(kernels, "matmul", dtype, {"out": (9, 17)}, a=a, b=b, relu=True, fill=1, **given)
    np.testing.assert_array_equal(out, np.maximum(a @ b, 0))
    assert np.isnan(out[2]).all()


def mostly_zeros(rows, columns, share):
    """As behind dropout and ReLU: so much is not zero. One row is nothing but zeros and one has
    none; those from 96 on are another block, and have none either."""
    array = normals(1, rows, columns)
    array[normals(101, rows, columns) > np.quantile(normals(0, 9999), share)] = 0.0
    array[rows // 2] = -0.0
    array[1:2] = normals(102, 1, columns)
    array[96:] = normals(103, rows, columns)[96:]
    return array


@pytest.mark.parametrize(
    ("m", "k", "n"),
    [
        (2, 40, 32),
        (9, 8, 2),
        (97, 300, 33),
        (193, 64, 127),
        (5, 999, 64),
        (7, 257, 130),
        (40, 70, 785),
    ],
)
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.25])
def test_matmul_of_zeros(kernels, dtype, m, k, n, transpose_a, transpose_b, share):
    """Blocks of zeros are multiplied in another way, which changes no bit."""
    a, b, before = mostly_zeros(m, k, share), normals(2, k, n), normals(4, m, n)
    # Products too small for a number, and nothing else, are 0 and not -0.
    small = -(float(np.finfo(dtype).tiny) ** 0.75)
    a[0], b[0, 1], a[0, 0] = 0.0, -small, small
    given = {"a": a.T.copy() if transpose_a else a, "bias": None, "relu": False}
    given |= {"transpose_a": transpose_a, "transpose_b": transpose_b}
    product = sum(np.outer(a[:, p], b[p]) for p in range(k))
    for accumulate in (False, True):
        start = before if accumulate else (m, n)
        given |= {"b": b.T.copy() if transpose_b else b, "accumulate": accumulate}
        (out,) = run(kernels, "matmul", dtype, {"out": start}, **given)
        assert_near(out, product + accumulate * before, dtype)
        # No zero is left out of a product with inf: one in each block of columns.
        strange = b.copy()
        strange[:, ::128] = np.inf
        given["b"] = strange.T.copy() if transpose_b else strange
        (dense,) = run(kernels, "matmul", dtype, {"out": start}, **given)
        others = np.arange(n) % 128 > 0
        assert dense[:, others].tobytes() == out[:, others].tobytes()
        assert np.isnan(dense[m // 2, ~others]).all(), "0 * inf"


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_matmul_at_addresses(dtype, transpose_a, transpose_b, threads):
    """The bits of `matmul`, on other threads."""
    if "cython_layers" not in MODULES:
        pytest.skip("installed without a compiler")
    kernels = import_module("fastdrop.kernels.cython_layers")
    a, b, bias = (
        x.astype(dtype) for x in (mostly_zeros(70, 90, 0.25), normals(2, 90, 300), normals(3, 300))
    )
    a = np.ascontiguousarray(a.T) if transpose_a else a
    b = np.ascontiguousarray(b.T) if transpose_b else b
    expected, out = np.full((2, 70, 300), np.nan, dtype)
    kernels.matmul(a, b, expected, transpose_a, transpose_b, bias, False, False, 2)
    at = (x.ctypes.data for x in (a, b, out))
    turned = transpose_a, transpose_b
    kernels.matmul_at(*at, a.itemsize, 70, 300, 90, *turned, bias.ctypes.data, threads)
    assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize(("share", "expected"), [(0.0, True), (0.4, True), (0.5, False)])
def test_what_is_mostly_zeros(dtype, share, expected):
    """Found by a few rows, so that not every one need be so; never with AVX-512."""
    if "cython_layers" not in MODULES:
        pytest.skip("installed without a compiler")
    kernels = import_module("fastdrop.kernels.cython_layers")
    from fastdrop.kernels import cython_kernels

    x = (np.arange(100 * 1000).reshape(100, 1000) % 10 < 10 * share).astype(dtype)
    found = kernels.mostly_zeros_at(x.ctypes.data, x.itemsize, *x.shape)
    assert found is (expected and cython_kernels.isa() != "avx512")


def test_matmul_of_zeros_and_nan(kernels, dtype):
    a, b = np.zeros((8, 64)), integers(2, 64, 33)
    a[2, 5], a[3, 6], a[4, 7], a[5, 7] = np.nan, np.inf, 2, -3
    given = {"transpose_a": False, "transpose_b": False, "bias": None, "accumulate": False}
    (out,) = run(kernels, "matmul", dtype, {"out": (8, 33)}, a=a, b=b, relu=False, **given)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(out, sum(np.outer(a[:, p], b[p]) for p in range(64)))


@by_accumulate
@by_rows
def test_unit_sums(kernels, dtype, rows, units, accumulate):
    dy, y, before = (
        normals(1, rows, units),
        np.maximum(normals(2, rows, units), 0),
        normals(3, units),
    )
    given = {"scale": 1.25, "accumulate": accumulate}
    start = before if accumulate else (units,)
    sums, before = sum(dy), accumulate * before
    (plain,) = run(kernels, "unit_sums", dtype, {"sums": start}, dy=dy, y=None, dz=None, **given)
    assert_near(plain, sums + before, dtype)
    expected = np.array([d * 1.25 if v > 0 else 0 for d, v in zip(dy.flat, y.flat, strict=True)])
    expected = expected.reshape(dy.shape)
    dy[y == 0] = np.nan
    outputs = {"dz": dy.shape, "sums": start}
    dz, sums = run(kernels, "unit_sums", dtype, outputs, dy=dy, y=y, **given)
    assert_near(dz, expected, dtype)
    assert_near(sums, sum(expected) + before, dtype)
    outputs["dz"] = "dy"
    in_place = run(kernels, "unit_sums", dtype, outputs, dy=dy, y=y, **given)
    np.testing.assert_array_equal(in_place[0], dz)
    np.testing.assert_array_equal(in_place[1], sums)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@by_rows
def test_cross_entropy(kernels, dtype, rows, units, smoothing):
    z = 3 * normals(1, rows, units)
    labels = np.random.default_rng(2).integers(0, units, rows)
    targets = (1 - smoothing) * np.eye(units)[labels] + smoothing / units
    powers = np.exp(z.astype(np.longdouble))
    p = powers / powers.sum(axis=1, keepdims=True)
    given = {"z": z, "labels": labels, "smoothing": smoothing}
    outputs = {"dz": z.shape, "losses": (rows,)}
    dz, losses = run(kernels, "cross_entropy", dtype, outputs, **given)
    assert_near(dz, p - targets, dtype)
    assert_near(losses, -(targets * np.log(p)).sum(axis=1), dtype)


def test_cross_entropy_of_huge_logits(kernels, dtype):
    """No exponential overflows, nothing is lost where all but one are 0, and NaN is seen."""
    z = np.array([[1e30, -1e30, 0.0], [-np.inf, 2.0, 2.0], [0.0, np.nan, 0.0], [1e4, 1e4, 1e4]])
    outputs = {"dz": z.shape, "losses": (4,)}
    given = {"z": z, "labels": np.array([0, 1, 0, 2]), "smoothing": 0.0}
    dz, losses = run(kernels, "cross_entropy", dtype, outputs, **given)
    expected = [0.0, np.log(2), np.nan, np.log(3)]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    np.testing.assert_allclose(dz[[0, 1]], [[0, 0, 0], [0, -0.5, 0.5]], atol=1e-30)
    assert np.isnan(dz[2]).all()


@by_rows
def test_magnitude_sums(kernels, dtype, rows, units):
    x = normals(1, rows, units)
    (sums,) = run(kernels, "magnitude_sums", dtype, {"sums": (units,)}, x=x)
    assert_near(sums, sum(abs(x)), dtype)


@by_size
def test_running_mean(kernels, dtype, size):
    before, sums = normals(1, size), normals(2, size).astype(dtype)
    mean = guarded(before, np.float64)
    kernels.running_mean(mean, sums, 0.75, 0.125)
    assert_guards(mean, "mean")
    expected = [0.75 * m + 0.125 * s for m, s in zip(before.tolist(), sums.tolist(), strict=True)]
    assert mean.tolist() == expected
    for strange in (np.inf, -np.inf, np.nan):
        sums[size // 2] = strange
        kernels.running_mean(mean, sums, 0.75, 0.125)
        assert mean.tolist() == expected


@by_size
@pytest.mark.parametrize("rate", [1.0, 0.6, 2.5 * 2.0**-32, 1.5 * 2.0**-32, 1e-12])
def test_unit_rates(kernels, size, rate):
    importance = abs(normals(1, size))
    importance[: size // 3] = 0.0
    importance[size // 2 : size // 2 + 2] *= -1e9  # as no importance should be
    rates, scales = guarded((size,), np.float64), guarded((size,), np.float64)
    thresholds = guarded((size,), np.uint64, 0)
    by_unit = rates, thresholds, scales
    if not importance.max() > 0:
        assert not kernels.unit_rates(importance, rate, *by_unit)
        assert np.isnan(rates).all()
        return
    assert kernels.unit_rates(importance, rate, *by_unit)
    for array in by_unit:
        assert_guards(array, "an output")
    largest = max(importance.tolist())
    exact = [min((1 - i / largest) * rate, 1) for i in importance.tolist()]
    assert rates.tolist() == [round(r * 2**16) / 2**16 for r in exact]  # half to even
    assert thresholds.tolist() == [r * 2**32 for r in rates.tolist()]
    for strange in (np.nan, np.inf):
        importance[size // 2] = strange
        assert not kernels.unit_rates(importance, rate, *by_unit)
    kept = [2**32 - t for t in thresholds.tolist()]
    np.testing.assert_allclose(scales, [k and 2**32 / k for k in kept], rtol=1e-15)
    assert scales.tolist() == fastdrop.rates.scales(thresholds).tolist()


@by_size
@pytest.mark.parametrize("out", ["out", "x"])
def test_relu(kernels, dtype, size, out):
    x = special(size, size)
    given = {"out": x.shape} if out == "out" else {"out": "x"}
    (actual,) = run(kernels, "relu", dtype, given, x=x, fill=7)
    expected = [v if math.isnan(v) or v > 0 else 0 for v in x.astype(dtype).tolist()]
    assert_near(actual, expected, dtype, exact=True)


@by_size
@pytest.mark.parametrize("out", ["out", "dy"])
def test_relu_backward(kernels, dtype, size, out):
    y, dy = special(size, size), special(size + 1, size)
    given = {"out": y.shape} if out == "out" else {"out": "dy"}
    (actual,) = run(kernels, "relu_backward", dtype, given, y=y, dy=dy, fill=7)
    pairs = zip(y.astype(dtype).tolist(), dy.astype(dtype).tolist(), strict=True)
    expected = [d if v > 0 else 0 for v, d in pairs]
    assert_near(actual, expected, dtype, exact=True)


# Convolution

# n, (h, w), (kh, kw), channels, filters, strides, padding (top, left), after it (bottom, right),
# pool, relu: what random cases may miss, and sizes at which work is cut into parts.
CASES = {
    "one pixel": (1, (1, 1), (1, 1), 1, 1, (1, 1), (0, 0), (0, 0), (0, 0), False),
    "window over all": (3, (1, 1), (3, 3), 3, 8, (1, 1), (1, 1), (1, 1), (0, 0), True),
    "windows outside": (3, (2, 3), (1, 1), 8, 3, (1, 1), (2, 2), (2, 2), (2, 2), True),
    "same, stride 2": (3, (6, 8), (3, 3), 3, 8, (2, 2), (0, 0), (1, 1), (0, 0), True),
    "pixels left over": (3, (9, 8), (2, 1), 3, 3, (3, 3), (0, 0), (0, 0), (0, 0), False),
    "rows left by pool": (3, (9, 8), (2, 2), 3, 8, (1, 1), (0, 0), (0, 0), (3, 2), True),
    "pool alone": (3, (7, 5), (2, 2), 3, 8, (1, 1), (1, 0), (0, 1), (2, 2), False),
    "digits": (3, (28, 28), (5, 5), 1, 8, (1, 1), (0, 0), (0, 0), (2, 2), True),
    "second layer": (5, (13, 13), (3, 3), 8, 33, (1, 1), (1, 1), (1, 1), (3, 3), True),
    "many elements": (33, (8, 8), (5, 5), 33, 3, (1, 1), (2, 2), (2, 2), (0, 0), False),
}
RANDOM_CASES = 24
MOST_PLACES = 8000

by_case = pytest.mark.parametrize("case", [*CASES, *range(RANDOM_CASES)])
by_exact = pytest.mark.parametrize("exact", [False, True])


def random_case(seed):
    rng = np.random.default_rng(seed)

    def pick(*values):
        return values[rng.integers(len(values))]

    def pair(*values):
        return pick(*values), pick(*values)

    while True:
        n, images, kernel = pick(1, 3, 17, 33), pair(*range(1, 10)), pair(*range(1, 6))
        strides, before, after = pair(1, 2, 3), pair(0, 1, 2), pair(0, 1, 2)
        pool = pick((0, 0), (2, 2), (3, 3), (1, 2), (3, 2))
        size = conv_size(images, kernel, strides, before, after)
        enough = all(s >= max(p, 1) for s, p in zip(size, pool, strict=True))
        if enough and n * math.prod(size) * math.prod(kernel) <= MOST_PLACES:
            channels, filters = pair(1, 3, 8, 33)
            relu = bool(pick(False, True))
            return n, images, kernel, channels, filters, strides, before, after, pool, relu


def conv_size(images, kernel, strides, before, after):
    sides = zip(images, kernel, strides, before, after, strict=True)
    return tuple((i + b + a - k) // s + 1 for i, k, s, b, a in sides)


@cache
def problem(case, exact):
    """A convolution, forward and backward, by the formulas; `exact` in small integers."""
    given = CASES[case] if case in CASES else random_case(case)
    n, images, kernel, channels, filters, strides, padding, after, pool, relu = given
    values = integers if exact else normals
    size = conv_size(images, kernel, strides, padding, after)
    p = SimpleNamespace(size=size, strides=strides, padding=padding, pool=pool, relu=relu)
    p.x, p.bias = values(1, n, *images, channels), values(2, filters)
    p.weight = values(3, *kernel, channels, filters)
    conv = naive_conv(p.x, p.weight, size, strides, padding)
    p.out, p.winners = naive_max_pool(conv, pool, pool) if any(pool) else (conv, None)
    p.out = p.out + p.bias
    p.y, p.scale, p.dy = p.out, 1.0, 4 * values(4, *p.out.shape)
    dz = p.dy
    if relu:
        p.out, p.scale = np.maximum(p.out, 0), 1.25
        p.y = p.out * p.scale * (values(5, *p.out.shape) > -0.5)
        dz = np.where(p.y > 0, p.dy * p.scale, 0)
        p.dy = np.where(p.y > 0, p.dy, np.nan)
    p.dbias = dz.reshape(-1, filters).sum(axis=0)
    if any(pool):
        dz = naive_max_pool_backward(dz, p.winners, conv.shape, pool, pool)
    p.dx, p.dweight = naive_conv_gradients(p.x, p.weight, dz, strides, padding)
    return p


def conv_inputs(p, *names):
    return {name: getattr(p, name) for name in (*names, "strides", "padding", "relu", "pool")}


def run_conv2d(kernels, dtype, p, **options):
    outputs = {"out": p.out.shape} | ({"winners": p.out.shape} if any(p.pool) else {})
    inputs = conv_inputs(p, "x", "weight", "bias") | {"winners": None} | options
    return run(kernels, "conv2d", dtype, outputs, **inputs)


@by_exact
@by_case
def test_conv2d(kernels, dtype, case, exact):
    p = problem(case, exact)
    out, *winners = run_conv2d(kernels, dtype, p)
    assert_near(out, p.out, dtype, exact)
    if exact and winners:
        np.testing.assert_array_equal(winners[0], p.winners)
    inputs = conv_inputs(p, "x", "weight", "bias")
    (alone,) = run(kernels, "conv2d", dtype, {"out": out.shape}, winners=None, **inputs)
    np.testing.assert_array_equal(alone, out)


@by_exact
@by_case
def test_conv2d_backward(kernels, dtype, case, exact):
    p = problem(case, exact)
    inputs = conv_inputs(p, "x", "weight", "y", "winners", "dy", "scale")
    outputs = {name: getattr(p, name).shape for name in ("dx", "dweight", "dbias")}
    for gradient, name in zip(
        run(kernels, "conv2d_backward", dtype, outputs, accumulate=False, **inputs),
        outputs,
        strict=True,
    ):
        assert_near(gradient, getattr(p, name), dtype, exact)
    before = {name: integers(9, *outputs[name]) for name in ("dweight", "dbias")}
    inputs |= {"dx": None, "accumulate": True}
    added = run(kernels, "conv2d_backward", dtype, before, **inputs)
    for gradient, name in zip(added, before, strict=True):
        assert_near(gradient, before[name] + getattr(p, name), dtype, exact)


@pytest.mark.parametrize("case", ["rows left by pool", "same, stride 2", "digits"])
def test_conv2d_nan(kernels, dtype, case):
    """NaN in the windows that hold one, and in no others."""
    p = SimpleNamespace(**vars(problem(case, True)))
    p.x = p.x.copy()
    p.x[1, 2, 3, 0] = p.x[2, 5, 5, 0] = np.nan
    out = naive_conv(p.x, p.weight, p.size, p.strides, p.padding)
    if any(p.pool):
        out, p.winners = naive_max_pool(out, p.pool, p.pool)
    expected = np.maximum(out + p.bias, 0)
    assert 0 < np.isnan(expected).mean() < 0.5
    actual, *winners = run_conv2d(kernels, dtype, p, fill=7)
    np.testing.assert_array_equal(actual, expected)
    if winners:
        np.testing.assert_array_equal(winners[0], p.winners)


# Pools

# n, (h, w), channels, pool, strides: with rows left over, apart, and overlapping.
POOLS = [
    (1, (1, 1), 1, (1, 1), (1, 1)),
    (3, (4, 6), 3, (2, 2), (2, 2)),
    (3, (5, 7), 33, (2, 2), (2, 2)),
    (1, (10, 11), 8, (3, 3), (3, 3)),
    (17, (7, 6), 3, (3, 3), (2, 2)),
    (3, (6, 9), 17, (3, 2), (1, 2)),
    (33, (5, 5), 1, (2, 3), (1, 1)),
    (3, (9, 9), 8, (2, 1), (3, 4)),
    (2, (16, 17), 2, (16, 16), (1, 1)),
]
by_pool = pytest.mark.parametrize(("n", "images", "channels", "pool", "strides"), POOLS)


@by_pool
@pytest.mark.parametrize("values", [integers, normals, special])
def test_max_pool(kernels, dtype, n, images, channels, pool, strides, values):
    x = values(1, n, *images, channels)
    expected, winners = naive_max_pool(x.astype(dtype).astype(float), pool, strides)
    given = {"x": x, "pool": pool, "strides": strides, "fill": 7}
    outputs = {"out": expected.shape, "winners": expected.shape}
    out, chosen = run(kernels, "max_pool", dtype, outputs, **given)
    np.testing.assert_array_equal(out, expected.astype(dtype))
    np.testing.assert_array_equal(chosen, winners)
    (alone,) = run(kernels, "max_pool", dtype, {"out": out.shape}, winners=None, **given)
    np.testing.assert_array_equal(alone, out)


@by_pool
def test_max_pool_backward(kernels, dtype, n, images, channels, pool, strides):
    shape = n, *images, channels
    _, winners = naive_max_pool(integers(1, *shape), pool, strides)
    dy = integers(2, *winners.shape)
    dy.flat[0] = np.inf
    expected = naive_max_pool_backward(dy, winners, shape, pool, strides)
    given = {"dy": dy, "winners": winners, "pool": pool, "strides": strides}
    (dx,) = run(kernels, "max_pool_backward", dtype, {"dx": shape}, **given)
    np.testing.assert_array_equal(dx, expected)


@by_pool
def test_avg_pool(kernels, dtype, n, images, channels, pool, strides):
    x = normals(1, n, *images, channels)
    size, count = pooled_size(x, pool, strides), math.prod(pool)
    expected, dx = np.zeros((n, *size, channels)), np.zeros_like(x)
    dy = normals(2, *expected.shape)
    for window, _, pixel in places(x, size, pool, strides):
        expected[window] += x[pixel] / count
        dx[pixel] += dy[window] / count
    given = {"pool": pool, "strides": strides}
    (out,) = run(kernels, "avg_pool", dtype, {"out": expected.shape}, x=x, **given)
    assert_near(out, expected, dtype)
    (out,) = run(kernels, "avg_pool_backward", dtype, {"dx": x.shape}, dy=dy, **given)
    assert_near(out, dx, dtype)


# Channels


@by_rows
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_moments(kernels, dtype, rows, units, offset):
    """The variance is of deviations: from sums of squares it would lose digits."""
    x = (normals(1, rows, units) + offset).astype(np.float32).astype(float)
    mean, variance = run(kernels, "moments", dtype, {"mean": (units,), "variance": (units,)}, x=x)
    expected = sum(x) / rows
    assert_near(mean, expected, dtype)
    assert_near(variance, sum((row - expected) ** 2 for row in x) / rows, dtype)
    assert (variance >= 0).all()


@by_rows
def test_channels(kernels, dtype, rows, units):
    x, y = normals(1, rows, units), normals(2, rows, units)
    a, b, c = (normals(seed, units) for seed in (3, 4, 5))
    for out in (x.shape, "x"):
        (actual,) = run(kernels, "channel_affine", dtype, {"out": out}, x=x, a=a, b=b)
        assert_near(actual, [row * a + b for row in x], dtype)
    for out in (x.shape, "x", "y"):
        given = {"x": x, "y": y, "a": a, "b": b, "c": c}
        (actual,) = run(kernels, "channel_affine2", dtype, {"out": out}, **given)
        assert_near(actual, [v * a + w * b + c for v, w in zip(x, y, strict=True)], dtype)
    outputs = {"sums": (units,), "products": (units,)}
    sums, products = run(kernels, "channel_sums", dtype, outputs, x=x, dy=y, mean=a)
    assert_near(sums, sum(y), dtype)
    assert_near(products, sum(d * (v - a) for v, d in zip(x, y, strict=True)), dtype)


# Steps

SHAPES = [(), (1,), (7,), (3, 5), (3, 3, 1, 8), (65, 33), (33001,)]
by_shape = pytest.mark.parametrize("shape", SHAPES)


def naive_step(step, *arrays):
    """Each element's new values, by a function of the old ones."""
    new = [step(*values) for values in zip(*(a.ravel().tolist() for a in arrays), strict=True)]
    return [np.reshape(column, arrays[0].shape) for column in zip(*new, strict=True)]


def assert_step(kernels, name, dtype, state, expected, **given):
    actual = run(kernels, name, dtype, state, **given)
    for array, wanted in zip(actual, expected, strict=True):
        assert_near(array, wanted, dtype)


@by_shape
@pytest.mark.parametrize(("nesterov", "factor"), [(False, 1.0), (True, 1.0), (True, 0.3)])
def test_sgd(kernels, dtype, shape, nesterov, factor):
    p, g, v = (normals(seed, *shape) for seed in (1, 2, 3))
    given = {"grad": g, "learning_rate": 0.1, "factor": factor}
    plain = {"velocity": None, "momentum": 0.0, "nesterov": False}

    def step(p, v, g):
        v = 0.9 * v + g * factor
        return p - 0.1 * (g * factor + 0.9 * v if nesterov else v), v

    expected = naive_step(step, p, v, g)
    given |= {"momentum": 0.9, "nesterov": nesterov}
    assert_step(kernels, "sgd", dtype, {"param": p, "velocity": v}, expected, **given)
    expected = naive_step(lambda p, g: (p - 0.1 * g * factor,), p, g)
    assert_step(kernels, "sgd", dtype, {"param": p}, expected, **given | plain)


@by_shape
@pytest.mark.parametrize(("factor", "decay"), [(1.0, 0.0), (0.3, 0.01)])
def test_adam(kernels, dtype, shape, factor, decay):
    p, g, m, s = (normals(seed, *shape) for seed in (1, 2, 3, 4))
    s = np.array(abs(s))
    given = {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.95, "root": 1.7, "epsilon": 1e-3}

    def step(p, m, s, g):
        m, s = 0.8 * m + 0.2 * (g * factor), 0.95 * s + 0.05 * (g * factor) ** 2
        return p * (1 - decay) - 0.1 * m / (math.sqrt(s) * 1.7 + 1e-3), m, s

    expected = naive_step(step, p, m, s, g)
    given |= {"grad": g, "decay": decay, "factor": factor}
    state = {"param": p, "moment": m, "square": s}
    assert_step(kernels, "adam", dtype, state, expected, **given)


@by_shape
@pytest.mark.parametrize(("factor", "momentum"), [(1.0, 0.0), (0.3, 0.9)])
def test_rmsprop(kernels, dtype, shape, factor, momentum):
    p, g, s, v = (normals(seed, *shape) for seed in (1, 2, 3, 4))
    s = np.array(abs(s))
    given = {"learning_rate": 0.1, "rho": 0.95, "momentum": momentum, "epsilon": 1e-3}

    def step(p, s, v, g):
        s = 0.95 * s + 0.05 * (g * factor) ** 2
        v = momentum * v + g * factor / (math.sqrt(s) + 1e-3)
        return p - 0.1 * v, s, v

    p_new, s_new, v_new = naive_step(step, p, s, v, g)
    state, expected = {"param": p, "square": s}, [p_new, s_new]
    if momentum:
        state, expected = state | {"velocity": v}, [*expected, v_new]
    given |= {"grad": g, "factor": factor, "velocity": None}
    assert_step(kernels, "rmsprop", dtype, state, expected, **given)


@pytest.mark.parametrize("shape", [*SHAPES, (0,), (300, 401)])
def test_sum_squares(kernels, dtype, shape):
    x = np.array(normals(1, *shape) * 1e25)
    total = run(kernels, "sum_squares", dtype, {}, x=x)
    assert type(total) is float
    values = x.astype(dtype).ravel().tolist()
    assert total == pytest.approx(math.fsum(v * v for v in values), rel=TOLERANCE["float64"])


@by_rows
@pytest.mark.parametrize("size", [1.0, 1e25])
def test_max_norm(kernels, dtype, rows, units, size):
    """Columns within the limit stay as they are, to the bit."""
    weight = normals(1, rows, units).astype(dtype).astype(float) * size
    weight[:, ::3] = 0
    weight = weight.astype(dtype)
    norms = [math.sqrt(math.fsum(v * v for v in column.tolist())) for column in weight.T]
    limit = sorted(norms)[units // 2] * (1 + 1e-3)
    columns = zip(weight.T.astype(float), norms, strict=True)
    expected = np.array([c * limit / norm if norm > limit else c for c, norm in columns]).T
    (actual,) = run(kernels, "max_norm", dtype, {"weight": weight}, limit=limit)
    assert_near(actual / size, expected / size, dtype)
    within = np.array(norms) <= limit
    np.testing.assert_array_equal(actual[:, within], weight[:, within])


def test_max_norm_at_the_limit(kernels, dtype):
    weight = np.array([[3.0, 6.0], [4.0, 8.0]])
    (actual,) = run(kernels, "max_norm", dtype, {"weight": weight}, limit=5.0)
    assert_near(actual, np.array([[3, 3], [4, 4]]), dtype)
    np.testing.assert_array_equal(actual[:, 0], [3, 4])


# Threads, instruction sets, and nothing to do


def calls(n):
    """A call of each kernel, on `n` samples: name, outputs and inputs."""
    x, y = normals(1, n, 15, 14, 16), np.maximum(normals(2, n, 15, 14, 16), 0)
    positive, c, sums = np.abs(normals(3, *x.shape)), normals(4, 16), (16,)
    rows, gates = x.reshape(-1, 16), y.reshape(-1, 16)
    pool, pooled = {"pool": (3, 2), "strides": (2, 2)}, (n, 7, 7, 16)
    from_pool = pool | {"dy": normals(5, *pooled), "winners": np.abs(integers(6, *pooled))}
    a, b = x.reshape(n, 3360), normals(7, 3360, 70)
    product = {"transpose_a": False, "transpose_b": False, "bias": b[0], "relu": True}
    conv = {"strides": (1, 1), "padding": (0, 0), "relu": True, "pool": (2, 2)}
    conv |= {"x": x, "weight": normals(8, 3, 3, 16, 9)}
    half = n, 6, 6, 9
    from_conv = {"y": normals(9, *half), "dy": normals(10, *half), "scale": 2.0}
    from_conv["winners"] = np.abs(integers(11, *half))
    gradients = {"dx": x.shape, "dweight": (3, 3, 16, 9), "dbias": (9,)}
    step = {"grad": y, "learning_rate": 0.1, "factor": 0.7, "epsilon": 1e-3}
    fresh = {"accumulate": False}
    given = [
        ("matmul", {"out": (n, 70)}, {"a": a, "b": b} | product | fresh),
        (
            "unit_sums",
            {"dz": rows.shape, "sums": sums},
            {"dy": rows, "y": gates, "scale": 2.0} | fresh,
        ),
        ("magnitude_sums", {"sums": sums}, {"x": rows}),
        ("relu", {"out": x.shape}, {"x": x}),
        ("relu_backward", {"out": x.shape}, {"y": y, "dy": x}),
        ("conv2d", {"out": half, "winners": half}, {"bias": c[:9]} | conv),
        ("conv2d_backward", gradients, conv | from_conv | fresh),
        ("max_pool", {"out": pooled, "winners": pooled}, {"x": x} | pool),
        ("max_pool_backward", {"dx": x.shape}, from_pool),
        ("avg_pool", {"out": pooled}, {"x": x} | pool),
        ("avg_pool_backward", {"dx": x.shape}, from_pool),
        ("moments", {"mean": sums, "variance": sums}, {"x": rows}),
        ("channel_affine", {"out": rows.shape}, {"x": rows, "a": c, "b": c}),
        ("channel_sums", {"sums": sums, "products": sums}, {"x": rows, "dy": gates, "mean": c}),
        ("channel_affine2", {"out": rows.shape}, {"x": rows, "y": gates, "a": c, "b": c, "c": c}),
        ("sgd", {"param": x, "velocity": y}, {"momentum": 0.9, "nesterov": True} | step),
        (
            "adam",
            {"param": x, "moment": y, "square": positive},
            {"beta_1": 0.8, "beta_2": 0.95, "root": 1.7, "decay": 0.01} | step,
        ),
        (
            "rmsprop",
            {"param": x, "square": positive, "velocity": y},
            {"rho": 0.95, "momentum": 0.9} | step,
        ),
        ("sum_squares", {}, {"x": x}),
        ("max_norm", {"weight": rows}, {"limit": 1.0}),
        (
            "cross_entropy",
            {"dz": rows.shape, "losses": (len(rows),)},
            {"z": rows, "labels": np.arange(len(rows)) % 16, "smoothing": 0.1},
        ),
    ]
    assert {name for name, *_ in given} | ELSEWHERE == CONTRACT.keys()
    return given


def digests(module, threads, names):
    """A hash of what each kernel of a module gives."""
    kernels, found = import_module(f"fastdrop.kernels.{module}"), {}
    for name, outputs, inputs in calls(40):
        for dtype in TOLERANCE if name in names else ():
            result = run(kernels, name, dtype, outputs, threads=threads, **inputs)
            bits = (
                b"".join(array.tobytes() for array in result) if outputs else result.hex().encode()
            )
            found[f"{name} {dtype}"] = hashlib.sha256(bits).hexdigest()
    return found


@pytest.mark.parametrize("module", MODULES)
def test_threads_change_no_bit(module):
    alone = digests(module, 1, CONTRACT)
    assert len(alone) == 2 * len(CONTRACT.keys() - ELSEWHERE)
    for threads in (2, 3):
        assert digests(module, threads, CONTRACT) == alone


def test_instruction_sets_change_no_bit():
    """Products are BLAS's, which has its own code for each processor."""
    if "cython_layers" not in MODULES:
        pytest.skip("installed without a compiler")
    from fastdrop.kernels import cython_kernels

    names = CONTRACT.keys() - {"matmul", "conv2d", "conv2d_backward"}
    here = digests("cython_layers", 2, names)
    for isa in cython_kernels.ISAS:
        code = f"import test_layer_kernels as t; print(t.digests('cython_layers', 2, {names}))"
        assert ast.literal_eval(run_code(code, FASTDROP_ISA=isa)) == here, isa


def test_no_samples(kernels, dtype):
    """Empty stays empty, and its sums are 0."""
    for name, outputs, inputs in calls(0):
        if name != "moments":
            for array in run(kernels, name, dtype, outputs, **inputs) if outputs else ():
                assert not array.any()


# PyTorch, in float64


def tensor(torch, x, grad=False):
    return torch.tensor(x, dtype=torch.float64, requires_grad=grad)


def channels_first(torch, x, grad=False):
    return tensor(torch, np.ascontiguousarray(np.moveaxis(x, 3, 1)), grad)


def channels_last(x):
    return np.moveaxis(x.detach().numpy(), 1, 3)


@pytest.mark.parametrize("case", [*CASES, *range(8)])
def test_torch_conv2d(kernels, torch, case):
    p = problem(case, False)
    (kh, kw), functional = p.weight.shape[:2], torch.nn.functional
    x = channels_first(torch, p.x, True)
    weight = tensor(torch, p.weight.transpose(3, 2, 0, 1).copy(), True)
    bias = tensor(torch, p.bias, True)
    (top, left), (rows, columns) = p.padding, p.x.shape[1:3]
    bottom = p.strides[0] * (p.size[0] - 1) + kh - top - rows
    right = p.strides[1] * (p.size[1] - 1) + kw - left - columns
    padded = functional.pad(x, (left, right, top, bottom))
    out = functional.conv2d(padded, weight, bias, p.strides)
    out = functional.max_pool2d(out, p.pool) if any(p.pool) else out
    out = torch.relu(out) if p.relu else out
    y, *winners = run_conv2d(kernels, "float32", p)
    assert_near(y, channels_last(out), "float32")

    dy = normals(6, *y.shape)
    out.backward(channels_first(torch, dy))
    inputs = conv_inputs(p, "x", "weight") | {"winners": winners[0] if winners else None}
    inputs |= {"y": y, "dy": dy, "scale": 1.0, "accumulate": False}
    outputs = {name: getattr(p, name).shape for name in ("dx", "dweight", "dbias")}
    dx, dweight, dbias = run(kernels, "conv2d_backward", "float32", outputs, **inputs)
    assert_near(dx, channels_last(x.grad), "float32")
    assert_near(dweight, weight.grad.numpy().transpose(2, 3, 1, 0), "float32")
    assert_near(dbias, bias.grad.numpy(), "float32")


@by_pool
@pytest.mark.parametrize("nan", [False, True])
def test_torch_max_pool(kernels, torch, n, images, channels, pool, strides, nan):
    """Integers, for ties: the gradient goes to the same one."""
    values = integers(1, n, *images, channels)
    if nan:  # one only: of several, PyTorch takes the last
        values[0, 0, 0, 0] = np.nan
    x = channels_first(torch, values, True)
    expected = torch.nn.functional.max_pool2d(x, pool, strides)
    shape = channels_last(expected).shape
    outputs, given = {"out": shape, "winners": shape}, {"pool": pool, "strides": strides}
    out, winners = run(kernels, "max_pool", "float32", outputs, x=values, fill=7, **given)
    np.testing.assert_array_equal(out, channels_last(expected))
    dy = integers(2, *shape)
    expected.backward(channels_first(torch, dy))
    given |= {"dy": dy, "winners": winners}
    (dx,) = run(kernels, "max_pool_backward", "float32", {"dx": values.shape}, **given)
    np.testing.assert_array_equal(dx, channels_last(x.grad))


@by_pool
def test_torch_avg_pool(kernels, torch, n, images, channels, pool, strides):
    values, given = normals(1, n, *images, channels), {"pool": pool, "strides": strides}
    x = channels_first(torch, values, True)
    expected = torch.nn.functional.avg_pool2d(x, pool, strides)
    shape = channels_last(expected).shape
    (out,) = run(kernels, "avg_pool", "float32", {"out": shape}, x=values, **given)
    assert_near(out, channels_last(expected), "float32")
    dy = normals(2, *shape)
    expected.backward(channels_first(torch, dy))
    (dx,) = run(kernels, "avg_pool_backward", "float32", {"dx": values.shape}, dy=dy, **given)
    assert_near(dx, channels_last(x.grad), "float32")


@by_rows
def test_torch_moments(kernels, torch, rows, units):
    x = normals(1, rows, units) + 10
    variance, mean = torch.var_mean(tensor(torch, x), dim=0, correction=0)
    outputs = {"mean": (units,), "variance": (units,)}
    actual = run(kernels, "moments", "float32", outputs, x=x)
    assert_near(actual[0], mean.numpy(), "float32")
    assert_near(actual[1], variance.numpy(), "float32")


@pytest.mark.parametrize("rule", ["SGD", "Nesterov", "AdamW", "RMSprop"])
def test_torch_steps(kernels, dtype, torch, rule):
    """Three steps from the start."""
    shape = 17, 9
    param, gradients = normals(1, *shape), [normals(seed, *shape) for seed in (2, 3, 4)]
    weight = torch.nn.Parameter(tensor(torch, param))
    given = {"learning_rate": 0.1, "factor": 1.0}
    if rule in ("SGD", "Nesterov"):
        name, slots, nesterov = "sgd", ("velocity",), rule == "Nesterov"
        theirs = torch.optim.SGD([weight], 0.1, momentum=0.9, nesterov=nesterov)
        given |= {"momentum": 0.9, "nesterov": nesterov}
    elif rule == "AdamW":
        name, slots = "adam", ("moment", "square")
        theirs = torch.optim.AdamW([weight], 0.1, betas=(0.8, 0.9), weight_decay=0.1)
        given |= {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-8, "decay": 0.1 * 0.1}
    else:
        name, slots = "rmsprop", ("square", "velocity")
        theirs = torch.optim.RMSprop([weight], 0.1, alpha=0.95, momentum=0.9)
        given |= {"rho": 0.95, "momentum": 0.9, "epsilon": 1e-8}
    state = {"param": param} | {slot: np.zeros(shape) for slot in slots}
    for count, gradient in enumerate(gradients, 1):
        weight.grad = tensor(torch, gradient)
        theirs.step()
        if rule == "AdamW":
            given["learning_rate"] = 0.1 / (1 - 0.8**count)
            given["root"] = 1 / math.sqrt(1 - 0.9**count)
        state = dict(
            zip(state, run(kernels, name, dtype, state, grad=gradient, **given), strict=True)
        )
    assert_near(state["param"], weight.detach().numpy(), dtype)
