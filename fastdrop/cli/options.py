"""Options that several commands have, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import fastdrop


class Sizes(click.ParamType):
    """Layer sizes with commas between them."""

    name = "sizes"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        words = value.split(",")
        if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
            self.fail(f"{value!r} is not a list of sizes like 512,512", param, ctx)
        return tuple(map(int, words))


def options(*names: str) -> Callable[[Any], Any]:
    """A decorator that gives a command these options, in this order."""

    def decorate(command: Any) -> Any:
        for name in reversed(names):
            command = _OPTIONS[name](command)
        return command

    return decorate


# What a network is trained on, what it is, and how it is trained: the arguments of
# `fastdrop.experiments.train`.
DATA = ("data", "data-dir", "train-share")
NETWORK = ("model", "rate", "hidden")
TRAINING = ("epochs", "batch-size", "optimizer", "learning-rate")
MACHINE = ("backend", "threads")

_OPTIONS = {
    "data": click.option(
        "--data",
        default="digits",
        metavar="digits|mnist|fashion_mnist|reviews|PATH",
        help="Images or sentences that have a name, or one's own data: an .npz file, or a folder "
        "of .npy files, with the arrays x_train, y_train, x_test and y_test, or x and y.",
    ),
    "data-dir": click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        show_default="what FASTDROP_DATA says",
        help="Folder of the four files of mnist or fashion_mnist (train-images-idx3-ubyte.gz, "
        "...), or of rt-polarity.pos and rt-polarity.neg, or one with a folder mnist, fashion_mnist or "
        "rt-polarity in it. Without it, reviews are 200 sentences that come with fastdrop.",
    ),
    "train-share": click.option(
        "--train-share",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.5,
        help="Share of x and y, and of the digits, to train on; the rest is for the test.",
    ),
    "model": click.option(
        "--model",
        type=click.Choice(["mlp", "cnn", "regularized", "text", "bigrams", "lstm"]),
        show_default="text for reviews, else mlp",
        help="What is trained: see above.",
    ),
    "rate": click.option(
        "--rate",
        type=click.FloatRange(0, 1),
        default=0.5,
        help="Probability of dropping a hidden unit, or in models of text a word; in the cnn, "
        "pixels of feature maps are dropped with half of it.",
    ),
    "hidden": click.option(
        "--hidden",
        type=Sizes(),
        show_default="128 for cnn, 100 for text, none for bigrams, 64 for lstm, else 512,512",
        help="Units of each hidden layer, with commas between them.",
    ),
    "epochs": click.option(
        "--epochs",
        type=click.IntRange(min=1),
        show_default="60; 10 from 10,000 samples or 1,000 sentences on",
        help="Passes over the training samples.",
    ),
    "batch-size": click.option(
        "--batch-size",
        type=click.IntRange(min=1),
        show_default="32; 128 from 10,000 samples on",
        help="Samples for each step of training.",
    ),
    "optimizer": click.option(
        "--optimizer",
        type=click.Choice(["sgd", "adam", "adamw", "rmsprop"]),
        show_default="sgd for mlp on digits, else adam",
        help="The rule of a step; sgd has momentum 0.9.",
    ),
    "learning-rate": click.option(
        "--learning-rate",
        type=click.FloatRange(min=0),
        show_default="0.02 for sgd, else 0.001",
        help="How far a step goes.",
    ),
    "seed": click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        help="Reproduces everything: first weights, order, masks.",
    ),
    "backend": click.option(
        "--backend",
        type=click.Choice(["cython", "numba", "reference"]),
        show_default="the fastest that is installed",
        help="What computes the masks; they are the same with each.",
    ),
    "threads": click.option(
        "--threads",
        type=click.IntRange(min=1),
        show_default="all that the process may use",
        help="The most threads that compute.",
    ),
    "quiet": click.option("--quiet", is_flag=True, help="Show no progress bars."),
}


def set_machine(backend: str | None, threads: int | None) -> None:
    """Choose what computes, before anything is trained; the environment is read, too.

    Raises
    ------
    ValueError, ImportError
        If a choice, or a variable of the environment, is bad or not here.
    """
    if backend is not None:
        fastdrop.set_backend(backend)
    if threads is not None:
        fastdrop.set_num_threads(threads)
    fastdrop.get_backend(), fastdrop.get_num_threads()
