"""Where figures are saved."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from fastdrop.plots.style import matplotlib_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def destination(path: str | os.PathLike[str], name: str = "learning-curves.png") -> Path:
    """Where `save` would put a figure, once it is sure that it could.

    Parameters
    ----------
    path : path-like
        A file whose ending names a format of matplotlib (.png, .svg, .pdf, …),
        or a folder that is there.
    name : str, default "learning-curves.png"
        The file in that folder.

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
        path /= name
    formats = matplotlib_for("destination").figure.Figure().canvas.get_supported_filetypes()
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


def save(figure: Figure, path: str | os.PathLike[str], name: str = "learning-curves.png") -> Path:
    """Write a figure to a file, which is replaced only once the new one is whole.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        A PNG has 150 pixels to its inch.
    path : path-like
    name : str
        As for `destination`, whose errors these are too.

    Returns
    -------
    Path
        Absolute path of the file.
    """
    path = destination(path, name)
    # Not by tempfile, whose files nobody else may read.
    aside = path.with_name(f".fastdrop-{token_hex(8)}{path.suffix}")
    try:
        figure.savefig(aside, dpi=150)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return path
