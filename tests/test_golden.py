"""Masks that no release may change, on every backend."""

import json
from hashlib import sha256
from math import prod

import golden
import numpy as np
import pytest

import fastdrop
from fastdrop import kernels

GOLDEN = json.loads(golden.PATH.read_text())


def recipe(entry, kind=fastdrop.Mask):
    names = ("key", "stream", "shared_axes", "offset")
    return kind(entry["shape"], entry["rate"], **{name: entry[name] for name in names})


def name(entry):
    return f"{'x'.join(map(str, entry['shape']))}-stream{entry['stream']}"


def test_the_file_is_what_the_naive_form_gives():
    assert golden.text() == golden.PATH.read_text()


@pytest.mark.parametrize("entry", GOLDEN["masks"], ids=name)
def test_keep(backend, entry):
    keep = recipe(entry).keep()
    packed = np.packbits(keep).tobytes()
    written_out = keep.size <= golden.WRITTEN_OUT
    assert (packed.hex() if written_out else sha256(packed).hexdigest()) == entry["keep"]
    assert np.count_nonzero(keep) == entry["kept"]


@pytest.mark.parametrize("kind", ["e", "f", "d"])
@pytest.mark.parametrize("entry", GOLDEN["masks"], ids=name)
def test_apply(backend, entry, kind):
    x = np.array(golden.inputs(prod(entry["shape"])), kind).reshape(entry["shape"])
    y = recipe(entry).apply(x)
    assert y.dtype == x.dtype
    assert sha256(y.astype("<" + kind).tobytes()).hexdigest() == entry[kind]


@pytest.mark.parametrize("kind", ["f", "d"])
@pytest.mark.parametrize("entry", GOLDEN["numbers"])
def test_uniforms_and_normals(backend, entry, kind):
    place = entry["key"], entry["stream"], entry["offset"]
    out = np.full(15, np.nan, kind)
    kernels.active().uniforms(out, *place, 1)
    assert out.tolist() == entry["uniforms"]
    kernels.active().normals(out, *place, 1)
    assert (np.abs(out - entry["normals"]) <= 2e-6 * np.array(entry["radii"])).all()


@pytest.mark.parametrize("entry", GOLDEN["seeds"])
def test_seeds(backend, entry):
    """A seed gives a key, and the draws are streams 0, 1, 2, ... under it."""
    stream = fastdrop.MaskStream(entry["seed"])
    assert stream.key == entry["key"]
    for number in range(3):
        mask = stream.draw((20, 3), 0.4)
        assert mask == fastdrop.Mask((20, 3), 0.4, key=entry["key"], stream=number)
