"""What a saved model says of samples, as a table and in files."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np

from fastdrop.inputs import Inputs
from fastdrop.nn import BinaryCrossEntropy, Sequential, SoftmaxCrossEntropy
from fastdrop.nn.saving import _replace, load

TABLES = (".csv", ".npy", ".npz")


@dataclass(frozen=True)
class Predictions:
    """What a model says of each row.

    Attributes
    ----------
    names : tuple of str or int
        As of `fastdrop.inputs.Inputs`.
    kind : {"class", "probability", "value"}
        Of one class among several, of a yes to each of several questions, or
        plain numbers: what the model's loss makes of its outputs.
    outputs : ndarray of shape (rows, outputs)
        What `Sequential.predict` gives, or the mean of its samples.
    std : ndarray of shape (rows, outputs), or None
    entropy, mutual_information : ndarray of shape (rows,), or None
        Of samples: those of `fastdrop.nn.MonteCarlo`.
    """

    names: tuple[str | int, ...]
    kind: str
    outputs: np.ndarray
    std: np.ndarray | None = None
    entropy: np.ndarray | None = None
    mutual_information: np.ndarray | None = None

    @property
    def classes(self) -> np.ndarray | None:
        """The most probable class of each row, None where there is no such thing."""
        return self.outputs.argmax(axis=1) if self.kind == "class" else None

    def columns(self) -> dict[str, Any]:
        """The table, one value a row in each column; of classes the most probable one."""
        found: dict[str, Any] = {"file" if isinstance(self.names[0], str) else "row": self.names}
        if (classes := self.classes) is not None:
            rows = np.arange(len(classes))
            found |= {"class": classes, "probability": self.outputs[rows, classes]}
            if self.std is not None:
                found["std"] = self.std[rows, classes]
        else:
            found |= _numbered(self.kind, self.outputs)
            if self.std is not None:
                found |= _numbered("std", self.std)
        if self.entropy is not None:
            found |= {"entropy": self.entropy, "mutual_information": self.mutual_information}
        return found

    def records(self) -> list[dict[str, Any]]:
        """A dict for each row, in values that JSON has, with the probability of every class."""
        columns = {name: np.asarray(column).tolist() for name, column in self.columns().items()}
        if self.kind == "class":
            columns["probabilities"] = self.outputs.tolist()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write all rows.

        Parameters
        ----------
        path : path-like
            Ends in .csv: the table, with the probability of every class; in
            .npy: `outputs`; in .npz: all arrays by name. An existing file is
            replaced once the new one is whole.

        Returns
        -------
        Path
            Absolute path of the file.

        Raises
        ------
        ValueError, OSError
            As by `destination`; OSError also if it cannot be written.
        """
        path = destination(path)
        file = BytesIO()
        if path.suffix == ".npy":
            np.save(file, self.outputs)
        elif path.suffix == ".npz":
            arrays = vars(self) | {"names": np.array(self.names), "classes": self.classes}
            del arrays["kind"]
            np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
        else:
            file.write(self._csv().encode())
        _replace(str(path), [file.getvalue()], "save")
        return path

    def _csv(self) -> str:
        columns, text = self.columns(), StringIO()
        if self.kind == "class":
            columns |= _numbered("probability", self.outputs)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        return text.getvalue()


def load_model(path: str | os.PathLike[str]) -> Sequential:
    """The trained network in a file.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no model, a damaged one, or one that was never built.
    """
    where = f"predict: the model {os.fspath(path)!r}"
    try:
        model = load(path)
    except OSError as error:
        raise type(error)(
            f"{where} cannot be read ({error.strerror}); name a file of `fastdrop train "
            "--checkpoint FILE`, of a run's folder or of Sequential.save"
        ) from error
    if model._sample is None:
        raise ValueError(f"{where} has no weights yet; train it and save it again")
    return model


def predict(
    model: Sequential, inputs: Inputs, samples: int | None = None, rng: Any = 0
) -> Predictions:
    """What the model says of these inputs.

    Parameters
    ----------
    model : Sequential
    inputs : Inputs
        Of `fastdrop.inputs.read_inputs`.
    samples : int, optional
        Predict so many times with the noise left on, as `Sequential.predict_mc`.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream, default 0
        Where that noise comes from.

    Returns
    -------
    Predictions

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind, or samples are asked of a model that
        has no layer of noise.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop import inputs, nn, prediction
    >>> layers = [nn.Dense(8), nn.Dropout(0.5), nn.Dense(3)]
    >>> model = nn.Sequential(layers, rng=0, input_shape=(4,))
    >>> x = inputs.Inputs(np.eye(4, dtype=np.float32), tuple("abcd"))
    >>> found = prediction.predict(model, x, samples=20)
    >>> list(found.columns())
    ['file', 'class', 'probability', 'std', 'entropy', 'mutual_information']
    """
    kinds = {SoftmaxCrossEntropy: "class", BinaryCrossEntropy: "probability"}
    kind = next((name for loss, name in kinds.items() if isinstance(model.loss, loss)), "value")
    rows = len(inputs.names)
    if samples is None:
        return Predictions(inputs.names, kind, model.predict(inputs.x).reshape(rows, -1))
    found = model.predict_mc(inputs.x, samples, rng)
    mean, std = found.mean.reshape(rows, -1), found.std.reshape(rows, -1)
    return Predictions(inputs.names, kind, mean, std, found.entropy, found.mutual_information)


def destination(path: str | os.PathLike[str]) -> Path:
    """Where predictions would be saved, once it is sure that they can be.

    Raises
    ------
    ValueError
        If the ending is none of .csv, .npy and .npz.
    OSError
        If the folder is not there.
    """
    path = Path(path).absolute()
    if path.suffix not in TABLES:
        raise ValueError(f"predict: path must end in one of {', '.join(TABLES)}, got {str(path)!r}")
    if not path.parent.is_dir():
        raise NotADirectoryError(
            f"predict: {str(path.parent)!r} is not a folder; make it first or choose another"
        )
    return path


def _numbered(name: str, table: np.ndarray) -> dict[str, np.ndarray]:
    """A column for each output; a number in its name where there are several."""
    if table.shape[1] == 1:
        return {name: table[:, 0]}
    return {f"{name}_{place}": column for place, column in enumerate(table.T)}
