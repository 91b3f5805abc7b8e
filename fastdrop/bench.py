"""Ten seconds of measuring: dropout beside a copy of its array, on this machine.

The benchmarks of the repository ask more, for longer; this is for an install.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from math import ceil, prod
from operator import truediv
from statistics import median
from time import perf_counter, sleep
from timeit import Timer
from typing import Any

import numpy as np

from fastdrop.aligned import aligned
from fastdrop.functional import dropout
from fastdrop.info import isa, processor, version_of
from fastdrop.kernels import backends, use_backend
from fastdrop.mask import MaskStream
from fastdrop.threads import get_num_threads

Call = Callable[[], object]

RATE = 0.5
IDIOM = "np.random.binomial"

# A loop comes after a rest: OpenMP's threads, if they compute, spin for a while
# and would take a processor from whoever comes next.
REST = 0.005
ROUNDS = 5

# Shares of the copy's speed that are promised, for at least so many elements.
# There is nothing to promise of smaller arrays: the call itself counts there.
CONTRACT = {
    ("cython", "avx512"): ((2**20, 0.9), (2**18, 0.4)),
    ("cython", "avx2"): ((2**18, 0.4),),
    ("numba", None): ((2**20, 0.4), (2**18, 0.2)),
}


@dataclass(frozen=True)
class Case:
    """A mask: what it is called, the array's shape, and the axes that share draws."""

    mask: str
    shape: tuple[int, ...]
    shared_axes: tuple[int, ...] = ()

    @property
    def own(self) -> tuple[int, ...]:
        """The mask's own shape."""
        return tuple(1 if axis in self.shared_axes else n for axis, n in enumerate(self.shape))


CASES = (
    *(Case("elementwise", (2**power,)) for power in range(14, 25, 2)),
    Case("spatial", (16, 32, 32, 64), (1, 2)),
    Case("temporal", (32, 128, 256), (1,)),
    Case("batch-shared", (1024, 1024), (0,)),
)


@dataclass(frozen=True)
class Row:
    """What was measured of one case.

    Attributes
    ----------
    mask : str
    shape : tuple of int
    copy : str
        The way to copy that was quickest.
    copy_seconds : float
        The median of its rounds.
    shares : dict of str to float
        By contender ("cython forward", ..., "np.random.binomial"), the median over
        the rounds of the copy's time over the contender's: 1 is as fast as a copy.
    seconds : dict of str to float
        Medians by contender.
    """

    mask: str
    shape: tuple[int, ...]
    copy: str
    copy_seconds: float
    shares: dict[str, float]
    seconds: dict[str, float]

    def missed(self, contender: str) -> bool:
        """Whether a share is below what is promised."""
        return self.shares[contender] < least(contender.split()[0], prod(self.shape))


@dataclass(frozen=True)
class Bench:
    """The rows of a measurement, and where they were measured.

    Attributes
    ----------
    rows : tuple of Row
    machine : dict
        Processor, instruction set, threads, load average before, and versions.
    complete : bool
        False where Ctrl-C came first.
    """

    rows: tuple[Row, ...]
    machine: dict[str, Any]
    complete: bool = True

    def table(self) -> str:
        """Shares as aligned text; ``(!)`` marks one below what is promised."""
        if not self.rows:
            return ""
        names = list(self.rows[0].shares)
        cells = [["mask", "elements", "copy, ms", "GB/s", *names]]
        for row in self.rows:
            n = prod(row.shape)
            gigabytes = 8 * n / row.copy_seconds / 1e9
            shares = [f"{row.shares[name]:.2g}{' (!)' * row.missed(name)}" for name in names]
            size = f"2^{n.bit_length() - 1}"
            cells.append([row.mask, size, f"{1e3 * row.copy_seconds:.3f}", f"{gigabytes:.0f}"])
            cells[-1] += shares
        return aligned(cells)


def bench(
    seconds: float = 10.0, *, cases: tuple[Case, ...] = CASES, progress: bool = False
) -> Bench:
    """Measure dropout against a scaled copy, ``y = 2 * x``, on this machine.

    Parameters
    ----------
    seconds : float, default 10.0
        About how long; above 0. Each case takes three rounds, whatever they last.
    cases : tuple of Case
    progress : bool, default False
        Show a progress bar (tqdm).

    Returns
    -------
    Bench
        Of what was measured before a Ctrl-C.

    Raises
    ------
    ValueError
        If `seconds` is not finite or not above 0.
    ImportError
        If `progress` is set and tqdm is not installed.

    Notes
    -----
    Contenders have their turns, so that a slow moment of the machine is one for
    all: the copy by each way that is here; a new mask drawn and applied
    (forward), and a mask applied again (backward, the same kernel), float32, into
    an array that is there, by each backend; and the idiom
    ``x * np.random.binomial(1, keep, x.shape) / keep``. The reference backend,
    slow by design, is left out.

    Examples
    --------
    >>> from fastdrop.bench import CASES, bench
    >>> found = bench(0.05, cases=CASES[:1])
    >>> [(row.mask, row.shape) for row in found.rows]
    [('elementwise', (16384,))]
    """
    if not 0 < seconds < float("inf"):
        raise ValueError(f"bench: seconds must be finite and above 0, got {seconds}")
    machine = {
        "processor": processor(),
        "isa": isa(),
        "threads": get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "numpy": version_of("numpy"),
        "fastdrop": version_of("fastdrop"),
    }
    rows: list[Row] = []
    end = perf_counter() + seconds
    try:
        for case in _bar(cases) if progress else cases:
            # What one takes longer, the next ones have less of.
            left = max(0.0, end - perf_counter())
            rows.append(measure(case, left / (len(cases) - len(rows))))
    except KeyboardInterrupt:
        return Bench(tuple(rows), machine, complete=False)
    return Bench(tuple(rows), machine)


def measure(case: Case, seconds: float) -> Row:
    """One case, in about so many seconds, but three rounds at least."""
    # A repeated block: to make many normal numbers takes longer than the rest.
    block = np.random.default_rng(0).standard_normal(2**14).astype(np.float32)
    x = np.resize(block, case.shape)
    out = np.zeros_like(x)
    names = copies(x, out, get_num_threads())
    contenders = {name: _Contender(call) for name, call in names.items()}
    contenders |= _dropouts(case, x, out) | {IDIOM: _Contender(_idiom(case, x))}
    times = _in_turn(contenders, seconds)
    copy = min(names, key=lambda name: median(times[name]))
    others = [name for name in times if name not in names]
    return Row(
        case.mask,
        case.shape,
        copy,
        median(times[copy]),
        {name: median(map(truediv, times[copy], times[name])) for name in others},
        {name: median(times[name]) for name in others},
    )


def least(backend: str, n: int) -> float:
    """The share of the copy's speed that is promised for `n` elements; 0 where none is."""
    key = backend, isa() if backend == "cython" else None
    return next((share for size, share in CONTRACT.get(key, ()) if n >= size), 0.0)


def copies(x: np.ndarray, out: np.ndarray, threads: int) -> dict[str, Call]:
    """The ways to compute ``out = 2 * x`` that are here, on one thread and on `threads`."""
    x, out = x.reshape(-1), out.reshape(-1)
    names = {f"{count} thread{'s' * (count > 1)}": count for count in sorted({1, threads})}
    try:
        from fastdrop.kernels.cython_kernels import scaled_copy
    except ImportError:
        return {f"NumPy, {name}": _sliced(x, out, count) for name, count in names.items()}
    return {f"C, {name}": partial(scaled_copy, x, out, 2.0, n) for name, n in names.items()}


def _sliced(x: np.ndarray, out: np.ndarray, threads: int) -> Call:
    """NumPy's own loop, a part on each thread; the caller is one of them."""
    bounds = [x.size * part // threads for part in range(threads + 1)]
    parts = [slice(a, b) for a, b in pairwise(bounds)]

    def multiply(part: slice) -> None:
        np.multiply(x[part], np.float32(2), out=out[part])

    def copy() -> None:
        others = [_pool(threads - 1).submit(multiply, part) for part in parts[1:]]
        multiply(parts[0])
        for other in others:
            other.result()

    return copy


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers)


@dataclass(frozen=True)
class _Contender:
    call: Call
    backend: str | None = None

    def seconds(self, number: int) -> float:
        """Of so many calls."""
        with use_backend(self.backend) if self.backend else nullcontext():
            return Timer(self.call).timeit(number)


def _dropouts(case: Case, x: np.ndarray, out: np.ndarray) -> dict[str, _Contender]:
    """Forward and backward of each backend."""
    stream, axes = MaskStream(0), case.shared_axes
    forward = partial(dropout, x, RATE, rng=stream, shared_axes=axes, out=out)
    backward = partial(stream.draw(case.shape, RATE, axes).apply, x, out)
    return {
        f"{name} {way}": _Contender(call, name)
        for name in backends()
        if name != "reference"
        for way, call in (("forward", forward), ("backward", backward))
    }


def _idiom(case: Case, x: np.ndarray) -> Call:
    keep = 1 - RATE
    return lambda: x * np.random.binomial(1, keep, case.own) / keep


def _in_turn(contenders: Mapping[str, _Contender], seconds: float) -> dict[str, list[float]]:
    """Seconds a call, one figure a round; in about so many seconds."""
    for contender in contenders.values():
        contender.seconds(1)  # which may compile
    end = perf_counter() + seconds
    loop = seconds / ((ROUNDS + 1) * len(contenders)) - REST
    numbers = {name: _calls(contender, loop) for name, contender in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    while len(times[IDIOM]) < 3 or perf_counter() < end:
        for name, contender in contenders.items():
            sleep(REST)
            # After the rest the threads sleep; what is timed is a loop that runs.
            contender.seconds(numbers[name] // 8)
            times[name].append(contender.seconds(numbers[name]) / numbers[name])
    return times


def _calls(contender: _Contender, seconds: float) -> int:
    """How many calls last `seconds`; at least one."""
    number = 1
    while (elapsed := contender.seconds(number)) < seconds / 10:
        number *= 4
    return max(1, ceil(number * seconds / elapsed))


def _bar(cases: Iterable[Case]) -> Iterable[Case]:
    try:
        from tqdm import tqdm
    except ImportError:
        raise ImportError(
            'bench: progress needs tqdm, which is not installed: `pip install "fastdrop[app]"`'
        ) from None
    return tqdm(cases, desc="bench", file=sys.stderr, leave=False)
