"""Steps of a training, each whole or not at all, and epochs of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdrop.nn.callbacks import Callback
from fastdrop.nn.figures import Figures
from fastdrop.nn.inputs import blame
from fastdrop.nn.interrupts import whole
from fastdrop.nn.layer import walk
from fastdrop.share import Share

if TYPE_CHECKING:
    from fastdrop.nn.sequential import Sequential


def train_epoch(
    model: Sequential,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    y: Any,
    weights: np.ndarray | None,
    callbacks: list[Callback],
    where: str,
    shares: Iterable[Share] | None,
) -> dict[str, float]:
    """Learn from rows and samples of one batch after the other; means of their figures.

    With shares, one for each batch, those are parts of batches.
    """
    figures = Figures()
    whose: Iterable[Share | None] = repeat(None) if shares is None else shares
    for step, ((rows, x), share) in enumerate(zip(batches, whose, strict=False)):
        factors = None if weights is None else weights[rows]
        loss, correct = model._step(x, y[rows], factors, f"{where}, step {step}", share)
        figures.add(share.rows if share else len(rows), loss, correct)
        for callback in callbacks:
            callback.on_batch_end(model, step, loss)
    return figures.means()


def train_step(
    model: Sequential,
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None,
    where: str,
    share: Share | None,
) -> tuple[float, int | None]:
    """Loss and number of right answers of a batch, which is then learned; with a
    share, of the whole one, of which these are some rows."""
    # NaN and inf pass through as values; the loss shows them.
    with whole(), np.errstate(all="ignore"), _reusing(model, share), _undoing(model):
        outputs = model._forward(x, training=True)
        loss = model.loss.forward(outputs, y, weights) + model._penalty()
        if not isfinite(loss):
            raise FloatingPointError(f"{where}: loss is {loss}; {blame(x)}")
        correct = model.loss.correct(outputs, y)
        _learn(model, model.loss.backward())
        params, grads = model._collect("params"), model._collect("grads")
        if share is not None:
            state = model._collect("state")
            loss, correct, grads = share.ranks.together(share, loss, correct, grads, state)
        if params:
            model.optimizer.step(params, grads, model._optimizer_state)
            for layer in model.layers:
                layer.constrain()
    return loss, correct


@contextmanager
def joined(model: Sequential, comm: Any, where: str) -> Iterator[None]:
    """In the block, the model is trained by all processes of a communicator."""
    from fastdrop.distributed import Ranks

    before = model._ranks, model.rank
    with comm if isinstance(comm, Ranks) else Ranks(comm, where) as ranks:
        model._ranks, model.rank = ranks, ranks.rank
        try:
            yield
        finally:
            model._ranks, model.rank = before
            # What a stateful layer holds is that of this rank's rows.
            for layer in walk(model.layers):
                if hasattr(layer, "reset_state"):
                    layer.reset_state()


def _learn(model: Sequential, dy: np.ndarray) -> None:
    """Fill `grads`, and compute no gradient that no layer learns from."""
    layers = [layer for layer, _ in model._computing()]
    while layers and not layers[0].params:
        layers.pop(0)
    for layer in reversed(layers[1:]):
        dy = layer.backward(dy)
    if layers:
        layers[0].learn(dy)


@contextmanager
def _undoing(model: Sequential) -> Iterator[None]:
    """If the block fails, running statistics are again what they were."""
    before = {name: array.copy() for name, array in model._collect("state").items()}
    try:
        yield
    except BaseException:
        state = model._collect("state")
        for name, array in before.items():
            state[name][...] = array
        raise


@contextmanager
def _reusing(model: Sequential, share: Share | None) -> Iterator[None]:
    """In the block, layers write into the arrays of the step before, and know what
    rows of the batch they get."""
    layers = list(walk(model.layers))
    for layer in layers:
        layer.reuses, layer.share = True, share
    try:
        yield
    finally:
        for layer in layers:
            layer.reuses, layer.share = False, None
