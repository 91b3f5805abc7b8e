"""Layers that are noise in training and nothing at all afterwards: what they share, and dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastdrop import kernels
from fastdrop.arrays import is_direct
from fastdrop.functional import apply_noise
from fastdrop.layout import check_axes, layout
from fastdrop.mask import Mask, MaskStream
from fastdrop.nn.arguments import check_count
from fastdrop.nn.layer import Layer, Shape
from fastdrop.nn.schedules import Curriculum, config_of, schedule_from
from fastdrop.nn.sources import Sources
from fastdrop.rates import check_rate
from fastdrop.recipe import Recipe, check_rates_fit
from fastdrop.rng import source
from fastdrop.standard import StandardMask
from fastdrop.threads import team_size

Place = tuple[int, int]


class Drawing(Layer):
    """A layer that draws in training: where from, and that it is noisy.

    Parameters
    ----------
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        By default the `Sequential` around the layer gives its stream, or else
        it is fresh entropy. An int or a SeedSequence starts a `MaskStream`,
        which the layer goes on drawing from.
    """

    def __init__(self, rng: Any) -> None:
        super().__init__()
        source(rng, self.where)  # raises for what is no rng
        # The functional calls start a new stream for every int: the same mask
        # at every step. A layer goes on.
        lasting = (type(None), MaskStream, np.random.Generator, np.random.BitGenerator)
        self._own = rng if isinstance(rng, lasting) else MaskStream(rng)
        self._rng = self._own

    @property
    def noisy(self) -> bool:
        return True

    def draw(self) -> Place:
        """Key and stream of the next draw."""
        if self._rng is None:
            self._rng = MaskStream()
        return source(self._rng, self.where)()

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        if self._own is None:
            self._rng = MaskStream() if sources is None else sources.masks
        return super().build(input_shape, dtype, sources)


class Noise(Drawing):
    """Noise of one recipe for the whole input, whose kind a subclass says.

    Parameters
    ----------
    rate : float, array_like of float, or schedule
        Probability of dropping, in [0, 1]; an array as in `fastdrop.dropout`.
        A schedule of `fastdrop.nn.schedules`, or any function of the step, gives
        each training batch its rate; the count of the steps is in ``state``.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where the masks come from.
    """

    kind: type[Recipe] = Mask

    def __init__(self, rate: Any, shared_axes: int | tuple[int, ...], rng: Any) -> None:
        super().__init__(rng)
        self._rate = self._check_rate(rate)
        self.shared_axes = shared_axes
        self.mask: Any = None
        if callable(self._rate):
            self.state = {"step": np.zeros((), np.int64)}

    @property
    def rate(self) -> Any:
        """The rate or its schedule. A new one takes effect with the next batch."""
        return self._rate

    @rate.setter
    def rate(self, rate: Any) -> None:
        self._rate = self._check_rate(rate)
        if callable(self._rate) and "step" not in self.state:
            self.state["step"] = np.zeros((), np.int64)

    @property
    def current_rate(self) -> float | np.ndarray:
        """The rate of the next training batch."""
        if not callable(self._rate):
            return self._rate
        step = int(self.state["step"])
        try:
            return check_rate(self._rate(step), self.where)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{error}, from its schedule at step {step}") from None

    def axes(self, ndim: int) -> tuple[int, ...]:
        """The shared axes of an input of so many."""
        return check_axes(self.shared_axes, ndim, self.where)

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        axes = self.axes(len(input_shape))
        if isinstance(self._rate, np.ndarray):
            # Batches may be of another size than the first: their axis fits any.
            rows = len(self._rate) if self._rate.ndim == len(input_shape) else 1
            own = layout((rows, *(size or 1 for size in input_shape[1:])), axes).shape
            check_rates_fit(self._rate, own, self.where)
        return super().build(input_shape, dtype, sources)

    def forward(
        self, x: np.ndarray, training: bool = False, out: np.ndarray | None = None
    ) -> np.ndarray:
        if not training:
            self.mask = None
            return x
        if self._rng is None:
            self.build(x.shape, x.dtype)
        rate, axes = self.current_rate, self.axes(x.ndim)
        known = x if out is x else None  # an array to write to that needs no check
        if out is None and self.reuses:
            out = known = self._room("y", x.shape, x.dtype)
        if known is not None and self._repeats(x, rate, axes):
            kernels.active(), team_size(x.nbytes)  # raise for bad settings, before a draw
            mask = self._again(rate)
            self._write(mask, x, known)
            y, self.mask = known, mask
        else:
            y, self.mask = apply_noise(
                self.where,
                self.kind,
                x,
                rate,
                self.draw,
                axes,
                out,
                share=self.share,
                write=self._write,
            )
        if callable(self._rate):
            self.state["step"] += 1
        return y

    def _repeats(self, x: np.ndarray, rate: Any, axes: tuple[int, ...]) -> bool:
        """Whether a step of a training is as the one before, but for key, stream and what
        `_fits` lets pass: then its recipe and its arrays need not be checked again, which
        would take longer than a small array's mask."""
        last = self.mask
        return (
            self.reuses
            and self.share is None
            and type(last) is self.kind
            and self._fits(rate, last.rate)
            and x.shape == last.shape
            and axes == last.shared_axes
            and last.offset == 0
            and is_direct(x)
            and x.flags.writeable
        )

    def _fits(self, rate: Any, last: Any) -> bool:
        """Whether the last recipe, of that rate, does for this one."""
        return isinstance(rate, float) and isinstance(last, float) and rate != 0.0 != last

    def _again(self, rate: Any) -> Recipe:
        """The last recipe from the next place, for a rate that `_fits`."""
        last = self.mask
        if rate == last.rate:
            return last.redrawn(*self.draw())
        return type(last).of(last.shape, rate, last.shared_axes, *self.draw())

    def backward(self, dy: np.ndarray) -> np.ndarray:
        if self.mask is None:
            return dy
        return self.mask.apply(dy, self._room("dx", dy.shape, dy.dtype))

    def _write(self, mask: Recipe, x: np.ndarray, out: np.ndarray) -> None:
        mask.write_forward(x, out)

    def config(self) -> dict[str, Any]:
        config = super().config()
        if callable(self._rate) and "rate" in config:
            config["rate"] = config_of(self._rate)
        return config

    def _check_rate(self, rate: Any) -> float | np.ndarray | Callable[[int], Any]:
        if isinstance(rate, dict):
            rate = schedule_from(rate, self.where)
        return rate if callable(rate) else check_rate(rate, self.where)


class Dropout(Noise):
    """Dropout in training; afterwards the identity, or the product with the keep probability.

    Parameters
    ----------
    rate : float, array_like of float, or schedule, default 0.5
        Probability of dropping, in [0, 1]; an array as in `fastdrop.dropout`.
        A schedule of `fastdrop.nn.schedules`, or any function of the step,
        counted from 0, gives each training batch its rate; the count is in
        ``state``, and so in a checkpoint.
    shared_axes : int or tuple of int, default ()
        Axes along which one draw is shared; 0 shares it over the batch.
    mode : {"inverted", "standard"}
        ``"inverted"`` divides what is kept by ``1 - rate`` in training, so that
        nothing is left to do afterwards. ``"standard"`` leaves it as it is, and
        multiplies everything by ``1 - rate`` outside training [1]_.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where the masks come from; by default from the `Sequential` around it,
        or else fresh entropy. An int or a SeedSequence starts a `MaskStream`,
        which the layer goes on drawing from.

    Attributes
    ----------
    mask : Mask or None
        The recipe of the last forward pass with ``training=True``, and all
        that the layer remembers; None after one with ``training=False``.
        ``mask.keep()`` says which units were kept.
    current_rate : float or ndarray
        The rate of the next training batch.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range; in training, if a
        schedule leaves [0, 1].
    numpy.exceptions.AxisError
        In the first call, if a shared axis is not one of the input.

    Notes
    -----
    Forward is ``mask.apply(x)`` and backward ``mask.apply(dy)``: a diagonal
    operator is its own adjoint.

    References
    ----------
    .. [1] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a
       simple way to prevent neural networks from overfitting", JMLR 15, 2014.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.Dropout(0.5, rng=0)
    >>> x = np.ones((2, 4), np.float32)
    >>> y = layer.forward(x, training=True)
    >>> bool((layer.backward(x) == y).all())
    True
    >>> layer.forward(x, training=False) is x
    True
    """

    def __init__(
        self,
        rate: Any = 0.5,
        shared_axes: int | tuple[int, ...] = (),
        *,
        mode: str = "inverted",
        rng: Any = None,
    ) -> None:
        super().__init__(rate, shared_axes, rng)
        if mode not in ("inverted", "standard"):
            raise ValueError(f"{self.where}: mode must be 'inverted' or 'standard', got {mode!r}")
        self.mode = mode
        self._kept: float | np.ndarray | None = None

    @property
    def kind(self) -> type[Mask]:  # type: ignore[override]
        return Mask if self.mode == "inverted" else StandardMask

    def forward(
        self, x: np.ndarray, training: bool = False, out: np.ndarray | None = None
    ) -> np.ndarray:
        self._kept = None
        y = super().forward(x, training, out)
        if training or self.mode == "inverted":
            return y
        self._kept = np.asarray(1.0 - np.asarray(self.current_rate), x.dtype)
        return np.multiply(x, self._kept, out=out)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return super().backward(dy) if self._kept is None else dy * self._kept


class CurriculumDropout(Dropout):
    """Dropout whose rate grows from 0 towards its final value while training goes on.

    Parameters
    ----------
    rate : float, default 0.5
        The final probability of dropping, in [0, 1].
    gamma : float, optional
        How fast it is approached, by step of training, at least 0.
    steps : int, optional
        How many steps the training takes; then `gamma` is ``10 / steps``, as in
        [1]_. One of the two is given.
    shared_axes, mode, rng
        As in `Dropout`, whose ``mask`` it has.

    Attributes
    ----------
    current_rate : float
        The rate of the next training batch. The count of the steps is in
        ``state``, and so in a checkpoint.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range.

    Notes
    -----
    The keep probability of step ``t`` is ``(1 - k) * exp(-gamma * t) + k``, with
    ``k = 1 - rate`` [1]_. Any other curriculum is a `Dropout` whose rate is a
    schedule: ``Dropout(LinearDecay(0.0, decay_steps=1000, final=0.5))`` is the
    linear one, and `RateScheduler` counts epochs in place of steps.

    References
    ----------
    .. [1] Morerio, Cavazza, Volpi, Vidal, Murino, "Curriculum dropout", ICCV
       2017, equation 4 and section 5.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.CurriculumDropout(0.5, gamma=np.log(2), rng=0)
    >>> rates = []
    >>> for _ in range(3):
    ...     rates.append(float(layer.current_rate))
    ...     y = layer.forward(np.ones((2, 4)), training=True)
    >>> rates
    [0.0, 0.25, 0.375]
    """

    def __init__(
        self,
        rate: float = 0.5,
        gamma: float | None = None,
        steps: int | None = None,
        shared_axes: int | tuple[int, ...] = (),
        *,
        mode: str = "inverted",
        rng: Any = None,
    ) -> None:
        where = type(self).__name__
        if (gamma is None) == (steps is None):
            raise ValueError(f"{where}: give gamma or steps, got gamma={gamma}, steps={steps}")
        if steps is not None:
            gamma = 10 / check_count(steps, "steps", where)
        curriculum = Curriculum(rate, gamma)  # type: ignore[arg-type]
        super().__init__(curriculum, shared_axes, mode=mode, rng=rng)
        self.gamma, self.steps = None if steps else gamma, steps

    def config(self) -> dict[str, Any]:
        return super().config() | {"rate": self.rate.rate}
