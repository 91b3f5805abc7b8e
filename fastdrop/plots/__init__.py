"""What is looked at: figures of results, and where they are saved."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastdrop.experiments import Training

# Okabe and Ito's vermilion and blue: told apart with every kind of colour vision.
COLOURS = {"without dropout": "#d55e00", "with dropout": "#0072b2"}


def learning_curves(result: Training) -> Figure:
    """Training and test error of each run after each epoch.

    Parameters
    ----------
    result : Training or Comparison

    Returns
    -------
    matplotlib.figure.Figure
        1200 by 750 pixels as `save` writes it. It belongs to no window:
        pyplot and its backend are not touched.

    Raises
    ------
    ImportError
        If matplotlib is not installed; the text says how to get it.

    Examples
    --------
    >>> import fastdrop
    >>> result = fastdrop.experiments.compare(hidden=(16,), epochs=3)
    >>> figure = fastdrop.plots.learning_curves(result)
    >>> figure.axes[0].get_xlabel()
    'epoch'
    """
    figure = _matplotlib("learning_curves").figure.Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    epochs = np.arange(1, result.epochs + 1)
    arms = sorted(result.arms, key=lambda arm: arm.test_error, reverse=True)
    for arm, va in zip(arms, ("bottom", "top"), strict=False):
        colour = COLOURS[arm.name]
        test, train = 100 * np.array(arm.test_errors), 100 * np.array(arm.train_errors)
        axes.plot(epochs, test, color=colour, label=f"test, {arm.name}")
        axes.plot(epochs, train, color=colour, linestyle=":", label=f"training, {arm.name}")
        axes.annotate(
            f"{test[-1]:.2f} %",
            (epochs[-1], test[-1]),
            xytext=(6, 0),
            textcoords="offset points",
            va=va,
            color=colour,
        )
    # What matters happens far below the errors of the first epochs, which are
    # cut off; and a curve at 0 is still seen.
    top = min(100.0, max(400 * arms[0].test_error, 1.0))
    axes.set_ylim(-0.02 * top, top)
    axes.set_xlim(min(1, result.epochs - 1), result.epochs)
    axes.set_xlabel("epoch")
    axes.set_ylabel("error (%)")
    axes.set_title(f"Network: {result.network}, dropout {result.rate:g}")
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    return figure


def destination(path: str | os.PathLike[str]) -> Path:
    """Where `save` would put a figure, once it is sure that it could.

    Parameters
    ----------
    path : path-like
        A file whose ending names a format of matplotlib (.png, .svg, .pdf, …),
        or a folder that is there, for ``learning-curves.png`` in it.

    Returns
    -------
    Path
        Absolute path of the file.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the ending names no format.
    OSError
        If the folder is not there or cannot be written to.
    """
    path = Path(path).absolute()
    if path.is_dir():
        path /= "learning-curves.png"
    formats = _matplotlib("destination").figure.Figure().canvas.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in formats:
        endings = ", ".join(f".{ending}" for ending in sorted(formats))
        raise ValueError(f"destination: path must end in one of {endings}, got {str(path)!r}")
    if not path.parent.is_dir():
        raise NotADirectoryError(
            f"destination: {str(path.parent)!r} is not a folder; make it first or choose another"
        )
    try:
        # os.access is wrong for root, network folders and read-only mounts.
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise type(error)(
            f"destination: cannot write to the folder {str(path.parent)!r} "
            f"({error.strerror}); choose another"
        ) from error
    return path


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure to a file, which is replaced only once the new one is whole.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path-like
        As for `destination`, whose errors these are too.

    Returns
    -------
    Path
        Absolute path of the file.
    """
    path = destination(path)
    with NamedTemporaryFile(dir=path.parent, suffix=path.suffix, delete=False) as file:
        aside = Path(file.name)
    try:
        figure.savefig(aside, dpi=150)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return path


def _matplotlib(where: str) -> Any:
    try:
        import matplotlib.figure
    except ImportError:
        raise ImportError(
            f'{where}: matplotlib is not installed: `pip install "fastdrop[app]"`'
        ) from None
    return matplotlib
