"""Schedules: rates that change with the steps of training, of learning and of dropping.

A schedule is called with a step, counted from 0, and gives that step's rate.
Any function of one's own that does so serves as well; those here say what they
are, so that a checkpoint can hold them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import cos, expm1, pi
from typing import Any, ClassVar

from fastdrop.nn.arguments import check_count, check_number
from fastdrop.rates import check_rate

Rate = float | Callable[[int], float]


class Schedule:
    """What the schedules of this module have in common."""

    name: ClassVar[str]

    def __call__(self, step: int) -> float:
        """The learning rate of `step`, an int of at least 0."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Name and arguments, for `schedule_from`."""
        return {"name": self.name, **asdict(self)}  # type: ignore[call-overload]

    def _set(self, **values: Any) -> None:
        """Put checked values in place of those that were given."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """``initial * decay_rate ** (step / decay_steps)``.

    Parameters
    ----------
    initial : float
        Rate of step 0, at least 0.
    decay_steps : int
        After how many steps the rate is ``initial * decay_rate``, at least 1.
    decay_rate : float
        At least 0; above 1 the rate grows.

    Raises
    ------
    TypeError, ValueError
        If one is of a wrong kind or out of its range.

    Examples
    --------
    >>> from fastdrop.nn.schedules import ExponentialDecay
    >>> rate = ExponentialDecay(0.1, decay_steps=100, decay_rate=0.25)
    >>> rate(0), rate(50), rate(100)
    (0.1, 0.05, 0.025)
    """

    name: ClassVar[str] = "exponential_decay"
    initial: float
    decay_steps: int
    decay_rate: float

    def __post_init__(self) -> None:
        self._set(
            initial=check_number(self.initial, "initial", "ExponentialDecay"),
            decay_steps=check_count(self.decay_steps, "decay_steps", "ExponentialDecay"),
            decay_rate=check_number(self.decay_rate, "decay_rate", "ExponentialDecay"),
        )

    def __call__(self, step: int) -> float:
        return self.initial * self.decay_rate ** (step / self.decay_steps)


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a cosine from `initial` to `final`, after a straight warm-up from 0.

    Parameters
    ----------
    initial : float
        Where the cosine starts, at least 0.
    decay_steps : int
        How many steps it takes, after those of the warm-up; at least 1.
    final : float, default 0.0
        The rate from there on, at least 0.
    warmup_steps : int, default 0
        How many steps the rate rises from 0 to `initial`. The first of them
        has a rate of 0.

    Raises
    ------
    TypeError, ValueError
        If one is of a wrong kind or out of its range.

    Notes
    -----
    Before `warmup_steps`, ``initial * step / warmup_steps`` [2]_; then, with
    ``t = min((step - warmup_steps) / decay_steps, 1)`` [1]_,

        final + (initial - final) * (1 + cos(pi * t)) / 2

    References
    ----------
    .. [1] Loshchilov, Hutter, "SGDR: stochastic gradient descent with warm
       restarts", ICLR 2017, equation 5, without the restarts.
    .. [2] Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1
       hour", 2017, section 2.2.

    Examples
    --------
    >>> from fastdrop.nn.schedules import CosineDecay
    >>> rate = CosineDecay(0.5, decay_steps=100, warmup_steps=10)
    >>> rate(0), rate(5), rate(10), round(rate(60), 6), rate(110), rate(999)
    (0.0, 0.25, 0.5, 0.25, 0.0, 0.0)
    """

    name: ClassVar[str] = "cosine_decay"
    initial: float
    decay_steps: int
    final: float = 0.0
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        self._set(
            initial=check_number(self.initial, "initial", "CosineDecay"),
            decay_steps=check_count(self.decay_steps, "decay_steps", "CosineDecay"),
            final=check_number(self.final, "final", "CosineDecay"),
            warmup_steps=check_count(self.warmup_steps, "warmup_steps", "CosineDecay", least=0),
        )

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return self.initial * step / self.warmup_steps
        share = min((step - self.warmup_steps) / self.decay_steps, 1.0)
        return self.final + (self.initial - self.final) * (1 + cos(pi * share)) / 2


@dataclass(frozen=True)
class PiecewiseConstant(Schedule):
    """``values[i]``, where `i` of the boundaries have been reached.

    Parameters
    ----------
    boundaries : sequence of int
        The steps at which the next value comes into force, each at least 1 and
        above the one before it.
    values : sequence of float
        One more than there are boundaries, each at least 0.

    Raises
    ------
    TypeError, ValueError
        If one is of a wrong kind, out of its range or out of order, or there
        are too many or too few.

    Examples
    --------
    >>> from fastdrop.nn.schedules import PiecewiseConstant
    >>> rate = PiecewiseConstant([100, 200], [0.1, 0.01, 0.001])
    >>> rate(0), rate(99), rate(100), rate(200)
    (0.1, 0.1, 0.01, 0.001)
    """

    name: ClassVar[str] = "piecewise_constant"
    boundaries: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        where = "PiecewiseConstant"
        boundaries = tuple(check_count(step, "boundaries", where) for step in self.boundaries)
        values = tuple(check_number(rate, "values", where) for rate in self.values)
        if list(boundaries) != sorted({*boundaries}):
            raise ValueError(f"{where}: boundaries must rise, got {boundaries}")
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"{where}: values must be one more than the {len(boundaries)} boundaries, "
                f"got {len(values)}"
            )
        self._set(boundaries=boundaries, values=values)

    def __call__(self, step: int) -> float:
        return self.values[bisect_right(self.boundaries, step)]


@dataclass(frozen=True)
class LinearDecay(Schedule):
    """A straight line: ``initial + (final - initial) * min(step / decay_steps, 1)``.

    Parameters
    ----------
    initial, final : float
        Rates of step 0, and of step `decay_steps` and all after it; at least 0.
    decay_steps : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If one is of a wrong kind or out of its range.

    Examples
    --------
    >>> from fastdrop.nn.schedules import LinearDecay
    >>> rate = LinearDecay(1.0, 0.5, decay_steps=100)
    >>> rate(0), rate(50), rate(100), rate(101)
    (1.0, 0.75, 0.5, 0.5)
    """

    name: ClassVar[str] = "linear_decay"
    initial: float
    final: float
    decay_steps: int

    def __post_init__(self) -> None:
        self._set(
            initial=check_number(self.initial, "initial", "LinearDecay"),
            final=check_number(self.final, "final", "LinearDecay"),
            decay_steps=check_count(self.decay_steps, "decay_steps", "LinearDecay"),
        )

    def __call__(self, step: int) -> float:
        return self.initial + (self.final - self.initial) * min(step / self.decay_steps, 1.0)


@dataclass(frozen=True)
class Curriculum(Schedule):
    """A rate that grows from 0 towards its final value: ``rate * (1 - exp(-gamma * step))``.

    Parameters
    ----------
    rate : float
        The final rate, in [0, 1].
    gamma : float
        How fast it is approached, at least 0.

    Raises
    ------
    TypeError, ValueError
        If one is of a wrong kind or out of its range.

    Notes
    -----
    The keep probability is ``(1 - k) * exp(-gamma * step) + k``, with
    ``k = 1 - rate`` [1]_.

    References
    ----------
    .. [1] Morerio, Cavazza, Volpi, Vidal, Murino, "Curriculum dropout", ICCV
       2017, equation 4.

    Examples
    --------
    >>> from fastdrop.nn.schedules import Curriculum
    >>> rate = Curriculum(0.5, gamma=1e-3)
    >>> rate(0), round(rate(1000), 3), rate(10**6)
    (0.0, 0.316, 0.5)
    """

    name: ClassVar[str] = "curriculum"
    rate: float
    gamma: float

    def __post_init__(self) -> None:
        where = "Curriculum"
        rate = check_rate(self.rate, where)
        if not isinstance(rate, float):
            raise TypeError(f"{where}: rate must be one number, got {self.rate!r}")
        self._set(rate=rate, gamma=check_number(self.gamma, "gamma", where))

    def __call__(self, step: int) -> float:
        return -self.rate * expm1(-self.gamma * step)


@dataclass(frozen=True)
class UnsavedSchedule(Schedule):
    """Stands in a loaded model for a function of one's own, which no checkpoint holds.

    The model can do everything but train; for that, its optimiser's
    `learning_rate`, or a noise layer's `rate`, has to be set again.
    """

    name: ClassVar[str] = "unsaved"
    function: str

    def __call__(self, step: int) -> float:
        raise ValueError(
            f"the rate was a function, {self.function}, which a checkpoint does not hold: set "
            "optimizer.learning_rate, or the layer's rate, before training goes on"
        )


SCHEDULES = {
    kind.name: kind
    for kind in (
        ExponentialDecay,
        CosineDecay,
        PiecewiseConstant,
        LinearDecay,
        Curriculum,
        UnsavedSchedule,
    )
}


def config_of(rate: Rate) -> float | dict[str, Any]:
    """A rate or schedule as numbers, strings and dicts; the opposite of `schedule_from`."""
    if isinstance(rate, Schedule):
        return rate.config()
    if callable(rate):
        return UnsavedSchedule(getattr(rate, "__qualname__", type(rate).__name__)).config()
    return rate


def schedule_from(config: dict[str, Any], where: str) -> Schedule:
    """The schedule of a `config`.

    Raises
    ------
    ValueError
        If it names no schedule of this module.
    """
    arguments = dict(config)
    name = arguments.pop("name", None)
    if name not in SCHEDULES:
        known = ", ".join(map(repr, SCHEDULES))
        raise ValueError(f"{where}: a schedule's name must be one of {known}, got {name!r}")
    return SCHEDULES[name](**arguments)
