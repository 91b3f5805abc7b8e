"""`fastdrop tune`: how large a network, and then how much dropout?"""

from __future__ import annotations

from typing import Any

import click

from fastdrop.cli.asking import answer
from fastdrop.cli.options import DATA, MACHINE, REPEATED, SHOWN, TRAINING, Several, options


@click.command(cls=Several)
@click.option("--layers", type=click.IntRange(min=1), default=2, help="How many hidden layers.")
@click.option(
    "--start", type=click.IntRange(min=1), default=16, help="Units of a layer to begin with."
)
@click.option(
    "--most", type=click.IntRange(min=1), default=2048, help="Most units of a layer to try."
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    help="Probability of dropping a hidden unit.",
)
@click.option(
    "--input-rate",
    type=click.FloatRange(0, 0.25),
    default=0.25,
    help="Probability of dropping an input, tried besides; 0 leaves that out.",
)
@options(*DATA, "model", *TRAINING, *REPEATED, *MACHINE, *SHOWN)
def tune(**arguments: Any) -> None:
    """How large a network, and how much dropout? Hinton's recipe.

    Doubles the hidden layers, without dropout, until the training samples are
    fitted: at most one in a thousand wrong, with every seed. Then trains that size
    with dropout of its hidden units, and with dropout of the input besides.

    \b
    How to read the answer
        without dropout  the training error falls to 0 as the layers grow; the test
                         error, far above it, is what dropout has to lower
        with dropout     a training error well above 0 leaves room for more units or
                         epochs; a lower --rate does as well

    \b
    Examples
        fastdrop tune
        fastdrop tune --data mine.npz --layers 1 --start 32 --epochs 100
    """
    from fastdrop import experiments

    answer(experiments.tune, **arguments)
