"""Pictures of runs show the figures that are in their rows."""

import numpy as np
import pytest
from made_runs import COMPARED, SIZES, figures, made

from fastdrop import plots


def bars(ax):
    """x, y and the half lengths of error bars, by label; those along x where there are such."""
    found = {}
    for drawn in ax.containers:
        line, _, (segments,) = drawn.lines
        x, y = (np.asarray(values, float) for values in line.get_data())
        ends = np.array(segments.get_segments())
        half = (ends[:, 1] - ends[:, 0])[:, 1 if drawn.has_yerr else 0] / 2
        found[drawn.get_label()] = x, y, half
    return found


def test_learning_curves_of_several_seeds_are_means_with_bands():
    run = made("compare", COMPARED)
    ax = plots.learning_curves(run).axes[0]
    lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    bands = {band.get_facecolor().tobytes(): band for band in ax.collections}
    assert len(lines) == 4
    assert len(ax.collections) == 4
    for what in ("test", "train"):
        for arm, *_ in COMPARED:
            middle, spread = figures(run, arm, f"{what}_errors")
            drawn = lines[f"{what}{'ing' * (what == 'train')}, {arm}"]
            np.testing.assert_allclose(drawn, middle)
            assert any(
                np.allclose(
                    np.unique(band.get_paths()[0].vertices[:, 1]).max(), max(middle + spread)
                )
                for band in ax.collections
            )
    assert len(bands) == 2
    assert ax.get_title() == (
        "Network: 64-8-10 units, dropout 0.5, 3 seeds: mean and standard deviation"
    )
    final = {text.get_text() for text in ax.texts}
    assert final == {
        f"{figures(run, arm, 'test_errors')[0][-1]:.2f} %"
        for arm in ("with dropout", COMPARED[0][0])
    }


def test_learning_curves_of_many_arms_tell_them_apart():
    arms = [(f"hidden {rate:g}", rate, 0.01, 0.02 + rate) for rate in np.linspace(0, 0.9, 10)]
    ax = plots.learning_curves(made("sweep", arms)).axes[0]
    assert ax.get_ylabel() == "test error (%)"
    looks = {(line.get_color(), line.get_linestyle()) for line in ax.get_lines()}
    assert len(looks) == len(ax.get_lines()) == 10
    labels = [
        line.get_label() for line in plots.learning_curves(made("datasize", SIZES)).axes[0].lines
    ]
    assert sorted(labels) == sorted(f"{arm}, {size:,}" for arm, size, *_ in SIZES)


@pytest.mark.parametrize("seeds", [1, 3])
def test_sweep_has_means_and_error_bars(seeds):
    rates = (0.5, 0.0, 0.2)
    run = made("sweep", [(f"hidden {rate:g}", rate, 0.01, 0.02) for rate in rates], seeds=seeds)
    ax = plots.sweep(run).axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("dropout rate", "error (%)")
    assert ax.get_title().startswith("Error by rate of dropout of hidden units\nNetwork: 64-8-10")
    assert ("3 seeds: mean and standard deviation" in ax.get_title()) == (seeds == 3)
    drawn = bars(ax)
    assert set(drawn) == {"test", "training"}
    for label, name in (("test", "test_error"), ("training", "train_error")):
        expected = [figures(run, f"hidden {rate:g}", name) for rate in sorted(rates)]
        x, y, half = drawn[label]
        assert x.tolist() == sorted(rates)
        np.testing.assert_allclose(y, [middle for middle, _ in expected])
        np.testing.assert_allclose(half, [spread for _, spread in expected], atol=1e-12)


def test_a_sweep_says_where_dropout_was():
    run = made("sweep", [("conv 0.1", 0.1, 0.01, 0.02)])
    for row in run.rows:
        row |= {"where": "conv", "fixed_active": True}
    title = plots.sweep(run).axes[0].get_title()
    assert title.startswith("Error by rate of dropout behind the pools, as many active as without")


def test_datasize_has_errors_and_the_gain_seed_by_seed():
    run = made("datasize", SIZES)
    top, bottom = plots.datasize(run).axes
    drawn, sizes = bars(top), [20, 100, 1000]
    for arm in ("without dropout", "with dropout"):
        x, y, half = drawn[f"test, {arm}"]
        expected = [figures(run, arm, "test_error", size) for size in sizes]
        assert x.tolist() == sizes
        np.testing.assert_allclose(y, [middle for middle, _ in expected])
        np.testing.assert_allclose(half, [spread for _, spread in expected])
    gains = np.array(
        [
            [
                100 * (without["test_error"] - dropped["test_error"])
                for without, dropped in zip(run.rows[::2], run.rows[1::2], strict=True)
                if without["x"] == dropped["x"] == size
            ]
            for size in sizes
        ]
    )
    ((x, y, half),) = bars(bottom).values()
    assert x.tolist() == sizes
    np.testing.assert_allclose(y, gains.mean(axis=1))
    np.testing.assert_allclose(half, gains.std(axis=1, ddof=1))
    assert bottom.get_xscale() == "log"
    assert [tick.get_text() for tick in bottom.get_xticklabels()] == ["20", "100", "1,000"]
    assert bottom.get_ylabel() == "gain by dropout (points)"


def test_tune_has_sizes_without_and_the_last_with_dropout():
    arms = [("without dropout", units, 0.01, 0.1) for units in (16, 32)]
    run = made("tune", [*arms, ("with dropout 0.5", 32, 0.01, 0.05)])
    ax = plots.tune(run).axes[0]
    drawn = bars(ax)
    assert drawn["test, without dropout"][0].tolist() == [16, 32]
    x, y, _ = drawn["test, with dropout 0.5"]
    assert 32 < x[0] < 36
    np.testing.assert_allclose(y, [figures(run, "with dropout 0.5", "test_error")[0]])
    assert ax.get_xlabel() == "units of a hidden layer (logarithmic)"
    assert "Model: mlp" in ax.get_title()


def test_family_is_sorted_and_marks_no_noise():
    names = ("without noise", "Dropout", "DropConnect", "GaussianDropout")
    arms = [
        (name, None, 0.01, test) for name, test in zip(names, (0.4, 0.9, 0.2, 0.1), strict=True)
    ]
    run = made("family", arms)
    ax = plots.family(run).axes[0]
    order = sorted(names, key=lambda name: figures(run, name, "test_error")[0])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == order
    x, y, half = bars(ax)["test"]
    np.testing.assert_allclose(x, [figures(run, name, "test_error")[0] for name in order])
    np.testing.assert_allclose(half, [figures(run, name, "test_error")[1] for name in order])
    assert y.tolist() == [0, 1, 2, 3]
    assert ax.yaxis_inverted()
    (line,) = [line for line in ax.get_lines() if line.get_label() == "test, without noise"]
    np.testing.assert_allclose(line.get_xdata(), figures(run, "without noise", "test_error")[0])


def test_compare_shows_the_gap():
    run = made("compare", COMPARED)
    ax = plots.compare(run).axes[0]
    drawn = bars(ax)
    for label, name in (("test", "test_error"), ("training", "train_error")):
        np.testing.assert_allclose(
            drawn[label][0], [figures(run, arm, name)[0] for arm, *_ in COMPARED]
        )
    gaps = [figures(run, arm, "gap") for arm, *_ in COMPARED]
    assert [text.get_text() for text in ax.texts] == [
        f"gap {middle:.2f} ± {spread:.2f} points" for middle, spread in gaps
    ]


def test_picture_fits_the_kind():
    arms = [("hidden 0.5", 0.5, 0.01, 0.02)]
    for kind, given, labels in (
        ("train", COMPARED[1:], ["epoch"]),
        ("compare", COMPARED, ["epoch", "error (%)"]),
        ("sweep", arms, ["dropout rate"]),
        ("datasize", SIZES, ["", "training samples (logarithmic)"]),
        ("tune", [("without dropout", 16, 0.01, 0.1)], ["units of a hidden layer (logarithmic)"]),
        ("family", arms, ["error (%)"]),
    ):
        figure = plots.picture(made(kind, given))
        assert [ax.get_xlabel() for ax in figure.axes] == labels


@pytest.mark.parametrize("name", ["compare", "sweep", "datasize", "tune", "family"])
def test_runs_of_another_kind_are_refused(name):
    kind = "family" if name == "sweep" else "sweep"
    with pytest.raises(ValueError, match=f"{name}: run must be of kind {name}.*, got '{kind}'"):
        getattr(plots, name)(made(kind, [("hidden 0.5", 0.5, 0.01, 0.02)]))
    with pytest.raises(TypeError, match=f"{name}: run must be a Run, .* got 'there'"):
        getattr(plots, name)("there")


@pytest.mark.parametrize("kind", ["train", "compare", "sweep", "datasize", "tune", "family"])
def test_what_was_done_before_an_interrupt_is_drawn(kind):
    arms = SIZES[:3] if kind in ("datasize", "tune") else [("hidden 0", 0.0, 0.0, 0.0)]
    run = made(kind, arms, seeds=1, epochs=1)
    figure = plots.picture(run)
    figure.canvas.draw()
    if kind == "datasize":
        top, bottom = figure.axes
        ((x, _, _),) = bars(bottom).values()
        assert x.tolist() == [100]
        assert bars(top)["test, without dropout"][0].tolist() == [100, 1000]
