"""`fastdrop family`: which kind of noise?"""

from __future__ import annotations

from typing import Any

import click

from fastdrop.cli.asking import answer
from fastdrop.cli.options import DATA, MACHINE, NETWORK, REPEATED, SHOWN, TRAINING, Several, options


@click.command(cls=Several)
@options(*DATA, *NETWORK, *TRAINING, *REPEATED, *MACHINE, *SHOWN)
def family(**arguments: Any) -> None:
    """Which kind of noise? Train the same network with every kind, and without any.

    Bernoulli and Gaussian, alpha, curriculum, adaptive, variational and concrete
    dropout, DropConnect, standout; whole maps and blocks in the cnn, words in the
    model text. All have the same rate; those that learn theirs begin there.

    \b
    How to read the answer
        test error  kinds within ± (over the seeds) of each other are as good as
                    each other; most are, at a rate that suits them
        gap         how much the network still overfits

    AlphaDropout is made for SELU networks, and these have ReLU.

    \b
    Examples
        fastdrop family
        fastdrop family --data mine.npz --model cnn --rate 0.25 --seeds 5
    """
    from fastdrop import experiments

    answer(experiments.family, **arguments)
