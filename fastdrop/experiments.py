"""Questions that training runs answer: `train` asks one run, `compare` asks two."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isclose, isqrt, prod
from operator import index
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from fastdrop.data import Dataset, load
from fastdrop.kernels import get_backend
from fastdrop.models import MODELS
from fastdrop.nn import SGD, Callback, Checkpoint, Dropout, Optimizer, ProgressBar, Sequential
from fastdrop.nn.optimizers import OPTIMIZERS
from fastdrop.rates import check_rate
from fastdrop.threads import get_num_threads

# From so many training samples on, an epoch is many steps: larger batches and
# fewer epochs will do. Training errors are of at most so many samples.
LARGE = 10_000
EPOCHS = {"small": 60, "large": 10}
BATCH_SIZES = {"small": 32, "large": 128}
LEARNING_RATES = {"sgd": 0.02, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}

# The first pool of the CNN leaves nothing to the second one of smaller images
# unless they are padded.
_SMALL_IMAGE = 10


@dataclass(frozen=True)
class Arm:
    """One of the runs that are compared, or the only one.

    Attributes
    ----------
    name : str
        ``"without dropout"`` or ``"with dropout"``.
    rate : float
        Of the dropout after the last hidden layer; 0 where there is none.
    train_errors, test_errors : tuple of float
        Share of wrong answers after each epoch, in [0, 1], dropout switched
        off. Of more than 10,000 training samples every second, third, ... is
        taken, at most 10,000.
    losses : tuple of float
        Mean training loss of each epoch, dropout on.
    seconds : float
        Time that the run took, evaluations included.
    samples_per_second : float or None
        Of the training alone; None if there was nothing left to train.
    """

    name: str
    rate: float
    train_errors: tuple[float, ...]
    test_errors: tuple[float, ...]
    losses: tuple[float, ...]
    seconds: float
    samples_per_second: float | None

    @property
    def train_error(self) -> float:
        """Training error after the last epoch."""
        return self.train_errors[-1]

    @property
    def test_error(self) -> float:
        """Test error after the last epoch, and not after the best: which one is
        best, the test set must not decide."""
        return self.test_errors[-1]


@dataclass(frozen=True)
class Training:
    """What `train` found, with everything that it was asked.

    Attributes
    ----------
    arms : tuple of Arm
        One of `train`, two of `compare`.
    network : str
        The model in a few words.
    summary : str
        Its layers, as of `Sequential.summary`.
    """

    arms: tuple[Arm, ...]
    model: str
    network: str
    summary: str
    rate: float
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    seed: int
    train_samples: int
    test_samples: int
    backend: str
    threads: int

    @property
    def seconds(self) -> float:
        """Time of all runs."""
        return sum(arm.seconds for arm in self.arms)


@dataclass(frozen=True)
class Comparison(Training):
    """What `compare` found, with everything that it was asked."""

    @property
    def without(self) -> Arm:
        """The run without dropout."""
        return self.arms[0]

    @property
    def with_dropout(self) -> Arm:
        """The run with dropout."""
        return self.arms[1]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a `train` that can go on: ``checkpoint`` has ``epoch`` epochs."""

    def __init__(self, checkpoint: str, epoch: int, epochs: int) -> None:
        super().__init__(f"interrupted; {checkpoint} has {epoch} of {epochs} epochs")
        self.checkpoint, self.epoch = checkpoint, epoch
