"""`fastdrop.torch` in compiled graphs, in workers, after a fork, and while it is imported."""

import shutil

import pytest
from processes import run_code

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: fastdrop.torch is not tested"
)

from torch.utils.checkpoint import checkpoint  # noqa: E402

import fastdrop.torch  # noqa: E402
from fastdrop.torch import functional  # noqa: E402

# PyTorch's compiler imports what it has deprecated itself.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.torch.jit:DeprecationWarning", "ignore:.*:DeprecationWarning:torch"
)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs g++")
COMPILERS = ["eager", "aot_eager", pytest.param("inductor", marks=needs_compiler)]


def compiled(function, backend, **options):
    torch._dynamo.reset()
    return torch.compile(function, fullgraph=True, backend=backend, **options)


@pytest.mark.parametrize("backend", COMPILERS)
def test_a_compiled_graph_is_whole_and_its_masks_are_new(backend):
    def three(x):
        a, b = functional.dropout(x, 0.5), functional.dropout(x, 0.5)
        return a, b, functional.dropout(a.sin(), 0.5)

    x = torch.linspace(1, 2, 10_000, requires_grad=True)
    call = compiled(three, backend)
    torch.manual_seed(0)
    first = call(x)
    again = call(x)
    torch.manual_seed(0)
    assert all(map(torch.equal, first, call(x)))
    a, b, c = first
    for y, other in ((a, b), (a, again[0]), (b, again[1])):
        assert abs(int(((y == 0) == (other == 0)).sum()) - 5000) < 250  # 5 sigma
        assert abs(int((y == 0).sum()) - 5000) < 250
    # Backward meets the masks of forward.
    (dx,) = torch.autograd.grad(c.sum(), x)
    assert torch.allclose(dx, torch.where((a != 0) & (c != 0), 4 * torch.cos(a), 0))
    with torch.no_grad():
        assert not call(x)[0].requires_grad


@pytest.mark.parametrize("backend", COMPILERS[:2])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last], ids=str)
def test_all_functions_in_a_compiled_graph(memory, backend):
    def run(x):
        y = functional.dropout2d(x, 0.5)
        y = functional.dropout(y, 0.3, inplace=True)
        y = functional.dropout1d(y.flatten(2), 0.5).view_as(y)
        y = functional.alpha_dropout(y, 0.1, True)
        return functional.feature_alpha_dropout(y, 0.1, True)

    x = torch.ones(4, 60, 5, 3)
    call = compiled(run, backend, dynamic=True)
    torch.manual_seed(0)
    for rows in (4, 3, 0):
        part = x[:rows].clone(memory_format=memory).detach().requires_grad_()
        y = call(part)
        assert y.stride() == run(part).stride()
        (dx,) = torch.autograd.grad(y.sum(), part)
        assert dx.shape == part.shape
        # What all five keep, with the shares that they keep.
        kept = 0.5 * 0.7 * 0.5 * 0.9 * 0.9
        assert rows == 0 or abs((dx != 0).double().mean() - kept) < 0.1


@pytest.mark.parametrize("backend", COMPILERS[:2])
def test_a_replaced_model_compiles(backend):
    torch.manual_seed(0)
    layers = [torch.nn.Linear(6, 50), torch.nn.ReLU(), torch.nn.Dropout(0.5)]
    model = torch.nn.Sequential(*layers)
    call = compiled(model, backend)
    x = torch.randn(20, 6)
    call(x)
    fastdrop.torch.replace_dropout(model)  # what was compiled before notices
    assert call(x).shape == (20, 50)
    torch.manual_seed(1)
    y = call(x)
    y.sum().backward()
    torch.manual_seed(1)
    assert torch.equal(call(x), y)
    dropped = (y == 0).float().mean()
    model.eval()
    assert torch.allclose(call(x), model(x))
    assert dropped > (call(x) == 0).float().mean() + 0.1


def test_checkpoints_in_a_compiled_graph():
    def run(x):
        return checkpoint(lambda x: functional.dropout(x, 0.5).sin(), x, use_reentrant=False)

    x = torch.linspace(0.1, 0.7, 5000, requires_grad=True)
    y = compiled(run, "aot_eager")(x)  # the "eager" one draws anew, with PyTorch's dropout too
    (dx,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(dx, torch.where(y != 0, 2 * torch.cos(2 * x), 0))


def test_another_rng_breaks_the_graph_and_works():
    def run(x):
        return functional.dropout(x, 0.5, rng=3) + 1

    torch._dynamo.reset()
    x = torch.ones(100)
    assert torch.equal(torch.compile(run, backend="aot_eager")(x), run(x))
    with pytest.raises(torch._dynamo.exc.Unsupported):
        compiled(run, "aot_eager")(x)


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("alpha", [True, False])
def test_the_operator_is_one_as_pytorch_wants_them(alpha, forward):
    x = torch.randn(3, 4, 2, requires_grad=True)
    recipe = torch.tensor([-1, 2]), alpha, 0.5
    for axes in (([], []), ([0, 2, 1], [1])):
        arguments = (x, *recipe, *axes, forward)
        found = torch.library.opcheck(torch.ops.fastdrop.noise.default, arguments)
        assert set(found.values()) == {"SUCCESS"}


@pytest.mark.parametrize("alpha", [True, False])
def test_the_operator_is_the_recipe(alpha):
    x = torch.linspace(1, 2, 50, requires_grad=True)
    y = torch.ops.fastdrop.noise(x, torch.tensor([-1, 2]), alpha, 0.5, [], [], True)
    kind = fastdrop.AlphaMask if alpha else fastdrop.Mask
    mask = kind(50, 0.5, key=2**64 - 1, stream=2)
    forward = mask.forward if alpha else mask.apply
    assert torch.equal(y, torch.from_numpy(forward(x.detach().numpy())))
    dy = torch.linspace(2, 3, 50)
    (dx,) = torch.autograd.grad(y, x, dy)
    assert torch.equal(dx, torch.from_numpy(mask.apply(dy.numpy())))


FORKS = """
import os
import numpy as np
import torch
import fastdrop.torch
from torch.utils.data import DataLoader

layer, x = fastdrop.torch.Dropout(0.5), torch.ones(1 << 21)

class Noisy(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, i):
        return layer(x)[:200].clone()

torch.manual_seed(0)
expected = layer(x).numpy()
loader = DataLoader(Noisy(), batch_size=4, num_workers=2, multiprocessing_context="fork")
torch.manual_seed(1)
first = torch.cat(list(loader))
torch.manual_seed(1)
assert torch.equal(first, torch.cat(list(loader)))
assert len(first.unique(dim=0)) == 8
if not (child := os.fork()):
    torch.manual_seed(0)
    # In NumPy: in a child, PyTorch's own threads may hang.
    os._exit(not np.array_equal(layer(x).numpy(), expected))
assert os.waitpid(child, 0)[1] == 0
print("done")
"""


def test_workers_and_a_fork():
    assert run_code(FORKS) == "done"


def test_threads_have_words_of_their_own():
    code = """
import threading
import torch, fastdrop.torch
x = torch.ones(1000)
seen = []
def draw():
    for _ in range(200):
        seen.append(fastdrop.torch.functional.dropout(x).numpy().tobytes())
threads = [threading.Thread(target=draw) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(set(seen)))
"""
    assert run_code(code) == "800"


@pytest.mark.parametrize("order", ["import torch, fastdrop.torch", "import fastdrop.torch, torch"])
def test_both_orders_of_imports(order):
    code = f"""
import sys
import fastdrop
assert "torch" not in sys.modules
{order}
print(int(fastdrop.torch.functional.dropout(torch.ones(1 << 21), 0.5, rng=0).sum()))
"""
    assert abs(int(run_code(code)) - 2**21) < 5 * 2**11


def test_without_pytorch_it_says_how_to_get_it():
    code = """
import sys
sys.modules["torch"] = None
import fastdrop
try:
    import fastdrop.torch
except ImportError as error:
    print(error)
"""
    expected = 'fastdrop.torch: PyTorch is not installed: `pip install "fastdrop[torch]"`'
    assert run_code(code) == expected
