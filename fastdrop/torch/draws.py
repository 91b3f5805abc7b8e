"""Where key and stream of a mask come from: PyTorch's generators, and fastdrop's."""

from __future__ import annotations

from threading import local
from typing import Any

import numpy as np
import torch

from fastdrop.rng import source


class _Words(local):
    """Room for two words in each thread: a new tensor takes four times as long."""

    def __init__(self) -> None:
        self.array = np.empty(2, np.int64)
        # A tensor of inference mode could not be written to outside it.
        with torch.inference_mode(False):
            self.tensor = torch.from_numpy(self.array)


_words = _Words()


def draw(rng: Any, where: str) -> tuple[int, int]:
    """Key and stream from `rng`, 63 bits each from a generator of PyTorch.

    None is its own for the CPU, which ``torch.manual_seed`` seeds and
    checkpointing puts back.
    """
    if rng is None:
        _words.tensor.random_()
    elif isinstance(rng, torch.Generator):
        _words.tensor.random_(generator=rng)
    else:
        return source(rng, where)()
    key, stream = _words.array.tolist()
    return key, stream
