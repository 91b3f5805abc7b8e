"""What watches a training run: its history, its progress bar, one's own callbacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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

    Setting ``model.stop_training = True`` ends training after the epoch.

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
        """Before `epochs` epochs of `steps` batches each."""

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
            total=epochs * steps, desc=self._description, unit="batch", mininterval=0.2
        )

    def on_batch_end(self, model: Sequential, step: int, loss: float) -> None:
        self._bar.update()

    def on_epoch_end(self, model: Sequential, epoch: int, logs: dict[str, float]) -> None:
        self._bar.set_postfix(logs, refresh=False)

    def on_train_end(self, model: Sequential) -> None:
        if self._bar is not None:
            self._bar.close()
