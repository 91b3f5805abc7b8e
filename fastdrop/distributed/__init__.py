"""Training in many processes at once: each computes its rows of every batch.

A program for one process is one for many::

    from mpi4py import MPI

    model.fit(x, y, batch_size=128, comm=MPI.COMM_WORLD)

started with ``mpiexec -n 4 python -m mpi4py program.py``; the command is ``mpiexec -n 4
fastdrop train``. Every process (rank) makes the same call with all of the data, which
may be files that it reads its rows of, and with the same ``rng``, an int.

- ``batch_size`` is that of all ranks together. Of every batch a rank takes its rows,
  and of every mask those rows: masks are recipes, and a recipe can be sliced. So they
  are the masks of one process, bit for bit, whatever the number of ranks; where rates
  follow from the data (`Standout`, `AdaptiveDropout`, learned rates) up to the rounding
  of these. Losses and weights are the same up to the order of sums.
- Gradients are weighted by the rows of each rank and summed; then all ranks make the
  same step. A loss is a mean over the rows; one of your own that is not is another one
  here.
- `BatchNorm` normalises each rank's rows, unless it is ``synchronized``.
- Callbacks run on every rank with the same logs. Checkpoints and progress bars come
  from rank 0; your own ask ``model.rank``, and must do the same to the model on all.
- Stateful layers begin anew after `fit`: each rank has held the states of its rows.
- Ranks on one node divide its processors among each other.
- What fails on one rank, Ctrl-C too, is raised on all of them. A process that dies
  ends the job, and the checkpoint goes on with any number of ranks:
  ``initial_epoch=model.epoch``. What fails outside of `fit` on one rank alone is not
  seen here: ``python -m mpi4py`` ends the job then.
- Layers of your own that draw noise find in ``self.share`` which rows of the batch they
  get: `fastdrop.share.drawn` makes their part of a mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastdrop.distributed.launch import launched, world

if TYPE_CHECKING:
    from fastdrop.distributed.ranks import Ranks

__all__ = ["Ranks", "launched", "world"]


def __getattr__(name: str) -> Any:
    # The command asks for the launcher alone, and the ranks bring all of `fastdrop.nn`.
    if name == "Ranks":
        from fastdrop.distributed.ranks import Ranks

        return Ranks
    raise AttributeError(f"module 'fastdrop.distributed' has no attribute {name!r}")
