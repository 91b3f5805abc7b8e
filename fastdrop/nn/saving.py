"""Models in files: everything that a model is, whole or not at all, and never pickle."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib import import_module
from typing import Any

import numpy as np

from fastdrop.mask import MaskStream
from fastdrop.nn.callbacks import History
from fastdrop.nn.layer import Layer, walk
from fastdrop.nn.losses import Loss
from fastdrop.nn.optimizers import Optimizer
from fastdrop.nn.sequential import Sequential
from fastdrop.nn.sources import Sources
from fastdrop.nn.weighted import Weighted

# One more with every change that leaves this code unable to read the file.
FORMAT = 1

# Stands where the checksum comes, which takes a fifth of the time of saving.
# All formats have it there, so that a damaged file is told from a newer one.
_BLANK = b"0" * 64

_BIT_GENERATORS = {
    kind.__name__: kind
    for kind in (
        np.random.PCG64,
        np.random.PCG64DXSM,
        np.random.MT19937,
        np.random.Philox,
        np.random.SFC64,
    )
}


class CheckpointError(ValueError):
    """A file is no checkpoint, or a damaged one, or one that cannot be loaded here."""


def save(model: Sequential, path: str | os.PathLike[str]) -> None:
    """Write everything that a model is into one file; the same as ``model.save(path)``.

    Parameters
    ----------
    model : Sequential
        Built or not.
    path : str or path-like
        An existing file is replaced, and its permissions are kept; a link stays
        one, and what it points to is replaced.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    OSError
        If the file cannot be written; an existing one is untouched then.
    TypeError
        If something of one's own, such as an argument of a layer, is nothing
        that JSON can say.
    ValueError
        If first weights are still to be made by a function: files hold none.

    Notes
    -----
    The file is safetensors [1]_. Its tensors are named ``params.0.weight``,
    ``state.1.mean``, ``optimizer.moment.0.weight``, where the number is the
    layer's. All else is JSON in its metadata, under ``"fastdrop"``: classes and
    arguments of layers, loss and optimiser, epoch, history, and where each
    random source is: those of the model, and those that are attributes of
    layers. Its ``"sha256"`` is that of the whole file with 64 zeros in its
    place. An ``init`` that is a function is not in it; the weights are.

    It is written beside its place, synced and renamed. A process that is killed
    meanwhile leaves a ``.fastdrop-*.tmp`` there.

    References
    ----------
    .. [1] https://huggingface.co/docs/safetensors

    Examples
    --------
    >>> import fastdrop, os, tempfile
    >>> model = fastdrop.nn.Sequential([fastdrop.nn.Dense(2)], input_shape=(3,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fastdrop.nn.saving.save(model, os.path.join(folder, "model.safetensors"))
    ...     os.listdir(folder)
    ['model.safetensors']
    """
    where = f"{type(model).__name__}.save"
    path = _check_path(path, where)
    document, tensors = _describe(model, where)
    document = {"format": FORMAT, "sha256": _BLANK.decode()} | document
    text = json.dumps(document, default=_plain)
    blob = _safetensors(where).numpy.save(tensors, {"fastdrop": text})
    begin = blob.index(_BLANK)
    end = begin + len(_BLANK)
    rest = memoryview(blob)[end:]
    _replace(path, [blob[:begin], sha256(blob).hexdigest().encode(), rest], where)


def load(path: str | os.PathLike[str], *, layers: Mapping[str, type] | None = None) -> Sequential:
    """The model that was saved in a file; it predicts and trains on as if it had never stopped.

    Parameters
    ----------
    path : str or path-like
        Of a file that `Sequential.save` wrote.
    layers : dict of str to class, optional
        Layers of one's own, by the names of their classes; losses and
        optimisers, too. They are made from what their ``config()`` gave, with
        lists and arrays as tuples.

    Returns
    -------
    Sequential
        Also if it was of a subclass.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    OSError
        If the file cannot be read; FileNotFoundError if there is none.
    fastdrop.nn.CheckpointError
        If it is empty, cut short, damaged, of another program or a newer
        version, or has a class in it that is not known. A ValueError, which
        names the file and what is wrong with it.
    TypeError
        If an argument is of a wrong kind.

    Notes
    -----
    Training that goes on gives the same numbers, bit for bit, as if it had not
    been interrupted: ``model.fit(..., epochs=epochs, initial_epoch=model.epoch)``
    with the other arguments as before. Loading runs no code from the file.

    Examples
    --------
    >>> import fastdrop, os, tempfile
    >>> x, y = [[0.0, 1.0], [1.0, 0.0]], [0, 1]
    >>> model = fastdrop.nn.Sequential([fastdrop.nn.Dense(2)], rng=0)
    >>> history = model.fit(x, y, epochs=2, verbose=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     model.save(path)
    ...     same = fastdrop.load(path)
    >>> same.epoch
    2
    >>> bool((same.predict(x) == model.predict(x)).all())
    True
    """
    path, given = _check_path(path, "load"), _check_classes(layers)
    safetensors = _safetensors("load")
    document, blob = _read(path)
    try:
        if document["format"] > FORMAT:
            raise ValueError(
                f"it has format {document['format']}, of fastdrop {document['fastdrop']}, and "
                f"formats up to {FORMAT} are known here: a newer fastdrop may load it"
            )
        return _restore(document, safetensors.numpy.load(blob), given)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"load: {path!r} cannot be loaded: {error}") from error
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        safetensors.SafetensorError,
    ) as error:
        raise CheckpointError(f"load: {path!r} cannot be loaded: {error!r}") from error


# The file


def _safetensors(where: str) -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            f'{where}: safetensors is not installed: `pip install "fastdrop[app]"`'
        ) from None
    return safetensors


def _check_path(path: Any, where: str) -> str:
    try:
        return os.fsdecode(path)
    except TypeError:
        raise TypeError(f"{where}: path must be a str or a path, got {path!r}") from None


def _replace(path: str, parts: Iterable[bytes | memoryview], where: str) -> None:
    """Write the file whole, or leave everything as it was."""
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    os.stat(folder)  # raises for one that is not there, with its name
    mode = stat.S_IFREG | 0o666
    with suppress(FileNotFoundError):
        mode = os.stat(target).st_mode
    if not stat.S_ISREG(mode):  # renaming would put a file in the place of a device
        raise OSError(errno.EINVAL, f"{where}: path must be that of a regular file", path)
    beside = os.path.join(folder, f".fastdrop-{secrets.token_hex(8)}.tmp")

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, mode & 0o666)

    try:
        with open(beside, "xb", opener=opener) as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    # The new name is on the disk when the folder is; not every system can do that.
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _read(path: str) -> tuple[dict[str, Any], bytes]:
    """What a file says of itself, and all that is in it, as it was written."""
    with open(path, "rb") as file:
        size, start = os.fstat(file.fileno()).st_size, file.read(8)
        if not start:
            raise CheckpointError(f"load: {path!r} is empty")
        length = int.from_bytes(start, "little")
        # The file's own size bounds what is read, whatever it claims.
        header = file.read(length) if length <= size - 8 else b""
        try:
            document = json.loads(json.loads(header)["__metadata__"]["fastdrop"])
            seal = document["sha256"].encode()
            begin = header.index(seal) + 8
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
            raise CheckpointError(
                f"load: {path!r} is no checkpoint of fastdrop, or is damaged in its beginning"
            ) from None
        blob = start + header + file.read()
    digest = sha256(blob[:begin] + _BLANK)
    digest.update(memoryview(blob)[begin + len(_BLANK) :])
    if digest.hexdigest().encode() != seal:
        raise CheckpointError(
            f"load: {path!r} is damaged or cut short: its checksum must be {seal.decode()}, "
            f"got {digest.hexdigest()}"
        )
    return document, blob


# The model as JSON and arrays


def _describe(model: Sequential, where: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """All of a model: what JSON says, and the arrays by name."""
    sample = model._sample
    if sample is not None:
        model._build((None, *sample))  # layers that were put into the list since then
    rngs = _Rngs()
    memory = model._optimizer_state
    slots = {name: slot for name, slot in memory.items() if isinstance(slot, np.ndarray)}
    others = {name: value for name, value in memory.items() if name not in slots}
    document = {
        "fastdrop": _version(),
        "dtype": model.dtype.name,
        "sample": sample,
        "epoch": model.epoch,
        "history": model.history and _as_json(model.history.history, f"{where}: history"),
        "layers": [
            _class_and_config(layer)
            | {"params": [*layer.params], "state": [*layer.state]}
            | {"rngs": [rngs.held(part) for part in walk([layer])]}
            for layer in model.layers
        ],
        "loss": _class_and_config(model.loss),
        "optimizer": _class_and_config(model.optimizer)
        | {"slots": [*slots], "state": _as_json(others, f"{where}: the optimizer's state")},
        "rngs": rngs.held(model),
        "random": rngs.states,
    }
    params, state = model._collect("params"), model._collect("state")
    arrays = {
        f"{kind}.{name}": np.asarray(array, order="C")  # safetensors takes memory as it lies
        for kind, group in (("params", params), ("state", state), ("optimizer", slots))
        for name, array in group.items()
    }
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or array.itemsize > 8:
            raise TypeError(
                f"{where}: {name} must hold real numbers of at most 64 bits, got {array.dtype}"
            )
    return document, arrays


def _restore(
    document: dict[str, Any], tensors: dict[str, np.ndarray], given: Mapping[str, type]
) -> Sequential:
    described, optimizer = document["layers"], document["optimizer"]
    # Training writes into them.
    tensors = {
        name: np.require(array, requirements=["C", "A", "W"]) for name, array in tensors.items()
    }
    model = Sequential(
        [_make(layer, Layer, given) for layer in described],
        loss=_make(document["loss"], Loss, given),
        optimizer=_make(optimizer, Optimizer, given),
        dtype=document["dtype"],
    )
    _fill(model, document["sample"], described, tensors)
    slots = {name: tensors.pop(f"optimizer.{name}") for name in optimizer["slots"]}
    if tensors:
        raise ValueError(f"it has arrays that belong to nothing: {', '.join(tensors)}")
    model._optimizer_state = optimizer["state"] | slots
    model.epoch = document["epoch"]
    if document["history"] is not None:
        model.history = History(document["history"])
    rngs = _rngs(document["random"])
    holders = [model, *walk(model.layers)]
    places = [document["rngs"], *(held for layer in described for held in layer["rngs"])]
    for holder, held in zip(holders, places, strict=True):
        for name, place in held.items():
            if name not in vars(holder):
                raise ValueError(f"{type(holder).__name__} has no random source {name!r}")
            several = isinstance(place, list)
            rng = Sources(*(rngs[part] for part in place)) if several else rngs[place]
            setattr(holder, name, rng)
    return model


def _fill(
    model: Sequential,
    sample: list[int] | None,
    described: list[dict[str, Any]],
    tensors: dict[str, np.ndarray],
) -> None:
    """Build the layers, where they were, and give them their arrays."""
    shape = None if sample is None else (None, *sample)
    for position, (layer, saved) in enumerate(zip(model.layers, described, strict=True)):
        if shape is not None:
            shape = _build(layer, shape, model)
        for kind in ("params", "state"):
            arrays = {name: tensors.pop(f"{kind}.{position}.{name}") for name in saved[kind]}
            ours, theirs = _shapes(getattr(layer, kind)), _shapes(arrays)
            if shape is not None and ours != theirs:
                raise ValueError(f"{layer.where}: {kind} must be {ours}, got {theirs}")
            setattr(layer, kind, arrays)
    if sample is not None and shape is not None:
        model._sample, model._output = tuple(sample), shape[1:]


def _build(layer: Layer, shape: tuple[Any, ...], model: Sequential) -> tuple[Any, ...]:
    if not isinstance(layer, Weighted):
        return layer.build(shape, model.dtype, model._sources)
    # No weights are drawn that the file's replace at once, and zeros take no
    # memory, whatever size the file claims.
    init, layer.init = layer.init, "zeros"
    shape = layer.build(shape, model.dtype, model._sources)
    layer.init = init
    return shape


def _shapes(arrays: dict[str, np.ndarray]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (array.dtype.name, array.shape) for name, array in sorted(arrays.items())}


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("fastdrop")
    except PackageNotFoundError:  # run from its sources
        return "unknown"


# Classes and their arguments


def _check_classes(layers: Any) -> Mapping[str, type]:
    if layers is None:
        return {}
    if not isinstance(layers, Mapping) or not all(map(_is_ours, layers.values())):
        raise TypeError(f"load: layers must be a dict of classes of layers, got {layers!r}")
    return layers


def _is_ours(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, (Layer, Loss, Optimizer))


def _known(name: str) -> type | None:
    """The public class of that name in `fastdrop.nn`."""
    kind = getattr(import_module("fastdrop.nn"), name, None)
    return kind if _is_ours(kind) else None


def _class_and_config(thing: Any) -> dict[str, Any]:
    """What `_make` makes the same thing of."""
    name = type(thing).__name__
    where = getattr(thing, "where", name)
    try:
        config = thing.config()
    except AttributeError as error:
        raise TypeError(
            f"{where}: an argument must be an attribute of the same name to be saved: {error}"
        ) from error
    if callable(config.get("init")):
        if not thing.params:
            raise ValueError(
                f"{where}: init must not be a function when a model is saved that is not built, "
                f"got {config['init']!r}"
            )
        del config["init"]
    config = {key: _as_json(value, f"{where}: {key}") for key, value in config.items()}
    # A class of one's own may have the name of one of ours.
    return {"class": name, "own": _known(name) is not type(thing), "config": config}


def _make(saved: dict[str, Any], base: type, given: Mapping[str, type]) -> Any:
    name = saved["class"]
    kind = given.get(name) or (None if saved["own"] else _known(name))
    if kind is None or not issubclass(kind, base):
        raise ValueError(
            f"it needs a {base.__name__} class {name!r}, which is not one of fastdrop's: "
            f"load(path, layers={{{name!r}: ...}})"
        )
    return kind(**{key: _argument(value, given) for key, value in saved["config"].items()})


def _argument(value: Any, given: Mapping[str, type]) -> Any:
    """An argument as it comes back from JSON: lists as tuples, layers as layers."""
    if isinstance(value, list):
        return tuple(_argument(item, given) for item in value)
    if isinstance(value, dict) and value.keys() == {"class", "own", "config"}:
        return _make(value, Layer, given)
    return value


def _as_json(value: Any, what: str) -> Any:
    """`value` as it comes back from JSON."""
    try:
        return json.loads(json.dumps(value, default=_plain))
    except (TypeError, ValueError):
        raise TypeError(
            f"{what} must be numbers, strings, lists and dicts to be saved, got {value!r}"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Layer):
        return _class_and_config(value)
    raise TypeError


# Random sources


class _Rngs:
    """Collects random sources: one that several objects hold is there once."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []
        self._places: dict[int, int] = {}

    def held(self, holder: Any) -> dict[str, int | list[int]]:
        """The attributes of an object that are random sources, and their places in `states`."""
        found: dict[str, int | list[int]] = {}
        for name, value in vars(holder).items():
            if isinstance(value, Sources):
                found[name] = [self._place(part, name, holder) for part in value]
            elif isinstance(value, (MaskStream, np.random.Generator, np.random.BitGenerator)):
                found[name] = self._place(value, name, holder)
        return found

    def _place(self, rng: Any, name: str, holder: Any) -> int:
        if id(rng) not in self._places:
            state: Any
            if isinstance(rng, MaskStream):
                kind, state = "MaskStream", rng.state_dict()
            elif isinstance(rng, np.random.Generator):
                # Others may hold the bit generator itself.
                kind, state = "Generator", self._place(rng.bit_generator, name, holder)
            elif _BIT_GENERATORS.get(type(rng).__name__) is type(rng):
                kind, state = type(rng).__name__, rng.state
            else:
                where = getattr(holder, "where", type(holder).__name__)
                raise TypeError(
                    f"{where}: {name} must have one of NumPy's bit generators to be saved, "
                    f"got {rng!r}"
                )
            self._places[id(rng)] = len(self.states)
            self.states.append({kind: state})
        return self._places[id(rng)]


def _rngs(states: list[dict[str, Any]]) -> list[Any]:
    """The random sources of `_Rngs.states`."""
    made: list[Any] = []
    for saved in states:
        ((kind, state),) = saved.items()
        if kind == "MaskStream":
            stream = MaskStream(0)
            stream.load_state_dict(state)
            made.append(stream)
        elif kind == "Generator":
            made.append(np.random.Generator(made[state]))
        else:
            bits = _BIT_GENERATORS[kind](0)
            bits.state = state
            made.append(bits)
    return made
