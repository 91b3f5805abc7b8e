"""Mean and spread over seeds, and how they are said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any


@dataclass(frozen=True)
class Summary:
    """One arm of a run: mean and standard deviation over its seeds.

    Attributes
    ----------
    arm : str
    x : float or None
        Its number along the axis: rate, training samples, units. Where the
        same arm was run at several, each has a summary of its own.
    seeds : int
        How many there are.
    train_error, test_error, gap : float
        Means; errors are shares in [0, 1], and ``gap`` is test minus training.
    train_spread, test_spread, gap_spread : float
        Standard deviations (of a sample: divided by ``seeds - 1``); 0 for one seed.
    """

    arm: str
    x: Any  # float or None
    seeds: int
    train_error: float
    train_spread: float
    test_error: float
    test_spread: float
    gap: float
    gap_spread: float

    def said(self, name: str) -> str:
        """``train_error``, ``test_error`` or ``gap`` as text; one seed has no spread."""
        spread = getattr(self, f"{name.removesuffix('_error')}_spread")
        in_words = points if name == "gap" else percent
        return in_words(getattr(self, name), spread if self.seeds > 1 else None)


def summary(rows: Sequence[dict[str, Any]]) -> Summary:
    """That of the rows of one arm."""

    def figures(name: str) -> tuple[float, float]:
        values = [row[name] for row in rows]
        return mean(values), stdev(values) if len(values) > 1 else 0.0

    errors = *figures("train_error"), *figures("test_error"), *figures("gap")
    return Summary(rows[0]["arm"], rows[0]["x"], len(rows), *errors)


def best_of(arms: Sequence[Summary]) -> tuple[Summary, list[Summary]]:
    """The arm of the lowest test error, and those that are within one standard
    deviation of it, of theirs or its own; none if there is but one seed."""
    best = min(arms, key=lambda arm: arm.test_error)
    near = [
        arm
        for arm in arms
        if arm is not best
        and best.seeds > 1
        and arm.test_error - best.test_error <= max(arm.test_spread, best.test_spread)
    ]
    return best, near


ONE_SEED = "With one seed, small differences may be chance: take more."


def percent(value: float, spread: float | None = None) -> str:
    """A share as text: 2.35 %, or with its spread 2.35 ± 0.23 %."""
    return f"{100 * value:.2f}" + ("" if spread is None else f" ± {100 * spread:.2f}") + " %"


def points(value: float, spread: float | None = None) -> str:
    """A difference of shares as text: 0.71 points, or with its spread 2.10 ± 0.20 points."""
    return percent(value, spread).replace("%", "points")
