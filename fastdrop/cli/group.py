"""The command `fastdrop`, whose parts are imported when they are asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from fastdrop.distributed.launch import launched

try:
    import click
except ImportError:
    sys.exit('fastdrop: the command needs click: `pip install "fastdrop[app]"`')

# In the order of the help: fastdrop.cli.NAME has the command NAME.
COMMANDS = (
    *("train", "compare", "sweep", "datasize", "tune", "family"),
    *("predict", "plot", "report", "bench", "info"),
)


class _Commands(click.Group):
    """Commands whose errors, and Ctrl-C, are one line each and never a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return getattr(import_module(f"fastdrop.cli.{cmd_name}"), cmd_name)

    def main(self, args: Any = None, **extra: Any) -> Any:  # type: ignore[override]
        if not extra.pop("standalone_mode", True):
            return super().main(args, standalone_mode=False, **extra)
        words = sys.argv[1:] if args is None else list(args)
        # Under mpiexec every process runs the command: one that does not train together says
        # what it has to say once.
        together = words[:1] == ["train"] or {"bench", "--mpi"} <= {*words}
        if launched()[0] and (not together or {"-h", "--help"} & {*words}):
            sys.exit(0)
        try:
            status = super().main(words, standalone_mode=False, obj=words, **extra)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "fastdrop"
            fail(f"{error.format_message().rstrip('.')} (see `{command} --help`)", 2)
        except click.ClickException as error:
            fail(error.format_message(), error.exit_code)
        except click.Abort:
            fail("interrupted, nothing was saved", 130)
        sys.exit(status if isinstance(status, int) else 0)


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
        fastdrop compare --help
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def fail(message: str, status: int) -> None:
    """End the program with one line, of all processes of mpiexec the first one's."""
    if launched()[0] == 0:
        click.echo(f"fastdrop: {message}", err=True)
    sys.exit(status)


@contextmanager
def told() -> Iterator[None]:
    """What the library raises, as one line: status 2 for bad input, 1 for what happened later."""
    try:
        yield
    except (TypeError, ValueError, ImportError, OSError) as error:
        raise click.UsageError(str(error)) from error
    except (FloatingPointError, MemoryError) as error:
        raise click.ClickException(str(error)) from error
