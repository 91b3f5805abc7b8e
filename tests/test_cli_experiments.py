"""The experiments as commands, through their real entry point."""

import json
import re
import signal
import subprocess
import sys
from importlib import import_module

import matplotlib.image
import numpy as np
import pytest
from processes import ROOT
from test_cli import started

import fastdrop
from fastdrop import experiments
from fastdrop.experiments import Stopped

QUICK = ("--epochs", "1", "--seeds", "2", "--jobs", "1", "--quiet")
NAMES = ("compare", "sweep", "datasize", "tune", "family")
# What makes each of them small, as options and as arguments.
OWN = {
    "compare": (("--hidden", "8", "--rate", "0.3"), {"hidden": (8,), "rate": 0.3}),
    "sweep": (
        ("--hidden", "8", "--rates", "0", ".4", "--where", "input"),
        {"hidden": (8,), "rates": (0, 0.4), "where": "input"},
    ),
    "datasize": (
        ("--hidden", "8", "--sizes", "10", "50", "--input-rate", ".1"),
        {"hidden": (8,), "sizes": (10, 50), "input_rate": 0.1},
    ),
    "tune": (
        ("--layers", "1", "--start", "2", "--most", "4", "--input-rate", "0.2"),
        {"layers": 1, "start": 2, "most": 4, "input_rate": 0.2},
    ),
    "family": (("--hidden", "8,6", "--rate", "0.2"), {"hidden": (8, 6), "rate": 0.2}),
}


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", x=rng.random((120, 20)), y=np.arange(120) % 3)
    return "--data", "mine.npz"


def figures(run):
    times = "seconds", "samples_per_second"
    return [{name: row[name] for name in row if name not in times} for row in run.rows]


@pytest.mark.parametrize("name", NAMES)
def test_a_command_asks_the_library(run, tmp_path, data, name):
    options, arguments = OWN[name]
    result = run(name, *data, *QUICK, *options)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    expected = getattr(experiments, name)(data="mine.npz", epochs=1, seeds=2, **arguments)
    saved = fastdrop.load_run(tmp_path / "runs" / name)
    assert figures(saved) == figures(expected)
    assert saved.findings == expected.findings
    for text in (saved.table(), *saved.findings, f"saved in runs/{name}: run.json"):
        assert text in result.stdout
    assert "mine.npz: 60 samples to train on, 60 for the test" in result.stdout
    assert matplotlib.image.imread(tmp_path / "runs" / name / f"{name}.png").ndim == 3
    table = (tmp_path / "runs" / name / "table.csv").read_text()
    assert table.count("\n") == len(saved.rows) + 1
    networks = list((tmp_path / "runs" / name).glob("*.safetensors"))
    assert len(networks) == (2 if name == "compare" else 0)


def test_sweep_as_a_program(tmp_path):
    command = "sweep --rates 0 .2 .5 .8 --where hidden --epochs 1 --hidden 16 --seeds 2 --out a/b"
    done = subprocess.run(
        [sys.executable, "-m", "fastdrop", *command.split()],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "FASTDROP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "sweep: 100%" in done.stderr
    assert re.search(r"^hidden 0\.8 +(\d+\.\d\d ± \d+\.\d\d % +){3}2$", done.stdout, re.MULTILINE)
    saved = fastdrop.load_run(tmp_path / "a" / "b")
    assert [arm.x for arm in saved.arms] == [0, 0.2, 0.5, 0.8]
    # A process for each thread by default, and the numbers of one process.
    expected = experiments.sweep(epochs=1, hidden=(16,), seeds=2)
    assert figures(saved) == figures(expected)
    assert (saved.settings["jobs"], saved.settings["threads"]) in ((2, 1), (1, 1))


@pytest.mark.parametrize("name", NAMES)
def test_json_is_all_that_is_printed(run, tmp_path, data, name):
    result = run(name, *data, *QUICK[:-1], *OWN[name][0], "--json", "--out", "mine")
    assert result.exit_code == 0, result.output
    (tmp_path / "printed.json").write_text(result.stdout)
    assert fastdrop.load_run(tmp_path / "printed.json") == fastdrop.load_run(tmp_path / "mine")
    assert json.loads(result.stdout)["kind"] == name
    assert f"{name}: 100%" in result.stderr


@pytest.mark.parametrize(
    "rates",
    [
        *(("--rates", "0", ".2", ".5"), ("--rates", "0,.2,.5"), ("--rates=0", ".2", ".5")),
        *(("--rates=0,.2,.5",), ("--rates", "0, .2,", ".5"), ("--rates", "0 .2 .5")),
    ],
)
def test_rates_are_written_in_many_ways(run, data, rates):
    for options in ((*rates, *data), (*data, *rates)):
        result = run("sweep", *QUICK, "--hidden", "8", "6", *options, "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert [arm["x"] for arm in found["arms"]] == [0, 0.2, 0.5]
        assert found["settings"]["hidden"] == [8, 6]


def test_seeds_and_machine_reach_the_library(run, data):
    result = run(
        *("compare", *data, *QUICK, "--hidden", "8", "--seed", "7", "--backend", "reference"),
        *("--threads", "1", "--optimizer", "rmsprop", "--learning-rate", "0.01", "--json"),
        *("--batch-size", "16", "--train-share", "0.75", "--model", "regularized"),
    )
    assert result.exit_code == 0, result.output
    asked = json.loads(result.stdout)["settings"]
    expected = {"seeds": [7, 8], "backend": "reference", "threads": 1, "jobs": 1, "epochs": 1}
    expected |= {"optimizer": "rmsprop", "learning_rate": 0.01, "batch_size": 16}
    expected |= {"train_samples": 90, "model": "regularized", "train_share": 0.75}
    assert {name: asked[name] for name in expected} == expected


def test_fixed_active_units_and_sentences(run):
    result = run("sweep", "--fixed-active", "--rates", ".5", *QUICK, "--hidden", "8", "--json")
    (row, *_) = json.loads(result.stdout)["rows"]
    expected = experiments.sweep([0.5], fixed_active=True, hidden=(8,), epochs=1, seeds=1)
    assert row["losses"] == expected.rows[0]["losses"]
    result = run("datasize", "--data", "reviews", "--sizes", "20", *QUICK)
    assert result.exit_code == 0, result.output
    assert "reviews: 180 samples to train on, 20 for the test; network: text" in result.stdout


def test_a_run_is_replaced(run, tmp_path, data):
    for name in ("compare", "sweep"):
        assert run(name, *data, *QUICK, *OWN[name][0], "--out", "mine").exit_code == 0
    assert fastdrop.load_run(tmp_path / "mine").kind == "sweep"
    assert not list((tmp_path / "mine").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("compare --data digit", "name must be digits, mnist, fashion_mnist, reviews, .* 'digit'"),
        ("compare --data none.npz", "none.npz does not exist; give an .npz file"),
        ("compare --rate 1.5", "'--rate': 1.5 is not in the range 0<=x<=1"),
        ("compare --seeds 0", "'--seeds': 0 is not in the range x>=1"),
        ("compare --jobs 0", "'--jobs': 0 is not in the range x>=1"),
        ("compare --hidden 8;6", "'8;6' is not a list of sizes like 512,512"),
        ("compare --out mine.npz", "mine.npz' is a file; name a folder for the run"),
        ("compare --out /proc/run", "cannot write to the folder '/proc'"),
        ("compare --model cnn", r"the model cnn needs images, .* got samples of shape \(20,\)"),
        ("compare --model lstm", "the model lstm needs sentences"),
        ("compare 0.5", r"Got unexpected extra argument \(0.5\)"),
        ("sweep --rates 0 1.5", r"'0 1.5' is not a list of rates in \[0, 1\] like 0 .2 .5"),
        ("sweep --rates 0 -.5", r"'0 -.5' is not a list of rates in \[0, 1\]"),
        ("sweep --rates 0 half", "'0 half' is not a list of rates"),
        ("sweep --rates nan", "'nan' is not a list of rates"),
        ("sweep --rates .5 .5", "rates must be different ones"),
        ("sweep --rate .5", "No such option.*--rate"),
        ("sweep --where output", "'--where': 'output' is not one of 'input', 'hidden', 'conv'"),
        ("sweep --where conv", "the model mlp can have dropout at input or hidden, got 'conv'"),
        ("sweep --fixed-active --rates 1", "rate must be below 1 where"),
        ("datasize --sizes 10 0", "'10 0' is not a list of sizes"),
        ("datasize --sizes 2", "samples must be from 3, one for each class, to 60, got 2"),
        ("datasize --sizes 10 61", "samples must be from 3, .* to 60, got 61"),
        ("tune --input-rate 0.3", "'--input-rate': 0.3 is not in the range 0<=x<=0.25"),
        ("tune --rate 1", "'--rate': 1.0 is not in the range 0<x<1"),
        ("tune --start 8 --most 4", "most must be at least start, 8, got 4"),
        ("tune --hidden 8", "No such option.*--hidden"),
        ("family --rate 1", "family: rate must be below 1"),
        ("family --data reviews --model lstm", "model must be mlp, cnn, regularized or text"),
    ],
)
def test_bad_input_is_one_line_and_status_2(run, tmp_path, data, monkeypatch, arguments, text):
    def trained(*args, **settings):
        raise AssertionError("trained before all was checked")

    monkeypatch.setattr(fastdrop.nn.Sequential, "fit", trained)
    name, *options = arguments.split()
    result = run(name, *data, "--jobs", "1", "--quiet", *options)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert re.fullmatch(rf"fastdrop: .*{text}.* \(see `\S+ {name} --help`\)\n", result.stderr)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine.npz"]


def test_an_option_without_its_numbers_is_told(run):
    for options, text in (
        (("--quiet", "--rates"), "Option '--rates' requires an argument"),
        (("--rates", "--quiet"), "'--quiet' is not a list of rates"),
    ):
        result = run("sweep", *options)
        assert result.exit_code == 2
        assert text in result.stderr


def test_divergence_is_one_line_and_status_1(run, data):
    result = run("compare", *data, *QUICK, "--hidden", "8", "--learning-rate", "1e30")
    assert result.exit_code == 1
    assert re.fullmatch(r"fastdrop: with.* seed 0: .*a smaller learning_rate.*\n", result.stderr)


def test_a_picture_that_cannot_be_saved_leaves_the_run(run, tmp_path, data, monkeypatch):
    def full(figure, path):
        raise OSError("disk full")

    monkeypatch.setattr(fastdrop.plots, "save", full)
    result = run("compare", *data, *QUICK, "--hidden", "8")
    assert result.exit_code == 1
    assert result.stderr == "fastdrop: disk full\n"
    assert len(fastdrop.load_run(tmp_path / "runs" / "compare").rows) == 4


def test_ctrl_c_is_one_line_and_leaves_what_was_done(run, tmp_path, data, monkeypatch):
    part = experiments.compare(data=str(tmp_path / "mine.npz"), hidden=(8,), epochs=1, seeds=1)
    run_of_part = type(part)(**{**vars(part), "findings": ("Interrupted: 2 of 4 runs were done.",)})

    def compare(**arguments):
        raise Stopped(run_of_part)

    monkeypatch.setattr(experiments, "compare", compare)
    result = run("compare", *data, *QUICK)
    assert result.exit_code == 130
    assert result.stdout == ""
    assert result.stderr == (
        "\nfastdrop: interrupted; 2 of 4 runs were done, and are in runs/compare\n"
    )
    assert fastdrop.load_run(tmp_path / "runs" / "compare") == run_of_part
    assert (tmp_path / "runs" / "compare" / "compare.png").exists()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_in_a_terminal(tmp_path, jobs):
    command = ("sweep", "--rates", "0", ".5", "--seeds", "400", "--hidden", "16", "--epochs", "30")
    with started(tmp_path, *command, "--jobs", jobs) as process:
        shown = b""
        while not re.search(rb" [1-9]\d*/800", shown):  # a run is done
            assert process.poll() is None, shown
            shown += process.stderr.read1(100)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err
    (done,) = re.findall(
        rb"\nfastdrop: interrupted; (\d+) of 800 runs were done, and are in runs/sweep\n$", err
    )
    saved = fastdrop.load_run(tmp_path / "runs" / "sweep")
    assert 1 <= len(saved.rows) == int(done) < 800


@pytest.mark.parametrize("name", NAMES)
def test_help_teaches(run, name):
    result = run(name, "--help")
    assert result.exit_code == 0
    text = result.stdout
    assert text.index("How to read the answer") < text.index("Examples") < text.index("Options:")
    examples = re.findall(rf"^      fastdrop ({name}.*)$", text, re.MULTILINE)
    assert len(examples) == 2
    for option in ("--data", "--seeds", "--jobs", "--out", "--json", "--quiet", "--epochs"):
        assert re.search(rf"^  {option}\b", text, re.MULTILINE)
    # The first line answers what the command is for.
    command = getattr(import_module(f"fastdrop.cli.{name}"), name)
    question = command.help.strip().splitlines()[0]
    assert "?" in question
    assert name in run("--help").stdout


def test_examples_of_the_help_are_commands(run, data):
    for name in NAMES:
        text = run(name, "--help").stdout
        examples = re.findall(rf"^      fastdrop ({name}.*)$", text, re.MULTILINE)
        assert examples, f"the help of {name} shows none"
        command = getattr(import_module(f"fastdrop.cli.{name}"), name)
        for example in examples:
            command.make_context(name, example.split()[1:])


def test_train_saves_a_run(run, tmp_path):
    options = ("--epochs", "2", "--hidden", "8", "--quiet", "--run", "mine")
    for more, kind, arms in (
        (("--no-compare",), "train", ["with dropout"]),
        (("--no-compare", "--rate", "0"), "train", ["without dropout"]),
        ((), "compare", ["without dropout", "with dropout"]),
    ):
        result = run("train", *options, *more)
        assert result.exit_code == 0, result.output
        assert f"run: {tmp_path / 'mine'}\n" in result.stdout
        saved = fastdrop.load_run(tmp_path / "mine")
        assert (saved.kind, [arm.arm for arm in saved.arms]) == (kind, arms)
        assert len(list((tmp_path / "mine").glob("*.safetensors"))) == len(arms)
    data = fastdrop.data.digits()
    for row in saved.rows:
        accuracy = saved.model(row["arm"]).evaluate(data.x_test, data.y_test)["accuracy"]
        assert row["test_error"] == pytest.approx(1 - accuracy)
    result = run("train", *options[:-1], "learning-curves.png")
    assert result.exit_code == 2
    assert "is a file; name a folder for the run" in result.stderr
