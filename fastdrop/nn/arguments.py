"""What layers, optimisers and training take for a count or a number."""

from __future__ import annotations

from math import inf, isfinite
from numbers import Real
from operator import index
from typing import Any


def check_count(value: Any, name: str, where: str, least: int = 1) -> int:
    """`value` as an int of at least `least`."""
    try:
        count = index(value)
    except TypeError:
        raise TypeError(f"{where}: {name} must be an int, got {value!r}") from None
    if count < least:
        raise ValueError(f"{where}: {name} must be at least {least}, got {count}")
    return count


def check_number(value: Any, name: str, where: str, below: float = inf) -> float:
    """`value` as a float of [0, below)."""
    if not isinstance(value, Real):
        raise TypeError(f"{where}: {name} must be a number, got {value!r}")
    number = float(value)
    # Written so that NaN fails.
    if not 0.0 <= number < below:
        limit = "finite and at least 0" if below == inf else f"in [0, {below:g})"
        raise ValueError(f"{where}: {name} must be {limit}, got {value!r}")
    return number


def check_pair(value: Any, name: str, where: str) -> tuple[int, int]:
    """`value` as two ints of at least 1: an int stands for both."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{where}: {name} must be an int or two of them, got {value!r}")
        return check_count(value[0], name, where), check_count(value[1], name, where)
    count = check_count(value, name, where)
    return count, count


def check_real(value: Any, name: str, where: str) -> float:
    """`value` as a finite float."""
    if not isinstance(value, Real):
        raise TypeError(f"{where}: {name} must be a number, got {value!r}")
    if not isfinite(number := float(value)):
        raise ValueError(f"{where}: {name} must be finite, got {value!r}")
    return number
