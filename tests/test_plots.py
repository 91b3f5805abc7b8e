"""Figures of results, and where they are saved."""

import sys
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure
from processes import run_code

from fastdrop import plots
from fastdrop.experiments import train


@pytest.fixture(scope="module")
def result():
    return train(hidden=(16,), epochs=4, rate=0.3, compare=True)


def test_learning_curves_show_both_runs(result):
    axes = plots.learning_curves(result).axes[0]
    lines = {line.get_label(): line.get_ydata().tolist() for line in axes.get_lines()}
    assert lines == {
        f"{what}, {arm} dropout": [100 * error for error in errors]
        for arm, run in (("without", result.without), ("with", result.with_dropout))
        for what, errors in (("test", run.test_errors), ("training", run.train_errors))
    }
    assert axes.get_xlabel() == "epoch"
    assert axes.get_ylabel() == "error (%)"
    assert "dropout 0.3" in axes.get_title()
    assert len(axes.get_legend().get_texts()) == 4
    final = 100 * max(result.without.test_error, result.with_dropout.test_error)
    assert axes.get_ylim()[1] > final


def test_pyplot_is_left_alone():
    run_code(
        """
import sys
import numpy as np
from fastdrop import nn, plots
from fastdrop.experiments import compare
model = nn.Sequential([nn.Dense(4), nn.ReLU(), nn.Dropout(0.5), nn.Dense(3)], input_shape=(16,))
plots.masks(), plots.filters(model), plots.features(model, np.eye(16))
plots.uncertainty(model, np.eye(4), (0, 90), samples=2)
plots.picture(compare(hidden=(4,), epochs=1, seeds=1))
assert "matplotlib.pyplot" not in sys.modules
"""
    )


def test_axes_and_figures_of_ones_own(result):
    theirs = Figure()
    ax = theirs.add_subplot()
    assert plots.learning_curves(result, ax=ax) is theirs
    assert ax.get_xlabel() == "epoch"
    for given, words in ((theirs, "Figure"), ("here", "'here'")):
        with pytest.raises(
            TypeError, match=f"learning_curves: ax must be a matplotlib Axes.*{words}"
        ):
            plots.learning_curves(result, ax=given)
    parts = Figure().subfigures(1, 2)
    assert plots.masks(np.ones((8, 8)), figure=parts[1]) is parts[1]
    assert len(parts[1].axes) == 16
    assert not parts[0].axes
    with pytest.raises(TypeError, match="masks: figure must be a Figure or SubFigure, got 3"):
        plots.masks(figure=3)


def test_save_replaces_whole_files_in_files_and_folders(result, tmp_path):
    figure = plots.learning_curves(result)
    (tmp_path / "mine.png").write_text("old")
    assert plots.save(figure, tmp_path / "mine.png") == tmp_path / "mine.png"
    assert plots.save(figure, tmp_path) == tmp_path / "learning-curves.png"
    for name in ("mine.png", "learning-curves.png"):
        assert matplotlib.image.imread(tmp_path / name).shape == (750, 1200, 4)
    assert len(list(tmp_path.iterdir())) == 2


def test_others_may_read_what_is_saved(result, tmp_path):
    path = plots.save(plots.learning_curves(result), tmp_path, "other.png")
    assert path == tmp_path / "other.png"
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failed_save_leaves_the_old_file(result, tmp_path, monkeypatch):
    figure = plots.learning_curves(result)
    (tmp_path / "mine.png").write_text("old")

    def full(path, **settings):
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", full)
    with pytest.raises(OSError, match="disk full"):
        plots.save(figure, tmp_path / "mine.png")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_one_epoch_is_enough(tmp_path):
    result = train(hidden=(4,), epochs=1)
    path = plots.save(plots.learning_curves(result), tmp_path / "one.svg")
    assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_destination_says_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match=r"destination: path must end in one of .*\.png"):
        plots.destination(tmp_path / "curves.xyz")
    with pytest.raises(NotADirectoryError, match="is not a folder; make it first"):
        plots.destination(tmp_path / "missing" / "curves.png")
    with pytest.raises(OSError, match="cannot write to the folder '/proc'"):
        plots.destination("/proc/curves.png")


def test_without_matplotlib_the_error_says_how_to_get_it(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "fastdrop\[app\]"'):
        plots.learning_curves(result)
