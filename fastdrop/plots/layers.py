"""What a network computes on its way: the layers one after another, none of them fused."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt, prod
from operator import index
from typing import Any

import numpy as np

from fastdrop.mask import MaskStream
from fastdrop.nn import Conv2D, Dense, Sequential
from fastdrop.nn.fusion import NO_TAIL
from fastdrop.nn.layer import Layer, walk
from fastdrop.nn.monte_carlo import _borrowed, _pass


def models_of(models: Any, where: str) -> dict[str, Sequential]:
    """Networks by the names of their arms; one alone has none."""
    found = dict(models) if isinstance(models, Mapping) else {"": models}
    if not found or not all(isinstance(model, Sequential) for model in found.values()):
        raise TypeError(
            f"{where}: models must be a Sequential, or a dict of them by name, got {models!r}"
        )
    return found


def samples_of(model: Sequential, x: Any, where: str) -> np.ndarray:
    """`x` as the network takes it; samples of its size get its shape."""
    if not isinstance(model, Sequential):
        raise TypeError(f"{where}: model must be a Sequential, got {model!r}")
    x, shape = np.asarray(x), sample_shape(model)
    if shape and x.ndim:
        if prod(x.shape[1:]) != prod(shape):
            raise ValueError(
                f"{where}: the network takes samples of shape {shape}, got some of {x.shape[1:]}"
            )
        x = x.reshape(-1, *shape)
    return model._check_samples(x, where).astype(model._takes, copy=False)


def one_sample(model: Sequential, x: Any, where: str) -> np.ndarray:
    """One sample, with an axis of length 1 before it or without, as a batch of one."""
    x = np.asarray(x)
    shape = sample_shape(model) if isinstance(model, Sequential) else ()
    if shape and x.size != prod(shape):
        raise ValueError(
            f"{where}: image must be one sample of shape {shape}, as the network takes it, "
            f"got shape {x.shape}"
        )
    return samples_of(model, x.reshape(1, *(shape or x.shape)), where)


def sample_shape(model: Sequential) -> tuple[int, ...]:
    """Of the samples that a network takes; () as long as that is open."""
    known = [size for size in model._sample or () if size is not None]
    return tuple(known) if len(known) == len(model._sample or ()) else ()


def image_shape(shape: Any, what: str, where: str) -> tuple[int, int, int]:
    """(H, W, C) of a sample: of one with a single axis, that of a square image."""
    size = tuple(shape)
    if len(size) == 1 and isqrt(size[0]) ** 2 == size[0]:
        size = isqrt(size[0]), isqrt(size[0])
    if len(size) == 2:
        size = *size, 1
    if len(size) != 3 or size[2] not in (1, 3):
        raise ValueError(
            f"{where}: {what} must be images (H, W), (H, W, 1), (H, W, 3) or flat square ones, "
            f"got shape {tuple(shape)}"
        )
    return size  # type: ignore[return-value]


def first_weights(model: Sequential, where: str) -> int:
    """Where the first convolution or dense layer is."""
    for place, layer in enumerate(model.layers):
        if isinstance(layer, (Conv2D, Dense)):
            return place
    raise ValueError(f"{where}: layers must hold a Conv2D or a Dense, got none")


def check_place(layer: Any, model: Sequential, where: str) -> int:
    """The place of a layer, as `Sequential.layers` counts it."""
    try:
        place = index(layer)
    except TypeError:
        raise TypeError(f"{where}: layer must be an int, got {layer!r}") from None
    if not 0 <= place < len(model.layers):
        raise ValueError(f"{where}: layer must be from 0 to {len(model.layers) - 1}, got {place}")
    return place


def noisy(layer: Layer) -> bool:
    """Whether the layer, or one in it, draws noise."""
    return any(part.noisy for part in walk([layer]))


def output(model: Sequential, x: np.ndarray, last: int) -> np.ndarray:
    """What layer `last` gives, without noise. The network is left as `predict` leaves it."""
    lengths: np.ndarray | None = None
    try:
        with np.errstate(all="ignore"):
            for layer in model.layers[: last + 1]:
                x, lengths = _pass([(layer, NO_TAIL, False)], x, lengths)
    finally:
        model._forget()
    return x


def with_noise(layer: Layer, x: np.ndarray, rng: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """What a layer of noise makes of `x` in training, and where it drops, if it does. Its own
    random source and its step stay where they are."""
    with np.errstate(all="ignore"), _borrowed([layer], MaskStream(rng)):
        # Not the room that the layer reuses.
        y = _pass([(layer, NO_TAIL, True)], x.copy(), None)[0].copy()
        keep = getattr(getattr(layer, "mask", None), "keep", None)
        kept = keep() if keep else None
    if kept is None or kept.dtype != bool:
        return y, None
    return y, np.broadcast_to(~kept, x.shape)
