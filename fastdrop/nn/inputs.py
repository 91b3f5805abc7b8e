"""What `Sequential` takes: layers, a loss, data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from fastdrop.nn.arguments import check_count, check_number
from fastdrop.nn.callbacks import Callback
from fastdrop.nn.layer import Layer


def check_samples(x: Any, where: str) -> np.ndarray:
    """`x` as an array of real numbers with at least one sample."""
    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"{where}: x must hold real numbers, got {x.dtype}")
    if x.ndim == 0 or len(x) == 0:
        raise ValueError(f"{where}: x must hold at least one sample, got shape {x.shape}")
    return x


def check_two(data: Any, name: str, where: str) -> tuple[Any, Any]:
    """`data` as a pair."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError(f"{where}: {name} must be (x, y), got {type(data).__name__}")
    return data[0], data[1]


def part(samples: int, share: Any, where: str) -> int:
    """Where the last `share` of so many samples begins."""
    share = check_number(share, "validation_split", where, below=1)
    begin = samples - int(samples * share)
    if share and not 0 < begin < samples:
        raise ValueError(
            f"{where}: validation_split {share:g} of {samples} samples leaves a part empty"
        )
    return begin


def check_weights(sample_weight: Any, samples: int, dtype: Any, where: str) -> np.ndarray | None:
    """`sample_weight` as an array of `dtype`, a number of at least 0 for each sample."""
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight)
    if weights.dtype.kind not in "fiub":
        raise TypeError(f"{where}: sample_weight must hold real numbers, got {weights.dtype}")
    if weights.shape != (samples,):
        raise ValueError(
            f"{where}: sample_weight must hold one weight for each of {samples} samples, "
            f"shape ({samples},), got shape {weights.shape}"
        )
    weights = weights.astype(dtype, copy=False)
    # Written so that NaN fails.
    right = (weights >= 0) & (weights < np.inf)
    if not right.all():
        raise ValueError(
            f"{where}: sample_weight must be finite and at least 0, got {weights[~right][0]}"
        )
    return weights


def class_weights(class_weight: Any, y: np.ndarray, dtype: Any, where: str) -> np.ndarray | None:
    """A weight for each of the labels `y`; classes that are not named weigh 1."""
    if class_weight is None:
        return None
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"{where}: class_weight must be a dict, got {class_weight!r}")
    if y.dtype.kind not in "iub" or y.size != len(y):
        raise TypeError(f"{where}: class_weight needs integer labels, got {y.dtype} {y.shape}")
    y = y.reshape(-1)
    weights = np.ones(len(y), dtype)
    for label, weight in class_weight.items():
        if not isinstance(label, Real) or label not in y:
            raise ValueError(f"{where}: class_weight names {label!r}, which is no label in y")
        weights[y == label] = check_number(weight, f"class_weight[{label!r}]", where)
    return weights


def check_layers(layers: Iterable[Layer], where: str) -> list[Layer]:
    if not isinstance(layers, Iterable):
        raise TypeError(f"{where}: layers must be a list of layers, got {layers!r}")
    layers = list(layers)
    if not layers:
        raise ValueError(f"{where}: layers must hold at least one layer, got none")
    for position, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise TypeError(f"{where}: layers[{position}] must be a layer, got {layer!r}")
        if any(layer is other for other in layers[:position]):
            raise ValueError(
                f"{where}: layers must hold each layer once, got the same "
                f"{type(layer).__name__} again at {position}"
            )
    return layers


def check_sizes(shape: Any, where: str) -> tuple[int, ...]:
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"{where}: input_shape must be a tuple of ints, got {shape!r}")
    return tuple(check_count(size, "input_shape", where) for size in shape)


def named(given: Any, what: str, known: dict[str, Any], kind: type, where: str) -> Any:
    """`given` itself, an instance of `kind`, or what it names among `known`."""
    if isinstance(given, kind):
        return given
    if not isinstance(given, str) or given not in known:
        names = ", ".join(map(repr, sorted(known)))
        raise ValueError(f"{where}: {what} must be one of {names} or an instance, got {given!r}")
    return known[given]()


def check_callbacks(callbacks: Iterable[Callback], where: str) -> list[Callback]:
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"{where}: callbacks must be a list of Callback objects, got {callbacks!r}")
    callbacks = list(callbacks)
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(f"{where}: callbacks must be Callback objects, got {callback!r}")
    return callbacks


def blame(x: np.ndarray) -> str:
    """What most likely made a loss NaN or infinite."""
    if not np.isfinite(x).all():
        return "x has NaN or infinite values in it"
    return "a smaller learning_rate may help"
