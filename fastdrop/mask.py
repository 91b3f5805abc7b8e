"""Recipes: masks as a few integers, and the stream that numbers them.

A mask is a pure function of (key, stream, index). Whoever has the recipe has
the mask, on any thread, in any process, for any part of the array. Nothing is
stored; and since a mask is a diagonal operator, backward is forward again.
"""

from __future__ import annotations

import os
from math import prod
from threading import Lock
from typing import Any, Self

import numpy as np

from fastdrop import kernels, rates
from fastdrop.arrays import check_out, finish, prepare
from fastdrop.layout import check_axes, check_shape
from fastdrop.recipe import Recipe
from fastdrop.threads import team_size

# Kernel calls on so many small parts of an array take longer than making the
# mask, as broadcast masks of four or more alternations of axes may need.
MANY_CALLS = 1000

# From so many elements on, one call for each rate costs less than handing the
# kernel a rate for each element.
LONG_ROW = 4096


class Mask(Recipe):
    """A dropout mask as a recipe: ``x * keep / (1 - rate)``.

    Parameters
    ----------
    shape : int or tuple of int
        Shape of the arrays that it applies to.
    rate : float or array_like of float
        Probability of dropping, in [0, 1]. An array broadcasts to the mask's
        own shape, which is `shape` with 1 at the shared axes: per unit, per
        channel, per element.
    key : int
        64-bit key of the generator.
    stream : int, default 0
        Which of the 2**63 streams under that key.
    shared_axes : int or tuple of int, default ()
        Axes along which one draw is shared; negative ones count from the end.
    offset : int, default 0
        Number of the first draw within the stream, below 2**64.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of its range, or if
        ``offset`` + number of draws is beyond 2**64.
    numpy.exceptions.AxisError
        If an axis is not one of `shape`.

    Notes
    -----
    Draw ``i`` is a 32-bit integer of Philox4x32-10 [1]_ and drops where it is
    below ``T = round(rate * 2**32)``. Draws are numbered in C order over the
    mask's own shape; memory layout, dtype, threads and backend never change a
    bit. A dropped element is exactly +0.0, whatever stood there; a kept one is
    the single product ``x * scale``, with ``scale = 1 / (1 - T / 2**32)``
    rounded once to the array's type.

    References
    ----------
    .. [1] Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
       1, 2, 3", SC 2011.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> mask = fastdrop.Mask((4, 3), 0.5, key=7)
    >>> x = np.ones((4, 3), np.float32)
    >>> bool((mask.apply(x) == x * mask.keep() * mask.scale).all())
    True
    >>> bool((mask[1:3].apply(x[1:3]) == mask.apply(x)[1:3]).all())
    True
    """

    __slots__ = ("_held", "_scale", "_threshold")

    def _set(self, shape, rate, shared_axes, key, stream, offset) -> None:
        super()._set(shape, rate, shared_axes, key, stream, offset)
        self._threshold = rates.thresholds(rate)
        self._scale: float | np.ndarray | None = None
        self._held: tuple | None = None

    def redrawn(self, key: int, stream: int) -> Self:
        mask = super().redrawn(key, stream)
        mask._threshold, mask._scale, mask._held = self._threshold, self._scale, None
        return mask

    def rerated(self, key: int, stream: int, rate, thresholds, scales) -> Self:
        """`redrawn`, with other rates of the shape of those it has, and what follows from
        them: thresholds and scales as `fastdrop.rates` has them, contiguous."""
        mask = super().redrawn(key, stream)
        mask._rate, mask._threshold, mask._scale, mask._held = rate, thresholds, scales, None
        if self._held and self._held[2][0] is self._threshold:
            dtype, span, (_, _, *rest) = self._held
            mask._held = dtype, span, (thresholds, scales.astype(dtype), *rest)
        return mask

    @property
    def scale(self) -> float | np.ndarray:
        """What a kept element is multiplied by, in float64: ``1 / (1 - T / 2**32)``.

        0 where nothing is kept (rate 1). An array for an array of rates.
        """
        if self._scale is None:
            self._scale = rates.scales(self._threshold)
        return self._scale

    def keep(self) -> np.ndarray:
        """The mask itself: a boolean array of its own shape, True where kept.

        Examples
        --------
        >>> import fastdrop
        >>> fastdrop.Mask((2, 5), 0.5, key=7, shared_axes=0).keep().shape
        (1, 5)
        """
        out = np.empty(self._layout.shape, bool)
        if out.size == 0:
            return out
        place = self._key, self._stream, self._offset
        threads = team_size(out.size)
        if not isinstance(self._threshold, int):
            thresholds = self._cycle(self._threshold, 0, out.size)
            kernels.active().keep_rates(out, *place, thresholds, threads)
        elif 0 < self._threshold < rates.ALWAYS:
            kernels.active().keep(out, *place, self._threshold, threads)
        else:
            out.fill(self._threshold == 0)
        return out

    def blend(self, x: Any, y: Any, out: np.ndarray | None = None) -> np.ndarray:
        """`x` where kept and `y` where dropped, unscaled.

        Parameters
        ----------
        x, y : array_like of float16, float32 or float64
            Of the mask's `shape` and of one dtype.
        out : ndarray, optional
            As in `apply`; `x` or `y` itself to work in place.

        Returns
        -------
        ndarray
            `out`, or a new C-contiguous array.

        Raises
        ------
        TypeError, ValueError
            As `apply`, and if `x` and `y` differ in dtype.

        Examples
        --------
        >>> import fastdrop, numpy as np
        >>> mask = fastdrop.Mask(6, 0.5, key=1)
        >>> mask.blend(np.ones(6), np.full(6, 9.0))
        array([9., 1., 9., 1., 9., 1.])
        """
        where = "Mask.blend"
        x = self._check_operand(x, where, "x")
        y = self._check_operand(y, where, "y")
        if x.dtype != y.dtype:
            raise TypeError(f"{where}: y must have the dtype of x, {x.dtype}, got {y.dtype}")
        if out is not None:
            check_out(out, x, where)
        operands, result = prepare(out, x, y)
        self._write_blend(*operands)
        return finish(operands, result, out)

    def write(self, x, out):
        self._write_affine(x, out, self.scale, -0.0, 0.0)

    def _write_affine(self, x, out, a, b, c):
        """``a * x + b`` where kept and ``c`` where dropped, each a value or one a rate."""
        _, _, outer, shared, inner, loops = self._layout
        if type(self._threshold) is int and 0 < self._threshold < rates.ALWAYS and not loops:
            # Nearly every call: what a small array takes is what is asked on the way.
            if outer:
                place = outer, shared, inner, self._key, self._stream, self._offset
                kernels.active().apply(
                    x, out, *place, self._threshold, a, b, c, team_size(x.nbytes)
                )
            return
        if self._layout.loops and self._layout.calls > MANY_CALLS:
            a, b, c = (np.asarray(value, x.dtype) for value in (a, b, c))
            with np.errstate(all="ignore"):
                np.add(np.multiply(x, a), b, out=out)
            np.copyto(out, c, where=~self.keep())
            return
        if isinstance(self._threshold, int):
            if self._threshold == rates.ALWAYS:
                out.fill(0.0)
            elif self._threshold == 0:
                np.copyto(out, x)
            else:
                threads = team_size(x.nbytes)
                for arrays, place, _ in self._calls(x, out):
                    kernels.active().apply(*arrays, *place, self._threshold, a, b, c, threads)
            return
        if self._same_rate()[1] >= LONG_ROW:
            self._write_rows(x, out, a, b, c)
            return
        for arrays, place, span in self._calls(x, out):
            cycles = self._cycles(x.dtype, span, a, b, c)
            kernels.active().apply_rates(*arrays, *place, *cycles, team_size(x.nbytes))

    def _cycles(self, dtype, span, a, b, c):
        """Thresholds and values as kernels take them. A few that only scale are held:
        backward asks for those of forward."""
        held = self._held if a is self._scale else None
        if held and held[:2] == (dtype, span):
            return held[2]
        values = [np.asarray(value, dtype) for value in (a, b, c)]
        cycles = [self._cycle(value, *span) for value in (np.asarray(self._threshold), *values)]
        if a is self._scale and values[0].size <= LONG_ROW:
            self._held = dtype, span, cycles
        return cycles

    def _same_rate(self) -> tuple[int, int]:
        """Trailing axes along which no rate varies, and the elements on end that
        so have one rate in common and a draw each."""
        own, sizes = self._layout.shape, np.shape(self._threshold)
        if sizes and sizes[-1] > 1:
            return 0, 1
        axes = next((k for k, size in enumerate(reversed(sizes)) if size > 1), len(own))
        return axes, prod(own[len(own) - axes :]) if self._layout.shared == 1 else 1

    def _write_rows(self, x, out, a, b, c):
        """Row by row with a rate for each: nothing is repeated along the rows."""
        axes, length = self._same_rate()
        lead = self._layout.shape[: len(self._layout.shape) - axes]

        def by_row(value):
            value = np.asarray(value, np.float64)
            value = value.reshape(value.shape[: max(value.ndim - axes, 0)])
            return np.broadcast_to(value, lead).reshape(-1).tolist()

        x, out = x.reshape(-1, length), out.reshape(-1, length)
        values = zip(*map(by_row, (self._rate, a, b, c)), strict=True)
        for row, (rate, *coefficients) in enumerate(values):
            offset = self._offset + row * length
            mask = Mask.of((length,), rate, (), self._key, self._stream, offset)
            mask._write_affine(x[row], out[row], *coefficients)

    def _write_blend(self, x, y, out):
        if self._layout.loops and self._layout.calls > MANY_CALLS:
            out[...] = np.where(self.keep(), x, y)
            return
        if isinstance(self._threshold, int):
            if self._threshold in (0, rates.ALWAYS):
                np.copyto(out, y if self._threshold else x)
                return
            for arrays, place, _ in self._calls(x, y, out):
                kernels.active().blend(*arrays, *place, self._threshold, team_size(x.nbytes))
            return
        for arrays, place, span in self._calls(x, y, out):
            cycle = self._cycle(self._threshold, *span)
            kernels.active().blend_rates(*arrays, *place, cycle, team_size(x.nbytes))


# One lock for all streams. A fork waits for it, so that no child inherits it
# locked by a thread that does not exist there.
_lock = Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


class MaskStream:
    """Numbers masks: every draw is the next stream under one key.

    Parameters
    ----------
    seed : None, int, sequence of int or numpy.random.SeedSequence
        As NumPy takes it, with NumPy's errors; None is fresh entropy.

    Notes
    -----
    The key is ``SeedSequence(seed).generate_state(1, np.uint64)[0]``; draws
    are numbered 0, 1, 2, … as ``stream``. One stream may be shared between
    threads: every draw gets a number of its own.

    Examples
    --------
    >>> import fastdrop
    >>> stream = fastdrop.MaskStream(0)
    >>> [stream.draw((2, 3), 0.5).stream for _ in range(3)]
    [0, 1, 2]
    """

    __slots__ = ("_key", "_next", "_seeds")

    def __init__(self, seed: Any = None) -> None:
        if not isinstance(seed, np.random.SeedSequence):
            seed = np.random.SeedSequence(seed)
        self._restart(seed, 0)

    def _restart(self, seeds: np.random.SeedSequence, number: int) -> None:
        self._key = int(seeds.generate_state(1, np.uint64)[0])
        self._seeds, self._next = seeds, number

    @property
    def key(self) -> int:
        """64-bit key of the masks that are drawn."""
        return self._key

    def next(self) -> tuple[int, int]:
        """Key and stream number of the next draw, which is then taken."""
        with _lock:
            number = self._next
            if number >> 63:
                raise OverflowError("MaskStream: all 2**63 streams of this key are drawn")
            self._next = number + 1
            return self._key, number

    def draw(
        self,
        shape: int | tuple[int, ...],
        rate: Any,
        shared_axes: int | tuple[int, ...] = (),
    ) -> Mask:
        """The next mask. Parameters and errors are those of `Mask`.

        Examples
        --------
        >>> import fastdrop
        >>> fastdrop.MaskStream(0).draw((8, 4), 0.25).rate
        0.25
        """
        where = "MaskStream.draw"
        shape = check_shape(shape, where)
        rate = rates.check_rate(rate, where)
        axes = check_axes(shared_axes, len(shape), where)
        Mask.of(shape, rate, axes, self._key, 0)  # a failed call takes no number
        return Mask.of(shape, rate, axes, *self.next())

    def spawn(self, n: int) -> list[MaskStream]:
        """`n` new independent streams, as ``numpy.random.SeedSequence.spawn``.

        Examples
        --------
        >>> import fastdrop
        >>> a, b = fastdrop.MaskStream(0).spawn(2)
        >>> a.key != b.key
        True
        """
        with _lock:
            return [MaskStream(child) for child in self._seeds.spawn(n)]

    def state_dict(self) -> dict[str, Any]:
        """All that makes the stream go on where it is, as plain JSON values.

        Examples
        --------
        >>> import fastdrop
        >>> fastdrop.MaskStream(3).state_dict()["next"]
        0
        """
        with _lock:
            seeds = self._seeds
            return {
                "entropy": _plain(seeds.entropy),
                "spawn_key": [int(word) for word in seeds.spawn_key],
                "pool_size": seeds.pool_size,
                "children_spawned": seeds.n_children_spawned,
                "next": self._next,
            }

    def load_state_dict(self, d: dict[str, Any]) -> None:
        """Go on where `d`, a `state_dict`, was taken.

        Raises
        ------
        ValueError
            If `d` is not a state; the stream is then unchanged.

        Examples
        --------
        >>> import fastdrop
        >>> a, b = fastdrop.MaskStream(3), fastdrop.MaskStream()
        >>> b.load_state_dict(a.state_dict())
        >>> a.key == b.key
        True
        """
        try:
            seeds = np.random.SeedSequence(
                d["entropy"],
                spawn_key=tuple(d["spawn_key"]),
                pool_size=d["pool_size"],
                n_children_spawned=d["children_spawned"],
            )
            if d["entropy"] is None:  # to NumPy, a wish for fresh entropy
                raise ValueError("entropy must be an int or several, got None")
            number = d["next"]
            if type(number) is not int or not 0 <= number <= 1 << 63:
                raise ValueError(f"next must be an int in [0, 2**63], got {number!r}")
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(
                f"MaskStream.load_state_dict: d must be a state_dict, got one with {error!r}"
            ) from error
        with _lock:
            self._restart(seeds, number)

    def __repr__(self) -> str:
        return f"MaskStream(key={self._key}, next={self._next})"

    def __reduce__(self):
        return _restored, (self.state_dict(),)


def _plain(entropy: Any) -> Any:
    return int(entropy) if np.ndim(entropy) == 0 else [int(word) for word in entropy]


def _restored(state: dict[str, Any]) -> MaskStream:
    stream = MaskStream(0)
    stream.load_state_dict(state)
    return stream
