"""Each kernel of each backend against `reference`: the same bits, and no others touched.

`reference` computes every case once. Outputs are filled with garbage first and lie
between guards; inputs hold NaN, infinities, zeros of both signs and subnormals.
`test_isa.py` runs this file again for each instruction set of the Cython backend.
"""

import inspect
import os
import subprocess
import sys
from functools import cache
from importlib import import_module
from math import prod
from pathlib import Path

import numpy as np
import pytest
from backends import BACKENDS

import fastdrop
from fastdrop.kernels import reference

# Arrays that each kernel reads; those that read some have a geometry.
OPERANDS = {
    "apply": 1,
    "apply_rates": 1,
    "blend": 2,
    "blend_rates": 2,
    "keep": 0,
    "keep_rates": 0,
    "uniforms": 0,
    "normals": 0,
    "multiply_normals": 1,
}
WITH_ONE_RATE = ("apply", "blend", "keep")
WITH_RATES = ("apply_rates", "blend_rates", "keep_rates", "multiply_normals")
WITH_GEOMETRY = tuple(kernel for kernel, operands in OPERANDS.items() if operands)
FLOATS = ("f", "d")

KEY, STREAM = 0xFEDCBA9876543210, (1 << 33) + 5
PLACE = KEY, STREAM, 12345
TIE = 0x1999999A  # rate 0.1: its low half is not 0, so that some draws tie
AFFINE = {
    "dropout": (10 / 9, -0.0, 0.0),
    "alpha": (0.8864053, 0.1558352, -1.4025197),
    "plain": (1.0, -0.0, 0.0),
    "zero": (0.0, 0.0, -0.0),
    "huge": (3e38, 1.0, np.inf),
}
SPECIAL = (np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-310, -1e-41, 5e-324, 1e-45, 3e38, -1.7e308)
GUARD, GARBAGE = 64, 0xA5


@cache
def pool(kind, which):
    """Read-only elements, with special values among random ones unless "plain"."""
    x = np.random.default_rng(ord(which[0])).standard_normal(2**19)
    if which != "plain":
        x[ord(which) % 7 :: 7] = np.resize(SPECIAL, x[ord(which) % 7 :: 7].size)
    with np.errstate(all="ignore"):
        x = x.astype(kind)
    x.flags.writeable = False
    return x


def values(size, kind, which):
    """An input: the same elements first for every size."""
    assert size <= 2**19
    return pool(kind, which)[:size]


@cache
def cycle(count, kind):
    """Thresholds, a, b, c and stddevs of `count` rates, 0 and 1 and ties among them."""
    rng = np.random.default_rng(count)
    thresholds = rng.integers(0, 2**32, count, dtype=np.uint64)
    thresholds[::7] = 2**32
    thresholds[3::7] = 0
    thresholds[1::7] = TIE
    a, b, c, stddevs = rng.uniform(-2, 2, (4, count)).astype(kind)
    b[::2] = -0.0
    c[1::3] = 0.0
    return thresholds, a, b, c, np.abs(stddevs)


def tail(kernel, rates, kind, affine="dropout"):
    """What stands after the offset: `rates` is a threshold or a number of rates."""
    if kernel in ("uniforms", "normals"):
        return ()
    if kernel in WITH_ONE_RATE:
        return (rates, *AFFINE[affine]) if kernel == "apply" else (rates,)
    thresholds, a, b, c, stddevs = cycle(rates, kind)
    if kernel == "multiply_normals":
        return (stddevs,)
    if affine == "scales":
        a, b, c = abs(a), np.array([-0.0], kind), np.zeros(1, kind)
    return (thresholds, a, b, c) if kernel == "apply_rates" else (thresholds,)


def default_rates(kernel):
    return TIE if kernel in WITH_ONE_RATE else 5


def run(
    module, kernel, geometry, place, rates, kind, affine="dropout",
    *, threads=1, shift=0, target=None, read_only=False,
):  # fmt: skip
    """What a kernel writes. `target` is the operand that it works in place on."""
    size = prod(geometry)
    dtype = np.dtype(bool if kernel.startswith("keep") else kind)
    raw = np.full((size + 2 * GUARD + shift) * dtype.itemsize, GARBAGE, np.uint8)
    start = (GUARD + shift) * dtype.itemsize
    stop = start + size * dtype.itemsize
    out = raw[start:stop].view(dtype)
    names = ["plain"] if kernel == "multiply_normals" else ["x", "y"][: OPERANDS[kernel]]
    inputs = [values(size, kind, name) for name in names]
    operands = [x if read_only else x.copy() for x in inputs]
    if target is not None:
        out[...] = operands[target]
        operands[target] = out
    where = (*geometry, *place) if operands else place
    result = getattr(module, kernel)(
        *operands, out, *where, *tail(kernel, rates, kind, affine), threads
    )
    assert result is None
    assert (raw[:start] == GARBAGE).all(), "wrote before its output"
    assert (raw[stop:] == GARBAGE).all(), "wrote beyond its output"
    for k, (before, operand) in enumerate(zip(inputs, operands, strict=True)):
        assert k == target or operand.tobytes() == before.tobytes(), "changed an input"
    return out


@cache
def expected(kernel, geometry, place, rates, kind, affine="dropout"):
    return run(reference, kernel, geometry, place, rates, kind, affine)


@cache
def bound(kernel, geometry, place, rates, kind):
    """The exact normals, or products by them, and how far from these a result may lie."""
    outer, _shared, inner = geometry if len(geometry) == 3 else (*geometry, 1, 1)
    indices = np.uint64(place[2]) + np.arange(outer * inner, dtype=np.uint64)
    first = reference.words(indices & ~np.uint64(1), *place[:2])
    radius = np.sqrt(-2 * np.log(((first >> np.uint64(9)) + 0.5) * 2.0**-23))
    normals = np.empty(outer * inner)
    reference.normals(normals, *place, 1)
    if kernel == "normals":
        return normals, 2e-6 * radius
    x = values(prod(geometry), kind, "plain").astype(float).reshape(geometry)
    stddevs = np.resize(cycle(rates, kind)[4], outer * inner).astype(float)
    change = (stddevs * normals).reshape(outer, 1, inner)
    error = (stddevs * 2e-6 * radius).reshape(outer, 1, inner)
    error = np.abs(x) * (error + np.finfo(kind).eps * (2 + 3 * np.abs(change)))
    return (x * (1 + change)).reshape(-1), error.reshape(-1)


def check(module, kernel, geometry, place, rates, kind, affine="dropout", *, whole=None, **how):
    """Assert that a kernel agrees; `whole` is a longer geometry of the same beginning."""
    got = run(module, kernel, geometry, place, rates, kind, affine, **how)
    case = f"{kernel} {geometry} at {place[2]}, rates {rates}, {kind}, {affine}, {how}"
    if "normals" in kernel:
        both = bound(kernel, whole or geometry, place, rates, kind)
        want, error = (part[: got.size] for part in both)
        wrong = ~(np.abs(got - want) <= error)
    else:
        want = expected(kernel, whole or geometry, place, rates, kind, affine)[: got.size]
        bits = f"u{got.itemsize}"
        wrong = got.view(bits) != want.view(bits)
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        pytest.fail(f"{case}: {wrong.sum()} differ, first {k}: {got[k]!r} is not {want[k]!r}")


def element_wise(kernel, n):
    return (n, 1, 1) if OPERANDS[kernel] else (n,)


def teams(module):
    """Numbers of threads to try; `reference` has one way to compute."""
    return (1,) if module is reference else (1, 2, 3)


each_kernel = pytest.mark.parametrize("kernel", OPERANDS)
each_geometry_kernel = pytest.mark.parametrize("kernel", WITH_GEOMETRY)
each_kind = pytest.mark.parametrize("kind", FLOATS)


@each_kind
@each_kernel
def test_every_small_size(kernels, kernel, kind):
    """Sizes 0 to 257, each at another alignment of its output."""
    for n in range(258):
        geometry, whole = element_wise(kernel, n), element_wise(kernel, 257)
        how = {"threads": 1 + n % 3, "shift": n % 17, "whole": whole}
        if n:
            check(kernels, kernel, geometry, PLACE, default_rates(kernel), kind, **how)
        else:
            run(kernels, kernel, geometry, PLACE, default_rates(kernel), kind)


@each_kind
@each_kernel
@pytest.mark.parametrize("power", [10, 12, 13, 15, 16, 17, 18])
def test_sizes_around_tiles_and_threads(kernels, kernel, kind, power):
    whole = element_wise(kernel, 2**18 + 1)
    for n in (2**power - 1, 2**power, 2**power + 1):
        for threads in teams(kernels):
            how = {"threads": threads, "shift": n % 3, "whole": whole}
            rates = default_rates(kernel)
            check(kernels, kernel, element_wise(kernel, n), PLACE, rates, kind, **how)


OFFSETS = sorted(
    {
        *(0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129),
        *(
            edge + step
            for edge in (2**31, 2**32, 2**33, 2**34, 2**35, 3 * 2**34, 3 * 2**35, 2**63)
            for step in (-290, -129, -65, -64, -33, -16, -9, -8, -3, -1, 0, 1, 5)
        ),
        *(2**64 - 300 - step for step in (0, 1, 2, 7, 8, 9, 31, 64)),
    }
)


@each_kind
@each_kernel
def test_offsets(kernels, kernel, kind):
    """Where counters of 31 and 32 bits come round, for words and for digits."""
    for offset in OFFSETS:
        place = KEY, STREAM, offset
        check(kernels, kernel, element_wise(kernel, 300), place, default_rates(kernel), kind)


@each_kernel
@pytest.mark.parametrize("edge", [2**34, 2**35, 2**64])
def test_offsets_between_threads(kernels, kernel, edge):
    n = 2**17 + 3
    place = KEY, STREAM, edge - (n if edge == 2**64 else n // 2 - 1)
    for threads in teams(kernels):
        rates = default_rates(kernel)
        check(kernels, kernel, element_wise(kernel, n), place, rates, "f", threads=threads)


@each_kernel
def test_keys_and_streams(kernels, kernel):
    """Each half of the key and of the stream has its own place."""
    for key in (0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1, KEY):
        for stream in (0, 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1):
            place = key, stream, 5
            check(kernels, kernel, element_wise(kernel, 100), place, default_rates(kernel), "f")


@cache
def draws(place, count):
    return reference.draws(np.uint64(place[2]) + np.arange(count, dtype=np.uint64), *place[:2])


def check_keep(module, place, count, threshold):
    """Assert the mask of one threshold, from each kernel that decides by it."""
    want = draws(place, count) >= np.uint64(threshold)
    thresholds = np.array([threshold], np.uint64)
    keep, keeps = np.full((2, count), GARBAGE, np.uint8).view(bool)
    module.keep(keep, *place, threshold, 1)
    module.keep_rates(keeps, *place, thresholds, 1)
    assert keep.tobytes() == want.tobytes(), f"keep of {count}, threshold {threshold}"
    assert keeps.tobytes() == want.tobytes(), f"keep_rates of {count}, threshold {threshold}"
    for kind in FLOATS:
        ones, nines = np.ones(count, kind), np.full(count, 9, kind)
        out = np.full(count, np.nan, kind)
        module.apply(ones, out, count, 1, 1, *place, threshold, 2.0, -0.0, 0.0, 1)
        assert (out == want * 2.0).all(), f"apply to {count}, threshold {threshold}, {kind}"
        out = np.full(count, np.nan, kind)
        module.blend(ones, nines, out, count, 1, 1, *place, threshold, 1)
        assert (out == np.where(want, 1, 9)).all(), f"blend of {count}, threshold {threshold}"


@pytest.mark.parametrize(
    "threshold",
    [
        *(0, 1, 2, 2**16 - 1, 2**16, 2**16 + 1, 2**30, 2**31, 2**31 + 1, 3 << 30),
        *(TIE, 0xE6666666, 0xFFFF0000, 0xFFFEFFFF, 0xFFFF0001, 2**32 - 1),
    ],
)
def test_thresholds(kernels, threshold):
    check_keep(kernels, PLACE, 2**17 + 5, threshold)


def test_thresholds_at_each_draw(kernels):
    """A draw that equals the threshold is kept: it alone tells ``<`` from ``<=``."""
    # Long enough for what a backend decides in one go, from its beginning and not.
    for place, count, step in ((PLACE, 131, 1), (PLACE, 901, 7), ((KEY, 3, 2**35 - 448), 901, 5)):
        for draw in draws(place, count)[::step].tolist():
            check_keep(kernels, place, count, draw)
            check_keep(kernels, place, count, draw + 1)


def test_thresholds_with_low_halves_0_and_all_ones(kernels):
    found = draws(PLACE, 2**18)
    for low in (0, 1, 0xFFFF):
        places = np.flatnonzero(found & np.uint64(0xFFFF) == np.uint64(low))[:3]
        assert places.size
        for k in places.tolist():
            first = k - k % 97
            place = KEY, STREAM, PLACE[2] + first
            for threshold in (int(found[k]), int(found[k]) + 1):
                check_keep(kernels, place, 97, threshold)


def test_several_ties_close_together(kernels):
    """Draws of one vector that share their first digit with the threshold."""
    found = draws(PLACE, 2**18)
    digits = (found >> np.uint64(16)).reshape(-1, 32)
    ordered = np.sort(digits, axis=1)
    rows, columns = np.nonzero(ordered[:, 1:] == ordered[:, :-1])
    assert rows.size > 20
    for row, column in zip(rows[:40].tolist(), columns[:40].tolist(), strict=True):
        place = KEY, STREAM, PLACE[2] + 32 * row
        tied = found[32 * row :][:32][digits[row] == ordered[row, column]]
        assert tied.size > 1
        for draw in tied.tolist():
            check_keep(kernels, place, 32, draw)
            check_keep(kernels, place, 32, draw + 1)


@each_kind
@pytest.mark.parametrize("kernel", WITH_RATES)
@pytest.mark.parametrize("count", [1, 2, 3, 8, 17, 64, 100, 1000, 4099])
def test_rates(kernels, kernel, kind, count):
    for n in {count, 4099, 2**16 + 1}:
        for threads in teams(kernels):
            geometry = element_wise(kernel, n)
            check(kernels, kernel, geometry, PLACE, count, kind, threads=threads)


@each_kind
@pytest.mark.parametrize("offset", [0, 8, 2**35 - 512, 13])
@pytest.mark.parametrize("count", [1, 64, 100, 192, 1024, 4099, 2**14])
def test_rates_of_dropout(kernels, kind, count, offset):
    """Rates alone, as in dropout, where many draws may be decided at once."""
    place = KEY, STREAM, offset
    for n in (count, 1000, 2**16 + 100):
        for threads in teams(kernels):
            geometry = element_wise("apply_rates", n)
            how = {"affine": "scales", "threads": threads}
            check(kernels, "apply_rates", geometry, place, count, kind, **how)


@each_kind
@pytest.mark.parametrize("kernel", WITH_RATES[:3])
def test_one_rate_of_0_or_1(kernels, kernel, kind):
    """As an array of one: everything is kept, or nothing."""
    for threshold in (0, 2**32):
        count, arguments = 200, [np.array([threshold], np.uint64)]
        if kernel == "apply_rates":
            arguments += [np.array([value], kind) for value in (3, -0.0, 0)]
        operands = [np.full(count, value, kind) for value in (np.nan, 7)[: OPERANDS[kernel]]]
        out = np.full(count, 5, bool if kernel == "keep_rates" else kind)
        where = (count, 1, 1, *PLACE) if operands else PLACE
        getattr(kernels, kernel)(*operands, out, *where, *arguments, 1)
        kept = {"apply_rates": np.nan, "blend_rates": np.nan, "keep_rates": True}
        dropped = {"apply_rates": 0, "blend_rates": 7, "keep_rates": False}
        np.testing.assert_array_equal(out, (kept, dropped)[threshold > 0][kernel])


GEOMETRIES = [
    *((1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (0, 3, 2), (3, 0, 2), (3, 2, 0)),
    # one draw for a run of elements (channels first)
    *((3, 2, 1), (5, 3, 1), (100, 2, 1), (257, 4, 1), (64, 49, 1), (300, 7, 1), (7, 50, 1)),
    *((1, 500, 1), (2, 4097, 1), (33, 1000, 1)),
    # short inner runs (channels last)
    *((3, 4, 2), (5, 9, 3), (40, 3, 3), (6, 5, 5), (4, 5, 7), (3, 6, 17), (9, 11, 31), (2, 8, 33)),
    *((2, 7, 64), (3, 2, 64), (2, 50, 64), (2, 3, 100), (5, 13, 100), (17, 3, 8), (11, 4, 16)),
    # shared over the batch or over time
    *((1, 2, 257), (1, 6, 1000), (1, 40, 129), (2, 3, 3000), (2, 2, 4099), (4, 3, 513)),
    # nothing shared
    *((1, 1, 5000), (3, 1, 5), (100, 1, 33)),
]
BIG_GEOMETRIES = [
    *((300, 1000, 1), (4, 70_000, 1), (1, 300_000, 1), (100_000, 3, 1)),
    *((2, 2500, 64), (16, 300, 65), (3, 40_000, 3), (1, 2, 150_001), (1, 50, 6000), (3, 33, 4100)),
    *((1, 1, 2**18 + 1), (70_000, 2, 2)),
]


@each_kind
@each_geometry_kernel
@pytest.mark.parametrize("offset", [0, 13, 2**35 - 77])
def test_geometries(kernels, kernel, kind, offset):
    for k, geometry in enumerate(GEOMETRIES):
        place, rates = (KEY, STREAM, offset), default_rates(kernel)
        if prod(geometry):
            how = {"threads": 1 + k % 2, "shift": k % 5}
            check(kernels, kernel, geometry, place, rates, kind, **how)
        else:
            run(kernels, kernel, geometry, place, rates, kind)


@each_kind
@each_geometry_kernel
@pytest.mark.parametrize("geometry", BIG_GEOMETRIES)
def test_big_geometries(kernels, kernel, kind, geometry):
    for threads in teams(kernels):
        check(kernels, kernel, geometry, PLACE, default_rates(kernel), kind, threads=threads)


@each_kind
@pytest.mark.parametrize("kernel", [kernel for kernel in WITH_RATES if OPERANDS[kernel]])
@pytest.mark.parametrize("count", [1, 3, 64, 100, "inner", "draws"])
def test_rates_of_geometries(kernels, kernel, kind, count):
    """Draw ``d`` takes rate ``d % R``, whatever the geometry."""
    for geometry in ((64, 9, 1), (7, 5, 64), (1, 6, 1000), (5, 4, 3), (2, 3, 100)):
        outer, _, inner = geometry
        number = {"inner": inner, "draws": outer * inner}.get(count, count)
        check(kernels, kernel, geometry, PLACE, number, kind)


@each_kind
@each_geometry_kernel
def test_in_place(kernels, kernel, kind):
    for target in range(OPERANDS[kernel]):
        for geometry in ((1000, 1, 1), (20, 7, 9), (30, 33, 1), (1, 5, 700), (2**17, 1, 1)):
            for threads in teams(kernels):
                how = {"target": target, "threads": threads}
                check(kernels, kernel, geometry, PLACE, default_rates(kernel), kind, **how)


@each_kind
@each_geometry_kernel
def test_read_only_inputs(kernels, kernel, kind):
    geometry = 30, 4, 9
    check(kernels, kernel, geometry, PLACE, default_rates(kernel), kind, read_only=True)


@each_kind
@pytest.mark.parametrize("affine", AFFINE)
def test_affine(kernels, kind, affine):
    """The product is rounded before the sum, and -0.0 survives the sum with -0.0."""
    for threshold in (TIE, 0, 2**31):
        for geometry in ((70_000, 1, 1), (50, 13, 11), (50, 60, 1)):
            check(kernels, "apply", geometry, PLACE, threshold, kind, affine)


@each_kind
def test_dropped_is_positive_zero(kernels, kind):
    x = np.resize(np.array([-1, -0.0, np.nan, -np.inf, np.inf, -1e-310], kind), 6000)
    out = np.full(6000, np.nan, kind)
    kernels.apply(x, out, 6000, 1, 1, *PLACE, 2**32 - 2**28, 16.0, -0.0, 0.0, 1)
    dropped = draws(PLACE, 6000) < np.uint64(2**32 - 2**28)
    assert out[dropped].tobytes() == bytes(out[dropped].nbytes)
    assert np.signbit(out[~dropped & (x == 0)]).all()
    assert np.isnan(out[~dropped & np.isnan(x)]).all()


@each_kind
def test_special_values_times_normals(kernels, kind):
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, np.finfo(kind).tiny / 4], kind)
    x, stddevs = np.resize(special, 600), np.array([0.3], kind)
    want, got = np.empty((2, 600), kind)
    for module, out in ((reference, want), (kernels, got)):
        module.multiply_normals(x, out, 600, 1, 1, *PLACE, stddevs, 1)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=np.finfo(kind).tiny * 1e-5)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()
    assert (got[5::6] != 0).all()


def test_normals_with_a_stddev_of_0_change_nothing(kernels):
    x, out = values(600, "f", "plain"), np.full(600, np.nan, "f")
    kernels.multiply_normals(x, out, 600, 1, 1, *PLACE, np.zeros(1, "f"), 1)
    assert out.tobytes() == x.tobytes()


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "reference"])
@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("others", ["coarse", "fine", "always"])
def test_thresholds_that_upper_digits_decide(name, kind, others):
    """Multiples of 2**16, and beside them some that are not, or that drop always: of 2**19
    draws some eight have those very digits."""
    module = import_module(f"fastdrop.kernels.{name}_kernels")
    rows, units = 512, 1024
    x = values(rows * units, kind, "plain").reshape(rows, units)
    thresholds, a, *_ = cycle(units, kind)
    thresholds = thresholds & np.uint64(0xFFFF0000)
    if others == "fine":
        thresholds[::2] += np.uint64(0x8000)
    if others == "always":
        thresholds[::2] = 2**32
    cycles = thresholds, a, np.full(1, -0.0, kind), np.zeros(1, kind)
    expected, out = np.empty_like(x), np.empty_like(x)
    with np.errstate(all="ignore"):
        reference.apply_rates(x, expected, rows * units, 1, 1, KEY, STREAM, 8, *cycles, 1)
    module.apply_rates(x, out, rows * units, 1, 1, KEY, STREAM, 8, *cycles, 2)
    assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", BACKENDS)
def test_contract(name):
    """The functions of the contract, with its names of parameters and its constants."""
    module = import_module({"reference": "fastdrop.kernels.reference"}.get(
        name, f"fastdrop.kernels.{name}_kernels"
    ))  # fmt: skip
    for constant in ("PHILOX_MULTIPLIERS", "PHILOX_INCREMENTS", "PHILOX_ROUNDS", "DIGIT_BITS"):
        assert getattr(module, constant) == getattr(reference, constant)
    assert module.PHILOX_MULTIPLIERS == (0xD2511F53, 0xCD9E8D57)
    assert module.PHILOX_INCREMENTS == (0x9E3779B9, 0xBB67AE85)
    assert (module.PHILOX_ROUNDS, module.DIGIT_BITS) == (10, 16)
    text = " ".join(sys.modules["fastdrop.kernels"].__doc__.split())
    for kernel in OPERANDS:
        names = list(inspect.signature(getattr(module, kernel)).parameters)
        assert f"{kernel}({', '.join(names)})" in text


def test_numba_kernels_run_as_plain_python():
    """Without its compiler the Numba backend gives the same bits, and can be stepped through."""
    code = """
import numpy as np
import test_kernels as t
from fastdrop.kernels import numba_kernels
with np.errstate(all="ignore"):
    for kernel in t.OPERANDS:
        for offset in (5, 2**35 - 20):
            for geometry in [(50,)] if not t.OPERANDS[kernel] else [(50, 1, 1), (3, 4, 7)]:
                place, rates = (t.KEY, t.STREAM, offset), t.default_rates(kernel)
                t.check(numba_kernels, kernel, geometry, place, rates, "f")
with np.errstate(all="raise"):  # an overflow is a value
    x = np.full(64, 3e38, np.float32)
    numba_kernels.apply(x, x, 64, 1, 1, 1, 0, 0, 1 << 31, 2.0, -0.0, 0.0, 1)
    assert set(x) == {0, np.inf}
print("same")
"""
    here, root = Path(__file__).parent, Path(fastdrop.__file__).parents[1]
    environment = os.environ | {
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONPATH": os.pathsep.join(map(str, (root, here))),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "same"
