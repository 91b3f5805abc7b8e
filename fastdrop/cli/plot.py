"""`fastdrop plot`: pictures of runs, of networks, and of the masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fastdrop.cli.group import told

# Those of `fastdrop.plots.KINDS`, which this file does not import: the help is quick.
KINDS = (
    *("masks", "activations", "filters", "features", "uncertainty"),
    *("learning-curves", "compare", "sweep", "datasize", "tune", "family"),
)


class _Kinds(click.Choice):
    """Of which one is missing, in one line."""

    def get_missing_message(self, *about: Any, **more: Any) -> str:
        return f"Choose from {', '.join(self.choices)}"


@click.command()
@click.argument("kind", type=_Kinds(KINDS), metavar="KIND")
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    show_default="KIND.png in the run's folder, or here",
    help="File (.png, .svg, .pdf) for the picture, or a folder for it.",
)
@click.option(
    "--arm",
    show_default="all, or the first that has dropout",
    help="Which network of the run, such as 'with dropout'.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1, max_open=True),
    show_default="0.3",
    help="Rate of the masks.",
)
@click.option(
    "--image",
    type=click.IntRange(min=0),
    metavar="N",
    show_default="0",
    help="Which sample of the test set.",
)
@click.option("--seed", type=click.IntRange(min=0), show_default="0", help="Reproduces the noise.")
@click.option(
    "--data",
    metavar="digits|mnist|fashion_mnist|PATH",
    show_default="those of the run, or digits",
    help="Where samples come from, as for `fastdrop train`.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    show_default="that of the run, or what FASTDROP_DATA says",
    help="Folder of the data's files.",
)
@click.option(
    "--train-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    show_default="0.5",
    help="As for `fastdrop train`, with --data.",
)
@click.option("--json", "as_json", is_flag=True, help='Print {"path": ...}.')
def plot(kind: str, run: Path | None, out: Path | None, as_json: bool, **options: Any) -> None:
    """Draw a picture of the kind KIND, and save it.

    RUN is the folder that an experiment wrote (its --out). For pictures of
    networks it is that of `fastdrop compare` or of `fastdrop train --run`, or
    a .safetensors file of one network.

    \b
    Of nothing
        masks            every kind of noise on one image
    Of networks
        activations      feature maps of a convolution, before and after dropout
        filters          first-layer weights as images, side by side
        features         how active hidden units are, and how sparse
        uncertainty      Monte Carlo dropout on an image that is turned
    Of a run
        learning-curves  errors after each epoch
        compare          errors and gap with and without dropout
        sweep            error by dropout rate
        datasize         error by size of the training set
        tune             error by number of units
        family           error by kind of dropout

    \b
    Examples
        fastdrop plot masks --rate 0.5
        fastdrop compare --out digits && fastdrop plot filters digits
        fastdrop plot uncertainty mine.safetensors --data mnist --image 2
        fastdrop plot learning-curves digits --out curves.svg
    """
    from fastdrop import plots

    chosen = plots.KINDS[kind]
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in chosen.options:
            raise click.UsageError(
                f"--{name.replace('_', '-')} says nothing to {kind}: leave it out"
            )
    if run is not None and chosen.needs == "nothing":
        raise click.UsageError(f"{kind} takes no RUN: leave {str(run)!r} out")
    with told():
        home = run if run is not None and run.is_dir() else Path()
        if run is not None and run.name == "run.json":
            home = run.parent
        path = plots.destination(home if out is None else out, f"{kind}.png")
        figure = plots.draw(kind, run, **given)
    try:
        plots.save(figure, path)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps({"path": str(path)}) if as_json else f"{kind}: {path}")
