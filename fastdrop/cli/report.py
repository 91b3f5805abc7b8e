"""`fastdrop report`: a run as one HTML page."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fastdrop.cli.group import told


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    show_default="report.html in the run's folder",
    help="File for the page, or a folder for report.html in it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def report(run: Path, out: Path | None, as_json: bool) -> None:
    """Write a run as one HTML page: findings, table, pictures, settings.

    RUN is the folder that an experiment wrote, or the run.json in it. The page
    needs nothing else: it can be sent, read on a phone and printed. Pictures of
    activations need the run's data; without them the page says so.

    \b
    Examples
        fastdrop compare --out runs/digits
        fastdrop report runs/digits
        fastdrop report runs/digits --out page.html
    """
    from fastdrop import report as page
    from fastdrop.runs import load_run

    with told():
        found = load_run(run)
        path = page.save(found, out or (run if run.is_dir() else run.parent))
    click.echo(json.dumps({"report": str(path)}) if as_json else f"report: {path}")
