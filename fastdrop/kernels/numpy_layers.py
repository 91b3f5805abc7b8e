"""The layer kernels in plain NumPy: short, and what installs without a compiler train with.

A convolution is one product: windows are copied side by side, as rows of a
matrix, and multiplied by the weights (Chellapilla, Puri, Simard, "High
performance convolutional neural networks for document processing", 2006).
Checked against loops written from the formulas, and against PyTorch.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fastdrop import rates as _rates

# Elements of windows copied at once (a few MB: larger was slower), and of a
# parameter moved at once: memory that a step takes does not grow with its arrays.
_WINDOWS = 1 << 19
_BLOCK = 1 << 15

_quiet = np.errstate(all="ignore")


@_quiet
def matmul(a, b, out, transpose_a, transpose_b, bias, relu, accumulate, threads):
    a, b = a.T if transpose_a else a, b.T if transpose_b else b
    if accumulate:
        out += a @ b
    else:
        np.matmul(a, b, out=out)
    if bias is not None:
        out += bias
    if relu:
        np.maximum(out, 0, out=out)


@_quiet
def unit_sums(dy, y, dz, sums, scale, accumulate, threads):
    if y is not None:
        dz[...] = np.where(y > 0, dy * scale, 0)
        dy = dz
    _store(_column_sums(dy), sums, accumulate)


@_quiet
def magnitude_sums(x, sums, threads):
    sums[...] = _column_sums(np.abs(x))


@_quiet
def running_mean(mean, sums, keep, share):
    if np.isfinite(sums).all():
        mean *= keep
        mean += share * sums.astype(np.float64)


@_quiet
def unit_rates(importance, rate, rates, thresholds, scales):
    largest = importance.max()
    if not largest > 0 or not np.isfinite(importance).all():
        return False
    rates[...] = np.rint(np.minimum((1.0 - importance / largest) * rate, 1.0) * 2**16) / 2**16
    thresholds[...] = _rates.thresholds(rates)
    scales[...] = _rates.scales(thresholds)
    return True


@_quiet
def relu(x, out, threads):
    np.maximum(x, 0, out=out)


@_quiet
def relu_backward(y, dy, out, threads):
    out[...] = np.where(y > 0, dy, 0)


@_quiet
def conv2d(x, weight, bias, out, winners, strides, padding, relu, pool, scratch, threads):
    kernel, size, filters = weight.shape[:2], _conv_size(out, pool), weight.shape[3]
    for group in _groups(x, kernel, size):
        product = _windows(x[group], kernel, size, strides, padding) @ weight.reshape(-1, filters)
        product = product.reshape(-1, *size, filters)
        if any(pool):
            chosen = None if winners is None else winners[group]
            max_pool(product, out[group], chosen, pool, pool, threads)
        else:
            out[group] = product
    out += bias
    if relu:
        np.maximum(out, 0, out=out)


@_quiet
def conv2d_backward(
    x,
    weight,
    y,
    winners,
    dy,
    dx,
    dweight,
    dbias,
    scale,
    strides,
    padding,
    relu,
    pool,
    accumulate,
    scratch,
    threads,
):
    kernel, size, filters = weight.shape[:2], _conv_size(dy, pool), weight.shape[3]
    if relu:
        dy = np.where(y > 0, dy * scale, 0)
    _store(_column_sums(dy.reshape(-1, filters)), dbias, accumulate)
    if not accumulate:
        dweight[...] = 0
    for group in _groups(x, kernel, size):
        dz = dy[group]
        if any(pool):
            dz = np.empty((len(dz), *size, filters), dy.dtype)
            max_pool_backward(dy[group], winners[group], dz, pool, pool, threads)
        rows = dz.reshape(-1, filters)
        windows = _windows(x[group], kernel, size, strides, padding)
        dweight += (windows.T @ rows).reshape(weight.shape)
        if dx is not None:
            _conv_input_gradient(rows, weight, dx[group], size, strides, padding)


def conv2d_scratch(x, weight, out, strides, padding, pool, backward, threads):
    return 0


@_quiet
def max_pool(x, out, winners, pool, strides, threads):
    taps = list(_taps(x, pool, out.shape[1:3], strides))
    out[...] = taps[0]
    for tap in taps[1:]:
        np.maximum(out, tap, out=out)
    if winners is not None:
        # From the last to the first, so that the first of the largest stays.
        for place, tap in reversed(list(enumerate(taps))):
            np.copyto(winners, place, where=(tap == out) | np.isnan(tap))


@_quiet
def max_pool_backward(dy, winners, dx, pool, strides, threads):
    dx[...] = 0
    for place, tap in enumerate(_taps(dx, pool, dy.shape[1:3], strides)):
        tap += np.where(winners == place, dy, 0)


@_quiet
def avg_pool(x, out, pool, strides, threads):
    out[...] = 0
    for tap in _taps(x, pool, out.shape[1:3], strides):
        out += tap
    out /= pool[0] * pool[1]


@_quiet
def avg_pool_backward(dy, dx, pool, strides, threads):
    dx[...] = 0
    share = dy / (pool[0] * pool[1])
    for tap in _taps(dx, pool, dy.shape[1:3], strides):
        tap += share


@_quiet
def moments(x, mean, variance, threads):
    mean[...] = _column_sums(x) / len(x)
    variance[...] = _column_sums(np.square(x - mean)) / len(x)


@_quiet
def channel_affine(x, a, b, out, threads):
    np.multiply(x, a, out=out)
    out += b


@_quiet
def channel_sums(x, dy, mean, sums, products, threads):
    sums[...] = _column_sums(dy)
    products[...] = _column_sums(dy * (x - mean))


@_quiet
def channel_affine2(x, y, a, b, c, out, threads):
    out[...] = x * a + y * b + c


@_quiet
def sgd(param, grad, velocity, learning_rate, momentum, nesterov, factor, threads):
    for p, g, v in _blocks(param, grad, velocity):
        g = g * factor
        if v is not None:
            v *= momentum
            v += g
            g = g + momentum * v if nesterov else v
        p -= learning_rate * g


@_quiet
def adam(
    param,
    grad,
    moment,
    square,
    learning_rate,
    beta_1,
    beta_2,
    root,
    epsilon,
    decay,
    factor,
    threads,
):
    for p, g, m, s in _blocks(param, grad, moment, square):
        g = g * factor
        m[...] = beta_1 * m + (1 - beta_1) * g
        s[...] = beta_2 * s + (1 - beta_2) * (g * g)
        p[...] = p * (1 - decay) - learning_rate * m / (np.sqrt(s) * root + epsilon)


@_quiet
def rmsprop(param, grad, square, velocity, learning_rate, rho, momentum, epsilon, factor, threads):
    for p, g, s, v in _blocks(param, grad, square, velocity):
        g = g * factor
        s[...] = rho * s + (1 - rho) * (g * g)
        g /= np.sqrt(s) + epsilon
        if v is not None:
            v *= momentum
            v += g
            g = v
        p -= learning_rate * g


@_quiet
def sum_squares(x, threads):
    doubles = (block.astype(np.float64) for (block,) in _blocks(x))
    return float(sum(block @ block for block in doubles))


@_quiet
def max_norm(weight, limit, threads):
    norms = np.sqrt(np.square(weight, dtype=np.float64).sum(axis=0))
    weight *= np.where(norms > limit, limit / norms, 1)


@_quiet
def cross_entropy(z, labels, smoothing, dz, losses, threads):
    rows = np.arange(len(z))
    np.subtract(z, z.max(axis=1, keepdims=True), out=dz)
    aim = dz[rows, labels]
    if smoothing:  # not always: 0 times an infinite mean is NaN
        aim *= 1 - smoothing
        aim += smoothing * dz.mean(axis=1)
    np.exp(dz, out=dz)
    total = dz.sum(axis=1, keepdims=True)
    losses[...] = np.log(total[:, 0]) - aim
    dz /= total
    dz -= smoothing / z.shape[1]
    dz[rows, labels] -= 1 - smoothing


@_quiet
def recurrent(z, weight, bias, mask, zone_h, zone_c, h, c, fed, kept, out, lengths, threads):
    units, gates = len(weight), weight.shape[1] // len(weight)
    alive = _alive(lengths, z.shape[1])
    for t in range(z.shape[1]):
        fed[:, t] = h[:, None] if mask is None else _at(mask, t).swapaxes(0, 1) * h[:, None]
        p = _by_gate(fed[:, t], weight)
        if gates == 3:
            p += bias
        now, p = z[:, t].reshape(-1, gates, units), p.reshape(-1, gates, units)
        if gates == 4:
            kept[:, t] = c
            now += p
            now[:, :2], now[:, 3] = _sigmoid(now[:, :2]), _sigmoid(now[:, 3])
            now[:, 2] = np.tanh(now[:, 2])
            cell = now[:, 1] * c + now[:, 0] * now[:, 2]
            new = now[:, 3] * np.tanh(cell)
            _enter(c, cell, _at(zone_c, t), alive[t])
        elif gates == 3:
            kept[:, t] = p[:, 2]
            now[:, :2] = _sigmoid(now[:, :2] + p[:, :2])
            now[:, 2] = np.tanh(now[:, 2] + now[:, 0] * p[:, 2])
            new = (1 - now[:, 1]) * now[:, 2] + now[:, 1] * h
        else:
            now[:, 0] = new = np.tanh(now[:, 0] + p[:, 0])
        _enter(h, new, _at(zone_h, t), alive[t])
        out[:, t] = np.where(alive[t], h, 0)


@_quiet
def recurrent_backward(
    z, weight, mask, zone_h, zone_c, first, kept, out, dy, dh, dc, dz, dr, lengths, threads
):
    units, gates = len(weight), weight.shape[1] // len(weight)
    alive = _alive(lengths, z.shape[1])
    for t in reversed(range(z.shape[1])):
        if t + 1 < z.shape[1]:
            each = 1 if mask is None else mask.shape[1]
            back = dr[:, t + 1].reshape(-1, each, gates // each, units)
            by_mask = weight.reshape(units, each, gates // each, units)
            back = np.einsum("nqgk,jqgk->qnj", back, by_mask, optimize=True)
            dh += (back if mask is None else back * _at(mask, t + 1)).sum(axis=0)
        new = dh if dy is None else dh + dy[:, t]
        rest = 1 if zone_h is None else 1 - _at(zone_h, t)
        new, stays = new * rest, new - new * rest
        now = z[:, t].reshape(-1, gates, units)
        by_z, by_r = (d[:, t].reshape(-1, gates, units) for d in (dz, dr))
        if gates == 4:
            i, f, g, o = now.swapaxes(0, 1)
            y = np.tanh(f * kept[:, t] + i * g)
            cell = dc * (1 if zone_c is None else 1 - _at(zone_c, t))
            old = dc - cell
            cell = cell + new * o * (1 - y * y)
            by_gate = cell * g, cell * kept[:, t], cell * i, new * y
            slopes = i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o)
            by_z[...] = np.stack([d * s for d, s in zip(by_gate, slopes, strict=True)], axis=1)
            np.copyto(dc, old + cell * f, where=alive[t])
        elif gates == 3:
            r, u, n = now.swapaxes(0, 1)
            before = out[:, t - 1] if t else first
            d = new * (1 - u) * (1 - n * n)
            d_r, d_u = d * kept[:, t] * r * (1 - r), new * (before - n) * u * (1 - u)
            by_z[...] = np.stack([d_r, d_u, d], axis=1)
            by_r[...] = np.stack([d_r, d_u, d * r], axis=1)
            stays = stays + new * u
        else:
            by_z[:, 0] = new * (1 - now[:, 0] ** 2)
        for d in (dz, dr):
            np.copyto(d[:, t], 0, where=~alive[t])
        np.copyto(dh, stays, where=alive[t])


def _alive(lengths, steps):
    """For each step, which samples have it, (N, 1); or True for all."""
    if lengths is None:
        return [np.True_] * steps
    return [lengths[:, None] > t for t in range(steps)]


def _at(array, t):
    """What an array holds of step t, if its one step does not stand for all of them."""
    return None if array is None else array[t % len(array)]


def _by_gate(fed, weight):
    """Products of (N, Q, H) with the weight's gates: of each with its own factor, or all
    with one."""
    parts = np.split(weight, fed.shape[1], axis=1)
    return np.concatenate([fed[:, q] @ part for q, part in enumerate(parts)], axis=1)


def _enter(state, new, zone, alive):
    new = new if zone is None else zone * state + (1 - zone) * new
    np.copyto(state, new, where=alive)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _column_sums(x):
    """In float64: NumPy adds up rows one by one, and float32 would lose digits."""
    return x.sum(axis=0, dtype=np.float64)


def _store(value, out, accumulate):
    out[...] = out + value if accumulate else value


def _blocks(*arrays):
    """The same few elements of each array at a time; None stays None."""
    flat = [None if array is None else array.reshape(-1) for array in arrays]
    for first in range(0, arrays[0].size, _BLOCK):
        yield [None if array is None else array[first : first + _BLOCK] for array in flat]


def _taps(images, window, size, strides):
    """For each place in a window, row by row: what lies there, a view of a pixel per window."""
    (oh, ow), (sh, sw) = size, strides
    for i, j in np.ndindex(*window):
        yield images[:, i : i + sh * oh : sh, j : j + sw * ow : sw]


def _conv_size(out, pool):
    """Rows and columns of the convolution that count: a pool leaves the last ones out."""
    return out.shape[1] * (pool[0] or 1), out.shape[2] * (pool[1] or 1)


def _reach(kernel, size, strides):
    """Rows and columns from the first window's beginning to the last one's end."""
    return tuple(s * (o - 1) + k for k, o, s in zip(kernel, size, strides, strict=True))


def _groups(x, kernel, size):
    """Slices of samples whose windows are few enough to be copied at once."""
    each = size[0] * size[1] * kernel[0] * kernel[1] * x.shape[3]
    count = max(1, _WINDOWS // each)
    return [slice(first, first + count) for first in range(0, len(x), count)]


def _windows(x, kernel, size, strides, padding):
    """The windows of all samples, each a row of a matrix."""
    height, width = _reach(kernel, size, strides)
    (top, left), (sh, sw) = padding, strides
    padded = np.zeros((len(x), height, width, x.shape[3]), x.dtype)
    image = x[:, : max(height - top, 0), : max(width - left, 0)]
    padded[:, top : top + image.shape[1], left : left + image.shape[2]] = image
    windows = sliding_window_view(padded, kernel, axis=(1, 2))[:, ::sh, ::sw]
    columns = kernel[0] * kernel[1] * x.shape[3]
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, columns)


def _conv_input_gradient(rows, weight, dx, size, strides, padding):
    """Of some samples, from the gradient by the convolution, a row for each window."""
    (top, left), (_, h, w, channels) = padding, dx.shape
    height, width = _reach(weight.shape[:2], size, strides)
    padded = np.zeros((len(dx), max(height, top + h), max(width, left + w), channels), dx.dtype)
    taps = _taps(padded, weight.shape[:2], size, strides)
    for tap, part in zip(taps, weight.reshape(-1, *weight.shape[2:]), strict=True):
        tap += (rows @ part.T).reshape(tap.shape)
    dx[...] = padded[:, top : top + h, left : left + w]
