"""Optimisers: rules that move parameters along their gradients.

An optimiser holds its settings alone. What it remembers of a network is in a
`state` dict that the network keeps, so that one optimiser serves several and
a checkpoint finds everything in one place.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from fastdrop.nn.arguments import check_number

Arrays = dict[str, np.ndarray]


class Optimizer:
    """The rule of a step. Subclasses say what they remember and how they move."""

    slots: tuple[str, ...] = ()

    def step(self, params: Arrays, grads: Arrays, state: dict[str, Any]) -> None:
        """Move `params` in place by `grads`.

        Parameters
        ----------
        params, grads : dict of str to ndarray
            The same names; gradients are read alone.
        state : dict
            What the optimiser remembers: empty at first, filled and updated
            here. ``"step"`` counts the steps.
        """
        # All memory is taken before the first parameter moves, so that running
        # out of it leaves weights and state as they were.
        memory = {
            f"{slot}.{name}": np.zeros_like(param)
            for slot in self.slots
            for name, param in params.items()
            if f"{slot}.{name}" not in state
        }
        largest = max(params.values(), key=lambda param: param.size)
        scratch = np.empty(largest.size, largest.dtype)
        state |= memory
        state["step"] = state.get("step", 0) + 1
        for name, param in params.items():
            slots = [state[f"{slot}.{name}"] for slot in self.slots]
            room = scratch[: param.size].reshape(param.shape)
            self._move(param, grads[name], room, state["step"], *slots)

    def _move(self, param, grad, room, step, *slots) -> None:
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    Parameters
    ----------
    learning_rate : float, default 0.01
        At least 0.
    momentum : float, default 0.0
        In [0, 1).

    Raises
    ------
    TypeError, ValueError
        If one is not a number or out of its range.

    Notes
    -----
    ``v = momentum * v + grad; param -= learning_rate * v`` (Sutskever,
    Martens, Dahl, Hinton, "On the importance of initialization and momentum in
    deep learning", ICML 2013, in the form that PyTorch has).

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> params, grads, state = {"w": np.ones(2)}, {"w": np.ones(2)}, {}
    >>> sgd = fastdrop.nn.SGD(0.25, momentum=0.5)
    >>> sgd.step(params, grads, state)
    >>> sgd.step(params, grads, state)
    >>> params["w"]  # 1 - 0.25 - 0.25 * 1.5
    array([0.375, 0.375])
    """

    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.0) -> None:
        self.learning_rate = check_number(learning_rate, "learning_rate", "SGD")
        self.momentum = check_number(momentum, "momentum", "SGD", below=1)
        self.slots = ("velocity",) if self.momentum else ()

    def _move(self, param, grad, room, step, velocity=None) -> None:
        if velocity is not None:
            velocity *= self.momentum
            velocity += grad
            grad = velocity
        param -= np.multiply(grad, self.learning_rate, out=room)


class Adam(Optimizer):
    """Adam: steps scaled by running moments of the gradient.

    Parameters
    ----------
    learning_rate : float, default 1e-3
        At least 0.
    beta_1, beta_2 : float, default 0.9 and 0.999
        Decay of the first and second moment, in [0, 1).
    epsilon : float, default 1e-8
        Added to the root of the second moment, at least 0.

    Raises
    ------
    TypeError, ValueError
        If one is not a number or out of its range.

    Notes
    -----
    Algorithm 1 of Kingma, Ba, "Adam: a method for stochastic optimization",
    ICLR 2015: ``m = b1 m + (1 - b1) g``, ``v = b2 v + (1 - b2) g**2``,
    ``param -= learning_rate * (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + epsilon)``.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> params, grads = {"w": np.ones(2)}, {"w": np.array([3.0, -0.5])}
    >>> fastdrop.nn.Adam(0.25).step(params, grads, {})
    >>> params["w"].round(6)  # the first step is the learning rate itself
    array([0.75, 1.25])
    """

    slots = ("moment", "square")

    def __init__(
        self,
        learning_rate: float = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.learning_rate = check_number(learning_rate, "learning_rate", "Adam")
        self.beta_1 = check_number(beta_1, "beta_1", "Adam", below=1)
        self.beta_2 = check_number(beta_2, "beta_2", "Adam", below=1)
        self.epsilon = check_number(epsilon, "epsilon", "Adam")

    def _move(self, param, grad, room, step, moment, square) -> None:
        moment *= self.beta_1
        moment += np.multiply(grad, 1 - self.beta_1, out=room)
        square *= self.beta_2
        np.multiply(grad, grad, out=room)
        room *= 1 - self.beta_2
        square += room
        np.sqrt(square, out=room)
        room /= sqrt(1 - self.beta_2**step)
        room += self.epsilon
        np.divide(moment, room, out=room)
        room *= self.learning_rate / (1 - self.beta_1**step)
        param -= room


OPTIMIZERS = {"sgd": SGD, "adam": Adam}
