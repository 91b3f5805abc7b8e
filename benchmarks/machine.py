"""Where a result comes from: processor, threads, versions and commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import fastdrop

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("fastdrop", "numpy", "numba", "tbb", "torch", "tensorflow", "keras", "jax")


def describe() -> dict:
    """Everything that a figure depends on and that can be known.

    ``load`` is the machine's load average over the last minute: beside others'
    work, libraries whose threads spin while they wait lose most.
    """
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "isa": isa(),
        "threads": fastdrop.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := version_of(name))},
        "commit": commit(),
    }


def version_of(package: str) -> str | None:
    """Version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def isa() -> str | None:
    """The instruction set that the Cython backend uses, None without it."""
    try:
        from fastdrop.kernels import cython_kernels
    except ImportError:
        return None
    return cython_kernels.isa()


def commit() -> str | None:
    """The commit that is checked out, ``-dirty`` if something was changed since."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    # Without this git writes its index, which another git may be about to do.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        found = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
