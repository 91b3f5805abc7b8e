"""What every layer is: parameters, their gradients, forward and backward."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import numpy as np

from fastdrop.nn.sources import Sources
from fastdrop.share import Share

Shape = tuple[int | None, ...]

_REAL = np.dtype(np.float32), np.dtype(np.float64)


class Layer:
    """A layer: ``forward`` computes and remembers, ``backward`` takes a gradient back.

    Attributes
    ----------
    params : dict of str to ndarray
        What is trained, by name. Empty until `build`, and for layers that
        learn nothing.
    grads : dict of str to ndarray
        Gradients of the loss by the parameters, from the last `backward`, in
        buffers that the next one overwrites.
    state : dict of str to ndarray
        What is kept with the parameters, but not trained.
    where : str
        What errors call the layer. `Sequential` puts the position in it.
    takes_indices : bool
        Whether the input is integers, such as those of words. `Sequential`
        converts samples to its dtype unless its first layer takes indices.
    takes_lengths : bool
        Whether ``forward(x, training, lengths=...)`` takes the lengths of the
        sequences (N, T, ...), int64 (N,); what is beyond them is padding.
    lengths : ndarray or None
        Those that a layer found in the input of the last `forward`, for all that
        follow it as long as there is a time axis.
    share : Share or None
        In a training of several processes, which rows of the batch `forward` gets:
        a layer that draws draws those of the whole batch's mask.

    Notes
    -----
    A layer used alone is built at its first call, in that call's dtype and
    from its own ``rng``. An argument of the constructor is an attribute of the
    same name: `config` reads it there.
    """

    takes_indices = False
    takes_lengths = False

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self.state: dict[str, np.ndarray] = {}
        self.where = type(self).__name__
        self.lengths: np.ndarray | None = None
        # Between the steps of a training, results are written into the same
        # arrays again: fresh ones of megabytes cost page faults.
        self.reuses = False
        # Nobody goes back: what only a backward pass asks for is not looked for.
        self.forward_only = False
        self.share: Share | None = None
        self._rooms: dict[str, np.ndarray] = {}

    @property
    def noisy(self) -> bool:
        """Whether ``training=True`` draws noise: Monte Carlo dropout leaves it on
        in these layers, and in no others."""
        return False

    @property
    def inner(self) -> list[Layer]:
        """The layers that this one is made of."""
        return []

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        """Make the parameters, unless they are there, and give the output's shape.

        Parameters
        ----------
        input_shape : tuple of int or None
            With the batch axis, which may be None.
        dtype : numpy.dtype
            Of the parameters: float32 or float64.
        sources : Sources, optional
            Where weights and masks come from, unless the layer has an ``rng``
            of its own.

        Returns
        -------
        tuple of int or None
            Shape of what `forward` returns.

        Raises
        ------
        ValueError
            If the layer cannot take arrays of that shape.
        """
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """The layer's output. `training` switches noise on."""
        raise NotImplementedError

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """The gradient by the input of the last `forward`, given that by its
        output; fills `grads`."""
        raise NotImplementedError

    def learn(self, dy: np.ndarray) -> None:
        """`backward` without the gradient by the input, which nobody wants from
        the first layer that learns."""
        self.backward(dy)

    def penalty(self) -> float:
        """What the layer adds to the loss; its gradient is in `grads`."""
        return 0.0

    def constrain(self) -> None:
        """Bring parameters back to where they may be, after a step."""

    def forget(self) -> None:
        """Let go of what is remembered for `backward`, and of reused arrays."""
        self._rooms = {}

    def config(self) -> dict[str, Any]:
        """Arguments that make such a layer again; the ``rng`` is not among them."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names if name != "rng"}

    def _input(self, x: np.ndarray) -> np.ndarray:
        """`x` as kernels read it: they take an array of another kind for what it is not."""
        dtypes = {param.dtype for param in self.params.values()}
        if x.dtype not in (dtypes or _REAL):
            accepted = " or ".join(map(str, dtypes or _REAL))
            raise TypeError(f"{self.where}: x must be {accepted}, got {x.dtype}")
        return plain(x)

    def _gradient(self, dy: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """`dy` likewise, by an output of that shape and dtype."""
        if dy.dtype != dtype:
            raise TypeError(f"{self.where}: dy must be {dtype}, as the output is, got {dy.dtype}")
        if dy.shape != shape:
            raise ValueError(
                f"{self.where}: dy must have the output's shape {shape}, got {dy.shape}"
            )
        return plain(dy)

    def _room(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array to write a result into: fresh, or while training the one of
        that name, of which a smaller batch takes the front."""
        if not self.reuses:
            return np.empty(shape, dtype)
        size, room = prod(shape), self._rooms.get(name)
        if room is None or room.dtype != dtype or room.size < size:
            room = self._rooms[name] = aligned((size,), dtype)
        return room[:size].reshape(shape)

    def _remembered(self, *arrays: Any) -> Any:
        """What `forward` left, or an error if there was none."""
        if any(array is None for array in arrays):
            raise RuntimeError(f"{self.where}: backward needs a forward before it")
        return arrays[0] if len(arrays) == 1 else arrays


def plain(array: np.ndarray) -> np.ndarray:
    """`array` itself, as a rule: asking `numpy.require` takes 2 us."""
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else np.require(array, None, ("C", "A"))


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """`numpy.empty`, from where a line of the cache begins.

    NumPy's large arrays begin 16 bytes behind, and every other vector lies across
    two lines: matrix products took 2 to 4 % longer.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(size + 64, np.uint8)
    begin = -room.ctypes.data % 64
    return room[begin : begin + size].view(dtype).reshape(shape)


def walk(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Each layer, and behind it those that it is made of."""
    for layer in layers:
        yield layer
        yield from walk(layer.inner)
