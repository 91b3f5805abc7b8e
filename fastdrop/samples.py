"""Data as a model takes them: what it can read, images, classes, a part of them."""

from __future__ import annotations

from math import isqrt

import numpy as np

from fastdrop.data import Dataset
from fastdrop.models import TEXT_MODELS


def check_readable(data: Dataset, model: str, where: str) -> None:
    """Raise where a model of sentences is given numbers, or the other way round."""
    x = np.asarray(data.x_train)
    sentences = x.ndim == 1 and x.dtype.kind in "OTU"
    if model in TEXT_MODELS and not sentences:
        raise TypeError(
            f"{where}: the model {model} needs sentences, such as the data reviews, "
            f"got samples of {x.dtype} and shape {x.shape[1:]}"
        )
    if sentences and model not in TEXT_MODELS:
        raise TypeError(
            f"{where}: the model {model} needs samples of numbers, got sentences; "
            f"{', '.join(TEXT_MODELS)} are models of these"
        )


def classes(data: Dataset, where: str) -> int:
    """How many classes the labels of both parts make, counted from 0."""
    largest = int(max(data.y_train.max(), data.y_test.max()))
    samples = len(data.y_train) + len(data.y_test)
    # Years or house numbers would need a network of any size.
    if not 0 < largest < samples:
        raise ValueError(
            f"{where}: labels must be those of classes, 0, 1, ..., at least two and no more than "
            f"there are samples, {samples:,}; got {largest} as the largest"
        )
    return largest + 1


def images(data: Dataset, where: str) -> Dataset:
    """Samples as images (N, H, W, C), if that is what they are."""
    given = shape = data.x_train.shape[1:]
    if len(shape) == 1 and isqrt(shape[0]) ** 2 == shape[0]:
        shape = isqrt(shape[0]), isqrt(shape[0])
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3:
        raise ValueError(
            f"{where}: the model cnn needs images, samples of shape (H, W, C), (H, W) or "
            f"(H * H,), got samples of shape {given}"
        )
    x_train, x_test = (x.reshape(-1, *shape) for x in (data.x_train, data.x_test))
    return data._replace(x_train=x_train, x_test=x_test)


def part(data: Dataset, samples: int, seed: int, where: str) -> Dataset:
    """So many of the training samples, each class in its share; a smaller part is
    in every larger one of the same seed."""
    total, least = len(data.y_train), len(np.unique(data.y_train))
    if not least <= samples <= total:
        raise ValueError(
            f"{where}: samples must be from {least}, one for each class, to {total:,}, "
            f"got {samples:,}"
        )
    order = np.random.default_rng(seed).permutation(total)
    order = order[np.argsort(data.y_train[order], kind="stable")]
    counts = np.bincount(data.y_train)
    rank = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    # The first of each class come first, then all by how much of their class is there.
    share = np.where(rank == 0, 0.0, (rank + 0.5) / np.repeat(counts, counts))
    chosen = np.sort(order[np.argsort(share, kind="stable")[:samples]])
    return data._replace(x_train=np.asarray(data.x_train)[chosen], y_train=data.y_train[chosen])


def repeated(data: Dataset, total: int) -> Dataset:
    """The training samples again and again, up to so many."""
    count = len(data.y_train)
    if count == total:
        return data
    places = np.resize(np.arange(count), total)
    return data._replace(x_train=data.x_train[places], y_train=data.y_train[places])
