"""A stack of layers, and its training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from os import PathLike
from typing import Any

import numpy as np

from fastdrop.nn.arguments import check_count
from fastdrop.nn.batches import Batches
from fastdrop.nn.callbacks import Callback, History, ProgressBar
from fastdrop.nn.figures import Figures
from fastdrop.nn.fusion import NO_TAIL, Tail, fuse
from fastdrop.nn.inputs import (
    check_callbacks,
    check_layers,
    check_samples,
    check_sizes,
    check_two,
    check_weights,
    class_weights,
    named,
    part,
)
from fastdrop.nn.layer import Layer, Shape, walk
from fastdrop.nn.losses import LOSSES, Loss
from fastdrop.nn.monte_carlo import monte_carlo
from fastdrop.nn.optimizers import OPTIMIZERS, Optimizer
from fastdrop.nn.sources import sources
from fastdrop.nn.stored import Stored, check_targets, stored
from fastdrop.nn.streaming import batched, in_order, part_of
from fastdrop.nn.summary import summary
from fastdrop.nn.training import joined, train_epoch, train_step
from fastdrop.nn.uncertainty import MonteCarlo
from fastdrop.share import Share


class Sequential:
    """Layers one after another, with a loss and an optimiser.

    Parameters
    ----------
    layers : iterable of Layer
        At least one; none of them twice.
    loss : str or Loss
        ``"softmax_cross_entropy"``, ``"binary_cross_entropy"`` (both of logits:
        the loss knows how they become probabilities), ``"mean_squared_error"``,
        or an instance.
    optimizer : str or Optimizer
        ``"adam"``, ``"adamw"``, ``"sgd"``, ``"rmsprop"``, with their defaults,
        or an instance.
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
    epoch : int
        How many epochs of it are complete.
    stop_training : bool
        Set by a callback to end `fit` after the epoch.
    rank : int
        Number of this process in a `fit` with ``comm``, else 0: callbacks that write
        or show something do so where it is 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind; a name that is not known is told
        the known ones.

    Notes
    -----
    Data are arrays of real numbers with the samples along axis 0. Batches are
    converted to `dtype` as they are taken. A fixed `rng` gives the same losses,
    bit for bit, with every mask backend and any number of threads of fastdrop.

    ReLU, max-pool and dropout that follow a `Dense` or a `Conv2D` are done by
    that layer while its output is in the cache (`fastdrop.nn.fusion`), in less
    time and memory: the same numbers, but that a convolution's gradients are
    summed in another order where a pool follows it.

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
        loss: str | Loss = "softmax_cross_entropy",
        optimizer: str | Optimizer = "adam",
        rng: Any = None,
        dtype: Any = np.float32,
        input_shape: tuple[int, ...] | None = None,
    ) -> None:
        where = type(self).__name__
        self.layers = check_layers(layers, where)
        self.loss = named(loss, "loss", LOSSES, Loss, where)
        self.optimizer = named(optimizer, "optimizer", OPTIMIZERS, Optimizer, where)
        # None would be float64.
        self.dtype = np.dtype("O" if dtype is None else dtype)
        if self.dtype not in (np.float32, np.float64):
            raise TypeError(f"{where}: dtype must be float32 or float64, got {self.dtype}")
        self.history: History | None = None
        self.epoch = 0
        self.stop_training = False
        self.rank = 0
        self._ranks: Any = None
        self._sources = sources(rng, where)
        self._optimizer_state: dict[str, Any] = {}
        self._sample: Shape | None = None
        self._output: Shape = ()
        self._fused: list[tuple[Layer, Tail]] = []
        self._fused_of: list[Layer] = []
        self._name_layers()
        if input_shape is not None:
            self._build((None, *check_sizes(input_shape, where)))

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
            return self._forward(x.astype(self._takes, copy=False), training)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Gradient by the input of the last `forward`, given that by its output.

        Fills ``grads`` of every layer.
        """
        with np.errstate(all="ignore"):
            for layer, _ in reversed(self._computing()):
                dy = layer.backward(dy)
        return dy

    def train_batch(self, x: Any, y: Any, sample_weight: Any = None) -> float:
        """One step of the optimiser on one batch.

        Parameters
        ----------
        x : array_like of shape (batch, ...)
        y : array_like
            What the loss takes: integer labels (batch,), or targets.
        sample_weight : array_like of shape (batch,), optional
            As of `fit`.

        Returns
        -------
        float
            The loss before the step, penalties included.

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
        weights = check_weights(sample_weight, len(x), self.dtype, where)
        return self._step(x.astype(self._takes, copy=False), y, weights, where)[0]

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        validation_data: tuple[Any, Any] | None = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        callbacks: Iterable[Callback] = (),
        verbose: bool = True,
        comm: Any = None,
    ) -> History:
        """Train on all samples, in a new order each epoch.

        Parameters
        ----------
        x : array_like of shape (samples, ...), path, or object with slices
            In memory or larger than it: see Notes.
        y : array_like, path, or object with slices
            What the loss takes: integer labels (samples,), or targets.
        epochs, batch_size : int
            At least 1. The last batch of an epoch may be smaller.
        validation_data : (x, y), optional
            Evaluated after each epoch.
        validation_split : float, default 0.0
            Share of the samples, the last ones, to validate with and not to
            train on; in [0, 1), and not together with `validation_data`.
        shuffle : bool, default True
            False takes the samples in their own order.
        class_weight : dict of int to float, optional
            Factors of the loss of samples with these labels, which are read into
            memory for it.
        sample_weight : array_like of shape (samples,), optional
            Factors of the loss of each sample, at least 0; the sum over a batch is
            divided by its size, whatever they are. Those of `class_weight`
            multiply them.
        initial_epoch : int, default 0
            How many of the epochs are done already. A model that was saved
            after some and loaded goes on with ``initial_epoch=model.epoch``, bit
            for bit as if it had never stopped.
        callbacks : iterable of Callback, optional
        verbose : bool, default True
            Show a progress bar (tqdm).
        comm : mpi4py.MPI.Intracomm, optional
            Train in all processes of this communicator, each of which makes this
            call with the same arguments, and computes its part of the rows of
            every batch: see `fastdrop.distributed`.

        Returns
        -------
        History
            Which says what its figures mean.

        Raises
        ------
        TypeError, ValueError
            If an argument or the data are of a wrong kind or do not fit each
            other; with `comm`, if they or the networks are not the same in all
            processes. Nothing has been trained then, unless rows that are not in
            memory turned out to be of another kind than the first ones, or targets
            that the loss does not take.
        OSError, RuntimeError
            If rows that are not in memory cannot be read; the text names them, and
            the weights are those of the steps before.
        FloatingPointError
            If a batch's loss is NaN or infinite; the weights are those before
            that batch.
        ImportError
            If `verbose` is set and tqdm is not installed, or with `comm` mpi4py.
        KeyboardInterrupt
            On Ctrl-C; the weights are those after a whole step, and
            `history` has the epochs that were completed.

        Notes
        -----
        Data, also those to validate with, stay where they are if they are more than
        128 MiB and

        - a path: a folder of .npy files or one, as `fastdrop.data.Shards`;
        - a `numpy.memmap`, or a slice of one;
        - an object with ``chunks``, such as a data set of h5py or an array of zarr;
        - another object with ``len(data)`` and ``data[a:b]``, which gives an array of
          these rows, unless it is a sequence or has ``__array__``.

        What is smaller is read at once, and all else goes through `numpy.asarray`.
        Of data that stay where they are, blocks of 4 MiB (of `x` and `y` together, a
        row counting as 64 bytes at least) come in random order, and the rows of 128
        MiB of blocks are shuffled among each other, while a thread reads the next
        128 MiB; pages of a map are given back (`fastdrop.data.release`). The order
        depends on the model's `rng` and on the number and size of the rows alone.
        """
        where = f"{type(self).__name__}.fit"
        if comm is not None:
            with joined(self, comm, where):
                return Sequential.fit(
                    self, x, y, epochs=epochs, batch_size=batch_size,
                    validation_data=validation_data, validation_split=validation_split,
                    shuffle=shuffle, class_weight=class_weight, sample_weight=sample_weight,
                    initial_epoch=initial_epoch, callbacks=callbacks, verbose=verbose,
                )  # fmt: skip
        epochs = check_count(epochs, "epochs", where)
        batch_size = check_count(batch_size, "batch_size", where)
        done = check_count(initial_epoch, "initial_epoch", where, least=0)
        callbacks = check_callbacks(callbacks, where)
        x, y = self._check_stored(x, y, where)
        factors = check_weights(sample_weight, len(x), self.dtype, where)
        begin, held_out = part(len(x), validation_split, where), None
        if validation_data is not None:
            if begin < len(x):
                raise ValueError(
                    f"{where}: validation_data and validation_split must not be given together"
                )
            pair = check_two(validation_data, "validation_data", where)
            held_out = self._check_stored(*pair, f"{where}: validation_data")
        elif begin < len(x):
            held_out = part_of(x, begin, len(x)), part_of(y, begin, len(x))
            x, y = part_of(x, 0, begin), part_of(y, 0, begin)
            factors = None if factors is None else factors[:begin]
        labels = y if class_weight is None else y[:]
        weights = class_weights(class_weight, labels, self.dtype, where)
        if factors is not None:
            weights = factors if weights is None else weights * factors
        if verbose:
            callbacks.append(ProgressBar())
        if not done or self.history is None:
            self.history = History()
        history, self.epoch = self.history, done
        self.stop_training = False
        samples, targets = batched(x, y, self._takes, batch_size)
        ranks, shares = self._ranks, None
        if ranks is not None:
            data = {"x": x, "y": y, "the weights of samples": weights}
            data |= dict(zip(("x to validate", "y to validate"), held_out or (), strict=False))
            ranks.compare(self, data, epochs, batch_size, done, shuffle)
        try:
            for callback in callbacks:
                callback.on_train_begin(self, epochs, -(-len(x) // batch_size))
            for epoch in range(done, epochs):
                if ranks is not None:
                    ranks.agree(self)
                if self.stop_training:
                    break
                for callback in callbacks:
                    callback.on_epoch_begin(self, epoch)
                batches = samples.batches(self._sources.order if shuffle else None)
                if ranks is not None:
                    batches, shares = ranks.divide(batches)
                with closing(samples.read(batches)) as parts:
                    place = f"{where}, epoch {epoch}"
                    logs = train_epoch(self, parts, targets, weights, callbacks, place, shares)
                if held_out is not None:
                    figures = self._evaluate_together(*held_out)
                    logs |= {f"val_{name}": value for name, value in figures.items()}
                history.append(logs)
                self.epoch = epoch + 1
                for callback in callbacks:
                    callback.on_epoch_end(self, epoch, logs)
            if ranks is not None:
                ranks.agree(self)
        except BaseException as error:
            if ranks is not None:
                ranks.tell(error)
            raise
        finally:
            for callback in callbacks:
                callback.on_train_end(self)
            self._forget()
        return history

    def evaluate(self, x: Any, y: Any, *, batch_size: int = 1024) -> dict[str, float]:
        """Mean loss and share of right answers, without dropout.

        Parameters
        ----------
        x : array_like of shape (samples, ...), path, or object with slices
            As of `fit`, in memory or larger than it.
        y : array_like, path, or object with slices
            What the loss takes: integer labels (samples,), or targets.
        batch_size : int, default 1024
            How many samples are in memory at once.

        Returns
        -------
        dict
            ``{"loss": float, "accuracy": float}``; the loss has the penalties
            in it, and the accuracy is there where the loss knows one.

        Raises
        ------
        TypeError, ValueError
            If the data do not fit the network or each other.
        """
        where = f"{type(self).__name__}.evaluate"
        batch_size = check_count(batch_size, "batch_size", where)
        return self._evaluate(*self._check_stored(x, y, where), batch_size)

    def predict(self, x: Any, *, batch_size: int = 1024) -> np.ndarray:
        """Class probabilities, or what else the loss makes of outputs, without
        dropout; up to rounding the same for every `batch_size`.

        Parameters
        ----------
        x : array_like of shape (samples, ...), path, or object with slices
            As of `fit`, in memory or larger than it.
        batch_size : int, default 1024
            How many samples are computed at once.

        Returns
        -------
        ndarray of shape (samples, classes)
            Of the model's dtype; probabilities sum to 1.

        Raises
        ------
        TypeError, ValueError
            If `x` does not fit the network.
        """
        where = f"{type(self).__name__}.predict"
        batch_size = check_count(batch_size, "batch_size", where)
        x = self._check_samples(stored(x, "x", where), where)
        batches, _ = in_order(x, None, self._takes, batch_size)
        with np.errstate(all="ignore"), closing(self._outputs(batches)) as outputs:
            return np.concatenate([self.loss.predict(logits) for _, logits in outputs])

    def predict_mc(
        self,
        x: Any,
        samples: int = 50,
        rng: Any = None,
        *,
        batch_size: int = 1024,
        return_samples: bool = False,
    ) -> MonteCarlo:
        """Predictions with the noise left on, many times: how sure the network is.

        Noise stays on in the layers that draw it, and nothing else is as in
        training: batch normalisation uses its running statistics. What comes
        before the first noise is computed once.

        Parameters
        ----------
        x : array_like of shape (rows, ...), path, or object with slices
            As of `fit`, in memory or larger than it.
        samples : int, default 50
            How often each row is predicted, at least 1.
        rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
            Where the noise comes from, also in layers with an `rng` of their
            own. None is fresh entropy; the others are as in the model's
            constructor.
        batch_size : int, default 1024
            How many rows are in memory at once, for each thread.
        return_samples : bool, default False
            Keep all samples.

        Returns
        -------
        MonteCarlo
            ``mean`` and ``std`` (rows, outputs), of what `predict` gives; for
            classes ``entropy`` and ``mutual_information`` (rows,), else None;
            ``samples`` (samples, rows, outputs), or None. Of the model's dtype.

        Raises
        ------
        TypeError, ValueError
            If `x` does not fit the network, an argument is of a wrong kind or
            out of its range, or no layer draws noise.

        Notes
        -----
        Dropout left on draws networks from an approximation of the posterior of
        a Bayesian network [1]_. With samples ``p_s`` of the probabilities and
        ``H(p) = -sum_k(p[k] * log(p[k]))``, ``entropy`` is ``H(mean(p))`` and
        ``mutual_information`` is ``H(mean(p)) - mean(H(p_s))`` [2]_; of several
        yes-or-no questions, the sum over them.

        Sample ``s`` of row ``i`` takes row ``s * rows + i`` of one recipe for each
        dropout, Gaussian or not: up to rounding the same for every
        `batch_size`. Noise of other kinds, and within layers made of others, is
        drawn batch by batch. The model is afterwards what it was before.

        References
        ----------
        .. [1] Gal, Ghahramani, "Dropout as a Bayesian approximation", ICML 2016.
        .. [2] Houlsby, Huszár, Ghahramani, Lengyel, "Bayesian active learning
           for classification and preference learning", arXiv:1112.5745, 2011.

        Examples
        --------
        >>> import numpy as np
        >>> from fastdrop.nn import Dense, Dropout, ReLU, Sequential
        >>> model = Sequential([Dense(32), ReLU(), Dropout(0.5), Dense(3)], rng=0)
        >>> found = model.predict_mc(np.ones((4, 2)), samples=20, rng=0)
        >>> found.mean.shape, found.entropy.shape
        ((4, 3), (4,))
        >>> bool((found.std > 0).all()), bool((found.mutual_information <= found.entropy).all())
        (True, True)
        """
        where = f"{type(self).__name__}.predict_mc"
        return monte_carlo(self, x, samples, rng, batch_size, return_samples, where)

    def summary(self) -> str:
        """A table of the layers, with what each gives and how much it learns.

        Returns
        -------
        str
            To be printed. Shapes are there once the model is built: with
            `input_shape`, or after the first call.

        Examples
        --------
        >>> import fastdrop
        >>> layers = [fastdrop.nn.Dense(8), fastdrop.nn.ReLU(), fastdrop.nn.Dense(2)]
        >>> print(fastdrop.nn.Sequential(layers, input_shape=(4,)).summary())
        layer     output     parameters
        0  Dense  (None, 8)          40
        1  ReLU   (None, 8)           0
        2  Dense  (None, 2)          18
        58 parameters, float32
        """
        return summary(self.layers, self._sample, self.dtype, self._sources)

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything that the model is into one file: see `fastdrop.load`.

        Weights, running statistics, architecture, the optimiser and what it
        remembers, epoch and history, and where all random streams are, as
        safetensors. The file is complete or not there: it is written beside
        its place and renamed.

        Parameters
        ----------
        path : str or path-like
            An existing file is replaced.

        Raises
        ------
        ImportError
            If safetensors is not installed.
        OSError
            If it cannot be written; an existing file is untouched then.
        """
        from fastdrop.nn.saving import save

        save(self, path)

    def _name_layers(self) -> None:
        for position, layer in enumerate(self.layers):
            layer.where = f"{type(self).__name__} layer {position} ({type(layer).__name__})"
            for inner in walk(layer.inner):
                inner.where = f"{layer.where}, its {type(inner).__name__}"

    def _build(self, shape: Shape) -> None:
        """Make what is not made yet, and check that samples of `shape` pass through."""
        output = shape
        self._name_layers()
        for layer in self.layers:
            output = layer.build(output, self.dtype, self._sources)
        self._sample, self._output = shape[1:], output[1:]

    @property
    def _takes(self) -> np.dtype:
        """What samples are converted to."""
        return np.dtype(np.int64) if self.layers[0].takes_indices else self.dtype

    def _check_kind(self, x: Any, where: str) -> Any:
        x = x if isinstance(x, Stored) else check_samples(x, where)
        if self.layers[0].takes_indices and x.dtype.kind not in "iu":
            raise TypeError(
                f"{where}: x must hold integers, as {self.layers[0].where} takes them, "
                f"got {x.dtype}"
            )
        return x

    def _check_samples(self, x: Any, where: str) -> Any:
        x = self._check_kind(x, where)
        with self._building(x.shape):
            return x

    def _check_pair(self, x: Any, y: Any, where: str) -> tuple[Any, Any]:
        x = self._check_kind(x, where)
        with self._building(x.shape):
            return x, check_targets(self.loss, y, (len(x), *self._output), where)

    def _check_stored(self, x: Any, y: Any, where: str) -> tuple[Any, Any]:
        """The same of data that may be larger than memory."""
        return self._check_pair(stored(x, "x", where), stored(y, "y", where), where)

    @contextmanager
    def _building(self, shape: Shape) -> Iterator[None]:
        """Build for samples of `shape`, unless that is done; if the block fails, undo
        it: the next call may bring other shapes."""
        # `layers` may hold others than before.
        if shape[1:] == self._sample and self._fused_of == self.layers:
            yield
            return
        params = [layer.params for layer in self.layers]
        shapes = self._sample, self._output
        generator = self._sources.weights.bit_generator
        state = generator.state
        try:
            self._build(shape)
            yield
        except BaseException:
            for layer, before in zip(self.layers, params, strict=True):
                layer.params = before
            self._sample, self._output = shapes
            generator.state = state
            raise

    def _computing(self) -> list[tuple[Layer, Tail]]:
        """The layers that compute, with what they do for those behind them."""
        if self._fused_of != self.layers:
            self._fused, self._fused_of = fuse(self.layers), list(self.layers)
        return self._fused

    def _forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        if not all(tail.holds for _, tail in self._fused):
            self._fused_of = []
        lengths: np.ndarray | None = None
        for layer, tail in self._computing():
            more: dict[str, Any] = {} if tail == NO_TAIL else {"tail": tail}
            if layer.takes_lengths and lengths is not None:
                more["lengths"] = lengths
            steps = x.shape[1:2]
            x = layer.forward(x, training, **more)
            if layer.lengths is not None:
                lengths = layer.lengths
            elif x.ndim < 3 or x.shape[1:2] != steps:
                lengths = None
        return x

    def _step(
        self,
        x: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None,
        where: str,
        share: Share | None = None,
    ) -> tuple[float, int | None]:
        return train_step(self, x, y, weights, where, share)

    def _forget(self) -> None:
        for layer in self.layers:
            layer.forget()

    def _penalty(self) -> float:
        return sum(layer.penalty() for layer in self.layers)

    def _collect(self, kind: str) -> dict[str, np.ndarray]:
        """Parameters or gradients of all layers, by names like ``"2.weight"``."""
        return {
            f"{position}.{name}": array
            for position, layer in enumerate(self.layers)
            for name, array in getattr(layer, kind).items()
        }

    def _outputs(self, batches: Batches) -> Batches:
        with closing(batches):
            for rows, x in batches:
                outputs = self._forward(x, training=False)
                # Of layers that change nothing; the next batch may come in the same array.
                yield rows, outputs.copy() if np.may_share_memory(outputs, x) else outputs
        self._forget()

    def _evaluate_together(self, x: Any, y: Any) -> dict[str, float]:
        """`evaluate`, in a training of several processes each of them a part."""
        if self._ranks is None:
            return self._evaluate(x, y, 1024)
        return self._ranks.means(
            len(x), lambda a, b: self._evaluate(part_of(x, a, b), part_of(y, a, b), 1024)
        )

    def _evaluate(self, x: Any, y: Any, batch_size: int) -> dict[str, float]:
        figures, penalty = Figures(), self._penalty()
        batches, y = in_order(x, y, self._takes, batch_size)
        with np.errstate(all="ignore"), closing(self._outputs(batches)) as found:
            for rows, outputs in found:
                loss = self.loss.forward(outputs, y[rows]) + penalty
                figures.add(len(outputs), loss, self.loss.correct(outputs, y[rows]))
        return figures.means()
