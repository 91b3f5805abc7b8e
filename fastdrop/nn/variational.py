"""The noise of recurrent layers: recipes for a whole sequence, for its steps and gates."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from fastdrop.mask import Mask, MaskStream
from fastdrop.nn.initializers import Initializer
from fastdrop.nn.weighted import Weighted
from fastdrop.share import drawn


class Variational(Weighted):
    """A layer with masks on its inputs (N, T, F) and on its states (N, units).

    Parameters are those of `fastdrop.nn.cells.LSTM`. A kind says how many
    ``gates`` it has and what its ``states`` are, which have a rate of zoneout
    each.
    """

    gates: int
    states: tuple[str, ...]
    units: int

    def __init__(
        self,
        dropout: Any,
        recurrent_dropout: Any,
        tied: bool,
        per_step: bool,
        zoneout: Any,
        init: Initializer,
        rng: Any,
    ) -> None:
        super().__init__(init, 0.0, 0.0, None, rng)
        self.dropout = self._check_rate(dropout, "dropout")
        self.recurrent_dropout = self._check_rate(recurrent_dropout, "recurrent_dropout")
        self.tied, self.per_step = tied, per_step
        self.zoneout = zoneout
        self._zones = self._check_zoneout(zoneout)
        self.mask: Mask | None = None
        self.recurrent_mask: Mask | None = None
        self.zoneout_masks: dict[str, Mask] | None = None
        self._rng: MaskStream | None = self._sources.masks if self._sources else None

    @property
    def noisy(self) -> bool:
        return any((self.dropout, self.recurrent_dropout, *self._zones.values()))

    def spawned(self) -> MaskStream | None:
        """An `rng` for another layer, independent of this one's; None if it has none."""
        return self._sources.masks.spawn(1)[0] if self._sources else None

    def _draw(self, shape: tuple[int, ...], training: bool) -> None:
        """The recipes of a pass, of which each rate above 0 has one."""
        self.mask = self.recurrent_mask = self.zoneout_masks = None
        if not training:
            return
        count, steps, _ = shape
        each = () if self.tied else (self.gates,)
        if self.dropout:
            axes = () if self.per_step else (len(each) + 1,)
            self.mask = self._recipe((*each, *shape), self.dropout, axes, len(each))
        if self.recurrent_dropout:
            every = (steps,) if self.per_step else ()
            size = (*every, *each, count, self.units)
            rate = self.recurrent_dropout
            self.recurrent_mask = self._recipe(size, rate, (), len(size) - 2)
        self.zoneout_masks = {
            name: self._recipe((steps, count, self.units), rate, (), 1)
            for name, rate in self._zones.items()
            if rate
        }

    def _recipe(
        self, shape: tuple[int, ...], rate: float, axes: tuple[int, ...], batch_axis: int
    ) -> Any:
        assert self._rng is not None
        return drawn(Mask, shape, rate, axes, self._rng.next(), self.share, batch_axis)

    def _patterns(
        self, count: int, steps: int, dtype: Any
    ) -> tuple[np.ndarray | None, dict[str, np.ndarray | None]]:
        """The recurrent mask and the zones as arrays, which the kernels take.

        One for all steps, unless there is one for each, is used T times and small.
        """
        mask = None
        zones: dict[str, np.ndarray | None] = dict.fromkeys(self._zones)
        if recipe := self.recurrent_mask:
            every = steps if self.per_step else 1
            mask = recipe.apply(np.ones(recipe.shape, dtype))
            mask = mask.reshape(every, -1, count, self.units)
        for name, rate in self._zones.items():
            if rate and self.zoneout_masks is not None:
                zones[name] = (~self.zoneout_masks[name].keep()).astype(dtype)
            elif rate:
                zones[name] = np.full((1, count, self.units), rate, dtype)
        return mask, zones

    def _input_masks(self) -> list[tuple[Mask | None, slice]]:
        """The inputs' masks, and the columns of the weight that see the inputs by them."""
        mask = self.mask
        if mask is None or self.tied:
            return [(mask, slice(None))]
        return [(mask[g : g + 1], columns) for g, columns in enumerate(self._columns(self.gates))]

    def _columns(self, parts: int) -> list[slice]:
        """Of all gates, or of each."""
        if parts == 1:
            return [slice(None)]
        return [slice(g * self.units, (g + 1) * self.units) for g in range(parts)]

    def _check_rate(self, rate: Any, name: str) -> float:
        if not isinstance(rate, Real):
            raise TypeError(f"{self.where}: {name} must be a number, got {rate!r}")
        if not 0 <= float(rate) <= 1:  # written so that NaN fails
            raise ValueError(f"{self.where}: {name} must be in [0, 1], got {rate}")
        return float(rate)

    def _check_zoneout(self, zoneout: Any) -> dict[str, float]:
        """A rate for each state."""
        rates = zoneout if isinstance(zoneout, (tuple, list)) else [zoneout] * len(self.states)
        if len(rates) != len(self.states):
            what = f"a number, or one for each of {', '.join(self.states)}"
            raise ValueError(f"{self.where}: zoneout must be {what}, got {zoneout!r}")
        return {
            name: self._check_rate(rate, "zoneout")
            for name, rate in zip(self.states, rates, strict=True)
        }
