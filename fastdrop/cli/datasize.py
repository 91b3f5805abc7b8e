"""`fastdrop datasize`: with how many training samples does dropout help?"""

from __future__ import annotations

from typing import Any

import click

from fastdrop.cli.asking import answer
from fastdrop.cli.options import (
    DATA,
    MACHINE,
    NETWORK,
    REPEATED,
    SHOWN,
    TRAINING,
    Several,
    Sizes,
    options,
)


@click.command(cls=Several)
@click.option(
    "--sizes",
    type=Sizes(),
    metavar="SIZE ...",
    show_default="all, half of them, and so on, six in all",
    help="Numbers of training samples.",
)
@options("input-rate", *DATA, *NETWORK, *TRAINING, *REPEATED, *MACHINE, *SHOWN)
def datasize(**arguments: Any) -> None:
    """How much data does dropout need? Train without and with it on ever more samples.

    Each seed draws its samples, each class in its share; all sizes are trained for
    as many steps.

    \b
    How to read the answer
        few samples   dropout helps little: they are learned by heart, noise or not
        more          it helps most where the network overfits but can still learn
        very many     it helps less again: there is little left to overfit

    Beyond the end of the curve lies what more data of yours would bring, with
    dropout and without it. The experiment is figure 10 of Srivastava et al. (2014).

    \b
    Examples
        fastdrop datasize
        fastdrop datasize --data mnist --sizes 100 500 1000 5000 10000 50000
    """
    from fastdrop import experiments

    answer(experiments.datasize, **arguments)
