"""The commands: arguments in, the library called, results printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastdrop

if TYPE_CHECKING:
    from fastdrop.experiments import Comparison

try:
    import click
except ImportError:
    sys.exit('fastdrop: the command needs click: `pip install "fastdrop[app]"`')


class _Commands(click.Group):
    """Commands whose errors, and Ctrl-C, are one line each and never a traceback."""

    def main(self, args: Any = None, **extra: Any) -> Any:  # type: ignore[override]
        if not extra.pop("standalone_mode", True):
            return super().main(args, standalone_mode=False, **extra)
        try:
            status = super().main(args, standalone_mode=False, **extra)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "fastdrop"
            _fail(f"{error.format_message().rstrip('.')} (see `{command} --help`)", 2)
        except click.ClickException as error:
            _fail(error.format_message(), error.exit_code)
        except click.Abort:
            _fail("interrupted, nothing was saved", 130)
        sys.exit(status if isinstance(status, int) else 0)


class _Sizes(click.ParamType):
    """Layer sizes with commas between them."""

    name = "sizes"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        words = value.split(",")
        if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
            self.fail(f"{value!r} is not a list of sizes like 512,512", param, ctx)
        return tuple(map(int, words))


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(package_name="fastdrop")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Dropout for NumPy arrays at the speed of a memory copy.

    \b
    Begin with
        fastdrop train
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@main.command()
@click.option(
    "--rate",
    type=click.FloatRange(0, 1),
    default=0.5,
    help="Probability of dropping a hidden unit.",
)
@click.option(
    "--hidden",
    type=_Sizes(),
    default="512,512",
    help="Units of each hidden layer, with commas between them.",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), default=60, help="Passes over the training images."
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=32, help="Images for each step of training."
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0),
    default=0.02,
    help="Of stochastic gradient descent with momentum 0.9.",
)
@click.option(
    "--train-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    help="Share of the images to train on; the others are for the test.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    help="Reproduces everything: first weights, order, masks.",
)
@click.option(
    "--backend",
    type=click.Choice(["cython", "numba", "reference"]),
    show_default="the fastest that is installed",
    help="What computes the masks; they are the same with each.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    show_default="all that the process may use",
    help="The most threads for the masks.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="learning-curves.png",
    help="File (.png, .svg, .pdf) for the learning curves, or a folder for it.",
)
@click.option("--quiet", is_flag=True, help="Show no progress bars.")
def train(
    backend: str | None,
    threads: int | None,
    train_share: float,
    out: Path,
    quiet: bool,
    **settings: Any,
) -> None:
    """Train one network twice on handwritten digits: without dropout, and with it.

    Both runs start from the same weights and see the same images in the same
    order. Prints both test errors side by side and saves the learning curves.
    The digits come with scikit-learn; nothing is downloaded.

    \b
    Examples
        fastdrop train
        fastdrop train --rate 0.3 --hidden 256,256 --seed 7 --out curves.png
    """
    from fastdrop import data, experiments, plots

    try:
        if backend is not None:
            fastdrop.set_backend(backend)
        if threads is not None:
            fastdrop.set_num_threads(threads)
        # Before the training and not after it: these read the environment,
        # and try to write.
        fastdrop.get_backend(), fastdrop.get_num_threads()
        plots.destination(out)
        digits = data.digits(train_share)
        result = experiments.compare(data=digits, progress=not quiet, **settings)
    except (ValueError, ImportError, OSError) as error:
        raise click.UsageError(str(error)) from error
    except FloatingPointError as error:
        raise click.ClickException(str(error)) from error
    click.echo(_table(result))
    try:
        path = plots.save(plots.learning_curves(result), out)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"learning curves: {path}")


def _table(result: Comparison) -> str:
    without, with_dropout = result.without, result.with_dropout
    return f"""\
{result.train_samples:,} digits to train on, {result.test_samples:,} for the test; \
network: {"-".join(map(str, result.sizes))} units

                without dropout   with dropout {result.rate:g}
training error {without.train_error:>14.2%} {with_dropout.train_error:>17.2%}
test error     {without.test_error:>14.2%} {with_dropout.test_error:>17.2%}

epochs {result.epochs}, seed {result.seed}, backend {result.backend}, \
threads {result.threads}, {result.seconds:.1f} seconds"""


def _fail(message: str, status: int) -> None:
    click.echo(f"fastdrop: {message}", err=True)
    sys.exit(status)
