"""`fastdrop plot`: every picture is written, opens, and shows what it must."""

import json
import re
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest
from made_runs import COMPARED, SIZES, made
from test_cli import write_mnist

import fastdrop
from fastdrop import experiments, plots
from fastdrop.cli.plot import KINDS, plot

RUNS = {
    "compare": COMPARED,
    "sweep": [("hidden 0.5", 0.5, 0.01, 0.02), ("hidden 0", 0.0, 0.01, 0.03)],
    "datasize": SIZES,
    "tune": [("without dropout", 16, 0.01, 0.1), ("with dropout 0.5", 16, 0.01, 0.05)],
    "family": [("without noise", 0.0, 0.01, 0.1), ("Dropout", 0.5, 0.01, 0.05)],
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder of runs."""
    folder = tmp_path_factory.mktemp("runs")
    asked = {"model": "cnn", "hidden": (8,), "epochs": 1, "seeds": 1}
    experiments.compare(**asked).save(folder / "cnn")
    for kind, arms in RUNS.items():
        made(kind, arms).save(folder / kind)
    return folder


def pixels(path):
    image = matplotlib.image.imread(path)
    assert image.ndim == 3
    assert np.ptp(image[..., :3]) == 1  # black on white
    return image.shape[:2]


# Inches at 150 pixels each.
SIZED = {
    "masks": (1530, 1350),
    "activations": (495, 1762),
    "filters": (750, 1440),
    "features": (660, 1650),
    "uncertainty": (990, 1350),
    "learning-curves": (750, 1200),
    "compare": (450, 1200),
    "sweep": (750, 1200),
    "datasize": (990, 1200),
    "tune": (750, 1200),
    "family": (336, 1200),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_is_written(run, saved, tmp_path, kind):
    of_networks = plots.KINDS[kind].needs.startswith("network")
    given = [] if kind == "masks" else [str(saved / ("cnn" if of_networks else kind))]
    if kind == "learning-curves":
        given = [str(saved / "compare" / "run.json")]
    result = run("plot", kind, *given)
    assert result.exit_code == 0, result.output
    folder = tmp_path if kind == "masks" else saved / given[0]
    folder = folder.parent if folder.name == "run.json" else folder
    assert result.stdout == f"{kind}: {folder / kind}.png\n"
    height, width = pixels(folder / f"{kind}.png")
    assert (height, width) == pytest.approx(SIZED[kind], abs=1)


def test_the_kinds_are_those_of_the_library_and_in_the_help(run):
    assert tuple(plots.KINDS) == KINDS
    text = run("plot", "--help").stdout
    for name, kind in plots.KINDS.items():
        assert re.search(rf"^ +{name} +{kind.about}$", text, re.MULTILINE), name
    options = {name for kind in plots.KINDS.values() for name in kind.options}
    assert {param.name for param in plot.params} - {"kind", "run", "out", "as_json"} == options


def test_files_formats_and_json(run, saved, tmp_path):
    result = run("plot", "sweep", str(saved / "sweep"), "--out", "mine.svg", "--json")
    path = tmp_path / "mine.svg"
    assert json.loads(result.stdout) == {"path": str(path)}
    assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    result = run("plot", "sweep", str(saved / "sweep"), "--out", "mine.pdf")
    assert (tmp_path / "mine.pdf").read_bytes().startswith(b"%PDF")
    result = run("plot", "sweep", str(saved / "sweep"), "--out", str(tmp_path))
    assert result.stdout == f"sweep: {tmp_path / 'sweep.png'}\n"


def test_options_reach_the_picture(run, saved, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(plots, "save", lambda figure, path: asked.append(figure))
    assert run("plot", "masks", "--rate", "0.45", "--seed", "3").exit_code == 0
    assert asked[-1].get_suptitle().startswith("Noise at rate 0.45")
    expected = plots.masks(rate=0.45, rng=3)
    for ours, theirs in zip(asked[-1].axes, expected.axes, strict=True):
        assert (ours.images[0].get_array() == theirs.images[0].get_array()).all()
    digits = fastdrop.data.digits().x_test
    network = fastdrop.load_run(saved / "cnn").model("with dropout")
    run("plot", "uncertainty", str(saved / "cnn"), "--image", "7", "--seed", "2")
    expected = plots.uncertainty(network, digits[7], rng=2).axes[2].get_lines()[0].get_ydata()
    assert (asked[-1].axes[2].get_lines()[0].get_ydata() == expected).all()
    write_mnist(tmp_path / "data" / "mnist")
    run("plot", "masks", "--data", "mnist", "--data-dir", "data", "--image", "1")
    image = fastdrop.data.mnist("data").x_test[1]
    shown = asked[-1].axes[0].images[0].get_array()
    np.testing.assert_allclose(shown[..., 0], 0.7 * (image[..., 0] - image.min()) / np.ptp(image))


def test_one_arm_or_one_file(run, saved, tmp_path):
    folder = str(saved / "cnn")
    result = run("plot", "filters", folder, "--arm", "without dropout", "--out", "one.png")
    assert result.exit_code == 0, result.output
    assert pixels(tmp_path / "one.png")[1] == 825
    network = saved / "cnn" / "with-dropout.safetensors"
    result = run("plot", "features", str(network))
    assert result.stdout == f"features: {tmp_path / 'features.png'}\n"
    figures = plots.draw("features", network), plots.draw("features", folder, arm="with dropout")
    values = [figure.axes[0].patches[0].get_data().values for figure in figures]
    assert (values[0] == values[1]).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["circles"], "'circles' is not one of 'masks', 'activations', 'filters'"),
        ([], "Missing argument 'KIND'. Choose from masks, activations, .*, family"),
        (["sweep"], "sweep needs a run, got none; name the folder that an experiment wrote"),
        (["filters"], "filters needs a run, got none; name the folder of a run that has networks"),
        (["sweep", "nowhere"], "'nowhere/run.json' is not there; name the folder|'nowhere' is not"),
        (["sweep", "RUNS/family"], "sweep: run must be of kind sweep, got 'family'"),
        (["filters", "RUNS/sweep"], "the run, of kind sweep, holds no networks; name the folder"),
        (["filters", "RUNS/cnn", "--arm", "other"],
         "arm must be one of without dropout, with dropout, got 'other'"),
        (["filters", "MODEL", "--arm", "other"], "arm must be left out with one network"),
        (["activations", "RUNS/mlp"], r"the network must have a convolution \(Conv2D\), got none"),
        (["activations", "RUNS/cnn", "--arm", "without dropout"], "must have a layer of noise"),
        (["uncertainty", "RUNS/cnn", "--image", "901"], "image must be from 0 to 900, got 901"),
        (["uncertainty", "RUNS/cnn", "--data", "wide.npz"],
         r"image must be one sample of shape \(8, 8, 1\), as the network takes it, got .*\(9,\)"),
        (["uncertainty", "wide.safetensors"],
         r"data must be given, as the network takes samples of shape \(9,\) and those of digits"),
        (["filters", "broken.safetensors"], "broken.safetensors"),
        (["masks", "RUNS/cnn"], "masks takes no RUN: leave '.*' out"),
        (["sweep", "RUNS/sweep", "--rate", "0.2"], "--rate says nothing to sweep: leave it out"),
        (["masks", "--rate", "1"], r"--rate.*0<=x<1"),
        (["masks", "--out", "a.xyz"], r"path must end in one of .*\.png"),
        (["masks", "--out", "no/a.png"], "is not a folder; make it first"),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_status_2(run, saved, tmp_path, arguments, words):
    experiments.compare(hidden=(4,), epochs=1, seeds=1).save(saved / "mlp")
    np.savez(tmp_path / "wide.npz", x=np.ones((4, 9)), y=[0, 1, 0, 1])
    layers = [fastdrop.nn.Dense(2), fastdrop.nn.ReLU(), fastdrop.nn.Dense(2)]
    fastdrop.nn.Sequential(layers, input_shape=(9,)).save(tmp_path / "wide.safetensors")
    (tmp_path / "broken.safetensors").write_text("no network")
    model = str(saved / "cnn" / "with-dropout.safetensors")
    arguments = [part.replace("RUNS", str(saved)).replace("MODEL", model) for part in arguments]
    result = run("plot", *arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("fastdrop: ")
    assert result.stderr.count("\n") == 1
    assert re.search(words, result.stderr), result.stderr
    assert not list(tmp_path.glob("*.png"))


def test_a_run_of_arrays_asks_for_data(saved, tmp_path):
    run = experiments.compare(data=fastdrop.data.digits(), hidden=(4,), epochs=1, seeds=1)
    with pytest.raises(ValueError, match="draw: the run was of arrays, which it does not hold"):
        plots.draw("features", run)
    assert plots.draw("features", run, data="digits").axes
