"""What has to be the same on all ranks before they train together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from fastdrop.nn.sequential import Sequential


def facts_of(
    model: Sequential, data: dict[str, Any], settings: dict[str, Any]
) -> dict[str, str | int | float | bool]:
    """Facts by name, in the order in which the first difference tells the most.

    Parameters
    ----------
    model : Sequential
        Built.
    data : dict of str to array_like or None
        Of what is given in arrays: shape and dtype, and a digest of the first, the
        middle and the last row: who has loaded a part of the data of their own
        has other rows there.
    settings : dict of str to object
        Other arguments.
    """
    from fastdrop.nn.saving import _version

    facts: dict[str, Any] = {"the version of fastdrop": _version()}
    facts["the version of NumPy"] = np.__version__
    facts |= {name: repr(value) for name, value in settings.items()}
    for name, array in data.items():
        facts[f"the shape of {name}"] = str(None if array is None else np.shape(array))
        facts[f"the dtype of {name}"] = str(getattr(array, "dtype", None))
    for name, array in data.items():
        if array is not None:
            places = sorted({0, len(array) // 2, len(array) - 1})
            rows = [np.asarray(array[place : place + 1]) for place in places]
            facts[f"some rows of {name} (by their digest)"] = digest(rows)
    return facts | _of_network(model)


def _of_network(model: Sequential) -> dict[str, Any]:
    from fastdrop.nn.saving import _Rngs

    facts: dict[str, Any] = {"the model's dtype": str(model.dtype)}
    parts = {f"layer {number}": layer for number, layer in enumerate(model.layers)}
    for name, part in {**parts, "the loss": model.loss, "the optimizer": model.optimizer}.items():
        facts[f"the class of {name}"] = type(part).__name__
        try:
            facts[name] = json.dumps(part.config(), default=_plain)
        except Exception:  # one of the user's own that says nothing of itself
            facts[name] = type(part).__name__
    key = "the key of the network's masks (give it an int as rng)"
    facts[key] = model._sources.masks.key
    rngs = _Rngs()
    places = [rngs.held(holder) for holder in (model, *_walk(model))]
    facts["the state of its random sources (by its digest)"] = _hash(
        json.dumps([places, rngs.states], default=_plain)
    )
    memory = model._optimizer_state
    slots = [value for value in memory.values() if isinstance(value, np.ndarray)]
    facts["the number of steps done"] = str(memory.get("step", 0))
    facts["the weights (by their digest)"] = digest(model._collect("params").values())
    facts["the running statistics (by their digest)"] = digest(model._collect("state").values())
    facts["the optimizer's memory (by its digest)"] = digest(slots)
    return facts


def check_alike(everyone: Sequence[dict[str, Any]], where: str) -> None:
    """Raise for the first fact that is not the same in all."""
    first = everyone[0]
    # Also those of other ranks alone, such as of data to validate with.
    for name in dict.fromkeys(name for facts in everyone for name in facts):
        for rank, other in enumerate(everyone):
            if other.get(name) != first.get(name):
                raise ValueError(
                    f"{where}: {name} must be the same on every rank, got {first.get(name)} on "
                    f"rank 0 and {other.get(name)} on rank {rank}"
                )


def digest(arrays: Iterable[np.ndarray]) -> int:
    """A checksum of all bits, 32 of them: it finds accidents."""
    found = 0
    for array in arrays:
        found = crc32(array.tobytes(), found)
    return found


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _walk(model: Sequential) -> Iterable[Any]:
    from fastdrop.nn.layer import walk

    return walk(model.layers)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else repr(type(value))
