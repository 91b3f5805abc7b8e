"""Dropout of whole maps, sequences and samples: one draw for all of some axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.nn.layer import Shape
from fastdrop.nn.noise import CurriculumDropout, Dropout, Place
from fastdrop.nn.sources import Sources


class _Spatial(Dropout):
    """One draw for all of some axes, in inputs of one rank."""

    own_axes: tuple[int, ...]
    layout: str

    def __init__(self, rate: Any = 0.5, *, rng: Any = None) -> None:
        super().__init__(rate, self.own_axes, rng=rng)

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        self._check(input_shape)
        return super().build(input_shape, dtype, sources)

    def forward(
        self, x: np.ndarray, training: bool = False, out: np.ndarray | None = None
    ) -> np.ndarray:
        self._check(x.shape)
        return super().forward(x, training, out)

    def _check(self, shape: Shape) -> None:
        if len(shape) != len(self.own_axes) + 2:
            raise ValueError(
                f"{self.where}: expected an input of shape {self.layout}, "
                f"got input of shape {shape}"
            )


class SpatialDropout1D(_Spatial):
    """Drops whole channels of sequences (N, T, C) in training.

    Parameters, errors and ``mask`` are those of `Dropout`; the draw is shared
    along axis 1.

    References
    ----------
    Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization
    using convolutional networks", CVPR 2015.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> y = fastdrop.nn.SpatialDropout1D(0.5, rng=0).forward(np.ones((2, 9, 4)), training=True)
    >>> bool((y == y[:, :1]).all())
    True
    """

    own_axes, layout = (1,), "(N, T, C)"


class SpatialDropout2D(_Spatial):
    """Drops whole feature maps of images (N, H, W, C) in training.

    Parameters, errors and ``mask`` are those of `Dropout`; the draw is shared
    along axes 1 and 2. Reference: that of `SpatialDropout1D`.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.SpatialDropout2D(0.5, rng=0)
    >>> y = layer.forward(np.ones((2, 5, 5, 3)), training=True)
    >>> bool((y == y[:, :1, :1]).all())
    True
    """

    own_axes, layout = (1, 2), "(N, H, W, C)"


class SpatialDropout3D(_Spatial):
    """Drops whole feature maps of volumes (N, D, H, W, C) in training.

    Parameters, errors and ``mask`` are those of `Dropout`; the draw is shared
    along axes 1, 2 and 3. Reference: that of `SpatialDropout1D`.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.SpatialDropout3D(0.5, rng=0)
    >>> layer.forward(np.ones((2, 5, 5, 5, 3)), training=True).shape
    (2, 5, 5, 5, 3)
    """

    own_axes, layout = (1, 2, 3), "(N, D, H, W, C)"


class TemporalDropout(_Spatial):
    """One mask for all time steps of (batch, time, features), in training.

    Parameters
    ----------
    rate, rng
        As in `Dropout`, whose errors and ``mask`` it has; the draw is shared
        along axis 1.
    stateful : bool, default False
        Keep one mask from call to call, until `reset_state`: for sequences that
        are fed in pieces, batches of the same samples.

    Raises
    ------
    ValueError
        If a stateful layer gets another number of samples or features than the
        mask was drawn for.

    References
    ----------
    Gal, Ghahramani, "A theoretically grounded application of dropout in
    recurrent neural networks", NeurIPS 2016.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> y = fastdrop.nn.TemporalDropout(0.5, rng=0).forward(np.ones((2, 9, 4)), training=True)
    >>> bool((y == y[:, :1]).all())
    True
    """

    own_axes, layout = (1,), "(batch, time, features)"

    def __init__(self, rate: Any = 0.5, *, stateful: bool = False, rng: Any = None) -> None:
        super().__init__(rate, rng=rng)
        self.stateful = stateful
        self._held: tuple[Place, int, int] | None = None

    def reset_state(self) -> None:
        """Draw anew at the next call."""
        self._held = None

    def forward(
        self, x: np.ndarray, training: bool = False, out: np.ndarray | None = None
    ) -> np.ndarray:
        if training and self.stateful and self._held and x.ndim == 3:
            _, samples, features = self._held
            if (self._rows(x), x.shape[2]) != (samples, features):
                raise ValueError(
                    f"{self.where}: expected {samples} samples of {features} features, as the "
                    f"mask was drawn for, got input of shape {x.shape}: call reset_state first"
                )
        y = super().forward(x, training, out)
        # Rate 0 draws nothing: its recipe is no place to go on from.
        if training and self.stateful and self._held is None and self.mask.rate != 0.0:
            self._held = (self.mask.key, self.mask.stream), self._rows(x), x.shape[2]
        return y

    def _rows(self, x: np.ndarray) -> int:
        return self.share.rows if self.share else len(x)

    def draw(self) -> Place:
        return self._held[0] if self._held else super().draw()


class DropPath(Dropout):
    """Drops whole samples, in training: what a residual branch adds to some of them.

    Parameters, errors and ``mask`` are those of `Dropout`; the draw is shared
    along all axes but the first. `Residual` adds the branch to its input.

    References
    ----------
    Huang, Sun, Liu, Sedra, Weinberger, "Deep networks with stochastic depth",
    ECCV 2016; scaled while training, and not afterwards, as in Larsson, Maire,
    Shakhnarovich, "FractalNet", ICLR 2017.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> from fastdrop import nn
    >>> block = nn.Residual([nn.Dense(3, init="zeros"), nn.DropPath(0.2)])
    >>> x = np.ones((2, 3))
    >>> bool((block.forward(x, training=True) == x).all())
    True
    """

    def __init__(self, rate: Any = 0.5, *, rng: Any = None) -> None:
        super().__init__(rate, rng=rng)

    def axes(self, ndim: int) -> tuple[int, ...]:
        return tuple(range(1, ndim))


# Those that multiply what they keep by one number, and nothing else.
DROPOUTS = (
    Dropout,
    CurriculumDropout,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
    TemporalDropout,
    DropPath,
)
