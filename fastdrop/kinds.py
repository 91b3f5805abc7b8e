"""Every kind of noise, in the place that dropout has in a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from fastdrop import nn


@dataclass(frozen=True)
class Site:
    """Where one noise stands, in a network that has dropout there, and in which training."""

    layers: Sequence[Any]
    place: int
    shape: tuple[int | None, ...]  # of what comes to it
    rate: float
    samples: int
    steps: int

    @property
    def behind(self) -> Any:
        """The layer that gets the noise: a dense one, if it stands at hidden units."""
        return self.layers[self.place + 1]

    def dense(self, kind: type, *arguments: Any) -> Any:
        """The dense layer behind it, as one of another kind."""
        return kind(self.behind.units, *arguments, l1=self.behind.l1, l2=self.behind.l2)


@dataclass(frozen=True)
class Kind:
    """A kind of noise: the place of the dropout whose layer it replaces, and how.

    With ``before`` and ``after`` it replaces so many layers around it, too.
    """

    place: str
    make: Callable[[Site], nn.Layer]
    before: int = 0
    after: int = 0


def _hidden(make: Callable[[Site], nn.Layer], before: int = 0, after: int = 0) -> Kind:
    return Kind("hidden", make, before, after)


def _deviation(site: Site) -> float:
    """That of dropout's factors."""
    return sqrt(site.rate / (1 - site.rate))


def _block_size(site: Site) -> int:
    """The paper's 7, which is half of its maps; and half of those that are smaller."""
    return max(1, min(7, *(size // 2 for size in site.shape[1:3] if size)))


KINDS = {
    "Dropout": _hidden(lambda site: nn.Dropout(site.rate)),
    "GaussianDropout": _hidden(lambda site: nn.GaussianDropout(site.rate)),
    "GaussianNoise": _hidden(lambda site: nn.GaussianNoise(_deviation(site))),
    "AlphaDropout": _hidden(lambda site: nn.AlphaDropout(site.rate)),
    "CurriculumDropout": _hidden(lambda site: nn.CurriculumDropout(site.rate, steps=site.steps)),
    "AdaptiveDropout": _hidden(lambda site: nn.AdaptiveDropout(site.rate)),
    # Its penalty, as its docstring says, for a loss that is a mean over samples.
    "VariationalDropout": _hidden(
        lambda site: nn.VariationalDropout(site.rate, site.behind.units / site.samples)
    ),
    "ConcreteDropout": _hidden(
        lambda site: nn.ConcreteDropout(
            site.dense(nn.Dense), site.rate, dropout_regularizer=1 / site.samples
        ),
        after=1,
    ),
    "DropConnect": _hidden(lambda site: site.dense(nn.DropConnect, site.rate), after=1),
    # In the place of Dense, ReLU and Dropout; it finds its rates by itself.
    "Standout": _hidden(lambda site: nn.Standout(site.layers[site.place - 2].units), before=2),
    "SpatialDropout2D": Kind("conv", lambda site: nn.SpatialDropout2D(site.rate)),
    "FeatureAlphaDropout": Kind("conv", lambda site: nn.FeatureAlphaDropout(site.rate)),
    "DropBlock2D": Kind("conv", lambda site: nn.DropBlock2D(site.rate, _block_size(site))),
    "EmbeddingDropout": Kind("input", lambda site: site.layers[site.place]),
}


def suited(model: str) -> list[str]:
    """The kinds that can stand in a model of `fastdrop.models`; none in some."""
    places = {
        "mlp": "hidden",
        "regularized": "hidden",
        "cnn": "hidden conv",
        "text": "hidden input",
    }
    kinds = [name for name, kind in KINDS.items() if kind.place in places.get(model, "").split()]
    # There, batch normalisation stands between the dense layer and its ReLU.
    return [name for name in kinds if (name, model) != ("Standout", "regularized")]


def substituted(
    layers: Sequence[nn.Layer], name: str, rate: float, sample: tuple[int, ...], **training: int
) -> list[nn.Layer]:
    """The layers of a model, whose only dropout is at the kind's place, with that kind.

    Parameters
    ----------
    layers : sequence of Layer
    name : str
        One of `KINDS`.
    rate : float
        In [0, 1).
    sample : tuple of int
        Shape of one sample.
    **training : int
        ``samples`` to train on, and ``steps`` of the whole training.
    """
    kind, result, shapes = KINDS[name], list(layers), [(None, *sample)]
    for layer in deepcopy(result):
        shapes.append(layer.build(shapes[-1], np.dtype(np.float32)))
    for place, layer in reversed([*enumerate(layers)]):
        if isinstance(layer, (nn.Dropout, nn.EmbeddingDropout)):
            site = Site(layers, place, shapes[place], rate, **training)
            result[place - kind.before : place + 1 + kind.after] = [kind.make(site)]
    return result
