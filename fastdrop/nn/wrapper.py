"""Layers around other layers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastdrop.nn.layer import Layer


class Wrapper(Layer):
    """A layer that is made of others, and shows their arrays as its own.

    ``params``, ``grads`` and ``state`` hold what the inner layers hold, under
    names like ``"forward.weight"``, and what the wrapper itself puts into
    ``own``, ``own_grads`` and ``own_state``.

    Parameters
    ----------
    parts : dict of str to Layer
        The inner layers, by the names that come before the dot.
    """

    _parts: Mapping[str, Layer] = {}

    def __init__(self, parts: dict[str, Layer], where: str) -> None:
        super().__init__()
        self._hold(parts, where)

    def _hold(self, parts: dict[str, Layer], where: str) -> None:
        """Take the inner layers; for a wrapper that has another base class, too."""
        for name, part in parts.items():
            if not isinstance(part, Layer):
                raise TypeError(f"{where}: {name} must be a layer, got {part!r}")
        self._parts = parts
        self.own: dict[str, np.ndarray] = {}
        self.own_grads: dict[str, np.ndarray] = {}
        self.own_state: dict[str, np.ndarray] = {}

    @property
    def inner(self) -> list[Layer]:
        return list(self._parts.values())

    def penalty(self) -> float:
        return sum(part.penalty() for part in self.inner)

    def constrain(self) -> None:
        for part in self.inner:
            part.constrain()

    def forget(self) -> None:
        super().forget()
        for part in self.inner:
            part.forget()

    def _gather(self, kind: str, own: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return own | {
            f"{prefix}.{name}": array
            for prefix, part in self._parts.items()
            for name, array in getattr(part, kind).items()
        }

    def _spread(self, kind: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Give the inner layers their arrays; the others are the wrapper's own."""
        for prefix, part in self._parts.items():
            start = f"{prefix}."
            theirs = {
                name.removeprefix(start): array
                for name, array in arrays.items()
                if name.startswith(start)
            }
            setattr(part, kind, theirs)
        starts = tuple(f"{prefix}." for prefix in self._parts)
        return {name: array for name, array in arrays.items() if not name.startswith(starts)}

    # Properties, where `Layer` has plain attributes: what the inner layers hold
    # may be replaced at any time.

    @property  # type: ignore[override]
    def params(self) -> dict[str, np.ndarray]:
        return self._gather("params", self.own)

    @params.setter
    def params(self, arrays: dict[str, np.ndarray]) -> None:
        self.own = self._spread("params", arrays)

    @property  # type: ignore[override]
    def grads(self) -> dict[str, np.ndarray]:
        return self._gather("grads", self.own_grads)

    @grads.setter
    def grads(self, arrays: dict[str, np.ndarray]) -> None:
        self.own_grads = self._spread("grads", arrays)

    @property  # type: ignore[override]
    def state(self) -> dict[str, np.ndarray]:
        return self._gather("state", self.own_state)

    @state.setter
    def state(self, arrays: dict[str, np.ndarray]) -> None:
        self.own_state = self._spread("state", arrays)
