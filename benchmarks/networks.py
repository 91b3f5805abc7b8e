"""Two networks, the same in fastdrop, PyTorch and Keras, each trained as its users do.

Every library trains in a process of its own, so none is imported at the top,
nor any module that imports one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from itertools import cycle
from timeit import Timer
from typing import Any

import numpy as np

# Kinds of layers with their sizes, in and out, or their rate.
NETWORKS = {
    "MLP": (
        ("dropout", 0.2),
        *(("dense", 784, 1024), ("relu",), ("dropout", 0.5)),
        *(("dense", 1024, 1024), ("relu",), ("dropout", 0.5)),
        ("dense", 1024, 10),
    ),
    "CNN": (
        *(("conv", 1, 32), ("relu",), ("pool",), ("dropout", 0.25)),
        *(("conv", 32, 64), ("relu",), ("pool",), ("dropout", 0.25)),
        ("flatten",),
        *(("dense", 1600, 128), ("relu",), ("dropout", 0.5)),
        ("dense", 128, 10),
    ),
}
SAMPLES = {"MLP": (784,), "CNN": (28, 28, 1)}
CLASSES = 10
BATCH = 128

# With and without; the keys are what tables say.
VARIANTS = {"dropout": True, "no dropout": False}


@dataclass(frozen=True)
class Case:
    """What is trained, and by which rule."""

    network: str
    optimizer: str
    dropout: bool = True

    @property
    def sample(self) -> tuple[int, ...]:
        return SAMPLES[self.network]

    def numbers(self, batches: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Noise and labels that mean nothing, (batches, batch, ...): the same for all."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((batches, batch, *self.sample), np.float32)
        return x, rng.integers(0, CLASSES, (batches, batch))

    def stack(self, kinds: dict[str, Callable]) -> list:
        """The layers, in a library's own."""
        layers = NETWORKS[self.network]
        return [kinds[kind](*sizes) for kind, *sizes in layers if self.dropout or kind != "dropout"]


@dataclass(frozen=True)
class Training:
    """A network in training.

    ``step`` trains on the next batch and gives its loss as a Python number, as
    loops report it; ``run``, where there is one, takes so many steps at once.
    """

    step: Callable[[], float]
    parameters: int
    run: Callable[[int], Any] | None = None

    def timeit(self, number: int) -> float:
        """Seconds of `number` steps, with garbage collected as ever, which `Timer` stops."""
        collect = "import gc; gc.enable()"
        if self.run is not None:
            return Timer(partial(self.run, number), collect).timeit(1)
        return Timer(self.step, collect).timeit(number)


def _around(train: Callable[[Any, Any], Any], x: Any, y: Any) -> Callable[[], float]:
    """A step on one batch after the other, and from the first again."""
    batches = cycle(zip(x, y, strict=True))
    return lambda: float(train(*next(batches)))


def load_fastdrop(threads: int) -> Any:
    import fastdrop
    from fastdrop import nn
    from fastdrop.kernels.layers import layer_kernels

    fastdrop.set_num_threads(threads)
    layer_kernels()  # SciPy comes with them: else at the first step
    return nn


def fastdrop_model(nn: Any, case: Case) -> Any:
    kinds = {
        "conv": lambda channels, filters: nn.Conv2D(filters, 3),
        "pool": lambda: nn.MaxPool2D(2),
        "flatten": nn.Flatten,
        "dense": lambda features, units: nn.Dense(units),
        "relu": nn.ReLU,
        "dropout": nn.Dropout,
    }
    rules = {"SGD": lambda: nn.SGD(0.01, momentum=0.9), "Adam": nn.Adam}
    rule = rules[case.optimizer]()
    return nn.Sequential(case.stack(kinds), optimizer=rule, rng=0, input_shape=case.sample)


def train_fastdrop(nn: Any, case: Case, x: np.ndarray, y: np.ndarray) -> Training:
    model = fastdrop_model(nn, case)
    parameters = sum(array.size for layer in model.layers for array in layer.params.values())
    return Training(_around(model.train_batch, x, y), parameters)


def load_torch(threads: int) -> Any:
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    return torch


def train_torch(
    torch: Any, case: Case, x: np.ndarray, y: np.ndarray, change: Callable | None = None
) -> Training:
    """With `change`, the model as that makes it."""
    nn = torch.nn
    kinds = {
        "conv": lambda channels, filters: nn.Conv2d(channels, filters, 3),
        "pool": lambda: nn.MaxPool2d(2),
        "flatten": nn.Flatten,
        "dense": nn.Linear,
        "relu": nn.ReLU,
        "dropout": nn.Dropout,
    }
    rules = {"SGD": partial(torch.optim.SGD, lr=0.01, momentum=0.9), "Adam": torch.optim.Adam}
    model = nn.Sequential(*case.stack(kinds))
    if change is not None:
        model = change(model)
    optimizer = rules[case.optimizer](model.parameters())

    def train(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    if case.network == "CNN":
        # Channels come first there; with one channel that is the same memory, and
        # PyTorch goes on with channels last, which is quicker here.
        x = np.moveaxis(x, -1, 2)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Training(_around(train, torch.from_numpy(x), torch.from_numpy(y)), parameters)


def load_keras(threads: int) -> Any:
    # Read by the imports; TensorFlow prints a page about the processor.
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="2")
    import keras
    import tensorflow

    threading = tensorflow.config.threading
    if threading.get_intra_op_parallelism_threads() != threads:
        threading.set_intra_op_parallelism_threads(threads)
    keras.utils.set_random_seed(0)
    return keras


def keras_model(keras: Any, case: Case) -> Any:
    """Compiled as Keras does by default."""
    layers, optimizers = keras.layers, keras.optimizers
    kinds = {
        "conv": lambda channels, filters: layers.Conv2D(filters, 3),
        "pool": lambda: layers.MaxPooling2D(2),
        "flatten": layers.Flatten,
        "dense": lambda features, units: layers.Dense(units),
        "relu": layers.ReLU,
        "dropout": layers.Dropout,
    }
    rules = {"SGD": lambda: optimizers.SGD(0.01, momentum=0.9), "Adam": optimizers.Adam}
    model = keras.Sequential([keras.Input(case.sample), *case.stack(kinds)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(rules[case.optimizer](), loss)
    return model


def train_keras(keras: Any, case: Case, x: np.ndarray, y: np.ndarray) -> Training:
    model = keras_model(keras, case)
    return Training(_around(model.train_on_batch, x, y), model.count_params())


def fit_keras(keras: Any, case: Case, x: np.ndarray, y: np.ndarray) -> Training:
    """Steps inside ``model.fit``, on batches that ``tf.data`` has in memory."""
    from tensorflow import data

    model = keras_model(keras, case)
    batches = data.Dataset.from_tensor_slices((x, y)).repeat().prefetch(data.AUTOTUNE)

    def run(number):
        return model.fit(batches, steps_per_epoch=number, shuffle=False, verbose=0)

    return Training(lambda: run(1).history["loss"][0], model.count_params(), run)


@dataclass(frozen=True)
class Library:
    """A library and a way to train in it."""

    packages: tuple[str, ...]
    load: Callable[[int], Any]
    train: Callable[[Any, Case, np.ndarray, np.ndarray], Training]


LIBRARIES = {
    "fastdrop": Library(("fastdrop",), load_fastdrop, train_fastdrop),
    "PyTorch": Library(("torch",), load_torch, train_torch),
    "Keras fit": Library(("keras", "tensorflow"), load_keras, fit_keras),
    "Keras train_on_batch": Library(("keras", "tensorflow"), load_keras, train_keras),
}


def installed() -> list[str]:
    """The libraries that are here, fastdrop first."""
    return [name for name, library in LIBRARIES.items() if all(map(find_spec, library.packages))]


def label(name: str) -> str:
    """A library's name and way with its version, as a table shows them."""
    if name == "fastdrop":
        return name
    library, _, way = name.partition(" ")
    return f"{library} {version(LIBRARIES[name].packages[0])} {way}".strip()
