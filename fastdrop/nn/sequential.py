"""A stack of layers, and its training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import isfinite
from typing import Any

import numpy as np

from fastdrop.nn.arguments import check_count
from fastdrop.nn.callbacks import Callback, History, ProgressBar
from fastdrop.nn.interrupts import whole
from fastdrop.nn.layer import Layer, Shape
from fastdrop.nn.losses import LOSSES, SoftmaxCrossEntropy
from fastdrop.nn.optimizers import OPTIMIZERS, Optimizer
from fastdrop.nn.sources import sources


class Sequential:
    """Layers one after another, with a loss and an optimiser.

    Parameters
    ----------
    layers : iterable of Layer
        At least one; none of them twice.
    loss : {"softmax_cross_entropy"} or SoftmaxCrossEntropy
        The last layer gives logits; the loss knows how they become
        probabilities.
    optimizer : {"adam", "sgd"} or SGD or Adam
        A name stands for the defaults: Adam 1e-3, SGD 0.01.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Reproduces everything, from sources of their own: first weights,
        shuffling, masks. An int or a SeedSequence gives the same each time;
        the others advance by one draw, here.
    dtype : {float32, float64}
        Of parameters and of all that is computed.
    input_shape : tuple of int, optional
        Shape of one sample; the parameters are then made here and not at the
        first call.

    Attributes
    ----------
    layers : list of Layer
        In errors, "layer 2" is ``layers[2]``.
    history : History or None
        Of the last `fit`, up to where it was interrupted.
    stop_training : bool
        Set by a callback to end `fit` after the epoch.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind; a name that is not known is told
        the known ones.

    Notes
    -----
    Data are arrays of real numbers with the samples along axis 0. Batches are
    converted to `dtype` as they are taken; labels must be integers. A fixed
    `rng` gives the same losses, bit for bit, with every mask backend and any
    number of threads of fastdrop.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop.nn import Dense, Dropout, ReLU, Sequential
    >>> x = np.random.default_rng(0).random((200, 2), np.float32)
    >>> y = (x[:, 0] > x[:, 1]).astype(int)
    >>> model = Sequential([Dense(32), ReLU(), Dropout(0.2), Dense(2)], rng=0)
    >>> history = model.fit(x, y, epochs=50, verbose=False)
    >>> model.evaluate(x, y)["accuracy"] > 0.9
    True
    >>> model.predict(x[:3]).shape
    (3, 2)
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        *,
        loss: str | SoftmaxCrossEntropy = "softmax_cross_entropy",
        optimizer: str | Optimizer = "adam",
        rng: Any = None,
        dtype: Any = np.float32,
        input_shape: tuple[int, ...] | None = None,
    ) -> None:
        where = type(self).__name__
        self.layers = _check_layers(layers, where)
        self.loss = _named(loss, "loss", LOSSES, SoftmaxCrossEntropy, where)
        self.optimizer = _named(optimizer, "optimizer", OPTIMIZERS, Optimizer, where)
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise TypeError(f"{where}: dtype must be float32 or float64, got {self.dtype}")
        self.history: History | None = None
        self.stop_training = False
        self._sources = sources(rng, where)
        self._optimizer_state: dict[str, Any] = {}
        self._sample: Shape | None = None
        self._output: Shape = ()
        for position, layer in enumerate(self.layers):
            layer.where = f"{where} layer {position} ({type(layer).__name__})"
        if input_shape is not None:
            self._build((None, *input_shape))

    def forward(self, x: Any, training: bool = False) -> np.ndarray:
        """What the last layer gives, the logits, for all of `x` at once.

        Parameters
        ----------
        x : array_like of shape (batch, ...)
        training : bool, default False
            True draws masks.

        Returns
        -------
        ndarray
            Of the model's dtype.

        Raises
        ------
        TypeError, ValueError
            If `x` holds no real numbers or does not fit the layers.
        """
        x = self._check_samples(x, f"{type(self).__name__}.forward")
        with np.errstate(all="ignore"):
            return self._forward(self._batch(x), training)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Gradient by the input of the last `forward`, given that by its output.

        Fills ``grads`` of every layer.
        """
        with np.errstate(all="ignore"):
            for layer in reversed(self.layers):
                dy = layer.backward(dy)
        return dy

    def train_batch(self, x: Any, y: Any) -> float:
        """One step of the optimiser on one batch.

        Parameters
        ----------
        x : array_like of shape (batch, ...)
        y : array_like of int, shape (batch,)

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        TypeError, ValueError
            If the data do not fit the network or each other.
        FloatingPointError
            If the loss is NaN or infinite; the weights are then those before.

        Examples
        --------
        >>> import fastdrop, numpy as np
        >>> model = fastdrop.nn.Sequential([fastdrop.nn.Dense(2)], rng=0)
        >>> x, y = np.eye(2), [0, 1]
        >>> model.train_batch(x, y) > model.train_batch(x, y)
        True
        """
        where = f"{type(self).__name__}.train_batch"
        x, y = self._check_pair(x, y, where)
        return self._step(x, y, where)[0]

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        validation_data: tuple[Any, Any] | None = None,
        callbacks: Iterable[Callback] = (),
        verbose: bool = True,
    ) -> History:
        """Train on all samples, in a new order each epoch.

        Parameters
        ----------
        x : array_like of shape (samples, ...)
        y : array_like of int, shape (samples,)
        epochs, batch_size : int
            At least 1. The last batch of an epoch may be smaller.
        validation_data : (x, y), optional
            Evaluated after each epoch.
        callbacks : iterable of Callback, optional
        verbose : bool, default True
            Show a progress bar (tqdm).

        Returns
        -------
        History
            Which says what its figures mean.

        Raises
        ------
        TypeError, ValueError
            If an argument or the data are of a wrong kind or do not fit each
            other; nothing has been trained then.
        FloatingPointError
            If a batch's loss is NaN or infinite; the weights are those before
            that batch.
        ImportError
            If `verbose` is set and tqdm is not installed.
        KeyboardInterrupt
            On Ctrl-C; the weights are those after a whole step, and
            `history` has the epochs that were completed.
        """
        where = f"{type(self).__name__}.fit"
        epochs = check_count(epochs, "epochs", where)
        batch_size = check_count(batch_size, "batch_size", where)
        callbacks = _check_callbacks(callbacks, where)
        x, y = self._check_pair(x, y, where)
        if validation_data is not None:
            validation_data = self._check_validation(validation_data, where)
        if verbose:
            callbacks.append(ProgressBar())
        history = self.history = History()
        self.stop_training = False
        try:
            for callback in callbacks:
                callback.on_train_begin(self, epochs, -(-len(x) // batch_size))
            for epoch in range(epochs):
                logs = self._epoch(x, y, batch_size, callbacks, f"{where}, epoch {epoch}")
                if validation_data is not None:
                    figures = self._evaluate(*validation_data, batch_size=1024)
                    logs |= {f"val_{name}": value for name, value in figures.items()}
                history.append(logs)
                for callback in callbacks:
                    callback.on_epoch_end(self, epoch, logs)
                if self.stop_training:
                    break
        finally:
            for callback in callbacks:
                callback.on_train_end(self)
        return history

    def evaluate(self, x: Any, y: Any, *, batch_size: int = 1024) -> dict[str, float]:
        """Mean loss and share of right answers, without dropout.

        Parameters
        ----------
        x : array_like of shape (samples, ...)
        y : array_like of int, shape (samples,)
        batch_size : int, default 1024
            How many samples are in memory at once.

        Returns
        -------
        dict
            ``{"loss": float, "accuracy": float}``.

        Raises
        ------
        TypeError, ValueError
            If the data do not fit the network or each other.
        """
        where = f"{type(self).__name__}.evaluate"
        batch_size = check_count(batch_size, "batch_size", where)
        return self._evaluate(*self._check_pair(x, y, where), batch_size)

    def predict(self, x: Any, *, batch_size: int = 1024) -> np.ndarray:
        """Class probabilities, without dropout; up to rounding the same for every
        `batch_size`.

        Parameters
        ----------
        x : array_like of shape (samples, ...)
        batch_size : int, default 1024
            How many samples are in memory at once.

        Returns
        -------
        ndarray of shape (samples, classes)
            Of the model's dtype; rows sum to 1.

        Raises
        ------
        TypeError, ValueError
            If `x` does not fit the network.
        """
        where = f"{type(self).__name__}.predict"
        batch_size = check_count(batch_size, "batch_size", where)
        x = self._check_samples(x, where)
        with np.errstate(all="ignore"):
            batches = self._outputs(x, batch_size)
            return np.concatenate([self.loss.predict(logits) for _, logits in batches])

    def _build(self, shape: Shape) -> None:
        """Make what is not made yet, and check that samples of `shape` pass through."""
        output = shape
        for layer in self.layers:
            output = layer.build(output, self.dtype, self._sources)
        self._sample, self._output = shape[1:], output[1:]

    def _check_samples(self, x: Any, where: str) -> np.ndarray:
        x = np.asarray(x)
        if x.dtype.kind not in "fiub":
            raise TypeError(f"{where}: x must hold real numbers, got {x.dtype}")
        if x.ndim == 0 or len(x) == 0:
            raise ValueError(f"{where}: x must hold at least one sample, got shape {x.shape}")
        if x.shape[1:] != self._sample:
            with self._building():
                self._build(x.shape)
        return x

    def _check_pair(self, x: Any, y: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
        with self._building():
            x = self._check_samples(x, where)
            return x, self.loss.check(y, (len(x), *self._output), where)

    @contextmanager
    def _building(self) -> Iterator[None]:
        """If the block fails, undo what it built: the next call may bring other shapes."""
        params = [layer.params for layer in self.layers]
        shapes = self._sample, self._output
        generator = self._sources.weights.bit_generator
        state = generator.state
        try:
            yield
        except BaseException:
            for layer, before in zip(self.layers, params, strict=True):
                layer.params = before
            self._sample, self._output = shapes
            generator.state = state
            raise

    def _check_validation(self, data: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise TypeError(f"{where}: validation_data must be (x, y), got {type(data).__name__}")
        return self._check_pair(data[0], data[1], f"{where}: validation_data")

    def _batch(self, x: np.ndarray) -> np.ndarray:
        return x.astype(self.dtype, copy=False)

    def _forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def _step(self, x: np.ndarray, y: np.ndarray, where: str) -> tuple[float, int]:
        """Loss and number of right answers of a batch, which is then learned."""
        # NaN and inf pass through as values; the loss shows them.
        with np.errstate(all="ignore"):
            x = self._batch(x)
            logits = self._forward(x, training=True)
            loss = self.loss.forward(logits, y)
            if not isfinite(loss):
                raise FloatingPointError(f"{where}: loss is {loss}; {_blame(x)}")
            self.backward(self.loss.backward())
            params, grads = self._collect("params"), self._collect("grads")
            if params:
                with whole():
                    self.optimizer.step(params, grads, self._optimizer_state)
        return loss, self.loss.correct(logits, y)

    def _collect(self, kind: str) -> dict[str, np.ndarray]:
        """Parameters or gradients of all layers, by names like ``"2.weight"``."""
        return {
            f"{position}.{name}": array
            for position, layer in enumerate(self.layers)
            for name, array in getattr(layer, kind).items()
        }

    def _epoch(
        self, x: np.ndarray, y: np.ndarray, size: int, callbacks: list[Callback], where: str
    ) -> dict[str, float]:
        order = self._sources.order.permutation(len(x))
        total, right = 0.0, 0
        for step, start in enumerate(range(0, len(x), size)):
            rows = order[start : start + size]
            loss, correct = self._step(x[rows], y[rows], f"{where}, step {step}")
            total, right = total + loss * len(rows), right + correct
            for callback in callbacks:
                callback.on_batch_end(self, step, loss)
        return {"loss": total / len(x), "accuracy": right / len(x)}

    def _outputs(self, x: np.ndarray, size: int) -> Iterator[tuple[slice, np.ndarray]]:
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            yield rows, self._forward(self._batch(x[rows]), training=False)

    def _evaluate(self, x: np.ndarray, y: np.ndarray, batch_size: int) -> dict[str, float]:
        total, right = 0.0, 0
        with np.errstate(all="ignore"):
            for rows, logits in self._outputs(x, batch_size):
                labels = y[rows]
                total += self.loss.forward(logits, labels) * len(labels)
                right += self.loss.correct(logits, labels)
        return {"loss": total / len(x), "accuracy": right / len(x)}


def _check_layers(layers: Iterable[Layer], where: str) -> list[Layer]:
    layers = list(layers)
    if not layers:
        raise ValueError(f"{where}: layers must hold at least one layer, got none")
    for position, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise TypeError(f"{where}: layers[{position}] must be a layer, got {layer!r}")
        if any(layer is other for other in layers[:position]):
            raise ValueError(
                f"{where}: layers must hold each layer once, got the same "
                f"{type(layer).__name__} again at {position}"
            )
    return layers


def _named(given: Any, what: str, known: dict[str, Any], kind: type, where: str) -> Any:
    """`given` itself, an instance of `kind`, or what it names among `known`."""
    if isinstance(given, kind):
        return given
    if not isinstance(given, str) or given not in known:
        names = ", ".join(map(repr, sorted(known)))
        raise ValueError(f"{where}: {what} must be one of {names} or an instance, got {given!r}")
    return known[given]()


def _check_callbacks(callbacks: Iterable[Callback], where: str) -> list[Callback]:
    callbacks = list(callbacks)
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(f"{where}: callbacks must be Callback objects, got {callback!r}")
    return callbacks


def _blame(x: np.ndarray) -> str:
    """What most likely made a loss NaN or infinite."""
    if not np.isfinite(x).all():
        return "x has NaN or infinite values in it"
    return "a smaller learning_rate may help"
