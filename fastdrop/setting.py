"""A setting: data, a network for them, how it is trained; and the runs of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from math import prod
from operator import index
from os import PathLike
from time import perf_counter
from typing import Any, TypedDict

import numpy as np
from threadpoolctl import threadpool_limits

from fastdrop.data import Dataset, load
from fastdrop.kinds import substituted
from fastdrop.models import MODELS, RATES, READS, TEXT_MODELS
from fastdrop.nn import Callback, Dense, ProgressBar, Sequential
from fastdrop.nn.arguments import check_count
from fastdrop.nn.optimizers import OPTIMIZERS
from fastdrop.rates import check_rate
from fastdrop.samples import check_readable, classes, images, part, repeated
from fastdrop.text import encoded

# From so many training samples on, an epoch is many steps: larger batches and
# fewer epochs will do. Training errors are of at most so many samples.
LARGE = 10_000
# From so many sentences on, fewer epochs: rare words are soon learned by heart.
MANY_SENTENCES = 1_000

LEARNING_RATES = {"sgd": 0.02, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}


class Asked(TypedDict, total=False):
    """What `fastdrop.experiments.train` is asked that all experiments have in common."""

    model: str | None
    data: Dataset | str | PathLike[str]
    data_dir: str | PathLike[str] | None
    train_share: float
    hidden: Sequence[int] | None
    epochs: int | None
    batch_size: int | None
    optimizer: str | None
    learning_rate: float | None


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
    """The arguments of a training, checked, with their defaults.

    Parameters
    ----------
    where : str
        What errors begin with.
    model, data, data_dir, train_share, rate, hidden
        As of `fastdrop.experiments.train`.
    epochs, batch_size, optimizer, learning_rate, seed
        As of `fastdrop.experiments.train`.
    place : {"input", "conv", "hidden"}, optional
        Where alone there is dropout, of that rate; by default the model says it.
    input_rate : float, default 0.0
        Of dropout on the input, besides that.
    kind : str, optional
        One of `fastdrop.kinds`, in the place of dropout.
    fixed_active : bool, default False
        The units of that place are divided by ``1 - rate``: with dropout, as many
        are active as without.
    samples : int, optional
        How many of the training samples there are, drawn by the seed with each
        class in its share; they are repeated up to as many as there were, so that
        an epoch has as many steps.
    """

    def __init__(
        self,
        where: str,
        *,
        model: str | None = None,
        data: Dataset | str | PathLike[str] = "digits",
        data_dir: str | PathLike[str] | None = None,
        train_share: float = 0.5,
        rate: float = 0.5,
        hidden: Sequence[int] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: str | None = None,
        learning_rate: float | None = None,
        seed: Any = 0,
        place: str | None = None,
        input_rate: float = 0.0,
        kind: str | None = None,
        fixed_active: bool = False,
        samples: int | None = None,
    ) -> None:
        self.where = where
        if model is None:
            model = "text" if isinstance(data, str) and data == "reviews" else "mlp"
        self.model = _named("model", model, MODELS | TEXT_MODELS, where)
        self.rate = one_rate(rate, where)
        self.input_rate = one_rate(input_rate, f"{where}, input_rate")
        if optimizer is None:
            small = isinstance(data, str) and data == "digits" and model == "mlp"
            optimizer = "sgd" if small else "adam"
        self.optimizer = _named("optimizer", optimizer, LEARNING_RATES, where)
        self.learning_rate = LEARNING_RATES[optimizer] if learning_rate is None else learning_rate
        self.seed = _check_seed(seed, where)
        self.source = "arrays" if isinstance(data, Dataset) else data
        self.data_dir, self.train_share = data_dir, train_share
        if not isinstance(data, Dataset):
            data = load(data, data_dir, train_share)
        check_readable(data, model, where)
        self.given = data
        if samples is not None:
            data = part(data, check_count(samples, "samples", where), self.seed, where)
        self.samples = samples
        self.options: dict[str, Any] = {}
        if model in TEXT_MODELS:
            data, vocabulary = encoded(data, **READS[model])
            self.options["words"] = len(vocabulary)
        if model == "cnn":
            data = images(data, where)
            if min(data.x_train.shape[1:3]) < 10:
                self.options["padding"] = "same"
        # Not before words are counted.
        self.data = data = repeated(data, len(self.given.x_train))
        self.classes = classes(data, where)
        if hidden is None:
            hidden = signature((MODELS | TEXT_MODELS)[model]).parameters["hidden"].default
        self.hidden = tuple(hidden)
        self.place, self.kind, self.fixed_active = place, kind, fixed_active
        self._check_place()
        large = len(data.x_train) >= LARGE
        many = large or (model in TEXT_MODELS and len(data.x_train) >= MANY_SENTENCES)
        if epochs is None:
            epochs = 10 if many else 60
        if batch_size is None:
            batch_size = 128 if large else 32
        self.epochs = check_count(epochs, "epochs", where)
        self.batch_size = check_count(batch_size, "batch_size", where)

    def arguments(self) -> dict[str, Any]:
        """What makes this setting again from the data it was given, which are not among them."""
        names = [name for name in signature(Setting).parameters if hasattr(self, name)]
        return {name: getattr(self, name) for name in names if name != "data"}

    def but(self, **changes: Any) -> Setting:
        """The same with other arguments."""
        other = Setting(**{**self.arguments(), "data": self.given, **changes})
        other.source = self.source
        return other

    def network(self) -> Sequential:
        """The network before training."""
        make = (MODELS | TEXT_MODELS)[self.model]
        rates, options = {"rate": self.rate}, {"hidden": self.hidden, **self.options}
        if self.place is not None:
            rates = {
                argument: self.rate if place == self.place else 0.0
                for place, argument in RATES[self.model].items()
            }
        if self.input_rate:
            rates["input_rate"] = self.input_rate
        if self.fixed_active:
            name = "filters" if self.place == "conv" else "hidden"
            sizes = options.get(name) or signature(make).parameters[name].default
            options[name] = tuple(round(size / (1 - self.rate)) for size in sizes)
        layers = make(self.classes, **rates, **options)
        if self.kind is not None:
            samples = self.samples or len(self.data.x_train)
            steps = self.epochs * -(-len(self.data.x_train) // self.batch_size)
            sample = self.data.x_train.shape[1:]
            layers = substituted(layers, self.kind, self.rate, sample, samples=samples, steps=steps)
        momentum = {"momentum": 0.9} if self.optimizer == "sgd" else {}
        optimizer = OPTIMIZERS[self.optimizer](self.learning_rate, **momentum)
        return Sequential(layers, optimizer=optimizer, rng=self.seed)

    def words(self) -> str:
        """The network in a few words."""
        network = self.network()
        network.predict(self.data.x_test[:1])
        if self.model == "mlp":
            sizes = [prod(self.data.x_train.shape[1:])]
            sizes += [layer.units for layer in network.layers if isinstance(layer, Dense)]
            return f"{'-'.join(map(str, sizes))} units"
        count = sum(param.size for layer in network.layers for param in layer.params.values())
        return f"{self.model}, {count:,} parameters"

    def _check_place(self) -> None:
        if self.place is not None:
            known = [place for place in RATES[self.model] if place != "hidden" or self.hidden]
            if self.place not in known:
                raise ValueError(
                    f"{self.where}: the model {self.model} can have dropout at "
                    f"{' or '.join(known)}, got {self.place!r}"
                )
        if (self.kind or self.fixed_active) and self.rate == 1:
            raise ValueError(
                f"{self.where}: rate must be below 1 where noise or units grow with "
                "1 / (1 - rate), got 1"
            )
        # Each of these layers has dropout, or it does not fix what is active.
        if self.fixed_active and (
            self.place not in ("conv", "hidden") or self.model in ("regularized", "lstm")
        ):
            raise ValueError(
                f"{self.where}: active units can be fixed at hidden and conv of mlp, cnn, text and "
                f"bigrams, got {self.place} of {self.model}"
            )

    def run(
        self,
        network: Sequential,
        name: str,
        rate: float,
        bar: str | None,
        callbacks: Iterable[Callback] = (),
        comm: Any = None,
    ) -> Arm:
        """Train up to the last epoch, behind a progress bar if it has a name; with
        `comm` in all of its processes."""
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
                comm=comm,
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
        data = model._check_stored(self._x, self._y, "evaluate")
        accuracy = model._evaluate_together(*data)["accuracy"]
        if model.history is not None:
            model.history.append({"train_accuracy": accuracy})


def _named(what: str, name: Any, known: Mapping[str, Any], where: str) -> str:
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{where}: {what} must be one of {', '.join(known)}, got {name!r}")
    return name


def one_rate(rate: Any, where: str) -> float:
    """`rate` as a float; raises for what is none, or for several."""
    dropped = check_rate(rate, where)
    if not isinstance(dropped, float):
        raise TypeError(f"{where}: rate must be one number, got an array of rates")
    return dropped


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
