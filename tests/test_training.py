"""Training: the memory it takes, the same bits however it runs, and how it ends."""

import os
import signal
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
from networks import convolutional, fitted, images, kept, network, samples
from processes import run_code

import fastdrop
from fastdrop.kernels import layers as kernels
from fastdrop.nn import (
    SGD,
    Adam,
    AvgPool2D,
    BatchNorm,
    Callback,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    ReLU,
    Sequential,
    SpatialDropout2D,
)

PACKAGE = str(Path(fastdrop.__file__).parent)


@pytest.fixture
def threads():
    """Sets how many threads there are, also more than processors."""
    before = fastdrop.get_num_threads()

    def use(count):
        fastdrop.threads._limit = count

    yield use
    fastdrop.threads._limit = before


# Memory


def test_results_are_the_callers_own():
    """Nothing that is done with a model later writes into them, nor into the data."""
    x, y = images()
    x.flags.writeable = False
    model = convolutional()
    model.train_batch(x, y)
    outputs = [model.forward(x), model.predict(x)]
    outputs.append(model.forward(x, training=True))
    dy = np.ones_like(outputs[0])
    dy.flags.writeable = False
    outputs.append(model.backward(dy))
    before = [output.copy() for output in outputs]
    for _ in range(2):
        model.train_batch(x[::-1], y[::-1])
        model.backward(model.forward(x[::-1], training=True))
        fitted(model, x[::-1], y[::-1], batch_size=16)
        model.predict(x[::-1])
        model.evaluate(x[::-1], y)
    for output, copy in zip(outputs, before, strict=True):
        np.testing.assert_array_equal(output, copy)


def peak(function):
    """Bytes that a call takes at the most, and that it leaves behind."""
    tracemalloc.start()
    try:
        function()
        left, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return most, left


@pytest.mark.parametrize(
    "between",
    [
        [ReLU(), MaxPool2D(), Dropout()],
        [BatchNorm(), ReLU(), Dropout(0.2, 0), MaxPool2D()],
        [AvgPool2D(), SpatialDropout2D()],
        [MaxPool2D(2, 1), Dropout()],
        [GlobalAvgPool2D()],
    ],
    ids=lambda layers: " ".join(type(layer).__name__ for layer in layers),
)
def test_steps_after_the_first_take_no_large_arrays(between):
    x, y = images(256, size=20)
    layers = [Conv2D(16, 3), ReLU(), Conv2D(16, 3), *between, Flatten(), Dense(200), ReLU()]
    layers += [Dropout(), Dense(3)]
    model = Sequential(layers, rng=0)
    first, _ = peak(lambda: model.train_batch(x, y))
    model.train_batch(x, y)
    model.train_batch(x[:100], y[:100])
    # The activations of the first convolution alone are 5 MB.
    assert first > 10e6
    assert peak(lambda: model.train_batch(x, y))[0] < 300e3


def test_a_run_copies_its_batches_into_the_same_array():
    x, y = images(512, size=20)
    peaks = []

    class Watch(Callback):
        def on_batch_end(self, model, step, loss):
            now, most = tracemalloc.get_traced_memory()
            peaks.append(most - now)
            tracemalloc.reset_peak()

    layers = [Conv2D(8, 3), ReLU(), MaxPool2D(), Flatten(), Dense(3)]
    model = Sequential(layers, rng=0)
    peak(lambda: fitted(model, x, y, epochs=2, batch_size=128, callbacks=[Watch()]))
    # A batch is 410 kB.
    assert len(peaks) == 8
    assert max(peaks[1:]) < 200e3


def test_nothing_large_is_left_behind():
    x, y = images(256, size=20)
    model = convolutional(optimizer=SGD(0.01, momentum=0.9))
    model.train_batch(x, y)
    model.predict(x[:1])
    for call in (
        lambda: model.predict(x),
        lambda: model.evaluate(x, y),
        lambda: fitted(model, x, y, epochs=2),
        lambda: fitted(model, x, y, epochs=2, validation_split=0.5),
    ):
        most, left = peak(call)
        assert most > 2e6
        assert left < 30e3


# The same bits


@pytest.mark.parametrize(
    "make",
    [
        lambda: 5,
        lambda: np.random.SeedSequence(5),
        lambda: np.random.default_rng(5),
        lambda: np.random.PCG64(5),
        lambda: fastdrop.MaskStream(5),
    ],
    ids=["int", "SeedSequence", "Generator", "BitGenerator", "MaskStream"],
)
def test_every_rng_reproduces_networks(make):
    x, y = images()
    losses = [fitted(convolutional(make()), x, y, epochs=2) for _ in range(2)]
    assert losses[0] == losses[1]
    assert losses[0] != fitted(convolutional(6), x, y, epochs=2)


def test_without_rng_nothing_repeats():
    x, y = samples()
    assert network(None).train_batch(x, y) != network(None).train_batch(x, y)


def test_losses_do_not_depend_on_backend_or_threads(threads):
    x, y = images(96, size=16, channels=3)
    runs = set()
    for backend in fastdrop.backends():
        for count in (1, 2, 3):
            with fastdrop.use_backend(backend):
                threads(count)
                model = convolutional()
                losses = tuple(model.train_batch(x, y) for _ in range(2))
                runs.add((losses, kept(model), model.predict(x).tobytes()))
    assert len(runs) == 1


def test_large_layers_do_not_depend_on_threads(threads):
    rng = np.random.default_rng(0)
    x, y = rng.random((512, 40), np.float32), rng.integers(0, 3, 512)
    runs = set()
    for count in (1, 2, 3):
        threads(count)
        layers = [Dense(1500, l1=1e-4, max_norm=1.0), BatchNorm(), ReLU(), Dropout(0.5), Dense(3)]
        model = Sequential(layers, optimizer=Adam(clip_norm=0.5), rng=0)
        runs.add((*(model.train_batch(x, y) for _ in range(2)), kept(model)))
    assert len(runs) == 1


@pytest.mark.parametrize("make", [network, convolutional])
def test_float64_is_float64_throughout(make):
    x, y = samples() if make is network else images()
    model, single = make(dtype=np.float64), make()
    before = model.evaluate(x, y)["loss"]
    fitted(model, x, y, epochs=10)
    single.predict(x)
    assert model.evaluate(x, y)["loss"] < before
    for kind in ("params", "grads", "state"):
        assert {array.dtype for array in model._collect(kind).values()} <= {np.dtype(float)}
    assert model.forward(x).dtype == model.predict(x).dtype == np.float64
    for layer, other in zip(model.layers, single.layers, strict=True):
        for kind in ("params", "state"):
            for name, array in getattr(layer, kind).items():
                getattr(other, kind)[name][...] = array
    np.testing.assert_allclose(single.forward(x), model.forward(x), rtol=0, atol=1e-5)
    assert single.evaluate(x, y)["loss"] == pytest.approx(model.evaluate(x, y)["loss"], rel=1e-5)


def test_numpy_kernels_train_to_nearly_the_same_losses(monkeypatch):
    x, y = images()
    runs = []
    for name in ("cython", "numpy"):
        monkeypatch.setenv("FASTDROP_LAYERS", name)
        monkeypatch.setattr(kernels, "_loaded", None)
        model = convolutional(optimizer=SGD(0.05, 0.9))
        losses = fitted(model, x, y, epochs=4)["loss"]
        assert kernels.layer_kernels().__name__.endswith(f"{name}_layers")
        runs.append((losses, model.predict(x)))
    np.testing.assert_allclose(*(losses for losses, _ in runs), rtol=1e-4)
    np.testing.assert_allclose(*(outputs for _, outputs in runs), atol=1e-3)


def test_numpy_kernels_are_chosen_from_outside():
    code = """
import sys
import numpy as np
from fastdrop.nn import Dense, Sequential
print(Sequential([Dense(2)], rng=0).train_batch(np.eye(4), [0, 1, 0, 1]))
print("fastdrop.kernels.cython_layers" in sys.modules)
"""
    loss, cython = run_code(code, FASTDROP_LAYERS="numpy").splitlines()
    assert cython == "False"
    expected = Sequential([Dense(2)], rng=0).train_batch(np.eye(4), [0, 1, 0, 1])
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    said = run_code(code, FASTDROP_LAYERS="fast", fails=True)
    assert "FASTDROP_LAYERS must be one of cython, numpy, got 'fast'" in said


# Threads and processes


def test_models_in_several_threads_are_what_they_are_alone():
    x, y = images(128)
    alone = [fitted(convolutional(seed), x, y, epochs=3) for seed in range(3)]
    together, barrier = [None] * 3, threading.Barrier(3)

    def train(seed):
        barrier.wait()
        together[seed] = fitted(convolutional(seed), x, y, epochs=3)

    workers = [threading.Thread(target=train, args=[seed]) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert together == alone


def blas_threads():
    return [
        info["num_threads"]
        for info in threadpoolctl.threadpool_info()
        if info["user_api"] == "blas"
    ]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_blas_has_its_threads_back(count):
    x, y = samples()
    model = network()
    model.train_batch(x, y)
    with threadpoolctl.threadpool_limits(count, "blas"):
        before = blas_threads()
        assert before
        model.train_batch(x, y)
        assert blas_threads() == before
        with pytest.raises(FloatingPointError):
            model.train_batch(x * np.nan, y)
        assert blas_threads() == before
        model.predict(x)
        assert blas_threads() == before


LIFE = """
import os, threading
import numpy as np
from fastdrop.nn import *

def model():
    layers = [Conv2D(8, 3, padding="same"), BatchNorm(), ReLU(), MaxPool2D(), Dropout(0.3)]
    return Sequential([*layers, Flatten(), Dense(200), ReLU(), Dropout(0.5), Dense(3)], rng=0)

rng = np.random.default_rng(0)
x, y = rng.random((128, 12, 12, 3), np.float32), rng.integers(0, 3, 128)

def trained(net):
    return net.fit(x, y, epochs=2, verbose=False).history

def fork(function):
    pid = os.fork()
    if not pid:
        try:
            function()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(3)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

def check():
    net = model()
    assert trained(net) == expected
    assert trained(net) == further

net = model()
expected, further = trained(net), trained(net)
"""
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
each_module = pytest.mark.parametrize("module", ["cython", "numpy"])


@needs_fork
@each_module
def test_a_forked_child_trains_to_the_same_numbers(module):
    code = """
half = model()
trained(half)
def go_on():
    assert trained(half) == further
fork(check)
fork(go_on)
fork(lambda: fork(check))
check()
go_on()
print("done")
"""
    assert run_code(LIFE + code, timeout=60, FASTDROP_LAYERS=module) == "done"


@needs_fork
def test_a_child_forked_while_others_train_trains():
    """With NumPy's kernels it cannot be had: OpenBLAS waits for its threads in a fork."""
    code = """
stop = threading.Event()
def busy():
    net = model()
    while not stop.is_set():
        net.train_batch(x[:16], y[:16])
def short():
    assert model().train_batch(x, y) == loss
loss = model().train_batch(x, y)
workers = [threading.Thread(target=busy) for _ in range(2)]
for worker in workers:
    worker.start()
try:
    for _ in range(40):
        fork(short)
finally:
    stop.set()
for worker in workers:
    worker.join()
print("done")
"""
    assert run_code(LIFE + code, timeout=20) == "done"


# Ctrl-C


def test_ctrl_c_waits_for_the_whole_step():
    class Interrupted(SGD):
        def _move(self, *args):
            if not moved:
                signal.raise_signal(signal.SIGINT)
            moved.append(args)
            super()._move(*args)

    x, y = samples()
    moved, handler = [], signal.getsignal(signal.SIGINT)
    model, expected = network(optimizer=Interrupted(0.1)), network(optimizer=SGD(0.1))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, epochs=5, batch_size=64, verbose=False)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, handler)
    expected.fit(x, y, batch_size=64, verbose=False)
    assert len(moved) == 4
    assert kept(model) == kept(expected)
    assert model.history.history == {}


class CtrlC:
    """Sends SIGINT at one of the lines of fastdrop that run in the block."""

    def __init__(self, line):
        self.line, self.seen = line, 0

    def __enter__(self):
        self.before = sys.gettrace(), signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.settrace(self.trace)

    def __exit__(self, *error):
        sys.settrace(self.before[0])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, self.before[1])

    def trace(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self.seen += 1
            if self.seen == self.line:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return self.trace


def test_ctrl_c_at_any_line_of_a_step_leaves_a_whole_model():
    x, y = samples(8)

    def made():
        layers = [Dense(4, max_norm=0.5), BatchNorm(), Dense(3)]
        model = Sequential(layers, optimizer=SGD(0.1, momentum=0.9), rng=0)
        model.train_batch(x, y)
        return model

    def everything(model):
        state = {name: np.asarray(value) for name, value in model._optimizer_state.items()}
        return kept(model), [(name, state[name].tobytes()) for name in sorted(state)]

    model, all_lines = made(), CtrlC(None)
    before = everything(model)
    with all_lines:
        model.train_batch(x, y)
    after, blas = everything(model), blas_threads()
    assert all_lines.seen > 150
    for line in range(1, all_lines.seen + 1):
        model = made()
        with CtrlC(line), pytest.raises(KeyboardInterrupt):
            model.train_batch(x, y)
        assert everything(model) in (before, after), line
        assert blas_threads() == blas, line
        assert not any(layer.reuses for layer in model.layers), line
        assert np.isfinite(model.train_batch(x, y))
