"""Networks for NumPy arrays: layers that remember what backward needs.

Backward passes are written by hand. Masks are recipes, so a `Dropout` layer
remembers a few integers between forward and backward.
"""

from fastdrop.nn.activations import SELU, LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from fastdrop.nn.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    History,
    LearningRateScheduler,
    ProgressBar,
    ReduceOnPlateau,
)
from fastdrop.nn.conv import Conv2D
from fastdrop.nn.dense import Dense
from fastdrop.nn.layer import Layer
from fastdrop.nn.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from fastdrop.nn.noise import (
    Dropout,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
    TemporalDropout,
)
from fastdrop.nn.normalization import BatchNorm
from fastdrop.nn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from fastdrop.nn.pooling import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from fastdrop.nn.reshape import Flatten
from fastdrop.nn.saving import CheckpointError
from fastdrop.nn.schedules import CosineDecay, ExponentialDecay, LinearDecay, PiecewiseConstant
from fastdrop.nn.sequential import Sequential

__all__ = [
    "SELU",
    "SGD",
    "Adam",
    "AdamW",
    "AvgPool2D",
    "BatchNorm",
    "BinaryCrossEntropy",
    "Callback",
    "Checkpoint",
    "CheckpointError",
    "Conv2D",
    "CosineDecay",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "ExponentialDecay",
    "Flatten",
    "GlobalAvgPool2D",
    "History",
    "Layer",
    "LeakyReLU",
    "LearningRateScheduler",
    "LinearDecay",
    "Loss",
    "MaxPool2D",
    "MeanSquaredError",
    "Optimizer",
    "PiecewiseConstant",
    "ProgressBar",
    "RMSprop",
    "ReLU",
    "ReduceOnPlateau",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "SoftmaxCrossEntropy",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Tanh",
    "TemporalDropout",
]
