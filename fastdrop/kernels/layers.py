"""The layer kernels: what each computes, and where it is.

Two modules hold the same functions: ``cython_layers`` (loops in C, built once
for each instruction set) and ``numpy_layers``, for installs without a compiler.
This page is their contract.

**Arrays** are C-contiguous, aligned, in native byte order, all of one dtype,
float32 or float64, and do not overlap unless it says so. Everything was checked
before: a kernel raises nothing, and changes nothing but its outputs. Products
are summed in blocks that depend on shapes alone, so that no bit depends on
``threads``, the most threads to use.

Images are (N, H, W, C), weights of a convolution (kh, kw, C, F). A window is at
``(strides[0] * oh - padding[0], strides[1] * ow - padding[1])``; what lies
outside the image is 0 in a convolution, and no window of a pool does.

==============================================================================
matmul(a, b, out, transpose_a, transpose_b, bias, relu, accumulate, threads)
    ``out = a @ b``, of matrices, each transposed first where asked. Added to
    `out` where ``accumulate``. Then plus ``bias`` (n,), unless that is None;
    then ``max(out, 0)`` where ``relu``. In C, where few elements of a block of `a` are
    not zero the others are left out, unless `b` holds inf or NaN there: the same bits.
unit_sums(dy, y, dz, sums, scale, accumulate, threads)
    Backward of ``max(z + bias, 0) * scale``, or dropped: of (rows, units)
    ``dz = dy * scale`` where ``y > 0``, else 0; `dz` may be `dy`. With y and dz
    None ``dz = dy``. ``sums = dz.sum(axis=0)``, added where ``accumulate``.
magnitude_sums(x, sums, threads)
    ``sums = abs(x).sum(axis=0)`` of (rows, units).
running_mean(mean, sums, keep, share)
    ``mean = keep * mean + share * sums`` of units, unless one of `sums` is inf or
    NaN; the mean in float64.
unit_rates(importance, rate, rates, thresholds, scales) -> bool
    ``rates = min(rate * (1 - importance / importance.max()), 1)``, each rounded to a
    multiple of 2**-16, whose thresholds and scales are those of ``fastdrop.rates``. All
    float64 but the thresholds, uint64.
    False, and nothing written, where none is above 0, or one is inf or NaN.
relu(x, out, threads)
    ``max(x, 0)``, NaN where x is; `out` may be `x`.
relu_backward(y, dy, out, threads)
    ``dy`` where ``y > 0``, else 0; `out` may be `dy`.
conv2d(x, weight, bias, out, winners, strides, padding, relu, pool, scratch, threads)
    Cross-correlation, plus bias (F,). ``pool`` is (0, 0), or the window of a
    max-pool with strides of its own size: then `out` is what comes out of that,
    and `winners` as of ``max_pool``. Then ``max(out, 0)`` where ``relu``.
conv2d_backward(x, weight, y, winners, dy, dx, dweight, dbias, scale, strides, padding,
                relu, pool, accumulate, scratch, threads)
    Gradients, given ``dy`` by `y`, the output of ``conv2d`` or that times a
    dropout mask of that `scale`; `dx` None is not computed. ``dweight`` and
    ``dbias`` are added to where ``accumulate``.
conv2d_scratch(x, weight, out, strides, padding, pool, backward, threads) -> int
    How many elements the 1-D `scratch` of these two has at least.
max_pool(x, out, winners, pool, strides, threads)
    Largest of each window, NaN where there is one. `winners`, uint8 of the
    shape of `out` or None, says which: the first of the largest, or of the
    NaNs, counted through the window row by row.
max_pool_backward(dy, winners, dx, pool, strides, threads)
    ``dy`` where each window's winner was, summed over windows.
avg_pool(x, out, pool, strides, threads)
avg_pool_backward(dy, dx, pool, strides, threads)
    The mean of each window, and its gradient.
moments(x, mean, variance, threads)
    Of (rows, C) along rows; the variance is the biased one.
channel_affine(x, a, b, out, threads)
    ``x * a + b``, a and b (C,); `out` may be `x`.
channel_sums(x, dy, mean, sums, products, threads)
    ``sums = dy.sum(axis=0)``, ``products = (dy * (x - mean)).sum(axis=0)``.
channel_affine2(x, y, a, b, c, out, threads)
    ``x * a + y * b + c``; `out` may be `x` or `y`.
sgd(param, grad, velocity, learning_rate, momentum, nesterov, factor, threads)
    With ``g = grad * factor``: ``velocity = momentum * velocity + g``, and
    ``param -= learning_rate * velocity``, or with Nesterov's
    ``learning_rate * (g + momentum * velocity)``. velocity None is plain
    descent. Arrays of any shape, as in the next two.
adam(param, grad, moment, square, learning_rate, beta_1, beta_2, root, epsilon, decay,
     factor, threads)
    ``moment = beta_1 * moment + (1 - beta_1) * g``, ``square`` likewise of
    ``g * g``; ``param = param * (1 - decay) - learning_rate * moment /
    (sqrt(square) * root + epsilon)``. The caller puts the corrections of bias
    into learning_rate and root.
rmsprop(param, grad, square, velocity, learning_rate, rho, momentum, epsilon, factor,
        threads)
    ``square = rho * square + (1 - rho) * g * g``;
    ``velocity = momentum * velocity + g / (sqrt(square) + epsilon)``;
    ``param -= learning_rate * velocity``. velocity None is momentum 0.
sum_squares(x, threads) -> float
    In float64, in blocks that depend on the size alone.
max_norm(weight, limit, threads)
    Columns of (in, units) whose Euclidean norm is above `limit` are scaled to
    it.
cross_entropy(z, labels, smoothing, dz, losses, threads)
    Of logits (rows, classes) and labels (rows,), intp, all of them one of the
    classes: ``losses`` (rows,), the
    cross-entropy of the softmax with targets ``q``, 1 - smoothing at the label and
    ``smoothing / classes`` everywhere; and ``dz = softmax(z) - q``.
recurrent(z, weight, bias, mask, zone_h, zone_c, h, c, fed, kept, out, lengths, threads)
    All time steps of (N, T, ...), with H units and a weight (H, G * H): G = 1
    is the simple layer, 3 a GRU (gates r, z, n), 4 an LSTM (i, f, g, o). `z`
    (N, T, G * H) holds the inputs' products with biases, and then the gates;
    `h` (N, H), and an LSTM's `c`, the states before and then those after. `out`
    (N, T, H) gets ``h`` of each step, 0 from ``lengths`` (N,) on, where
    states stay; `fed` (N, T, Q, H) what went into the products, ``h * mask``, with
    a mask (T or 1, Q, N, H) or None, Q = 1 or G. bias (G * H) is the GRU's
    second one. `kept` (N, T, H) is for the backward pass: an LSTM's ``c`` before
    each step, a GRU's product of n. A zone (T or 1, N, H) or None says how much
    of the old ``h`` or ``c`` stays.
recurrent_backward(z, weight, mask, zone_h, zone_c, first, kept, out, dy, dh, dc, dz, dr,
                   lengths, threads)
    Gradients, given ``dy`` by `out` or None and those by the last states, ``dh``
    and ``dc``, which it changes: ``dz`` by the inputs' products, and ``dr`` by
    the recurrent ones, the same array where they are the same (G is not 3).
    ``first`` is a GRU's ``h`` before all steps.
==============================================================================

The Cython module has two more for ``fastdrop.torch``, of memory at addresses, followed
by its itemsize, 4 or 8: ``matmul_at``, on OpenMP's threads, with (m, n, k) in place of
shapes and bias 0 for none; and ``mostly_zeros_at``, whether that would leave out zeros of
such a left factor, by a few of its rows: never where the instruction set has no way to.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType

_MODULES = {
    "cython": "fastdrop.kernels.cython_layers",
    "numpy": "fastdrop.kernels.numpy_layers",
}
_loaded: ModuleType | None = None


def layer_kernels() -> ModuleType:
    """The module in use: the extension where it is built, unless ``FASTDROP_LAYERS``
    says numpy."""
    global _loaded
    if _loaded is None:
        built = importlib.util.find_spec(_MODULES["cython"]) is not None
        name = os.environ.get("FASTDROP_LAYERS") or ("cython" if built else "numpy")
        if name not in _MODULES:
            raise ValueError(f"FASTDROP_LAYERS must be one of cython, numpy, got {name!r}")
        _loaded = importlib.import_module(_MODULES[name])
    return _loaded
