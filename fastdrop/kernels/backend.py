"""Which of the three kernel modules computes: chosen, switched and reported."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType

# In order of preference. A backend is there when its requirement can be found.
_MODULES = {
    "cython": "fastdrop.kernels.cython_kernels",
    "numba": "fastdrop.kernels.numba_kernels",
    "reference": "fastdrop.kernels.reference",
}
_REQUIRES = {
    "cython": "fastdrop.kernels.cython_kernels",
    "numba": "numba",
    "reference": "numpy",
}
_HOW_TO_GET = {
    "cython": "its extension is not built: with a C compiler at hand, "
    "`pip install --force-reinstall --no-deps fastdrop` builds it",
    "numba": "Numba is not installed: `pip install numba`",
}

_default: ModuleType | None = None
_in_context: ContextVar[ModuleType | None] = ContextVar("fastdrop_backend", default=None)


def active() -> ModuleType:
    """The kernel module in use here: that of `use_backend`, else the process's."""
    return _in_context.get() or _default or _choose_default()


def backends() -> tuple[str, ...]:
    """Names of the backends that can be used here, the preferred one first.

    Returns
    -------
    tuple of str
        Of ``"cython"``, ``"numba"`` and ``"reference"``. ``"cython"`` is
        missing from an install without a C compiler; ``"reference"``, plain
        NumPy and slow, is always there.

    Examples
    --------
    >>> import fastdrop
    >>> "reference" in fastdrop.backends()
    True
    """
    return tuple(name for name in _MODULES if _is_there(name))


def get_backend() -> str:
    """Name of the backend in use.

    Examples
    --------
    >>> import fastdrop
    >>> fastdrop.get_backend() in fastdrop.backends()
    True
    """
    module = active()
    return next(name for name, path in _MODULES.items() if path == module.__name__)


def set_backend(name: str) -> None:
    """Use one backend from now on, in every thread. The masks stay the same.

    Parameters
    ----------
    name : {"cython", "numba", "reference"}
        ``FASTDROP_BACKEND`` in the environment chooses the first one.

    Raises
    ------
    ValueError
        If there is no backend of that name.
    ImportError
        If it is not installed; the text says how to get it.

    Examples
    --------
    >>> import fastdrop
    >>> before = fastdrop.get_backend()
    >>> fastdrop.set_backend("reference")
    >>> fastdrop.get_backend()
    'reference'
    >>> fastdrop.set_backend(before)
    """
    global _default
    _default = _load(name, "set_backend")


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Use one backend inside a ``with`` block, in this thread (or task) alone.

    Parameters and errors are those of `set_backend`.

    Examples
    --------
    >>> import fastdrop
    >>> with fastdrop.use_backend("reference"):
    ...     fastdrop.get_backend()
    'reference'
    """
    token = _in_context.set(_load(name, "use_backend"))
    try:
        yield
    finally:
        _in_context.reset(token)


def _choose_default() -> ModuleType:
    global _default
    name = os.environ.get("FASTDROP_BACKEND") or backends()[0]
    _default = _load(name, "FASTDROP_BACKEND")
    return _default


def _is_there(name: str) -> bool:
    return importlib.util.find_spec(_REQUIRES[name]) is not None


def _load(name: str, where: str) -> ModuleType:
    if name not in _MODULES:
        raise ValueError(f"{where}: backend must be one of {', '.join(_MODULES)}, got {name!r}")
    if not _is_there(name):
        raise ImportError(f"{where}: backend {name!r} is not here; {_HOW_TO_GET[name]}")
    return importlib.import_module(_MODULES[name])
