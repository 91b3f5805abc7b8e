"""`fastdrop compare`: does dropout help?"""

from __future__ import annotations

from typing import Any

import click

from fastdrop.cli.asking import answer
from fastdrop.cli.options import DATA, MACHINE, NETWORK, REPEATED, SHOWN, TRAINING, Several, options


@click.command(cls=Several)
@options(*DATA, *NETWORK, *TRAINING, *REPEATED, *MACHINE, *SHOWN)
def compare(**arguments: Any) -> None:
    """Does dropout help here? Train without it and with it.

    Both arms have the same weights to begin with, and the same batches, seed by
    seed; they differ in dropout alone. Nothing is downloaded; digits come with
    scikit-learn.

    \b
    How to read the answer
        gap         test error minus training error: how much the network overfits;
                    dropout is meant to make it smaller
        ±           standard deviation over the seeds
        test error  what counts; a smaller gap with a larger test error means
                    that the network now learns too little: take a lower rate, more
                    units or more epochs

    The networks of the first seed are saved, too, for `fastdrop plot filters`.

    \b
    Examples
        fastdrop compare
        fastdrop compare --data mine.npz --hidden 256,256 --rate 0.3 --seeds 5
    """
    from fastdrop import experiments

    answer(experiments.compare, **arguments)
