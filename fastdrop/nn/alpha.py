"""Alpha dropout, for networks of SELU units."""

from __future__ import annotations

from typing import Any

from fastdrop.alpha import AlphaMask
from fastdrop.nn.noise import Noise


class AlphaDropout(Noise):
    """Alpha dropout in training, which keeps a mean of 0 and a variance of 1.

    Parameters
    ----------
    rate, shared_axes, rng
        As in `Dropout`.

    Attributes
    ----------
    mask : AlphaMask or None
        As of `Dropout`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `Dropout`.

    Notes
    -----
    `fastdrop.AlphaMask` has the formula. It belongs behind `SELU`, with weights
    that start as ``"lecun_normal"`` [1]_. A rate of 1 gives 0.

    References
    ----------
    .. [1] Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural
       networks", NeurIPS 2017.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> x = np.random.default_rng(0).normal(size=(1000, 100))
    >>> y = fastdrop.nn.AlphaDropout(0.2, rng=0).forward(x, training=True)
    >>> bool(abs(y.mean()) < 0.02), bool(abs(y.std() - 1) < 0.02)
    (True, True)
    """

    kind = AlphaMask

    def __init__(
        self, rate: Any = 0.5, shared_axes: int | tuple[int, ...] = (), *, rng: Any = None
    ) -> None:
        super().__init__(rate, shared_axes, rng)


class FeatureAlphaDropout(AlphaDropout):
    """Alpha dropout of whole feature maps of (N, ..., C), in training.

    Parameters, errors and ``mask`` are those of `AlphaDropout`; the draw is
    shared along all axes but the first and the last.

    References
    ----------
    That of `AlphaDropout`.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.FeatureAlphaDropout(0.5, rng=0)
    >>> y = layer.forward(np.ones((2, 5, 5, 3)), training=True)
    >>> bool((y == y[:, :1, :1]).all())
    True
    """

    def __init__(self, rate: Any = 0.5, *, rng: Any = None) -> None:
        super().__init__(rate, rng=rng)

    def axes(self, ndim: int) -> tuple[int, ...]:
        if not 3 <= ndim <= 5:
            raise ValueError(
                f"{self.where}: expected an input of shape (N, ..., C) with 3 to 5 axes, "
                f"got one of {ndim}"
            )
        return tuple(range(1, ndim - 1))
