"""How a broadcast mask maps to draws: any shape as a few runs of axes.

A mask has its own shape, the array's with every shared axis set to 1, and its
draws are numbered in C order over that. Neighbouring axes that are both
shared, or both not, merge into one run; what remains is nearly always an
(outer, shared, inner) that one kernel call serves.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from math import prod
from operator import index
from typing import Any, NamedTuple

import numpy as np


class Layout(NamedTuple):
    """The kernel calls of a mask: one, or one for every step of `loops`."""

    shape: tuple[int, ...]  # the mask's own
    draws: int
    outer: int
    shared: int
    inner: int
    loops: tuple[tuple[int, bool], ...]  # (extent, is shared), outermost first

    @property
    def calls(self) -> int:
        """How many kernel calls the mask takes."""
        return prod(extent for extent, _ in self.loops)

    def firsts(self) -> list[int]:
        """The first draw of each kernel call, in C order of the calls."""
        firsts, step = [0], self.outer * self.inner
        for extent, is_shared in reversed(self.loops):
            stride = 0 if is_shared else step
            firsts = [k * stride + first for k in range(extent) for first in firsts]
            step *= 1 if is_shared else extent
        return firsts


def check_shape(shape: Any, where: str) -> tuple[int, ...]:
    """`shape` as a tuple of ints, from an int or a sequence of them."""
    sizes = _ints(shape)
    if sizes is None:
        raise TypeError(f"{where}: shape must be an int or a sequence of ints, got {shape!r}")
    if any(size < 0 for size in sizes):
        raise ValueError(f"{where}: shape must hold no negative size, got {sizes}")
    return sizes


def check_axes(axes: Any, ndim: int, where: str) -> tuple[int, ...]:
    """`axes` as ascending axes of 0 to ndim - 1, from an int or several."""
    if isinstance(axes, tuple) and not axes:
        return ()
    given = _ints(axes)
    if given is None:
        raise TypeError(f"{where}: shared_axes must be an int or several, got {axes!r}")
    for axis in given:
        if not -ndim <= axis < ndim:
            raise np.exceptions.AxisError(
                f"{where}: shared_axes must be in [{-ndim}, {ndim - 1}] "
                f"for an array of {ndim} axes, got {axis}"
            )
    found = tuple(sorted(axis % ndim for axis in given))
    if len(set(found)) < len(found):
        raise ValueError(f"{where}: shared_axes must name each axis once, got {axes!r}")
    return found


def _ints(value: Any) -> tuple[int, ...] | None:
    """One int, or several, as a tuple; None for anything else."""
    try:
        return (index(value),)
    except TypeError:
        pass
    try:
        return tuple(map(index, value))
    except TypeError:
        return None


@lru_cache(maxsize=1024)
def layout(shape: tuple[int, ...], shared_axes: tuple[int, ...]) -> Layout:
    """The layout of a checked shape and checked axes."""
    own = tuple(1 if axis in shared_axes else size for axis, size in enumerate(shape))
    if 0 in shape:
        return Layout(own, prod(own), 0, 1, 1, ())
    # An axis of one element is both shared and not: it never parts a run.
    axes = [(size, axis in shared_axes) for axis, size in enumerate(shape) if size != 1]
    runs = [
        (prod(size for size, _ in run), is_shared)
        for is_shared, run in groupby(axes, key=lambda axis: axis[1])
    ]
    inner = runs.pop()[0] if runs and not runs[-1][1] else 1
    shared = runs.pop()[0] if runs else 1
    outer = runs.pop()[0] if runs else 1
    if shared == 1:
        # Every element has a draw of its own, and one run is enough.
        outer, inner = inner, 1
    return Layout(own, prod(own), outer, shared, inner, tuple(runs))
