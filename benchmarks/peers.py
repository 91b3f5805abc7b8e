"""Dropout as users of other libraries write it, forward and backward.

A shared draw is written as each library's users do: a mask of the mask's own
shape that broadcasts (TensorFlow's ``noise_shape``, the "locked" dropout of
PyTorch programs). Backward is the library's own, with what it saved.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.machine import version_of

# What a builder gives: the forward call and the backward call.
Calls = tuple[Callable[[], Any], Callable[[], Any]]


def _numpy_binomial(np_: ModuleType, x: np.ndarray, rate: float, own: tuple[int, ...]) -> Calls:
    mask = np.random.binomial(1, 1 - rate, own)
    return (
        lambda: x * np.random.binomial(1, 1 - rate, own) / (1 - rate),
        lambda: x * mask / (1 - rate),
    )


def _numpy_uniform(np_: ModuleType, x: np.ndarray, rate: float, own: tuple[int, ...]) -> Calls:
    rng = np.random.default_rng(0)
    scale = x.dtype.type(1 / (1 - rate))
    mask = rng.random(own, dtype=np.float32) < 1 - rate
    return (
        lambda: x * (rng.random(own, dtype=np.float32) < 1 - rate) * scale,
        lambda: x * mask * scale,
    )


def _numpy_double(np_: ModuleType, x: np.ndarray, rate: float, own: tuple[int, ...]) -> Calls:
    two = x.dtype.type(2)
    return lambda: two * x, lambda: two * x


def _torch(torch: ModuleType, x: np.ndarray, rate: float, own: tuple[int, ...]) -> Calls:
    dropout = torch.nn.functional.dropout
    tensor = torch.from_numpy(x)
    tracked = tensor.clone().requires_grad_()

    def forward(x):
        if own == tuple(x.shape):
            return dropout(x, rate)
        return x * x.new_empty(own).bernoulli_(1 - rate).div_(1 - rate)

    y = forward(tracked)
    return (
        lambda: forward(tensor),
        lambda: torch.autograd.grad(y, tracked, tensor, retain_graph=True)[0],
    )


def _tensorflow(
    tf: ModuleType,
    x: np.ndarray,
    rate: float,
    own: tuple[int, ...],
    compiled: Callable[[ModuleType, Callable], Callable] = lambda tf, function: function,
) -> Calls:
    tensor = tf.constant(x)
    forward = compiled(tf, lambda x: tf.nn.dropout(x, rate, noise_shape=own))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tensor)
        y = forward(tensor)
    return lambda: forward(tensor), lambda: tape.gradient(y, tensor, tensor)


def _tf_graph(tf: ModuleType, function: Callable) -> Callable:
    return tf.function(function)


def _tf_xla(tf: ModuleType, function: Callable) -> Callable:
    return tf.function(function, jit_compile=True)


def _jax(
    jax: ModuleType,
    x: np.ndarray,
    rate: float,
    own: tuple[int, ...],
    generator: str = "threefry2x32",
) -> Calls:
    # One key for every call: a new one each time would cost more.
    key, tensor = jax.random.key(0, impl=generator), jax.numpy.asarray(x)

    @jax.jit
    def forward(key, x):
        return jax.numpy.where(jax.random.bernoulli(key, 1 - rate, own), x / (1 - rate), 0)

    _, pullback = jax.vjp(partial(forward, key), tensor)
    backward = jax.jit(lambda pullback, dy: pullback(dy)[0])
    return (
        lambda: forward(key, tensor).block_until_ready(),
        lambda: backward(pullback, tensor).block_until_ready(),
    )


@dataclass(frozen=True)
class Peer:
    """One way to write dropout in one library."""

    name: str
    package: str
    build: Callable[[ModuleType, np.ndarray, float, tuple[int, ...]], Calls]

    def calls(self, x: np.ndarray, rate: float, own: tuple[int, ...], threads: int) -> Calls:
        """``(forward, backward)`` on `x`, ready to be timed."""
        return self.build(load(self.package, threads), x, rate, own)

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


PEERS = (
    Peer("NumPy binomial", "numpy", _numpy_binomial),
    Peer("NumPy random", "numpy", _numpy_uniform),
    Peer("PyTorch", "torch", _torch),
    Peer("TensorFlow", "tensorflow", _tensorflow),
    Peer("TensorFlow graph", "tensorflow", partial(_tensorflow, compiled=_tf_graph)),
    Peer("TensorFlow XLA", "tensorflow", partial(_tensorflow, compiled=_tf_xla)),
    Peer("JAX", "jax", _jax),
    Peer("JAX rbg", "jax", partial(_jax, generator="rbg")),
)

# No dropout: the copy as users write it, on one thread and into a fresh array.
DOUBLE = Peer("NumPy 2 * x", "numpy", _numpy_double)


def installed(package: str | None = None) -> list[Peer]:
    """The peers that are here, or those of one package."""
    return [
        peer
        for peer in PEERS
        if package in (None, peer.package) and find_spec(peer.package) is not None
    ]


def packages() -> list[str]:
    """The packages of the peers that are here."""
    return list(dict.fromkeys(peer.package for peer in installed()))


def supports(package: str, dtype: str) -> bool:
    """JAX computes float64 only by a switch of the whole process: not touched here."""
    return package != "jax" or dtype == "float32"


def load(package: str, threads: int) -> ModuleType:
    """Import a package and tell it how many threads to use.

    JAX cannot be told: it takes every processor that it may run on.
    """
    if package == "tensorflow":
        # Before the import, or it prints a page about the processor.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = import_module(package)
    if package == "torch":
        module.set_num_threads(threads)
    elif package == "tensorflow":
        threading = module.config.threading
        if threading.get_intra_op_parallelism_threads() != threads:
            threading.set_intra_op_parallelism_threads(threads)
    return module


def label(peer: Peer) -> str:
    """Name and version, as a table shows them."""
    library, _, form = peer.name.partition(" ")
    return " ".join(filter(None, (library, version_of(peer.package), form)))
