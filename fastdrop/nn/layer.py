"""What every layer is: parameters, their gradients, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.nn.sources import Sources

Shape = tuple[int | None, ...]


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
    where : str
        What errors call the layer. `Sequential` puts the position in it.

    Notes
    -----
    A layer used alone is built at its first call, in that call's dtype and
    from its own ``rng``.
    """

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self.where = type(self).__name__

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
