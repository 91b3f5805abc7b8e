"""The parameters that both estimators have: what they may be, the network they describe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf, sqrt
from typing import Any

import numpy as np

from fastdrop.estimators.terms import EpsilonHat, Momentum
from fastdrop.nn import (
    AdaptiveDropout,
    AlphaDropout,
    Dense,
    Dropout,
    GaussianDropout,
    Layer,
    Loss,
    Optimizer,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
)
from fastdrop.nn.arguments import check_count, check_number
from fastdrop.nn.noise import Noise
from fastdrop.rates import check_rate

# Noise behind a dense layer, which a rate alone describes.
KINDS: dict[str, Callable[[float], Noise]] = {
    "dropout": Dropout,
    "gaussian": GaussianDropout,
    "alpha": AlphaDropout,
    "adaptive": AdaptiveDropout,
}
ACTIVATIONS: dict[str, list[type[Layer]]] = {
    "identity": [],
    "logistic": [Sigmoid],
    "tanh": [Tanh],
    "relu": [ReLU],
}

_CHOICES = {
    "activation": tuple(ACTIVATIONS),
    "solver": ("adam", "sgd", "lbfgs"),
    "learning_rate": ("constant", "invscaling", "adaptive"),
    "kind": tuple(KINDS),
}
_FLAGS = ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping")
# All are at least 0, and below this.
_NUMBERS = {
    "alpha": inf,
    "learning_rate_init": inf,
    "power_t": inf,
    "tol": inf,
    "epsilon": inf,
    "momentum": 1,
    "validation_fraction": 1,
    "beta_1": 1,
    "beta_2": 1,
}
_ABOVE_ZERO = ("learning_rate_init", "epsilon")


def check_parameters(given: Mapping[str, Any], where: str) -> None:
    """Raise for what no fit could use, in one line."""
    for name, known in _CHOICES.items():
        check_choice(given[name], name, known, where)
    for name in _FLAGS:
        if not isinstance(given[name], (bool, np.bool_)):
            raise TypeError(f"{where}: {name} must be a bool, got {given[name]!r}")
    for name, below in _NUMBERS.items():
        if not check_number(given[name], name, where, below) and name in _ABOVE_ZERO:
            raise ValueError(f"{where}: {name} must be above 0, got {given[name]!r}")
    if given["max_norm"] is not None:
        check_number(given["max_norm"], "max_norm", where)
    for name in ("max_iter", "max_fun"):
        check_count(given[name], name, where)
    if given["n_iter_no_change"] != inf:
        check_count(given["n_iter_no_change"], "n_iter_no_change", where)
    if not isinstance(given["batch_size"], str) or given["batch_size"] != "auto":
        check_count(given["batch_size"], "batch_size", where)
    noisy = any(rates(given, where))
    if noisy and given["solver"] == "lbfgs":
        raise ValueError(
            f"{where}: solver must be 'adam' or 'sgd' with dropout, for 'lbfgs' needs a loss "
            "that is the same at each call, got 'lbfgs'"
        )


def check_choice(value: Any, name: str, known: Iterable[str], where: str) -> None:
    known = tuple(known)
    if not isinstance(value, str) or value not in known:
        names = ", ".join(map(repr, known))
        raise ValueError(f"{where}: {name} must be one of {names}, got {value!r}")


def hidden_units(given: Mapping[str, Any], where: str) -> list[int]:
    """Units of each hidden layer."""
    sizes = given["hidden_layer_sizes"]
    sizes = list(sizes) if isinstance(sizes, Iterable) else [sizes]
    return [check_count(size, "hidden_layer_sizes", where) for size in sizes]


def rates(given: Mapping[str, Any], where: str) -> list[float]:
    """Rates of the noise on the input and behind each hidden layer."""
    count, dropout = len(hidden_units(given, where)), given["dropout"]
    first = check_rate(given["input_dropout"], f"{where}: input_dropout")
    if not isinstance(first, float):
        raise TypeError(f"{where}: input_dropout must be one rate, got {given['input_dropout']!r}")
    each = check_rate(dropout, f"{where}: dropout")
    if isinstance(each, float):
        return [first] + [each] * count
    if each.shape != (count,):
        raise ValueError(
            f"{where}: dropout must be one rate or one for each of the {count} hidden layers, "
            f"got {dropout!r}"
        )
    return [first, *each.tolist()]


def network(
    given: Mapping[str, Any], shape: tuple[int, int], loss: Loss, dtype: Any, rng: Any, where: str
) -> Sequential:
    """The network for so many features and outputs, with weights of 0."""
    noise, activation = KINDS[given["kind"]], ACTIVATIONS[given["activation"]]
    first, *others = ([noise(rate)] if rate else [] for rate in rates(given, where))
    layers: list[Layer] = [*first]
    for units, after in zip(hidden_units(given, where), others, strict=True):
        layers.append(Dense(units, init="zeros", max_norm=given["max_norm"]))
        layers += [*(kind() for kind in activation), *after]
    layers.append(Dense(shape[1], init="zeros"))
    return Sequential(
        layers, loss=loss, optimizer=_optimizer(given), rng=rng, dtype=dtype, input_shape=shape[:1]
    )


def start(model: Sequential, activation: str, random: np.random.RandomState) -> None:
    """First weights and biases: those that scikit-learn draws from the same `random`.

    References
    ----------
    Glorot, Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010.
    """
    for layer in dense(model):
        bound = sqrt((2 if activation == "logistic" else 6) / sum(layer.params["weight"].shape))
        for param in layer.params.values():
            param[...] = random.uniform(-bound, bound, param.shape)


def dense(model: Sequential) -> list[Dense]:
    """The layers that have weights."""
    return [layer for layer in model.layers if isinstance(layer, Dense)]


def _optimizer(given: Mapping[str, Any]) -> Optimizer:
    if given["solver"] == "sgd":
        nesterov = bool(given["nesterovs_momentum"]) and given["momentum"] > 0
        return Momentum(given["learning_rate_init"], given["momentum"], nesterov)
    names = ("learning_rate_init", "beta_1", "beta_2", "epsilon")
    return EpsilonHat(*(given[name] for name in names))
