"""The timing loop: contenders in turn, each in a tight loop after a short rest.

A contender is a `timeit.Timer`; its ``setup`` runs before each loop, untimed.
This module imports nothing but NumPy, for some processes that measure must
choose themselves what is imported first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from math import ceil
from timeit import Timer
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def compare(
    contenders: Mapping[str, Timer],
    *,
    quick: bool = False,
    rounds: int = 7,
    seconds: float = 0.05,
    rest: float = 0.02,
) -> dict[str, list[float]]:
    """Seconds per call of each contender, one figure a round.

    Parameters
    ----------
    contenders : mapping of str to timeit.Timer
        What is timed, warmed up first.
    quick : bool, default False
        One round of one call: whether it runs, not how long it takes.
    rounds : int, default 7
        How often each has its turn. Turns, and not one after the other, so
        that a slow minute of the machine is a slow minute for all of them.
    seconds : float, default 0.05
        How long a loop lasts; a call that takes longer is made once.
    rest : float, default 0.02
        Seconds before each loop. OpenMP's threads go on spinning when their
        work is done, and would take a processor from whoever comes next.

    Returns
    -------
    dict of str to list of float
        `middle` and `ratio` read it.
    """
    if quick:
        rounds, seconds, rest = 1, 0.0, 0.0
    nap = Timer(f"sleep({rest})", "from time import sleep")
    numbers = {name: _calls(timer, seconds) for name, timer in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, timer in contenders.items():
            nap.timeit(1)
            # After the rest the threads sleep; what is timed is a loop that runs.
            timer.timeit(max(1, numbers[name] // 8))
            times[name].append(timer.timeit(numbers[name]) / numbers[name])
    return times


def _calls(timer: Timer, seconds: float) -> int:
    """How many calls last `seconds`. Warms up: the first call may compile."""
    timer.timeit(1)
    number = 1
    while (elapsed := timer.timeit(number)) < seconds / 10:
        number *= 4
    return max(1, ceil(number * seconds / elapsed))


def middle(times: Iterable[float]) -> float:
    """The median of the rounds."""
    return float(np.median(list(times)))


def ratio(times: Iterable[float], others: Iterable[float]) -> float:
    """The median over the rounds of one time by the other of the same round."""
    return middle(a / b for a, b in zip(times, others, strict=True))


def progress(items: Iterable[T], label: str) -> Iterable[T]:
    """The items, with a bar on stderr where tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        print(label, file=sys.stderr)
        return items
    return tqdm(list(items), desc=label, file=sys.stderr, leave=False)
