"""The kinds of `rng` that a call takes, and what each gives: a key and a stream."""

from __future__ import annotations

import os
from collections.abc import Callable
from operator import index
from typing import Any

import numpy as np

from fastdrop.mask import MaskStream


def source(rng: Any, where: str) -> Callable[[], tuple[int, int]]:
    """What draws the next (key, stream) of `rng` when it is called.

    A `MaskStream` or a `Generator` advances then, and not before, so that a
    call that fails or draws nothing leaves it as it was. An int or a
    `SeedSequence` is a fresh stream: the same one twice, the same mask twice.
    """
    if isinstance(rng, MaskStream):
        return rng.next
    if rng is None:
        return _fresh
    if isinstance(rng, np.random.BitGenerator):
        rng = np.random.Generator(rng)
    if isinstance(rng, np.random.Generator):
        return lambda: _of_generator(rng)
    if not isinstance(rng, np.random.SeedSequence):
        try:
            rng = index(rng)
        except TypeError:
            raise TypeError(
                f"{where}: rng must be None, an int, a SeedSequence, a Generator, "
                f"a BitGenerator or a MaskStream, got {type(rng).__name__}"
            ) from None
    return MaskStream(rng).next


def _fresh() -> tuple[int, int]:
    return int.from_bytes(os.urandom(8), "little"), int.from_bytes(os.urandom(8), "little") >> 1


def _of_generator(generator: np.random.Generator) -> tuple[int, int]:
    key, stream = generator.integers(0, 2**64, 2, dtype=np.uint64).tolist()
    return key, stream >> 1
