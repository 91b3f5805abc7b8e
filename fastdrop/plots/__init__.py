"""What is looked at: figures of results, and where they are saved.

Each function draws on a figure of its own, or where it is told, and returns the
figure. None of them belongs to a window: pyplot and its backend are not touched.
"""

from fastdrop.plots.arms import compare, family, picture
from fastdrop.plots.curves import learning_curves
from fastdrop.plots.drawing import KINDS, draw
from fastdrop.plots.features import features
from fastdrop.plots.files import destination, save
from fastdrop.plots.masks import masks
from fastdrop.plots.networks import activations, filters
from fastdrop.plots.style import COLOURS
from fastdrop.plots.sweeps import datasize, sweep, tune
from fastdrop.plots.uncertainty import uncertainty

__all__ = [
    "COLOURS",
    "KINDS",
    "activations",
    "compare",
    "datasize",
    "destination",
    "draw",
    "family",
    "features",
    "filters",
    "learning_curves",
    "masks",
    "picture",
    "save",
    "sweep",
    "tune",
    "uncertainty",
]
