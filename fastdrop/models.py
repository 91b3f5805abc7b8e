"""Networks to choose by name: lists of layers for `fastdrop.nn.Sequential`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastdrop.nn import BatchNorm, Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D, ReLU
from fastdrop.nn.embedding import Embedding, EmbeddingDropout
from fastdrop.nn.sequence_pooling import GlobalAvgPool1D, GlobalSumPool1D


def mlp(
    classes: int,
    hidden: Sequence[int] = (512, 512),
    rate: float = 0.5,
    *,
    input_rate: float = 0.0,
    max_norm: float | None = None,
) -> list[Layer]:
    """Dense layers with ReLU, and dropout after each hidden one.

    Parameters
    ----------
    classes : int
        Units of the last layer, at least 1; their outputs are logits.
    hidden : sequence of int, default (512, 512)
        Units of each hidden layer.
    rate : float, default 0.5
        Of the dropout after each hidden layer, in [0, 1]. At 0 there is none.
    input_rate : float, default 0.0
        Of dropout on the input, likewise.
    max_norm : float, optional
        Largest Euclidean norm of a hidden unit's incoming weights.

    Returns
    -------
    list of Layer
        For samples of any shape: the first one flattens them.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple
    way to prevent neural networks from overfitting", JMLR 15, 2014: their
    networks for MNIST have rate 0.5, input_rate 0.2 and a max_norm of 2 or 3.

    Examples
    --------
    >>> from fastdrop import models, nn
    >>> layers = models.mlp(10, hidden=(100,), input_rate=0.2, max_norm=3)
    >>> [type(layer).__name__ for layer in layers]
    ['Flatten', 'Dropout', 'Dense', 'ReLU', 'Dropout', 'Dense']
    >>> model = nn.Sequential(layers)
    """
    layers = [Flatten(), *_dropout(input_rate)]
    for units in hidden:
        layers += [Dense(units, max_norm=max_norm), ReLU(), *_dropout(rate)]
    return [*layers, Dense(classes)]


def cnn(
    classes: int,
    hidden: Sequence[int] = (128,),
    rate: float = 0.5,
    *,
    filters: Sequence[int] = (32, 64),
    conv_rate: float | None = None,
    input_rate: float = 0.0,
    padding: str = "valid",
) -> list[Layer]:
    """The convolutional network that tutorials train on MNIST.

    Twice 3 x 3 convolution, ReLU, max-pool of 2 x 2 and dropout, then dense
    layers as those of `mlp`.

    Parameters
    ----------
    classes, hidden, rate
        As of `mlp`.
    filters : sequence of int, default (32, 64)
        Of each convolution.
    conv_rate : float, optional
        Of the dropout after each pool, in [0, 1]; by default half of `rate`.
        At 0 there is none.
    input_rate : float, default 0.0
        Of dropout on the input, likewise.
    padding : {"valid", "same"}, default "valid"
        Of the convolutions. With two of them, "valid" takes images of 10 x 10
        and more, "same" of 4 x 4 and more.

    Returns
    -------
    list of Layer
        For images (N, H, W, C).

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range.

    References
    ----------
    https://keras.io/examples/vision/mnist_convnet/, with the hidden layer and
    the rates of its earlier version, mnist_cnn.py of Keras 1 and 2.

    Examples
    --------
    >>> from fastdrop import models, nn
    >>> model = nn.Sequential(models.cnn(10), input_shape=(28, 28, 1))
    >>> model.summary().splitlines()[-1]
    '225,034 parameters, float32'
    """
    dense = mlp(classes, hidden, rate)
    if conv_rate is None:
        conv_rate = rate / 2
    layers = _dropout(input_rate)
    for count in filters:
        layers += [Conv2D(count, 3, padding=padding), ReLU(), MaxPool2D(), *_dropout(conv_rate)]
    return layers + dense


def regularized(
    classes: int,
    hidden: Sequence[int] = (512, 512),
    rate: float = 0.5,
    *,
    input_rate: float = 0.0,
    earlier_rate: float = 0.3,
    everywhere: bool = False,
    l1: float = 1e-5,
    l2: float = 1e-4,
) -> list[Layer]:
    """Dense layers with L1 and L2 penalties, batch normalisation, ReLU and dropout.

    Each hidden layer is Dense, BatchNorm, ReLU. By default dropout stands only
    after the last of them, behind all batch normalisation.

    Parameters
    ----------
    classes, hidden
        As of `mlp`.
    rate : float, default 0.5
        Of the dropout after the last hidden layer, in [0, 1]. At 0 there is
        none.
    input_rate : float, default 0.0
        Of dropout on the input, likewise.
    earlier_rate : float, default 0.3
        Of the dropout after each hidden layer before it, if `everywhere`.
    everywhere : bool, default False
        Dropout after every hidden layer.
    l1, l2 : float, default 1e-5 and 1e-4
        Penalties of the weights of all dense layers, as in `fastdrop.nn.Dense`.

    Returns
    -------
    list of Layer
        For samples of any shape: the first one flattens them.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range.

    Notes
    -----
    Dropout keeps the mean of what passes and makes its variance larger: by
    ``1 / (1 - rate)`` where that mean is 0. A batch normalisation behind it
    learns the variance of training, noise included, as its running statistics,
    and in the test, where the noise is gone, divides by too much [1]_. A dropout
    that no batch normalisation follows does no such harm; so `rate` has a place
    in this network, and `earlier_rate` has one only if `everywhere`.

    References
    ----------
    .. [1] Li, Chen, Hu, Yang, "Understanding the disharmony between dropout and
       batch normalization by variance shift", arXiv:1801.05134, 2018.

    Examples
    --------
    >>> from fastdrop import models
    >>> def names(layers):
    ...     return " ".join(type(layer).__name__ for layer in layers)
    >>> names(models.regularized(10, hidden=(64, 32)))
    'Flatten Dense BatchNorm ReLU Dense BatchNorm ReLU Dropout Dense'
    >>> names(models.regularized(10, hidden=(64, 32), everywhere=True))
    'Flatten Dense BatchNorm ReLU Dropout Dense BatchNorm ReLU Dropout Dense'
    """
    layers: list[Layer] = [Flatten(), *_dropout(input_rate)]
    for number, units in enumerate(hidden, 1):
        layers += [Dense(units, l1=l1, l2=l2), BatchNorm(), ReLU()]
        if number == len(hidden):
            layers += _dropout(rate)
        elif everywhere:
            layers += _dropout(earlier_rate)
    return [*layers, Dense(classes, l1=l1, l2=l2)]


def text(
    classes: int,
    hidden: Sequence[int] = (100,),
    rate: float = 0.5,
    *,
    words: int,
    units: int = 100,
    input_rate: float | None = None,
) -> list[Layer]:
    """The mean of the words' vectors, then dense layers as those of `mlp`.

    Parameters
    ----------
    classes, hidden
        As of `mlp`.
    rate : float, default 0.5
        Of the dropout after each hidden layer, in [0, 1]. At 0 there is none.
    words : int
        How many indices there are: ``len`` of a `fastdrop.text.Vocabulary`.
    units : int, default 100
        Size of a word's vector.
    input_rate : float, optional
        Of the dropout of words, likewise; by default `rate`.

    Returns
    -------
    list of Layer
        For indices (N, T), 0 being padding.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range.

    References
    ----------
    Iyyer, Manjunatha, Boyd-Graber, Daumé, "Deep unordered composition rivals
    syntactic methods for text classification", ACL 2015.

    Examples
    --------
    >>> from fastdrop import models
    >>> [type(layer).__name__ for layer in models.text(2, words=5000)]
    ['EmbeddingDropout', 'GlobalAvgPool1D', 'Dense', 'ReLU', 'Dropout', 'Dense']
    """
    if input_rate is None:
        input_rate = rate
    layers: list[Layer] = [
        EmbeddingDropout(words, units, input_rate, padding=0)
        if input_rate
        else Embedding(words, units, padding=0),
        GlobalAvgPool1D(),
    ]
    for size in hidden:
        layers += [Dense(size), ReLU(), *_dropout(rate)]
    return [*layers, Dense(classes)]


def bigrams(
    classes: int,
    hidden: Sequence[int] = (),
    rate: float = 0.5,
    *,
    words: int,
    input_rate: float | None = None,
) -> list[Layer]:
    """Softmax regression on which words and pairs there are, with dropout of these.

    Parameters
    ----------
    classes : int
        As of `mlp`.
    hidden : sequence of int, default ()
        Units of hidden layers (ReLU) between the bag and the classes.
    rate : float, default 0.5
        Of the dropout of hidden units, in [0, 1]. At 0 there is none.
    words : int
        As of `text`.
    input_rate : float, optional
        Of the dropout of what is in the bag, likewise; by default `rate`.

    Returns
    -------
    list of Layer
        For indices (N, T), each of a row once, 0 being padding: those of
        ``Vocabulary(..., ngrams=(1, 2)).encode(..., unique=True)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range.

    Notes
    -----
    The sum of the embeddings is the product of the bag, a row of ones and many
    zeros, with a matrix of weights; and dropout of whole embeddings, sample by
    sample, is dropout of the bag's ones.

    References
    ----------
    Wang, Manning, "Fast dropout training", ICML 2013.

    Examples
    --------
    >>> from fastdrop import models
    >>> [type(layer).__name__ for layer in models.bigrams(2, words=5000)]
    ['Embedding', 'Dropout', 'GlobalSumPool1D']
    """
    first, *others = (*hidden, classes)
    init = "glorot_uniform" if hidden else "zeros"
    layers: list[Layer] = [
        Embedding(words, first, padding=0, init=init),
        *_dropout(rate if input_rate is None else input_rate, shared_axes=2),
        GlobalSumPool1D(),
    ]
    for size in others:
        layers += [ReLU(), *_dropout(rate), Dense(size)]
    return layers


def lstm(
    classes: int,
    hidden: Sequence[int] = (64,),
    rate: float = 0.5,
    *,
    words: int,
    units: int = 100,
    input_rate: float | None = None,
    per_step: bool = False,
) -> list[Layer]:
    """An LSTM that reads the words' vectors, with dropout of its inputs and its state.

    Parameters
    ----------
    classes : int
        As of `mlp`.
    hidden : sequence of int, default (64,)
        Units of each LSTM, at least one.
    rate : float, default 0.5
        Of the dropout of each LSTM's state, in [0, 1].
    words, units
        As of `text`.
    input_rate : float, optional
        Of the dropout of its inputs, likewise; by default `rate`.
    per_step : bool, default False
        Draw new masks at each step, and not one for all steps of a sequence.

    Returns
    -------
    list of Layer
        For indices (N, T), 0 being padding.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range.

    References
    ----------
    Gal, Ghahramani, "A theoretically grounded application of dropout in
    recurrent neural networks", NeurIPS 2016.

    Examples
    --------
    >>> from fastdrop import models
    >>> [type(layer).__name__ for layer in models.lstm(2, words=5000)]
    ['Embedding', 'LSTM', 'Dense']
    """
    from fastdrop.nn.cells import LSTM

    if not hidden:
        raise ValueError(f"lstm: hidden must hold the units of at least one layer, got {hidden!r}")
    layers: list[Layer] = [Embedding(words, units, padding=0)]
    for number, size in enumerate(hidden, 1):
        layers.append(
            LSTM(
                size,
                return_sequences=number < len(hidden),
                dropout=rate if input_rate is None else input_rate,
                recurrent_dropout=rate,
                per_step=per_step,
            )
        )
    return [*layers, Dense(classes)]


def _dropout(rate: float, shared_axes: int | tuple[int, ...] = ()) -> list[Layer]:
    """A dropout layer, or none where it would drop nothing."""
    layer = Dropout(rate, shared_axes)
    return [layer] if rate else []


MODELS: dict[str, Callable[..., list[Layer]]] = {
    "mlp": mlp,
    "cnn": cnn,
    "regularized": regularized,
}
# Those that read indices, and what `fastdrop.text.encoded` makes for each. Where
# words have vectors, one that occurs once is an unknown one: so that has a vector,
# too. In a bag, words that are unknown stay without weight.
TEXT_MODELS: dict[str, Callable[..., list[Layer]]] = {
    "text": text,
    "bigrams": bigrams,
    "lstm": lstm,
}
READS: dict[str, dict[str, Any]] = {
    "text": {"min_count": 2},
    "bigrams": {"ngrams": (1, 2), "unique": True},
    "lstm": {"min_count": 2},
}
# The argument that has the rate of each place where a model can have dropout.
RATES = {name: {"input": "input_rate", "hidden": "rate"} for name in MODELS | TEXT_MODELS}
RATES["cnn"] |= {"conv": "conv_rate"}
