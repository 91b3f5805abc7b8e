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
@click.option(
    "--mpi",
    is_flag=True,
    help="Measure what a step of training costs in several processes, and what the cost model "
    "says; start it with mpiexec.",
)
@options("threads", "quiet")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(seconds: float, mpi: bool, threads: int | None, quiet: bool, as_json: bool) -> None:
    """Measure dropout against a copy of the array, here.

    The table has, for arrays of several sizes and for masks that share their
    draws along axes, the speed as a share of that of a copy: y = 2 * x into an
    array that is there, on as many threads. 1 is as fast as a copy, which reads
    and writes each element once, as dropout must. Forward draws a new mask and
    applies it, backward applies one to a gradient; float32, rate 0.5, medians of
    contenders in turn. The last column is what NumPy programs do:
    x * np.random.binomial(1, keep, x.shape) / keep.

    Ctrl-C ends it, and prints what was measured.

    With --mpi it trains in all processes that mpiexec started, measures the
    constants of a cost model, compares its prediction with a step, and prints
    what it says of many machines; fastdrop.distributed.cost has the model.

    \b
    Examples
        fastdrop bench
        fastdrop bench --seconds 60 --threads 1
        mpiexec -n 2 fastdrop bench --mpi
    """
    if mpi:
        _mpi(seconds, threads, as_json)
        return
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


def _mpi(seconds: float, threads: int | None, as_json: bool) -> None:
    from fastdrop.distributed import launched, world
    from fastdrop.distributed.bench import bench as measure

    rank, size = launched()
    with told():
        set_machine(None, threads)
        found = measure(world("bench") if size > 1 else None, seconds=seconds)
    if rank:
        return
    if as_json:
        click.echo(json.dumps(asdict(found), indent=1))
        return
    ranks = f"{found.ranks} process{'es' * (found.ranks > 1)}, threads of each: {found.threads}"
    lines = [ranks, "", found.table()]
    if found.link:
        lines[0] += (
            f"; alpha {1e6 * found.link.alpha:.1f} us a message, "
            f"beta {1e9 * found.link.beta:.2f} ns a byte"
        )
        lines += ["", "the model, for machines like one of these processes", "", found.outlook()]
    else:
        lines += ["", "for more of them, and the outlook: mpiexec -n 2 fastdrop bench --mpi"]
    click.echo("\n".join(lines))


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
