"""Where key and stream of a mask come from: PyTorch's generators, and fastdrop's."""

from __future__ import annotations

from array import array
from threading import local
from typing import Any

import torch

from fastdrop.rng import source


class _Words(local):
    """Room for two words in each thread: a new tensor takes four times as long."""

    def __init__(self) -> None:
        self.words = array("q", (0, 0))
        # A tensor of inference mode could not be written to outside it.
        with torch.inference_mode(False):
            self.refill = torch.frombuffer(self.words, dtype=torch.int64).random_


_words = _Words()


def draw(rng: Any, where: str) -> tuple[int, int]:
    """Key and stream from `rng`, 63 bits each from a generator of PyTorch.

    None is its own for the CPU, which ``torch.manual_seed`` seeds and
    checkpointing puts back.
    """
    if rng is None:
        _words.refill()
    elif isinstance(rng, torch.Generator):
        _words.refill(generator=rng)
    else:
        return source(rng, where)()
    key, stream = _words.words
    return key, stream
