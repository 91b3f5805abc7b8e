"""Data that are not in memory: what is read, in what order, and what training makes of it."""

import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from networks import fitted, kept, network, samples
from processes import run_code

import fastdrop
from fastdrop.nn import Callback, Dense, Embedding, Flatten, Sequential, stored, streaming
from fastdrop.nn.stored import Stored
from fastdrop.nn.streaming import Streamed

FEATURES = 8


class Own:
    """Rows by slices, and which of them were asked for."""

    def __init__(self, array, slow=0.0):
        self.array, self.slow, self.asked = array, slow, []

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        time.sleep(self.slow)
        self.asked.append((rows.start, rows.stop))
        return self.array[rows]


@pytest.fixture
def tiny(monkeypatch):
    """Blocks of 16 rows of 8 float32 and a label, in windows of 4 blocks."""
    monkeypatch.setattr(streaming, "LEAST", 1)
    monkeypatch.setattr(streaming, "BLOCK", 16 * 40)
    monkeypatch.setattr(streaming, "WINDOW", 64 * 40)
    monkeypatch.setattr(stored, "SMALL", 0)


def away(kind, array, folder, name="x"):
    """The same numbers, not in memory."""
    file = folder / f"{name}.npy"
    if kind == "own":
        return Own(array)
    if kind == "shards":
        parts = folder / f"{name}-shards"
        parts.mkdir(exist_ok=True)
        for number, start in enumerate(range(0, len(array), 23)):
            np.save(parts / f"{number}.npy", array[start : start + 23])
        return parts
    np.save(file, np.concatenate((array[:3], array)) if kind == "view" else array)
    if kind == "path":
        return str(file)
    return np.load(file, mmap_mode="r")[3 if kind == "view" else 0 :]


KINDS = ("own", "shards", "path", "memmap", "view")


def streamed(x, y=None, size=10, dtype=np.float32):
    x = Stored(x, "x", "test")
    return Streamed(x, y, dtype, size)


def reader_threads():
    return [thread for thread in threading.enumerate() if thread.name == "fastdrop-read-ahead"]


# The same as in memory


@pytest.mark.parametrize("small", [0, 2**27])
@pytest.mark.parametrize("kind", KINDS)
def test_data_of_one_window_train_as_arrays_do(kind, small, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "SMALL", small)
    x, y = samples(300)
    expected, model = network(), network()
    settings = {"epochs": 3, "batch_size": 7, "validation_split": 0.2}
    settings |= {"class_weight": {1: 2.0}, "sample_weight": np.linspace(0, 1, 300)}
    same = fitted(expected, x, y, **settings)
    far = away(kind, x, tmp_path), away(kind, y, tmp_path, "y")
    assert fitted(model, *far, **settings) == same
    assert kept(model) == kept(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_many_windows_are_steps_on_their_batches(kind, tiny, tmp_path):
    """The rows that `batches` names, taken by NumPy from the array."""
    x, y = samples(333)
    expected, model = network(), network()
    expected._check_pair(x, y, "test")
    for _ in range(2):
        for rows in streamed(x, y).batches(expected._sources.order):
            expected.train_batch(x[rows], y[rows])
    far = away(kind, x, tmp_path), away(kind, y, tmp_path, "y")
    history = fitted(model, *far, epochs=2, batch_size=10, validation_data=far)
    assert kept(model) == kept(expected)
    assert history["val_loss"][-1] == pytest.approx(expected.evaluate(x, y)["loss"], rel=1e-6)


@pytest.mark.parametrize("where", ["x", "y", "both"])
def test_the_order_does_not_depend_on_what_is_in_memory(where, tiny):
    x, y = samples(333)
    both, model = network(), network()
    fitted(both, Own(x), Own(y), epochs=2)
    fitted(model, x if where == "y" else Own(x), y if where == "x" else Own(y), epochs=2)
    assert kept(model) == kept(both)


@pytest.mark.parametrize("kind", KINDS)
def test_predict_and_evaluate_are_those_of_the_array(kind, tiny, tmp_path):
    x, y = samples(200)
    model = network(input_shape=(FEATURES,))
    far = away(kind, x, tmp_path), away(kind, y, tmp_path, "y")
    for size in (7, 64, 500):
        assert np.array_equal(
            model.predict(far[0], batch_size=size), model.predict(x, batch_size=size)
        )
        found, expected = (model.evaluate(*data, batch_size=size) for data in (far, (x, y)))
        assert found == expected
    found, expected = (model.predict_mc(data, 3, 0, batch_size=64) for data in (far[0], x))
    assert np.array_equal(found.mean, expected.mean)
    assert np.array_equal(found.entropy, expected.entropy)


def test_predictions_that_are_the_samples_themselves(tiny):
    x = samples(200)[0]
    model = Sequential([Flatten()], loss="mean_squared_error", input_shape=(FEATURES,))
    assert np.array_equal(model.predict(Own(x), batch_size=9), x)


@pytest.mark.parametrize("dtype", ["uint8", ">f4", "float64", "bool", "float16"])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_numbers_are_converted_batch_by_batch(dtype, layout, tiny, tmp_path):
    x = np.asarray(np.random.default_rng(0).integers(0, 2, (150, 2, 3)) * 3.7, dtype, order=layout)
    y = np.arange(150) % 3
    np.save(tmp_path / "x.npy", x)
    models = [Sequential([Flatten(), Dense(3)], rng=0) for _ in range(3)]
    for model, data in zip(models, (Own(x), tmp_path / "x.npy", x.astype(np.float32)), strict=True):
        fitted(model, data, Own(y), epochs=2, shuffle=False)
        assert kept(model) == kept(models[0])
    assert np.array_equal(models[0].predict(tmp_path / "x.npy"), models[0].predict(x))


def test_indices_and_targets_of_many_numbers(tiny):
    x = np.random.default_rng(0).integers(0, 9, (150, 4)).astype(np.int16)
    models = [
        Sequential([Embedding(9, 3), Flatten(), Dense(2)], loss="mean_squared_error", rng=0)
        for _ in range(2)
    ]
    y = np.random.default_rng(1).random((150, 2))
    fitted(models[0], x, y, shuffle=False, epochs=2)
    fitted(models[1], Own(x), Own(y), shuffle=False, epochs=2)
    assert kept(models[0]) == kept(models[1])


# The order


@pytest.mark.parametrize("count", [1, 5, 15, 16, 17, 64, 65, 80, 129, 500])
@pytest.mark.parametrize("size", [1, 10, 16, 64, 100, 1000])
def test_every_row_once_in_full_batches(count, size, tiny):
    x = np.arange(count * FEATURES, dtype=np.float32).reshape(count, FEATURES)
    own = Own(x)
    parts = streamed(own, np.zeros(count, np.int64), size)
    own.asked.clear()
    for order in (None, np.random.default_rng(count)):
        found = []
        for rows, batch in parts.read(parts.batches(order)):
            assert np.array_equal(batch, x[rows])
            found.append(rows)
        assert [len(rows) for rows in found[:-1]] == [size] * ((count - 1) // size)
        rows = np.concatenate(found)
        assert np.array_equal(np.sort(rows), np.arange(count))
        assert (order is None) <= np.array_equal(rows, np.arange(count))
        # Nor is any read twice, but for the few where windows of unequal size meet.
        assert count <= sum(end - begin for begin, end in own.asked) <= count * 1.25
        own.asked.clear()


def test_the_order_is_of_the_seed_and_not_of_time(tiny):
    x = samples(400)[0]

    def order(seed, slow, count=400):
        parts = streamed(Own(x[:count], slow), np.zeros(count, np.int64))
        generator = np.random.default_rng(seed)
        read = parts.read(parts.batches(generator))
        rows = np.concatenate([rows for rows, _ in read])
        return rows.tolist(), generator.bit_generator.state

    (rows, state), again = order(0, 0.0), order(0, 0.002)
    assert (rows, state) == again
    assert order(1, 0.0)[0] != rows
    # An epoch that is never read leaves the generator where one that is does.
    generator = np.random.default_rng(0)
    streamed(x, np.zeros(400, np.int64)).batches(generator)
    assert generator.bit_generator.state == state


def test_the_order_is_that_of_the_formula(tiny):
    """25 blocks of 16 rows in 7 windows."""
    generator = np.random.default_rng(3)
    windows = np.array_split(generator.permutation(25), 7)
    within = np.random.default_rng(generator.integers(2**63))
    expected = []
    for blocks in windows:
        rows = [16 * block + row for block in blocks for row in range(16)]
        expected += within.permutation([row for row in rows if row < 390]).tolist()
    parts = streamed(samples(390)[0], np.zeros(390, np.int64))
    found = np.concatenate(list(parts.batches(np.random.default_rng(3))))
    assert found.tolist() == expected


def test_far_rows_mix(tiny):
    """Over many epochs: rows come at places that do not tell where they are from."""
    count, epochs = 64 * 16, 60
    parts = streamed(np.zeros((count, FEATURES), np.float32), np.zeros(count, np.int64), 16)
    generator = np.random.default_rng(5)
    spans, correlations, firsts = [], [], np.zeros(64)
    for _ in range(epochs):
        rows = np.concatenate(list(parts.batches(generator)))
        blocks = rows.reshape(-1, 16) // 16
        spans += [len(set(batch)) for batch in blocks.tolist()]
        correlations.append(np.corrcoef(rows, np.arange(count))[0, 1])
        np.add.at(firsts, blocks[:4].reshape(-1), 1)
    # 16 draws out of 4 blocks of 16 rows leave one out with p = 4 C(48, 16) / C(64, 16) = 0.018.
    assert np.mean(np.array(spans) >= 4) > 0.95
    # 64 blocks in random order: r has standard deviation 1 / sqrt(63) an epoch.
    assert abs(np.mean(correlations)) * np.sqrt(63 * epochs) < 5
    # Each block is in the first window with p = 1 / 16, and then with 16 rows.
    z = (firsts / 16 - epochs / 16) / np.sqrt(epochs * 15 / 256)
    assert abs(z).max() < 5.5
    # Neighbours within a window are in no order: as many rises as falls.
    rises = np.mean(np.diff(rows.reshape(-1, 64) % 16) > 0)
    falls = np.mean(np.diff(rows.reshape(-1, 64) % 16) < 0)
    assert abs(rises - falls) < 5 * np.sqrt(1 / 3 / 1008)


def test_resumed_equals_uninterrupted(tiny, tmp_path):
    x, y = map(Own, samples(333))
    whole, half = network(), network()
    fitted(whole, x, y, epochs=4, batch_size=10)
    fitted(half, x, y, epochs=2, batch_size=10)
    half.save(tmp_path / "half.safetensors")
    again = fastdrop.load(tmp_path / "half.safetensors")
    fitted(again, x, y, epochs=4, batch_size=10, initial_epoch=2)
    assert kept(again) == kept(whole)
    assert again.history.history == whole.history.history


# What is read


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_part_of_each_batch(part, shuffle, tiny):
    """What one of three processes reads, of batches that some of them have no row of."""
    x, y = samples(203)
    own, targets = Own(x), Own(y)
    parts = streamed(own, Stored(targets, "y", "test"), 4)

    def some(rows):
        return np.array_split(rows, 3)[part] if rows[0] % 5 else rows[:0]

    def order():
        return np.random.default_rng(1) if shuffle else None

    expected = [some(rows) for rows in parts.batches(order())]
    assert any(len(rows) == 0 for rows in expected)
    found = 0
    for rows, batch in parts.read(map(some, parts.batches(order()))):
        assert np.array_equal(rows, expected[found])
        assert np.array_equal(batch, x[rows])
        assert np.array_equal(parts[rows], y[rows])
        found += 1
    assert found == len(expected)


def test_what_is_not_needed_is_not_read(monkeypatch):
    monkeypatch.setattr(streaming, "LEAST", 1)
    monkeypatch.setattr(streaming, "BLOCK", 256 * 32)
    monkeypatch.setattr(streaming, "WINDOW", 1024 * 32)
    x = samples(5000)[0]
    own = Own(x)
    parts = streamed(own, size=100)
    own.asked.clear()
    every_second = [rows for rows in parts.batches(None) if rows[0] // 100 % 2]
    for rows, batch in parts.read(every_second):
        assert np.array_equal(batch, x[rows])
    read = sum(end - begin for begin, end in own.asked)
    assert read == 2500
    own.asked.clear()
    assert list(parts.read([])) == []
    # Gaps of few rows cost less than to leave them out.
    list(parts.read([np.arange(0, 5000, 3)]))
    assert len(own.asked) <= 21


def test_targets_are_those_of_the_last_batch_alone(tiny):
    x, y = samples(100)
    parts = streamed(x, Stored(y, "y", "test"))
    for rows, _ in parts.read(parts.batches(None)):
        assert np.array_equal(parts[rows], y[rows])
        with pytest.raises(IndexError, match="the batch that was read last"):
            parts[rows.copy()]


def test_reading_is_ahead_and_of_one_window_only(tiny):
    """While a batch is learned, the next window is read, and not the one after it."""
    own = Own(np.zeros((64 * 6, FEATURES), np.float32))
    parts = streamed(own, np.zeros(64 * 6, np.int64))
    own.asked.clear()
    read = parts.read(parts.batches(None))
    next(read)
    deadline = time.monotonic() + 20
    while sum(end - begin for begin, end in own.asked) < 128 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert sum(end - begin for begin, end in own.asked) == 128
    read.close()
    assert not reader_threads()


def test_who_stops_does_not_wait_for_a_window(tiny):
    own = Own(np.zeros((64 * 6, FEATURES), np.float32), slow=0.05)
    parts = streamed(own, np.zeros(64 * 6, np.int64))
    read = parts.read(parts.batches(None))
    next(read)
    own.asked.clear()
    read.close()
    assert len(own.asked) <= 2  # of 4 blocks


def test_parts_of_parts():
    x = samples(100)[0]
    whole = Stored(Own(x), "x", "test")
    half = streaming.part_of(whole, 50, 100)
    assert np.array_equal(half[:], x[50:])
    assert np.array_equal(streaming.part_of(half, 20, 30)[:], x[70:80])
    assert np.array_equal(half[40:], x[90:])
    assert np.array_equal(half[-7:], x[93:])
    assert half[60:].shape == (0, FEATURES)
    assert np.array_equal(streaming.part_of(x, 50, 100), x[50:])


# What goes wrong


class Bad(Own):
    """The third row of the fourth block is asked for, and something happens."""

    def __init__(self, array, happen):
        super().__init__(array)
        self.happen = happen

    def __getitem__(self, rows):
        part = super().__getitem__(rows)
        return self.happen(part) if rows.start <= 50 < rows.stop else part


def fails(part):
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("happen", "kind", "message"),
    [
        (fails, OSError, r"x\[48:64\] cannot be read: OSError: .*Input/output error"),
        (lambda part: part[1:], ValueError, r"x\[48:64\] must have shape \(16, 8\), got \(15, 8\)"),
        (lambda part: part[:, :7], ValueError, r"x\[48:64\] must have shape .*, got \(16, 7\)"),
        (lambda part: part.astype(int), TypeError, r"x\[48:64\] must be float32, got int64"),
        (lambda part: {}["a"], RuntimeError, r"x\[48:64\] cannot be read: KeyError: 'a'"),
        (lambda part: [[1], [2, 3]], RuntimeError, r"x\[48:64\] cannot be read: ValueError"),
    ],
)
def test_errors_name_the_rows(happen, kind, message, tiny):
    x, y = samples(333)
    model = network()
    with pytest.raises(kind, match=rf"^Sequential\.fit: {message}"):
        model.fit(Bad(x, happen), y, verbose=False, shuffle=False)
    assert not reader_threads()
    with pytest.raises(kind, match=r"^Sequential\.predict: x\[40:60\] "):
        model.predict(Bad(x, happen))


def test_targets_are_checked_as_they_are_read(tiny, monkeypatch):
    x, y = samples(333)
    y[200] = 3
    with pytest.raises(
        ValueError, match=r"^Sequential\.fit: y\[\d+:\d+\]: y must hold labels in"
    ) as found:
        network().fit(Own(x), Own(y), verbose=False)
    begin, end = map(int, str(found.value).split("[")[1].split("]")[0].split(":"))
    assert begin <= 200 < end
    with pytest.raises(ValueError, match="y must hold a target for each of 333 samples, got 332"):
        network().fit(Own(x), Own(y[:332]), verbose=False)
    with pytest.raises(TypeError, match="y must hold integer labels, got float64"):
        network().fit(Own(x), Own(y * 1.0), verbose=False)
    # Those that are small are read at once, before anything is learned.
    monkeypatch.setattr(stored, "SMALL", 2**20)
    steps = []
    model = network()
    monkeypatch.setattr(model, "_step", lambda *arguments: steps.append(arguments))
    with pytest.raises(ValueError, match=r"^Sequential\.fit: y must hold labels in \[0, 3\)"):
        model.fit(Own(x), Own(y), verbose=False)
    assert not steps


class Ending(Callback):
    def __init__(self, error):
        self.error = error

    def on_batch_end(self, model, step, loss):
        if step == 3:
            if self.error is None:
                model.stop_training = True
            else:
                raise self.error


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_no_thread_is_left_by_an_error(error, tiny):
    x, y = samples(333)
    with pytest.raises(error) as held:
        fitted(network(), Own(x, 0.005), Own(y), batch_size=5, callbacks=[Ending(error())])
    # While the error is held, and with it all that the frames hold.
    assert not reader_threads(), held


def test_no_thread_is_left_by_an_end(tiny):
    x, y = samples(333)
    model = network()
    fitted(model, Own(x, 0.005), Own(y), epochs=3, batch_size=5, callbacks=[Ending(None)])
    assert model.epoch == 1
    assert not reader_threads()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads")
def test_ctrl_c_while_waiting_for_data(tiny):
    x, y = samples(333)
    main = threading.get_ident()

    def interrupt(part):
        signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.2)
        return part

    with pytest.raises(KeyboardInterrupt):
        network().fit(Bad(x, interrupt), y, verbose=False, shuffle=False)
    assert not reader_threads()


@pytest.mark.parametrize("data", [(row for row in range(3)), iter([1]), {1, 2}, {0: 1}, object()])
@pytest.mark.parametrize("name", ["x", "y"])
def test_what_has_no_slices_is_told_what_is_accepted(data, name):
    x, y = samples()
    arguments = {"x": x, "y": y} | {name: data}
    message = rf"^Sequential\.fit: {name} must be an array, a folder of \.npy files, or an object"
    with pytest.raises(TypeError, match=f"{message}.*got {type(data).__name__}$"):
        network().fit(**arguments, verbose=False)


def test_empty_and_strange_objects():
    x, y = samples()
    with pytest.raises(ValueError, match="x must hold at least one sample, got shape"):
        network().predict(Own(x[:0]))
    with pytest.raises(ValueError, match=r"x must hold at least one sample, got shape \(\)"):
        network().predict(Array(np.ones(()), chunks=None, shape=()))
    with pytest.raises(TypeError, match="x must hold real numbers, got <U1"):
        network().predict(Own(np.array([["a"]])))
    with pytest.raises(FileNotFoundError, match=r"Shards: 'nowhere' is not there"):
        network().fit("nowhere", y, verbose=False)


class Array:
    """What NumPy takes for an array."""

    def __init__(self, array, **attributes):
        self.array = array
        vars(self).update(attributes)

    def __array__(self, dtype=None, copy=None):
        return self.array

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        return self.array[rows]


class Shaped:
    """With a shape instead of a length, as arrays of zarr."""

    def __init__(self, array):
        self.shape, self.chunks, self.rows = array.shape, (4, 8), array.__getitem__

    def __getitem__(self, rows):
        return self.rows(rows)


def test_a_shape_is_as_good_as_a_length(tiny):
    x, y = samples(100)
    model = network(input_shape=(FEATURES,))
    assert np.array_equal(model.predict(Shaped(x), batch_size=7), model.predict(x, batch_size=7))
    model.fit(Shaped(x), Shaped(y), verbose=False)


def test_what_is_in_memory(tmp_path, monkeypatch):
    x = samples()[0]
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    here = [x, x.tolist(), tuple(x), Array(x), range(3), memoryview(x), np.asarray(mapped)]
    here += [mapped.copy(), np.ma.array(x)]
    assert not [data for data in here if isinstance(stored.stored(data, "x", "test"), Stored)]
    small = stored.stored(tmp_path, "x", "test")
    assert type(small) is np.ndarray
    assert np.array_equal(small, x)
    monkeypatch.setattr(stored, "SMALL", x.nbytes // 8)
    away = [mapped, mapped[1:], mapped[:, ::2], mapped.T, Own(x), tmp_path, str(tmp_path)]
    away += [Array(x, chunks=None), Array(x, chunks=(4, 8)), Shaped(x)]
    assert all(isinstance(stored.stored(data, "x", "test"), Stored) for data in away)


@pytest.mark.parametrize("view", [np.s_[5:], np.s_[::2], np.s_[:, ::3], np.s_[::-1], np.s_[:, 1:2]])
def test_views_of_maps(view, tiny, tmp_path):
    x = samples(200)[0]
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")[view]
    model = Sequential([Dense(3)], rng=0)
    assert np.array_equal(model.predict(mapped, batch_size=9), model.predict(x[view], batch_size=9))


def test_changes_of_a_private_map_are_kept(tiny, tmp_path):
    x = samples(4000)[0]
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="c")
    mapped *= 2
    model = Sequential([Dense(3)], rng=0)
    assert np.array_equal(model.predict(mapped), model.predict(x * 2))
    assert np.array_equal(mapped, x * 2)


# Memory

FLAT = """
import numpy as np
from fastdrop import Mask
from fastdrop.data import release
from fastdrop.nn import Dense, Dropout, ReLU, Sequential, streaming

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

streaming.WINDOW = 2**23
rows = 2**17
x = np.memmap(PATH + "x", np.float32, "w+", shape=(rows, 512))
y = np.memmap(PATH + "y", np.float32, "w+", shape=x.shape)
parts = [slice(start, start + 4096) for start in range(0, rows, 4096)]
for part in parts:
    x[part] = np.arange(part.start, part.stop)[:, None]
    release(x[part])
labels = np.arange(rows) % 3
mask = Mask(x.shape, 0.5, key=1)
model = Sequential([Dense(8), ReLU(), Dropout(0.5), Dense(3)], rng=0)
model.fit(x[:9000], labels[:9000], batch_size=1024, verbose=False)
mask[:4096].apply(x[:4096])
before = peak()
model.fit(x, labels, batch_size=1024, verbose=False)
model.evaluate(x, labels)
model.predict(x)
for part in parts:
    mask[part].apply(x[part], out=y[part])
    release(x[part])
    release(y[part])
print(peak() - before)
assert peak() - before > 256 or np.array_equal(y, mask.apply(x))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel does not tell")
def test_memory_is_flat(tmp_path):
    """256 MiB of samples in two windows of 8 MiB; and dropout from file to file."""
    assert float(run_code(FLAT.replace("PATH", repr(f"{tmp_path}/")))) < 64


@pytest.mark.parametrize("out", ["other", "same", "array"])
def test_dropout_of_whole_maps(out, tmp_path):
    x = samples(1000)[0]
    source = np.memmap(tmp_path / "x", np.float32, "w+", shape=x.shape)
    target = np.memmap(tmp_path / "y", np.float32, "w+", shape=x.shape)
    source[:], target[:] = x, np.nan
    to = {"other": target, "same": source, "array": np.full_like(x, np.nan)}[out]
    mask = fastdrop.Mask(x.shape, 0.5, key=3)
    expected = mask.apply(x)
    assert mask.apply(source, out=to) is to
    assert np.array_equal(to, expected)
    assert out == "same" or np.array_equal(source, x)
    to.flush() if out != "array" else None
    name = {"other": "y", "same": "x"}.get(out)
    assert name is None or np.array_equal(
        np.fromfile(tmp_path / name, np.float32), expected.ravel()
    )
