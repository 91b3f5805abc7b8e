# ruff: noqa: A002 - `input` is PyTorch's name of it, and may be given by name
"""``torch.nn.Linear`` that leaves out the zeros which ReLU and dropout make."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.compiler import is_compiling
from torch.nn.functional import linear

from fastdrop.kernels.layers import layer_kernels
from fastdrop.torch.noise import is_plain, threads_of_torch

# Below one of these the kernel's copies of the weight take as long as what it leaves out.
_LEAST_ROWS = 32
_LEAST_PRODUCTS = 1 << 23


class Linear(nn.Linear):
    """``torch.nn.Linear`` whose products leave out zeros, in training.

    Parameters
    ----------
    in_features, out_features, bias, device, dtype
        As in ``torch.nn.Linear``, whose parameters and ``state_dict`` it has.

    Notes
    -----
    A step has three products: ``y = x @ weight.T + bias`` forward, and backward
    ``dx = dy @ weight`` and ``dweight = dy.T @ x``. Behind ReLU and ``Dropout(0.5)``
    three of four elements of ``x`` are 0, and before them three of four of ``dy``.
    Where at most 40 % of a few rows of the left factor is not 0, fastdrop's
    kernels multiply, on PyTorch's threads, and the result differs from PyTorch's
    by the rounding of sums in another order. Every other product is PyTorch's own,
    bit for bit.

    So is all of it in evaluation, without gradients, with a small weight or batch,
    of other types than float32 and of other layouts than contiguous, under autocast,
    ``torch.compile``, ``torch.func`` and modes that follow operations, without
    fastdrop's extension, and wherever ``fastdrop info`` names another instruction set
    than AVX2. A gradient that is to be differentiated again is computed by PyTorch.

    See Also
    --------
    replace_dropout : makes one of every ``torch.nn.Linear`` of a model.

    Examples
    --------
    >>> import torch, fastdrop.torch
    >>> layer = fastdrop.torch.Linear(3, 2)
    >>> layer
    Linear(in_features=3, out_features=2, bias=True)
    >>> layer(torch.ones(5, 3)).shape
    torch.Size([5, 2])
    """

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        if self.training and not is_compiling() and _pays(input, weight, bias):
            return _multiply(input, weight, bias)
        return linear(input, weight, bias)


def _pays(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    given = (x, weight) if bias is None else (x, weight, bias)
    # PyTorch's own takes a vector for a weight, and a bias of any shape that broadcasts.
    if not all(map(_fits, given)) or weight.dim() != 2:
        return False
    n, k = weight.shape
    if bias is not None and bias.shape != (n,):
        return False
    return (
        x.numel() * n >= _LEAST_PRODUCTS
        and x.numel() >= _LEAST_ROWS * k
        and x.shape[-1] == k
        and torch.is_grad_enabled()
        and any(each.requires_grad for each in given)
        and _kernels() is not None
        and _undisturbed()
    )


def _fits(x: Any) -> bool:
    return is_plain(x) and x.dtype == torch.float32 and x.is_contiguous() and not x.is_neg()


def _undisturbed() -> bool:
    """Whether nothing is in between that changes operations or follows them."""
    return (
        forward_ad._current_level < 0
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._len_torch_dispatch_stack()
        and not torch._C._len_torch_function_stack()
    )


@cache
def _kernels() -> Any:
    """The kernels where leaving out zeros was measured to pay, and PyTorch has what
    `_undisturbed` asks for; else None."""
    kernels = layer_kernels()
    asked = hasattr(torch._C, "_len_torch_dispatch_stack") and hasattr(
        torch._C, "_len_torch_function_stack"
    )
    if not (asked and hasattr(forward_ad, "_current_level") and hasattr(kernels, "matmul_at")):
        return None
    from fastdrop.kernels import cython_kernels

    return kernels if cython_kernels.isa().startswith("avx2") else None


def _mostly_zeros(x: Tensor) -> bool:
    columns = x.shape[-1]
    return _kernels().mostly_zeros_at(x.data_ptr(), x.itemsize, x.numel() // columns, columns)


def _product(
    a: Tensor,
    b: Tensor,
    shape: tuple[int, ...],
    turned: tuple[bool, bool],
    bias: Tensor | None = None,
) -> Tensor:
    """``a @ b`` and `bias`, of matrices, each transposed first where `turned` says so.

    All axes but the last are one of a matrix.
    """
    out = a.new_empty(shape)
    n = shape[-1]
    k = a.numel() // a.shape[-1] if turned[0] else a.shape[-1]
    _kernels().matmul_at(
        *(a.data_ptr(), b.data_ptr(), out.data_ptr(), out.itemsize),
        *(out.numel() // n, n, k, *turned),
        *(0 if bias is None else bias.data_ptr(), threads_of_torch()),
    )
    return out


class _Multiply(torch.autograd.Function):
    """Saves what PyTorch does: each factor that the gradient of the other needs."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        of_x, of_weight, _ = ctx.needs_input_grad
        ctx.save_for_backward(x if of_weight else None, weight if of_x else None)
        if not _mostly_zeros(x):
            return linear(x, weight, bias)
        return _product(x, weight, (*x.shape[:-1], len(weight)), (False, True), bias)

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        n = dy.shape[-1]
        rows, dx, dweight, dbias = dy.reshape(-1, n), None, None, None
        # A derivative of the gradient itself is found through PyTorch's operations.
        sparse = not torch.is_grad_enabled() and _fits(dy) and _undisturbed() and _mostly_zeros(dy)
        if of_x and sparse and _fits(weight):
            dx = _product(dy, weight, (*dy.shape[:-1], weight.shape[1]), (False, False))
        elif of_x:
            dx = rows.mm(weight).reshape(*dy.shape[:-1], weight.shape[1])
        if of_weight and sparse and _fits(x):
            dweight = _product(dy, x, (n, x.shape[-1]), (True, False))
        elif of_weight:
            dweight = rows.t().mm(x.reshape(-1, x.shape[-1]))
        if of_bias:
            dbias = rows.sum(0)
        return dx, dweight, dbias


# As for the noise: at once, and not after looking for what it may be.
_node: Any = _Multiply._backward_cls
_node.apply = _Multiply.backward
_multiply = super(torch.autograd.Function, _Multiply).apply
