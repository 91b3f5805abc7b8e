"""What an array argument may be, and how any layout reaches the kernels.

Array-likes go through `numpy.asarray`, so that subclasses (memory maps,
matrices, masked arrays) are taken for the plain array of their data and
results are plain arrays. Kernels see C-contiguous, aligned, native float32 or
float64; everything else is copied there and back, with the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_NATIVE = (np.dtype(np.float32), np.dtype(np.float64))
_HALF = np.dtype(np.float16)


def check_array(x: Any, where: str, name: str = "x") -> np.ndarray:
    """`x` as an ndarray of float16, float32 or float64 in any layout."""
    array = np.asarray(x)
    dtype = array.dtype
    if dtype is _NATIVE[0] or dtype is _NATIVE[1]:
        return array
    if dtype not in _NATIVE and dtype.newbyteorder("=") not in (*_NATIVE, _HALF):
        raise TypeError(f"{where}: {name} must be float16, float32 or float64, got {dtype}")
    return array


def check_out(out: Any, x: np.ndarray, where: str) -> None:
    """Raise unless `out` can take a result of the shape and dtype of `x`."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{where}: out must be a numpy array, got {type(out).__name__}")
    if out.shape != x.shape:
        raise ValueError(f"{where}: out must have the shape of x, {x.shape}, got {out.shape}")
    if out is x and out.flags.carray:
        return
    same = out.dtype is x.dtype
    if not same and out.dtype.newbyteorder("=") != x.dtype.newbyteorder("="):
        raise TypeError(f"{where}: out must have the dtype of x, {x.dtype}, got {out.dtype}")
    if not out.flags.writeable:
        raise ValueError(f"{where}: out must be writeable, got a read-only array")
    if out.flags.c_contiguous:
        return
    steps = zip(out.strides, out.shape, strict=True)
    if out.size and any(step == 0 and size > 1 for step, size in steps):
        raise ValueError(
            f"{where}: out must have an element of its own for each result, "
            f"got a broadcast array with strides {out.strides}"
        )


def prepare(
    out: np.ndarray | None, *inputs: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Operands ``(*inputs, target)`` that a kernel takes, and the result's array.

    The arrays were checked; one input or two, of one shape and dtype. Where
    `out` is not fit for a kernel or overlaps an input in part, the target is
    an array aside, as for NumPy's ufuncs; `finish` then fills the result. All
    that is allocated is allocated here, before anything is drawn.
    """
    dtype = inputs[0].dtype
    if out is not None:
        out = np.asarray(out)
    if is_direct(inputs[0]) and (len(inputs) == 1 or is_direct(inputs[1])):
        if out is None:
            out = np.empty(inputs[0].shape, dtype)
            return (*inputs, out), out
        if is_direct(out) and not any(_overlaps_in_part(x, out) for x in inputs):
            return (*inputs, out), out
    elif out is None:
        out = np.empty(inputs[0].shape, dtype.newbyteorder("="))
    working = np.dtype(np.float32) if dtype.itemsize == 2 else dtype.newbyteorder("=")
    with np.errstate(all="ignore"):
        operands = [np.require(x, working, ["C", "A", "E"]) for x in inputs]
    return (*operands, np.empty(out.shape, working)), out


def finish(
    operands: tuple[np.ndarray, ...], result: np.ndarray, out: np.ndarray | None
) -> np.ndarray:
    """The result, once a kernel has filled the operands' target; `out` where one was given."""
    if operands[-1] is not result:
        with np.errstate(all="ignore"):
            np.copyto(result, operands[-1], casting="same_kind")
    return result if out is None else out


def is_direct(array: np.ndarray) -> bool:
    """Whether kernels take the array as it is."""
    dtype, flags = array.dtype, array.flags
    # NumPy has one object for each of its types, nearly always; asking for that
    # first, and for three flags by one name, is what small arrays are quick by.
    known = dtype is _NATIVE[0] or dtype is _NATIVE[1] or dtype in _NATIVE
    return known and (flags.carray or (flags.c_contiguous and flags.aligned))


def _overlaps_in_part(x: np.ndarray, out: np.ndarray) -> bool:
    if x is out or not np.may_share_memory(x, out):
        return False
    return x.ctypes.data != out.ctypes.data or x.strides != out.strides
