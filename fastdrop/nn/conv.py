"""Convolution of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.kernels.layers import layer_kernels
from fastdrop.nn.arguments import check_count, check_pair
from fastdrop.nn.fusion import NO_TAIL, Tail
from fastdrop.nn.initializers import Initializer
from fastdrop.nn.layer import Shape
from fastdrop.nn.sources import Sources
from fastdrop.nn.weighted import Weighted
from fastdrop.threads import get_num_threads


class Conv2D(Weighted):
    """Convolution (cross-correlation) of images with channels last, plus a bias.

    Parameters
    ----------
    filters : int
        Channels of the output, at least 1.
    kernel_size : int or (int, int)
        Height and width of the window, at least 1.
    strides : int or (int, int), default 1
        Steps of the window.
    padding : {"valid", "same"}, default "valid"
        ``"valid"`` takes whole windows only; ``"same"`` adds zeros around the
        image, one more below and to the right where their number is odd, so
        that the output has ``ceil(size / stride)`` rows and columns.
    init, l1, l2, max_norm, rng
        As in `Dense`; a unit is a filter.

    Attributes
    ----------
    params, grads : dict
        ``"weight"``, of shape (kh, kw, channels, filters), and ``"bias"``,
        (filters,).

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range; in calls, if the
        input is not (N, H, W, channels) or smaller than the window.

    Notes
    -----
    ``y[n, i, j, f] = bias[f] + sum(weight[a, b, c, f] *
    x[n, i * stride + a - top, j * stride + b - left, c])``. Between forward and
    backward the layer keeps references to `x` and `y`.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86, 1998.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> layer = fastdrop.nn.Conv2D(8, 3, rng=0)
    >>> layer.forward(np.ones((2, 28, 28, 1), np.float32)).shape
    (2, 26, 26, 8)
    >>> layer.params["weight"].shape
    (3, 3, 1, 8)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = 1,
        padding: str = "valid",
        *,
        init: Initializer = "he_normal",
        l1: float = 0.0,
        l2: float = 0.0,
        max_norm: float | None = None,
        rng: Any = None,
    ) -> None:
        super().__init__(init, l1, l2, max_norm, rng)
        self.filters = check_count(filters, "filters", self.where)
        self.kernel_size = check_pair(kernel_size, "kernel_size", self.where)
        self.strides = check_pair(strides, "strides", self.where)
        if padding not in ("valid", "same"):
            raise ValueError(f"{self.where}: padding must be 'valid' or 'same', got {padding!r}")
        self.padding = padding
        self._x: np.ndarray | None = None
        self._y: np.ndarray | None = None
        self._winners: np.ndarray | None = None
        self._tail = NO_TAIL

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        if len(input_shape) != 4:
            raise ValueError(
                f"{self.where}: expected images of shape (N, H, W, C), "
                f"got input of shape {input_shape}"
            )
        channels = input_shape[3]
        size = self._output_size(input_shape)
        if self.params:
            self._check(input_shape)
        elif not channels:
            raise ValueError(f"{self.where}: expected at least one channel, got {channels}")
        else:
            window = self.kernel_size[0] * self.kernel_size[1]
            self._make_params(
                (*self.kernel_size, channels, self.filters),
                window * channels,
                window * self.filters,
                dtype,
                sources,
            )
        return (input_shape[0], *size, self.filters)

    def forward(self, x: np.ndarray, training: bool = False, tail: Tail = NO_TAIL) -> np.ndarray:
        x = self._input(x)
        if not self.params:
            self.build(x.shape, x.dtype)
        self._check(x.shape)
        weight, bias = self.params["weight"], self.params["bias"]
        size = self._output_size(x.shape)
        if tail.pool:
            size = tail.pool.output_size(size)
        y = self._room("y", (len(x), *size, self.filters), weight.dtype)
        going_back = tail.pool and not self.forward_only
        self._winners = self._room("winners", y.shape, np.uint8) if going_back else None
        threads = get_num_threads()
        layer_kernels().conv2d(
            x, weight, bias, y, self._winners, self.strides, self._corner(x.shape),
            tail.relu is not None, tail.window, self._scratch(x, y, tail, False, threads), threads,
        )  # fmt: skip
        self._x, self._tail = x, tail
        self._y = tail.drop(y, training)
        return self._y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x = self._remembered(self._x)
        dx = self._room("dx", x.shape, x.dtype)
        self._backward(dy, dx)
        return dx

    def learn(self, dy: np.ndarray) -> None:
        self._backward(dy, None)

    def forget(self) -> None:
        super().forget()
        self._x = self._y = self._winners = None

    def _backward(self, dy: np.ndarray, dx: np.ndarray | None) -> None:
        x, y = self._remembered(self._x, self._y)
        dy, tail = self._gradient(dy, y.shape, y.dtype), self._tail
        winners = self._remembered(self._winners) if tail.pool else None
        added, threads = self._start_grads(), get_num_threads()
        layer_kernels().conv2d_backward(
            x, self.params["weight"], y, winners, dy, dx,
            self.grads["weight"], self.grads["bias"], tail.scale, self.strides,
            self._corner(x.shape), tail.relu is not None, tail.window, added,
            self._scratch(x, y, tail, True, threads), threads,
        )  # fmt: skip

    def _output_size(self, shape: Shape) -> tuple[int, int]:
        """Rows and columns of the output for images of `shape`."""
        sizes = []
        for size, window, stride in zip(shape[1:3], self.kernel_size, self.strides, strict=True):
            if not size or (self.padding == "valid" and size < window):
                raise ValueError(
                    f"{self.where}: expected images of at least "
                    f"{self.kernel_size[0]} x {self.kernel_size[1]}, got input of shape {shape}"
                )
            sizes.append(
                -(-size // stride) if self.padding == "same" else (size - window) // stride + 1
            )
        return sizes[0], sizes[1]

    def _corner(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Zeros above and to the left."""
        if self.padding == "valid":
            return 0, 0
        needed = [
            max(0, (-(-size // stride) - 1) * stride + window - size)
            for size, window, stride in zip(shape[1:3], self.kernel_size, self.strides, strict=True)
        ]
        return needed[0] // 2, needed[1] // 2

    def _scratch(
        self, x: np.ndarray, y: np.ndarray, tail: Tail, backward: bool, threads: int
    ) -> np.ndarray:
        count = layer_kernels().conv2d_scratch(
            x, self.params["weight"], y, self.strides, self._corner(x.shape), tail.window,
            backward, threads,
        )  # fmt: skip
        return self._room("scratch", (count,), x.dtype)

    def _check(self, shape: Shape) -> None:
        channels = self.params["weight"].shape[2]
        if len(shape) != 4 or shape[3] != channels:
            raise ValueError(
                f"{self.where}: expected images of shape (N, H, W, {channels}), "
                f"got input of shape {shape}"
            )
