"""What this install has and what it uses: the answer to most questions of a bug report."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from fastdrop import data, reviews, threads
from fastdrop.kernels import backend
from fastdrop.kernels.layers import layer_kernels

# By the extra that brings them; None is what fastdrop itself requires.
PACKAGES = {
    None: ("numpy", "numba", "tbb", "threadpoolctl"),
    "app": (
        *("click", "jinja2", "joblib", "matplotlib"),
        *("safetensors", "scikit-learn", "scipy", "tqdm"),
    ),
    "torch": ("torch",),
}


def info() -> dict[str, Any]:
    """Versions, backends, instruction set, threads, packages and data sets.

    Returns
    -------
    dict
        Of values that JSON has: ``fastdrop``, ``python``, ``system``,
        ``processor``; ``backend`` with its ``name`` and what it is ``from``;
        ``backends``, by name None or why one is missing; ``layers``; ``isa``
        with its ``name`` and all that are ``available``, or None; ``threads`` with
        their ``count`` and what that is ``from``; ``thread_layers``, whose threads
        compute, by backend; ``blas``; ``packages``, by name the version or None;
        ``install``, by name of those the command; ``data`` with the ``folder`` and
        its ``sets``, by name where they are or None.

    Raises
    ------
    ValueError, ImportError
        If a variable of the environment asks for what there is not.

    Examples
    --------
    >>> from fastdrop.info import info
    >>> facts = info()
    >>> facts["backends"]["reference"] is None, facts["threads"]["count"] >= 1
    (True, True)
    """
    chosen = os.environ.get("FASTDROP_BACKEND") == backend.get_backend()
    packages = {name: version_of(name) for names in PACKAGES.values() for name in names}
    return {
        "fastdrop": version_of("fastdrop") or "run from its sources",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "backend": {
            "name": backend.get_backend(),
            "from": "FASTDROP_BACKEND" if chosen else "the fastest that is here",
        },
        "backends": {name: _missing(name) for name in backend._MODULES},
        "layers": layer_kernels().__name__.rpartition(".")[2].removesuffix("_layers"),
        "isa": isa() and {"name": isa(), "available": list(_extension().ISAS)},
        "threads": {"count": threads.get_num_threads(), "from": _threads_from()},
        "thread_layers": _thread_layers(),
        "blas": _blas(),
        "packages": packages,
        "install": {
            name: f'pip install "fastdrop[{extra}]"' if extra else f"pip install {name}"
            for extra, names in PACKAGES.items()
            for name in names
            if packages[name] is None
        },
        "data": {"folder": os.environ.get("FASTDROP_DATA") or None, "sets": _data_sets()},
    }


def version_of(package: str) -> str | None:
    """Version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def isa() -> str | None:
    """The instruction set that the Cython backend uses, None without it."""
    extension = _extension()
    return extension and extension.isa()


def processor() -> str:
    """Its name, as well as it is known."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _extension() -> Any:
    try:
        from fastdrop.kernels import cython_kernels
    except ImportError:
        return None
    return cython_kernels


def _missing(name: str) -> str | None:
    """Why a backend cannot be used, None if it can: it is there, and it can be imported."""
    try:
        backend._load(name, "info")
    except ImportError as error:
        return str(error).removeprefix(f"info: backend {name!r} is not here; ")
    return None


def _threads_from() -> str:
    """What the number of threads is: the least of several limits, or somebody's choice."""
    own = "FASTDROP_NUM_THREADS" if os.environ.get("FASTDROP_NUM_THREADS") else "OMP_NUM_THREADS"
    affinity = hasattr(os, "sched_getaffinity")
    limits = {
        "the processors that this process may run on": (
            len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1
        ),
        "the quota of its cgroup": threads._quota(),
        own: threads._from_environment(),
    }
    name, least = min(limits.items(), key=lambda limit: limit[1])
    return name if threads.get_num_threads() == least else "set_num_threads"


def _thread_layers() -> dict[str, str]:
    """Whose threads a backend computes on."""
    layers = {}
    if extension := _extension():
        layers["cython"] = {"pool": "fastdrop's own pool", "openmp": "OpenMP"}[
            extension.team_name()
        ]
    if importlib.util.find_spec("numba"):
        from fastdrop.kernels.numba_threads import can_run_parallel

        layers["numba"] = "TBB" if can_run_parallel() else "one thread, for TBB is not in use"
    return layers


def _blas() -> list[str]:
    """What NumPy's products are computed by."""
    loaded = [lib for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"]
    if loaded:
        return [
            f"{lib['internal_api']} {lib['version']}, threads: {lib['num_threads']}"
            for lib in loaded
        ]
    # Those that threadpoolctl does not know, such as Accelerate.
    config: Any = np.show_config(mode="dicts")
    return [config["Build Dependencies"]["blas"]["name"]]


def _data_sets() -> dict[str, str | None]:
    """Where the data sets are that have a name."""
    root = os.environ.get("FASTDROP_DATA")
    found: dict[str, str | None] = {
        "digits": "in scikit-learn" if version_of("scikit-learn") else None
    }
    for name in ("mnist", "fashion_mnist"):
        found[name] = None
        if root:
            found[name] = _folder(data._find, name, root)
    found["reviews"] = _folder(reviews._find, Path(root)) if root else "200 built-in sentences"
    if root:
        sets = sorted(path.parent.name for path in Path(root, "uci").glob("*/data.txt"))
        found["uci"] = f"{Path(root, 'uci')}: {', '.join(sets)}" if sets else None
    return found


def _folder(find: Any, *arguments: Any) -> str | None:
    """The folder of files that are all there."""
    try:
        return str(find(*arguments)[0].parent)
    except FileNotFoundError:
        return None
