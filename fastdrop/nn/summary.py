"""A table of a network's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastdrop.nn.layer import Layer, Shape
from fastdrop.nn.sources import Sources


def summary(layers: Sequence[Layer], sample: Shape | None, dtype: Any, sources: Sources) -> str:
    """What each layer gives for samples of a shape, and how much it learns; of
    layers that are built, unless the shape is None."""
    shape: Shape = (None, *(sample or ()))
    rows = [["layer", "output", "parameters"]]
    total = 0
    for position, layer in enumerate(layers):
        name = f"{position:<2} {type(layer).__name__}"
        if sample is None:
            rows.append([name, "not built", ""])
            continue
        shape = layer.build(shape, dtype, sources)
        count = sum(param.size for param in layer.params.values())
        total += count
        rows.append([name, str(shape), f"{count:,}"])
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{name:{wide[0]}}  {output:{wide[1]}}  {count:>{wide[2]}}" for name, output, count in rows
    ]
    return "\n".join([*lines, f"{total:,} parameters, {np.dtype(dtype)}"])
