"""A run as one HTML page, which needs nothing else: to be kept, sent and printed."""

from __future__ import annotations

import os
import shlex
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdrop import data, plots
from fastdrop.inputs import reshaped
from fastdrop.nn import Sequential
from fastdrop.nn.saving import _replace
from fastdrop.runs import Run
from fastdrop.summaries import Summary, percent, points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLES = {
    "train": "A network with dropout",
    "compare": "Does dropout help?",
    "sweep": "Which rate of dropout?",
    "datasize": "Dropout and the number of training samples",
    "tune": "How large a network for dropout?",
    "family": "Kinds of dropout side by side",
}
_CAPTIONS = {
    "train": "Training and test error after each epoch.",
    "compare": "Errors after each epoch, and the gap between training and test error.",
    "sweep": "Training and test error by dropout rate.",
    "datasize": "Test error by size of the training set, and what dropout takes off it.",
    "tune": "Training and test error of each network.",
    "family": "Training and test error of each kind of dropout.",
}
# What an arm's number is, where arms of one name have several.
_AXES = {"datasize": "samples", "tune": "units"}

# Of which histograms are made.
_SAMPLES = 500

# Settings that are options of a command, and those that only some have.
_OPTIONS = (
    *("data", "data_dir", "train_share", "model", "rate", "input_rate", "hidden"),
    *("layers", "start", "most", "epochs", "batch_size", "optimizer", "learning_rate", "seed"),
)
_NOT_OF = {"sweep": ("rate",), "tune": ("hidden",)}


@dataclass(frozen=True)
class Picture:
    """A figure as a data URI, with what it shows in words."""

    caption: str
    alt: str
    uri: str


def html(run: Run) -> str:
    """A run's findings, table, pictures and settings as an HTML page.

    Parameters
    ----------
    run : Run
        Of any kind. Where it has networks, their first weights are shown; and
        what they make of test samples, where the data can still be read.

    Returns
    -------
    str
        A document without scripts that loads nothing from anywhere.

    Raises
    ------
    ImportError
        If jinja2 or matplotlib is not installed.
    OSError, fastdrop.nn.CheckpointError
        If a network of the run is gone or damaged.
    TypeError
        If it is no run.

    Examples
    --------
    >>> import fastdrop
    >>> from fastdrop import report
    >>> run = fastdrop.experiments.sweep(rates=(0, 0.5), seeds=1, hidden=(8,), epochs=1)
    >>> page = report.html(run)
    >>> page.startswith("<!doctype html>"), "http://" in page
    (True, False)
    """
    if not isinstance(run, Run):
        raise TypeError(f"report: run must be a Run, such as that of load_run, got {run!r}")
    template = _template()
    pictures, notes = [_main(run)], []
    models = _models(run)
    # Words that are numbered make no pictures.
    if models and not any(model.layers[0].takes_indices for model in models.values()):
        pictures += _weights(models)
        try:
            pictures += _answers(models, _test_samples(run, models))
        except (ImportError, OSError, TypeError, ValueError) as error:
            notes.append(f"Activations are not shown, as the test samples are not here: {error}.")
    settings = run.settings
    words = (f"{run.kind} of {settings.get('network')} on {settings.get('data')}",
             settings.get("date"), f"fastdrop {settings.get('version')}")  # fmt: skip
    return template.render(
        title=_TITLES[run.kind],
        subtitle="; ".join(filter(None, words)),
        kind=run.kind,
        findings=run.findings,
        several=any(arm.seeds > 1 for arm in run.arms),
        axis=_AXES.get(run.kind),
        arms=[_arm(arm) for arm in run.arms],
        rows=[_row(row) for row in run.rows],
        pictures=pictures,
        notes=notes,
        settings=[
            (name.replace("_", " "), _text(value, "," if "samples" in name else ""))
            for name, value in settings.items()
            if value is not None
        ],
        command=command(run),
    )


def save(run: Run, path: str | os.PathLike[str]) -> Path:
    """Write `html` to a file, which is replaced only once the new one is whole.

    Parameters
    ----------
    run : Run
    path : path-like
        A file, or a folder for ``report.html`` in it.

    Returns
    -------
    Path
        Absolute path of the file.

    Raises
    ------
    ImportError, OSError, fastdrop.nn.CheckpointError, TypeError
        As by `html`; OSError also if the file cannot be written.
    """
    path = Path(path).absolute()
    if path.is_dir():
        path /= "report.html"
    if not path.parent.is_dir():
        raise NotADirectoryError(
            f"report: {str(path.parent)!r} is not a folder; make it first or choose another"
        )
    _replace(str(path), [html(run).encode()], "report")
    return path


def command(run: Run) -> str | None:
    """The command line that gives a run again; None where arrays in memory were its data."""
    settings, first = run.settings, run.rows[0]
    if settings.get("data") == "arrays":
        return None
    options = {name: settings.get(name) for name in _OPTIONS}
    for name in _NOT_OF.get(run.kind, ()):
        del options[name]
    words = ["fastdrop", run.kind]
    if run.kind == "train":
        words.append("--no-compare")
    else:
        options["seeds"] = len(settings.get("seeds", [None]))
    if run.kind == "sweep":
        options["rates"] = sorted({row["x"] for row in run.rows})
        options["where"] = first.get("where")
        words += ["--fixed-active"] if first.get("fixed_active") else []
    elif run.kind == "datasize":
        options["sizes"] = sorted({row["x"] for row in run.rows})
    for name, value in options.items():
        if value is not None and value != []:
            words += [f"--{name.replace('_', '-')}", _word(value)]
    return shlex.join(words)


def _word(value: Any) -> str:
    """An option's value as it is typed."""
    if isinstance(value, list):
        return ",".join(map(_word, value))
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _text(value: Any, thousands: str = "") -> str:
    """A setting's value as it is read."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item, thousands) for item in value) or "none"
    if isinstance(value, int):
        return format(value, thousands)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(x: float | None) -> str:
    return "" if x is None else f"{x:,}"


def _arm(arm: Summary) -> dict[str, Any]:
    return {
        "name": arm.arm,
        "x": _number(arm.x),
        "train": arm.said("train_error"),
        "test": arm.said("test_error"),
        "gap": arm.said("gap"),
        "seeds": arm.seeds,
    }


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": row["arm"],
        "x": _number(row["x"]),
        "seed": row["seed"],
        "train": percent(row["train_error"]),
        "test": percent(row["test_error"]),
        "gap": points(row["gap"]),
        "seconds": f"{row['seconds']:.1f}" if "seconds" in row else "",
    }


def _template() -> Any:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise ImportError(
            'report: jinja2 is not installed: `pip install "fastdrop[app]"`'
        ) from None
    environment = Environment(
        loader=PackageLoader("fastdrop"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("report.html")


# Pictures


def _main(run: Run) -> Picture:
    """That of the run's kind."""
    caption = _CAPTIONS[run.kind]
    axis = _AXES.get(run.kind)
    figures = ", ".join(
        f"{arm.arm}{f' ({_number(arm.x)} {axis})' if axis else ''} {percent(arm.test_error)}"
        for arm in run.arms
    )
    return Picture(caption, f"{caption} Test errors: {figures}.", _uri(plots.picture(run)))


def _models(run: Run) -> dict[str, Sequential]:
    found = {}
    for arm in run.arms:
        try:
            found[arm.arm] = run.model(arm.arm)
        except LookupError:
            continue
    return found


def _weights(models: dict[str, Sequential]) -> Iterator[Picture]:
    try:
        figure = plots.filters(models)
    except ValueError:  # they are not of images
        return
    caption = "Weights of the first layer, each unit's as an image."
    yield Picture(caption, f"{caption} Networks: {', '.join(models)}.", _uri(figure, "png"))


def _answers(models: dict[str, Sequential], x: np.ndarray) -> Iterator[Picture]:
    """What the networks make of test samples."""
    caption = "Activations of the first hidden layer: how sparse they are."
    names = f"Networks: {', '.join(models)}."
    yield Picture(caption, f"{caption} {names}", _uri(plots.features(models, x)))
    *_, (name, model) = models.items()
    try:
        figure = plots.activations(model, x[0])
    except ValueError:  # no convolution with dropout
        return
    caption = f"Feature maps before and after dropout, {name}."
    yield Picture(caption, caption, _uri(figure, "png"))


def _test_samples(run: Run, models: dict[str, Sequential]) -> np.ndarray:
    settings = run.settings
    name, folder = settings.get("data", "arrays"), settings.get("data_dir")
    if name == "arrays":
        raise ValueError("they were arrays in memory")
    found = data.load(name, folder, settings.get("train_share", 0.5))
    return reshaped(found.x_test[:_SAMPLES], next(iter(models.values())), "report")


def _uri(figure: Figure, kind: str = "svg") -> str:
    """A figure as text that stands in the place of an address."""
    import matplotlib

    file = BytesIO()
    # The same run, the same page.
    with matplotlib.rc_context({"svg.hashsalt": "fastdrop"}):
        more: dict[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {"dpi": 150}
        figure.savefig(file, format=kind, **more)
    media = {"svg": "image/svg+xml", "png": "image/png"}[kind]
    return f"data:{media};base64,{b64encode(file.getvalue()).decode()}"
