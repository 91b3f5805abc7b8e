"""The table of cases: shape, size, dtype, rate, backend, and the way it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from itertools import product

import numpy as np

import fastdrop

RATES = (0.1, 0.5)
DTYPES = ("float32", "float64")
SIZES = tuple(2**k for k in range(10, 27, 2))
WAYS = ("forward", "backward", "call")

# The definition is slow by design: above this it says nothing and takes minutes.
LARGEST_REFERENCE = 2**14

KEY = 0x5EED


@dataclass(frozen=True)
class Shape:
    """A way to lay out n elements, the axes that share draws, and the user's call."""

    of: Callable[[int], tuple[int, ...]]
    shared_axes: tuple[int, ...]
    call: Callable[..., np.ndarray]

    def own(self, n: int) -> tuple[int, ...]:
        """The mask's own shape: that of the array, with 1 at the shared axes."""
        shape = self.of(n)
        return tuple(1 if axis in self.shared_axes else size for axis, size in enumerate(shape))


def _split(n: int, *sizes: int) -> tuple[int, ...]:
    """`n`, a power of two, as axes of at most `sizes`, and what is left of it."""
    axes = []
    for size in sizes:
        axes.append(min(size, n))
        n //= axes[-1]
    return (*axes, n)


def _images(n: int) -> tuple[int, int, int, int]:
    """Samples, height, width and channels: up to 32 x 32 pixels of 64 channels."""
    channels, pixels, samples = _split(n, 64, 1024)
    height = 1 << (pixels.bit_length() // 2)
    return samples, height, pixels // height, channels


def _channels_first(n: int) -> tuple[int, ...]:
    samples, height, width, channels = _images(n)
    return samples, channels, height, width


SHAPES = {
    "elementwise": Shape(lambda n: (n,), (), fastdrop.dropout),
    "channels_last": Shape(
        _images, (1, 2), partial(fastdrop.spatial_dropout, data_format="channels_last")
    ),
    "channels_first": Shape(
        _channels_first, (2, 3), partial(fastdrop.spatial_dropout, data_format="channels_first")
    ),
    "temporal": Shape(lambda n: _split(n, 256, 128)[::-1], (1,), fastdrop.temporal_dropout),
    "batch_shared": Shape(
        lambda n: _split(n, min(1024, n // 8))[::-1], (0,), partial(fastdrop.dropout, shared_axes=0)
    ),
}


def power(n: int) -> str:
    """`n`, a power of two, as it is printed."""
    return f"2^{n.bit_length() - 1}"


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Normal numbers to compute with; a repeated block, for making them must not take long."""
    block = np.random.default_rng(0).standard_normal(2**16).astype(dtype)
    return np.resize(block, shape)


@dataclass(frozen=True)
class Case:
    """One line of the table.

    The way is ``forward`` or ``backward``, a mask applied into an array that is
    there (to ``x``, or to a gradient: the same kernel, measured all the same),
    or ``call``, the function with a fresh array as users call it.
    """

    backend: str
    shape: str
    n: int
    dtype: str
    rate: float
    way: str

    @property
    def group(self) -> str:
        """What stands beside each other in a report."""
        return f"{self.shape} {power(self.n)} {self.dtype}"

    def mask(self) -> fastdrop.Mask:
        shape = SHAPES[self.shape]
        return fastdrop.MaskStream(KEY).draw(shape.of(self.n), self.rate, shape.shared_axes)

    def ready(self, x: np.ndarray, out: np.ndarray) -> Callable[[], np.ndarray]:
        """The call to time. Its first result is that of `mask`."""
        if self.way != "call":
            return partial(self.mask().apply, x, out)
        stream = fastdrop.MaskStream(KEY)
        return partial(SHAPES[self.shape].call, x, self.rate, rng=stream)

    def expected(self, x: np.ndarray) -> np.ndarray:
        """The right result, from the definition's keep mask and nothing else of ours."""
        mask = self.mask()
        with fastdrop.use_backend("reference"):
            keep = mask.keep()
        return np.where(keep, x * x.dtype.type(1 / (1 - round(self.rate * 2**32) / 2**32)), 0)

    def __str__(self) -> str:
        return "-".join(str(getattr(self, field.name)) for field in fields(self))


def fast_backends() -> tuple[str, ...]:
    """The backends that are here to be fast."""
    return tuple(name for name in fastdrop.backends() if name != "reference")


def full() -> Iterator[Case]:
    """Every case there is."""
    for parts in product(fastdrop.backends(), SHAPES, SIZES, DTYPES, RATES, WAYS):
        case = Case(*parts)
        if case.backend != "reference" or case.n <= LARGEST_REFERENCE:
            yield case


def usual() -> list[Case]:
    """The cases that differ in one thing at most from what is usual."""
    ordinary = {
        "shape": "elementwise",
        "n": 2**20,
        "dtype": "float32",
        "rate": 0.5,
        "way": "forward",
    }

    def differences(case: Case) -> int:
        return sum(getattr(case, name) != value for name, value in ordinary.items())

    return [case for case in full() if differences(case) <= 1]


def quick() -> list[Case]:
    """Every case of the smallest size, and of the first that more than one thread computes."""
    many = 2**18
    return [
        case
        for case in full()
        if case.n == SIZES[0] or (case.n == many and case.rate == 0.5 and case.way == "forward")
    ]
