"""The README's recipes: each runs as it stands there, and does what it says."""

import os
import pickle
import re
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from processes import run_code, run_python

import fastdrop

README = (Path(__file__).parents[1] / "README.md").read_text()


def needs(package):
    """Skip without the package, which is not imported here: JAX is against forks ever after."""
    missing = find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed")


@cache
def recipes():
    """The source of each recipe, by the bold words before it."""
    section = README.split("\n## In NumPy programs of your own\n")[1].split("\n## ")[0]
    found = dict(re.findall(r"^\*\*(.+?)\*\*.*?^```python\n(.*?)^```", section, re.M | re.S))
    assert len(found) == section.count("```python")
    return found


def run(name, source=None):
    """What a recipe leaves behind."""
    names = {}
    exec(source or recipes()[name], names)
    return names


def in_a_process(check, before="", **options):
    """Run a function of this module where what it imports, and its threads, are its own."""
    run_code(f"{before}\nimport test_recipes; test_recipes.{check.__name__}()", **options)


def factor(mask):
    """What the mask multiplies by, as NumPy does it."""
    return np.where(mask.keep(), mask.scale, 0.0)


def difference(function, x, step=1e-6):
    """The gradient of a scalar function by central differences."""
    slope = np.empty(x.shape)
    for place in np.ndindex(x.shape):
        shift = np.zeros(x.shape)
        shift[place] = step
        slope[place] = (function(x + shift) - function(x - shift)) / (2 * step)
    return slope


def test_recipes_are_short():
    assert len(recipes()) == 6
    for name, source in recipes().items():
        lines = [line for line in source.splitlines() if line.strip()]
        assert 5 <= len(lines) <= 20, name


def test_class_of_ones_own():
    names = run("A class of your own")
    expected = fastdrop.MaskStream(0).draw((4, 3), 0.5).keep() * 2.0
    assert (names["y"] == expected).all()
    assert (names["dx"] == expected).all()
    assert 0 < expected.sum() < 24

    layer, rng = names["layer"], np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 50, 4))
    y = layer.forward(x)
    second = fastdrop.Mask((50, 4), 0.5, key=layer.stream.key, stream=1)
    np.testing.assert_allclose(y, x * factor(second), rtol=1e-15)
    np.testing.assert_allclose(layer.backward(dy), dy * factor(second), rtol=1e-15)
    assert layer.forward(x, training=False) is x
    assert (layer.backward(dy) == dy).all()


@needs("autograd")
def test_autograd():
    from autograd import grad, jacobian
    from autograd import numpy as anp
    from autograd.test_util import check_grads

    names = run("autograd")
    mask = names["stream"].draw((256, 64), 0.2)
    untrained = run("autograd", recipes()["autograd"].replace("range(500)", "range(0)"))
    none = fastdrop.Mask((256, 64), 0.0, key=0)
    start, end = (one["loss"](one["weights"], none) for one in (untrained, names))
    assert end < start / 4

    small = fastdrop.Mask((5, 4), 0.5, key=3)
    assert 0 < small.keep().sum() < 20
    x = np.random.default_rng(1).normal(size=(5, 4))

    def traced(x):
        return anp.sum(anp.sin(names["apply"](small, x) ** 2))

    scaled = x * factor(small)
    np.testing.assert_allclose(traced(x), np.sin(scaled**2).sum())
    expected = np.cos(scaled**2) * 2 * scaled * factor(small)
    np.testing.assert_allclose(grad(traced)(x), expected)
    curvature = (2 * np.cos(scaled**2) - 4 * scaled**2 * np.sin(scaled**2)) * factor(small) ** 2
    hessian = jacobian(grad(traced))(x).reshape(20, 20)
    np.testing.assert_allclose(hessian, np.diag(curvature.ravel()), atol=1e-12)
    np.random.seed(0)  # of the directions in which it checks
    check_grads(traced, modes=["rev"], order=2)(x)
    check_grads(traced, modes=["fwd", "rev"], order=2)(x)
    check_grads(lambda weights: names["loss"](weights, mask), modes=["rev"], order=2)(
        names["weights"]
    )


def check_thinc():
    from thinc.api import Dropout, Ragged, chain, set_dropout_rate, with_array

    names = run("Thinc")
    X, Y, model = (names[name] for name in ("X", "Y", "model"))
    assert (model.predict(X).argmax(1) == Y.argmax(1)).mean() > 0.95

    ours, theirs, x = names["dropout"](0.25, seed=3), Dropout(0.25), np.ones((300, 200), "float32")
    assert ours.name == theirs.name
    # As theirs: the factors of forward and backward, 0 or 1 / (1 - rate), are one mask.
    for layer in ours, theirs:
        y, backprop = layer(x, is_train=True)
        assert set(np.unique(y)) == {np.float32(0), np.float32(4 / 3)}
        assert abs((y == 0).mean() - 0.25) < 5 * (0.25 * 0.75 / y.size) ** 0.5
        assert (backprop(x) == y).all()
        assert y.dtype == np.float32
        assert layer.predict(x) is x
        assert (layer(x, is_train=False)[1](y) == y).all()
        assert (layer(x, is_train=True)[0] != y).any()
    first = fastdrop.MaskStream(3).draw(x.shape, 0.25)
    assert (names["dropout"](0.25, seed=3)(x, is_train=True)[0] == first.apply(x)).all()

    set_dropout_rate(chain(ours, theirs), 0.0)
    for layer in ours, theirs:
        assert layer.attrs["dropout_rate"] == 0
        assert (layer(x, is_train=True)[0] == x).all()
    set_dropout_rate(ours, 0.5)
    assert set(np.unique(ours(x, is_train=True)[0])) == {0, 2}

    pieces = Ragged(x, np.array([100, 200], "i"))
    out, backprop = with_array(ours)(pieces, is_train=True)
    assert (backprop(pieces).data == out.data).all()


@needs("thinc")
def test_thinc():
    in_a_process(check_thinc)


def check_jax():
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    names = run("JAX")
    dropout, key = names["dropout"], jax.random.key(7)

    def expected(x, key, rate=0.5):
        words = np.asarray(jax.random.key_data(key)).tolist()
        return fastdrop.dropout(x, rate, rng=np.random.SeedSequence(words))

    kept = expected(np.ones((8, 100)), jax.random.key(0)) == 2
    wanted = np.where(kept, 8 * np.tanh(1) * (1 - np.tanh(1) ** 2), 0)
    np.testing.assert_allclose(names["dx"], wanted, rtol=1e-5)
    for dtype in (np.float32, np.float64):
        x = np.random.default_rng(0).normal(size=(6, 5)).astype(dtype)
        for rate in (0.0, 0.1, 0.5, 1.0):
            for function in (dropout, jax.jit(dropout, static_argnums=1)):
                y = np.asarray(function(x, rate, key))
                assert y.dtype == dtype
                assert (y == expected(x, key, rate)).all()

    def loss(x):
        return jnp.sum(jnp.sin(dropout(x, 0.5, key)) * x)

    def plain(x):
        return float((np.sin(expected(x, key)) * x).sum())

    np.testing.assert_allclose(loss(x), plain(x))
    slope = jax.grad(loss)
    np.testing.assert_allclose(jax.jit(slope)(x), difference(plain, x), atol=1e-8)

    def steepness(x):
        return jnp.sum(slope(x) ** 2)

    np.testing.assert_allclose(jax.jit(jax.grad(steepness))(x), difference(steepness, x), atol=1e-7)

    keys = jax.random.split(key, 6)
    each = jax.jit(jax.vmap(lambda x, key: dropout(x, 0.5, key)))(x, keys)
    assert (np.asarray(each) == [expected(*pair) for pair in zip(x, keys, strict=True)]).all()
    slopes = jax.vmap(jax.grad(lambda x, key: dropout(x, 0.5, key).sum()))(x, keys)
    ones = np.ones(5)
    assert (np.asarray(slopes) == [expected(ones, key) for key in keys]).all()
    same = jax.vmap(lambda x: dropout(x, 0.5, key))(np.ones((6, 5)))
    assert (np.asarray(same) == expected(ones, key)).all()


@needs("jax")
def test_jax():
    in_a_process(check_jax)


def check_jax_ends():
    """Callbacks one after the other, on arrays that JAX copies in its own threads."""
    import jax

    names = run("JAX")
    x, slopes = jax.numpy.ones((1000, 1000)), []
    for key in jax.random.split(jax.random.key(0), 20):
        slopes.append(names["slope"](x, key))
    dropped = [float((slope == 0).mean()) for slope in slopes]
    assert all(abs(share - 0.5) < 0.003 for share in dropped)
    assert len(set(dropped)) > 10


@needs("jax")
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
@pytest.mark.parametrize("processors", [1, 2])
def test_jax_does_not_hang(processors):
    usable = sorted(os.sched_getaffinity(0))[:processors]
    in_a_process(check_jax_ends, f"import os; os.sched_setaffinity(0, {usable})")


def peak():
    """The most bytes that this process has held since `forget` was called."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def forget():
    Path("/proc/self/clear_refs").write_text("5")


def check_larger_than_memory():
    write, loop = recipes()["An array larger than memory"].split("mask = ")
    names = {}
    exec(write, names)
    x = np.random.default_rng(0).standard_normal((20_000, 1_000), np.float32)
    np.save("x.npy", x)
    expected = np.where(fastdrop.Mask(x.shape, 0.5, key=7).keep(), 2 * x, np.float32(0))
    np.save("expected.npy", expected)
    del x, expected
    linux = sys.platform == "linux"
    if linux:
        forget()
        before = peak()
    exec(f"mask = {loop}", names)
    # The files have 80 MB each; a piece of x and one of y, 4 MB each.
    assert not linux or peak() - before < 32e6
    assert (np.load("y.npy") == np.load("expected.npy")).all()


def test_array_larger_than_memory(tmp_path):
    in_a_process(check_larger_than_memory, f"import os; os.chdir({str(tmp_path)!r})")


def test_several_processes(tmp_path):
    program, result = tmp_path / "program.py", tmp_path / "y.npy"
    program.write_text(recipes()["Several processes"] + f"    np.save({str(result)!r}, y)\n")
    run_python("-W", "error", str(program))
    mask = fastdrop.Mask((1000, 256), 0.5, key=7)
    y = np.load(result)
    assert (y == 2.0 * mask.keep()).all()
    assert y.dtype == np.float32
    for start in range(0, 1000, 250):
        part = mask[start : start + 250]
        place = {"key": part.key, "stream": part.stream, "offset": part.offset}
        assert fastdrop.Mask((250, 256), 0.5, **place) == part
        assert len(pickle.dumps(part)) < 250
