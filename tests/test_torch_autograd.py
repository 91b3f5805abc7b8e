"""`fastdrop.torch` under autograd: derivatives of fixed recipes, and what is saved for them."""

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: fastdrop.torch is not tested"
)

from torch.autograd import forward_ad, gradcheck, gradgradcheck  # noqa: E402
from torch.autograd.graph import saved_tensors_hooks  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import fastdrop.torch  # noqa: E402
from fastdrop.torch import functional  # noqa: E402

# PyTorch's forward mode compiles formulas by what it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

SHAPES = {
    "dropout": (3, 5),
    "alpha_dropout": (3, 5),
    "dropout1d": (2, 3, 2),
    "dropout2d": (2, 3, 2, 2),
    "dropout3d": (2, 3, 1, 2, 2),
    "feature_alpha_dropout": (2, 3, 2),
}


def variable(shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, dtype=dtype, generator=generator).requires_grad_()


@pytest.mark.parametrize("p", [0.3, 1.0])
@pytest.mark.parametrize("layout", ["contiguous", "permuted", "sliced"])
@pytest.mark.parametrize("name", SHAPES)
def test_derivatives(name, layout, p):
    shape = SHAPES[name]
    x = variable(shape)
    if layout == "permuted":
        x = variable(shape[::-1]).detach().permute(*range(len(shape))[::-1]).requires_grad_()
    elif layout == "sliced":
        x = variable((*shape[:-1], 2 * shape[-1])).detach()[..., ::2].requires_grad_()

    def call(x):
        return getattr(functional, name)(x, p, training=True, rng=3)

    def in_place(x):
        return getattr(functional, name)(x * 1.0, p, training=True, inplace=True, rng=3)

    for function in (call, in_place):
        assert gradcheck(function, x, check_batched_grad=True, check_forward_ad=True)
        assert gradgradcheck(function, x, check_batched_grad=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", [name for name in SHAPES if "alpha" not in name])
def test_backward_draws_the_mask_again(name, dtype):
    x = torch.ones(SHAPES[name], dtype=dtype, requires_grad=True)
    y = getattr(functional, name)(x, 0.5, rng=1)
    dy = torch.full_like(y, torch.nan)
    (dx,) = torch.autograd.grad(y, x, dy, retain_graph=True)
    assert torch.equal(dx == 0, y == 0)  # not NaN where it was dropped
    assert dx.dtype == dtype
    (dx,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert torch.equal(dx, y)
    assert 0 < int((y == 0).sum()) < y.numel()


@pytest.mark.parametrize("gradient", ["contiguous", "channels last", "expanded", "sliced"])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("call", [functional.dropout, functional.dropout2d])
def test_a_gradient_of_any_layout_meets_the_same_mask(call, memory, gradient):
    x = torch.ones(4, 6, 5, 3).to(memory_format=memory).requires_grad_()
    dy = {
        "contiguous": torch.ones(4, 6, 5, 3),
        "channels last": torch.ones(4, 6, 5, 3).to(memory_format=torch.channels_last),
        "expanded": torch.ones(()).expand(4, 6, 5, 3),
        "sliced": torch.ones(4, 6, 5, 6)[..., ::2],
    }[gradient]
    y = call(x, 0.5)
    (dx,) = torch.autograd.grad(y, x, dy)
    assert torch.equal(dx, y)


def saved_bytes(function):
    """What autograd saves for each element's backward."""
    sizes = []

    def pack(tensor):
        sizes.append(tensor.nbytes)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return sum(sizes)


@pytest.mark.parametrize("name", SHAPES)
def test_nothing_is_saved_for_backward(name):
    x = variable(SHAPES[name], torch.float32)
    assert saved_bytes(lambda: getattr(functional, name)(x, 0.5, training=True)) == 0
    assert saved_bytes(lambda: torch.nn.functional.dropout(x)) == x.nbytes  # as PyTorch does


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoint_draws_the_same_mask_again(reentrant):
    torch.manual_seed(0)
    layers = [functional.dropout, torch.sin, functional.alpha_dropout, functional.dropout]

    def run(x):
        for layer in layers:
            x = layer(x) if layer is torch.sin else layer(x, 0.4, True)
        return x.sin()

    x = variable((50, 20))
    state = torch.get_rng_state()
    y = run(x)
    (expected,) = torch.autograd.grad(y.sum(), x)
    torch.set_rng_state(state)
    found = checkpoint(run, x, use_reentrant=reentrant)
    assert torch.equal(found, y)
    found.sum().backward()
    assert torch.equal(x.grad, expected)


def test_in_place_on_what_autograd_needs_is_found():
    x = variable((4, 4))
    y = x.sigmoid()
    with torch.no_grad():
        functional.dropout(y, inplace=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    y = x.sigmoid()
    functional.dropout(y, inplace=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_in_place_on_a_view():
    x = variable((4, 6))
    whole = x * 1.0
    part = whole[:2]
    assert functional.dropout(part, 0.5, inplace=True, rng=1) is part
    whole.sum().backward()
    mask = functional.dropout(torch.ones(2, 6, dtype=torch.float64), 0.5, rng=1)
    assert torch.equal(x.grad[:2], mask)
    assert torch.equal(x.grad[2:], torch.ones(2, 6, dtype=torch.float64))
    assert torch.equal(whole[:2], x[:2] * mask)


def test_no_grad_and_inference_mode():
    x = variable((30, 30))
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            y = functional.dropout(x, rng=1)
            assert not y.requires_grad
            assert torch.equal(y, functional.dropout(x.detach(), rng=1))
            z = y.clone()
            assert functional.dropout(z, inplace=True, rng=2) is z


def test_tangents_of_what_needs_no_gradient():
    x = torch.ones(100)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, torch.full((100,), 3.0))
        y, dy = forward_ad.unpack_dual(functional.dropout(dual, rng=1))
    assert torch.equal(dy, y * 3)


def test_a_vectorized_jacobian():
    x = variable((20,), torch.float32)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: functional.dropout(x, 0.5, rng=1), x, vectorize=True
    )
    assert torch.equal(jacobian, torch.diag(functional.dropout(torch.ones(20), 0.5, rng=1)))


def test_a_step_of_training_has_the_gradients_of_the_formula():
    torch.manual_seed(0)
    linear, layer = torch.nn.Linear(6, 8), fastdrop.torch.Dropout(0.5, rng=5)
    x = torch.randn(10, 6)
    layer(linear(x)).square().sum().backward()
    found = linear.weight.grad
    linear.zero_grad()
    mask = torch.from_numpy(fastdrop.MaskStream(5).draw((10, 8), 0.5).keep())
    torch.where(mask, 2 * linear(x), 0).square().sum().backward()
    assert torch.equal(found, linear.weight.grad)
