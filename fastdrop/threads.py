"""How many threads a call may use: one answer, resolved in one place.

The default is what this process may use. Limits of `threadpoolctl` are obeyed;
after a fork the child runs on one thread, because the other threads of its
parent do not exist there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from operator import index
from pathlib import Path

import threadpoolctl

# Below this a second thread gains less than handing it the work costs. An AVX2
# core takes 30 us for 2**16 float32; waking a thread may take 100, but nobody
# waits for one that is late, and inside a training step it is awake: dropout of
# 128 x 1024 there took 50 us with two threads, and 85 with one.
PARALLEL_BYTES = 1 << 18

_limit: int | None = None
_forked = False


class _Own(threading.local):
    alone = False


_own = _Own()


def get_num_threads() -> int:
    """The most threads that a call uses.

    The default is the least of the processors that this process may run on
    (affinity, cgroup quota) and ``FASTDROP_NUM_THREADS``, or else
    ``OMP_NUM_THREADS``, in the environment. In a forked child it is 1.

    Examples
    --------
    >>> import fastdrop
    >>> fastdrop.get_num_threads() >= 1
    True
    """
    global _limit
    if _forked or _own.alone:
        return 1
    if _limit is None:
        _limit = min(_processors(), _from_environment())
    return _limit


def set_num_threads(n: int) -> None:
    """Use at most `n` threads in a call, and never more than there are processors.

    The masks do not depend on it. Small arrays run on one thread anyway, and
    a forked child always does.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    TypeError
        If `n` is not an int.
    ValueError
        If `n` is below 1.

    Examples
    --------
    >>> import fastdrop
    >>> before = fastdrop.get_num_threads()
    >>> fastdrop.set_num_threads(1)
    >>> fastdrop.get_num_threads()
    1
    >>> fastdrop.set_num_threads(before)
    """
    global _limit
    _limit = min(_check(n, "set_num_threads: n"), _processors())


def team_size(nbytes: int) -> int:
    """Threads for one kernel call that writes `nbytes`."""
    return 1 if nbytes < PARALLEL_BYTES else get_num_threads()


@contextmanager
def alone() -> Iterator[None]:
    """In the block the calls of this thread use no other: it is one of several that
    share a larger piece of work."""
    before, _own.alone = _own.alone, True
    try:
        yield
    finally:
        _own.alone = before


def _check(n: object, what: str) -> int:
    try:
        count = index(n)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{what} must be an int, got {n!r}") from None
    if count < 1:
        raise ValueError(f"{what} must be at least 1, got {count}")
    return count


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return max(1, min(count, _quota()))


def _quota() -> int:
    """Processors that the process's cgroup grants, rounded up."""
    for path in ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"):
        try:
            words = Path(path).read_text().split()
            if len(words) == 1:
                words.append(Path(path).with_name("cpu.cfs_period_us").read_text())
            quota, period = int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):  # no such file, or "max"
            continue
        if quota > 0 and period > 0:
            return ceil(quota / period)
    return 1 << 30


def _from_environment() -> int:
    if text := os.environ.get("FASTDROP_NUM_THREADS"):
        if not text.strip().isdecimal() or int(text) < 1:
            raise ValueError(f"FASTDROP_NUM_THREADS must be an int of at least 1, got {text!r}")
        return int(text)
    # OpenMP's variable is a list, of which the first entry is the outer level;
    # what OpenMP would ignore is ignored.
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else 1 << 30


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Controller(threadpoolctl.LibController):
    """Lets `threadpoolctl` limits reach fastdrop.

    threadpoolctl finds libraries by their files; fastdrop's limit lives in
    Python, so it stands behind NumPy's extension, which is always loaded.
    """

    user_api = "openmp"
    internal_api = "fastdrop"
    filename_prefixes = ("_multiarray_umath",)

    def get_num_threads(self) -> int:
        return get_num_threads()

    def set_num_threads(self, num_threads: int) -> None:
        set_num_threads(max(1, num_threads))

    def get_version(self) -> str | None:
        return None


threadpoolctl.register(_Controller)
