"""The section `peers` as a picture: how many copies of the array take as long as dropout."""

from __future__ import annotations

import re
from textwrap import fill
from typing import TYPE_CHECKING

from benchmarks import peers
from benchmarks.cases import power
from benchmarks.sections.against_peers import COPY, contenders
from fastdrop import plots
from fastdrop.plots.style import BLUE, figure_for, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a contender is called in the tables, without its version, and here.
LABELS = {
    COPY: "a copy of the array",
    "fastdrop, cython": "fastdrop (Cython)",
    "fastdrop, numba": "fastdrop (Numba)",
    "NumPy 2 * x": "NumPy: 2 * x, no dropout",
    "NumPy random": "NumPy: rng.random < 0.5",
    "NumPy binomial": "NumPy: np.random.binomial",
    "TensorFlow graph": "TensorFlow, tf.function",
    "TensorFlow XLA": "TensorFlow, XLA",
    "JAX rbg": "JAX, generator rbg",
}


def draw(result: dict) -> Figure:
    """A bar for each contender, as long as the copies that take its time, the least on top.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the result has no section `peers`, or one that was measured without a copy.
    """
    rows = result["sections"].get("peers", [])
    copies, seconds = contenders(rows, "copies"), contenders(rows, "seconds")
    if not copies:
        raise ValueError(
            "picture: result must have the section peers, measured beside a copy, "
            f"got the sections {', '.join(result['sections'])}"
        )
    figure = figure_for("picture", None, (8, 1.5 + 0.27 * len(copies)))
    ax = figure.add_subplot()
    tints = [
        BLUE if name.startswith("fastdrop") else "0.25" if name == COPY else "0.7"
        for name in copies
    ]
    bars = ax.barh(range(len(copies)), copies.values(), color=tints, height=0.75)
    ax.bar_label(
        bars,
        [f"{_short(times)}×  ({seconds[name] * 1e3:.2f} ms)" for name, times in copies.items()],
        padding=4,
        fontsize=9,
    )
    ax.set_yticks(range(len(copies)), map(label, copies))
    for tick, name in zip(ax.get_yticklabels(), copies, strict=True):
        tick.set_fontweight("bold" if name.startswith("fastdrop") else "normal")
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(copies) - 0.4, -0.6)
    # Room for what stands behind the longest bar.
    ax.margins(x=0.25)
    tidy(ax)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("times as long as a copy (less is better)")
    figure.suptitle(
        f"Dropout of {power(rows[0]['n'])} float32 numbers beside a copy of them", fontsize=12
    )
    lines = (fill(line, 130) for line in about(result).splitlines())
    figure.supxlabel("\n".join(lines), fontsize=7.5, color="0.35")
    return figure


def save(figure: Figure, path: str) -> None:
    """Write it; a PNG with the few colours that it has, which takes a third of the bytes."""
    from PIL import Image

    where = plots.save(figure, path, "peers.png")
    if where.suffix.lower() == ".png":
        with Image.open(where) as image:
            image.convert("RGB").quantize(64).save(where, optimize=True)


def label(name: str) -> str:
    """A contender's name for readers; the versions stand beneath."""
    name = re.sub(r" \d\S*", "", name, count=1)
    return LABELS.get(name, name)


def about(result: dict) -> str:
    """Where it was measured, and with what."""
    facts = result["machine"]
    rows = result["sections"]["peers"]
    copy = " or ".join(dict.fromkeys(row["copy"] for row in rows if "copy" in row))
    used = {"numba", *(peer.package for peer in peers.PEERS)}
    versions = ", ".join(
        f"{name} {facts['versions'][name]}" for name in facts["versions"] if name in used
    )
    quick = "A quick run: these figures say nothing about speed. " * result["quick"]
    return (
        f"{quick}{facts['processor']}, {facts['threads']} threads, "
        f"{facts['isa'] or 'no extension'}; Python {facts['python']}, {versions}.\n"
        "Rate 0.5, forward, into fresh arrays. "
        f"The copy: y = 2 x into an array that is there, {copy}."
    )


def _short(times: float) -> str:
    return f"{times:,.0f}" if times >= 9.95 else f"{times:.2g}"
