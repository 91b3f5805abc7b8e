"""Networks for NumPy arrays: layers that remember what backward needs.

Backward passes are written by hand. Masks are recipes, so a `Dropout` layer
remembers a few integers between forward and backward.
"""

from fastdrop.nn.activations import SELU, LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from fastdrop.nn.adaptive import AdaptiveDropout
from fastdrop.nn.alpha import AlphaDropout, FeatureAlphaDropout
from fastdrop.nn.bidirectional import Bidirectional
from fastdrop.nn.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    History,
    LearningRateScheduler,
    ProgressBar,
    RateScheduler,
    ReduceOnPlateau,
)
from fastdrop.nn.cells import GRU, LSTM, SimpleRNN
from fastdrop.nn.concrete import ConcreteDropout
from fastdrop.nn.conv import Conv2D
from fastdrop.nn.dense import Dense
from fastdrop.nn.dropblock import DropBlock2D
from fastdrop.nn.dropconnect import DropConnect
from fastdrop.nn.embedding import Embedding, EmbeddingDropout
from fastdrop.nn.gaussian import GaussianDropout, GaussianNoise, VariationalDropout
from fastdrop.nn.layer import Layer
from fastdrop.nn.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from fastdrop.nn.noise import CurriculumDropout, Dropout
from fastdrop.nn.normalization import BatchNorm
from fastdrop.nn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from fastdrop.nn.pooling import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from fastdrop.nn.reshape import Flatten
from fastdrop.nn.residual import Residual
from fastdrop.nn.saving import CheckpointError
from fastdrop.nn.schedules import (
    CosineDecay,
    Curriculum,
    ExponentialDecay,
    LinearDecay,
    PiecewiseConstant,
)
from fastdrop.nn.sequence_pooling import GlobalAvgPool1D, GlobalSumPool1D
from fastdrop.nn.sequential import Sequential
from fastdrop.nn.spatial import (
    DropPath,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
    TemporalDropout,
)
from fastdrop.nn.standout import Standout
from fastdrop.nn.uncertainty import MonteCarlo
from fastdrop.nn.zoneout import Zoneout

__all__ = [
    "GRU",
    "LSTM",
    "SELU",
    "SGD",
    "Adam",
    "AdamW",
    "AdaptiveDropout",
    "AlphaDropout",
    "AvgPool2D",
    "BatchNorm",
    "Bidirectional",
    "BinaryCrossEntropy",
    "Callback",
    "Checkpoint",
    "CheckpointError",
    "ConcreteDropout",
    "Conv2D",
    "CosineDecay",
    "Curriculum",
    "CurriculumDropout",
    "Dense",
    "DropBlock2D",
    "DropConnect",
    "DropPath",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "EmbeddingDropout",
    "ExponentialDecay",
    "FeatureAlphaDropout",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalSumPool1D",
    "History",
    "Layer",
    "LeakyReLU",
    "LearningRateScheduler",
    "LinearDecay",
    "Loss",
    "MaxPool2D",
    "MeanSquaredError",
    "MonteCarlo",
    "Optimizer",
    "PiecewiseConstant",
    "ProgressBar",
    "RMSprop",
    "RateScheduler",
    "ReLU",
    "ReduceOnPlateau",
    "Residual",
    "Sequential",
    "Sigmoid",
    "SimpleRNN",
    "Softmax",
    "SoftmaxCrossEntropy",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Standout",
    "Tanh",
    "TemporalDropout",
    "VariationalDropout",
    "Zoneout",
]
