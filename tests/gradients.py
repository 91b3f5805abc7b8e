"""Gradients measured by central differences."""

import numpy as np

# Largest error in float64, as a share of the gradient's norm.
GRADIENT = 1e-6


def difference(function, array, step=1e-5):
    """Gradient of a function of no arguments by an array that it reads."""
    gradient = np.full_like(array, np.nan)
    for place in np.ndindex(array.shape):
        value = array[place]
        array[place] = value + step
        above = function()
        array[place] = value - step
        gradient[place] = (above - function()) / (2 * step)
        array[place] = value
    return gradient


def assert_gradient(computed, function, array):
    """That it is the gradient of the function by the array, which is not 0 everywhere."""
    measured = difference(function, array)
    assert computed.dtype == array.dtype == np.float64
    assert computed.shape == array.shape
    assert np.linalg.norm(measured) > 0
    assert np.linalg.norm(computed - measured) <= GRADIENT * np.linalg.norm(measured)


def assert_parameter_gradients(computed, function, layers):
    """The same for all parameters, given what `copies` made of their gradients."""
    for grads, layer in zip(computed, layers, strict=True):
        assert grads.keys() == layer.params.keys()
        for name, param in layer.params.items():
            assert_gradient(grads[name], function, param)


def copies(layers, kind="grads"):
    """What the layers' dicts of arrays hold now."""
    return [
        {name: array.copy() for name, array in getattr(layer, kind).items()} for layer in layers
    ]
