"""`fastdrop.torch.functional`: PyTorch's own properties of its dropout, and the masks' own.

What a mask is, is said by naive.py; what PyTorch does, by PyTorch beside it.
"""

import inspect
import threading
import warnings
from itertools import permutations

import naive
import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: fastdrop.torch is not tested"
)

import fastdrop  # noqa: E402
from fastdrop.torch import functional  # noqa: E402

THEIRS = torch.nn.functional
NAMES = functional.__all__
ALPHA = ("alpha_dropout", "feature_alpha_dropout")
ELEMENTS = ("dropout", "alpha_dropout")
# A shape that each takes without a warning, and its first axis that shares draws.
SHAPES = {
    "dropout": ((5, 7), None),
    "alpha_dropout": ((5, 7), None),
    "dropout1d": ((5, 7, 3), 2),
    "dropout2d": ((5, 7, 3, 2), 2),
    "dropout3d": ((5, 7, 3, 2, 2), 2),
    "feature_alpha_dropout": ((5, 7, 3), 2),
}
SATURATION = -1.7580993408473766
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def ours(name, x, p=0.5, **options):
    return getattr(functional, name)(x, p, **({"training": True} | options))


def kept(shape, p, seed, first=None):
    """What the mask of an int `rng` keeps, broadcast to the shape."""
    key = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
    axes = () if first is None else tuple(range(first, len(shape)))
    keep = naive.keep_array(tuple(shape), p, key, shared_axes=axes)
    return torch.from_numpy(np.broadcast_to(keep, tuple(shape)).copy())


def expected(name, x, p, keep):
    """The formula, in float32 for the small types and rounded once."""
    work = x.double() if x.dtype == torch.float64 else x.float()
    drop = naive.threshold(p) / 2**32
    if name in ALPHA:
        q = 1 - drop
        a = (q + SATURATION**2 * q * (1 - q)) ** -0.5
        b = -a * (1 - q) * SATURATION
        return torch.where(keep, work * a + b, a * SATURATION + b).to(x.dtype)
    return torch.where(keep, work * naive.scale(p), 0.0).to(x.dtype)


def random(shape, dtype=torch.float32, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_masks_and_values_are_those_of_the_definition(name, dtype, backend):
    shape, first = SHAPES[name]
    x = random(shape, dtype)
    y = ours(name, x, 0.3, rng=7)
    found = expected(name, x, 0.3, kept(shape, 0.3, 7, first))
    if name in ALPHA and dtype in (torch.float32, torch.float64):
        # Its coefficients come by another order of operations.
        torch.testing.assert_close(y, found, rtol=4 * torch.finfo(dtype).eps, atol=1e-6)
    else:
        assert torch.equal(y, found)
    assert y.dtype == dtype
    assert y.is_contiguous()


def test_masks_are_those_of_the_functions_on_arrays():
    x = random((100, 100))
    y = functional.dropout(x, 0.3, rng=7)
    assert np.array_equal(y.numpy(), fastdrop.dropout(x.numpy(), 0.3, rng=7))
    y = functional.alpha_dropout(x, 0.3, True, rng=7)
    assert np.array_equal(y.numpy(), fastdrop.alpha_dropout(x.numpy(), 0.3, rng=7))


@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_pytorchs_and_rng(name):
    theirs = inspect.signature(getattr(THEIRS, name)).parameters
    found = inspect.signature(getattr(functional, name)).parameters
    assert [(one.name, one.default) for one in found.values()] == [
        *((one.name, one.default) for one in theirs.values()),
        ("rng", None),
    ]
    assert found["rng"].kind is inspect.Parameter.KEYWORD_ONLY


def outcome(function, *arguments):
    """The shape of the result or the error, and the warnings."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            result = tuple(function(*arguments).shape)
        except Exception as error:
            result = type(error), str(error)
    return result, [(one.category, str(one.message)) for one in seen]


@pytest.mark.parametrize("ndim", range(8))
@pytest.mark.parametrize("name", NAMES)
def test_rank_rules_warnings_and_errors_are_pytorchs(name, ndim):
    x = random((2,) * ndim)
    call, their = getattr(functional, name), getattr(THEIRS, name)
    assert outcome(call, x, 0.5, True) == outcome(their, x, 0.5, True)
    assert outcome(call, x, 0.5, False) == outcome(their, x, 0.5, False)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("p", [-0.1, 1.1, float("inf"), "0.5", None])
@pytest.mark.parametrize("name", NAMES)
def test_a_bad_p_is_pytorchs_error(name, p, training):
    x = random(SHAPES[name][0])
    found, _ = outcome(getattr(functional, name), x, p, training)
    their, _ = outcome(getattr(THEIRS, name), x, p, training)
    assert found[0] is their[0]
    if found[0] is ValueError:
        assert found == their


def test_a_p_that_is_no_number_is_an_error():
    with pytest.raises(ValueError, match="has to be between 0 and 1, but got nan"):
        functional.dropout(random(3), float("nan"))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_do_gives_the_tensor_itself_and_draws_nothing(name):
    x = random(SHAPES[name][0])
    empty = x[:0]
    before = torch.get_rng_state()
    assert ours(name, x, training=False) is x
    assert ours(name, x, 0.0) is x
    assert ours(name, empty) is empty
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_p_one_gives_zero(name):
    x = torch.full(SHAPES[name][0], torch.nan)
    y = ours(name, x, 1.0)
    assert torch.equal(y, torch.zeros_like(x))
    assert not y.signbit().any()


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "dropout2d", "dropout3d"])
def test_dropped_is_zero_whatever_stood_there(name):
    shape, first = SHAPES[name]
    keep = kept(shape, 0.5, 3, first)
    for value in (torch.nan, torch.inf, -torch.inf, -1.0):
        y = ours(name, torch.full(shape, value), rng=3)
        assert torch.equal(y[~keep], torch.zeros(int((~keep).sum())))
        assert not y[~keep].signbit().any()
        assert torch.equal(y[keep].isnan(), torch.full_like(y[keep], value).isnan())
        assert (y[keep] == value * 2).all() or value != value


@pytest.mark.parametrize("name", NAMES)
def test_whole_channels_are_dropped_or_kept(name):
    shape, first = SHAPES[name]
    if first is None:
        pytest.skip("it has a draw for each element")
    y = ours(name, torch.ones(shape), rng=1).flatten(first)
    assert (y == y[..., :1]).all()
    assert 5 < (y[..., 0] == y.max()).sum() < 30


def test_inputs_without_a_batch_have_a_draw_for_each_channel():
    keep = kept((64,), 0.5, 2)
    y = functional.dropout1d(torch.ones(64, 5), rng=2)
    assert torch.equal(y, keep[:, None].expand(64, 5) * 2.0)
    y = functional.dropout3d(torch.ones(64, 2, 3, 2), rng=2)
    assert torch.equal(y, keep[:, None, None, None].expand(64, 2, 3, 2) * 2.0)


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("name", NAMES)
def test_the_mean_is_preserved(name, p):
    torch.manual_seed(0)
    x = torch.full((200, 100, 1, 1, 1)[: len(SHAPES[name][0])], 1.0, dtype=torch.float64)
    alpha = name in ALPHA
    y = ours(name, x * 0 if alpha else x, p)
    deviation = float(y.std()) / x.numel() ** 0.5
    assert abs(float(y.mean()) - (0.0 if alpha else 1.0)) < 5 * deviation
    dropped = int((y == y.min()).sum())
    assert abs(dropped - p * x.numel()) < 5 * (p * (1 - p) * x.numel()) ** 0.5


def test_alpha_dropout_preserves_mean_and_variance():
    torch.manual_seed(0)
    y = functional.alpha_dropout(random(1_000_000), 0.2, True)
    assert abs(float(y.mean())) < 0.005
    assert abs(float(y.std()) - 1) < 0.005


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
@pytest.mark.parametrize("name", ["dropout", "dropout2d", "feature_alpha_dropout"])
def test_every_permutation_of_strides_is_kept(name, order):
    x = random(tuple((4, 3, 2, 5)[axis] for axis in order)).permute(*np.argsort(order).tolist())
    assert x.shape == (4, 3, 2, 5)
    y = ours(name, x, 0.4, rng=9)
    assert y.stride() == ours(name, x, 0.4).stride() == getattr(THEIRS, name)(x, 0.4, True).stride()
    keep = kept(x.shape, 0.4, 9, first=None if name == "dropout" else 2)
    torch.testing.assert_close(y, expected(name, x, 0.4, keep), rtol=1e-6, atol=1e-6)


def test_masks_are_the_same_in_both_memory_formats():
    x = random((3, 4, 5, 6))
    last = x.to(memory_format=torch.channels_last)
    for call in (functional.dropout, functional.dropout2d):
        y = call(last, 0.4, rng=9)
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(y, call(x, 0.4, rng=9))


# Whole vectors of channels and parts of one; places beyond a tile; no channel but one.
TURNED = [(2, 3, 4, 5), (3, 16, 5, 5), (1, 17, 31, 33), (2, 40, 40, 40), (2, 16, 1, 1025)]
TURNED += [(3, 1, 2, 5), (2, 33, 1, 16), (0, 4, 3, 3), (2, 5, 3, 7, 9), (1, 48, 2, 24, 50)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", TURNED, ids=str)
def test_channels_last_have_the_masks_of_their_logical_places(shape, dtype):
    x = random(shape, dtype)
    memory = torch.channels_last if x.dim() == 4 else torch.channels_last_3d
    last = x.to(memory_format=memory)
    for p in (2**-20, 0.3, 0.9, 1.0):
        for call in (functional.dropout, functional.alpha_dropout):
            y = call(last, p, True, rng=9)
            assert torch.equal(y, call(x, p, True, rng=9))
            assert y.is_contiguous(memory_format=memory)
            again = last.clone()
            assert torch.equal(call(again, p, True, True, rng=9), y)


LAYOUTS = {
    "sliced": lambda x: x[:, ::2],
    "sliced channels": lambda x: x.transpose(1, 2)[:, ::2],
    "expanded": lambda x: x[:, :1].expand(x.shape),
    "offset": lambda x: x.flatten()[1 : 1 + 5 * 6].view(5, 6),
    "negated": lambda x: x._neg_view(),
    "one axis of one": lambda x: x[:, :, :1].transpose(0, 2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_other_layout(layout, dtype):
    x = LAYOUTS[layout](random((5, 6, 7), dtype))
    y = functional.dropout(x, 0.4, rng=9)
    assert torch.equal(y, expected("dropout", x, 0.4, kept(x.shape, 0.4, 9)))


@pytest.mark.parametrize("n", [0, 1, 7, 8, 257, (1 << 19) + 3, (1 << 21) + 5])
def test_sizes(n):
    x = torch.ones(n)
    y = functional.dropout(x, 0.25, rng=4)
    assert np.array_equal(y.numpy(), fastdrop.dropout(x.numpy(), 0.25, rng=4))


def test_a_tensor_without_axes():
    found = {float(functional.dropout(torch.tensor(1.0), 0.5, rng=seed)) for seed in range(20)}
    assert found == {0.0, 2.0}


def test_manual_seed_makes_a_run_reproducible():
    x = torch.ones(1000)

    def run():
        torch.manual_seed(5)
        return [functional.dropout(x, 0.5) for _ in range(3)]

    first, second = run(), run()
    assert all(map(torch.equal, first, second))
    assert not torch.equal(first[0], first[1])
    state = torch.get_rng_state()
    y = functional.dropout(x, 0.5)
    torch.set_rng_state(state)
    assert torch.equal(functional.dropout(x, 0.5), y)


def test_other_generators():
    x = torch.ones(1000)
    state = torch.get_rng_state()
    a, b = (torch.Generator().manual_seed(3) for _ in range(2))
    first = functional.dropout(x, rng=a)
    assert torch.equal(first, functional.dropout(x, rng=b))
    assert not torch.equal(first, functional.dropout(x, rng=a))
    stream, other = fastdrop.MaskStream(3), fastdrop.MaskStream(3)
    first = functional.dropout(x, rng=stream)
    assert np.array_equal(first, fastdrop.dropout(x.numpy(), rng=other))
    assert not torch.equal(first, functional.dropout(x, rng=stream))
    numpy = [np.random.default_rng(3) for _ in range(2)]
    found = functional.dropout(x, rng=numpy[0])
    assert np.array_equal(found, fastdrop.dropout(x.numpy(), rng=numpy[1]))
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(TypeError, match=r"dropout1d: rng must be .* got str"):
        functional.dropout1d(torch.ones(2, 3), rng="3")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ["as it is", "transposed", "sliced", "negated"])
@pytest.mark.parametrize("name", NAMES)
def test_in_place(name, layout, dtype):
    if layout == "negated" and dtype == torch.float16:
        pytest.skip("PyTorch's copy from float16 to float32 loses the sign of such views")
    shape, _ = SHAPES[name]
    x = random(shape, dtype)
    if layout == "transposed":
        x = x.transpose(0, -1).contiguous().transpose(0, -1)
    elif layout == "sliced":
        x = random((*shape[:-1], 2 * shape[-1]), dtype)[..., ::2]
    elif layout == "negated":
        x = x._neg_view()
    y = ours(name, x, 0.3, rng=7)
    version = x._version
    assert ours(name, x, 0.3, rng=7, inplace=True) is x
    assert torch.equal(x, y)
    assert x._version > version


def test_in_place_has_pytorchs_errors_and_changes_nothing():
    leaf = torch.ones(5, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        functional.dropout(leaf, inplace=True)
    assert torch.equal(leaf, torch.ones(5))
    row = torch.ones(5)
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        functional.dropout(row.expand(3, 5), inplace=True)
    assert torch.equal(row, torch.ones(5))


FOREIGN = {
    "integers": torch.arange(12).view(3, 4),
    "complex": torch.ones(3, 4, dtype=torch.complex64),
    "sparse": torch.eye(3).to_sparse(),
    "meta": torch.ones(3, 4, device="meta"),
    "no tensor": [1.0, 2.0],
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_plain_tensor_goes_to_pytorch(kind):
    def run(call):
        torch.manual_seed(2)
        try:
            y = call(FOREIGN[kind], 0.5)
        except Exception as error:
            return type(error), str(error)
        return y.shape, y.dtype, y.device, None if y.is_meta else y.tolist()

    assert run(functional.dropout) == run(THEIRS.dropout)
    with pytest.raises(ValueError, match="dropout: input must be a plain float tensor on the CPU"):
        functional.dropout(FOREIGN[kind], rng=0)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_rows_of_several_lengths_and_zeros_without_memory_go_to_pytorch():
    rows = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    assert functional.dropout(rows).is_nested
    for x in (rows, torch._efficientzerotensor(3)):
        with pytest.raises(ValueError, match="dropout: input must be a plain float tensor on"):
            functional.dropout(x, rng=0)


def test_subclasses_and_transforms_go_to_pytorch():
    class Tagged(torch.Tensor):
        pass

    tagged = torch.ones(100).as_subclass(Tagged)
    torch.manual_seed(2)
    y = functional.dropout(tagged)
    torch.manual_seed(2)
    assert type(y) is Tagged
    assert torch.equal(y, THEIRS.dropout(tagged))
    x = torch.ones(3, 50)
    same = torch.vmap(functional.dropout, randomness="same")(x)
    assert torch.equal(same[0], same[1])
    with pytest.raises(RuntimeError, match="randomness"):
        torch.vmap(functional.dropout)(x)
    slope = torch.func.grad(lambda x: functional.dropout(x).sum())(x)
    assert set(slope.unique().tolist()) == {0.0, 2.0}


def test_the_first_call_of_a_thread_may_be_anywhere():
    found = []

    def run():
        with torch.inference_mode(), torch.device("meta"):
            found.append(functional.dropout(x))
            found.append(functional.dropout(x.bfloat16()))
        found.append(functional.dropout(x))

    x = torch.ones(100)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert [set(y.tolist()) for y in found] == [{0.0, 2.0}] * 3


def test_what_has_no_memory_goes_to_pytorch():
    zeros = torch._efficientzerotensor((3, 4))
    assert torch.equal(functional.dropout(zeros) + torch.ones(3, 4), torch.ones(3, 4))


def test_a_trace_records_pytorchs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trace = torch.jit.trace(functional.dropout, torch.ones(50), check_trace=False)
    first, second = trace(torch.ones(50)), trace(torch.ones(50))
    assert not torch.equal(first, second)
    assert set(first.tolist()) == set(second.tolist()) == {0.0, 2.0}


def test_storage_can_be_resized_afterwards():
    x = torch.ones(10)
    y = functional.dropout(x)
    for tensor in (x, y):
        tensor.untyped_storage().resize_(0)
        assert tensor.untyped_storage().nbytes() == 0
