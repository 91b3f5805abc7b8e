"""A setting: data, a network for them, how it is trained; and the runs of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from operator import index
from os import PathLike
from time import perf_counter
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from fastdrop.data import Dataset, load
from fastdrop.models import MODELS, READS, TEXT_MODELS
from fastdrop.nn import Callback, ProgressBar, Sequential
from fastdrop.nn.arguments import check_count
from fastdrop.nn.optimizers import OPTIMIZERS
from fastdrop.rates import check_rate
from fastdrop.text import encoded

# From so many training samples on, an epoch is many steps: larger batches and
# fewer epochs will do. Training errors are of at most so many samples.
LARGE = 10_000
# From so many sentences on, fewer epochs: rare words are soon learned by heart.
MANY_SENTENCES = 1_000

LEARNING_RATES = {"sgd": 0.02, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}


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
        asked, so that at most 10,000 are.
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


class Setting:
    """The arguments of `fastdrop.experiments.compare`, checked, with their defaults."""

    def __init__(
        self,
        where: str,
        model: str | None,
        data: Dataset | str | PathLike[str],
        data_dir: str | PathLike[str] | None,
        train_share: float,
        rate: float,
        hidden: Sequence[int] | None,
        epochs: int | None,
        batch_size: int | None,
        optimizer: str | None,
        learning_rate: float | None,
        seed: Any,
    ) -> None:
        self.where = where
        if model is None:
            model = "text" if isinstance(data, str) and data == "reviews" else "mlp"
        self.model = _named("model", model, MODELS | TEXT_MODELS, where)
        dropped = check_rate(rate, where)
        if not isinstance(dropped, float):
            raise TypeError(f"{where}: rate must be one number, got an array of rates")
        self.rate = dropped
        if optimizer is None:
            small = isinstance(data, str) and data == "digits" and model == "mlp"
            optimizer = "sgd" if small else "adam"
        self.optimizer = _named("optimizer", optimizer, LEARNING_RATES, where)
        self.learning_rate = LEARNING_RATES[optimizer] if learning_rate is None else learning_rate
        self.seed = _check_seed(seed, where)
        if not isinstance(data, Dataset):
            data = load(data, data_dir, train_share)
        self.options: dict[str, Any] = {} if hidden is None else {"hidden": tuple(hidden)}
        _check_kind(data, model, where)
        if model in TEXT_MODELS:
            data, vocabulary = encoded(data, **READS[model])
            self.options["words"] = len(vocabulary)
        if model == "cnn":
            data = _images(data, where)
            if min(data.x_train.shape[1:3]) < 10:
                self.options["padding"] = "same"
        self.data = data
        self.classes = _classes(data, where)
        large = len(data.x_train) >= LARGE
        many = large or (model in TEXT_MODELS and len(data.x_train) >= MANY_SENTENCES)
        if epochs is None:
            epochs = 10 if many else 60
        if batch_size is None:
            batch_size = 128 if large else 32
        self.epochs = check_count(epochs, "epochs", where)
        self.batch_size = check_count(batch_size, "batch_size", where)

    def network(self, dropout: bool = True) -> Sequential:
        """The network before training, with or without its dropout layers."""
        rate = self.rate if dropout else 0.0
        layers = (MODELS | TEXT_MODELS)[self.model](self.classes, rate=rate, **self.options)
        momentum = {"momentum": 0.9} if self.optimizer == "sgd" else {}
        optimizer = OPTIMIZERS[self.optimizer](self.learning_rate, **momentum)
        return Sequential(layers, optimizer=optimizer, rng=self.seed)

    def run(
        self,
        network: Sequential,
        name: str,
        rate: float,
        bar: str | None,
        callbacks: Iterable[Callback] = (),
    ) -> Arm:
        """Train up to the last epoch, behind a progress bar if it has a name."""
        callbacks = [watch := _Watch(self.data), *callbacks]
        if bar is not None:
            callbacks.append(ProgressBar(bar))
        x_train, y_train, x_test, y_test = self.data
        start = perf_counter()
        # Where NumPy computes the layers, products as small as these gain
        # little from a second thread, and lose much where another program wants
        # the processor too: OpenBLAS's threads wait for each other at every
        # product (57 s with two, 8 s with one, measured on two busy cores).
        with threadpool_limits(1, user_api="blas"):
            history = network.fit(
                x_train,
                y_train,
                epochs=self.epochs,
                batch_size=self.batch_size,
                validation_data=(x_test, y_test),
                initial_epoch=network.epoch,
                callbacks=callbacks,
                verbose=False,
            ).history
        seconds = perf_counter() - start
        speed = watch.epochs * len(x_train) / watch.seconds if watch.epochs else None
        return Arm(
            name=name,
            rate=rate,
            train_errors=tuple(1.0 - accuracy for accuracy in history["train_accuracy"]),
            test_errors=tuple(1.0 - accuracy for accuracy in history["val_accuracy"]),
            losses=tuple(history["loss"]),
            seconds=seconds,
            samples_per_second=speed,
        )


class _Watch(Callback):
    """Puts the training accuracy, dropout switched off, into the history; and times the steps."""

    def __init__(self, data: Dataset) -> None:
        step = -(-len(data.x_train) // LARGE)
        self._x, self._y = data.x_train[::step], data.y_train[::step]
        self._begin = self._end = 0.0
        self.epochs, self.seconds = 0, 0.0

    def on_epoch_begin(self, model: Sequential, epoch: int) -> None:
        self._begin = perf_counter()

    def on_batch_end(self, model: Sequential, step: int, loss: float) -> None:
        self._end = perf_counter()

    def on_epoch_end(self, model: Sequential, epoch: int, logs: dict[str, float]) -> None:
        self.epochs, self.seconds = self.epochs + 1, self.seconds + self._end - self._begin
        accuracy = model.evaluate(self._x, self._y)["accuracy"]
        if model.history is not None:
            model.history.append({"train_accuracy": accuracy})


def _named(what: str, name: Any, known: Mapping[str, Any], where: str) -> str:
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{where}: {what} must be one of {', '.join(known)}, got {name!r}")
    return name


def _check_kind(data: Dataset, model: str, where: str) -> None:
    """Raise where a model of sentences is given numbers, or the other way round."""
    x = np.asarray(data.x_train)
    sentences = x.ndim == 1 and x.dtype.kind in "OTU"
    if model in TEXT_MODELS and not sentences:
        raise TypeError(
            f"{where}: the model {model} needs sentences, such as the data reviews, "
            f"got samples of {x.dtype} and shape {x.shape[1:]}"
        )
    if sentences and model not in TEXT_MODELS:
        raise TypeError(
            f"{where}: the model {model} needs samples of numbers, got sentences; "
            f"{', '.join(TEXT_MODELS)} are models of these"
        )


def _check_seed(seed: Any, where: str) -> int:
    """`seed` as an int; a fresh one for None."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    try:
        number = index(seed)
    except TypeError:
        raise TypeError(f"{where}: seed must be an int or None, got {seed!r}") from None
    if number < 0:
        raise ValueError(f"{where}: seed must be at least 0, got {number}")
    return number


def _classes(data: Dataset, where: str) -> int:
    """How many classes the labels of both parts make, counted from 0."""
    largest = int(max(data.y_train.max(), data.y_test.max()))
    samples = len(data.y_train) + len(data.y_test)
    # Years or house numbers would need a network of any size.
    if not 0 < largest < samples:
        raise ValueError(
            f"{where}: labels must be those of classes, 0, 1, ..., at least two and no more than "
            f"there are samples, {samples:,}; got {largest} as the largest"
        )
    return largest + 1


def _images(data: Dataset, where: str) -> Dataset:
    """Samples as images (N, H, W, C), if that is what they are."""
    given = shape = data.x_train.shape[1:]
    if len(shape) == 1 and isqrt(shape[0]) ** 2 == shape[0]:
        shape = isqrt(shape[0]), isqrt(shape[0])
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3:
        raise ValueError(
            f"{where}: the model cnn needs images, samples of shape (H, W, C), (H, W) or "
            f"(H * H,), got samples of shape {given}"
        )
    x_train, x_test = (x.reshape(-1, *shape) for x in (data.x_train, data.x_test))
    return data._replace(x_train=x_train, x_test=x_test)
