"""A recurrent layer that walks through sequences both ways."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.nn.layer import Shape
from fastdrop.nn.recurrent import Recurrent
from fastdrop.nn.sequences import turned
from fastdrop.nn.sources import Sources
from fastdrop.nn.wrapper import Wrapper

MERGES = ("concat", "sum")


class Bidirectional(Wrapper):
    """A recurrent layer, and a second one that walks the other way.

    Parameters
    ----------
    layer : SimpleRNN, LSTM or GRU
        Not built yet. The second one has its arguments, but for
        ``go_backwards``, and weights and masks of its own.
    merge : {"concat", "sum"}, default "concat"
        Outputs side by side along the last axis, (..., 2 * units), or added up.

    Attributes
    ----------
    forward_layer, backward_layer : Layer
        The two, of which the first is `layer`.
    params, grads : dict
        Theirs, as ``"forward.weight"``, ``"backward.weight"``, ...

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or not known; in calls, as `LSTM` does.

    Notes
    -----
    With ``return_sequences`` both outputs are in the order of the input:
    ``y[:, t]`` has seen the steps up to t one way, and those from t on the other.

    References
    ----------
    Schuster, Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions
    on Signal Processing 45, 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop.nn.bidirectional import Bidirectional
    >>> from fastdrop.nn.cells import LSTM
    >>> layer = Bidirectional(LSTM(3, return_sequences=True, rng=0))
    >>> layer.forward(np.ones((2, 7, 5), np.float32)).shape
    (2, 7, 6)
    """

    takes_lengths = True

    def __init__(self, layer: Recurrent, merge: str = "concat") -> None:
        where = type(self).__name__
        if not isinstance(layer, Recurrent):
            raise TypeError(f"{where}: layer must be a recurrent layer, got {layer!r}")
        if layer.params:
            raise ValueError(f"{where}: layer must not be built yet, got one with params")
        if merge not in MERGES:
            known = " or ".join(map(repr, MERGES))
            raise ValueError(f"{where}: merge must be {known}, got {merge!r}")
        self.layer, self.merge = layer, merge
        config = layer.config() | {"go_backwards": not layer.go_backwards}
        other = type(layer)(**config, rng=layer.spawned())
        super().__init__({"forward": layer, "backward": other}, where)
        self.forward_layer, self.backward_layer = layer, other
        self._lengths: np.ndarray | None = None

    @property
    def noisy(self) -> bool:
        return self.layer.noisy

    def reset_state(self) -> None:
        """Begin the next batch with states of 0, and with any number of sequences."""
        for part in self._both:
            part.reset_state()

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        shape, _ = (part.build(input_shape, dtype, sources) for part in self._both)
        units = self.layer.units
        return (*shape[:-1], 2 * units if self.merge == "concat" else units)

    def forward(
        self, x: np.ndarray, training: bool = False, lengths: np.ndarray | None = None
    ) -> np.ndarray:
        one, other = (
            self._in_time(part, part.forward(x, training, lengths), lengths) for part in self._both
        )
        self._lengths = lengths
        units = self.layer.units
        width = 2 * units if self.merge == "concat" else units
        y = self._room("y", (*one.shape[:-1], width), one.dtype)
        if self.merge == "sum":
            return np.add(one, other, out=y)
        y[..., :units], y[..., units:] = one, other
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        one, other = (
            part.backward(self._in_time(part, d, self._lengths))
            for part, d in zip(self._both, self._shares(dy), strict=True)
        )
        return np.add(one, other, out=self._room("dx", one.shape, one.dtype))

    def learn(self, dy: np.ndarray) -> None:
        for part, d in zip(self._both, self._shares(dy), strict=True):
            part.learn(self._in_time(part, d, self._lengths))

    @property
    def _both(self) -> tuple[Recurrent, Recurrent]:
        return self.forward_layer, self.backward_layer

    def _shares(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gradients by the two outputs."""
        units = self.layer.units
        if self.merge == "sum":
            return dy, dy
        if dy.shape[-1:] != (2 * units,):
            raise ValueError(
                f"{self.where}: dy must have the output's last axis {2 * units}, "
                f"got shape {dy.shape}"
            )
        return dy[..., :units], dy[..., units:]

    def _in_time(self, part: Recurrent, y: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
        """What a layer gives, or takes, for each step, in the order of the input."""
        return turned(y, lengths) if part.go_backwards and part.return_sequences else y
