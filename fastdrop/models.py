"""Networks to choose by name: lists of layers for `fastdrop.nn.Sequential`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastdrop.nn import BatchNorm, Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D, ReLU


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
    layers: list[Layer] = []
    for count in filters:
        layers += [Conv2D(count, 3, padding=padding), ReLU(), MaxPool2D(), *_dropout(conv_rate)]
    return layers + dense


def regularized(
    classes: int,
    hidden: Sequence[int] = (512, 512),
    rate: float = 0.5,
    *,
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
    layers: list[Layer] = [Flatten()]
    for number, units in enumerate(hidden, 1):
        layers += [Dense(units, l1=l1, l2=l2), BatchNorm(), ReLU()]
        if number == len(hidden):
            layers += _dropout(rate)
        elif everywhere:
            layers += _dropout(earlier_rate)
    return [*layers, Dense(classes, l1=l1, l2=l2)]


def _dropout(rate: float) -> list[Layer]:
    """A dropout layer, or none where it would drop nothing."""
    layer = Dropout(rate)
    return [layer] if rate else []


MODELS: dict[str, Callable[..., list[Layer]]] = {
    "mlp": mlp,
    "cnn": cnn,
    "regularized": regularized,
}
