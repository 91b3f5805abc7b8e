"""The share of the copy for each instruction set that the extension is built for."""

from __future__ import annotations

from benchmarks import fresh, goals
from benchmarks.sections import copy_share
from benchmarks.tables import Table, pivot

TITLE = "Share of the copy for each instruction set of the Cython backend (element-wise, float32)"


def measure(quick: bool, threads: int | None) -> list[dict]:
    """One process for each: the instruction set is chosen when the extension loads."""
    try:
        from fastdrop.kernels.cython_kernels import ISAS
    except ImportError:
        return []
    rows = []
    for isa in ISAS:
        found = fresh.call(
            copy_share.shares,
            {"FASTDROP_ISA": isa},
            shapes=["elementwise"],
            sizes=[2**18] if quick else copy_share.SIZES,
            dtypes=["float32"],
            rates=[0.5],
            quick=quick,
            threads=threads,
        )
        for row in found:
            if row["backend"] == "cython":
                bare = {name: row[name] for name in row if name not in ("goal", "least")}
                rows.append({"isa": isa, **bare, **goals.share("cython", row["n"], isa)})
    return rows


def tables(rows: list[dict]) -> list[Table]:
    return [pivot(rows, ("isa",), "n")] if rows else []
