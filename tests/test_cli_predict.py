"""`fastdrop predict`, through its real entry point."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image
from test_prediction import model_of, write

import fastdrop


@pytest.fixture
def files(run, tmp_path):
    """A model, samples for it, and pictures."""
    model_of((6, 4)).save("model")
    x = np.random.default_rng(1).integers(0, 256, (25, 6, 4), np.uint8)
    np.save("x.npy", x)
    (tmp_path / "scans").mkdir()
    for place in range(3):
        Image.fromarray(x[place]).save(tmp_path / "scans" / f"{place}.png")
    return x.astype(np.float32) / np.float32(255)


def test_a_table_of_the_first_rows(run, files):
    result = run("predict", "model", "x.npy")
    assert result.exit_code == 0, result.output
    p = fastdrop.load("model").predict(files)
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["row", "class", "probability"]
    expected = [f"{row} {p[row].argmax()} {p[row].max():.4f}" for row in range(20)]
    assert [" ".join(line.split()) for line in lines[1:21]] == expected
    assert lines[21:] == ["... and 5 more; --out FILE.csv has all of them"]


def test_images_with_samples_and_a_file(run, files, tmp_path):
    command = ("predict", "model", "scans", "--mc", "30", "--seed", "4", "--out", "all.csv")
    result = run(*command, "--backend", "reference", "--threads", "1")
    assert result.exit_code == 0, result.output
    found = fastdrop.load("model").predict_mc(files[:3], 30, rng=4)
    head, *rows, last = result.stdout.splitlines()
    assert head.split() == [
        *("file", "class", "probability", "std", "entropy", "mutual_information")
    ]
    for place, line in enumerate(rows):
        best = found.mean[place].argmax()
        figures = (found.mean[place, best], found.std[place, best], found.entropy[place],
                   found.mutual_information[place])  # fmt: skip
        assert line.split() == [f"{place}.png", str(best), *(f"{n:.4f}" for n in figures)]
    assert last == f"predictions: {tmp_path / 'all.csv'}"
    with open("all.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    assert run(*command).stdout == result.stdout


def test_json_alone(run, files, tmp_path):
    result = run("predict", "model", "scans", "--mc", "5", "--json", "--out", "all.npz")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["out"] == str(tmp_path / "all.npz")
    assert (answer["model"], answer["input"], answer["mc"], answer["seed"]) == (
        *("model", "scans", 5, 0),
    )
    found = fastdrop.load("model").predict_mc(files[:3], 5, rng=0)
    for place, row in enumerate(answer["predictions"]):
        assert row["file"] == f"{place}.png"
        assert np.array_equal(np.float32(row["probabilities"]), found.mean[place])
        assert row["entropy"] == found.entropy[place]


def test_numbers_of_a_regression(run, files):
    model_of((6, 4), 2, loss="mean_squared_error").save("numbers")
    result = run("predict", "numbers", "x.npy")
    assert result.exit_code == 0, result.output
    y = fastdrop.load("numbers").predict(files)
    head, first = result.stdout.splitlines()[:2]
    assert head.split() == ["row", "value_0", "value_1"]
    assert first.split() == ["0", f"{y[0, 0]:.6g}", f"{y[0, 1]:.6g}"]


def test_a_checkpoint_of_train(run):
    trained = run(
        *("train", "--epochs", "3", "--hidden", "16", "--checkpoint", "digits", "--quiet")
    )
    assert trained.exit_code == 0, trained.output
    data = fastdrop.data.digits()
    np.savez("mine.npz", x_test=data.x_test, y_test=data.y_test)
    answer = json.loads(run("predict", "digits", "mine.npz", "--json").stdout)
    wrong = np.mean([row["class"] for row in answer["predictions"]] != data.y_test)
    assert (
        f"test error {wrong:>22.2%}".split()
        == re.search("test error .*", trained.stdout).group().split()
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("none", "x.npy"), "the model 'none' cannot be read (No such file or directory)"),
        ((".", "x.npy"), "the model '.' cannot be read (Is a directory)"),
        (("short", "x.npy"), "'short' is damaged or cut short"),
        (("x.npy", "x.npy"), "'x.npy' is no checkpoint of fastdrop"),
        (("model", "none"), "'none' is not there; give an .npy, an .npz or a folder"),
        (("model", "wide"), "has 6 x 4 pixels (width x height), and the model takes 4 x 6"),
        (("model", "small.npy"), "samples of shape (6, 4), got (5, 4)"),
        (("plain", "x.npy", "--mc", "9"), "layers must hold one that draws noise"),
        (("model", "x.npy", "--mc", "0"), "'--mc': 0 is not in the range x>=1"),
        (("model", "x.npy", "--out", "x.txt"), "must end in one of .csv, .npy, .npz"),
        (("model", "x.npy", "--out", "missing/x.csv"), "missing' is not a folder"),
        (("model",), "Missing argument 'INPUT'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(run, files, tmp_path, arguments, text):
    write(tmp_path)
    (tmp_path / "short").write_bytes((tmp_path / "model").read_bytes()[:-9])
    layers = [fastdrop.nn.Flatten(), fastdrop.nn.Dense(2)]
    fastdrop.nn.Sequential(layers, input_shape=(6, 4)).save("plain")
    result = run("predict", *arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    line = rf"fastdrop: .*{re.escape(text)}.* \(see `\S+ predict --help`\)\n"
    assert re.fullmatch(line, result.stderr)


def test_help_teaches(run):
    result = run("predict", "--help")
    assert "fastdrop predict digits.safetensors mine.npz --mc 50" in result.stdout
    assert "mutual_information  the part of it" in result.stdout
