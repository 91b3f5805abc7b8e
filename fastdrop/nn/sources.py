"""Where a network's randomness comes from: one `rng`, three independent sources."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastdrop.mask import MaskStream
from fastdrop.rng import source


class Sources(NamedTuple):
    """What one `rng` gives a network. Drawing from one never moves another, so
    that networks with and without dropout start from the same weights and see
    the same batches."""

    weights: np.random.Generator
    order: np.random.Generator
    masks: MaskStream


def sources(rng: Any, where: str) -> Sources:
    """The sources of an `rng` of any kind that the functional API takes.

    A Generator, a BitGenerator or a MaskStream advances by one draw; an int or
    a SeedSequence gives the same sources every time.
    """
    entropy = source(rng, where)()
    weights, order, masks = np.random.SeedSequence(entropy).spawn(3)
    return Sources(np.random.default_rng(weights), np.random.default_rng(order), MaskStream(masks))
