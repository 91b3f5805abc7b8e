"""`fastdrop train`: one network, or the same without dropout and with it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastdrop.cli.group import fail, told
from fastdrop.cli.options import DATA, MACHINE, NETWORK, TRAINING, options, set_machine

if TYPE_CHECKING:
    from fastdrop.experiments import Training
    from fastdrop.setting import Arm


@click.command()
@options(*DATA, *NETWORK, *TRAINING, "seed", *MACHINE)
@click.option(
    "--compare/--no-compare",
    default=None,
    show_default="--compare for mlp on digits without a checkpoint",
    help="Train twice, without dropout and with it, from the same weights and in the same "
    "order; or only with it.",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="File for the network, written after each epoch.",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    help="Checkpoint to go on from, as if never stopped; give all other options as before, or "
    "more epochs.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="learning-curves.png",
    help="File (.png, .svg, .pdf) for the learning curves, or a folder for it.",
)
@click.option(
    "--run",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder for figures and networks, for `fastdrop plot` and `fastdrop report`.",
)
@options("json", "quiet")
@click.pass_context
def train(
    ctx: click.Context,
    backend: str | None,
    threads: int | None,
    compare: bool | None,
    checkpoint: Path | None,
    resume: Path | None,
    out: Path,
    folder: Path | None,
    as_json: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Train a network with dropout, and test it.

    Prints errors and speed, and saves the learning curves. Without options it
    trains on handwritten digits that come with scikit-learn, without dropout
    and with it, in seconds. Nothing is downloaded.

    Started by `mpiexec -n 4 fastdrop train`, four processes train one network
    together, each on its part of every batch: with the same masks, and the same
    result. That needs mpi4py: `pip install "fastdrop[mpi]"`.

    \b
    Models
        mlp          dense layers with ReLU, dropout after each hidden one
        cnn          two convolutions with pools, a hidden layer; for images
        regularized  as mlp, with L1, L2 and batch normalisation, and dropout
                     after the last hidden layer alone
        text         the mean of word vectors, a hidden layer; for sentences
        bigrams      which words and pairs there are, no hidden layer; likewise
        lstm         reads word by word; likewise

    \b
    Examples
        fastdrop train
        fastdrop train --rate 0.3 --hidden 256,256 --seed 7 --out curves.png
        fastdrop train --data mnist --data-dir ~/mnist --model cnn
        fastdrop train --data reviews --model text --compare
        fastdrop train --data mine.npz --checkpoint mine.safetensors
        fastdrop train --data mine.npz --resume mine.safetensors --epochs 90
        mpiexec -n 4 fastdrop train --data mnist --data-dir ~/mnist
    """
    from fastdrop import experiments, plots, runs
    from fastdrop.distributed import launched, world

    rank, size = launched()
    kept = checkpoint or resume
    if compare is None:
        compare = settings["data"] == "digits" and settings["model"] in (None, "mlp") and not kept
    elif compare and kept:
        raise click.UsageError("--compare trains two networks, a checkpoint has one: leave one out")
    settings["progress"] = not quiet
    try:
        with told():
            set_machine(backend, threads)
            # Before the training and not after it.
            plots.destination(out)
            if folder is not None:
                runs.destination(folder)
            comm = world("train") if size > 1 else None
            result = experiments.train(
                compare=compare, checkpoint=checkpoint, resume=resume, comm=comm, **settings
            )
    except experiments.Interrupted as stop:
        words = [ctx.find_root().info_name or "fastdrop", *ctx.obj]
        if resume != checkpoint:
            words += ["--resume", str(checkpoint)]
        if size > 1:
            words = ["mpiexec", "-n", str(size), *words]
        if rank == 0:
            click.echo(err=True)
        fail(f"interrupted; {stop}; to go on: {shlex.join(words)}", 130)
    if rank:
        return
    if as_json:
        click.echo(result.run.to_json())
    else:
        samples = {"digits": "digits", "reviews": "sentences"}.get(settings["data"], "samples")
        click.echo(_report(result, samples))
    try:
        path = plots.save(plots.learning_curves(result), out)
        if folder is not None:
            result.run.save(folder)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        return
    click.echo(f"learning curves: {path}")
    if folder is not None:
        click.echo(f"run: {folder.absolute()}")


def _machine(result: Training) -> str:
    from fastdrop.distributed import launched

    _, processes = launched()
    return f"threads {result.threads}" + (f" in {processes} processes" if processes > 1 else "")


def _report(result: Training, samples: str) -> str:
    def row(name: str, *cells: str) -> str:
        return f"{name:14}" + "".join(f"{cell:>18}" for cell in cells)

    def speed(arm: Arm) -> str:
        return f"{arm.samples_per_second:,.0f}" if arm.samples_per_second else "-"

    arms = result.arms
    labels = [f"{arm.name} {arm.rate:g}" if "without" not in arm.name else arm.name for arm in arms]
    lines = [
        f"{result.train_samples:,} {samples} to train on, {result.test_samples:,} for the test; "
        f"network: {result.network}",
        "",
        row("", *labels),
        row("training error", *(f"{arm.train_error:.2%}" for arm in arms)),
        row("test error", *(f"{arm.test_error:.2%}" for arm in arms)),
        row("test accuracy", *(f"{1 - arm.test_error:.2%}" for arm in arms)),
        row("samples/second", *map(speed, arms)),
        "",
        f"optimizer {result.optimizer}, learning rate {result.learning_rate:g}, "
        f"batch size {result.batch_size}",
        f"epochs {result.epochs}, seed {result.seed}, backend {result.backend}, "
        f"{_machine(result)}, {result.seconds:.1f} seconds",
    ]
    if result.model != "mlp":
        lines = [result.summary, "", *lines]
    return "\n".join(lines)
