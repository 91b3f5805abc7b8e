"""The noise as an operator of PyTorch, for graphs that ``torch.compile`` makes.

In a graph a recipe is a tensor of two words, of which autograd saves 16 bytes.
They are drawn by PyTorch's ``randint``, which compilers know to be random:
operators of one's own they merge with their like, and two masks become one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastdrop.torch.draws import draw
from fastdrop.torch.noise import Noise, coefficients


@torch.library.custom_op("fastdrop::noise", mutates_args=())
def noise(
    x: Tensor,
    words: Tensor,
    alpha: bool,
    p: float,
    order: Sequence[int],
    shared_axes: Sequence[int],
    forward: bool,
) -> Tensor:
    """`Noise` of key and stream in `words` on `x`, or its derivative."""
    key, stream = words.tolist()
    axes = tuple(order), tuple(shared_axes)
    recipe = Noise(*coefficients(alpha, p), *axes, key % 2**64, stream)
    out = torch.empty_like(x)
    (recipe if forward else recipe.derivative()).fill(out, x)
    return out


@noise.register_fake
def _fake(x, *_):
    return torch.empty_like(x)


def _setup(ctx, inputs, output):
    _, words, *ctx.recipe, _ = inputs
    ctx.save_for_backward(words)


def _backward(ctx, dy):
    (words,) = ctx.saved_tensors
    return noise(dy, words, *ctx.recipe, False), *(None,) * 6


noise.register_autograd(_backward, setup_context=_setup)


def draw_in_graph(rng: Any, where: str) -> Tensor:
    """Key and stream of the next mask. A generator that is not PyTorch's own breaks the graph."""
    if rng is not None:
        return _draw_outside(rng, where)
    return torch.randint(2**63 - 1, (2,), device="cpu")


@torch.compiler.disable
def _draw_outside(rng, where):
    return torch.from_numpy(np.array(draw(rng, where), np.uint64).view(np.int64))
