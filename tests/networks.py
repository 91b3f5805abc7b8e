"""Small networks, data for them, and what training makes of them."""

import numpy as np

from fastdrop.nn import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPool2D,
    ReLU,
    Sequential,
    SpatialDropout2D,
    Tanh,
)


def samples(count=64, features=8, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((count, features), np.float32), rng.integers(0, classes, count)


def images(count=64, size=10, channels=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((count, size, size, channels), np.float32), rng.integers(0, 3, count)


def network(rng=0, rate=0.5, **settings):
    layers = [Dense(16), ReLU(), Dropout(rate), Dense(3)]
    return Sequential(layers, rng=rng, **settings)


def convolutional(rng=0, **settings):
    """Some of everything, for `images`."""
    layers = [Conv2D(8, 3, padding="same"), BatchNorm(), ReLU(), MaxPool2D(), SpatialDropout2D(0.2)]
    layers += [Conv2D(16, 2), MaxPool2D(), ReLU(), Dropout(0.3), AvgPool2D(2, 1), Flatten()]
    layers += [Dense(32, l2=1e-3), BatchNorm(), Tanh(), Dropout(0.5), Dense(3)]
    return Sequential(layers, rng=rng, **settings)


def kept(model):
    """Everything that training changes, as bytes."""
    parts = [array for kind in ("params", "state") for array in model._collect(kind).values()]
    return b"".join(array.tobytes() for array in parts)


def fitted(model, x, y, **settings):
    """The history of a silent run."""
    return model.fit(x, y, verbose=False, **settings).history
