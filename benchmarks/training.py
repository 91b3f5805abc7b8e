"""What the processes do that train: a library each, and no other one is loaded."""

from __future__ import annotations

from pathlib import Path

from benchmarks.networks import BATCH, LIBRARIES, VARIANTS, Case, Training

# More batches than a network learns by heart soon: no loss leaves no gradients,
# and on the way there numbers are subnormal, which processors are slow with.
BATCHES = 64

TINY = 8


def trainings(
    library: str, network: str, optimizer: str, threads: int, quick: bool
) -> dict[str, Training]:
    """The network in training, with and without its dropout."""
    how = LIBRARIES[library]
    loaded = how.load(threads)
    cases = {name: Case(network, optimizer, dropout) for name, dropout in VARIANTS.items()}
    sizes = (2, TINY) if quick else (BATCHES, BATCH)
    return {name: how.train(loaded, case, *case.numbers(*sizes)) for name, case in cases.items()}


def memory(library: str, network: str, optimizer: str, threads: int, quick: bool) -> dict:
    """MiB that this process has had beyond the library and the data, at most and
    in all, and by how many it has grown from an early step to a late one."""
    how, case = LIBRARIES[library], Case(network, optimizer)
    loaded = how.load(threads)
    x, y = case.numbers(*((2, TINY) if quick else (8, BATCH)))
    before = mebibytes("VmHWM")
    training = how.train(loaded, case, x, y)
    early, late = (1, 2) if quick else (20, 200)
    training.timeit(early)
    resident = mebibytes("VmRSS")
    training.timeit(late - early)
    peak = mebibytes("VmHWM")
    return {
        "training": peak - before,
        "process": peak,
        "growth": mebibytes("VmRSS") - resident,
    }


def mebibytes(name: str) -> float:
    """``VmRSS``, what this process has in memory, or ``VmHWM``, the most that it has had.

    The kernel's ``ru_maxrss`` is no less than what the process that started
    this one had.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise ValueError(f"mebibytes: name must be one in /proc/self/status, got {name!r}")
