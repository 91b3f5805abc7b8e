"""A training step of each network with pytest-benchmark, beside the peers'.

With ``--quick`` the networks are checked: that they are the same ones in every
library, and that they learn; nothing of it while time is taken.
"""

from __future__ import annotations

from math import log

import pytest

import fastdrop
from benchmarks import machine, networks
from benchmarks.networks import LIBRARIES, NETWORKS, VARIANTS, Case
from benchmarks.training import TINY

# Added up by hand: 784-1024-1024-10, and 3 x 3 x 1 x 32, 3 x 3 x 32 x 64, 1600-128-10.
PARAMETERS = {"MLP": 1_863_690, "CNN": 225_034}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("library", networks.installed())
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("network", NETWORKS)
def test_step(network, optimizer, variant, library, benchmark, pytestconfig):
    quick = pytestconfig.getoption("quick")
    threads = fastdrop.get_num_threads()
    how, case = LIBRARIES[library], Case(network, optimizer, VARIANTS[variant])
    sizes = (1, TINY) if quick else (8, networks.BATCH)
    training = how.train(how.load(threads), case, *case.numbers(*sizes))
    benchmark.group = f"{network} {optimizer} {variant}"
    benchmark.extra_info.update(threads=threads, isa=machine.isa(), commit=machine.commit())
    first = benchmark(training.step)
    if quick:
        assert training.parameters == PARAMETERS[network]
        assert 1 < first < 5 * log(networks.CLASSES)
        for _ in range(50):
            last = training.step()
        assert last < first / 2


def test_layers_without_dropout():
    words = {word: lambda *sizes, word=word: word for word, *_ in NETWORKS["CNN"]}
    layers = Case("CNN", "SGD", dropout=False).stack(words)
    block = ["conv", "relu", "pool"]
    assert layers == [*block, *block, "flatten", "dense", "relu", "dense"]
    assert Case("CNN", "SGD").stack(words).count("dropout") == 3
