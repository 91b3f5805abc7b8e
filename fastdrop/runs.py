"""What an experiment found: rows of figures, in memory and in a folder on disk."""

from __future__ import annotations

import csv
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from fastdrop.aligned import aligned
from fastdrop.nn.saving import _replace, load
from fastdrop.nn.sequential import Sequential
from fastdrop.summaries import Summary, percent, points, summary

__all__ = ["KINDS", "Run", "Summary", "destination", "load_run", "percent", "points"]

# One more with every change that leaves this code unable to read run.json.
FORMAT = 1

KINDS = ("train", "compare", "sweep", "datasize", "tune", "family")
_FIGURES = {"arm", "x", "seed", "train_error", "test_error", "gap"}


@dataclass(frozen=True)
class Run:
    """What an experiment found; a folder on disk, once saved.

    Attributes
    ----------
    kind : {"train", "compare", "sweep", "datasize", "tune", "family"}
    settings : dict
        What was asked, with all defaults, in values that JSON has.
    rows : tuple of dict
        One for each arm and seed: ``arm``, ``x`` (the number along the axis, or
        None), ``seed``, ``train_error`` and ``test_error`` after the last epoch
        (shares in [0, 1]), ``gap`` (test minus training), ``train_errors``,
        ``test_errors`` and ``losses`` of each epoch, ``seconds``, and what an
        experiment adds.
    findings : tuple of str
        Sentences that say what was found.
    models : dict of str to Sequential
        Networks of the first seed by arm, of a "train" or "compare" in memory.
        Those of a loaded run are in files: ask ``model(arm)``.
    folder : Path or None
        Where `load_run` found it.

    Examples
    --------
    >>> import fastdrop, tempfile
    >>> run = fastdrop.experiments.sweep(rates=(0, 0.5), seeds=2, hidden=(8,), epochs=1)
    >>> [(arm.arm, arm.x, arm.seeds) for arm in run.arms]
    [('hidden 0', 0.0, 2), ('hidden 0.5', 0.5, 2)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     same = fastdrop.load_run(run.save(folder))
    >>> same == run
    True
    """

    kind: str
    settings: dict[str, Any]
    rows: tuple[dict[str, Any], ...]
    findings: tuple[str, ...] = ()
    models: dict[str, Sequential] = field(default_factory=dict, compare=False, repr=False)
    folder: Path | None = field(default=None, compare=False, repr=False)

    @property
    def arms(self) -> list[Summary]:
        """Mean and spread of each arm and ``x``, in the order in which they come first."""
        groups: dict[tuple[str, float | None], list[dict[str, Any]]] = {}
        for row in self.rows:
            groups.setdefault((row["arm"], row["x"]), []).append(row)
        return [summary(rows) for rows in groups.values()]

    def model(self, arm: str) -> Sequential:
        """The trained network of an arm's first seed.

        Raises
        ------
        LookupError
            If the run has none of that arm.
        OSError, fastdrop.nn.CheckpointError
            If its file is gone or damaged.
        """
        if arm in self.models:
            return self.models[arm]
        if self.folder is not None and arm in _model_files(self.folder / "run.json"):
            return load(self.folder / _model_file(arm))
        raise LookupError(f"model: the run holds no network of the arm {arm!r}")

    def table(self) -> str:
        """Errors and gap of each arm, mean ± standard deviation, as aligned text."""
        along = {"datasize": ["samples"], "tune": ["units"]}.get(self.kind, [])
        cells = [["", *along, "training error", "test error", "gap", "seeds"]]
        for arm in self.arms:
            x = [f"{arm.x:,}"] if along else []
            figures = (
                (arm.train_error, arm.train_spread),
                (arm.test_error, arm.test_spread),
                (arm.gap, arm.gap_spread),
            )
            shown = [percent(mean, spread if arm.seeds > 1 else None) for mean, spread in figures]
            cells.append([arm.arm, *x, *shown, str(arm.seeds)])
        return aligned(cells, between="   ")

    def to_json(self) -> str:
        """All but the networks, as `load_run` reads it."""
        document = {
            "format": FORMAT,
            "kind": self.kind,
            "settings": self.settings,
            "findings": self.findings,
            "arms": [vars(arm) for arm in self.arms],
            "models": {arm: _model_file(arm) for arm in self.models},
            "rows": self.rows,
        }
        return json.dumps(document, indent=1, allow_nan=False)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a line for each row, without the lists; an existing file is replaced.

        Raises
        ------
        OSError
            If the file cannot be written; an existing one is untouched then.
        """
        names = dict.fromkeys(
            name
            for name, value in chain.from_iterable(row.items() for row in self.rows)
            if not isinstance(value, (list, dict))
        )
        text = StringIO()
        writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        _replace(os.fsdecode(path), [text.getvalue().encode()], "to_csv")

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write run.json, table.csv and the networks into a folder.

        Parameters
        ----------
        folder : path-like
            It is made if it is not there. A run that is in it is replaced, other
            files stay.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OSError
            If a file cannot be written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "run.json"
        before: set[str] = set()
        with suppress(OSError, ValueError):
            before = set(_model_files(path).values())
        for arm, model in self.models.items():
            model.save(folder / _model_file(arm))
        self.to_csv(folder / "table.csv")
        # The last one: what it names is there.
        _replace(str(path), [self.to_json().encode(), b"\n"], "save")
        for name in before - {_model_file(arm) for arm in self.models}:
            (folder / Path(name).name).unlink(missing_ok=True)
        return folder


def load_run(path: str | os.PathLike[str]) -> Run:
    """The run that was saved in a folder.

    Parameters
    ----------
    path : path-like
        The folder, or the run.json in it.

    Returns
    -------
    Run

    Raises
    ------
    FileNotFoundError
        If no run is there.
    ValueError
        If its file is damaged, of another program or of a newer version.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    file = path / "run.json" if path.is_dir() else path
    document = _read(file)
    run = Run(
        kind=document["kind"],
        settings=document["settings"],
        rows=tuple(document["rows"]),
        findings=tuple(document["findings"]),
        folder=file.parent,
    )
    if not run.rows or not all(
        isinstance(row, dict) and row.keys() >= _FIGURES for row in run.rows
    ):
        raise ValueError(f"load_run: {str(file)!r} is damaged: its rows are not those of a run")
    return run


def destination(folder: str | os.PathLike[str]) -> Path:
    """Where a run would be saved, once it is sure that it could; nothing is made yet.

    Raises
    ------
    OSError
        If there is a file of that name, or the folder cannot be written to.
    """
    folder = Path(folder).absolute()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        raise NotADirectoryError(
            f"destination: {str(there)!r} is a file; name a folder for the run"
        )
    try:
        # os.access is wrong for root, network folders and read-only mounts.
        with TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise type(error)(
            f"destination: cannot write to the folder {str(there)!r} ({error.strerror}); "
            "choose another"
        ) from error
    return folder


def _model_file(arm: str) -> str:
    return re.sub(r"[^\w.]+", "-", arm) + ".safetensors"


def _model_files(path: Path) -> dict[str, str]:
    """The files of the networks of a run by arm, as its run.json says."""
    return _read(path)["models"]


def _read(path: Path) -> dict[str, Any]:
    where = f"load_run: {str(path)!r}"
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{where} is not there; name the folder that an experiment wrote (its --out)"
        ) from None
    except OSError as error:
        raise type(error)(f"{where} cannot be read ({error.strerror})") from error
    try:
        document = json.loads(text)
        newer, kind = document["format"] > FORMAT, document["kind"]
    except (LookupError, RecursionError, TypeError, ValueError):
        raise ValueError(f"{where} is no run of fastdrop, or is damaged") from None
    if newer:
        raise ValueError(
            f"{where} has format {document['format']}, and formats up to {FORMAT} are known here: "
            "a newer fastdrop may load it"
        )
    kinds = {"settings": dict, "rows": list, "findings": list, "models": dict}
    if kind not in KINDS or any(not isinstance(document.get(k), t) for k, t in kinds.items()):
        raise ValueError(f"{where} is no run of fastdrop, or is damaged")
    return document
