"""What the other kinds of noise cost, beside plain dropout of the same shape."""

from __future__ import annotations

from timeit import Timer

import numpy as np

import fastdrop
from benchmarks import fresh, goals
from benchmarks.measure import compare, middle, ratio
from benchmarks.tables import Table, figure, goal
from fastdrop import nn

TITLE = "The dropout family: layers of 2^20 float32 elements, forward and backward"

ROWS, SEQUENCES, IMAGES = (1024, 1024), (64, 64, 256), (64, 16, 16, 64)
WORDS = 20_000

# Only the recipe differs from dropout: these have a goal.
SAME = {
    "SpatialDropout2D": (IMAGES, lambda: [nn.SpatialDropout2D(0.5, rng=0)]),
    "TemporalDropout": (SEQUENCES, lambda: [nn.TemporalDropout(0.5, rng=0)]),
    "CurriculumDropout": (ROWS, lambda: [nn.CurriculumDropout(0.5, gamma=1.0, rng=0)]),
    "AlphaDropout": (ROWS, lambda: [nn.AlphaDropout(0.5, rng=0)]),
    "FeatureAlphaDropout": (IMAGES, lambda: [nn.FeatureAlphaDropout(0.5, rng=0)]),
    "AdaptiveDropout": (ROWS, lambda: [nn.AdaptiveDropout(0.5, rng=0)]),
    "DropPath": (IMAGES, lambda: [nn.DropPath(0.5, rng=0)]),
    "EmbeddingDropout": (SEQUENCES, lambda: [nn.EmbeddingDropout(WORDS, 256, 0.5, rng=0)]),
}
OTHERS = {
    "GaussianDropout": (ROWS, lambda: [nn.GaussianDropout(0.5, rng=0)]),
    "GaussianNoise": (ROWS, lambda: [nn.GaussianNoise(0.5, rng=0)]),
    "VariationalDropout": (ROWS, lambda: [nn.VariationalDropout(0.5, rng=0)]),
    "DropBlock2D": (IMAGES, lambda: [nn.DropBlock2D(0.1, 5, rng=0)]),
    "Zoneout": (SEQUENCES, lambda: [nn.Zoneout(0.5, rng=0)]),
}
IDIOM = "x * rng.normal(1, 1, x.shape)"


def measure(quick: bool, threads: int | None) -> list[dict]:
    return fresh.call(family, quick=quick, threads=threads)


def family(quick: bool, threads: int | None) -> list[dict]:
    """Rows of this process."""
    if threads is not None:
        fastdrop.set_num_threads(threads)
    rows = []
    for name, (shape, make) in (SAME | OTHERS).items():
        plain = [nn.Dropout(0.5, rng=0)]
        if name == "EmbeddingDropout":
            plain.insert(0, nn.Embedding(WORDS, 256, rng=0))
        shape = tuple(min(size, 16) for size in shape) if quick else shape
        timers = {"layer": _steps(make(), shape), "plain": _steps(plain, shape)}
        times = compare(timers, quick=quick)
        asked = goals.kind_of_noise(name) if name in SAME else {}
        rows.append(_row(name, " + ".join(type(layer).__name__ for layer in plain), times, asked))
    x = np.ones(64 if quick else 2**20, np.float32)
    names = {"x": x, "rng": np.random.default_rng(0), "f": fastdrop, "s": fastdrop.MaskStream(0)}
    timers = {
        "layer": Timer(IDIOM, globals=names),
        "plain": Timer("f.gaussian_dropout(x, 0.5, rng=s)", globals=names),
    }
    times = compare(timers, quick=quick)
    return [*rows, _row(f"`{IDIOM}`", "gaussian_dropout", times, goals.gaussian())]


def _steps(layers: list[nn.Layer], shape: tuple[int, ...]) -> Timer:
    """Forward and backward as in training, where arrays are used again."""
    rng = np.random.default_rng(0)
    x = dy = rng.standard_normal(shape, np.float32)
    if layers[0].takes_indices:
        x, dy = rng.integers(1, WORDS, shape[:2]), np.ones((*shape[:2], 256), np.float32)
    for layer in layers:
        layer.reuses = True

    def step() -> None:
        y, dx = x, dy
        for layer in layers:
            y = layer.forward(y, True)
        for layer in reversed(layers):
            dx = layer.backward(dx)

    return Timer(step)


def _row(name: str, over: str, times: dict[str, list[float]], asked: dict) -> dict:
    return {
        "layer": name,
        "over": over,
        "milliseconds": middle(times["layer"]) * 1e3,
        "over_milliseconds": middle(times["plain"]) * 1e3,
        "figure": ratio(times["layer"], times["plain"]),
        **asked,
    }


def tables(rows: list[dict]) -> list[Table]:
    header = ["what", "ms", "over", "ms", "ratio", "goal"]
    body = [
        [
            row["layer"],
            f"{row['milliseconds']:.2f}",
            row["over"],
            f"{row['over_milliseconds']:.2f}",
            figure(row),
            goal(row),
        ]
        for row in rows
    ]
    return [(header, body)]
