"""Threads of ranks on one node: its processors are divided among them, not multiplied."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

from fastdrop import threads
from fastdrop.distributed.launch import mpi


@contextmanager
def divided_processors(comm: Any) -> Iterator[bool]:
    """In the block, each rank uses its share of the processors of its node; says
    whether all ranks are on one node.

    A processor that several ranks may run on counts for each of them a part, so that
    ranks which the launcher has bound to processors of their own keep those. Who has
    set a number of threads keeps that.
    """
    node = comm.Split_type(mpi("Ranks").COMM_TYPE_SHARED)
    mine = _processors()
    everyone = node.allgather(mine)
    ranks = node.size
    node.Free()
    own = sum(1 / sum(one in theirs for theirs in everyone) for one in mine)
    # Rounding must not make 2.9999 of 3; a quota is that of all ranks together.
    count = max(1, min(int(own + 1e-9), threads._quota() // ranks))
    before = threads.get_num_threads()
    if os.environ.get("FASTDROP_NUM_THREADS") or before < threads._processors():
        count = before
    threads.set_num_threads(min(count, before))
    try:
        # Where NumPy computes the layers.
        with threadpool_limits(count, user_api="blas"):
            yield ranks == comm.size
    finally:
        threads.set_num_threads(before)


def _processors() -> list[int]:
    """Those that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
