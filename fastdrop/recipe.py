"""What every kind of mask is made of: a shape, rates, and where its draws begin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import prod
from operator import index
from typing import Any, Self

import numpy as np

from fastdrop.arrays import check_array, check_out, finish, is_direct, prepare
from fastdrop.layout import check_axes, check_shape, layout
from fastdrop.rates import check_rate


class Recipe:
    """A mask as a few integers; `Mask` says what the parameters are.

    A kind of noise is a subclass that says, in `write`, what it does to a
    contiguous array.
    """

    __slots__ = ("_key", "_layout", "_offset", "_rate", "_shape", "_shared_axes", "_stream")

    def __init__(
        self,
        shape: int | tuple[int, ...],
        rate: Any,
        *,
        key: int,
        stream: int = 0,
        shared_axes: int | tuple[int, ...] = (),
        offset: int = 0,
    ) -> None:
        where = type(self).__name__
        shape = check_shape(shape, where)
        self._set(
            shape,
            check_rate(rate, where),
            check_axes(shared_axes, len(shape), where),
            _check_word(key, 64, "key", where),
            _check_word(stream, 63, "stream", where),
            _check_word(offset, 64, "offset", where),
        )

    @classmethod
    def of(cls, shape, rate, shared_axes, key, stream, offset=0) -> Self:
        """The recipe of parts that were checked one by one before."""
        self = cls.__new__(cls)
        self._set(shape, rate, shared_axes, key, stream, offset)
        return self

    def _set(self, shape, rate, shared_axes, key, stream, offset) -> None:
        self._layout = layout(shape, shared_axes)
        if offset + self._layout.draws > 1 << 64:
            raise ValueError(
                f"{type(self).__name__}: offset + number of draws must be at most 2**64, "
                f"got {offset} + {self._layout.draws}"
            )
        if not isinstance(rate, float):
            check_rates_fit(rate, self._layout.shape, type(self).__name__)
        self._shape, self._rate, self._shared_axes = shape, rate, shared_axes
        self._key, self._stream, self._offset = key, stream, offset

    def redrawn(self, key: int, stream: int) -> Self:
        """The same recipe from another place, of a checked key and stream: what a layer
        draws step after step."""
        mask = type(self).__new__(type(self))
        mask._layout, mask._shape, mask._rate = self._layout, self._shape, self._rate
        mask._shared_axes, mask._offset = self._shared_axes, self._offset
        mask._key, mask._stream = key, stream
        return mask

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the arrays that the mask applies to."""
        return self._shape

    @property
    def rate(self) -> float | np.ndarray:
        """Probability of dropping: a float, or a read-only float64 array."""
        return self._rate

    @property
    def key(self) -> int:
        """64-bit key of the generator."""
        return self._key

    @property
    def stream(self) -> int:
        """Number of the stream under that key, below 2**63."""
        return self._stream

    @property
    def offset(self) -> int:
        """Number of the first draw within the stream."""
        return self._offset

    @property
    def shared_axes(self) -> tuple[int, ...]:
        """Axes along which one draw is shared: ascending, counted from 0."""
        return self._shared_axes

    def apply(self, x: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Apply the mask to `x`; the same call takes a gradient backward.

        Parameters
        ----------
        x : array_like of float16, float32 or float64
            Of the mask's `shape`, in any memory layout.
        out : ndarray, optional
            Takes the result: of the shape and dtype of `x`, in any layout;
            `x` itself to work in place.

        Returns
        -------
        ndarray
            `out`, or a new C-contiguous array of the dtype of `x`.

        Raises
        ------
        TypeError
            If `x` has another dtype, or `out` another type or dtype.
        ValueError
            If the shape is not the mask's, or `out` cannot take the result.

        Examples
        --------
        >>> import fastdrop, numpy as np
        >>> mask = fastdrop.Mask(6, 0.5, key=1)
        >>> mask.apply(np.ones(6, np.float32))
        array([0., 2., 0., 2., 0., 2.], dtype=float32)
        """
        return self._run("apply", self.write, x, out)

    def write(self, x: np.ndarray, out: np.ndarray) -> None:
        """Compute `out` from `x`, both of the mask's shape and fit for kernels."""
        raise NotImplementedError

    def write_forward(self, x: np.ndarray, out: np.ndarray) -> None:
        """The same for the forward pass, where that is another one."""
        self.write(x, out)

    def _run(self, name: str, write: Callable[..., None], x: Any, out: Any) -> np.ndarray:
        if out is None and type(x) is np.ndarray and x.shape == self._shape and is_direct(x):
            out = np.empty(x.shape, x.dtype)
            write(x, out)
            return out
        where = f"{type(self).__name__}.{name}"
        x = self._check_operand(x, where, "x")
        if out is not None:
            check_out(out, x, where)
        operands, result = prepare(out, x)
        write(*operands)
        return finish(operands, result, out)

    def _check_operand(self, x: Any, where: str, name: str) -> np.ndarray:
        x = check_array(x, where, name)
        if x.shape != self._shape:
            raise ValueError(
                f"{where}: {name} must have the mask's shape {self._shape}, got {x.shape}"
            )
        return x

    def __getitem__(self, rows: slice) -> Self:
        """The recipe of rows ``a..b`` of axis 0: ``mask[a:b].apply(x[a:b])``
        equals ``mask.apply(x)[a:b]``."""
        where = type(self).__name__
        if not isinstance(rows, slice):
            raise TypeError(f"{where}: a mask is sliced as mask[a:b], got mask[{rows!r}]")
        if not self._shape:
            raise IndexError(f"{where}: a mask of shape () has no rows to slice")
        start, stop, step = rows.indices(self._shape[0])
        if step != 1:
            raise ValueError(f"{where}: step must be 1 in mask[a:b], got {step}")
        stop = max(start, stop)
        own, rate, offset = self._layout.shape, self._rate, self._offset
        if 0 not in self._shared_axes:
            # No row at all keeps the offset, which may not be beyond the last draw.
            offset += start * prod(own[1:]) if start < stop else 0
            if not isinstance(rate, float) and rate.ndim == len(own) and len(rate) > 1:
                rate = rate[start:stop]
        shape = (stop - start, *self._shape[1:])
        return type(self).of(shape, rate, self._shared_axes, self._key, self._stream, offset)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._place() == other._place() and np.array_equal(self._rate, other._rate)

    def __hash__(self) -> int:
        return hash(self._place())

    def __reduce__(self):
        return _restored, (type(self), self._rate, self._place())

    def __repr__(self) -> str:
        rate = self._rate if isinstance(self._rate, float) else f"<rates {self._rate.shape}>"
        return (
            f"{type(self).__name__}({self._shape}, {rate}, key={self._key}, "
            f"stream={self._stream}, shared_axes={self._shared_axes}, offset={self._offset})"
        )

    def _place(self):
        return self._shape, self._shared_axes, self._key, self._stream, self._offset

    def _calls(self, *arrays: np.ndarray) -> Iterable[tuple]:
        """Split the work into kernel calls: ``(arrays, place, (first, count))``.

        The place is (outer, shared, inner, key, stream, offset), as kernels
        take it; first and count are the draws of the call. Nearly every mask
        is one call on the whole arrays.
        """
        _, draws, outer, shared, inner, loops = self._layout
        place = outer, shared, inner, self._key, self._stream, self._offset
        if loops:
            return self._slabs(arrays, place)
        return ((arrays, place, (0, draws)),) if outer else ()

    def _slabs(self, arrays: tuple[np.ndarray, ...], place: tuple[int, ...]) -> Iterator[tuple]:
        outer, shared, inner, *_, offset = place
        size, count = outer * shared * inner, outer * inner
        for start, first in zip(range(0, arrays[0].size, size), self._layout.firsts(), strict=True):
            parts = [array.reshape(-1)[start : start + size] for array in arrays]
            yield parts, (*place[:-1], offset + first), (first, count)

    def _cycle(self, values: np.ndarray, first: int, count: int) -> np.ndarray:
        """Values of each rate for `count` draws from `first` on, as kernels take
        them: draw ``d`` of the call takes entry ``d % R``.

        They need not be repeated over the leading axes along which the rates
        do not vary.
        """
        if values.size == 1:
            return values.reshape(1)
        own = self._layout.shape
        if values.shape == own[-1:] and values.size <= count and values.flags.c_contiguous:
            return values  # a rate for each unit, nearly always
        values = values.reshape((1,) * (len(own) - values.ndim) + values.shape)
        lead = next((axis for axis, size in enumerate(values.shape) if size > 1), len(own))
        if values.size < prod(own[lead:]):
            values = np.broadcast_to(values[(0,) * lead], own[lead:])
        values = values.reshape(-1)
        start = first % values.size
        return np.ascontiguousarray(values if values.size <= count else values[start:][:count])


def _restored(kind, rate, place):
    if not isinstance(rate, float):
        rate.flags.writeable = False
    shape, *rest = place
    return kind.of(shape, rate, *rest)


def check_rates_fit(rate: np.ndarray, own: tuple[int, ...], where: str) -> None:
    """Raise unless an array of rates broadcasts to the mask's own shape."""
    if rate.shape == own[-rate.ndim :]:
        return
    sizes = zip(rate.shape[::-1], own[::-1], strict=False)
    if rate.ndim > len(own) or any(size not in (1, axis) for size, axis in sizes):
        raise ValueError(
            f"{where}: rate must broadcast to the mask's own shape {own}, "
            f"got rates of shape {rate.shape}"
        )


def _check_word(value: Any, bits: int, name: str, where: str) -> int:
    """`value` as an int of [0, 2**bits)."""
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{where}: {name} must be an int, got {value!r}") from None
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{where}: {name} must be in [0, 2**{bits}), got {number}")
    return number
