"""Runs that go on: checkpoints of a setting, and whether one is of this setting."""

from __future__ import annotations

import os
from math import isclose
from tempfile import TemporaryDirectory
from typing import Any

from fastdrop.nn import Checkpoint, Sequential
from fastdrop.nn.interrupts import whole
from fastdrop.nn.saving import load
from fastdrop.setting import Setting

# What the history of a run has for each epoch.
_FIGURES = "loss", "train_accuracy", "val_accuracy", "val_loss"


class Saving(Checkpoint):
    """A checkpoint at a fixed path that knows how many epochs are in its file."""

    def __init__(self, path: str) -> None:
        super().__init__(path.replace("{", "{{").replace("}", "}}"))
        self.epoch = 0

    def on_epoch_end(self, model: Sequential, epoch: int, logs: dict[str, float]) -> None:
        # Ctrl-C while the file is written would find it new and `epoch` old.
        with whole():
            super().on_epoch_end(model, epoch, logs)
            self.epoch = epoch + 1


def try_to_save(network: Sequential, path: str, where: str) -> None:
    """Fail before the training, and not after an epoch of it."""
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        raise IsADirectoryError(f"{where}: checkpoint must be a file, got the folder {path!r}")
    try:
        with TemporaryDirectory(dir=folder) as place:
            network.save(os.path.join(place, "checkpoint"))
    except OSError as error:
        raise type(error)(
            f"{where}: no checkpoint can be written to the folder {folder!r} ({error.strerror}); "
            "choose another"
        ) from error


def resumed(setting: Setting, path: str) -> Sequential:
    """The network of a checkpoint, if it is of this setting and of these data.

    Going on in another setting would be a run that no arguments give again.
    """
    where = f"{setting.where}: {path!r}"
    try:
        network = load(path)
    except OSError as error:
        raise type(error)(f"{where} cannot be read ({error.strerror})") from error
    history = network.history.history if network.history else {}
    if not network.epoch or any(len(history.get(name, ())) != network.epoch for name in _FIGURES):
        raise ValueError(f"{where} is no checkpoint of such a run: its history is of another kind")
    shape = setting.data.x_train.shape
    steps = network.epoch * -(-shape[0] // setting.batch_size)
    ours = _facts(setting.network(), shape[1:], steps)
    theirs = _facts(network, network._sample, network._optimizer_state.get("step"))
    for fact in {**ours, **theirs}:
        if ours.get(fact) != theirs.get(fact):
            raise ValueError(
                f"{where} is of another run ({fact}: {theirs.get(fact)}, not {ours.get(fact)}); "
                "give the arguments of that run"
            )
    before = history["val_loss"][-1]
    loss = network.evaluate(setting.data.x_test, setting.data.y_test)["loss"]
    # Another processor may round in another way.
    if not isclose(loss, before, rel_tol=1e-4, abs_tol=1e-6):
        raise ValueError(
            f"{where} is of other data: its test loss was {before:.6g}, with these it is {loss:.6g}"
        )
    if network.epoch > setting.epochs:
        raise ValueError(
            f"{where} has {network.epoch} epochs; epochs must be at least as many, "
            f"got {setting.epochs}"
        )
    return network


def _facts(network: Sequential, shape: Any, steps: Any) -> dict[str, Any]:
    """What two runs have in common if they are the same one."""
    parts = {f"layer {number}": layer for number, layer in enumerate(network.layers)}
    facts: dict[str, Any] = {"shape of a sample": shape}
    for name, part in {**parts, "loss": network.loss, "optimizer": network.optimizer}.items():
        facts[name] = type(part).__name__
        facts |= {f"{key} of {name}": value for key, value in part.config().items()}
    facts["seed, as the key of its masks"] = network._sources.masks.key
    facts["steps, which samples and batch size make"] = steps
    return facts
