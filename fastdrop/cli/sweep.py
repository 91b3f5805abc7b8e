"""`fastdrop sweep`: at what rate, and where?"""

from __future__ import annotations

from typing import Any

import click

from fastdrop.cli.asking import answer
from fastdrop.cli.options import DATA, MACHINE, REPEATED, SHOWN, TRAINING, Rates, Several, options


@click.command(cls=Several)
@click.option(
    "--rates",
    type=Rates(),
    default="0 .2 .5 .8",
    metavar="RATE ...",
    help="Probabilities of dropping.",
)
@click.option(
    "--where",
    type=click.Choice(["input", "hidden", "conv"]),
    default="hidden",
    help="Where dropout is, and nowhere else: on the input (in models of text, of words), behind "
    "hidden layers, behind the convolutions of the cnn.",
)
@click.option(
    "--fixed-active",
    is_flag=True,
    help="Divide the units (of conv: filters) by 1 - rate, so that as many are active as without "
    "dropout; by default the width is what is held fixed.",
)
@options(*DATA, "model", "hidden", *TRAINING, *REPEATED, *MACHINE, *SHOWN)
def sweep(**arguments: Any) -> None:
    """Which rate, and where? Train with dropout of each of several rates.

    \b
    How to read the answer
        too low a rate   the gap between training and test error is large
        too high a rate  the training error rises: the network underfits
        between          the test error is flat; any rate there will do, and
                         differences within ± (over the seeds) are chance

    Srivastava et al. (2014) found it flat from 0.2 to 0.6 on MNIST (figure 9);
    with --fixed-active the optimum is clearer.

    \b
    Examples
        fastdrop sweep --rates 0 .2 .5 .8
        fastdrop sweep --where input --rates 0 .1 .2 .3 --data mine.npz
    """
    from fastdrop import experiments

    answer(experiments.sweep, **arguments)
