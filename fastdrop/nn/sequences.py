"""Sequences of different lengths in one array (N, T, ...), padded at their ends."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_lengths(lengths: Any, count: int, steps: int, where: str) -> np.ndarray | None:
    """Of the sequences, or None where all are as long as the array."""
    if lengths is None:
        return None
    lengths = np.asarray(lengths)
    if lengths.dtype.kind not in "iu":
        raise TypeError(f"{where}: lengths must be integers, got {lengths.dtype}")
    if lengths.shape != (count,):
        raise ValueError(
            f"{where}: lengths must be of shape ({count},), one for each sequence, "
            f"got shape {lengths.shape}"
        )
    if (wrong := lengths[(lengths < 1) | (lengths > steps)]).size:
        raise ValueError(
            f"{where}: lengths must be in [1, {steps}], as the input has {steps} time steps, "
            f"got {wrong[0]} in them"
        )
    if (lengths == steps).all():
        return None
    return np.require(lengths, np.int64, ("C", "A"))


def without_padding(x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """A copy with 0 where padding was, whatever stood there."""
    inside = np.arange(x.shape[1]) < lengths[:, None]
    return np.where(inside[..., None], x, x.dtype.type(0))


def turned(x: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """Sequences (N, T, ...) from their ends to their beginnings; padding stays behind."""
    if lengths is None:
        return np.ascontiguousarray(x[:, ::-1])
    steps, ends = np.arange(x.shape[1]), np.asarray(lengths)[:, None]
    order = np.where(steps < ends, ends - 1 - steps, steps)
    return x[np.arange(len(x))[:, None], order]
