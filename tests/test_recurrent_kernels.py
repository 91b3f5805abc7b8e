"""The recurrent kernels in C against those in NumPy, which `test_recurrent` checks against the
formulas, and their functions against NumPy's.

Outputs are filled with NaN first and lie between guards; inputs are read-only.
"""

import numpy as np
import pytest
from test_layer_kernels import MODULES, assert_guards, guarded

from fastdrop.kernels import numpy_layers

cython_layers = pytest.importorskip("fastdrop.kernels.cython_layers") if MODULES[1:] else None

# Largest error, as a share of the largest value or of 1.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
# Of a function's value, in units in the last place.
ULPS = 4

# Samples, steps, units: alone, with tiles left over, with blocks of rows left over.
SIZES = [(1, 1, 1), (1, 3, 5), (2, 1, 16), (7, 4, 33), (13, 2, 8), (101, 2, 40), (197, 3, 17)]

each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
each_gates = pytest.mark.parametrize("gates", [1, 3, 4])


def problem(gates, sizes, dtype, seed, masks, zones, short):
    """Arrays of both kernels, by the names of the contract."""
    rng = np.random.default_rng(seed)
    samples, steps, units = sizes

    def normals(*shape):
        return rng.standard_normal(shape).astype(dtype)

    state, whole = (samples, units), (samples, steps, units)
    given = {
        "z": normals(samples, steps, gates * units),
        "weight": normals(units, gates * units) / dtype_of(dtype)(units**0.5),
        "bias": normals(gates * units) if gates == 3 else None,
        "h": normals(*state),
        "c": normals(*state) if gates == 4 else None,
        "mask": None,
        "zone_h": None,
        "zone_c": None,
        "lengths": rng.integers(1, steps + 1, samples) if short else None,
        "dy": normals(*whole) if seed % 2 else None,
        "dh": normals(*state),
        "dc": normals(*state) if gates == 4 else None,
    }
    if masks:
        shape = (masks[0] or steps, masks[1] or gates, samples, units)
        given["mask"] = ((rng.random(shape) < 0.6) * 1.5).astype(dtype)
    if zones:
        given["zone_h"] = rng.random((zones[0] or steps, *state)).astype(dtype)
    if zones and gates == 4:
        given["zone_c"] = rng.random((zones[1] or steps, *state)).astype(dtype)
    return given


def dtype_of(name):
    return np.dtype(name).type


def both_ways(kernels, given, gates, sizes, threads=1):
    """What the two kernels write."""
    samples, steps, units = sizes
    arrays = {}
    for name, value in given.items():
        if value is not None:
            arrays[name] = guarded(value, value.dtype)
            arrays[name].flags.writeable = name in ("z", "h", "c", "dh", "dc")
        else:
            arrays[name] = None
    dtype = arrays["z"].dtype
    parts = 1 if given["mask"] is None else given["mask"].shape[1]
    shapes = {
        "fed": (samples, steps, parts, units),
        "out": (samples, steps, units),
        "dz": given["z"].shape,
    }
    if gates > 1:
        shapes["kept"] = shapes["out"]
    if gates == 3:
        shapes["dr"] = shapes["dz"]
    a = arrays | {name: guarded(shape, dtype) for name, shape in shapes.items()}
    a.setdefault("kept", None)
    a.setdefault("dr", a["dz"])
    a["first"] = given["h"].copy()
    names = "z weight bias mask zone_h zone_c h c fed kept out lengths"
    kernels.recurrent(*(a[name] for name in names.split()), threads)
    gates_now = a["z"].copy()
    names = "z weight mask zone_h zone_c first kept out dy dh dc dz dr lengths"
    kernels.recurrent_backward(*(a[name] for name in names.split()), threads)
    np.testing.assert_array_equal(a["z"], gates_now)
    for name, array in a.items():
        if array is not None and array.base is not None:
            assert_guards(array, name)
    written = {name: a[name] for name in ("h", "c", "fed", "out", "dh", "dc", "dz", "dr")}
    return {name: array for name, array in written.items() if array is not None}


@pytest.mark.parametrize("short", [False, True], ids=["whole", "lengths"])
@pytest.mark.parametrize("zones", [None, (1, 0), (0, 1)])
@pytest.mark.parametrize("masks", [None, (1, 1), (0, 1), (1, 0), (0, 0)])
@each_gates
@each_dtype
def test_against_numpy(dtype, gates, masks, zones, short):
    """0 stands for as many as there are: steps, gates."""
    if cython_layers is None:
        pytest.skip("no extension: there is one module of kernels")
    for seed, sizes in enumerate(SIZES):
        given = problem(gates, sizes, dtype, seed, masks, zones, short)
        expected = both_ways(numpy_layers, given, gates, sizes)
        actual = both_ways(cython_layers, given, gates, sizes, threads=2)
        for name, array in actual.items():
            assert array.dtype == dtype
            assert np.isfinite(array).all()
            scale = max(1, np.abs(expected[name]).max())
            error = np.abs(array - expected[name]).max()
            assert error <= TOLERANCE[dtype] * scale, (name, sizes)


@each_gates
@each_dtype
def test_threads_change_no_bit(dtype, gates):
    if cython_layers is None:
        pytest.skip("no extension: there is one module of kernels")
    sizes = (70, 5, 100)
    given = problem(gates, sizes, dtype, 1, (1, 1), (0, 1), True)
    alone = both_ways(cython_layers, given, gates, sizes, threads=1)
    for name, array in both_ways(cython_layers, given, gates, sizes, threads=2).items():
        np.testing.assert_array_equal(array, alone[name])


def values(kernels, gates, x):
    """The gates of inputs `x`, where nothing is recurrent."""
    units = len(x)
    z = np.tile(x, gates).reshape(1, 1, -1)
    zero = [np.zeros((1, units), x.dtype) for _ in range(2)]
    fed, kept, out = (
        np.empty(shape, x.dtype) for shape in [(1, 1, 1, units)] + 2 * [(1, 1, units)]
    )
    weight = np.zeros((units, gates * units), x.dtype)
    c = zero[1] if gates == 4 else None
    kernels.recurrent(z, weight, None, None, None, None, zero[0], c, fed, kept, out, None, 1)
    return z.reshape(gates, units)


@pytest.mark.parametrize("name", MODULES)
@each_dtype
def test_functions(name, dtype):
    """tanh and the logistic function, near 0 and far from it, against more digits."""
    kernels = cython_layers if name == "cython_layers" else numpy_layers
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=400) * size for size in (1e-6, 0.3, 1, 5, 20)])
    x = np.concatenate([x, [0.0, 0.625, -0.625, np.nextafter(0.625, 0)]]).astype(dtype)
    for part in np.array_split(x, 4):
        (tanh,) = values(kernels, 1, part)
        sigmoid = values(kernels, 4, part)[0]
        exact = part.astype(np.longdouble)
        for actual, expected in (
            (tanh, np.tanh(exact)),
            (sigmoid, 1 / (1 + np.exp(-exact))),
        ):
            error = np.abs(actual - expected)
            normal = expected != 0
            assert (error[normal] / np.abs(expected[normal])).max() <= ULPS * np.finfo(dtype).eps
            assert (error[~normal] == 0).all()


@pytest.mark.parametrize("name", MODULES)
@each_dtype
def test_ends(name, dtype):
    """NaN stays NaN, and the largest numbers give the functions' limits."""
    kernels = cython_layers if name == "cython_layers" else numpy_layers
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 1e4, -1e4], dtype)
    (tanh,) = values(kernels, 1, x)
    sigmoid = values(kernels, 4, x)[0]
    np.testing.assert_array_equal(tanh, [np.nan, 1, -1, 1, -1, 1, -1])
    np.testing.assert_allclose(sigmoid, [np.nan, 1, 0, 1, 0, 1, 0], atol=1e-37)
