"""`fastdrop predict`: what a saved network says of arrays and images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from fastdrop.cli.group import told
from fastdrop.cli.options import MACHINE, options, set_machine

if TYPE_CHECKING:
    from fastdrop.prediction import Predictions

# Rows that are printed of a long table.
HEAD = 20


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", metavar="INPUT", type=click.Path(path_type=Path))
@click.option(
    "--mc",
    type=click.IntRange(min=1),
    metavar="N",
    help="Predict N times with the dropout left on (Monte Carlo dropout): mean, deviation and how "
    "sure the network is.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, help="Reproduces the samples of --mc."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File for all rows: .csv is the table, with the probability of every class; .npy the "
    "array of outputs; .npz all arrays.",
)
@options(*MACHINE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, of all rows.")
def predict(
    model: Path,
    data: Path,
    mc: int | None,
    seed: int,
    out: Path | None,
    backend: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Predict with the network in the file MODEL.

    MODEL is what `fastdrop train --checkpoint MODEL` wrote, or
    Sequential.save, or a .safetensors of a run's folder.

    \b
    INPUT is one of
        an .npy file    samples along the first axis; uint8 is taken for pixels
                        and divided by 255, as in training
        an .npz file    of it x, else x_test, else its only array
        a folder        its .png and .jpg files in the order of their names, or
                        one such file: made grey or RGB as the network takes
                        them, divided by 255, and never resized

    \b
    Examples
        fastdrop train --checkpoint digits.safetensors
        fastdrop predict digits.safetensors scans/
        fastdrop predict digits.safetensors mine.npz --mc 50 --out sure.csv

    \b
    Columns of --mc
        std                 deviation of the class's probability
        entropy             how unsure the prediction is, in nats
        mutual_information  the part of it that more training data could take away
    """
    from fastdrop import inputs, prediction

    with told():
        set_machine(backend, threads)
        if out is not None:
            prediction.destination(out)
        network = prediction.load_model(model)
        found = prediction.predict(network, inputs.read_inputs(data, network), mc, seed)
    path = None
    if out is not None:
        try:
            path = found.save(out)
        except OSError as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        facts = {"model": str(model), "input": str(data), "mc": mc, "seed": seed}
        saved = {"out": path and str(path)}
        click.echo(json.dumps(facts | saved | {"predictions": found.records()}, indent=1))
        return
    click.echo(_table(found))
    if path is not None:
        click.echo(f"predictions: {path}")


def _table(found: Predictions) -> str:
    """Aligned columns of the first rows."""
    spec = ".6g" if found.kind == "value" else ".4f"
    columns = []
    for name, values in found.columns().items():
        numbers = isinstance(values, np.ndarray) and values.dtype.kind == "f"
        cells = [format(value, spec if numbers else "") for value in values[:HEAD]]
        width = max(map(len, [name, *cells]))
        aligned = str.ljust if name == "file" else str.rjust
        columns.append([aligned(cell, width) for cell in (name, *cells)])
    lines = ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
    if (more := len(found.names) - HEAD) > 0:
        lines.append(f"... and {more:,} more; --out FILE.csv has all of them")
    return "\n".join(lines)
