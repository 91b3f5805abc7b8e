"""What the tests of training in several processes run, in one process or in many.

``python ranked.py NAME [ARGUMENT ...]`` calls that function under `mpiexec`, and
rank 0 prints what it gives as JSON.
"""

import json
import os
import signal
import sys
import time
from hashlib import sha256

import numpy as np

import fastdrop
from fastdrop import nn
from fastdrop.nn.callbacks import Callback, Checkpoint
from fastdrop.nn.layer import walk

SAMPLES, BATCH, EPOCHS = 202, 25, 6  # the last batch has 2 samples, fewer than some have ranks


def dense():
    rates = np.linspace(0.0, 0.9, 24)
    return [
        nn.GaussianNoise(0.1),
        *(nn.Dense(32, l1=1e-4), nn.ReLU(), nn.Dropout(0.4)),  # fused
        *(nn.Dense(24, max_norm=1.5), nn.AlphaDropout(0.1), nn.GaussianDropout(0.2)),
        nn.VariationalDropout(0.2, kl_weight=1e-3),
        nn.Dropout(rates),
        nn.Dropout(0.3, shared_axes=0),
        nn.CurriculumDropout(0.5, gamma=0.1),
        nn.Residual([nn.Dense(24), nn.DropPath(0.3)]),
        nn.AdaptiveDropout(0.4),
        nn.BatchNorm(synchronized=True),
        nn.Standout(24),
        nn.DropConnect(16, 0.3),
        nn.ConcreteDropout(nn.Dense(16), 0.3),
        nn.Dropout(0.2, mode="standard"),
        nn.Dense(3, l2=1e-3),
    ]


def images():
    return [
        *(nn.Conv2D(4, 3), nn.ReLU(), nn.MaxPool2D(2), nn.SpatialDropout2D(0.3)),
        nn.BatchNorm(synchronized=True),
        nn.DropBlock2D(0.2, 2),
        nn.FeatureAlphaDropout(0.2),
        nn.Conv2D(4, 2),
        nn.Flatten(),
        nn.Dense(3),
    ]


def text():
    several = {"dropout": 0.3, "recurrent_dropout": 0.2, "zoneout": 0.1}
    sequences = {"return_sequences": True, **several}
    return [
        nn.EmbeddingDropout(30, 6, 0.2, padding=0),
        nn.Zoneout(0.2),
        nn.TemporalDropout(0.3),
        nn.SpatialDropout1D(0.2),
        nn.LSTM(5, tied=False, per_step=True, **sequences),
        nn.Bidirectional(nn.GRU(4, tied=False, **sequences)),
        nn.SimpleRNN(6, per_step=True, **several),
        nn.Dense(3),
    ]


def plain():
    return [nn.Dense(40), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm(), nn.Dense(3)]


def synchronized():
    return [nn.Dense(8), nn.BatchNorm(synchronized=True), nn.Dropout(0.5), nn.Dense(3)]


NETWORKS = {
    "dense": dense,
    "images": images,
    "text": text,
    "plain": plain,
    "synchronized": synchronized,
}


def data(name):
    rng = np.random.default_rng(5)
    if name == "text":
        x = rng.integers(1, 30, (SAMPLES, 7))
        x[np.arange(7) >= rng.integers(2, 8, SAMPLES)[:, None]] = 0
        return x, x[:, 0] % 3
    shape = (9, 9, 2) if name == "images" else (20,)
    x = rng.standard_normal((SAMPLES, *shape))
    return x, x.reshape(SAMPLES, -1)[:, :3].argmax(axis=1)


def model(name, dtype="float64", optimizer="adam"):
    return nn.Sequential(NETWORKS[name](), rng=3, dtype=dtype, optimizer=optimizer)


def noises(network):
    """Each mask of the last step but those of learned rates, and its batch axis."""
    found, layers = [], list(walk(network.layers))
    of_weights = {id(part) for layer in layers if isinstance(layer, nn.DropConnect)
                  for part in layer.inner}  # fmt: skip
    for layer in layers:
        if id(layer) in of_weights:
            continue
        if isinstance(layer, (nn.LSTM, nn.GRU, nn.SimpleRNN)):
            axis = len(layer.mask.shape) - 3
            found.append((layer.mask.keep(), axis))
            found.append((layer.recurrent_mask.keep(), len(layer.recurrent_mask.shape) - 2))
            found += [(mask.keep(), 1) for mask in layer.zoneout_masks.values()]
        elif isinstance(layer, (nn.DropConnect, nn.EmbeddingDropout)):
            found.append((layer.mask.keep(), None))
        elif isinstance(layer, nn.GaussianDropout):
            found.append((layer.mask.noise(), 0))
        elif isinstance(getattr(layer, "mask", None), (fastdrop.Mask, fastdrop.BlockMask)):
            shared = 0 in getattr(layer.mask, "shared_axes", ())
            found.append((layer.mask.keep(), None if shared else 0))
    return found


class Masks(Callback):
    """A hash of all masks of each step, the ranks' rows put together; and the losses."""

    def __init__(self, comm):
        self.comm, self.hashes, self.losses = comm, [], []

    def on_batch_end(self, model, step, loss):
        rows, found = min(BATCH, SAMPLES - step * BATCH), noises(model)
        hashed, size = sha256(), 1 if self.comm is None else self.comm.size
        everyone = [found] if self.comm is None else self.comm.allgather(found)
        counts = [(r + 1) * rows // size - r * rows // size for r in range(size)]
        for place, (array, axis) in enumerate(found):
            parts = [theirs[place][0] for theirs in everyone]
            if axis is None:
                assert all((part == parts[0]).all() for part in parts)
            else:
                parts = [part for part, count in zip(parts, counts, strict=True) if count]
                array = np.concatenate(parts, axis)
                assert array.shape[axis] == rows
            hashed.update(np.ascontiguousarray(array))
        self.hashes.append(hashed.hexdigest())
        self.losses.append(loss)


def weights(network):
    arrays = [*network._collect("params").values(), *network._collect("state").values()]
    return sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def train(comm, name, dtype="float64", epochs=EPOCHS):
    network, masks = model(name, dtype), Masks(comm)
    x, y = data(name)
    network.fit(x, y, epochs=int(epochs), batch_size=BATCH, verbose=False, callbacks=[masks],
                validation_data=(x[:10], y[:10]), comm=comm)  # fmt: skip
    if comm is not None:
        assert len(set(comm.allgather((weights(network), str(network.history))))) == 1
    return {"losses": masks.losses, "masks": masks.hashes, "logs": network.history.history}


def trainings(comm):
    """All networks in one start of the processes."""
    found = {name: train(comm, name) for name in ("dense", "images", "text")}
    return found | {"float32": train(comm, "dense", "float32")}


class Do(Callback):
    """Calls a function of the model at one place of the training, on one rank alone."""

    def __init__(self, do, place="on_batch_end", rank=1):
        self.do, self.rank = do, rank
        setattr(self, place, lambda model, *_: self.do(model) if model.rank == rank else None)


def interrupt(_):
    os.kill(os.getpid(), signal.SIGINT)


def fails(error):
    def do(_):
        raise error

    return do


def heavier(model):
    model.layers[0].params["weight"][0, 0] += 1


def stop(model):
    model.stop_training = True


def alone(model):
    model._ranks.add([1.0])


def outcome(comm, name="plain", callbacks=(), change=None, x=None, **settings):
    """What a training raises on each rank, how many steps it has made, and whether the
    weights are the same; `change` is done to rank 1's model and data before it."""
    given, y = data("dense")
    x, network = given if x is None else x, model(name)
    if change is not None and comm.rank == 1:
        network, x, y, settings = change(network, x.copy(), y, settings)
    settings = {"epochs": 2, "batch_size": BATCH} | settings
    said = ""
    try:
        network.fit(x, y, verbose=False, callbacks=list(callbacks), comm=comm, **settings)
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
    network._build((None, 20))
    steps = network._optimizer_state.get("step", 0)
    return comm.allgather((said, steps, network.epoch, weights(network)))


def replaced(**changes):
    def change(network, x, y, settings):
        given = {"network": network, "x": x, "y": y} | changes
        return given.pop("network"), given.pop("x"), given.pop("y"), settings | given

    return change


def faults(comm):
    """Everything that may go wrong on one rank, one after the other in the same processes."""
    x, y = data("dense")
    raised = ValueError("a callback's own")
    middle = x.copy()
    middle[50] = np.nan
    cases = {
        "callback": {"callbacks": [Do(fails(raised))]},
        "first": {"callbacks": [Do(fails(raised), "on_train_begin")]},
        "epoch": {"callbacks": [Do(fails(KeyError("k")), "on_epoch_end")]},
        "end": {"callbacks": [Do(fails(raised), "on_train_end")]},
        "interrupt": {"callbacks": [Do(interrupt)]},
        "stop": {"callbacks": [Do(stop, "on_epoch_begin")], "epochs": 5},
        "heavier": {"callbacks": [Do(heavier, "on_epoch_end")]},
        "heavier at last": {"callbacks": [Do(heavier, "on_epoch_end")], "epochs": 1},
        "apart": {"callbacks": [Do(alone)]},
        "nan": {"change": replaced(x=middle)},
        "batch_size": {"change": replaced(batch_size=20)},
        "epochs": {"change": replaced(epochs=7)},
        "shuffle": {"change": replaced(shuffle=False)},
        "shape": {"change": replaced(x=x[:100], y=y[:100])},
        "dtype": {"change": replaced(x=x.astype(np.float32))},
        "part": {"change": replaced(x=x[::-1].copy())},
        "labels": {"change": replaced(y=y + 7)},
        "validation": {"change": replaced(validation_data=(x[:9], y[:9]))},
        "layers": {"change": replaced(network=model("dense"))},
        "optimizer": {"change": replaced(network=model("plain", optimizer="sgd"))},
    }
    found = {}
    for name, case in cases.items():
        begin = time.perf_counter()
        found[name] = [*outcome(comm, **case), time.perf_counter() - begin]
    found["nan in all"] = [*outcome(comm, x=middle), 0.0]
    found["memory"] = [*outcome(comm, "synchronized", [Do(broken, "on_epoch_begin")]), 0.0]
    found["other rng"] = [*outcome(comm, change=reseeded), 0.0]
    found["healthy"] = [*outcome(comm), 0.0]
    return found


def continued(comm, path, epochs, rank=-1, step=0, place="batch"):
    """Train up to so many epochs, from the checkpoint if there is one; rank `rank` kills
    itself at a step, counted from here, or in the middle of writing a checkpoint."""
    network = fastdrop.load(path) if os.path.exists(path) else model("plain")
    count, (x, y) = [0], data("plain")

    def kill(_):
        count[0] += 1
        if count[0] > int(step):
            with open(path + ".killed", "w") as file:
                file.write(repr(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)

    if place == "saving" and comm.rank == int(rank):
        os.fsync = kill
    if comm.rank:
        network.save = fails(AssertionError("a rank other than 0 writes the checkpoint"))
    callbacks = [Checkpoint(path), Do(kill, rank=int(rank) if place == "batch" else -1)]
    network.fit(x, y, epochs=int(epochs), batch_size=BATCH, validation_data=(x, y), comm=comm,
                initial_epoch=network.epoch, callbacks=callbacks, verbose=False)  # fmt: skip
    return network.history.history


class Rows:
    """Samples that are read by slices, as those of a file."""

    def __init__(self, array):
        self.array, self.dtype, self.shape = array, array.dtype, array.shape

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        return self.array[rows]


def streamed(comm):
    """Losses from samples that are not in memory, weighted by their class."""
    network, masks = model("dense"), Masks(comm)
    x, y = data("dense")
    held_out = Rows(x[:40]), y[:40]
    network.fit(Rows(x), y, epochs=2, batch_size=BATCH, verbose=False, callbacks=[masks],
                validation_data=held_out, class_weight={1: 2.0}, comm=comm)  # fmt: skip
    return masks.losses, network.history.history


def over_nodes(comm):
    """As if no two ranks saw the same memory."""
    from fastdrop.distributed import sums

    sums._SHARED = sums._SHARED / "nothing"
    found = train(comm, "dense")
    return found | {"again": train(comm, "images")}


def stateful(comm):
    """What each rank predicts after a training whose layers hold the states of its rows."""
    network = nn.Sequential([nn.LSTM(4, stateful=True), nn.Dense(3)], rng=0, dtype="float64")
    x, y = np.random.default_rng(0).random((20, 3, 2)), np.arange(20) % 3
    network.fit(x, y, batch_size=10, shuffle=False, verbose=False, comm=comm)
    return comm.allgather(network.predict(x[:10]).tolist())


def statistics(comm, rows):
    """Running statistics of each rank after one step on so many rows."""
    network = nn.Sequential([nn.BatchNorm(), nn.Dense(3)], rng=0, dtype="float64")
    x, y = data("dense")
    network.fit(x[: int(rows)], y[: int(rows)], batch_size=99, shuffle=False, verbose=False,
                comm=comm)  # fmt: skip
    state = network.layers[0].state
    return comm.allgather([state["mean"].tolist(), state["variance"].tolist()])


def threads(comm):
    """Threads of each rank in a training, and after it."""
    seen, (x, y) = [], data("plain")
    every = Do(lambda _: seen.append(fastdrop.get_num_threads()), rank=comm.rank)
    model("plain").fit(x, y, callbacks=[every], verbose=False, comm=comm)
    return comm.allgather((seen[0], fastdrop.get_num_threads()))


def broken(network):
    """A layer before an exchange of the forward pass runs out of memory."""
    network.layers[0].forward = lambda *_, **__: fails(MemoryError("no room"))(_)


def reseeded(network, x, y, settings):
    return nn.Sequential(plain(), rng=4, dtype="float64"), x, y, settings


def main(name, *arguments):
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    found = globals()[name](comm, *arguments)
    if comm.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
