"""A recipe on tensors of any layout and type, and its derivative, which is another."""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch.autograd import forward_ad
from torch.autograd.graph import increment_version

from fastdrop import kernels, rates
from fastdrop.alpha import SELU_SATURATION, AlphaMask
from fastdrop.layout import layout
from fastdrop.mask import Mask
from fastdrop.threads import get_num_threads

# Types that kernels compute in. The others of `FLOATING` are computed in float32.
_NATIVE = {torch.float32: 4, torch.float64: 8}  # bytes
FLOATING = frozenset((*_NATIVE, torch.float16, torch.bfloat16))

# From here on two threads of PyTorch's OpenMP, which go on spinning after each
# operation, take less time than one.
_PARALLEL_BYTES = 1 << 18

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}

_PLAIN = frozenset((torch.Tensor, torch.nn.Parameter))


def is_plain(x: Any) -> bool:
    """Whether `x` is in memory that kernels can reach, and nothing is in between that
    follows what is done to it: a subclass, a transform of torch.func, a trace. Its dtype,
    and that it is not nested, are asked for once, at the door."""
    try:
        return (
            type(x) in _PLAIN
            and x.is_cpu
            # What has no storage raises, and has 0 if it stands for zeros.
            and (x.data_ptr() != 0 or x.numel() == 0)
            and not torch._C._are_functorch_transforms_active()
            and not torch._C._is_tracing()
        )
    except RuntimeError:
        return False


class Noise(NamedTuple):
    """A recipe of noise: ``a * x + b`` where a mask keeps, and ``c`` where it drops.

    A call on a small tensor is over in the time that it takes to make three of
    these, so that they are not made of a `fastdrop.Mask`, whose masks and
    arithmetic they have.
    """

    threshold: int
    a: float
    b: float
    c: float
    order: tuple[int, ...]  # of the axes, from the outermost in memory inwards; () is C order
    shared_axes: tuple[int, ...]  # places in that order
    key: int
    stream: int

    def apply(self, x: torch.Tensor, inplace: bool = False) -> torch.Tensor:
        """The noise on `x`, differentiably: a new tensor of its strides, or `x` itself."""
        if (x.requires_grad and torch.is_grad_enabled()) or forward_ad._current_level >= 0:
            if inplace and x.is_leaf and x.requires_grad:
                # Autograd finds this as well, but when the values are overwritten.
                raise RuntimeError(
                    "a leaf Variable that requires grad is being used in an in-place operation."
                )
            return _apply(x, self, inplace)
        if inplace:
            self.fill(x, x)
            increment_version(x)
            return x
        out = torch.empty_like(x)
        self.fill(out, x)
        return out

    def derivative(self) -> Noise:
        """What backward does to a gradient, and forward to a tangent."""
        return self if self.c == 0.0 else self._replace(b=-0.0, c=0.0)

    def fill(self, out: torch.Tensor, x: torch.Tensor) -> None:
        """Compute `out`, of the shape and type of `x` or `x` itself."""
        threshold, a, b, c, order, axes, key, stream = self
        if order:
            out, x = out.permute(order), x.permute(order)
        # `out` lies as `x` does. Each call of another function costs a small tensor one per cent.
        itemsize = _NATIVE.get(x.dtype)
        if itemsize is None or not x.is_contiguous() or x.is_neg():
            if not self._fill_turned(out, x):
                self._replace(order=())._fill_copy(out, x)
        elif threshold == rates.ALWAYS:
            out.zero_()
        else:
            n = x.numel()
            # Shared axes lie together, so that it is one call.
            outer, shared, inner = layout(x.shape, axes)[2:5] if axes else (n, 1, 1)
            threads = 1 if n * itemsize < _PARALLEL_BYTES else threads_of_torch()
            apply = getattr(kernels.active(), "apply_at", _apply_at)
            apply(x.data_ptr(), out.data_ptr(), itemsize, outer, shared, inner,
                  key, stream, 0, threshold, a, b, c, threads)  # fmt: skip

    def _fill_turned(self, out: torch.Tensor, x: torch.Tensor) -> bool:
        """The same for channels last, if there is a kernel: draws go along the channels."""
        last = _CHANNELS_LAST.get(x.dim())
        apply = getattr(kernels.active(), "apply_turned", None)
        if last is None or x.dtype not in _NATIVE or apply is None:
            return False
        if self.shared_axes or self.threshold == rates.ALWAYS or x.is_neg():
            return False
        if not (x.is_contiguous(memory_format=last) and out.is_contiguous(memory_format=last)):
            return False
        threads = 1 if x.nbytes < _PARALLEL_BYTES else threads_of_torch()
        apply(
            *(x.data_ptr(), out.data_ptr(), x.itemsize),
            *(*x.shape[:2], prod(x.shape[2:]), self.key, self.stream, 0),
            *(self.threshold, self.a, self.b, self.c, threads),
        )
        return True

    def _fill_copy(self, out: torch.Tensor, x: torch.Tensor) -> None:
        """The same in any layout and type, by way of a copy that kernels take."""
        working = x.dtype if x.dtype in _NATIVE else torch.float32
        fits = out is not x and out.dtype is working and out.is_contiguous()
        work = out if fits else torch.empty(x.shape, dtype=working, device="cpu")
        work.copy_(x)
        self.fill(work, work)
        if work is not out:
            out.copy_(work)

    def on_transformed(self, dy: torch.Tensor) -> torch.Tensor:
        """The derivative in PyTorch's own operations, which transforms of it can follow."""
        order = self.order or range(dy.ndim)
        shape = tuple(dy.shape[axis] for axis in order)
        rate = self.threshold / rates.ALWAYS
        mask = Mask.of(shape, rate, self.shared_axes, self.key, self.stream)
        keep: Any = torch.from_numpy(np.moveaxis(mask.keep(), range(dy.ndim), order))
        return torch.where(keep, dy * self.a, 0.0)


def threads_of_torch() -> int:
    return min(get_num_threads(), torch.get_num_threads())


# One type for all sizes: making one takes longer than the noise.
_memory: Any = (ctypes.c_char * sys.maxsize).from_address


def _apply_at(x: int, out: int, itemsize: int, outer: int, shared: int, inner: int, *rest) -> None:
    """The Cython backend's, in the others: on arrays of that memory.

    ``x.numpy()`` would forbid to resize a tensor's storage from then on, which is how
    programs free activations.
    """
    dtype, n = np.dtype(f"f{itemsize}"), outer * shared * inner
    arrays = (np.frombuffer(_memory(address), dtype, n) for address in (x, out))
    kernels.active().apply(*arrays, outer, shared, inner, *rest)


def axes_of(x: torch.Tensor, first: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """``order`` and ``shared_axes`` of noise on `x` with one draw for all axes from `first` on.

    Whole channels are numbered alike in both memory formats of PyTorch, so that
    channels last needs no copy.
    """
    if not x.is_contiguous():
        order = _by_stride(x)
        longer = [axis for axis in order if x.shape[axis] > 1]
        own = [axis for axis in longer if axis < first]
        places = [place for place, axis in enumerate(longer) if axis >= first]
        alike = own == sorted(own) and (not places or places[-1] - places[0] < len(places))
        if alike and x.permute(order).is_contiguous():
            return tuple(order), tuple(place for place, axis in enumerate(order) if axis >= first)
    return (), tuple(range(first, x.dim()))


def _by_stride(x: torch.Tensor) -> list[int]:
    """The axes from the outermost in memory inwards, sorted by comparisons: in a compiled
    graph strides may be symbols, which ``sorted`` does not take."""
    order: list[int] = []
    strides = x.stride()
    for axis in range(x.dim()):
        larger = [place for place, other in enumerate(order) if strides[other] >= strides[axis]]
        order.insert(larger[-1] + 1 if larger else 0, axis)
    return order


@lru_cache
def coefficients(alpha: bool, p: float) -> tuple[int, float, float, float]:
    """Threshold, and the a, b and c of `Noise`, as `Mask` and `AlphaMask` have them."""
    mask = (AlphaMask if alpha else Mask)((), p, key=0)
    threshold, a = cast(int, rates.thresholds(p)), cast(float, mask.scale)
    if not alpha:
        return threshold, a, -0.0, 0.0
    b = -a * (threshold / rates.ALWAYS) * SELU_SATURATION
    return threshold, a, b, a * SELU_SATURATION + b


class _Apply(torch.autograd.Function):
    """Remembers the recipe, and no tensor."""

    @staticmethod
    def forward(ctx, x, noise, inplace):
        ctx.noise, ctx.inplace = noise.derivative(), inplace
        if inplace:
            ctx.mark_dirty(x)
        out = x if inplace else torch.empty_like(x)
        noise.fill(out, x)
        return out

    @staticmethod
    def backward(ctx, dy):
        noise = ctx.noise
        dx = noise.apply(dy) if is_plain(dy) else noise.on_transformed(dy)
        return dx, None, None

    @staticmethod
    def jvp(ctx, dx, *_):
        noise = ctx.noise
        tangent = noise.apply(dx) if is_plain(dx) else noise.on_transformed(dx)
        return dx.copy_(tangent) if ctx.inplace else tangent


# What its nodes call: at once, and not after looking for what it may be.
_node: Any = _Apply._backward_cls
_node.apply = _Apply.backward

# Without the detour for transforms of torch.func, which do not come here: a
# tenth of the time of a small tensor.
_apply = super(torch.autograd.Function, _Apply).apply
