"""Optimisers: rules that move parameters along their gradients.

An optimiser holds its settings alone. What it remembers of a network is in a
`state` dict that the network keeps, so that one optimiser serves several and
a checkpoint finds everything in one place.
"""

from __future__ import annotations

from inspect import signature
from math import sqrt
from typing import Any

import numpy as np

from fastdrop.kernels.layers import layer_kernels
from fastdrop.nn.arguments import check_number
from fastdrop.nn.schedules import Rate, config_of, schedule_from
from fastdrop.threads import team_size

Arrays = dict[str, np.ndarray]

_DTYPES = np.dtype(np.float32), np.dtype(np.float64)


class Optimizer:
    """The rule of a step. Subclasses say what they remember and how they move.

    Parameters
    ----------
    learning_rate : float or callable
        At least 0; or a schedule, a function of the step (counted from 0) that
        gives such a float. It may be set between steps.
    clip_norm : float, optional
        Above 0. Gradients whose norm, over all parameters together, is larger
        are scaled down to it [1]_.

    Raises
    ------
    TypeError, ValueError
        If one is of a wrong kind or out of its range.

    References
    ----------
    .. [1] Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent
       neural networks", ICML 2013, algorithm 1.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, learning_rate: Rate, clip_norm: float | None = None) -> None:
        self.learning_rate = learning_rate
        self.clip_norm = clip_norm
        if clip_norm is not None:
            self.clip_norm = self._number(clip_norm, "clip_norm")
            if self.clip_norm == 0:
                raise ValueError(f"{type(self).__name__}: clip_norm must be above 0, got 0")

    @property
    def learning_rate(self) -> Rate:
        """The rate or schedule."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        if isinstance(rate, dict):  # as `config` has it
            rate = schedule_from(rate, type(self).__name__)
        self._learning_rate: Rate = rate if callable(rate) else self._number(rate, "learning_rate")

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0.

        Raises
        ------
        TypeError, ValueError
            If a schedule gives anything but a finite number of at least 0.
        """
        if callable(self._learning_rate):
            return self._number(self._learning_rate(step), f"learning_rate of step {step}")
        return self._learning_rate

    def config(self) -> dict[str, Any]:
        """The arguments that make the same optimiser, as numbers, strings and dicts.

        A schedule of one's own is there by name only: the optimiser that is
        made of it has to be given a `learning_rate` before it steps.
        """
        arguments = {name: getattr(self, name) for name in signature(type(self)).parameters}
        return arguments | {"learning_rate": config_of(self.learning_rate)}

    def step(self, params: Arrays, grads: Arrays, state: dict[str, Any]) -> None:
        """Move `params` in place by `grads`.

        Parameters
        ----------
        params : dict of str to ndarray
            Of float32 or float64 and any shape, C-contiguous.
        grads : dict of str to array_like
            The same names and shapes; read alone, in the parameters' dtypes.
        state : dict
            What the optimiser remembers: empty at first, filled and updated
            here. ``"step"`` counts the steps.

        Raises
        ------
        TypeError, ValueError
            If the three do not fit each other; nothing has moved then.
        """
        # All memory is taken before the first parameter moves, so that running
        # out of it leaves weights and state as they were.
        kernels = layer_kernels()
        done = int(state.get("step", 0))
        rate = self.rate_at(done)
        moves, memory = self._prepare(params, grads, state)
        factor = 1.0
        if self.clip_norm is not None:
            squares = (kernels.sum_squares(grad, team_size(grad.nbytes)) for _, grad, _ in moves)
            norm = sqrt(sum(squares))
            if norm > self.clip_norm:
                factor = self.clip_norm / norm
        state |= memory
        state["step"] = done + 1
        for param, grad, slots in moves:
            self._move(param, grad, rate, done + 1, factor, *slots)

    def _prepare(
        self, params: Arrays, grads: Arrays, state: dict[str, Any]
    ) -> tuple[list[tuple[np.ndarray, np.ndarray, list[np.ndarray]]], Arrays]:
        """Each parameter with its gradient and its slots, and the slots that are new."""
        where = f"{type(self).__name__}.step"
        if params.keys() != grads.keys():
            raise ValueError(
                f"{where}: grads must have the names of params, {[*params]}, got {[*grads]}"
            )
        moves, memory = [], {}
        for name, param in params.items():
            if param.dtype not in _DTYPES:
                raise TypeError(
                    f"{where}: params[{name!r}] must be float32 or float64, got {param.dtype}"
                )
            if not param.flags.carray:
                raise ValueError(
                    f"{where}: params[{name!r}] must be C-contiguous, aligned and writeable, "
                    f"got strides {param.strides}"
                )
            grad = _plain(grads[name], param.dtype)
            if grad.shape != param.shape:
                raise ValueError(
                    f"{where}: grads[{name!r}] must have shape {param.shape}, got {grad.shape}"
                )
            slots = []
            for key in [f"{slot}.{name}" for slot in self.slots]:
                slot = state.get(key)
                if slot is None:
                    slot = memory[key] = np.zeros(param.shape, param.dtype)
                elif not _alike(slot, param):
                    raise ValueError(
                        f"{where}: state[{key!r}] must be writeable and C-contiguous, of "
                        f"{param.dtype} and shape {param.shape}, got {slot.dtype}, {slot.shape}"
                    )
                slots.append(slot)
            moves.append((param, grad, slots))
        return moves, memory

    def _move(self, param, grad, rate, step, factor, *slots) -> None:
        """Move one parameter in step number `step`, counted from 1, by ``grad * factor``."""
        raise NotImplementedError

    def _number(self, value: Any, name: str, below: float = float("inf")) -> float:
        return check_number(value, name, type(self).__name__, below)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    Parameters
    ----------
    learning_rate : float or callable, default 0.01
        At least 0, or a schedule, as of `Optimizer`.
    momentum : float, default 0.0
        In [0, 1).
    nesterov : bool, default False
        Look ahead along the velocity; needs a momentum.
    clip_norm : float, optional
        Largest norm of all gradients together, as of `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If one is of a wrong kind or out of its range.

    Notes
    -----
    ``v = momentum * v + grad; param -= learning_rate * v``, or with Nesterov's
    momentum ``param -= learning_rate * (grad + momentum * v)`` (Sutskever,
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

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm)
        self.momentum = self._number(momentum, "momentum", below=1)
        if not isinstance(nesterov, (bool, np.bool_)):
            raise TypeError(f"SGD: nesterov must be a bool, got {nesterov!r}")
        if nesterov and not self.momentum:
            raise ValueError("SGD: nesterov needs a momentum above 0, got momentum 0")
        self.nesterov = bool(nesterov)
        self.slots = ("velocity",) if self.momentum else ()

    def _move(self, param, grad, rate, step, factor, velocity=None) -> None:
        layer_kernels().sgd(
            param,
            grad,
            velocity,
            rate,
            self.momentum,
            self.nesterov,
            factor,
            team_size(param.nbytes),
        )


class Adam(Optimizer):
    """Adam: steps scaled by running moments of the gradient.

    Parameters
    ----------
    learning_rate : float or callable, default 1e-3
        At least 0, or a schedule, as of `Optimizer`.
    beta_1, beta_2 : float, default 0.9 and 0.999
        Decay of the first and second moment, in [0, 1).
    epsilon : float, default 1e-8
        Added to the root of the second moment, at least 0.
    clip_norm : float, optional
        Largest norm of all gradients together, as of `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If one is of a wrong kind or out of its range.

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
    weight_decay = 0.0

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm)
        self.beta_1 = self._number(beta_1, "beta_1", below=1)
        self.beta_2 = self._number(beta_2, "beta_2", below=1)
        self.epsilon = self._number(epsilon, "epsilon")

    def _move(self, param, grad, rate, step, factor, moment, square) -> None:
        layer_kernels().adam(
            param,
            grad,
            moment,
            square,
            rate / (1 - self.beta_1**step),
            self.beta_1,
            self.beta_2,
            1 / sqrt(1 - self.beta_2**step),
            self.epsilon,
            rate * self.weight_decay,
            factor,
            team_size(param.nbytes),
        )


class AdamW(Adam):
    """Adam with weight decay beside the gradient and not in it.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon
        As of `Adam`.
    weight_decay : float, default 0.01
        At least 0.
    clip_norm : float, optional
        Largest norm of all gradients together, as of `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If one is of a wrong kind or out of its range.

    Notes
    -----
    ``param *= 1 - learning_rate * weight_decay``, then the step of `Adam`:
    Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019, with
    the learning rate in the decay, as PyTorch and Keras have it. As there, it
    decays every parameter: biases and the scales of a `BatchNorm`, too.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> params, grads = {"w": np.array([2.0])}, {"w": np.zeros(1)}
    >>> fastdrop.nn.optimizers.AdamW(0.5, weight_decay=0.5).step(params, grads, {})
    >>> params["w"]  # 2 * (1 - 0.5 * 0.5)
    array([1.5])
    """

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, clip_norm)
        self.weight_decay = self._number(weight_decay, "weight_decay")


class RMSprop(Optimizer):
    """Steps scaled by a running mean of the squared gradient.

    Parameters
    ----------
    learning_rate : float or callable, default 1e-3
        At least 0, or a schedule, as of `Optimizer`.
    rho : float, default 0.9
        Decay of the mean square, in [0, 1).
    momentum : float, default 0.0
        In [0, 1).
    epsilon : float, default 1e-8
        Added to the root of the mean square, at least 0.
    clip_norm : float, optional
        Largest norm of all gradients together, as of `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If one is of a wrong kind or out of its range.

    Notes
    -----
    ``s = rho * s + (1 - rho) * g**2``; ``v = momentum * v + g / (sqrt(s) +
    epsilon)``; ``param -= learning_rate * v`` (Tieleman, Hinton, "Lecture 6.5:
    rmsprop", Coursera 2012). `epsilon` stands outside the root, as in PyTorch;
    Keras has it inside, and the learning rate inside `v`. The defaults are
    Keras's, but for `epsilon`, which is PyTorch's.

    Examples
    --------
    >>> import fastdrop, numpy as np
    >>> params, grads = {"w": np.ones(2)}, {"w": np.array([3.0, -0.5])}
    >>> fastdrop.nn.optimizers.RMSprop(0.25, rho=0.75).step(params, grads, {})
    >>> params["w"].round(6)  # the first step is the rate / sqrt(1 - rho)
    array([0.5, 1.5])
    """

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-8,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm)
        self.rho = self._number(rho, "rho", below=1)
        self.momentum = self._number(momentum, "momentum", below=1)
        self.epsilon = self._number(epsilon, "epsilon")
        self.slots = ("square", "velocity") if self.momentum else ("square",)

    def _move(self, param, grad, rate, step, factor, square, velocity=None) -> None:
        layer_kernels().rmsprop(
            param,
            grad,
            square,
            velocity,
            rate,
            self.rho,
            self.momentum,
            self.epsilon,
            factor,
            team_size(param.nbytes),
        )


OPTIMIZERS = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}


def _plain(grad: Any, dtype: np.dtype) -> np.ndarray:
    """What a kernel can read: `grad` itself, as a rule."""
    grad = np.asarray(grad, dtype)
    flags = grad.flags
    return grad if flags.c_contiguous and flags.aligned else np.array(grad, order="C")


def _alike(slot: np.ndarray, param: np.ndarray) -> bool:
    """Whether a kernel can go through both side by side."""
    return slot.shape == param.shape and slot.dtype == param.dtype and slot.flags.carray
