"""Networks for NumPy arrays: layers that remember what backward needs.

Backward passes are written by hand. Masks are recipes, so a `Dropout` layer
remembers a few integers between forward and backward.
"""

from fastdrop.nn.activations import ReLU
from fastdrop.nn.callbacks import Callback, History, ProgressBar
from fastdrop.nn.dense import Dense
from fastdrop.nn.layer import Layer
from fastdrop.nn.losses import SoftmaxCrossEntropy
from fastdrop.nn.noise import Dropout
from fastdrop.nn.optimizers import SGD, Adam
from fastdrop.nn.sequential import Sequential

__all__ = [
    "SGD",
    "Adam",
    "Callback",
    "Dense",
    "Dropout",
    "History",
    "Layer",
    "ProgressBar",
    "ReLU",
    "Sequential",
    "SoftmaxCrossEntropy",
]
