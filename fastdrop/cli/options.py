"""Options that several commands have, once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import fastdrop


class Numbers(click.ParamType):
    """Several numbers for one option, with commas or spaces between them."""

    name = "numbers"
    example = "0 .2 .5"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.number(word) for word in value.replace(",", " ").split())
        except ValueError:
            self.fail(f"{value!r} is not a list of {self.name} like {self.example}", param, ctx)

    def number(self, word: str) -> Any:
        return float(word)


class Rates(Numbers):
    """Probabilities."""

    name = "rates in [0, 1]"

    def number(self, word: str) -> float:
        rate = float(word)
        if not 0 <= rate <= 1:  # written so that NaN fails
            raise ValueError
        return rate


class Sizes(Numbers):
    """Whole numbers above 0."""

    name, example = "sizes", "512,512"

    def number(self, word: str) -> int:
        if not word.isdecimal() or int(word) < 1:
            raise ValueError
        return int(word)


class Several(click.Command):
    """A command whose options of `Numbers` take all the words that follow them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        lists = {
            name for param in self.params if isinstance(param.type, Numbers) for name in param.opts
        }
        joined: list[str] = []
        gathers = awaits = False  # the last word takes more; the last word wants one
        for word in args:
            name, _, value = word.partition("=")
            if re.match(r"--?[a-zA-Z]", word):
                joined.append(word)
                gathers = name in lists and bool(value)
                awaits = name in lists and not value
            elif gathers:
                joined[-1] += f" {word}"
            else:
                joined.append(word)
                gathers, awaits = awaits, False
        return super().parse_args(ctx, joined)


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
# How an experiment is repeated, and what becomes of it.
REPEATED = ("seeds", "seed", "jobs")
SHOWN = ("run-out", "json", "quiet")

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
        "...), or of rt-polarity.pos and rt-polarity.neg, or one with a folder mnist, "
        "fashion_mnist or rt-polarity in it. Without it, reviews are 200 sentences that come "
        "with fastdrop.",
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
    "input-rate": click.option(
        "--input-rate",
        type=click.FloatRange(0, 1),
        default=0.0,
        help="Probability of dropping an input, where there is dropout.",
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
    "seeds": click.option(
        "--seeds",
        type=click.IntRange(min=1),
        default=3,
        help="How many runs each arm has; their seeds are --seed, the next one, and so on.",
    ),
    "jobs": click.option(
        "--jobs",
        type=click.IntRange(min=1),
        show_default="as many as threads",
        help="Processes that train at once; the numbers are the same with any.",
    ),
    "run-out": click.option(
        "--out",
        type=click.Path(path_type=Path),
        show_default="runs/COMMAND",
        help="Folder for run.json, table.csv and the picture; a run that is in it is replaced.",
    ),
    "json": click.option(
        "--json", "as_json", is_flag=True, help="Print the run as JSON, and nothing else."
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
