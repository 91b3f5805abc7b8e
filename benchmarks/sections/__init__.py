"""One question of the README each: how it is measured, its goal and its table.

A section's module has ``TITLE``; ``measure(quick, threads)``, which gives rows
(flat, JSON-able dicts) and measures in fresh processes; and ``tables(rows)``,
which gives the tables as ``(header, lines)``. A row that has a goal names it
in ``goal``, with its ``figure`` and the ``least`` or the ``most`` it may be.
"""

from benchmarks.sections import (
    against_peers,
    beside_blas,
    copy_share,
    distributed,
    drop_rates,
    estimators,
    family,
    import_time,
    instruction_sets,
    larger_than_memory,
    monte_carlo,
    mpi_cost,
    peak_memory,
    recurrent,
    scaling,
    small_arrays,
    torch_layers,
    training,
    training_memory,
)

SECTIONS = {
    "copy": copy_share,
    "isa": instruction_sets,
    "peers": against_peers,
    "blas": beside_blas,
    "small": small_arrays,
    "import": import_time,
    "memory": peak_memory,
    "rates": drop_rates,
    "training": training,
    "family": family,
    "monte_carlo": monte_carlo,
    "recurrent": recurrent,
    "estimators": estimators,
    "scaling": scaling,
    "distributed": distributed,
    "mpi_cost": mpi_cost,
    "training_memory": training_memory,
    "larger_than_memory": larger_than_memory,
    "torch": torch_layers,
}

__all__ = ["SECTIONS"]
