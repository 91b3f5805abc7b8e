"""Layers that make one vector of a sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.nn.layer import Layer, Shape
from fastdrop.nn.sequences import check_lengths
from fastdrop.nn.sources import Sources


class GlobalSumPool1D(Layer):
    """The sum over the steps of each sequence: (N, T, C) to (N, C).

    ``forward(x, training, lengths=...)`` takes the lengths of the sequences,
    int64 (N,), and leaves out what is beyond them, whatever stands there.
    `Sequential` hands on those that an `Embedding` found.

    Raises
    ------
    ValueError
        In calls, if the input is not (N, T, C) with T of at least 1, or the
        lengths are not (N,) and in [1, T].
    TypeError
        If the lengths are no integers.

    Notes
    -----
    Behind an `Embedding` of which words are there, in any order, it makes what
    a `Dense` makes of the words as a bag, in which each has a number. Dropout
    of that bag is ``Dropout(rate, shared_axes=2)`` between the two.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop.nn.sequence_pooling import GlobalSumPool1D
    >>> x = np.arange(12.0).reshape(2, 3, 2)
    >>> GlobalSumPool1D().forward(x, lengths=np.array([3, 1]))
    array([[6., 9.],
           [6., 7.]])
    """

    takes_lengths = True

    def __init__(self) -> None:
        super().__init__()
        self._taken: tuple[tuple[int, ...], np.dtype, np.ndarray] | None = None

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        if len(input_shape) != 3 or input_shape[1] == 0:
            raise ValueError(
                f"{self.where}: expected sequences of shape (N, T, C), T at least 1, "
                f"got input of shape {input_shape}"
            )
        return (input_shape[0], input_shape[2])

    @np.errstate(all="ignore")
    def forward(
        self, x: np.ndarray, training: bool = False, lengths: np.ndarray | None = None
    ) -> np.ndarray:
        self.build(x.shape, x.dtype)
        x = self._input(x)
        steps = check_lengths(lengths, len(x), x.shape[1], self.where)
        if steps is None:
            steps = np.full(len(x), x.shape[1])
        self._taken = x.shape, x.dtype, steps
        y = self._room("y", (len(x), x.shape[2]), x.dtype)
        for sequence, length, total in zip(x, steps, y, strict=True):
            np.add.reduce(sequence[:length], axis=0, out=total)
        return self._of_sum(y, steps)

    @np.errstate(all="ignore")
    def backward(self, dy: np.ndarray) -> np.ndarray:
        shape, dtype, steps = self._remembered(self._taken)
        dy = self._gradient(dy, (shape[0], shape[2]), dtype)
        dx = self._room("dx", shape, dtype)
        dx[...] = self._of_sum(dy, steps)[:, None]
        dx[np.arange(shape[1]) >= steps[:, None]] = 0
        return dx

    def _of_sum(self, y: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """What the layer gives of the sum, which is linear."""
        return y


class GlobalAvgPool1D(GlobalSumPool1D):
    """The mean over the steps of each sequence: (N, T, C) to (N, C).

    Lengths and errors are those of `GlobalSumPool1D`.

    References
    ----------
    Of word vectors it is the network of Iyyer, Manjunatha, Boyd-Graber, Daumé,
    "Deep unordered composition rivals syntactic methods for text
    classification", ACL 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop.nn.sequence_pooling import GlobalAvgPool1D
    >>> x = np.arange(12.0).reshape(2, 3, 2)
    >>> GlobalAvgPool1D().forward(x, lengths=np.array([3, 1]))
    array([[2., 3.],
           [6., 7.]])
    """

    def _of_sum(self, y: np.ndarray, steps: np.ndarray) -> np.ndarray:
        return y / steps[:, None].astype(y.dtype)
