"""Recurrent layers as their formulas say it: sample by sample, step by step."""

import numpy as np

GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


def normals(*shape, seed=3):
    return np.random.default_rng(seed).normal(size=shape)


def gates_of(layer):
    return GATES[type(layer).__name__]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def factors(mask):
    """What a recipe multiplies by: 0 or 1 / (1 - rate), of the rate in 32 bits."""
    kept = 1 - round(mask.rate * 2**32) / 2**32
    return np.broadcast_to(mask.keep() / kept if kept else 0.0, mask.shape)


def naive(layer, x, lengths):
    """What a layer gives for `x`, by the masks that its last forward pass drew."""
    count, steps, _ = x.shape
    units, gates = layer.units, gates_of(layer)
    out = np.zeros((count, steps, units))
    last = np.zeros((count, units))
    for n in range(count):
        length = steps if lengths is None else lengths[n]
        order = range(length)[::-1] if layer.go_backwards else range(length)
        h, c = np.zeros(units), np.zeros(units)
        for t, place in enumerate(order):
            a, r = [], []
            for g in range(gates):
                columns = slice(g * units, (g + 1) * units)
                m_x, m_h = mask_of_inputs(layer, n, t, g), mask_of_state(layer, n, t, g)
                a.append((x[n, place] * m_x) @ layer.params["weight"][:, columns])
                a[g] += layer.params["bias"][columns]
                r.append((h * m_h) @ layer.params["recurrent_weight"][:, columns])
                if gates == 3:
                    r[g] += layer.params["recurrent_bias"][columns]
            new_h, new_c = step(gates, a, r, h, c)
            h, c = zoned(layer, "hidden", n, t, h, new_h), zoned(layer, "cell", n, t, c, new_c)
            out[n, t] = h
        last[n] = h
    return out if layer.return_sequences else last


def step(gates, a, r, h, c):
    if gates == 1:
        return np.tanh(a[0] + r[0]), c
    if gates == 3:
        reset, keep = sigmoid(a[0] + r[0]), sigmoid(a[1] + r[1])
        return (1 - keep) * np.tanh(a[2] + reset * r[2]) + keep * h, c
    i, f, o = (sigmoid(a[g] + r[g]) for g in (0, 1, 3))
    c = f * c + i * np.tanh(a[2] + r[2])
    return o * np.tanh(c), c


def mask_of_inputs(layer, n, t, g):
    if layer.mask is None:
        return 1.0
    found = factors(layer.mask)
    return (found if layer.tied else found[g])[n, t]


def mask_of_state(layer, n, t, g):
    if layer.recurrent_mask is None:
        return 1.0
    found = factors(layer.recurrent_mask)
    found = found[t] if layer.per_step else found
    return (found if layer.tied else found[g])[n]


def zoned(layer, name, n, t, before, new):
    """Where its mask drops, a value stays; without masks, the mean of that."""
    rates = layer.zoneout
    rate = rates if not isinstance(rates, tuple) else rates[("cell", "hidden").index(name)]
    if layer.zoneout_masks is None:
        return rate * before + (1 - rate) * new
    if name not in layer.zoneout_masks:
        return new
    return np.where(layer.zoneout_masks[name].keep()[t, n], new, before)
