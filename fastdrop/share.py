"""A part of a batch, and the same part of its masks: what one of several processes has.

A mask is a recipe, and a recipe can be sliced: who has rows ``first`` on of a
batch draws those rows of the whole batch's mask, and no other bit of it.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from fastdrop.layout import layout
from fastdrop.recipe import Recipe

Shape = tuple[int, ...]


class Share(NamedTuple):
    """The rows of a batch that one process computes, of all that there are.

    Attributes
    ----------
    first : int
        Number of the first one in the whole batch.
    own : int
        How many count. 0 where there are more processes than rows: such a process
        computes the first row of all, so that its streams and steps go on as
        those of the others do, and nothing of it counts.
    rows : int
        Of the whole batch.
    ranks : fastdrop.distributed.Ranks
        Through which a layer adds what it needs of all rows.
    """

    first: int
    own: int
    rows: int
    ranks: Any

    @property
    def weight(self) -> float:
        """What the mean over the own rows counts in the mean over all."""
        return self.own / self.rows


def drawn(
    kind: type[Recipe],
    shape: Shape,
    rate: float | np.ndarray,
    axes: tuple[int, ...],
    place: tuple[int, int],
    share: Share | None,
    batch_axis: int = 0,
) -> Any:
    """The recipe of an array of `shape`: with a share, these rows of the whole batch's.

    Parameters
    ----------
    kind : type of Recipe
    shape, rate, axes
        Checked, as `Recipe.of` takes them.
    place : (int, int)
        Key and stream.
    share : Share or None
        None is the whole batch.
    batch_axis : int, default 0
        Where the batch is; no axis before it is shared.

    Returns
    -------
    Recipe or Slabs
        Slabs where the batch is not axis 0: its draws do not lie in one piece.
    """
    if share is None:
        return kind.of(shape, rate, axes, *place)
    mask = kind.of(whole(shape, share, batch_axis), rate, axes, *place)
    rows = slice(share.first, share.first + shape[batch_axis])
    if batch_axis == 0:
        return mask[rows]
    lead, rest = shape[:batch_axis], mask.shape[batch_axis:]
    axes = tuple(axis - batch_axis for axis in axes)
    draws = layout(rest, axes).draws
    slabs = [
        kind.of(rest, rate, axes, *place, number * draws)[rows] for number in range(prod(lead))
    ]
    return Slabs(lead, slabs)


def whole(shape: Shape, share: Share | None, batch_axis: int = 0) -> Shape:
    """`shape` with all rows of the batch."""
    if share is None:
        return shape
    return (*shape[:batch_axis], share.rows, *shape[batch_axis + 1 :])


class Slabs:
    """Recipes one behind the other, along axes before theirs; the face of one `Recipe`."""

    def __init__(self, lead: Shape, slabs: list[Any]) -> None:
        self.lead, self.slabs = lead, slabs
        self.shape = (*lead, *slabs[0].shape)

    def keep(self) -> np.ndarray:
        """As of `Mask`, for all of them."""
        parts = [slab.keep() for slab in self.slabs]
        return np.stack(parts).reshape(*self.lead, *parts[0].shape)

    def apply(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """As of `Recipe`, for C-contiguous arrays."""
        out = np.empty(x.shape, x.dtype) if out is None else out
        size = self.slabs[0].shape
        for slab, part, result in zip(
            self.slabs, x.reshape(-1, *size), out.reshape(-1, *size), strict=True
        ):
            slab.apply(part, result)
        return out

    def __getitem__(self, rows: slice) -> Slabs:
        slabs = self.slabs[rows]
        return Slabs((len(slabs),), slabs)
