"""Whether Numba's parallel kernels may run here: on its TBB layer or not at all.

Measured: the workqueue layer aborts the process when two Python threads enter
it at once; GNU OpenMP's kills forked children, and its spinning threads make
NumPy's matrix products 6 to 7 times slower. Without TBB a kernel is serial.
"""

from __future__ import annotations

import ctypes
import site
import sys
from functools import cache
from pathlib import Path
from threading import Lock

import numba
from numba.np.ufunc import parallel

_lock = Lock()
_FILES = {"linux": "lib/libtbb.so.12", "win32": "Library/bin/tbb12.dll"}


def can_run_parallel() -> bool:
    """True where Numba's threads are TBB's, which the first call launches."""
    with _lock:
        return _launch()


@cache
def _launch() -> bool:
    try:
        return numba.threading_layer() == "tbb"  # launched by somebody before
    except ValueError:
        pass
    if not _is_wanted() or not _is_there():
        return False
    parallel._launch_threads()
    return numba.threading_layer() == "tbb"


def _is_wanted() -> bool:
    """Whether Numba's settings lead to TBB where it is there."""
    layer = str(numba.config.THREADING_LAYER).lower()
    if layer == "default":
        return numba.config.THREADING_LAYER_PRIORITY[0] == "tbb"
    return layer in ("tbb", "safe", "threadsafe", "forksafe")


def _is_there() -> bool:
    """Load TBB from where pip puts it and no loader looks; then ask Numba."""
    for prefix in (sys.prefix, site.getuserbase()):
        path = Path(prefix, _FILES.get(sys.platform, "lib/libtbb.12.dylib"))
        if path.is_file():
            try:
                ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
                break
            except OSError:
                continue
    try:
        parallel._check_tbb_version_compatible()
        from numba.np.ufunc import tbbpool  # noqa: F401
    except ImportError:
        return False
    return True
