"""Writes golden.json: masks that no release may change, from the naive form alone.

``python tests/golden.py`` writes the file again. A difference is a changed mask
stream: every stored seed of every user gives another result.
"""

import json
import struct
from hashlib import sha256
from itertools import product
from math import prod
from pathlib import Path

import naive
import numpy as np

PATH = Path(__file__).with_name("golden.json")
KEY = 0x9ABCDEF012345678
SEEDS = [0, 1, 12345, 2**100 + 7, [1, 2, 3]]

# Beyond this many draws the digest of a mask is stored in its place.
WRITTEN_OUT = 1024


def recipes():
    """(shape, rate, key, stream, shared axes, offset) of every golden mask."""
    yield (64,), 0.5, 0, 0, (), 0
    yield (257,), 0.1, KEY, 1, (), 0
    yield (100,), 0.2, 2**64 - 1, 2**63 - 1, (), 2**64 - 100
    yield (3, 7, 5), 0.75, 1, 2**32, (), 2**31 - 50
    yield (12, 16), 0.6, KEY, 2**32 - 1, (0,), 2**35 - 5
    yield (4, 5, 6), 0.3, 2**32, 3, (1,), 2**34 - 12
    yield (3, 4, 4, 5), 0.25, KEY, 2**62 + 1, (1, 2), 2**63 - 7
    yield (3, 5, 4, 4), 0.25, KEY, 4, (2, 3), 9
    yield (2, 3, 2, 3, 2, 3), 0.4, 5, 5, (1, 3, 5), 2**35 * 3 - 1
    yield (9, 5), [0.0, 0.25, 0.5, 0.75, 1.0], 3, 6, (), 1
    yield (4, 6, 3), [[[0.1]], [[0.9]], [[0.5]], [[1.0]]], KEY, 7, (1,), 2
    yield (1000,), 0.01, 11, 8, (), 0
    yield (64,), 2.0**-32, 11, 9, (), 0
    yield (64,), 1 - 2.0**-32, 11, 9, (), 0
    # Thresholds equal to draw 5, which is kept then, and one above, which drops it.
    tie = naive.draw(5, KEY, 10)
    yield (40,), tie / 2**32, KEY, 10, (), 0
    yield (40,), (tie + 1) / 2**32, KEY, 10, (), 0
    # Long enough that some draws share their first digit with the threshold.
    yield (300, 300), 0.1, KEY, 11, (), 2**32 * 8 - 45_000
    yield (100_000,), 0.5, KEY, 12, (), 2**34 - 50_001
    yield (70_001,), 0.7, KEY, 13, (), 2**64 - 70_001
    yield (200, 8, 250), 1 / 3, KEY, 14, (1,), 2**31 - 25_000


def inputs(count):
    """The elements that the masks are applied to, exact in every float type."""
    return [(k * 37 % 101 - 50) / 8 for k in range(count)]


def masked(recipe):
    """What draws decide, and the element and the rate that each of the array's has."""
    shape, rate, key, stream, shared_axes, offset = recipe
    own = [1 if axis in shared_axes else size for axis, size in enumerate(shape)]
    rates = np.broadcast_to(np.array(rate, float), own).reshape(-1).tolist()
    keep = []
    for i, each in enumerate(rates):
        keep.append(naive.draw(offset + i, key, stream) >= naive.threshold(each))
    draws = []
    for place in product(*map(range, shape)):
        number = 0
        for size, step in zip(own, place, strict=True):
            number = number * size + (step if size > 1 else 0)
        draws.append(number)
    return keep, rates, draws


def entry(recipe):
    shape, rate, key, stream, shared_axes, offset = recipe
    keep, rates, draws = masked(recipe)
    scales = {each: naive.scale(each) for each in set(rates)}
    result = {"shape": shape, "rate": rate, "key": key, "stream": stream}
    result |= {"shared_axes": shared_axes, "offset": offset, "kept": sum(keep)}
    packed = np.packbits(keep).tobytes()
    result["keep"] = packed.hex() if len(keep) <= WRITTEN_OUT else sha256(packed).hexdigest()
    x = inputs(prod(shape))
    for kind in "efd":
        y = [
            naive.product(value, scales[rates[d]], kind) if keep[d] else 0.0
            for value, d in zip(x, draws, strict=True)
        ]
        result[kind] = sha256(struct.pack(f"<{len(y)}{kind}", *y)).hexdigest()
    return result


def golden():
    places = [(KEY, 1, 0), (2**64 - 1, 2**63 - 1, 2**64 - 15), (1, 2**32, 2**34 - 7)]
    numbers = [
        {
            "key": key,
            "stream": stream,
            "offset": offset,
            "uniforms": [naive.uniform(offset + i, key, stream) for i in range(15)],
            # The last digits are the C library's.
            "normals": [round(naive.normal(offset + i, key, stream), 9) for i in range(15)],
            "radii": [round(naive.radius(offset + i, key, stream), 9) for i in range(15)],
        }
        for key, stream, offset in places
    ]
    keys = [int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]) for seed in SEEDS]
    seeds = [{"seed": seed, "key": key} for seed, key in zip(SEEDS, keys, strict=True)]
    return {"masks": [entry(recipe) for recipe in recipes()], "numbers": numbers, "seeds": seeds}


def text():
    """The file's text, one entry a line."""
    sections = [
        json.dumps(name) + ": [\n" + ",\n".join(map(json.dumps, entries)) + "\n]"
        for name, entries in golden().items()
    ]
    return "{\n" + ",\n".join(sections) + "\n}\n"


if __name__ == "__main__":
    PATH.write_text(text())
