"""What recurrent layers share: time steps, their dropout, lengths, and states that go on."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from fastdrop.kernels.layers import layer_kernels
from fastdrop.mask import Mask, MaskStream
from fastdrop.nn.arguments import check_count
from fastdrop.nn.initializers import Initializer, check_initializer, initialize
from fastdrop.nn.layer import Shape
from fastdrop.nn.sequences import check_lengths, turned, without_padding
from fastdrop.nn.sources import Sources, sources
from fastdrop.nn.variational import Variational
from fastdrop.threads import get_num_threads


class Seen(NamedTuple):
    """What a forward pass leaves for the backward one: steps in the order of time as
    the layer walks through it."""

    x: np.ndarray
    z: np.ndarray
    fed: np.ndarray
    kept: np.ndarray | None
    out: np.ndarray
    first: np.ndarray
    lengths: np.ndarray | None


class Recurrent(Variational):
    """A layer that walks through sequences (N, T, F); `LSTM` says what the parameters are.

    A kind is a subclass that says how many ``gates`` it has, 1, 3 or 4, and what
    its ``states`` are, and adds to its first parameters.
    """

    takes_lengths = True

    def __init__(
        self,
        units: int,
        *,
        return_sequences: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        tied: bool = True,
        per_step: bool = False,
        zoneout: float | tuple[float, float] = 0.0,
        init: Initializer = "glorot_uniform",
        recurrent_init: Initializer = "orthogonal",
        rng: Any = None,
    ) -> None:
        super().__init__(dropout, recurrent_dropout, tied, per_step, zoneout, init, rng)
        self.units = check_count(units, "units", self.where)
        self.return_sequences, self.stateful = return_sequences, stateful
        self.go_backwards = go_backwards
        if not isinstance(recurrent_init, str) or recurrent_init != "orthogonal":
            check_initializer(recurrent_init, "recurrent_init", self.where)
        self.recurrent_init = recurrent_init
        self._states: dict[str, np.ndarray] | None = None
        self._seen: Seen | None = None

    def reset_state(self) -> None:
        """Begin the next batch with states of 0, and with any number of sequences."""
        self._states = None

    def build(self, input_shape: Shape, dtype: Any, sources: Sources | None = None) -> Shape:
        if self._sources is None:
            self._rng = MaskStream() if sources is None else sources.masks
        self._check(input_shape)
        if not self.params:
            self._first_params(input_shape[2], dtype, sources)
        count, steps, _ = input_shape
        return (count, steps, self.units) if self.return_sequences else (count, self.units)

    def forward(
        self, x: np.ndarray, training: bool = False, lengths: np.ndarray | None = None
    ) -> np.ndarray:
        x = self._input(x)
        if not self.params or self._rng is None:
            self.build(x.shape, x.dtype)
        self._check(x.shape)
        (count, steps, _), dtype = x.shape, x.dtype
        lengths = check_lengths(lengths, count, steps, self.where)
        states = self._begin(count, dtype)
        self._draw(x.shape, training)
        if lengths is not None:  # 0 times NaN would not be 0 in the product over all steps
            x = without_padding(x, lengths)
        if self.go_backwards:
            x = turned(x, lengths)
        z = self._project(x)
        pattern, zones = self._patterns(count, steps, dtype)
        parts = 1 if pattern is None else pattern.shape[1]
        fed = self._room("fed", (count, steps, parts, self.units), dtype)
        out = self._room("out", (count, steps, self.units), dtype)
        kept = self._room("kept", out.shape, dtype) if self.gates > 1 else None
        first = states["hidden"].copy()
        layer_kernels().recurrent(
            z,
            self.params["recurrent_weight"],
            self.params.get("recurrent_bias"),
            pattern,
            zones["hidden"],
            zones.get("cell"),
            states["hidden"],
            states.get("cell"),
            fed,
            kept,
            out,
            lengths,
            get_num_threads(),
        )
        if self.stateful:
            self._states = {name: state.copy() for name, state in states.items()}
        self._seen = Seen(x, z, fed, kept, out, first, lengths)
        return out if self.return_sequences else states["hidden"]

    def backward(self, dy: np.ndarray) -> np.ndarray:
        seen, dz = self._learn(dy)
        dx, weight = self._room("dx", seen.x.shape, dz.dtype), self.params["weight"]
        total = dx
        for part, (mask, columns) in enumerate(self._input_masks()):
            if part:
                total = self._room("dx of a gate", dx.shape, dx.dtype)
            self._product(dz, weight, total, columns, False, True)
            if mask is not None:
                mask.apply(total.reshape(mask.shape), total.reshape(mask.shape))
            if part:
                dx += total
        return turned(dx, seen.lengths) if self.go_backwards else dx

    def learn(self, dy: np.ndarray) -> None:
        self._learn(dy)

    def forget(self) -> None:
        super().forget()
        self._seen = None

    def _learn(self, dy: np.ndarray) -> tuple[Seen, np.ndarray]:
        """Fill `grads`; the gradient by the inputs' products."""
        seen = self._remembered(self._seen)
        (count, steps, _), dtype, threads = seen.out.shape, seen.out.dtype, get_num_threads()
        shape = seen.out.shape if self.return_sequences else (count, self.units)
        dy = self._gradient(dy, shape, dtype)
        last = np.zeros((count, self.units), dtype) if self.return_sequences else dy.copy()
        pattern, zones = self._patterns(count, steps, dtype)
        dz = self._room("dz", seen.z.shape, dtype)
        dr = self._room("dr", dz.shape, dtype) if self.gates == 3 else dz
        layer_kernels().recurrent_backward(
            seen.z,
            self.params["recurrent_weight"],
            pattern,
            zones["hidden"],
            zones.get("cell"),
            seen.first,
            seen.kept,
            seen.out,
            dy if self.return_sequences else None,
            last,
            np.zeros_like(last) if "cell" in self.states else None,
            dz,
            dr,
            seen.lengths,
            threads,
        )
        self._start_grads()
        for name, d in (("bias", dz), ("recurrent_bias", dr)):
            if name in self.params:
                rows = d.reshape(-1, d.shape[-1])
                layer_kernels().unit_sums(rows, None, None, self.grads[name], 1.0, False, threads)
        for part, columns in enumerate(self._columns(seen.fed.shape[2])):
            fed = np.ascontiguousarray(seen.fed[:, :, part])
            self._product(fed, dr, self.grads["recurrent_weight"], columns, True, False)
        for mask, columns in self._input_masks():
            self._product(self._fed(seen.x, mask), dz, self.grads["weight"], columns, True, False)
        return seen, dz

    def _project(self, x: np.ndarray) -> np.ndarray:
        """The inputs' products with the weight, plus bias."""
        weight, bias = self.params["weight"], self.params["bias"]
        z = self._room("z", (*x.shape[:2], len(bias)), x.dtype)
        for mask, columns in self._input_masks():
            self._product(self._fed(x, mask), weight, z, columns, False, False, bias)
        return z

    def _product(
        self,
        a: np.ndarray,
        b: np.ndarray,
        out: np.ndarray,
        columns: slice,
        transpose_a: bool,
        transpose_b: bool,
        bias: np.ndarray | None = None,
    ) -> None:
        """A product with these columns of a weight, or of a gradient by its products: of
        `b`, and of `out`, or with ``transpose_b`` of `a`."""
        a, b, whole = (array.reshape(-1, array.shape[-1]) for array in (a, b, out))
        if transpose_b:
            a = np.ascontiguousarray(a[:, columns])
        b = np.ascontiguousarray(b[:, columns])
        part = whole if transpose_b else whole[:, columns]
        room = part if part.flags.c_contiguous else np.empty(part.shape, part.dtype)
        added = None if bias is None else bias[columns]
        layer_kernels().matmul(
            a, b, room, transpose_a, transpose_b, added, False, False, get_num_threads()
        )
        if room is not part:
            part[...] = room

    def _fed(self, x: np.ndarray, mask: Mask | None) -> np.ndarray:
        if mask is None:
            return x
        room = self._room("masked x", x.shape, x.dtype)
        mask.apply(x.reshape(mask.shape), room.reshape(mask.shape))
        return room

    def _begin(self, count: int, dtype: Any) -> dict[str, np.ndarray]:
        """The states before the first step, nobody else's."""
        if self._states is None:
            return {name: np.zeros((count, self.units), dtype) for name in self.states}
        if (before := len(self._states["hidden"])) != count:
            raise ValueError(
                f"{self.where}: a stateful layer goes on from a batch of {before} sequences, "
                f"and needs reset_state() before another size, got {count}"
            )
        return {name: state.copy() for name, state in self._states.items()}

    def _first_params(self, features: Any, dtype: Any, given: Sources | None) -> None:
        draws = given or sources(None, self.where)
        # A copy: should `Sequential` undo a failed build, the next draws the same.
        rng = deepcopy(self._sources.weights) if self._sources else draws.weights
        units, width = self.units, self.gates * self.units
        self.params = {
            "weight": initialize(self.init, (features, width), features, units, rng, dtype),
            "recurrent_weight": self._recurrent_weight(units, width, rng, dtype),
            "bias": np.zeros(width, dtype),
        }

    def _recurrent_weight(
        self, units: int, width: int, rng: np.random.Generator, dtype: Any
    ) -> np.ndarray:
        if self.recurrent_init != "orthogonal":
            return initialize(self.recurrent_init, (units, width), units, units, rng, dtype)
        parts = [orthogonal(units, rng) for _ in range(self.gates)]
        return np.concatenate(parts, axis=1).astype(dtype)

    def _check(self, shape: Shape) -> None:
        if len(shape) != 3:
            raise ValueError(
                f"{self.where}: expected an input of shape (batch, time, features), "
                f"got input of shape {shape}"
            )
        features = len(self.params["weight"]) if self.params else shape[2]
        if shape[2] != features or not features:
            expected = features or "at least 1"
            raise ValueError(
                f"{self.where}: expected last axis {expected}, got input of shape {shape}"
            )
        if shape[1] == 0:
            raise ValueError(
                f"{self.where}: expected at least one time step, got a sequence of length 0, "
                f"input of shape {shape}"
            )


def orthogonal(size: int, rng: np.random.Generator) -> np.ndarray:
    """An orthogonal matrix in float64, each as likely as any other.

    Notes
    -----
    Q of a QR decomposition of normals, with the signs that make R's diagonal
    positive (Mezzadri, "How to generate random matrices from the classical compact
    groups", Notices of the AMS 54, 2007). For recurrent weights: Saxe, McClelland,
    Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks", ICLR 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop.nn.recurrent import orthogonal
    >>> q = orthogonal(4, np.random.default_rng(0))
    >>> bool(np.allclose(q @ q.T, np.eye(4)))
    True
    """
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return q * np.copysign(1.0, np.diagonal(r))
