"""`fastdrop bench`: ten seconds of dropout against a copy."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from fastdrop.cli.group import fail, told
from fastdrop.cli.options import options, set_machine

if TYPE_CHECKING:
    from fastdrop.bench import Bench


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    help="About how long; each line of the table takes its three rounds all the same.",
)
@options("threads", "quiet")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(seconds: float, threads: int | None, quiet: bool, as_json: bool) -> None:
    """Measure dropout against a copy of the array, here.

    The table has, for arrays of several sizes and for masks that share their
    draws along axes, the speed as a share of that of a copy: y = 2 * x into an
    array that is there, on as many threads. 1 is as fast as a copy, which reads
    and writes each element once, as dropout must. Forward draws a new mask and
    applies it, backward applies one to a gradient; float32, rate 0.5, medians of
    contenders in turn. The last column is what NumPy programs do:
    x * np.random.binomial(1, keep, x.shape) / keep.

    Ctrl-C ends it, and prints what was measured.

    \b
    Examples
        fastdrop bench
        fastdrop bench --seconds 60 --threads 1
    """
    from fastdrop.bench import bench as measure

    with told():
        set_machine(None, threads)
        found = measure(seconds, progress=not quiet)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=1))
    elif found.rows:
        click.echo(_report(found))
    if not found.complete:
        what = "the table has what was measured" if found.rows else "nothing was measured"
        fail(f"interrupted; {what}", 130)


def _report(found: Bench) -> str:
    machine = found.machine
    where = ", ".join(filter(None, (machine["processor"], machine["isa"])))
    lines = [
        f"{where}; threads {machine['threads']}; Python {machine['python']}, "
        f"NumPy {machine['numpy']}; load average before {machine['load']}",
        "speed as a share of that of a copy, y = 2 * x; float32, rate 0.5",
        "",
        found.table(),
    ]
    if any(row.missed(name) for row in found.rows for name in row.shares):
        lines += ["", "(!) less than is promised on a machine with nothing else to do"]
    return "\n".join(lines)
