"""Monte Carlo dropout: the same rows through the network many times, noise left on.

All samples of a dropout layer are one recipe: sample ``s`` of row ``i`` is row
``s * rows + i`` of a mask of ``samples * rows`` rows. So a batch of rows, or
several samples in one batch, is a part of that recipe, and no bit of a mask
depends on how the work was cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from copy import copy
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdrop.kernels import numpy_layers
from fastdrop.kernels.layers import layer_kernels
from fastdrop.layout import layout
from fastdrop.mask import MaskStream
from fastdrop.nn.adaptive import AdaptiveDropout
from fastdrop.nn.alpha import AlphaDropout, FeatureAlphaDropout
from fastdrop.nn.arguments import check_count
from fastdrop.nn.batches import slices
from fastdrop.nn.fusion import NO_TAIL, Tail, fuse
from fastdrop.nn.gaussian import GaussianDropout
from fastdrop.nn.layer import Layer, plain, walk
from fastdrop.nn.noise import Noise
from fastdrop.nn.spatial import DROPOUTS
from fastdrop.nn.stored import stored
from fastdrop.nn.uncertainty import MonteCarlo, Summary
from fastdrop.rng import source
from fastdrop.threads import alone, get_num_threads

if TYPE_CHECKING:
    from fastdrop.nn.sequential import Sequential

# Several samples go through the network together while what they start from
# has at most so many elements: then calls cost more than arithmetic, and
# beyond it arrays leave the cache.
TOGETHER = 2**15

# Outputs of several samples are summed up together while they have at most so many
# elements: beyond, sums leave the cache.
GATHERED = 2**15

# A thread has samples of its own where what they start from has so many elements for each
# thread: below, it would wait for Python's lock.
OF_ITS_OWN = 2**14

# So many classes are few.
SHORT = 32


def monte_carlo(
    model: Sequential, x: Any, samples: int, rng: Any, batch_size: int, keep: bool, where: str
) -> MonteCarlo:
    """What `Sequential.predict_mc` is."""
    samples = check_count(samples, "samples", where)
    batch_size = check_count(batch_size, "batch_size", where)
    draw = source(rng, where)
    first = next((place for place, layer in enumerate(model.layers) if _noisy(layer)), None)
    if first is None:
        raise ValueError(
            f"{where}: layers must hold one that draws noise, such as Dropout, got none"
        )
    x = model._check_samples(stored(x, "x", where), where)
    model._computing()  # which remembers that these layers were checked
    masks = MaskStream(np.random.SeedSequence(draw()))
    before = [(layer, tail, False) for layer, tail in fuse(model.layers[:first])]
    stages = _stages(model.layers[first:], masks)
    together = not any(noisy for _, between in stages for _, _, noisy in between)
    found = []
    with np.errstate(all="ignore"), _borrowed(model.layers, masks):
        for rows in slices(len(x), batch_size):
            start, lengths = _pass(before, x[rows].astype(model._takes, copy=False), None)
            summary = Summary(model.loss, samples if keep else 0)
            size = rows.stop - rows.start
            whole = together and size == len(x)
            count = min(batch_size // size, TOGETHER // max(1, start.size)) if whole else 1
            with closing(_sampled(stages, start, lengths, rows, len(x), samples, count)) as sampled:
                for group, outputs in _gathered(sampled):
                    # NumPy goes through short rows one by one: classes before rows, in
                    # memory, a softmax of ten takes a third of the time.
                    if outputs.shape[-1] <= SHORT:
                        outputs = np.asfortranarray(outputs)
                    p = model.loss.predict(outputs)
                    summary.add(p.reshape(-1, size, *p.shape[1:]), group)
            found.append(summary.result())
    means, stds, entropies, informations, kept = zip(*found, strict=True)
    return MonteCarlo(
        np.concatenate(means),
        np.concatenate(stds),
        None if entropies[0] is None else np.concatenate(entropies),
        None if informations[0] is None else np.concatenate(informations),
        np.concatenate(kept, axis=1) if keep else None,
    )


def _sampled(
    stages: _Stages,
    start: np.ndarray,
    lengths: np.ndarray | None,
    rows: slice,
    total: int,
    samples: int,
    count: int,
) -> Generator[tuple[slice, np.ndarray], None, None]:
    """Outputs for some of `total` rows, of `count` samples at a time, which the next ones
    may be written over."""
    size, count = len(start), max(1, min(count, samples))
    if count > 1:
        start = np.concatenate([start] * count)
        lengths = None if lengths is None else np.concatenate([lengths] * count)

    def outputs(stages: _Stages, group: slice) -> np.ndarray:
        part = (group.stop - group.start) * size
        y, known = start[:part], None if lengths is None else lengths[:part]
        for draws, between in stages:
            if draws:
                y = draws.drop(y, start, group, rows, total)
            y, known = _pass(between, y, known)
        return y

    groups, threads = list(slices(samples, count)), get_num_threads()
    most = min(len(groups) // 2, start.size // OF_ITS_OWN)  # else some would wait for others
    if 1 < threads <= most and _can_copy(stages):
        with closing(_in_threads(outputs, stages, groups, threads)) as found:
            yield from zip(groups, found, strict=True)
    else:
        for group in groups:
            yield group, outputs(stages, group)


def _in_threads(
    outputs: Callable[[_Stages, slice], np.ndarray],
    stages: _Stages,
    groups: list[slice],
    threads: int,
) -> Generator[np.ndarray, None, None]:
    """Outputs of the groups in their order, each computed by one of several threads alone:
    nobody waits for the others after every layer. Some are ahead of who takes them."""
    free: SimpleQueue[_Stages] = SimpleQueue()
    for _ in range(threads):
        free.put(_copy(stages))

    def compute(group: slice) -> np.ndarray:
        mine = free.get()
        try:
            with alone(), np.errstate(all="ignore"):
                return outputs(mine, group).copy()
        finally:
            free.put(mine)

    pool = ThreadPoolExecutor(threads)
    ahead: deque[Callable[[], np.ndarray]] = deque()
    try:
        for group in groups:
            try:
                ahead.append(pool.submit(compute, group).result)
            except RuntimeError:  # Python is about to end, and starts no thread any more
                ahead.append(partial(compute, group))
            if len(ahead) > 2 * threads:  # one at work and one that waits for each of them
                yield ahead.popleft()()
        while ahead:
            yield ahead.popleft()()
    finally:
        pool.shutdown(cancel_futures=True)


def _can_copy(stages: _Stages) -> bool:
    """Whether copies of these layers can compute beside one another: those of fastdrop write
    to their own attributes and rooms alone; what layers from elsewhere keep nobody knows."""
    layers = [(layer, noisy) for _, between in stages for layer, _, noisy in between]
    return layer_kernels() is not numpy_layers and all(
        type(layer).__module__.startswith("fastdrop.")
        and not (noisy or layer.inner or layer.takes_lengths)
        for layer, noisy in layers
    )


def _copy(stages: _Stages) -> _Stages:
    """The same weights, and arrays of its own to write to."""
    found: _Stages = []
    for draws, between in stages:
        own = [(copy(layer), tail, noisy) for layer, tail, noisy in between]
        for layer, _, _ in own:
            layer._rooms = {}
        mine = copy(draws)
        if mine:
            mine.y = None
        found.append((mine, own))
    return found


def _gathered(sampled: Iterator[tuple[slice, np.ndarray]]) -> Iterator[tuple[slice, np.ndarray]]:
    """The same outputs, those of more samples at a time while they are few: what is made of
    them takes as long as its calls, and threads go to sleep meanwhile."""
    held: list[np.ndarray] = []
    group, elements = slice(0, 0), 0
    for part, outputs in sampled:
        group = slice(group.start if held else part.start, part.stop)
        elements += outputs.size
        if elements + outputs.size <= GATHERED:
            held.append(outputs.copy())  # the next ones come in the same array
            continue
        yield group, np.concatenate([*held, outputs]) if held else outputs
        held, elements = [], 0
    if held:
        yield group, np.concatenate(held)


def _noisy(layer: Layer) -> bool:
    return any(part.noisy for part in walk([layer]))


# Layers whose noise is their recipe, applied to the input. Subclasses may do otherwise.
_PLAIN = (*DROPOUTS, AdaptiveDropout, AlphaDropout, FeatureAlphaDropout, GaussianDropout)

# The layers that compute between two dropouts, with what they do for those
# behind them, and whether they draw noise themselves.
_Between = list[tuple[Layer, Tail, bool]]


@dataclass
class _Draws:
    """The noise of one layer, for all samples of all rows."""

    layer: Noise
    key: int
    stream: int
    y: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.rate = self.layer.current_rate

    def drop(
        self, x: np.ndarray, start: np.ndarray, group: slice, rows: slice, total: int
    ) -> np.ndarray:
        """The noise of a group of samples of some of `total` rows, put on `x`: in
        place, unless that is `start`, which other samples need."""
        kind, rate, axes = self.layer.kind, self.rate, self.layer.axes(x.ndim)
        shape = (total, *x.shape[1:])
        offset = group.start * layout(shape, axes).draws
        if rows.stop - rows.start < total:
            mask = kind.of(shape, rate, axes, self.key, self.stream, offset)[rows]
        else:
            count, axes = group.stop - group.start, tuple(axis + 1 for axis in axes)
            mask = kind.of((count, *shape), rate, axes, self.key, self.stream, offset)
        out = x = plain(x)
        if np.may_share_memory(x, start) or not x.flags.writeable:
            if self.y is None or self.y.shape[1:] != x.shape[1:] or len(self.y) < len(x):
                self.y = np.empty(x.shape, x.dtype)
            out = self.y[: len(x)]
        mask.write_forward(x.reshape(mask.shape), out.reshape(mask.shape))
        return out


# The layers of noise, each with what is computed between it and the next.
_Stages = list[tuple[_Draws | None, _Between]]


def _stages(layers: Sequence[Layer], masks: MaskStream) -> _Stages:
    """Each layer of noise, and what is computed between it and the next."""
    found: list[tuple[_Draws | None, list[Layer]]] = [(None, [])]
    for layer in layers:
        if isinstance(layer, Noise) and type(layer) in _PLAIN:
            found.append((_Draws(layer, *masks.next()), []))
        else:
            found[-1][1].append(layer)
    return [
        (draws, [(layer, tail, _noisy(layer)) for layer, tail in fuse(between)])
        for draws, between in found
    ]


def _pass(
    layers: _Between, x: np.ndarray, lengths: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Through these layers, as `Sequential` goes through all of its own."""
    for layer, tail, noisy in layers:
        more: dict[str, Any] = {} if tail == NO_TAIL else {"tail": tail}
        if layer.takes_lengths and lengths is not None:
            more["lengths"] = lengths
        steps = x.shape[1:2]
        state = {name: array.copy() for name, array in layer.state.items()} if noisy else {}
        x = layer.forward(x, noisy, **more)
        # Of training, such as the step that a schedule of rates is at.
        for name, array in state.items():
            layer.state[name][...] = array
        if layer.lengths is not None:
            lengths = layer.lengths
        elif x.ndim < 3 or x.shape[1:2] != steps:
            lengths = None
    return x, lengths


@contextmanager
def _borrowed(layers: Sequence[Layer], masks: MaskStream) -> Iterator[None]:
    """In the block layers reuse arrays of their own, go forward only and draw from `masks`, and
    those in a layer made of others that draw no noise see no training: batch
    normalisation beside a dropout. Afterwards all are as they were."""
    before = [(layer, dict(vars(layer))) for layer in walk(layers)]
    try:
        for layer in walk(layers):
            layer._rooms, layer.reuses, layer.forward_only = {}, True, True
            if hasattr(layer, "_rng"):
                layer._rng = masks
        for layer in walk(part for around in layers if _noisy(around) for part in around.inner):
            if not _noisy(layer):
                vars(layer)["forward"] = _untrained(layer.forward)
        yield
    finally:
        for layer, attributes in before:
            vars(layer).clear()
            vars(layer).update(attributes)


def _untrained(forward: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda x, training=False, **more: forward(x, False, **more)
