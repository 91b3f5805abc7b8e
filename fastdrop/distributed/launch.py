"""Whether a launcher of MPI started this process, and all that it started."""

from __future__ import annotations

import os
from typing import Any

# Rank and number of processes, as launchers tell them: MPICH and Intel MPI, and
# `srun` in their name; Open MPI; MVAPICH.
_VARIABLES = (
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
)


def launched() -> tuple[int, int]:
    """Rank of this process and number of all, by the launcher's environment.

    Returns
    -------
    (int, int)
        (0, 1) without a launcher. MPI is not asked, nor imported.

    Examples
    --------
    >>> from fastdrop.distributed import launched
    >>> rank, size = launched()
    >>> 0 <= rank < size
    True
    """
    for rank, size in _VARIABLES:
        texts = os.environ.get(rank, ""), os.environ.get(size, "")
        if all(text.isdecimal() for text in texts) and int(texts[0]) < int(texts[1]):
            return int(texts[0]), int(texts[1])
    return 0, 1


def mpi(where: str) -> Any:
    """The module ``mpi4py.MPI``, or an error that says how to get it."""
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(
            f'{where}: training in several processes needs mpi4py: `pip install "fastdrop[mpi]"` '
            f"({error})"
        ) from None
    except RuntimeError as error:  # mpi4py is there, and no library of MPI
        raise ImportError(
            f'{where}: mpi4py finds no MPI: `pip install "fastdrop[mpi]"` ({error})'
        ) from None
    return MPI


def world(where: str) -> Any:
    """The communicator of all processes that were started together.

    Parameters
    ----------
    where : str
        What errors begin with.

    Raises
    ------
    ImportError
        If mpi4py or MPI is not installed.
    RuntimeError
        If this mpi4py belongs to another MPI than the launcher: then every process
        is alone.
    """
    comm, (_, size) = mpi(where).COMM_WORLD, launched()
    if comm.size != size:
        raise RuntimeError(
            f"{where}: the launcher started {size} processes and mpi4py sees {comm.size}: "
            "mpiexec must be of the MPI that mpi4py was built for"
        )
    return comm
