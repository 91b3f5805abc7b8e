"""One training run, or the same without dropout and with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

from fastdrop.data import Dataset
from fastdrop.experiments.experiment import described, row
from fastdrop.kernels import get_backend
from fastdrop.nn import Sequential
from fastdrop.resuming import Saving, resumed, try_to_save
from fastdrop.runs import Run
from fastdrop.setting import Arm, Setting
from fastdrop.threads import get_num_threads

if TYPE_CHECKING:
    from fastdrop.distributed import Ranks


@dataclass(frozen=True)
class Training:
    """What `train` found, with everything that it was asked.

    Attributes
    ----------
    arms : tuple of Arm
        One, or two of a comparison.
    network, summary : str
        The network in a few words, and in a table of its layers.
    run : Run
        The same as a run that can be saved, with the trained networks.
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
    run: Run

    @property
    def seconds(self) -> float:
        """Time of all runs."""
        return sum(arm.seconds for arm in self.arms)


@dataclass(frozen=True)
class Comparison(Training):
    """What `train` found of the same network without and with dropout."""

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
    compare: bool = False,
    checkpoint: str | PathLike[str] | None = None,
    resume: str | PathLike[str] | None = None,
    comm: Any = None,
) -> Training:
    """Train a network with its dropout layers, alone or after the same without them.

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
    compare : bool, default False
        Train without dropout, too: from the same weights, and with the same
        batches in the same order.
    checkpoint : str or path-like, optional
        A file for the network, written after each epoch. An existing one is
        replaced.
    resume : str or path-like, optional
        The checkpoint of another run: go on where it ended, bit for bit as if
        it had not. All other arguments have to be those of that run, but
        `epochs` may be more.
    comm : mpi4py.MPI.Intracomm, optional
        Train in all processes of this communicator, each of which makes this call:
        the same result, of which the first one writes the checkpoint.

    Returns
    -------
    Training
        Of all epochs; times are of this run. A Comparison if `compare` is set.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range, or the data do
        not fit the model, before anything is trained.
        Also if `resume` is of a run with other arguments or other data, and if
        `compare` and a checkpoint are asked for together.
    FloatingPointError
        If a loss became NaN or infinite: the learning rate is too large.
    ImportError
        If scikit-learn (for the digits) or, for `progress`, tqdm is not
        installed.
    OSError
        If the data or `resume` are not there or cannot be read, or `checkpoint`
        cannot be written.
    Interrupted
        On Ctrl-C, if an epoch is in `checkpoint`; else the KeyboardInterrupt.

    Examples
    --------
    >>> import fastdrop
    >>> result = fastdrop.experiments.train(model="regularized", hidden=(64,), epochs=5)
    >>> result.arms[0].test_error < 0.2
    True
    """
    with _joined(comm) as ranks:
        setting = Setting(
            "train", model=model, data=data, data_dir=data_dir, train_share=train_share, rate=rate,
            hidden=hidden, epochs=epochs, batch_size=batch_size, optimizer=optimizer,
            learning_rate=learning_rate, seed=seed,
        )  # fmt: skip
        if compare:
            if checkpoint is not None or resume is not None:
                raise ValueError(
                    "train: compare trains two networks and a checkpoint has one: leave one out"
                )
            return _compared(setting, progress, ranks)
        network = setting.network() if resume is None else resumed(setting, os.fsdecode(resume))
        callbacks = []
        if checkpoint is not None:
            checkpoint = os.fsdecode(checkpoint)
            if ranks is None or ranks.rank == 0:
                try_to_save(network, checkpoint, "train")
            callbacks.append(saving := Saving(checkpoint))
            if resume is not None and os.path.realpath(resume) == os.path.realpath(checkpoint):
                saving.epoch = network.epoch
        name = "with dropout" if setting.rate else "without dropout"
        try:
            bar = name if progress else None
            arm = setting.run(network, name, setting.rate, bar, callbacks, ranks)
        except KeyboardInterrupt:
            if checkpoint is None or not saving.epoch:
                raise
            raise Interrupted(checkpoint, saving.epoch) from None
        return _result(Training, setting, [(arm, network)])


@contextmanager
def _joined(comm: Any) -> Iterator[Ranks | None]:
    """The processes that train together, which hear of errors in each other; or None."""
    if comm is None:
        yield None
        return
    from fastdrop.distributed import Ranks

    with Ranks(comm, "train") as ranks:
        yield ranks


_Found = TypeVar("_Found", bound=Training)


def _compared(setting: Setting, progress: bool, ranks: Ranks | None) -> Comparison:
    names = ("without dropout", f"with dropout {setting.rate:g}")
    bars = [name.ljust(max(map(len, names))) if progress else None for name in names]
    networks = setting.but(rate=0.0).network(), setting.network()
    arms = (
        setting.run(networks[0], "without dropout", 0.0, bars[0], comm=ranks),
        setting.run(networks[1], "with dropout", setting.rate, bars[1], comm=ranks),
    )
    return _result(Comparison, setting, [*zip(arms, networks, strict=True)])


def _result(
    kind: type[_Found], setting: Setting, trained: Sequence[tuple[Arm, Sequential]]
) -> _Found:
    """What was found, with what was asked."""
    arms = tuple(arm for arm, _ in trained)
    words, threads = setting.words(), get_num_threads()
    run = Run(
        "train" if len(arms) == 1 else "compare",
        described(setting, seeds=[setting.seed], jobs=1, threads=threads),
        tuple(row(arm.name, arm.rate, setting.seed, arm) for arm in arms),
        models={arm.name: network for arm, network in trained},
    )
    return kind(
        arms=arms,
        model=setting.model,
        network=words,
        summary=trained[-1][1].summary(),
        rate=setting.rate,
        epochs=setting.epochs,
        batch_size=setting.batch_size,
        optimizer=setting.optimizer,
        learning_rate=setting.learning_rate,
        seed=setting.seed,
        train_samples=len(setting.data.x_train),
        test_samples=len(setting.data.x_test),
        backend=get_backend(),
        threads=threads,
        run=run,
    )
