"""DropBlock: square blocks of feature maps are dropped."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.blocks import block_mask, check_block_size, check_images
from fastdrop.nn.layer import Shape
from fastdrop.nn.noise import Noise
from fastdrop.nn.sources import Sources


class DropBlock2D(Noise):
    """Drops square blocks of feature maps of images (N, H, W, C), in training.

    Parameters
    ----------
    rate : float or schedule, default 0.1
        Share of the elements to drop, in [0, 1]. The paper's ramp is
        ``LinearDecay(0.0, rate, decay_steps)``: from nothing to `rate`.
    block_size : int, default 7
        Height and width of a block, from 1 (which is dropout) to those of the
        images.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where the masks come from, as in `Dropout`.

    Attributes
    ----------
    mask : BlockMask or None
        As of `Dropout`; None at rate 0.

    Raises
    ------
    TypeError, ValueError
        As `Dropout`, and if the input is smaller than a block.

    Notes
    -----
    `fastdrop.blocks.BlockMask` has the formula.

    References
    ----------
    Ghiasi, Lin, Le, "DropBlock: a regularization method for convolutional
    networks", NeurIPS 2018.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.DropBlock2D(0.3, block_size=3, rng=0)
    >>> y = layer.forward(np.ones((2, 8, 8, 3)), training=True)
    >>> round(float(y.mean()), 6)
    1.0
    """

    def __init__(self, rate: Any = 0.1, block_size: int = 7, *, rng: Any = None) -> None:
        super().__init__(rate, (), rng)
        if isinstance(self.rate, np.ndarray):
            raise TypeError(f"{self.where}: rate must be one number, got an array of rates")
        self.block_size = check_block_size(block_size, self.where)

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        check_images(input_shape, self.block_size, self.where)
        return super().build(input_shape, dtype, sources)

    def forward(
        self, x: np.ndarray, training: bool = False, out: np.ndarray | None = None
    ) -> np.ndarray:
        x = self._input(x)
        check_images(x.shape, self.block_size, self.where)
        self.mask = None
        if not training:
            return x
        if self._rng is None:
            self.build(x.shape, x.dtype)
        rate = self.current_rate
        if callable(self.rate):
            self.state["step"] += 1
        if rate == 0:
            return x
        self.mask = block_mask(x.shape, float(rate), self.block_size, self.draw(), self.share)
        return self.mask.apply(x, self._room("y", x.shape, x.dtype) if out is None else out)
