"""The mask kernels: what each computes, and which backend computes it.

Three modules hold the same functions and give the same bits: ``reference``
(NumPy, the definition), ``numba_kernels`` (parallel Numba) and
``cython_kernels`` (Cython over a SIMD core in C). This page is their contract.

**The recipe.** ``key``, ``stream`` and ``offset`` are Python ints below 2**64,
2**63 and 2**64. Draw ``d`` of a call is draw ``offset + d`` of the stream; the
caller has checked that the last one is below 2**64. A draw *drops* where its
32-bit integer is below the threshold ``T = round(rate * 2**32)``.

**The geometry.** Arrays are C-contiguous, aligned, in native byte order, of
``outer * shared * inner`` elements; element ``(o, s, i)`` takes draw
``o * inner + i``, so that one draw serves all of ``shared``. A function
without a geometry has one draw an element.

==============================================================================
apply(x, out, outer, shared, inner, key, stream, offset,
      threshold, a, b, c, threads)
    ``out = a * x + b`` where kept and ``c`` where dropped. ``b = -0.0`` is
    the exact "add nothing". The product is rounded before the sum (no fused
    multiply-add). ``0 <= threshold < 2**32``; a, b, c are Python floats.
apply_rates(x, out, outer, shared, inner, key, stream, offset,
            thresholds, a, b, c, threads)
    The same with ``R >= 1`` rates: draw ``d`` takes entry ``d % R`` of the
    uint64 thresholds (2**32 drops always) and of a, b, c in the dtype of x,
    of which each has R entries or one for all.
blend(x, y, out, outer, shared, inner, key, stream, offset,
      threshold, threads)
    ``x`` where kept and ``y`` where dropped.
blend_rates(x, y, out, outer, shared, inner, key, stream, offset,
            thresholds, threads)
    The same with an array of thresholds, as in ``apply_rates``.
keep(out, key, stream, offset, threshold, threads)
    The keep mask itself, bool.
keep_rates(out, key, stream, offset, thresholds, threads)
    The same with an array of thresholds.
uniforms(out, key, stream, offset, threads)
    ``((word >> 9) + 0.5) * 2**-23``, word ``offset + d`` of the stream.
normals(out, key, stream, offset, threads)
    Box-Muller normals of the uniforms, in pairs of words.
multiply_normals(x, out, outer, shared, inner, key, stream, offset,
                 stddevs, threads)
    ``out = x * (1 + stddev * normal)``; draw ``d`` takes entry ``d % R`` of
    the R >= 1 stddevs, in the dtype of x.
==============================================================================

The Cython backend has two more, for ``fastdrop.torch``, on OpenMP's threads where it
takes more than one. They take
addresses in place of ``x`` and ``out``, and then the itemsize, 4 or 8: ``apply_at``, and
``apply_turned``, whose elements lie as ``(outer, inner, shared)``, channels last: element
``(o, i, s)`` takes draw ``(o * shared + s) * inner + i``, each a draw of its own.

``x``, ``y`` and ``out`` share one dtype, float32 or float64 (``keep``: out is
bool). The caller allocates ``out``; it may be ``x`` (or ``y``) itself, and
overlaps it in no other way. Empty arrays are allowed and nothing happens.
``threads`` is the most threads to use; no bit depends on it. Everything was
checked before: a kernel raises nothing, allocates nothing that grows with the
arrays, and changes nothing but ``out``.

Each module exports what defines the stream, from its own literals:
``PHILOX_MULTIPLIERS``, ``PHILOX_INCREMENTS``, ``PHILOX_ROUNDS``, ``DIGIT_BITS``.
"""

from fastdrop.kernels.backend import (
    active,
    backends,
    get_backend,
    set_backend,
    use_backend,
)

__all__ = ["active", "backends", "get_backend", "set_backend", "use_backend"]
