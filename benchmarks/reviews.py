"""Sentences of film reviews: dropout of words over ten folds, and of an LSTM's states.

Each arm of a comparison has the same seed, batches and epochs, and is asked
after the last one. The recipes were chosen on the first five folds.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, stdev
from time import perf_counter

from benchmarks import tables
from fastdrop import nn, plots
from fastdrop.data import Dataset
from fastdrop.models import READS, TEXT_MODELS, lstm
from fastdrop.reviews import FOLDS, reviews
from fastdrop.text import encoded


@dataclass(frozen=True)
class Recipe:
    """How a model is trained."""

    rate: float
    epochs: int
    batch: int
    optimizer: Callable[[int], nn.Optimizer]  # given the number of steps
    published: float | None = None  # accuracy with dropout, in percent


RECIPES = {
    # Wang, Manning, "Fast dropout training", ICML 2013: bigrams. Adam, whose steps
    # are as large for rare words as for frequent ones, gains less from dropout.
    "bigrams": Recipe(
        0.7, 30, 64, lambda steps: nn.SGD(nn.CosineDecay(0.05, steps), momentum=0.9), 79.0
    ),
    "text": Recipe(0.5, 8, 64, lambda steps: nn.Adam(nn.CosineDecay(2e-3, steps))),
}

# Gal, Ghahramani, NeurIPS 2016: masks that are drawn once for a sequence.
LSTM = Recipe(0.5, 12, 64, lambda steps: nn.Adam(1e-3))
LSTM_ARMS = {
    "no dropout": {"rate": 0.0},
    "new masks at each step": {"rate": LSTM.rate, "per_step": True},
    "one mask for all steps": {"rate": LSTM.rate},
}
COLOURS = ("#d55e00", "#009e73", "#0072b2")  # Okabe and Ito's


def review_rows(options: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Both models with dropout and without, fold by fold."""
    for fold in range(FOLDS):
        sentences = _sentences(options, fold)
        for model, recipe in RECIPES.items():
            if options.arm in (None, model):
                data, vocabulary = encoded(sentences, **READS[model])
                for seed in range(options.seeds or 1):
                    for rate in (0.0, recipe.rate):
                        layers = TEXT_MODELS[model](2, rate=rate, words=len(vocabulary))
                        name = f"fold {fold}, {model}, dropout {rate:g}"
                        row = _trained(layers, data, recipe, options.epochs, seed, name)
                        keep({"model": model, "rate": rate, "fold": fold, "seed": seed} | row)


def review_table(rows: list[dict]) -> str:
    """Means over folds and seeds, in Markdown."""
    header = ["model", "dropout", "accuracy", "deviation", "published", "epochs", "seconds a run"]
    body = []
    for model, rate in dict.fromkeys((row["model"], row["rate"]) for row in rows):
        runs = [row for row in rows if (row["model"], row["rate"]) == (model, rate)]
        accuracies = [run["accuracy"] for run in runs]
        published = RECIPES[model].published if rate else None
        body.append(
            [
                model,
                f"{rate:g}" if rate else "none",
                f"{mean(accuracies):.2%}",
                f"{stdev(accuracies):.2%}" if len(runs) > 1 else "",
                f"{published:.1f}%" if published else "",
                str(runs[0]["epochs"]),
                f"{mean(run['seconds'] for run in runs):.1f}",
            ]
        )
    return tables.markdown((header, body))


def lstm_rows(options: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """The same LSTM with three kinds of masks, on the first fold."""
    data, vocabulary = encoded(_sentences(options, 0), **READS["lstm"])
    rows: list[dict] = []
    for seed in range(options.seeds or 1):
        for arm, settings in LSTM_ARMS.items():
            if options.arm in (None, arm):
                layers = lstm(2, words=len(vocabulary), **settings)
                row = _trained(layers, data, LSTM, options.epochs, seed, arm)
                rows.append({"arm": arm, "seed": seed} | row)
                keep(rows[-1])
                plots.save(_figure(rows), options.figure or "lstm-validation-loss.png")


def lstm_table(rows: list[dict]) -> str:
    """When the validation loss is lowest, and what it is then and at the end."""
    header = ["masks", "seed", "lowest loss", "in epoch", "last loss", "epochs", "accuracy"]
    body = []
    for row in rows:
        losses = row["val_loss"]
        lowest = min(losses)
        body.append(
            [
                row["arm"],
                str(row["seed"]),
                f"{lowest:.3f}",
                str(losses.index(lowest) + 1),
                f"{losses[-1]:.3f}",
                str(row["epochs"]),
                f"{row['accuracy']:.2%}",
            ]
        )
    return tables.markdown((header, body))


def _sentences(options: argparse.Namespace, fold: int) -> Dataset:
    if not options.data_dir and not os.environ.get("FASTDROP_DATA"):
        raise FileNotFoundError(
            "rt-polarity.pos and rt-polarity.neg are needed: name their folder with --data-dir or "
            "FASTDROP_DATA"
        )
    return reviews(options.data_dir, fold)


def _trained(
    layers: list[nn.Layer],
    data: Dataset,
    recipe: Recipe,
    epochs: int | None,
    seed: int,
    name: str,
) -> dict:
    """Train one network; its figures."""
    epochs = epochs or recipe.epochs
    steps = epochs * -(-len(data.x_train) // recipe.batch)
    model = nn.Sequential(layers, optimizer=recipe.optimizer(steps), rng=seed)
    started = perf_counter()
    history = model.fit(
        data.x_train,
        data.y_train,
        epochs=epochs,
        batch_size=recipe.batch,
        validation_data=(data.x_test, data.y_test),
        verbose=False,
        callbacks=[nn.ProgressBar(name)],
    ).history
    return {
        "accuracy": history["val_accuracy"][-1],
        "loss": history["loss"],
        "val_loss": history["val_loss"],
        "val_accuracy": history["val_accuracy"],
        "epochs": epochs,
        "seconds": perf_counter() - started,
    }


def _figure(rows: list[dict]):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    colours = dict(zip(LSTM_ARMS, COLOURS, strict=True))
    for row in rows:
        losses, colour = row["val_loss"], colours[row["arm"]]
        label = row["arm"] if row["seed"] == 0 else None
        axes.plot(range(1, len(losses) + 1), losses, color=colour, label=label)
        lowest = min(losses)
        axes.plot(losses.index(lowest) + 1, lowest, "o", color=colour)
    # Far above a coin's loss, how far does not matter.
    axes.set_ylim(0.45, 1.5)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation loss (lowest: dot)")
    axes.set_title(f"LSTM on film reviews, dropout {LSTM.rate:g}")
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    return figure
