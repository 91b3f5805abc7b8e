"""Runs in memory and on disk."""

import csv
import json
import statistics

import numpy as np
import pytest

import fastdrop
from fastdrop.nn import Dense, Sequential
from fastdrop.runs import KINDS, Run, destination, load_run, percent, points

ERRORS = {"without dropout": (0.25, 0.5, 0.125), "with dropout": (0.25, 0.125, 0.0625)}


def made(kind="compare", models=(), **changes):
    """A run of two arms and three seeds."""
    rows = tuple(
        {
            "arm": arm,
            "x": float(place),
            "seed": seed,
            "where": "",
            "train_error": error / 2,
            "test_error": error,
            "gap": error / 2,
            "train_errors": [0.5, error / 2],
            "test_errors": [0.5, error],
            "losses": [2.0, 1.0],
            "seconds": 0.5,
        }
        for place, (arm, errors) in enumerate(ERRORS.items())
        for seed, error in enumerate(errors)
    )
    models = {arm: Sequential([Dense(2)], input_shape=(3,), rng=0) for arm in models}
    run = Run(kind, {"data": "digits", "seeds": [0, 1, 2]}, rows, ("It helps.",), models)
    return Run(**{**vars(run), **changes})


def test_arms_are_means_and_deviations():
    arms = made().arms
    assert [(arm.arm, arm.x, arm.seeds) for arm in arms] == [
        ("without dropout", 0.0, 3),
        ("with dropout", 1.0, 3),
    ]
    for arm, errors in zip(arms, ERRORS.values(), strict=True):
        assert arm.test_error == pytest.approx(np.mean(errors))
        assert arm.test_spread == pytest.approx(np.std(errors, ddof=1))
        assert arm.train_error == arm.gap == pytest.approx(np.mean(errors) / 2)
        assert arm.train_spread == arm.gap_spread == pytest.approx(np.std(errors, ddof=1) / 2)


def test_one_seed_has_no_spread():
    run = made(rows=made().rows[:1])
    (arm,) = run.arms
    assert (arm.seeds, arm.test_error) == (1, 0.25)
    assert (arm.train_spread, arm.test_spread, arm.gap_spread) == (0, 0, 0)


def test_an_arm_at_several_places_is_several():
    rows = [{**row, "arm": "with dropout"} for row in made().rows]
    assert [(arm.x, arm.seeds) for arm in made(rows=tuple(rows)).arms] == [(0.0, 3), (1.0, 3)]


def test_the_table_is_aligned_text():
    lines = made().table().splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split() == ["training", "error", "test", "error", "gap", "seeds"]
    mean, spread = (f(ERRORS["with dropout"]) * 100 for f in (np.mean, statistics.stdev))
    assert f"{mean:.2f} ± {spread:.2f} %" in lines[2]
    rows = [{**row, "x": 1000 * row["seed"]} for row in made().rows]
    lines = made("datasize", rows=tuple(rows)).table().splitlines()
    assert len(lines) == 7
    assert lines[0].split()[0] == "samples"
    assert lines[3].split()[:3] == ["without", "dropout", "2,000"]


def test_figures_as_words():
    assert percent(0.0235) == "2.35 %"
    assert percent(0.0235, 0.0023) == "2.35 ± 0.23 %"
    assert points(-0.0071) == "-0.71 points"


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_run_is_the_same_one(tmp_path, kind):
    run = made(kind)
    folder = tmp_path / "new" / "folder"
    assert run.save(folder) == folder
    assert sorted(file.name for file in folder.iterdir()) == ["run.json", "table.csv"]
    for path in (folder, str(folder), folder / "run.json"):
        assert fastdrop.load_run(path) == run
    document = json.loads((folder / "run.json").read_text())
    assert document["arms"][1]["test_error"] == pytest.approx(np.mean(ERRORS["with dropout"]))


def test_the_csv_has_a_line_for_each_row(tmp_path):
    run = made()
    run.to_csv(tmp_path / "mine.csv")
    with (tmp_path / "mine.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(run.rows)
    for line, row in zip(lines, run.rows, strict=True):
        scalars = {name: value for name, value in row.items() if not isinstance(value, list)}
        assert line == {name: str(value) for name, value in scalars.items()}


def test_networks_are_loaded_when_asked_for(tmp_path):
    run = made(models=ERRORS)
    run.save(tmp_path)
    names = ["run.json", "table.csv", "with-dropout.safetensors", "without-dropout.safetensors"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    same, x = load_run(tmp_path), np.ones((1, 3))
    assert same.models == {}
    for arm in ERRORS:
        np.testing.assert_array_equal(same.model(arm).predict(x), run.model(arm).predict(x))
    for one in (run, same, made()):
        with pytest.raises(LookupError, match=r"holds no network of the arm 'hidden 0\.5'"):
            one.model("hidden 0.5")


def test_a_run_replaces_another_and_nothing_else(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "mine.safetensors").write_text("mine")
    made(models=ERRORS).save(tmp_path)
    made("sweep").save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        *("mine.safetensors", "mine.txt", "run.json", "table.csv"),
    ]
    assert load_run(tmp_path).kind == "sweep"


def test_a_failed_save_leaves_the_old_run(tmp_path, monkeypatch):
    made().save(tmp_path)
    before = (tmp_path / "run.json").read_bytes()

    def full(number):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="disk full"):
            made("sweep").save(tmp_path)
    assert (tmp_path / "run.json").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.json", "table.csv"]


def test_a_bad_run_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"load_run: .*none' is not there; name the folder"):
        load_run(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"run.json' is not there"):
        load_run(tmp_path)
    made().save(tmp_path)
    file = tmp_path / "run.json"
    document = json.loads(file.read_text())
    for text in (
        *("", "[]", "{}", file.read_text()[:-5], json.dumps(document | {"kind": "letter"})),
        *(json.dumps(document | {name: None}) for name in ("settings", "rows", "findings")),
        *(json.dumps(document | {"rows": rows}) for rows in ([], [{}], [{"arm": "a"}], [1])),
        json.dumps({name: value for name, value in document.items() if name != "format"}),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"load_run: .*run.json' is .*damaged"):
            load_run(tmp_path)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="damaged"):
        load_run(tmp_path)
    file.write_text(json.dumps(document | {"format": 2}))
    with pytest.raises(ValueError, match="has format 2, and formats up to 1 are known here"):
        load_run(tmp_path)


def test_a_name_in_a_run_leads_nowhere_else(tmp_path):
    (tmp_path / "precious").write_text("mine")
    folder = tmp_path / "run"
    made(models=ERRORS).save(folder)
    file = folder / "run.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps(document | {"models": {"with dropout": "../precious"}}))
    made().save(folder)
    assert (tmp_path / "precious").read_text() == "mine"


def test_destination_makes_nothing(tmp_path):
    assert destination(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file; name a folder for the run"):
        destination(tmp_path / "file")
    with pytest.raises(NotADirectoryError, match="is a file; name a folder"):
        destination(tmp_path / "file" / "run")
    with pytest.raises(OSError, match="cannot write to the folder '/proc'"):
        destination("/proc/run")
