"""Questions that people bring to dropout, each answered by training runs.

`train` is one run; `compare` asks whether dropout helps, `sweep` at what rate and
where, `datasize` with how many samples, `tune` how large the network should be, and
`family` which kind of noise.
"""

from fastdrop.experiments.comparing import compare
from fastdrop.experiments.experiment import Stopped
from fastdrop.experiments.families import family
from fastdrop.experiments.sizes import datasize
from fastdrop.experiments.sweeping import sweep
from fastdrop.experiments.training import Comparison, Interrupted, Training, train
from fastdrop.experiments.tuning import tune

__all__ = [
    "Comparison",
    "Interrupted",
    "Stopped",
    "Training",
    "compare",
    "datasize",
    "family",
    "sweep",
    "train",
    "tune",
]
