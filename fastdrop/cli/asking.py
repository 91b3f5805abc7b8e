"""What all experiments have in common as commands: ask, print, save."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastdrop.cli.group import fail, told
from fastdrop.cli.options import set_machine

if TYPE_CHECKING:
    from fastdrop.runs import Run


def answer(
    ask: Callable[..., Run],
    *,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    jobs: int | None,
    backend: str | None,
    threads: int | None,
    **arguments: Any,
) -> None:
    """Ask an experiment, and print and save what it found, also after Ctrl-C."""
    import fastdrop
    from fastdrop import experiments, runs
    from fastdrop.plots.style import matplotlib_for

    out = out or Path("runs", ask.__name__)
    try:
        with told():
            set_machine(backend, threads)
            runs.destination(out)
            matplotlib_for(ask.__name__)
            run = ask(n_jobs=jobs or fastdrop.get_num_threads(), progress=not quiet, **arguments)
    except experiments.Stopped as stop:
        _save(stop.run, out)
        click.echo(err=True)
        fail(f"interrupted; {str(stop).split(': ')[1].rstrip('.')}, and are in {out}", 130)
    _save(run, out)
    click.echo(run.to_json() if as_json else _report(run, out))


def _save(run: Run, out: Path) -> None:
    from fastdrop import plots

    try:
        run.save(out)
        plots.save(plots.picture(run), out / f"{run.kind}.png")
    except OSError as error:
        raise click.ClickException(str(error)) from error


def _report(run: Run, out: Path) -> str:
    asked = run.settings
    return "\n".join(
        [
            f"{asked['data']}: {asked['train_samples']:,} samples to train on, "
            f"{asked['test_samples']:,} for the test; network: {asked['network']}",
            "",
            run.table(),
            "",
            *run.findings,
            "",
            f"optimizer {asked['optimizer']}, learning rate {asked['learning_rate']:g}, batch size "
            f"{asked['batch_size']}, epochs {asked['epochs']}",
            f"seeds {asked['seeds'][0]} to {asked['seeds'][-1]}, jobs {asked['jobs']}, "
            f"{asked['seconds']:.1f} seconds",
            f"saved in {out}: run.json, table.csv, {run.kind}.png",
        ]
    )
