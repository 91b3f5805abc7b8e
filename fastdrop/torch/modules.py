# ruff: noqa: A002 - `input` is PyTorch's name of it, and may be given by name
"""PyTorch's dropout modules with fastdrop's masks, and `rng` besides."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastdrop.mask import MaskStream
from fastdrop.torch import functional

_LASTING = (type(None), torch.Generator, MaskStream, np.random.Generator, np.random.BitGenerator)


class _Noisy(nn.modules.dropout._DropoutNd):
    """What the modules share: where their masks come from."""

    # For what was made by PyTorch's class and is one of these since.
    rng: Any = None

    def __init__(self, p: float = 0.5, inplace: bool = False, *, rng: Any = None) -> None:
        super().__init__(p, inplace)
        # The functions start a new stream for every int: the same mask at every
        # step. A module goes on.
        self.rng = rng if isinstance(rng, _LASTING) else MaskStream(rng)


class Dropout(_Noisy, nn.Dropout):
    """``torch.nn.Dropout`` with fastdrop's masks.

    Parameters
    ----------
    p : float, default 0.5
        Probability of dropping, in [0, 1].
    inplace : bool, default False
        Change the input itself.
    rng : None, torch.Generator, or as in `fastdrop.dropout`
        Where the masks come from; None is PyTorch's own generator. An int or a
        SeedSequence starts a `MaskStream`, which the module goes on drawing
        from; it is no part of the ``state_dict``.

    Raises
    ------
    ValueError
        If `p` leaves [0, 1].

    See Also
    --------
    fastdrop.torch.functional.dropout : what it calls.

    Examples
    --------
    >>> import torch, fastdrop.torch
    >>> layer = fastdrop.torch.Dropout(0.5, rng=0)
    >>> sorted(layer(torch.ones(100)).unique().tolist())
    [0.0, 2.0]
    >>> x = torch.ones(3)
    >>> layer.eval()(x) is x
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        # What `functional.dropout` calls, and a call less.
        return functional.noisy(
            "dropout", False, input, self.p, self.training, self.inplace, self.rng
        )


class Dropout1d(_Noisy, nn.Dropout1d):
    """``torch.nn.Dropout1d``, whole channels of (N, C, L) or (C, L), with fastdrop's masks.

    Parameters and errors are those of `Dropout`.

    Examples
    --------
    >>> import torch, fastdrop.torch
    >>> y = fastdrop.torch.Dropout1d(0.5, rng=0)(torch.ones(2, 3, 4))
    >>> bool((y == y[..., :1]).all())
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        return functional.dropout1d(input, self.p, self.training, self.inplace, rng=self.rng)


class Dropout2d(_Noisy, nn.Dropout2d):
    """``torch.nn.Dropout2d``, whole channels of (N, C, H, W), with fastdrop's masks.

    Parameters and errors are those of `Dropout`.

    Examples
    --------
    >>> import torch, fastdrop.torch
    >>> y = fastdrop.torch.Dropout2d(0.5, rng=0)(torch.ones(2, 3, 4, 4))
    >>> bool((y == y[..., :1, :1]).all())
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        return functional.dropout2d(input, self.p, self.training, self.inplace, rng=self.rng)


class Dropout3d(_Noisy, nn.Dropout3d):
    """``torch.nn.Dropout3d``, whole channels of (N, C, D, H, W) or (C, D, H, W),
    with fastdrop's masks.

    Parameters and errors are those of `Dropout`.

    Examples
    --------
    >>> import torch, fastdrop.torch
    >>> y = fastdrop.torch.Dropout3d(0.5, rng=0)(torch.ones(2, 3, 4, 4, 4))
    >>> bool((y == y[..., :1, :1, :1]).all())
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        return functional.dropout3d(input, self.p, self.training, self.inplace, rng=self.rng)


class AlphaDropout(_Noisy, nn.AlphaDropout):
    """``torch.nn.AlphaDropout``, for SELU networks, with fastdrop's masks.

    Parameters and errors are those of `Dropout`. As in PyTorch, `inplace` is
    taken and has no effect.

    Examples
    --------
    >>> import torch, fastdrop.torch
    >>> fastdrop.torch.AlphaDropout(0.2, rng=0)(torch.zeros(1000)).unique().numel()
    2
    """

    def forward(self, input: Tensor) -> Tensor:
        return functional.alpha_dropout(input, self.p, self.training, rng=self.rng)


class FeatureAlphaDropout(_Noisy, nn.FeatureAlphaDropout):
    """``torch.nn.FeatureAlphaDropout``, whole channels of (N, C, ...), with fastdrop's masks.

    Parameters and errors are those of `Dropout`. As in PyTorch, `inplace` is
    taken and has no effect.

    Examples
    --------
    >>> import torch, fastdrop.torch
    >>> y = fastdrop.torch.FeatureAlphaDropout(0.5, rng=0)(torch.ones(2, 3, 4))
    >>> bool((y == y[..., :1]).all())
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        return functional.feature_alpha_dropout(input, self.p, self.training, rng=self.rng)
