"""What a layer does to its output while that is in the cache: ReLU, a pool, dropout.

``Sequential`` looks ahead from every layer with weights. What follows in this
order is done by that layer's own kernel, and the layers that say so are passed
over: the large array between a convolution and its pool never exists, and
going back, ReLU followed by dropout needs only the output's sign and a scale,
no mask. The layers themselves stay what they are, and give the same numbers, up
to the order of sums in a convolution's gradients: pixels that no window of the
pool reaches are not computed at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from fastdrop.nn.activations import ReLU
    from fastdrop.nn.layer import Layer
    from fastdrop.nn.noise import Dropout
    from fastdrop.nn.pooling import MaxPool2D


class Tail(NamedTuple):
    """Layers that another one does the work of. Dropout is only behind ReLU."""

    relu: ReLU | None = None
    pool: MaxPool2D | None = None
    dropout: Dropout | None = None

    @property
    def window(self) -> tuple[int, int]:
        """Of the pool, as kernels want it."""
        return self.pool.pool_size if self.pool else (0, 0)

    @property
    def scale(self) -> float:
        """Of what was kept in the last forward pass."""
        mask = self.dropout.mask if self.dropout else None
        return 1.0 if mask is None else float(mask.scale)

    @property
    def holds(self) -> bool:
        """Whether the layers can still be passed over: their settings may have changed."""
        return (self.pool is None or self.pool.apart) and (
            self.dropout is None or _scales(self.dropout)
        )

    def drop(self, y: np.ndarray, training: bool) -> np.ndarray:
        """`y` itself, with the dropout applied in place."""
        return self.dropout.forward(y, training, out=y) if self.dropout else y


NO_TAIL = Tail()


def fuse(layers: Sequence[Layer]) -> list[tuple[Layer, Tail]]:
    """The layers that compute, each with what it does for those behind it."""
    from fastdrop.nn.activations import ReLU
    from fastdrop.nn.conv import Conv2D
    from fastdrop.nn.dense import Dense
    from fastdrop.nn.noise import Dropout
    from fastdrop.nn.pooling import MaxPool2D

    found: list[tuple[Layer, Tail]] = []
    rest = list(layers)
    while rest:
        layer, tail = rest.pop(0), NO_TAIL
        # Subclasses may do otherwise: only the layers themselves.
        pools = type(layer) is Conv2D
        while rest and tail.dropout is None and type(layer) in (Dense, Conv2D):
            follower = rest[0]
            if type(follower) is ReLU and tail.relu is None:
                tail = tail._replace(relu=follower)
            elif type(follower) is MaxPool2D and pools and tail.pool is None and follower.apart:
                tail = tail._replace(pool=follower)
            elif tail.relu and isinstance(follower, Dropout) and _scales(follower):
                tail = tail._replace(dropout=follower)
            else:
                break
            rest.pop(0)
        found.append((layer, tail))
    return found


def _scales(dropout: Dropout) -> bool:
    """Whether it has one rate: what is kept is multiplied by one number."""
    from fastdrop.nn.spatial import DROPOUTS

    one = np.ndim(dropout.rate) == 0  # a schedule, too
    return type(dropout) in DROPOUTS and one and dropout.mode == "inverted"
