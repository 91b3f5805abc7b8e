"""What runs under mpiexec: steps of a training in several processes, and its sums alone.

``mpiexec -n 2 python -m benchmarks.ranked '{"network": "CNN", "steps": 40}'`` prints
a line of JSON from rank 0.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks import networks
from benchmarks.measure import middle
from benchmarks.networks import BATCH, Case


def measure(comm: Any, network: str, steps: int, threads: int) -> dict[str, float]:
    """Seconds of a step, and of it waiting and summing; of MPI's own sum of such a buffer."""
    nn, case = networks.load_fastdrop(threads), Case(network, "SGD")
    x, y = (array.reshape(-1, *array.shape[2:]) for array in case.numbers(steps, BATCH))
    model, watch = networks.fastdrop_model(nn, case), _watch(nn)
    model.fit(x, y, epochs=2, batch_size=BATCH, callbacks=[watch], verbose=False, comm=comm)
    # The first epoch warms up.
    mean = np.diff(np.array(watch.times[-steps:]), axis=0).mean(axis=0).tolist()
    found = dict(zip(("step", "waiting", "summing"), mean, strict=True)) | {"allreduce": 0.0}
    if comm is not None:
        size = sum(array.size for layer in model.layers for array in layer.params.values())
        found["allreduce"] = _allreduce(comm, np.zeros(size, np.float32))
    return found


def _watch(nn: Any) -> Any:
    class Watch(nn.Callback):
        """When each step ended, and the seconds of waiting and summing up to then."""

        def __init__(self) -> None:
            self.times: list[tuple[float, float, float]] = []

        def on_batch_end(self, model: Any, step: int, loss: float) -> None:
            ranks = model._ranks
            exchanges = (ranks.waiting, ranks.summing) if ranks else (0.0, 0.0)
            self.times.append((perf_counter(), *exchanges))

    return Watch()


def _allreduce(comm: Any, buffer: np.ndarray) -> float:
    from mpi4py import MPI

    times = []
    for _ in range(20):
        comm.Barrier()
        start = perf_counter()
        comm.Allreduce(MPI.IN_PLACE, buffer)
        times.append(perf_counter() - start)
    return middle(times)


def main() -> None:
    from fastdrop.distributed import launched

    comm = None
    if launched()[1] > 1:
        from mpi4py import MPI

        comm = MPI.COMM_WORLD
    found = measure(comm, **json.loads(sys.argv[1]))
    if comm is None or comm.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
