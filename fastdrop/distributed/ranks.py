"""Processes that train one network together, and what they tell each other."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import tee
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdrop.distributed.agreement import check_alike, digest, facts_of
from fastdrop.distributed.launch import mpi
from fastdrop.distributed.processors import divided_processors
from fastdrop.distributed.sums import Packed, Sum, kinds_of
from fastdrop.nn.interrupts import whole
from fastdrop.share import Share

if TYPE_CHECKING:
    from fastdrop.nn.sequential import Sequential

# An error of another rank is raised as the first of these that it is.
_KINDS = (
    *(KeyboardInterrupt, FloatingPointError, MemoryError),
    *(ImportError, OSError, TypeError, ValueError, RuntimeError),
)


class Ranks:
    """The processes of a communicator, of which each has its rows of every batch.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm
        Such as ``MPI.COMM_WORLD``; a duplicate of it is used.
    where : str, default "Ranks"
        What errors begin with.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0 on, and how many there are.
    waiting, summing : float
        Seconds spent up to now waiting for slower ranks, and in sums.

    Raises
    ------
    ImportError
        If mpi4py is not installed.
    TypeError
        If `comm` is no communicator.
    ValueError
        If it is ``COMM_NULL``.

    Notes
    -----
    Used as a context, which may be entered again while it is open. Every exchange
    begins with the sum of a few numbers, of which one says that a rank has failed: a
    rank that leaves the context by an error sends that, whatever the others are about
    to exchange, and all of them raise what it raised. So nobody waits for a rank that
    does not come. A rank that dies takes the job with it: that is the launcher's part.

    While the context is open, ranks on one node divide its processors among each
    other, unless ``FASTDROP_NUM_THREADS``, `set_num_threads` or an affinity of each
    rank's own has done so.

    The gradients are summed in one piece behind the backward pass: in memory that all
    ranks see where they are on one node, else with ``Allreduce``. Begun layer by layer
    with ``Iallreduce``, while earlier layers' backward pass ran, the sum of 1.9 million
    float32 of two ranks took no less time (51.5 ms for products and sum instead of
    49.7, MPICH 5.0): MPI gets on with it in calls of MPI alone, and what copies within
    a node are the same processors.

    References
    ----------
    Li et al., "PyTorch distributed: experiences on accelerating data parallel
    training", VLDB 2020.
    """

    def __init__(self, comm: Any, where: str = "Ranks") -> None:
        self._mpi = mpi(where)
        # What `Split` gives to processes of no color.
        if isinstance(comm, self._mpi.Comm) and comm == self._mpi.COMM_NULL:
            raise ValueError(f"{where}: comm must have this process in it, got COMM_NULL")
        if not isinstance(comm, self._mpi.Intracomm):
            raise TypeError(f"{where}: comm must be a communicator of mpi4py, got {comm!r}")
        self.rank, self.size, self.where = comm.rank, comm.size, where
        self.waiting = self.summing = 0.0
        self._given, self._comm = comm, comm
        self._depth, self._failed = 0, False
        self._packed: Packed | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Ranks:
        self._depth += 1
        if self._depth == 1:
            self._comm, self._failed = self._given.Dup(), False
            try:
                self._one_node = self._stack.enter_context(divided_processors(self._comm))
            except BaseException as error:  # such as a bad FASTDROP_NUM_THREADS on one rank
                self.__exit__(type(error), error, None)
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                self.tell(error)
            elif not self._failed:
                self._exchange()
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._stack.close()
                self._let_go()
                self._comm.Free()

    # Rows

    def bounds(self, count: int) -> tuple[int, int]:
        """Where this rank's part of `count` rows begins and ends: contiguous, and of
        the same size on all ranks or one more."""
        return self.rank * count // self.size, (self.rank + 1) * count // self.size

    def mine(self, rows: np.ndarray) -> np.ndarray:
        """This rank's rows of a batch; the first one of all if it has none, of which
        nothing counts (see `Share`)."""
        begin, end = self.bounds(len(rows))
        return rows[begin:end] if begin < end else rows[:1]

    def share(self, rows: np.ndarray) -> Share:
        """Which rows of the batch `mine` gives."""
        begin, end = self.bounds(len(rows))
        return Share(begin if begin < end else 0, end - begin, len(rows), self)

    def divide(self, batches: Iterable[np.ndarray]) -> tuple[Iterator[np.ndarray], Iterator[Share]]:
        """This rank's rows of each batch, and which they are."""
        one, other = tee(batches)
        return map(self.mine, one), map(self.share, other)

    # Exchanges

    def add(self, values: Sequence[float], share: Share | None = None) -> np.ndarray:
        """The sum over all ranks, in float64; with a share, over those that have rows."""
        array = np.array(values, np.float64)
        if share is not None and not share.own:
            array.fill(0)
        self._exchange([Sum(self._comm, array)])
        return array

    def gather(self, values: Any) -> np.ndarray:
        """The values of each rank, float64 (size, values)."""
        found = np.zeros((self.size, len(values)))
        found[self.rank] = values
        self._exchange([Sum(self._comm, found)])
        return found

    def together(
        self,
        share: Share,
        loss: float,
        correct: int | None,
        grads: dict[str, np.ndarray],
        state: dict[str, np.ndarray],
    ) -> tuple[float, int | None, dict[str, np.ndarray]]:
        """Loss, right answers and gradients of the whole batch; ``state`` in place.

        Means are weighted by the ranks' rows. Running statistics move linearly, so
        their mean is what the mean of the statistics would have made of them;
        counts, which are integers, are the same everywhere.
        """
        moving = [array for array in state.values() if array.dtype.kind == "f"]
        arrays = [*grads.values(), *moving]
        packed = self._packed
        if packed is None or packed.kinds != kinds_of(arrays):
            # A layer of the user's own, with a state that was not there before.
            packed = Packed(self._comm, arrays, False)
        packed.put(arrays, share.weight)
        figures = loss * share.weight, (correct or 0) * bool(share.own)
        summed = self._exchange([*packed.sums.values()], figures)
        totals = packed.totals()
        for array, total in zip(moving, totals[len(grads) :], strict=True):
            array[...] = total
        answers = None if correct is None else round(summed[1])
        return float(summed[0]), answers, dict(zip(grads, totals, strict=False))

    def means(
        self, count: int, evaluate: Callable[[int, int], dict[str, float]]
    ) -> dict[str, float]:
        """Loss and accuracy of `count` samples, of which each rank evaluates a part."""
        begin, end = self.bounds(count)
        found = evaluate(begin, end) if begin < end else {}
        correct = np.rint(found.get("accuracy", 0.0) * (end - begin))
        loss = found.get("loss", 0.0) * (end - begin)
        loss, correct, answers = self.add([loss, correct, "accuracy" in found])
        means = {"loss": float(loss / count)}
        return means | {"accuracy": float(correct / count)} if answers else means

    def compare(
        self,
        model: Sequential,
        data: dict[str, Any],
        epochs: int,
        batch_size: int,
        initial_epoch: int,
        shuffle: bool,
    ) -> None:
        """Raise on every rank for the first fact that is not the same on all.

        Raises
        ------
        ValueError
            It names the fact, a rank, and what it is there and on rank 0.
        """
        settings = {"epochs": epochs, "batch_size": batch_size}
        settings |= {"initial_epoch": initial_epoch, "shuffle": bool(shuffle)}
        facts = facts_of(model, data, settings)
        self._exchange()
        with whole():
            everyone = self._comm.allgather(facts)
        self._failed = True  # on all ranks, if this raises
        check_alike(everyone, self.where)
        self._failed = False
        self._let_go()
        self._packed = Packed(self._comm, self._moving(model), self._one_node)

    def tell(self, error: BaseException) -> None:
        """Let all ranks know at once that this one is about to raise."""
        if not self._failed:
            self._exchange(error=error)

    def agree(self, model: Sequential) -> None:
        """Between two epochs: one that wants to stop stops all; weights are the same.

        Raises
        ------
        RuntimeError
            If a rank's weights are not those of rank 0: then something other than
            the training, such as a callback, has changed them.
        """
        arrays = [*model._collect("params").values(), *model._collect("state").values()]
        found = self.gather([model.stop_training, digest(arrays)])
        for rank, own in enumerate(found[:, 1].tolist()):
            if own != found[0, 1]:
                raise RuntimeError(
                    f"{self.where}: the weights must be the same on every rank, but those of "
                    f"rank {rank} are not those of rank 0 after epoch {model.epoch}"
                )
        model.stop_training = bool(found[:, 0].any())

    def _exchange(
        self,
        sums: Sequence[Sum] = (),
        figures: Sequence[float] = (),
        error: BaseException | None = None,
    ) -> np.ndarray:
        """Add up the sums over all ranks, and the figures, at most two, which it gives."""
        # Ranks that exchange different things have run apart: the mean of the squares
        # is that of the sizes squared where all are the same, and nowhere else.
        size = sum(each.own.nbytes for each in sums) % 2**20
        head = np.zeros(5)
        head[:3] = error is not None, size, size * size
        head[3 : 3 + len(figures)] = figures
        start = perf_counter()
        try:
            # Ctrl-C between two sums would leave the others in the second.
            with whole():
                self._comm.Allreduce(self._mpi.IN_PLACE, head)
                met = perf_counter()
                if head[0]:
                    self._fail(error)
                    return head[3:]
                if head[1] ** 2 != head[2] * self.size:
                    self._failed = True  # on all ranks
                    raise RuntimeError(
                        f"{self.where}: ranks have run apart: one is at another point of the "
                        "training, as after a callback that does not do the same on all"
                    )
                for each in sums:
                    each.add()
        except self._mpi.Exception:
            traceback.print_exc()
            self._comm.Abort(1)
        self.waiting += met - start
        self.summing += perf_counter() - met
        return head[3:]

    def _fail(self, error: BaseException | None) -> None:
        """Learn from all ranks what happened, and raise it where it did not."""
        self._failed = True
        said = None
        if error is not None:
            kind = next((k for k in _KINDS if isinstance(error, k)), RuntimeError)
            text = str(error) if type(error) is kind else f"{type(error).__name__}: {error}"
            said = kind.__name__, text
        heard = self._comm.allgather(said)
        if error is not None:
            error.add_note(f"on rank {self.rank} of {self.size}")
            return
        rank, (name, text) = next((rank, one) for rank, one in enumerate(heard) if one)
        kind = next(k for k in _KINDS if k.__name__ == name)
        raise kind(f"on rank {rank} of {self.size}: {text}")

    def _moving(self, model: Sequential) -> list[np.ndarray]:
        """What `together` sums in a step of this model."""
        state = [array for array in model._collect("state").values() if array.dtype.kind == "f"]
        return [*model._collect("params").values(), *state]

    def _let_go(self) -> None:
        if self._packed is not None:
            self._packed.free()
            self._packed = None
