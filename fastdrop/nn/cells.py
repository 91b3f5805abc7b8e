"""The recurrent layers: simple, with a long short-term memory, and with gated units."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdrop.nn.arguments import check_number
from fastdrop.nn.initializers import Initializer
from fastdrop.nn.recurrent import Recurrent
from fastdrop.nn.sources import Sources


class LSTM(Recurrent):
    """A recurrent layer with a long short-term memory, for sequences (N, T, F).

    Parameters
    ----------
    units : int
        Size of the state, at least 1.
    return_sequences : bool, default False
        Give the state after each step, (N, T, units), and not that after the last
        one, (N, units).
    stateful : bool, default False
        Each batch begins with the states that the one before ended with; no
        gradient goes from one to the other. `reset_state` begins anew. A file does
        not hold the states.
    go_backwards : bool, default False
        Walk from the end of each sequence to its beginning; what is returned for
        each step, and masks for each step, come in that order.
    dropout, recurrent_dropout : float, default 0.0
        Probability of dropping, in [0, 1], for the inputs, and for the state ``h``
        where it goes into the recurrent product. A sequence has one mask for all
        its time steps [1]_.
    tied : bool, default True
        All gates see the same masks; False draws masks for each gate [1]_, and
        takes as many products.
    per_step : bool, default False
        Draw masks for each time step: the naive form, which forgets.
    zoneout : float or (float, float), default 0.0
        Probability, in [0, 1], that a value of a state stays what it was in the step
        before [2]_; of the cell and of ``h``, if there are two. In evaluation
        the mean: ``zoneout * before + (1 - zoneout) * new``.
    forget_bias : float, default 1.0
        What the bias of the forget gate starts as [3]_.
    init : str or callable, default "glorot_uniform"
        First weights (see `fastdrop.nn.initializers`), by the fans of one gate.
        Other biases start as 0.
    recurrent_init : str or callable, default "orthogonal"
        First recurrent weights; ``"orthogonal"`` is an orthogonal matrix for each
        gate. A model with a function here cannot be saved.
    rng : None, int, SeedSequence, Generator, BitGenerator or MaskStream
        Where first weights and masks come from; by default from the `Sequential`
        around it, or else fresh entropy.

    Attributes
    ----------
    params, grads : dict
        ``"weight"`` (F, 4 * units), ``"recurrent_weight"`` (units, 4 * units) and
        ``"bias"`` (4 * units,), with the gates in PyTorch's order: i, f, g, o.
    mask : Mask or None
        Recipe for the inputs of the last forward pass with ``training=True``:
        (N, T, F), or (4, N, T, F) where not tied.
    recurrent_mask : Mask or None
        Likewise for ``h``: (N, units); with an axis of 4 before these where not
        tied, and one of T before all with ``per_step``.
    zoneout_masks : dict of str to Mask, or None
        Those of ``"cell"`` and ``"hidden"``, (T, N, units): a dropped value stays
        what it was.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range; in calls, if the
        input has another rank or number of features, or no time step, if a length
        is not in [1, T], or a stateful layer gets a batch of another size.

    Notes
    -----
    With the masks ``m_x`` and ``m_h``, which multiply by 0 or ``1 / (1 - rate)``::

        i, f, o = sigmoid((x_t * m_x) @ W + (h * m_h) @ U + b)
        g = tanh(...)
        c' = f * c + i * g
        h' = o * tanh(c')

    Zoneout mixes these with the states before: ``c = z * c + (1 - z) * c'``, and ``h``
    likewise. ``forward(x, training, lengths=lengths)`` takes the lengths (N,) of the
    sequences: beyond its length a sequence's states stay, and outputs are 0.

    References
    ----------
    Hochreiter, Schmidhuber, "Long short-term memory", Neural Computation 9, 1997;
    Gers, Schmidhuber, Cummins, "Learning to forget", Neural Computation 12, 2000.

    .. [1] Gal, Ghahramani, "A theoretically grounded application of dropout in
       recurrent neural networks", NeurIPS 2016.
    .. [2] Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden
       activations", ICLR 2017.
    .. [3] Jozefowicz, Zaremba, Sutskever, "An empirical exploration of recurrent
       network architectures", ICML 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop.nn.cells import LSTM
    >>> layer = LSTM(3, recurrent_dropout=0.5, rng=0)
    >>> layer.forward(np.ones((2, 7, 5), np.float32), training=True).shape
    (2, 3)
    >>> layer.recurrent_mask.shape
    (2, 3)
    >>> layer.backward(np.ones((2, 3), np.float32)).shape
    (2, 7, 5)
    """

    gates, states = 4, ("cell", "hidden")

    def __init__(
        self,
        units: int,
        *,
        return_sequences: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        tied: bool = True,
        per_step: bool = False,
        zoneout: float | tuple[float, float] = 0.0,
        forget_bias: float = 1.0,
        init: Initializer = "glorot_uniform",
        recurrent_init: Initializer = "orthogonal",
        rng: Any = None,
    ) -> None:
        super().__init__(
            units,
            return_sequences=return_sequences,
            stateful=stateful,
            go_backwards=go_backwards,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            tied=tied,
            per_step=per_step,
            zoneout=zoneout,
            init=init,
            recurrent_init=recurrent_init,
            rng=rng,
        )
        self.forget_bias = check_number(forget_bias, "forget_bias", self.where)

    def _first_params(self, features: Any, dtype: Any, given: Sources | None) -> None:
        super()._first_params(features, dtype, given)
        self.params["bias"][self.units : 2 * self.units] = self.forget_bias


class GRU(Recurrent):
    """A recurrent layer of gated units, for sequences (N, T, F).

    Parameters, attributes and errors are those of `LSTM`, but that there is no
    ``forget_bias``, ``zoneout`` is one number, of ``"hidden"``, and there are
    three gates, in PyTorch's order r, z, n (Keras has z first).
    ``params["recurrent_bias"]`` (3 * units,) is a second bias.

    Notes
    -----
    With the masks ``m_x`` and ``m_h``, which multiply by 0 or ``1 / (1 - rate)``::

        r, z = sigmoid((x_t * m_x) @ W + b + (h * m_h) @ U + b_U)
        n = tanh((x_t * m_x) @ W_n + b_n + r * ((h * m_h) @ U_n + b_Un))
        h' = (1 - z) * n + z * h

    The reset gate comes after the product, as in PyTorch and in Keras
    (``reset_after=True``), and not before it as in the paper. The old state that
    ``z`` keeps is not masked.

    References
    ----------
    Cho et al., "Learning phrase representations using RNN encoder-decoder for
    statistical machine translation", EMNLP 2014. Those of `LSTM`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop.nn.cells import GRU
    >>> layer = GRU(3, return_sequences=True, rng=0)
    >>> y = layer.forward(np.ones((2, 4, 5)), lengths=np.array([4, 2]))
    >>> y.shape, bool((y[1, 2:] == 0).all())
    ((2, 4, 3), True)
    """

    gates, states = 3, ("hidden",)

    def _first_params(self, features: Any, dtype: Any, given: Sources | None) -> None:
        super()._first_params(features, dtype, given)
        self.params["recurrent_bias"] = np.zeros(3 * self.units, dtype)


class SimpleRNN(Recurrent):
    """The simple recurrent layer, for sequences (N, T, F).

    ``h' = tanh((x_t * m_x) @ W + (h * m_h) @ U + b)``

    Parameters, attributes and errors are those of `LSTM`, but that there is no
    ``forget_bias``, ``zoneout`` is one number, of ``"hidden"``, and there is one
    gate.

    References
    ----------
    Elman, "Finding structure in time", Cognitive Science 14, 1990. Those of `LSTM`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop.nn.cells import SimpleRNN
    >>> layer = SimpleRNN(3, stateful=True, rng=0)
    >>> x = np.ones((2, 4, 5))
    >>> bool((layer.forward(x) == layer.forward(x)).all())
    False
    >>> layer.reset_state()
    """

    gates, states = 1, ("hidden",)
