"""What watches a training run: its history, its progress bar, one's own callbacks."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdrop.nn.arguments import check_count, check_number
from fastdrop.nn.layer import Layer, walk

if TYPE_CHECKING:
    from fastdrop.nn.sequential import Sequential


@dataclass
class History:
    """What `Sequential.fit` returns: `history` has a list, one value an epoch, by name.

    ``"loss"`` and ``"accuracy"`` are means over the epoch's training batches as
    they were trained on, noise included; ``"val_loss"`` and ``"val_accuracy"``,
    where there are validation data, are taken after the epoch and without noise.
    """

    history: dict[str, list[float]] = field(default_factory=dict)

    def append(self, logs: dict[str, float]) -> None:
        """Add one epoch's values."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)


class Callback:
    """Called while `Sequential.fit` runs; every method does nothing unless overridden.

    Setting ``model.stop_training = True`` ends training after the epoch; before the
    first, none is trained. In a training of several processes every one of them
    calls its own callbacks, with the same logs; one that stops stops all.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> class Stop(fastdrop.nn.Callback):
    ...     def on_epoch_end(self, model, epoch, logs):
    ...         model.stop_training = logs["loss"] < 100
    >>> model = fastdrop.nn.Sequential([fastdrop.nn.Dense(2)], rng=0)
    >>> x, y = np.eye(2, dtype=np.float32), [0, 1]
    >>> history = model.fit(x, y, epochs=9, callbacks=[Stop()], verbose=False)
    >>> len(history.history["loss"])
    1
    """

    def on_train_begin(self, model: Sequential, epochs: int, steps: int) -> None:
        """Before training up to `epochs` epochs of `steps` batches each.

        In a run that goes on, ``model.epoch`` of them are there already, and
        what they gave in ``model.history``.
        """

    def on_epoch_begin(self, model: Sequential, epoch: int) -> None:
        """Before `epoch`, counted from 0."""

    def on_batch_end(self, model: Sequential, step: int, loss: float) -> None:
        """After batch `step`, counted from 0 in each epoch."""

    def on_epoch_end(self, model: Sequential, epoch: int, logs: dict[str, float]) -> None:
        """After `epoch`, counted from 0, with what the history takes of it."""

    def on_train_end(self, model: Sequential) -> None:
        """At the end, however it came: also after an error or Ctrl-C."""


class ProgressBar(Callback):
    """A tqdm bar over all batches, with the figures of the last epoch beside it.

    Parameters
    ----------
    description : str, default ""
        What stands before the bar.

    Raises
    ------
    ImportError
        If tqdm is not installed; the text says how to get it.
    """

    def __init__(self, description: str = "") -> None:
        try:
            from tqdm import tqdm
        except ImportError:
            raise ImportError(
                "ProgressBar: tqdm is not installed: "
                '`pip install "fastdrop[app]"`, or train with verbose=False'
            ) from None
        self._tqdm = tqdm
        self._description = description
        self._bar: Any = None

    def on_train_begin(self, model: Sequential, epochs: int, steps: int) -> None:
        self._bar = self._tqdm(
            total=epochs * steps,
            initial=model.epoch * steps,
            desc=self._description,
            unit="batch",
            mininterval=0.2,
            disable=not _speaks(model),
        )

    def on_batch_end(self, model: Sequential, step: int, loss: float) -> None:
        self._bar.update()

    def on_epoch_end(self, model: Sequential, epoch: int, logs: dict[str, float]) -> None:
        self._bar.set_postfix(logs, refresh=False)

    def on_train_end(self, model: Sequential) -> None:
        if self._bar is not None:
            self._bar.close()


class _Monitor(Callback):
    """Follows one of the logs: what was best so far, and how long ago.

    In a run that goes on, both are found again in the epochs that are done.
    """

    def __init__(self, monitor: str | None, mode: str, min_delta: float = 0.0) -> None:
        where = type(self).__name__
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{where}: mode must be 'auto', 'min' or 'max', got {mode!r}")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = check_number(min_delta, "min_delta", where)
        self.best: float | None = None
        self.wait = 0

    def on_train_begin(self, model: Sequential, epochs: int, steps: int) -> None:
        self.best, self.wait = None, 0
        if self.monitor is not None and model.history is not None:
            for figure in model.history.history.get(self.monitor, ()):
                self._see(figure)

    def _figure(self, logs: dict[str, float]) -> float:
        if self.monitor not in logs:
            known = ", ".join(map(repr, sorted(logs)))
            raise ValueError(
                f"{type(self).__name__}: monitor must be one of {known}, got {self.monitor!r}"
            )
        return logs[self.monitor]

    def _see(self, figure: float) -> bool:
        """Whether that is the best so far; NaN never is."""
        largest = self.mode == "max" or (self.mode == "auto" and "accuracy" in str(self.monitor))
        sign = -1 if largest else 1
        least = inf if self.best is None else sign * self.best - self.min_delta
        better = sign * figure < least
        if better:
            self.best = figure
        self.wait = 0 if better else self.wait + 1
        return better


class EarlyStopping(_Monitor):
    """Ends training when a figure has not become better for some epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        One of the logs.
    patience : int, default 0
        After how many epochs in a row without a better figure training ends.
        0 is as 1: the first one ends it.
    min_delta : float, default 0.0
        By more than this a figure has to be better than the best before it.
    mode : {"auto", "min", "max"}
        Whether small or large is good; "auto" is "max" where `monitor` has
        "accuracy" in it.
    restore_best : bool, default False
        Give the model, when training has ended other than by an error or
        Ctrl-C, the weights of the best epoch; the state of the optimiser stays
        that of the last.

    Attributes
    ----------
    best : float or None
        The best figure.
    wait : int
        Epochs since then.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range; after the first
        epoch, if `monitor` is not among the logs (they are told).

    Warns
    -----
    UserWarning
        If the best epoch was before a run that goes on from a checkpoint: its
        weights are not there. A `Checkpoint` with the same monitor keeps them.

    References
    ----------
    Prechelt, "Early stopping - but when?", in "Neural networks: tricks of the
    trade", 1998.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> from fastdrop.nn.callbacks import EarlyStopping
    >>> model = fastdrop.nn.Sequential([fastdrop.nn.Dense(2)], optimizer=fastdrop.nn.SGD(0.0))
    >>> stop = EarlyStopping("loss", patience=3, min_delta=1e-3)
    >>> history = model.fit(np.eye(2), [0, 1], epochs=9, callbacks=[stop], verbose=False)
    >>> len(history.history["loss"])  # nothing is learned after the first
    4
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 0,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = False,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = check_count(patience, "patience", "EarlyStopping", least=0)
        self.restore_best = restore_best
        # How many make the run that is on.
        self._epochs = inf
        # The best figure and the arrays of its epoch.
        self._kept: tuple[float, list[np.ndarray]] | None = None

    def on_train_begin(self, model: Sequential, epochs: int, steps: int) -> None:
        super().on_train_begin(model, epochs, steps)
        self._epochs = epochs
        if self._kept is not None and self._kept[0] != self.best:
            self._kept = None
        if self.wait == 0:
            self._keep(model)
        self._stop(model)

    def on_epoch_end(self, model: Sequential, epoch: int, logs: dict[str, float]) -> None:
        if self._see(self._figure(logs)):
            self._keep(model)
        self._stop(model)

    def on_train_end(self, model: Sequential) -> None:
        ended = model.stop_training or model.epoch >= self._epochs
        self._epochs = inf
        if not (self.restore_best and ended and self.best is not None):
            return
        if self._kept is None:
            warnings.warn(
                f"EarlyStopping: the best {self.monitor}, {self.best:g}, is of an epoch before "
                "this run went on, so its weights cannot be restored",
                stacklevel=2,
            )
            return
        for array, kept in zip(_arrays(model), self._kept[1], strict=True):
            array[...] = kept

    def _keep(self, model: Sequential) -> None:
        if self.restore_best and self.best is not None:
            self._kept = self.best, [array.copy() for array in _arrays(model)]

    def _stop(self, model: Sequential) -> None:
        if self.wait >= max(self.patience, 1):
            model.stop_training = True


class Checkpoint(_Monitor):
    """Saves the model after each epoch, or after each that is the best so far.

    Parameters
    ----------
    path : str or os.PathLike
        Where to. ``{epoch}`` in it stands for the number of epochs that are
        done, and names of logs for their values, as in `str.format`:
        ``"digits-{epoch:03d}-{val_loss:.4f}"``.
    monitor : str, optional
        One of the logs: save only where it is better than ever before.
    mode : {"auto", "min", "max"}
        Whether small or large is good; "auto" is "max" where `monitor` has
        "accuracy" in it.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind; after the first epoch, if `monitor`
        or a name in `path` is not among the logs (they are told).

    Examples
    --------
    >>> from fastdrop.nn.callbacks import Checkpoint
    >>> best = Checkpoint("best", monitor="val_accuracy")
    """

    def __init__(
        self, path: str | os.PathLike[str], monitor: str | None = None, mode: str = "auto"
    ) -> None:
        super().__init__(monitor, mode)
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"Checkpoint: path must be a str or a path, got {path!r}")
        self.path = os.fspath(path)

    def on_epoch_end(self, model: Sequential, epoch: int, logs: dict[str, float]) -> None:
        if self.monitor is None or self._see(self._figure(logs)):
            path = self._name(epoch + 1, logs)
            if _speaks(model):
                model.save(path)

    def _name(self, epoch: int, logs: dict[str, float]) -> str:
        try:
            return self.path.format(**{**logs, "epoch": epoch})
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            known = ", ".join(map(repr, ["epoch", *sorted(logs)]))
            raise ValueError(
                f"Checkpoint: path must be a format of {known}, got {self.path!r} "
                f"({type(error).__name__}: {error})"
            ) from None


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch.

    A schedule that counts steps and not epochs goes into the optimiser itself.

    Parameters
    ----------
    schedule : callable
        Of the epoch, counted from 0; gives the rate, a number of at least 0.
        Those of `fastdrop.nn.schedules` will do.

    Raises
    ------
    TypeError
        If `schedule` is not callable.

    Examples
    --------
    >>> from fastdrop.nn.callbacks import LearningRateScheduler
    >>> halve = LearningRateScheduler(lambda epoch: 0.1 * 0.5**epoch)
    """

    def __init__(self, schedule: Callable[[int], float]) -> None:
        if not callable(schedule):
            raise TypeError(f"LearningRateScheduler: schedule must be callable, got {schedule!r}")
        self.schedule = schedule

    def on_epoch_begin(self, model: Sequential, epoch: int) -> None:
        model.optimizer.learning_rate = self.schedule(epoch)


class RateScheduler(Callback):
    """Sets the rate of noise layers before each epoch.

    A schedule that counts steps and not epochs is the layer's own rate.

    Parameters
    ----------
    schedule : callable
        Of the epoch, counted from 0; gives the probability of dropping, in
        [0, 1]. Those of `fastdrop.nn.schedules` will do.
    layers : iterable of Layer, optional
        Which; by default all that have a `Noise` layer's ``rate``.

    Raises
    ------
    TypeError
        If `schedule` is not callable.
    ValueError
        Before an epoch for which it gives no rate, or if there are no such
        layers.

    References
    ----------
    Morerio, Cavazza, Volpi, Vidal, Murino, "Curriculum dropout", ICCV 2017.

    Examples
    --------
    >>> from fastdrop.nn import LinearDecay
    >>> from fastdrop.nn.callbacks import RateScheduler
    >>> ramp = RateScheduler(LinearDecay(0.0, 0.5, decay_steps=10))  # over ten epochs
    """

    def __init__(
        self, schedule: Callable[[int], float], layers: Iterable[Layer] | None = None
    ) -> None:
        if not callable(schedule):
            raise TypeError(f"RateScheduler: schedule must be callable, got {schedule!r}")
        self.schedule = schedule
        self.layers = None if layers is None else list(layers)

    def on_epoch_begin(self, model: Sequential, epoch: int) -> None:
        from fastdrop.nn.noise import Noise

        layers = walk(model.layers) if self.layers is None else self.layers
        noise = [layer for layer in layers if isinstance(layer, Noise)]
        if not noise:
            raise ValueError("RateScheduler: the model has no noise layer with a rate to be set")
        for layer in noise:
            layer.rate = self.schedule(epoch)


class ReduceOnPlateau(_Monitor):
    """Makes the learning rate smaller when a figure has not become better for some epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        One of the logs.
    factor : float, default 0.1
        By what the rate is multiplied, in [0, 1).
    patience : int, default 10
        After how many epochs in a row without a better figure. 0 is as 1. Then
        as many again have to pass.
    min_rate : float, default 0.0
        Below this the rate is not made smaller.
    mode : {"auto", "min", "max"}
        Whether small or large is good; "auto" is "max" where `monitor` has
        "accuracy" in it.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range; after the first
        epoch, if `monitor` is not among the logs (they are told); when training
        begins, if the learning rate is a schedule.

    Notes
    -----
    The rate changes at the beginning of the next epoch, so that a checkpoint
    of an epoch is the same whether it was saved before or after this callback
    had its turn, and the next epoch's rate follows from it either way.

    Examples
    --------
    >>> from fastdrop.nn.callbacks import ReduceOnPlateau
    >>> reduce = ReduceOnPlateau("val_loss", factor=0.5, patience=5, min_rate=1e-5)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_rate: float = 0.0,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        self.factor = check_number(factor, "factor", "ReduceOnPlateau", below=1)
        self.patience = check_count(patience, "patience", "ReduceOnPlateau", least=0)
        self.min_rate = check_number(min_rate, "min_rate", "ReduceOnPlateau")
        self._due = False
        # What the rate was before an epoch that has not ended yet.
        self._before: float | None = None

    def on_train_begin(self, model: Sequential, epochs: int, steps: int) -> None:
        self._due, self._before = False, None
        super().on_train_begin(model, epochs, steps)
        if callable(model.optimizer.learning_rate):
            raise ValueError(
                "ReduceOnPlateau: the optimizer's learning_rate must be a number, "
                f"got {model.optimizer.learning_rate!r}"
            )

    def on_epoch_begin(self, model: Sequential, epoch: int) -> None:
        rate = model.optimizer.rate_at(0)
        if self._due:
            self._before = rate
            model.optimizer.learning_rate = min(rate, max(rate * self.factor, self.min_rate))

    def on_epoch_end(self, model: Sequential, epoch: int, logs: dict[str, float]) -> None:
        self._before = None
        self._see(self._figure(logs))

    def on_train_end(self, model: Sequential) -> None:
        # A run that goes on repeats the epoch that was cut short, and finds
        # again that the rate is due.
        if self._before is not None:
            model.optimizer.learning_rate, self._before = self._before, None

    def _see(self, figure: float) -> bool:
        better = super()._see(figure)
        self._due = self.wait >= max(self.patience, 1)
        if self._due:
            self.wait = 0
        return better


def _speaks(model: Sequential) -> bool:
    """Whether this process, of several that train together, shows and writes things."""
    return getattr(model, "rank", 0) == 0


def _arrays(model: Sequential) -> list[np.ndarray]:
    """All that training changes in the layers."""
    return [
        array
        for layer in model.layers
        for arrays in (layer.params, layer.state)
        for array in arrays.values()
    ]
