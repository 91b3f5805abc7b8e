"""Pooling: windows of an image become one pixel each."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.kernels.layers import layer_kernels
from fastdrop.nn.arguments import check_pair
from fastdrop.nn.layer import Layer, Shape
from fastdrop.nn.sources import Sources
from fastdrop.threads import get_num_threads


class _Pool2D(Layer):
    """What both pools are: whole windows of images with channels last."""

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        strides: int | tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.pool_size = check_pair(pool_size, "pool_size", self.where)
        self.strides = (
            self.pool_size if strides is None else check_pair(strides, "strides", self.where)
        )
        self._taken: tuple[tuple[int, ...], np.dtype] | None = None

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        self._check(input_shape)
        return (input_shape[0], *self.output_size(input_shape[1:3]), input_shape[3])

    def output_size(self, size: Shape) -> tuple[int, int]:
        """Rows and columns of the output for images of `size`."""
        rows, columns = (
            (n - window) // stride + 1 if n else 0
            for n, window, stride in zip(size, self.pool_size, self.strides, strict=True)
        )
        return rows, columns

    def _check(self, shape: Shape) -> None:
        if len(shape) != 4:
            raise ValueError(
                f"{self.where}: expected images of shape (N, H, W, C), got input of shape {shape}"
            )
        if min(self.output_size(shape[1:3])) < 1:
            raise ValueError(
                f"{self.where}: expected images of at least "
                f"{self.pool_size[0]} x {self.pool_size[1]}, got input of shape {shape}"
            )

    def _start(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The input, and where the output goes."""
        self._check(x.shape)
        x = self._input(x)
        self._taken = x.shape, x.dtype
        return x, self._room("y", self._output_shape(x.shape), x.dtype)

    def _start_back(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gradient by the output, and where that by the input goes."""
        shape, dtype = self._remembered(self._taken)
        return self._gradient(dy, self._output_shape(shape), dtype), self._room("dx", shape, dtype)

    def _output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], *self.output_size(shape[1:3]), shape[3])


class MaxPool2D(_Pool2D):
    """The largest of each window of an image with channels last.

    Parameters
    ----------
    pool_size : int or (int, int), default 2
        Height and width of the window.
    strides : int or (int, int), optional
        Steps of the window; by default its size. Rows and columns that no
        whole window reaches are left out.

    Raises
    ------
    TypeError, ValueError
        If an argument is no int of at least 1 or pair of them, or the window
        has more than 256 pixels; in calls, if the input is not (N, H, W, C) or
        smaller than the window.

    Notes
    -----
    A window with NaN in it gives NaN. The gradient goes to the first of the
    largest, counted row by row. Between forward and backward the layer keeps
    one byte for each output.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> fastdrop.nn.MaxPool2D(2).forward(x)[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        strides: int | tuple[int, int] | None = None,
    ) -> None:
        super().__init__(pool_size, strides)
        if self.pool_size[0] * self.pool_size[1] > 256:
            raise ValueError(
                f"{self.where}: pool_size must hold at most 256 pixels, got {pool_size!r}"
            )
        self._winners: np.ndarray | None = None

    @property
    def apart(self) -> bool:
        """Whether windows lie side by side."""
        return self.strides == self.pool_size

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        x, y = self._start(x)
        self._winners = None if self.forward_only else self._room("winners", y.shape, np.uint8)
        layer_kernels().max_pool(
            x, y, self._winners, self.pool_size, self.strides, get_num_threads()
        )
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        winners = self._remembered(self._winners)
        dy, dx = self._start_back(dy)
        layer_kernels().max_pool_backward(
            dy, winners, dx, self.pool_size, self.strides, get_num_threads()
        )
        return dx

    def forget(self) -> None:
        super().forget()
        self._winners = None


class AvgPool2D(_Pool2D):
    """The mean of each window of an image with channels last.

    Parameters
    ----------
    pool_size : int or (int, int), default 2
        Height and width of the window.
    strides : int or (int, int), optional
        Steps of the window; by default its size. Rows and columns that no
        whole window reaches are left out.

    Raises
    ------
    TypeError, ValueError
        If an argument is no int of at least 1 or pair of them; in calls, if
        the input is not (N, H, W, C) or smaller than the window.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> fastdrop.nn.AvgPool2D(2).forward(x)[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        x, y = self._start(x)
        layer_kernels().avg_pool(x, y, self.pool_size, self.strides, get_num_threads())
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dy, dx = self._start_back(dy)
        layer_kernels().avg_pool_backward(dy, dx, self.pool_size, self.strides, get_num_threads())
        return dx


class GlobalAvgPool2D(Layer):
    """The mean of each channel of an image: (N, H, W, C) to (N, C).

    References
    ----------
    Lin, Chen, Yan, "Network in network", ICLR 2014.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> fastdrop.nn.GlobalAvgPool2D().forward(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[3., 4.]])
    """

    def __init__(self) -> None:
        super().__init__()
        self._taken: tuple[tuple[int, ...], np.dtype] | None = None

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        if len(input_shape) != 4 or not input_shape[1] or not input_shape[2]:
            raise ValueError(
                f"{self.where}: expected images of shape (N, H, W, C), "
                f"got input of shape {input_shape}"
            )
        return (input_shape[0], input_shape[3])

    @np.errstate(all="ignore")
    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        self.build(x.shape, x.dtype)
        x = self._input(x)
        self._taken = x.shape, x.dtype
        return x.mean(axis=(1, 2))

    @np.errstate(all="ignore")
    def backward(self, dy: np.ndarray) -> np.ndarray:
        shape, dtype = self._remembered(self._taken)
        dy = self._gradient(dy, (shape[0], shape[3]), dtype)
        dx = self._room("dx", shape, dtype)
        dx[...] = (dy / dtype.type(shape[1] * shape[2]))[:, None, None, :]
        return dx
