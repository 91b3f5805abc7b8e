"""Dropout for NumPy arrays at the speed of a memory copy.

A mask is a recipe, not an array: a few integers from which every backend,
thread and process computes the same bits. `dropout` and its kin work on plain
arrays, `Mask` and `MaskStream` are the recipes, `fastdrop.nn` trains networks.
"""

from importlib import import_module
from typing import Any

from fastdrop.additive import gaussian_noise
from fastdrop.alpha import AlphaMask
from fastdrop.blocks import BlockMask, drop_block
from fastdrop.concrete import ConcreteMask, concrete_dropout
from fastdrop.functional import (
    alpha_dropout,
    drop_path,
    dropout,
    feature_alpha_dropout,
    gaussian_dropout,
    spatial_dropout,
    temporal_dropout,
)
from fastdrop.gaussian import GaussianMask
from fastdrop.kernels import backends, get_backend, set_backend, use_backend
from fastdrop.mask import Mask, MaskStream
from fastdrop.standard import StandardMask
from fastdrop.threads import get_num_threads, set_num_threads
from fastdrop.zoneout import zoneout

__all__ = [
    "AlphaMask",
    "BlockMask",
    "ConcreteMask",
    "GaussianMask",
    "Mask",
    "MaskStream",
    "StandardMask",
    "alpha_dropout",
    "backends",
    "concrete_dropout",
    "drop_block",
    "drop_path",
    "dropout",
    "feature_alpha_dropout",
    "gaussian_dropout",
    "gaussian_noise",
    "get_backend",
    "get_num_threads",
    "load",
    "load_run",
    "nn",
    "set_backend",
    "set_num_threads",
    "spatial_dropout",
    "temporal_dropout",
    "use_backend",
    "zoneout",
]

# Rooms that cost time to enter are entered on first use.
_ROOMS = (
    *("nn", "data", "inputs", "models", "estimators", "experiments", "runs", "plots", "report"),
    *("prediction", "bench", "info", "text", "theory", "distributed"),
)
# Not in `__all__`: a star would import scikit-learn.
_ESTIMATORS = ("MLPClassifier", "MLPRegressor")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"fastdrop.{name}")
    if name in _ESTIMATORS:
        return getattr(import_module("fastdrop.estimators"), name)
    if name == "load":
        return import_module("fastdrop.nn.saving").load
    if name == "load_run":
        return import_module("fastdrop.runs").load_run
    if name == "__version__":
        return import_module("importlib.metadata").version("fastdrop")
    raise AttributeError(f"module 'fastdrop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS, *_ESTIMATORS, "load", "load_run", "__version__"])
