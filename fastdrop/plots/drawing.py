"""Pictures by name, from what is on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdrop.data import load as load_data
from fastdrop.nn import Sequential
from fastdrop.nn.saving import load
from fastdrop.plots.arms import compare, family
from fastdrop.plots.curves import learning_curves
from fastdrop.plots.features import features
from fastdrop.plots.layers import image_shape, noisy, sample_shape
from fastdrop.plots.masks import masks
from fastdrop.plots.networks import activations, filters
from fastdrop.plots.sweeps import datasize, sweep, tune
from fastdrop.plots.uncertainty import uncertainty
from fastdrop.runs import Run, load_run
from fastdrop.setting import Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Samples that activations are averaged over.
BATCH = 1_000


@dataclass(frozen=True)
class Kind:
    """A picture: what it shows, what it needs, and what draws it.

    Attributes
    ----------
    about : str
    needs : {"nothing", "run", "network", "networks"}
        Networks are those of a run's arms, or that of a file.
    draw : callable
    options : tuple of str
        Which of the options of `draw` it heeds.
    """

    about: str
    needs: str
    draw: Callable[..., Figure]
    options: tuple[str, ...] = ()


_IMAGE = ("image", "data", "data_dir", "train_share")

KINDS = {
    "masks": Kind("every kind of noise on one image", "nothing", masks, ("rate", "seed", *_IMAGE)),
    "activations": Kind(
        "feature maps of a convolution, before and after dropout", "network", activations,
        ("arm", "seed", *_IMAGE),
    ),
    "filters": Kind("first-layer weights as images, side by side", "networks", filters, ("arm",)),
    "features": Kind(
        "how active hidden units are, and how sparse", "networks", features, ("arm", *_IMAGE[1:])
    ),
    "uncertainty": Kind(
        "Monte Carlo dropout on an image that is turned", "network", uncertainty,
        ("arm", "seed", *_IMAGE),
    ),
    "learning-curves": Kind("errors after each epoch", "run", learning_curves),
    "compare": Kind("errors and gap with and without dropout", "run", compare),
    "sweep": Kind("error by dropout rate", "run", sweep),
    "datasize": Kind("error by size of the training set", "run", datasize),
    "tune": Kind("error by number of units", "run", tune),
    "family": Kind("error by kind of dropout", "run", family),
}  # fmt: skip


def draw(
    kind: str,
    run: Run | str | os.PathLike[str] | None = None,
    *,
    arm: str | None = None,
    rate: float = 0.3,
    seed: int = 0,
    image: int = 0,
    data: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    train_share: float = 0.5,
) -> Figure:
    """The picture of that name, of a run or of a saved network.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    run : Run or path-like, optional
        A run, its folder, or, for pictures of networks, a file of one.
    arm : str, optional
        Which network of the run; by default all of them, or where there can be
        only one, the first that draws noise.
    rate : float, default 0.3
        Of the masks.
    seed : int, default 0
        Of the noise.
    image : int, default 0
        Which sample of the test set.
    data, data_dir, train_share
        As of `fastdrop.data.load`; by default the run's data, or digits.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If there is no picture of that name, or the run is not what it needs.
    OSError
        If the run or the data are not there or cannot be read.

    Examples
    --------
    >>> import fastdrop
    >>> figure = fastdrop.plots.draw("masks", rate=0.5)
    >>> fastdrop.plots.KINDS["filters"].needs
    'networks'
    """
    where = "draw"
    if kind not in KINDS:
        raise ValueError(f"{where}: kind must be one of {', '.join(KINDS)}, got {kind!r}")
    chosen = KINDS[kind]
    if kind == "masks":
        if data is None:
            return masks(None, rate, rng=seed)
        samples = load_data(data, data_dir, train_share).x_test
        return masks(_picture(samples, image, where), rate, rng=seed)
    if run is None:
        raise ValueError(f"{where}: {kind} needs a run, got none; {_HELP[chosen.needs]}")
    if chosen.needs == "run":
        return chosen.draw(run if isinstance(run, Run) else load_run(run))
    networks, settings = _networks(run, arm, where)
    if kind == "filters":
        return filters(networks)
    samples = _samples(settings, data, data_dir, train_share, where)
    takes = sample_shape(next(iter(networks.values())))
    if data is None and not settings and prod(takes) != prod(samples.shape[1:]):
        raise ValueError(
            f"{where}: data must be given, as the network takes samples of shape {takes} and those "
            f"of digits have shape {samples.shape[1:]}"
        )
    if kind == "features":
        return features(networks, samples[:BATCH])
    draws = [one for one in networks.values() if any(map(noisy, one.layers))]
    network = (draws or list(networks.values()))[0]
    return chosen.draw(network, _one(samples, image, where), rng=seed)


_HELP = {
    "run": "name the folder that an experiment wrote (its --out)",
    "network": "name the folder of a run that has networks, as `fastdrop compare` writes it, or "
    "a file of one (.safetensors)",
}
_HELP["networks"] = _HELP["network"]


def _networks(
    run: Run | str | os.PathLike[str], arm: str | None, where: str
) -> tuple[dict[str, Sequential], dict[str, Any]]:
    """Networks by arm, and the settings of their run."""
    if not isinstance(run, Run):
        path = Path(run)
        if path.is_file() and path.suffix != ".json":
            if arm is not None:
                raise ValueError(f"{where}: arm must be left out with one network, got {arm!r}")
            return {"": load(path)}, {}
        run = load_run(path)
    networks = {}
    for one in run.arms:
        try:
            networks[one.arm] = run.model(one.arm)
        except LookupError:
            continue
    if not networks:
        raise ValueError(
            f"{where}: the run, of kind {run.kind}, holds no networks; {_HELP['network']}"
        )
    if arm is None:
        return networks, run.settings
    if arm not in networks:
        raise ValueError(f"{where}: arm must be one of {', '.join(networks)}, got {arm!r}")
    return {arm: networks[arm]}, run.settings


def _samples(
    settings: dict[str, Any],
    data: str | os.PathLike[str] | None,
    data_dir: str | os.PathLike[str] | None,
    share: float,
    where: str,
) -> np.ndarray:
    """The test set, as the networks of the run take it."""
    if data is not None or not settings:
        return load_data("digits" if data is None else data, data_dir, share).x_test
    if settings["data"] == "arrays":
        raise ValueError(f"{where}: the run was of arrays, which it does not hold: give data")
    asked = {name: settings[name] for name in ("data", "data_dir", "train_share", "model")}
    if data_dir is not None:
        asked["data_dir"] = data_dir
    return Setting(where, **asked).data.x_test


def _one(samples: np.ndarray, image: int, where: str) -> np.ndarray:
    if not 0 <= image < len(samples):
        raise ValueError(f"{where}: image must be from 0 to {len(samples) - 1:,}, got {image}")
    return samples[image]


def _picture(samples: np.ndarray, image: int, where: str) -> np.ndarray:
    """A sample as an image from 0 to 1."""
    x = _one(samples, image, where)
    shape = image_shape(x.shape, "samples", where)
    low, high = x.min(), x.max()
    return ((x - low) / ((high - low) or 1)).reshape(shape)
