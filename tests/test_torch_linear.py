"""`fastdrop.torch.Linear` against ``nn.Linear``: in float64 where it leaves out zeros, and
bit for bit where it does not."""

import copy
import pickle
from types import SimpleNamespace

import pytest
from processes import run_code

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: fastdrop.torch is not tested"
)

from torch import nn  # noqa: E402
from torch.autograd import forward_ad  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

import fastdrop.torch  # noqa: E402
from fastdrop.torch import linear, replace_dropout, restore_dropout  # noqa: E402

# PyTorch's compiler and its forward derivatives use what it has deprecated itself.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.torch.jit:DeprecationWarning", "ignore:.*:DeprecationWarning:torch"
)

ROWS, K, N = 96, 384, 256
SHAPES = [(ROWS, K), (3, ROWS // 3, K), (2, 2, ROWS // 4, K)]


@pytest.fixture
def taken(monkeypatch):
    """(m, n, k) of each product that kernels compute from here on."""
    kernels, shapes = linear._kernels(), []
    if kernels is None:
        pytest.skip("no kernels that leave out zeros on this processor")

    def matmul_at(*arguments):
        shapes.append(arguments[4:7])
        kernels.matmul_at(*arguments)

    watched = SimpleNamespace(mostly_zeros_at=kernels.mostly_zeros_at, matmul_at=matmul_at)
    monkeypatch.setattr(linear, "_kernels", lambda: watched)
    return shapes


def numbers(*shape, share=1.0, seed=0):
    """Normals, of which so many are not 0."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator)
    return torch.where(torch.rand(shape, generator=generator) < share, x, 0.0)


def pair(bias=True, dtype=torch.float32):
    """The same layer, fastdrop's and PyTorch's."""
    torch.manual_seed(0)
    theirs = nn.Linear(K, N, bias=bias)
    return replace_dropout(copy.deepcopy(theirs)).to(dtype), theirs.to(dtype)


def results(layer, x, dy):
    """Output and gradients of x and the parameters."""
    x = x.clone().requires_grad_()
    y = layer(x)
    return y, *torch.autograd.grad(y, (x, *layer.parameters()), dy)


def assert_near(found, expected, bound):
    """Of sums of so many products: an error of an eps each, of what they are without signs."""
    assert found.shape == expected.shape
    assert ((found.double() - expected).abs() <= bound).all()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("share", [0.25, 0.0])
def test_zeros_are_left_out_and_change_nothing(taken, shape, bias, share):
    layer, theirs = pair(bias)
    x, dy = numbers(*shape, share=share), numbers(*shape[:-1], N, share=share, seed=1)
    found = results(layer, x, dy)
    assert taken == [(ROWS, N, K), (ROWS, K, N), (N, K, ROWS)]
    expected = results(theirs.double(), x.double(), dy.double())
    weight, rows, drows = theirs.weight.abs(), x.double().abs(), dy.double().abs()
    eps = torch.finfo(torch.float32).eps
    added = theirs.bias.abs() if bias else 0.0
    bounds = [(K + 1) * eps * (rows @ weight.T + added), N * eps * (drows @ weight)]
    bounds += [ROWS * eps * (drows.reshape(ROWS, N).T @ rows.reshape(ROWS, K))]
    bounds += [ROWS * eps * drows.reshape(ROWS, N).sum(0)] if bias else []
    for one, other, bound in zip(found, expected, bounds, strict=True):
        assert one.is_contiguous()
        assert_near(one, other, bound)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_dense_products_are_pytorchs(taken, shape, bias):
    layer, theirs = pair(bias)
    x, dy = numbers(*shape), numbers(*shape[:-1], N, seed=1)
    assert all(map(torch.equal, results(layer, x, dy), results(theirs, x, dy)))
    ones = torch.ones(()).expand(*shape[:-1], N)
    assert all(map(torch.equal, results(layer, x, ones), results(theirs, x, ones)))
    assert taken == []


def test_each_product_is_chosen_by_its_left_factor(taken):
    layer, theirs = pair()
    x, dy, sparse = numbers(ROWS, K), numbers(ROWS, N, seed=1), numbers(ROWS, N, share=0.25)
    y, *_ = results(layer, x, sparse)
    assert taken == [(ROWS, K, N), (N, K, ROWS)]
    assert torch.equal(y, theirs(x))
    taken.clear()
    x = numbers(ROWS, K, share=0.25)
    _, *found = results(layer, x, dy)
    assert taken == [(ROWS, N, K)]
    assert all(map(torch.equal, found, results(theirs, x, dy)[1:]))


def saved(layer, x):
    shapes = []

    def pack(tensor):
        shapes.append(sorted(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = layer(x)
    return y, sorted(shapes)


@pytest.mark.parametrize("frozen", ["x", "weight", "bias", "x weight", "x bias", "weight bias"])
def test_gradients_that_nobody_asks_for(taken, frozen):
    outcomes = []
    for layer in pair():
        leaves = {"x": numbers(ROWS, K, share=0.25), **dict(layer.named_parameters())}
        for name, leaf in leaves.items():
            leaf.requires_grad_(name not in frozen.split())
        y, kept = saved(layer, leaves["x"])
        y.backward(numbers(ROWS, N, share=0.25, seed=1))
        outcomes.append((kept, {name for name, leaf in leaves.items() if leaf.grad is None}))
    assert outcomes[0] == outcomes[1] == (outcomes[0][0], set(frozen.split()))
    assert len(taken) == 1 + ("x" not in frozen) + ("weight" not in frozen)


def test_nothing_is_recorded_where_all_is_frozen(taken):
    layer, theirs = pair()
    y = layer.requires_grad_(False)(numbers(ROWS, K, share=0.25))
    assert not y.requires_grad
    assert torch.equal(y, theirs(numbers(ROWS, K, share=0.25)))
    assert taken == []


def test_zeros_times_inf_are_nan(taken):
    layer, theirs = pair()
    x, dy = numbers(ROWS, K, share=0.25), numbers(ROWS, N, share=0.25, seed=1)
    x[3, 5] = torch.nan
    with torch.no_grad():
        for each in (layer, theirs):
            each.weight[7, 9], each.weight[200, 300] = torch.inf, torch.nan
    for found, expected in zip(results(layer, x, dy), results(theirs, x, dy), strict=True):
        assert torch.equal(found.isnan(), expected.isnan())
        assert torch.equal(found.isinf(), expected.isinf())
        assert torch.allclose(found, expected, 1e-4, 1e-4, equal_nan=True)
    assert len(taken) == 3


def test_gradients_of_gradients(taken):
    outcomes = []
    for layer, dtype in zip(pair(), (torch.float32, torch.float64), strict=True):
        layer.to(dtype)
        x = numbers(2, ROWS, K, share=0.25).to(dtype).requires_grad_()
        some = numbers(2, ROWS, N, share=0.25, seed=1).to(dtype)
        (dx,) = torch.autograd.grad((layer(x).square() * some).sum(), x, create_graph=True)
        if dtype == torch.float32:
            assert taken == [(2 * ROWS, N, K)]
        leaves = (x, *layer.parameters())
        outcomes.append(torch.autograd.grad(dx.square().sum(), leaves))
    for found, expected in zip(*outcomes, strict=True):
        assert torch.allclose(found.double(), expected, 1e-4, 1e-4 * float(expected.abs().max()))


def test_batched_gradients(taken):
    layer, _ = pair()
    x = numbers(ROWS, K, share=0.25).requires_grad_()
    y, dys = layer(x), numbers(3, ROWS, N, share=0.25)
    (found,) = torch.autograd.grad(y, x, dys, is_grads_batched=True, retain_graph=True)
    for dx, dy in zip(found, dys, strict=True):
        assert torch.allclose(dx, torch.autograd.grad(y, x, dy, retain_graph=True)[0], atol=1e-4)


class Follows(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


def test_what_is_left_to_pytorch(taken):
    layer, theirs = pair()
    x, dy = numbers(ROWS, K, share=0.25), numbers(ROWS, N, share=0.25, seed=1)

    def same(x):
        y, expected = layer(x), theirs(x)
        assert torch.equal(y, expected)
        assert y.dtype == expected.dtype

    for few in (x[:31], x[0], x[:0], x[:, None][:20], x.T.contiguous().T, x[::2, :][:40]):
        same(few)
    for mode in (FlopCounterMode(display=False), Follows(), torch.no_grad()):
        with mode:
            same(x)
    with torch.autocast("cpu", torch.bfloat16):
        same(x)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, numbers(ROWS, K, seed=2))
        tangents = [forward_ad.unpack_dual(each(dual)).tangent for each in (layer, theirs)]
    assert torch.equal(*tangents)
    sums = [torch.func.grad(lambda x, f=f: (f(x) * dy).sum())(x) for f in (layer.forward, theirs)]
    assert torch.equal(*sums)
    tried = (layer.double(), theirs.double())
    assert torch.equal(*(each(x.double()) for each in tried))
    layer.float().eval()
    assert torch.equal(layer(x), theirs.float()(x))
    assert taken == []
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        layer.train()(numbers(2 * ROWS, K // 2))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_graph_has_pytorchs(taken, backend):
    layer, theirs = pair()
    torch._dynamo.reset()
    call = torch.compile(layer, fullgraph=True, backend=backend)
    x, dy = numbers(ROWS, K, share=0.25), numbers(ROWS, N, share=0.25, seed=1)
    y = call(x)
    assert torch.equal(y, theirs(x))
    y.backward(dy)
    theirs(x).backward(dy)
    assert torch.equal(layer.weight.grad, theirs.weight.grad)
    assert taken == []


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints(taken, reentrant):
    layer, theirs = pair()
    outcomes = []
    for each in (layer, theirs):
        x = numbers(ROWS, K, share=0.25).requires_grad_()
        y = checkpoint(lambda x, f=each: f(x).relu(), x, use_reentrant=reentrant)
        y.backward(numbers(ROWS, N, share=0.25, seed=1))
        outcomes.append((x.grad, each.weight.grad))
    assert len(taken) == 3 + (not reentrant)
    assert all(torch.allclose(*each, 1e-4, 1e-4) for each in zip(*outcomes, strict=True))


def test_what_is_saved_is_watched_and_may_be_kept_elsewhere():
    layer, _ = pair()
    x, dy = numbers(ROWS, K, share=0.25), numbers(ROWS, N, share=0.25, seed=1)
    expected = results(layer, x, dy)
    with torch.autograd.graph.saved_tensors_hooks(torch.Tensor.double, torch.Tensor.float):
        assert all(map(torch.equal, results(layer, x, dy), expected))
    y = layer(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward(dy)


def test_threads_change_no_bit(taken):
    layer, _ = pair()
    x, dy = numbers(ROWS, K, share=0.25), numbers(ROWS, N, share=0.25, seed=1)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(results(layer, x, dy))
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, *found[:2]))
    assert len(taken) == 6


def test_other_default_types_and_places():
    layer, _ = pair()
    x, dy = numbers(ROWS, K, share=0.25), numbers(ROWS, N, share=0.25, seed=1)
    expected = results(layer, x, dy)
    torch.set_default_dtype(torch.float64)
    try:
        assert all(map(torch.equal, results(layer, x, dy), expected))
    finally:
        torch.set_default_dtype(torch.float32)


def test_copies():
    layer, _ = pair()
    x = numbers(ROWS, K, share=0.25)
    for one in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(one) is fastdrop.torch.Linear
        assert torch.equal(one(x), layer(x))


def test_a_model_is_replaced_and_restored():
    class Mine(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), Mine(6, 6), nn.Bilinear(2, 2, 2))
    modules, keys = list(model), list(model.state_dict())
    weight = model[0].weight
    kinds = [type(module) for module in model]
    replace_dropout(model, linear=False)
    assert [type(module) for module in model] == [nn.Linear, fastdrop.torch.Dropout, *kinds[2:]]
    replace_dropout(model)
    ours = [fastdrop.torch.Linear, fastdrop.torch.Dropout, *kinds[2:]]
    assert [type(module) for module in model] == ours
    assert list(model) == modules
    assert list(model.state_dict()) == keys
    assert model[0].weight is weight
    assert repr(model[0]) == repr(nn.Linear(4, 6))
    restore_dropout(model)
    assert [type(module) for module in model] == kinds


@pytest.mark.parametrize("setting", [{"FASTDROP_LAYERS": "numpy"}, {"FASTDROP_ISA": "baseline"}])
def test_without_the_kernels_all_is_pytorchs(setting):
    if "FASTDROP_ISA" in setting:
        pytest.importorskip("fastdrop.kernels.cython_layers")
    code = (
        "import torch, test_torch_linear as t\n"
        "layer, theirs = t.pair()\n"
        "x, dy = t.numbers(96, 384, share=0.25), t.numbers(96, 256, share=0.25)\n"
        "assert all(map(torch.equal, t.results(layer, x, dy), t.results(theirs, x, dy)))\n"
        "print(t.linear._kernels())"
    )
    assert run_code(code, **setting).strip() == "None"


@pytest.mark.parametrize("shape", [(), (1,), (ROWS, 1), (ROWS, N)], ids=str)
def test_bias_that_is_broadcast(taken, shape):
    """Nothing forbids it: it is PyTorch's affair."""
    ours, theirs = pair()
    for layer in (ours, theirs):
        layer.bias = nn.Parameter(numbers(*shape))
    x, dy = numbers(ROWS, K, share=0.25), numbers(ROWS, N, share=0.25)
    for found, expected in zip(results(ours, x, dy), results(theirs, x, dy), strict=True):
        assert torch.equal(found, expected)
    assert not taken


def test_weight_that_is_a_vector(taken):
    ours, theirs = pair(bias=False)
    for layer in (ours, theirs):
        layer.weight = nn.Parameter(numbers(2 * K))
    x = numbers(2**13, 2 * K, share=0.25)
    assert torch.equal(ours(x), theirs(x))
    assert not taken
