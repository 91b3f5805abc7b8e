"""The commands: arguments in, the library called, results printed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastdrop

if TYPE_CHECKING:
    from fastdrop.experiments import Arm, Training

try:
    import click
except ImportError:
    sys.exit('fastdrop: the command needs click: `pip install "fastdrop[app]"`')


class _Commands(click.Group):
    """Commands whose errors, and Ctrl-C, are one line each and never a traceback."""

    def main(self, args: Any = None, **extra: Any) -> Any:  # type: ignore[override]
        if not extra.pop("standalone_mode", True):
            return super().main(args, standalone_mode=False, **extra)
        words = sys.argv[1:] if args is None else list(args)
        try:
            status = super().main(words, standalone_mode=False, obj=words, **extra)
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
    "--data",
    default="digits",
    metavar="digits|mnist|fashion_mnist|reviews|PATH",
    help="Images or sentences that have a name, or one's own data: an .npz file, or a folder of "
    ".npy files, with the arrays x_train, y_train, x_test and y_test, or x and y.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    show_default="what FASTDROP_DATA says",
    help="Folder of the four files of mnist or fashion_mnist (train-images-idx3-ubyte.gz, ...), "
    "or of rt-polarity.pos and rt-polarity.neg, or one with a folder mnist, fashion_mnist or "
    "rt-polarity in it. Without it, reviews are 200 sentences that come with fastdrop.",
)
@click.option(
    "--train-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    help="Share of x and y, and of the digits, to train on; the rest is for the test.",
)
@click.option(
    "--model",
    type=click.Choice(["mlp", "cnn", "regularized", "text", "bigrams", "lstm"]),
    show_default="text for reviews, else mlp",
    help="What is trained: see above.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1),
    default=0.5,
    help="Probability of dropping a hidden unit, or in models of text a word; in the cnn, pixels "
    "of feature maps are dropped with half of it.",
)
@click.option(
    "--hidden",
    type=_Sizes(),
    show_default="128 for cnn, 100 for text, none for bigrams, 64 for lstm, else 512,512",
    help="Units of each hidden layer, with commas between them.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    show_default="60; 10 from 10,000 samples or 1,000 sentences on",
    help="Passes over the training samples.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    show_default="32; 128 from 10,000 samples on",
    help="Samples for each step of training.",
)
@click.option(
    "--optimizer",
    type=click.Choice(["sgd", "adam", "adamw", "rmsprop"]),
    show_default="sgd for mlp on digits, else adam",
    help="The rule of a step; sgd has momentum 0.9.",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0),
    show_default="0.02 for sgd, else 0.001",
    help="How far a step goes.",
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
    help="The most threads that compute.",
)
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
@click.option("--quiet", is_flag=True, help="Show no progress bars.")
@click.pass_context
def train(
    ctx: click.Context,
    backend: str | None,
    threads: int | None,
    compare: bool | None,
    checkpoint: Path | None,
    resume: Path | None,
    out: Path,
    quiet: bool,
    **settings: Any,
) -> None:
    """Train a network with dropout, and test it.

    Prints errors and speed, and saves the learning curves. Without options it
    trains on handwritten digits that come with scikit-learn, without dropout
    and with it, in seconds. Nothing is downloaded.

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
    """
    from fastdrop import experiments, plots

    kept = checkpoint or resume
    if compare is None:
        compare = settings["data"] == "digits" and settings["model"] in (None, "mlp") and not kept
    elif compare and kept:
        raise click.UsageError("--compare trains two networks, a checkpoint has one: leave one out")
    settings["progress"] = not quiet
    try:
        if backend is not None:
            fastdrop.set_backend(backend)
        if threads is not None:
            fastdrop.set_num_threads(threads)
        # Before the training and not after it: these read the environment,
        # and try to write.
        fastdrop.get_backend(), fastdrop.get_num_threads()
        plots.destination(out)
        result = (
            experiments.compare(**settings)
            if compare
            else experiments.train(checkpoint=checkpoint, resume=resume, **settings)
        )
    except (TypeError, ValueError, ImportError, OSError) as error:
        raise click.UsageError(str(error)) from error
    except (FloatingPointError, MemoryError) as error:
        raise click.ClickException(str(error)) from error
    except experiments.Interrupted as stop:
        words = [ctx.find_root().info_name or "fastdrop", *ctx.obj]
        if resume != checkpoint:
            words += ["--resume", str(checkpoint)]
        click.echo(err=True)
        _fail(f"interrupted; {stop}; to go on: {shlex.join(words)}", 130)
    samples = {"digits": "digits", "reviews": "sentences"}.get(settings["data"], "samples")
    click.echo(_report(result, samples))
    try:
        path = plots.save(plots.learning_curves(result), out)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"learning curves: {path}")


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
        f"threads {result.threads}, {result.seconds:.1f} seconds",
    ]
    if result.model != "mlp":
        lines = [result.summary, "", *lines]
    return "\n".join(lines)


def _fail(message: str, status: int) -> None:
    click.echo(f"fastdrop: {message}", err=True)
    sys.exit(status)
