"""DropBlock: masks whose zeros lie in square blocks."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from fastdrop.arrays import check_array, check_out
from fastdrop.mask import Mask
from fastdrop.rates import check_rate
from fastdrop.rng import source
from fastdrop.share import Share, drawn


class BlockMask:
    """A DropBlock mask of images as a recipe: blocks of zeros, the rest rescaled.

    Parameters
    ----------
    seeds : Mask
        Of shape (N, H - block_size + 1, W - block_size + 1, C): each dropped
        draw is the upper left corner of a block.
    block_size : int
        Height and width of a block, at least 1.
    scale : float, optional
        What kept elements are multiplied by; by default ``count / kept``.

    Attributes
    ----------
    seeds : Mask
    block_size : int
    shape : tuple of int
        (N, H, W, C).

    Notes
    -----
    `apply` is ``x * keep * count / kept``, where `count` of the elements `kept`
    are: the mean of the whole batch stays what it is [1]_. So a slice of it is
    no mask of its own, unless it is told the `scale` of the whole.

    References
    ----------
    .. [1] Ghiasi, Lin, Le, "DropBlock: a regularization method for
       convolutional networks", NeurIPS 2018, algorithm 1.

    Examples
    --------
    >>> import fastdrop
    >>> from fastdrop.blocks import BlockMask
    >>> mask = BlockMask(fastdrop.Mask((1, 3, 4, 1), 0.1, key=12), 2)
    >>> mask.shape, mask.keep().shape
    ((1, 4, 5, 1), (1, 4, 5, 1))
    """

    __slots__ = ("_given", "block_size", "seeds", "shape")

    def __init__(self, seeds: Mask, block_size: int, scale: float | None = None) -> None:
        self.seeds, self.block_size, self._given = seeds, block_size, scale
        n, rows, columns, channels = seeds.shape
        self.shape = n, rows + block_size - 1, columns + block_size - 1, channels

    @property
    def key(self) -> int:
        """64-bit key of the generator."""
        return self.seeds.key

    @property
    def stream(self) -> int:
        """Number of the stream under that key."""
        return self.seeds.stream

    @property
    def scale(self) -> float:
        """What a kept element is multiplied by; 0 where nothing is kept."""
        return self._scale(self.keep())

    def keep(self) -> np.ndarray:
        """The mask itself: bool (N, H, W, C), True where kept."""
        n, height, _, channels = self.shape
        dropped = ~self.seeds.keep()
        # Blocks grow along one axis, then along the other.
        rows, columns = dropped.shape[1:3]
        tall = np.zeros((n, height, columns, channels), bool)
        wide = np.zeros(self.shape, bool)
        for k in range(self.block_size):
            tall[:, k : k + rows] |= dropped
        for k in range(self.block_size):
            wide[:, :, k : k + columns] |= tall
        return np.logical_not(wide, out=wide)

    def apply(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Apply the mask to `x`, of its shape; the same call takes a gradient backward."""
        keep = self.keep()
        if out is None:
            out = np.empty(x.shape, x.dtype)
        with np.errstate(all="ignore"):
            np.multiply(x, x.dtype.type(self._scale(keep)), out=out)
        # Selected, not multiplied: NaN and inf are dropped, too.
        np.copyto(out, 0.0, where=~keep)
        return out

    def _scale(self, keep: np.ndarray) -> float:
        if self._given is not None:
            return self._given
        kept = np.count_nonzero(keep)
        return keep.size / kept if kept else 0.0


def block_mask(
    shape: tuple[int, ...],
    rate: float,
    block_size: int,
    place: tuple[int, int],
    share: Share | None = None,
) -> BlockMask:
    """The mask of images of a shape, for the rate that elements are to be dropped at.

    Seeds are drawn with ``gamma = rate / block_size**2 * H * W / ((H - block_size
    + 1) * (W - block_size + 1))``, equation 1 of the paper.
    """
    n, height, width, channels = shape
    rows, columns = height - block_size + 1, width - block_size + 1
    gamma = rate / block_size**2 * (height * width) / (rows * columns)
    # At rate 1 everything is dropped, though blocks that overlap would leave some.
    gamma = 1.0 if rate == 1 else min(gamma, 1.0)
    seeds = drawn(Mask, (n, rows, columns, channels), gamma, (), place, share)
    mask = BlockMask(seeds, block_size)
    if share is None:
        return mask
    keep = mask.keep()
    count, kept = share.ranks.add([keep.size, np.count_nonzero(keep)], share)
    return BlockMask(seeds, block_size, count / kept if kept else 0.0)


def check_images(shape: tuple[Any, ...], block_size: int, where: str) -> None:
    """Raise unless blocks fit into images (N, H, W, C)."""
    if len(shape) != 4:
        raise ValueError(f"{where}: x must be images (N, H, W, C), got shape {shape}")
    if any(size is not None and size < block_size for size in shape[1:3]):
        raise ValueError(
            f"{where}: block_size must be at most the height and width of the images, "
            f"got {block_size} for shape {shape}"
        )


def drop_block(
    x: Any,
    rate: float = 0.1,
    block_size: int = 7,
    *,
    rng: Any = None,
    training: bool = True,
    out: np.ndarray | None = None,
    return_mask: bool = False,
) -> np.ndarray | tuple[np.ndarray, BlockMask | None]:
    """Drop square blocks of feature maps, each map's own.

    Parameters
    ----------
    x : array_like of float16, float32 or float64
        Images (N, H, W, C).
    rate : float, default 0.1
        Share of the elements to drop, in [0, 1]; blocks that overlap drop less.
    block_size : int, default 7
        Height and width of a block, from 1 (which is dropout) to those of the
        images.
    rng, training, out
        As in `fastdrop.dropout`.
    return_mask : bool, default False
        Return ``(y, mask)``; the mask is None where nothing was drawn.

    Returns
    -------
    ndarray or (ndarray, BlockMask)
        As `dropout`.

    Raises
    ------
    TypeError, ValueError
        As `dropout`, and if `x` has another rank or is smaller than a block.

    References
    ----------
    Ghiasi, Lin, Le, "DropBlock: a regularization method for convolutional
    networks", NeurIPS 2018.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> y = fastdrop.drop_block(np.ones((2, 8, 8, 3)), 0.3, block_size=3, rng=0)
    >>> round(float(y.mean()), 6)
    1.0
    """
    where = "drop_block"
    given, x = x, check_array(x, where)
    checked = check_rate(rate, where)
    if not isinstance(checked, float):
        raise TypeError(f"{where}: rate must be one number, got an array of rates")
    block_size = check_block_size(block_size, where)
    check_images(x.shape, block_size, where)
    draw = source(rng, where)
    if out is not None:
        check_out(out, x, where)
    mask = None
    if training and checked > 0:
        mask = block_mask(x.shape, checked, block_size, draw())
        y = mask.apply(x, out)
    elif out is None:
        y = given if isinstance(given, np.ndarray) else x
    else:
        np.copyto(out, x)
        y = out
    return (y, mask) if return_mask else y


def check_block_size(block_size: Any, where: str) -> int:
    """`block_size` as an int of at least 1."""
    try:
        size = index(block_size)
    except TypeError:
        raise TypeError(f"{where}: block_size must be an int, got {block_size!r}") from None
    if size < 1:
        raise ValueError(f"{where}: block_size must be at least 1, got {size}")
    return size
