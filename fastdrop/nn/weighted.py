"""What layers with a weight and a bias share: first weights, penalties, a constraint."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from fastdrop.kernels.layers import layer_kernels
from fastdrop.nn.arguments import check_number
from fastdrop.nn.initializers import Initializer, check_initializer, initialize
from fastdrop.nn.layer import Layer, aligned
from fastdrop.nn.sources import Sources, sources
from fastdrop.threads import get_num_threads


class Weighted(Layer):
    """A layer whose ``params`` are a ``"weight"``, last axis units, and a ``"bias"``.

    Parameters
    ----------
    init : str or callable, default "he_normal"
        First weights: see `fastdrop.nn.initializers`. Biases start as 0.
    l1, l2 : float, default 0.0
        The loss gets ``l1 * sum(abs(weight)) + l2 * sum(weight**2)``.
    max_norm : float, optional
        After each step the incoming weights of a unit, of larger Euclidean
        norm, are scaled to this norm (Srivastava et al. 2014, section 5.1).
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where the first weights come from; by default from the `Sequential`
        around it, or else fresh entropy.
    """

    def __init__(
        self, init: Initializer, l1: float, l2: float, max_norm: float | None, rng: Any
    ) -> None:
        super().__init__()
        self.init = check_initializer(init, "init", self.where)
        self.l1 = check_number(l1, "l1", self.where)
        self.l2 = check_number(l2, "l2", self.where)
        self.max_norm = None if max_norm is None else check_number(max_norm, "max_norm", self.where)
        self._sources = None if rng is None else sources(rng, self.where)

    def penalty(self) -> float:
        weight = self.params["weight"]
        total = 0.0
        if self.l1:
            total += self.l1 * float(np.abs(weight).sum(dtype=np.float64))
        if self.l2:
            total += self.l2 * layer_kernels().sum_squares(weight, get_num_threads())
        return total

    def constrain(self) -> None:
        if self.max_norm is not None:
            weight = self.params["weight"]
            columns = weight.reshape(-1, weight.shape[-1])
            layer_kernels().max_norm(columns, self.max_norm, get_num_threads())

    def _make_params(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, dtype: Any, given: Sources | None
    ) -> None:
        draws = given or sources(None, self.where)
        # A copy: should `Sequential` undo a failed build, the next draws the same.
        rng = deepcopy(self._sources.weights) if self._sources else draws.weights
        weight = aligned(shape, dtype)
        weight[...] = initialize(self.init, shape, fan_in, fan_out, rng, dtype)
        self.params = {"weight": weight, "bias": np.zeros(shape[-1], dtype)}

    def _start_grads(self) -> bool:
        """Put the penalty's gradient into ``grads``; whether there is one, to
        which the loss's has to be added."""
        if self.grads.keys() != self.params.keys():
            self.grads = {
                name: aligned(param.shape, param.dtype) for name, param in self.params.items()
            }
        if not self.l1 and not self.l2:
            return False
        weight, grad = self.params["weight"], self.grads["weight"]
        np.multiply(weight, 2 * self.l2, out=grad)
        if self.l1:
            grad += self.l1 * np.sign(weight)
        self.grads["bias"].fill(0)
        return True
