"""Dropout and its kin on plain arrays: what they compute, take, refuse and leave alone."""

import warnings

import naive
import numpy as np
import pytest

import fastdrop
from fastdrop import AlphaMask, GaussianMask, Mask, MaskStream

# Each function, its recipe, and the axes that it shares in an array of rank 3.
FUNCTIONS = {
    "dropout": (fastdrop.dropout, Mask, ()),
    "spatial_dropout": (fastdrop.spatial_dropout, Mask, (1,)),
    "temporal_dropout": (fastdrop.temporal_dropout, Mask, (1,)),
    "gaussian_dropout": (fastdrop.gaussian_dropout, GaussianMask, ()),
    "alpha_dropout": (fastdrop.alpha_dropout, AlphaMask, ()),
}
SHAPE = (4, 6, 5)
each_function = pytest.mark.parametrize("name", FUNCTIONS)
each_kind = pytest.mark.parametrize("kind", ["e", "f", "d"])


def numbers(shape=SHAPE, kind="f", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(kind)


def forward(mask, x):
    return mask.forward(x) if isinstance(mask, AlphaMask) else mask.apply(x)


def plain(array):
    """The bytes of an array in C order and native byte order."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("=")).tobytes()


# What is computed


@pytest.mark.parametrize("kind", ["f", "d"])
@pytest.mark.parametrize("axes", [(), 0, -1, (0, 2), (0, 1, 2), [1]])
def test_dropout(backend, axes, kind):
    x = numbers(kind=kind)
    stream = MaskStream(5)
    shared = tuple(axis % 3 for axis in np.atleast_1d(np.array(axes, int)).tolist())
    for number in range(3):
        y = fastdrop.dropout(x, 0.4, rng=stream, shared_axes=axes)
        assert y.tobytes() == naive.apply(x, 0.4, stream.key, number, shared).tobytes()
    rates = np.linspace(0, 1, 5) if 2 not in shared else np.array(0.25)
    y, mask = fastdrop.dropout(x, rates, rng=stream, shared_axes=axes, return_mask=True)
    assert y.tobytes() == naive.apply(x, rates, stream.key, 3, shared).tobytes()
    assert np.array_equal(mask.rate, rates)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("shape", [(3, 5, 4), (3, 4, 5, 6), (2, 3, 4, 2, 3)])
def test_spatial_dropout(backend, shape, data_format):
    x = numbers(shape)
    last = data_format == "channels_last"
    axes = tuple(range(1, len(shape) - 1)) if last else tuple(range(2, len(shape)))
    y, mask = fastdrop.spatial_dropout(x, 0.5, rng=3, data_format=data_format, return_mask=True)
    key = MaskStream(3).key
    assert mask == Mask(shape, 0.5, key=key, shared_axes=axes)
    assert y.tobytes() == naive.apply(x, 0.5, key, 0, axes).tobytes()
    if last:
        assert y.tobytes() == fastdrop.spatial_dropout(x, 0.5, rng=3).tobytes()
    # A rate for each channel.
    channels = shape[-1] if last else shape[1]
    rates = np.linspace(0, 1, channels).reshape(-1, *(1,) * (0 if last else len(shape) - 2))
    y = fastdrop.spatial_dropout(x, rates, rng=3, data_format=data_format)
    assert y.tobytes() == naive.apply(x, rates, key, 0, axes).tobytes()


def test_temporal_dropout(backend):
    x = numbers()
    y, mask = fastdrop.temporal_dropout(x, 0.3, rng=1, return_mask=True)
    assert mask == Mask(SHAPE, 0.3, key=MaskStream(1).key, shared_axes=1)
    assert y.tobytes() == naive.apply(x, 0.3, mask.key, 0, (1,)).tobytes()


def test_alpha_dropout_keeps_mean_and_variance(backend):
    """Klambauer et al. 2017: for activations of mean 0 and variance 1."""
    x = numbers(2**18, "d")
    x = (x - x.mean()) / x.std()
    saturation = -1.7580993408473766
    for rate in (0.1, 0.5):
        y, mask = fastdrop.alpha_dropout(x, rate, rng=2, return_mask=True)
        a = ((1 - rate) * (1 + rate * saturation**2)) ** -0.5
        b = -a * rate * saturation
        expected = np.where(mask.keep(), a * x + b, a * saturation + b)
        np.testing.assert_allclose(y, expected, rtol=1e-8, atol=1e-8)
        # Standard errors of a mean and of a variance over 2**18 elements.
        assert abs(y.mean()) < 5 / 512
        assert abs(y.var() - 1) < 5 * np.sqrt(np.var(y**2)) / 512


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_gaussian_dropout_has_the_variance_of_dropout(backend, rate):
    """Srivastava et al. 2014, section 10: standard deviation sqrt(rate / (1 - rate))."""
    noise = fastdrop.gaussian_dropout(np.ones(2**18), rate, rng=4)
    stddev = np.sqrt(rate / (1 - rate))
    assert abs(noise.mean() - 1) < 5 * stddev / 512
    assert abs(noise.std() - stddev) < 5 * stddev / 512 / np.sqrt(2)
    place = MaskStream(4).key, 0
    expected = [1 + stddev * naive.normal(i, *place) for i in range(100)]
    np.testing.assert_allclose(noise[:100], expected, rtol=0, atol=2e-5 * stddev)


@pytest.mark.parametrize("kind", ["f", "d"])
@each_function
def test_backward_is_the_adjoint(backend, name, kind):
    """``<mask(x), y> == <x, mask(y)>``; and the derivative of alpha dropout is its mask."""
    function, _, _ = FUNCTIONS[name]
    x, y = numbers(kind=kind).astype("d"), numbers(kind=kind, seed=1).astype("d")
    _, mask = function(x, 0.4, rng=3, return_mask=True)
    left, right = np.vdot(mask.apply(x), y), np.vdot(x, mask.apply(y))
    assert left == pytest.approx(right, rel=1e-12)
    step = 1e-3 * y
    slope = (forward(mask, x + step) - forward(mask, x - step)) / 2
    np.testing.assert_allclose(slope, mask.apply(step), rtol=1e-9, atol=1e-12)


@each_kind
@each_function
def test_with_its_mask(backend, name, kind):
    function, recipe, axes = FUNCTIONS[name]
    x = numbers(kind=kind)
    y, mask = function(x, 0.4, rng=7, return_mask=True)
    assert type(mask) is recipe
    assert mask == recipe(SHAPE, 0.4, key=MaskStream(7).key, shared_axes=axes)
    assert y.tobytes() == forward(mask, x).tobytes() == function(x, 0.4, rng=7).tobytes()
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    assert type(y) is np.ndarray
    assert x.tobytes() == numbers(kind=kind).tobytes()
    assert function(x, 1, rng=7).tobytes() == bytes(x.nbytes)
    default = function(x, rng=7, return_mask=True)[1]
    assert default.rate == 0.5


def test_float16_is_computed_in_float32_and_rounded_once(backend):
    x = np.arange(2**16, dtype=np.uint16).view(np.float16)
    x = x[np.isfinite(x)]
    for rate in (0.1, 0.3, 0.7):
        y, mask = fastdrop.dropout(x, rate, rng=1, return_mask=True)
        with np.errstate(over="ignore"):
            product = (x.astype("f") * np.float32(mask.scale)).astype("e")
        expected = np.where(mask.keep(), product, np.float16(0))
        assert y.tobytes() == expected.tobytes()
        # The rule of a product in float16 would give other bits.
        with np.errstate(over="ignore"):
            assert (x * np.float16(mask.scale) != product).any()
    y, mask = fastdrop.alpha_dropout(x, 0.3, rng=1, return_mask=True)
    with np.errstate(over="ignore"):
        assert y.tobytes() == mask.forward(x.astype("f")).astype("e").tobytes()


# Identities


@pytest.mark.parametrize(
    "identity", [{"training": False}, {"rate": 0}, {"rate": 0.0}, {"rate": -0.0}], ids=str
)
@each_kind
@each_function
def test_identity(backend, name, kind, identity):
    """`x` itself comes back and nothing is drawn."""
    function, recipe, axes = FUNCTIONS[name]
    for x in (
        numbers(kind=kind),
        numbers(kind=kind).T[::-1],
        numbers(kind=kind).astype(">" + kind),
    ):
        stream, generator = MaskStream(1), np.random.default_rng(1)
        bits = np.random.PCG64(1)
        before = stream.state_dict(), generator.bit_generator.state
        for rng in (stream, generator, bits):
            arguments = {"rate": 0.4, "rng": rng} | identity
            assert function(x, **arguments) is x
            y, mask = function(x, return_mask=True, **arguments)
            assert y is x
            assert type(mask) is recipe
            assert mask.shared_axes == tuple(sorted(axes))
            assert plain(mask.apply(x)) == plain(x)
            out = np.full(x.shape, np.nan, x.dtype)
            assert function(x, out=out, **arguments) is out
            assert plain(out) == plain(x)
            assert function(out, out=out, **arguments) is out
            assert plain(out) == plain(x)
        assert (stream.state_dict(), generator.bit_generator.state) == before
        assert bits.state == before[1]


def test_identity_of_a_list():
    assert fastdrop.dropout([1.0, 2.0], 0).tolist() == [1.0, 2.0]


# Sources of randomness


def drawn(rng, kind=Mask):
    name = {Mask: "dropout", GaussianMask: "gaussian_dropout", AlphaMask: "alpha_dropout"}[kind]
    return FUNCTIONS[name][0](numbers(), 0.5, rng=rng, return_mask=True)[1]


@pytest.mark.parametrize("kind", [Mask, GaussianMask, AlphaMask])
def test_every_kind_of_rng(kind):
    for seed in (0, 7, np.int64(7), np.uint8(7), 2**100):
        key = int(np.random.SeedSequence(int(seed)).generate_state(1, np.uint64)[0])
        for _ in range(2):
            assert drawn(seed, kind) == kind(SHAPE, 0.5, key=key)
    sequence = np.random.SeedSequence(7, spawn_key=(1, 2))
    key = int(sequence.generate_state(1, np.uint64)[0])
    for _ in range(2):
        assert drawn(sequence, kind) == kind(SHAPE, 0.5, key=key)
    assert sequence.n_children_spawned == 0
    stream = MaskStream(7)
    for number in range(3):
        assert drawn(stream, kind) == kind(SHAPE, 0.5, key=stream.key, stream=number)
    for bits in (np.random.PCG64, np.random.Philox, np.random.MT19937):
        ours, theirs = np.random.Generator(bits(7)), np.random.Generator(bits(7))
        raw = bits(7)
        for _ in range(3):
            key, word = theirs.integers(0, 2**64, 2, dtype=np.uint64).tolist()
            expected = kind(SHAPE, 0.5, key=key, stream=word >> 1)
            assert drawn(ours, kind) == expected
            assert drawn(raw, kind) == expected
        # The Generator goes on where NumPy's own would.
        assert ours.random() == theirs.random()


def test_fresh_entropy():
    masks = {(mask.key, mask.stream) for mask in (drawn(None) for _ in range(20))}
    assert len(masks) == 20
    assert len({key for key, _ in masks}) == 20


def test_one_generator_for_numpy_and_masks():
    def program(seed):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(100)
        return [fastdrop.dropout(x, 0.5, rng=rng) + rng.random() for _ in range(3)]

    first, again, other = program(1), program(1), program(2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first, other)


# Arrays of any layout


def unaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)
    raw[1:] = np.ascontiguousarray(x).view(np.uint8).reshape(-1)
    return np.frombuffer(raw, x.dtype, offset=1).reshape(x.shape)


def field(x):
    """A view of every element within a larger record."""
    records = np.zeros(x.shape, [("before", "u1"), ("x", x.dtype), ("after", "u1")])
    records["x"] = x
    return records["x"]


def spread(x):
    wide = np.zeros((*x.shape[:-1], 3 * x.shape[-1]), x.dtype)
    wide[..., 1::3] = x
    return wide[..., 1::3]


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = {
    "C": np.copy,
    "Fortran": np.asfortranarray,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "swapped axes": lambda x: np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1),
    "negative strides": lambda x: np.ascontiguousarray(x[::-1, :, ::-1])[::-1, :, ::-1],
    "sliced": spread,
    "unaligned": unaligned,
    "field": field,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "big-endian Fortran": lambda x: np.asfortranarray(x.astype(x.dtype.newbyteorder(">"))),
}
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


@each_layout
@each_kind
@each_function
def test_layouts_of_x(backend, name, kind, layout):
    function, _, _ = FUNCTIONS[name]
    x = numbers(kind=kind)
    given = LAYOUTS[layout](x)
    expected, mask = function(x, 0.4, rng=7, return_mask=True)
    y = function(given, 0.4, rng=7)
    assert y.dtype.newbyteorder("=") == x.dtype
    assert plain(y) == expected.tobytes()
    assert plain(mask.apply(given)) == mask.apply(x).tobytes()
    assert plain(given) == x.tobytes()
    given.flags.writeable = False
    assert plain(function(given, 0.4, rng=7)) == expected.tobytes()


@each_layout
@each_kind
@each_function
def test_layouts_of_out(backend, name, kind, layout):
    function, _, _ = FUNCTIONS[name]
    x = numbers(kind=kind)
    expected = function(x, 0.4, rng=7)
    out = LAYOUTS[layout](np.full(SHAPE, np.nan, kind))
    assert function(x, 0.4, rng=7, out=out) is out
    assert plain(out) == expected.tobytes()
    # In place.
    out[...] = x
    y, mask = function(out, 0.4, rng=7, out=out, return_mask=True)
    assert y is out
    assert plain(out) == expected.tobytes()
    out[...] = x
    assert mask.apply(out, out) is out
    assert plain(out) == mask.apply(x).tobytes()


def test_out_between_its_neighbours(backend):
    """Elements of the array that `out` is a view of stay as they were."""
    whole = np.full((4, 6, 15), 7, "f")
    fastdrop.dropout(numbers(), 0.4, rng=7, out=whole[..., 1::3])
    assert (whole[..., 0::3] == 7).all()
    assert (whole[..., 2::3] == 7).all()
    assert whole[..., 1::3].tobytes() == fastdrop.dropout(numbers(), 0.4, rng=7).tobytes()


@each_kind
@each_function
def test_zero_strides(backend, name, kind):
    """Every element of a broadcast array has its own draw."""
    function, _, _ = FUNCTIONS[name]
    x = np.broadcast_to(np.arange(1, 6, dtype=kind), SHAPE)
    expected = function(x.copy(), 0.4, rng=7)
    assert function(x, 0.4, rng=7).tobytes() == expected.tobytes()
    one = np.broadcast_to(np.array(2, kind), SHAPE)
    assert function(one, 0.4, rng=7).tobytes() == function(one.copy(), 0.4, rng=7).tobytes()


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (0, 4, 5)])
def test_scalars_and_empty(backend, shape):
    for name in ("dropout", "gaussian_dropout", "alpha_dropout"):
        function, _, _ = FUNCTIONS[name]
        x = np.ones(shape)
        y, mask = function(x, 0.5, rng=1, return_mask=True)
        assert type(y) is np.ndarray
        assert y.shape == shape
        assert y.tobytes() == forward(mask, x).tobytes()
        assert function(x, 0.5, rng=1, out=x) is x
    got = [float(fastdrop.dropout(np.float64(3), 0.5, rng=seed)) for seed in range(40)]
    assert set(got) == {0.0, 6.0}


def subclasses(x, folder):
    mapped = np.memmap(folder / "x", x.dtype, "w+", shape=x.shape)
    mapped[...] = x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = np.matrix(x)
    return {"memmap": mapped, "matrix": matrix, "masked": np.ma.MaskedArray(x.copy(), mask=x > 0)}


def test_array_likes_and_subclasses(backend, tmp_path):
    """They go through ``np.asarray``; results are plain arrays."""
    x = numbers((6, 5), "d")
    expected = fastdrop.dropout(x, 0.5, rng=2)
    several = subclasses(x, tmp_path)
    read = np.memmap(tmp_path / "x", "d", "r", shape=(6, 5))
    for given in (x.tolist(), tuple(map(tuple, x)), read, *several.values()):
        y = fastdrop.dropout(given, 0.5, rng=2)
        assert type(y) is np.ndarray
        assert y.tobytes() == expected.tobytes()


@pytest.mark.parametrize("which", ["memmap", "matrix", "masked"])
@pytest.mark.parametrize("rate", [0.5, [0.0, 0.3, 0.5, 0.9, 1.0]], ids=str)
def test_out_of_a_subclass(backend, tmp_path, which, rate):
    x = numbers((6, 5), "d")
    for name in ("dropout", "gaussian_dropout", "alpha_dropout"):
        function, _, _ = FUNCTIONS[name]
        out = subclasses(x, tmp_path)[which]
        expected, mask = function(x, rate, rng=2, return_mask=True)
        assert function(x, rate, rng=2, out=out) is out
        assert np.asarray(out).tobytes() == expected.tobytes()
        assert mask.apply(x, out) is out
        assert np.asarray(out).tobytes() == mask.apply(x).tobytes()


@pytest.mark.parametrize(
    ("read", "written"),
    [
        *((slice(None, -k), slice(k, None)) for k in (1, 2, 3, 8, 100, 999)),
        *((slice(k, None), slice(None, -k)) for k in (1, 2, 3, 8, 100, 999)),
        (slice(None), slice(None, None, -1)),
        (slice(None, None, 2), slice(1, None, 2)),
        (slice(None, 1000), slice(None, None, 2)),
    ],
    ids=str,
)
@each_kind
def test_partial_overlap(backend, read, written, kind):
    """As if the arrays were separate."""
    for name in ("dropout", "gaussian_dropout", "alpha_dropout"):
        function, _, _ = FUNCTIONS[name]
        both = numbers(2000, kind)
        expected, mask = function(both[read].copy(), 0.4, rng=1, return_mask=True)
        assert function(both[read], 0.4, rng=1, out=both[written]).base is both
        assert plain(both[written]) == expected.tobytes()
        both = numbers(2000, kind)
        expected = mask.apply(both[read].copy())
        mask.apply(both[read], out=both[written])
        assert plain(both[written]) == expected.tobytes()


def test_overlap_of_other_types(backend):
    """`out` over the same bytes as `x`, in the other byte order."""
    both = numbers(2000)
    expected = fastdrop.dropout(both.copy(), 0.4, rng=1)
    out = both.view(both.dtype.newbyteorder())
    fastdrop.dropout(both, 0.4, rng=1, out=out)
    assert plain(out) == expected.tobytes()


# Values


SPECIAL = {
    "e": [np.nan, np.inf, -np.inf, -0.0, 0.0, 65504, -65504, 6e-8, -6e-8, 1],
    "f": [np.nan, np.inf, -np.inf, -0.0, 0.0, 3.4e38, -3.4e38, 1e-45, -1e-40, 1],
    "d": [np.nan, np.inf, -np.inf, -0.0, 0.0, 1.79e308, -1.79e308, 5e-324, -1e-310, 1],
}


@each_kind
@each_function
def test_special_values(backend, name, kind):
    """Nothing warns or raises, and dropped elements are +0.0 whatever stood there."""
    function, _, _ = FUNCTIONS[name]
    x = np.resize(np.array(SPECIAL[kind], kind), (40, 5, 10))
    with np.errstate(all="raise"):
        y, mask = function(x, 0.4, rng=3, return_mask=True)
        dx = mask.apply(x)
        swapped = function(x.astype(">" + kind), 0.4, rng=3)
        rates = np.linspace(0, 1, 10)
        several = function(x, rates, rng=3)
        in_place = x.copy()
        function(in_place, 0.4, rng=3, out=in_place)
    np.testing.assert_array_equal(swapped, y)
    assert in_place.tobytes() == y.tobytes()
    if name == "gaussian_dropout":
        assert np.isnan(y[..., 0]).all()
        assert np.isinf(y[..., 1:3]).all()
        assert (y[..., 3:5] == 0).all()
        assert (y[..., 7] != 0).any()
        assert several[..., 9].tobytes() == bytes(several[..., 9].nbytes)
        return
    keep = np.broadcast_to(mask.keep(), x.shape)
    assert dx[~keep].tobytes() == bytes(dx[~keep].nbytes)
    for k, special in enumerate(SPECIAL[kind]):
        kept = dx[..., k][keep[..., k]]
        assert kept.size
        with np.errstate(all="ignore"):
            wide = np.dtype("f") if kind == "e" else x.dtype
            product = (np.array(special, kind).astype(wide) * wide.type(mask.scale)).astype(kind)
        np.testing.assert_array_equal(kept, np.full(kept.size, product))
        assert (np.signbit(kept) == np.signbit(product)).all() or special != special
        assert special == 0 or (kept != 0).all()
    if name != "alpha_dropout":
        assert y.tobytes() == dx.tobytes()
        assert np.isinf(dx[..., 5:7][keep[..., 5:7]]).all()
        assert several[..., 9].tobytes() == bytes(several[..., 9].nbytes)


@each_kind
@pytest.mark.parametrize("rate", [1e-300, 1e-10, 2.0**-32, 1 - 2.0**-32, 1 - 1e-10, [1e-300, 1, 0]])
@each_function
def test_extreme_rates_raise_nothing(backend, name, rate, kind):
    function, _, _ = FUNCTIONS[name]
    x = np.ones((4, 6, 3), kind)
    with np.errstate(all="raise"):
        y, mask = function(x, rate, rng=3, return_mask=True)
        assert mask.apply(x).shape == x.shape
    assert not np.isnan(y).any()
    if np.ndim(rate) == 0 and rate <= 1e-10:
        np.testing.assert_allclose(y, 1, rtol=1e-3)


# What is refused, and that nothing has changed then

AXIS_ERROR = np.exceptions.AxisError
ARRAY = "x must be float16, float32 or float64, got"
RATE = r"rate must be in \[0, 1\], got"
NUMBER = "rate must be a number or an array of numbers, got"
BAD = [
    ({"x": np.ones(SHAPE, int)}, TypeError, f"{ARRAY} int64"),
    ({"x": np.ones(SHAPE, bool)}, TypeError, f"{ARRAY} bool"),
    ({"x": np.ones(SHAPE, complex)}, TypeError, f"{ARRAY} complex128"),
    ({"x": np.ones(SHAPE, object)}, TypeError, f"{ARRAY} object"),
    ({"x": np.ones(SHAPE, np.longdouble)}, TypeError, f"{ARRAY} (float128|longdouble)"),
    ({"x": np.full(SHAPE, "a")}, TypeError, f"{ARRAY} <U1"),
    ({"x": None}, TypeError, f"{ARRAY} object"),
    ({"x": "abc"}, TypeError, f"{ARRAY} <U3"),
    *(
        ({"rate": rate}, ValueError, f"{RATE} {text}")
        for rate, text in [
            *((-0.1, r"-0\.1$"), (1.1, r"1\.1$"), (np.inf, "inf$"), (-np.inf, "-inf$")),
            *((np.nan, "nan$"), (2, "2$"), (-1, "-1$"), (10**400, "10+$")),
            (np.float32(1.5), r"1\.5$"),
            *((np.array(1.5), r"1\.5$"), (np.nextafter(1, 2), r"1\.0000000000000002$")),
            *(([0.5] * 4 + [np.nan], ".*nan.* in it$"), (-5e-324, "-5e-324$")),
            (np.full((4, 1, 5), -0.5), r".*-0\.5.* in it$"),
        ]
    ),
    *(
        ({"rate": rate}, TypeError, f"{NUMBER} {text}$")
        for rate, text in [
            *(("0.5", r"'0\.5'"), (None, "None"), (0.5j, r"0\.5j"), (b"1", "b'1'")),
            *((["a"], "an array of <U1"), ([None], "an array of object")),
            ([0.5j], "an array of complex128"),
        ]
    ),
    ({"rate": np.full(7, 0.5)}, ValueError, r"rate must broadcast .* got rates of shape \(7,\)$"),
    ({"rate": np.full((1, 4, 1, 5), 0.5)}, ValueError, "rate must broadcast to the mask's own"),
    *(
        ({"rng": rng}, TypeError, f"rng must be None, an int, a SeedSequence, .*, got {text}$")
        for rng, text in [
            *((1.5, "float"), ("seed", "str"), ([1, 2], "list"), (np.random, "module")),
            (np.random.RandomState(0), "RandomState"),
        ]
    ),
    *(
        ({"out": out}, error, f"out must {text}$")
        for out, error, text in [
            ([0.0], TypeError, "be a numpy array, got list"),
            (True, TypeError, "be a numpy array, got bool"),
            (np.ones(3, "f"), ValueError, r"have the shape of x, \(4, 6, 5\), got \(3,\)"),
            (np.ones((4, 6, 1), "f"), ValueError, r"have the shape of x, .*, got \(4, 6, 1\)"),
            (np.ones(SHAPE), TypeError, "have the dtype of x, float32, got float64"),
            (np.ones(SHAPE, "e"), TypeError, "have the dtype of x, float32, got float16"),
            (np.ones(SHAPE, "i4"), TypeError, "have the dtype of x, float32, got int32"),
            (read_only(np.ones(SHAPE, "f")), ValueError, "be writeable, got a read-only array"),
        ]
    ),
]  # fmt: skip
SHARED = [
    ({"shared_axes": 3}, AXIS_ERROR, r"shared_axes must be in \[-3, 2\] .*, got 3$"),
    ({"shared_axes": (0, -4)}, AXIS_ERROR, r"shared_axes must be in \[-3, 2\] .*, got -4$"),
    ({"shared_axes": (0, 0)}, ValueError, r"shared_axes must name each axis once, got \(0, 0\)$"),
    ({"shared_axes": (2, -1)}, ValueError, "shared_axes must name each axis once"),
    ({"shared_axes": 1.0}, TypeError, r"shared_axes must be an int or several, got 1\.0$"),
    ({"shared_axes": "0"}, TypeError, "shared_axes must be an int or several, got '0'$"),
    ({"rate": np.full(5, 0.5), "shared_axes": 2}, ValueError, r"own shape \(4, 6, 1\), got"),
]


def refused(function, changed, error, text):
    """Assert an error, with and without training, that leaves everything as it was."""
    x, stream, generator = numbers(), MaskStream(1), np.random.default_rng(1)
    stream.draw(1, 0.5)
    for rng in (stream, generator):
        for training in (True, False):
            arguments = {"x": x, "rate": 0.5, "rng": rng, "out": np.full_like(x, 7)}
            arguments |= changed | {"training": training}
            before = plain(np.array(arguments["out"]))
            with pytest.raises(error, match=f"^{function.__name__}: .*{text}"):
                function(arguments.pop("x"), arguments.pop("rate"), **arguments)
            assert plain(np.array(arguments["out"])) == before
    assert x.tobytes() == numbers().tobytes()
    assert stream.state_dict()["next"] == 1
    assert generator.random() == np.random.default_rng(1).random()


@pytest.mark.parametrize(("changed", "error", "text"), BAD)
@each_function
def test_bad_arguments(name, changed, error, text):
    refused(FUNCTIONS[name][0], changed, error, text)


@pytest.mark.parametrize(("changed", "error", "text"), SHARED)
@pytest.mark.parametrize("name", ["dropout", "gaussian_dropout", "alpha_dropout"])
def test_bad_shared_axes(name, changed, error, text):
    refused(FUNCTIONS[name][0], changed, error, text)


@each_function
def test_out_of_zero_strides(name):
    target = np.zeros((4, 1, 5), "f")
    out = np.lib.stride_tricks.as_strided(target, SHAPE, (20, 0, 4))
    text = "out must have an element of its own for each result, got a broadcast array with strides"
    refused(FUNCTIONS[name][0], {"out": out}, ValueError, text)
    assert (target == 0).all()


@pytest.mark.parametrize("shape", [(), (5,), (4, 5), (2,) * 6])
def test_bad_ranks(shape):
    x = np.ones(shape, "f")
    refused(
        fastdrop.spatial_dropout,
        {"x": x, "out": None},
        ValueError,
        r"x must have 3 to 5 axes, got shape \(",
    )
    for other in {shape, (2, 3, 4, 5)}:
        refused(
            fastdrop.temporal_dropout,
            {"x": np.ones(other, "f"), "out": None},
            ValueError,
            r"x must be \(batch, time, features\), got shape \(",
        )


@pytest.mark.parametrize("data_format", ["NHWC", "Channels_last", None, 1])
def test_bad_data_format(data_format):
    text = f"data_format must be 'channels_last' or 'channels_first', got {data_format!r}$"
    refused(fastdrop.spatial_dropout, {"data_format": data_format}, ValueError, text)


def test_bad_seeds_are_numpys():
    with pytest.raises(ValueError, match=r"non-negative|negative"):
        fastdrop.dropout(numbers(), 0.5, rng=-1)


@each_function
def test_options_are_keywords(name):
    with pytest.raises(TypeError, match="positional"):
        FUNCTIONS[name][0](numbers(), 0.5, 3)


@each_function
def test_out_of_memory(name):
    """A result that cannot be had: the stream's number is not taken."""
    function, _, _ = FUNCTIONS[name]
    x = np.broadcast_to(np.float32(1), (2**20, 2**20, 2**10))
    stream, generator = MaskStream(1), np.random.default_rng(1)
    for rng in (stream, generator):
        with pytest.raises(MemoryError, match="Unable to allocate"):
            function(x, 0.5, rng=rng)
    assert stream.state_dict()["next"] == 0
    assert generator.random() == np.random.default_rng(1).random()
