"""Dropout for PyTorch on a CPU: its own modules and functions, with fastdrop's masks.

`replace_dropout` puts them into a finished model, in place; `Dropout` and its
kin and `fastdrop.torch.functional` are PyTorch's of the same names, and take
`rng` besides. Backward draws the mask again, so that autograd keeps a recipe
of a few integers and nothing for each element. `Linear` leaves out the zeros that
dropout makes.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'fastdrop.torch: PyTorch is not installed: `pip install "fastdrop[torch]"`'
    ) from error

from fastdrop.torch import functional
from fastdrop.torch.linear import Linear
from fastdrop.torch.modules import (
    AlphaDropout,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    FeatureAlphaDropout,
)
from fastdrop.torch.replace import replace_dropout, restore_dropout

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
    "Linear",
    "functional",
    "replace_dropout",
    "restore_dropout",
]
