"""Sentences of reviews, from files and built in."""

import os
from pathlib import Path

import numpy as np
import pytest

from fastdrop.data import load
from fastdrop.reviews import reviews
from fastdrop.sentences import NEGATIVE, POSITIVE

# A line break to str.splitlines, and letters that are no UTF-8.
NEXT_LINE = "a film\x85 without \xe9lan"


def write(folder, negative=25, positive=20):
    """Files of so many lines."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("neg", negative), ("pos", positive)):
        lines = [f"{name} {place} {NEXT_LINE} \n" for place in range(count)]
        (folder / f"rt-polarity.{name}").write_bytes("".join(lines).encode("latin-1"))
    return folder


@pytest.fixture(autouse=True)
def no_folder(monkeypatch):
    folder = os.environ.get("FASTDROP_DATA")
    monkeypatch.delenv("FASTDROP_DATA", raising=False)
    return folder


@pytest.mark.parametrize("subfolder", ["", "rt-polarity", "rt-polaritydata"])
@pytest.mark.parametrize("by_variable", [True, False])
def test_files_are_read_line_by_line(tmp_path, monkeypatch, subfolder, by_variable):
    write(tmp_path / subfolder)
    monkeypatch.setenv("FASTDROP_DATA", str(tmp_path if by_variable else tmp_path / "nowhere"))
    data = reviews(None if by_variable else tmp_path)
    rows = [(f"{name} {place} {NEXT_LINE}", label, place % 10)
            for label, (name, count) in enumerate((("neg", 25), ("pos", 20)))
            for place in range(count)]  # fmt: skip
    assert data.x_train.tolist() == [text for text, _, fold in rows if fold]
    assert data.y_train.tolist() == [label for _, label, fold in rows if fold]
    assert data.x_test.tolist() == [text for text, _, fold in rows if not fold]
    assert data.y_test.tolist() == [0, 0, 0, 1, 1]
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    for array, same in zip(load("reviews", None if by_variable else tmp_path), data, strict=True):
        assert np.array_equal(array, same)


@pytest.mark.parametrize("ending", ["\n", "", "\r\n", "\n\n \n"])
def test_ends_of_files_are_no_sentences(tmp_path, ending):
    for name in ("neg", "pos"):
        (tmp_path / f"rt-polarity.{name}").write_bytes(
            ("a bore\n" * 11 + "a film" + ending).encode()
        )
    data = reviews(tmp_path)
    assert len(data.x_train) + len(data.x_test) == 24
    assert {*data.x_train, *data.x_test} == {"a bore", "a film"}


def test_every_sentence_is_in_the_test_of_one_fold(tmp_path):
    write(tmp_path)
    folds = [reviews(tmp_path, fold) for fold in range(10)]
    tested = [text for data in folds for text in data.x_test]
    assert len(tested) == len(set(tested)) == 45
    for data in folds:
        assert not {*data.x_train} & {*data.x_test}
        assert len(data.x_train) + len(data.x_test) == 45


def test_without_a_folder_there_are_built_in_sentences():
    data = load("reviews")
    assert (len(data.x_train), len(data.x_test)) == (180, 20)
    assert data.y_test.tolist() == [0] * 10 + [1] * 10
    for label, sentences in enumerate((NEGATIVE, POSITIVE)):
        assert len(sentences) == 100
        assert {*data.x_train[data.y_train == label], *data.x_test[data.y_test == label]} == {
            *sentences
        }
    assert len({*NEGATIVE, *POSITIVE}) == 200


def test_missing_files_are_told(tmp_path):
    (tmp_path / "rt-polarity.neg").write_bytes(b"bad\n")
    with pytest.raises(
        FileNotFoundError,
        match=rf"^reviews: the files rt-polarity.neg and rt-polarity.pos are needed, .* neither in "
        rf"{tmp_path / 'rt-polarity'} nor in {tmp_path}; unpack .* --data-dir .* built-in",
    ):
        reviews(tmp_path)


def test_files_without_sentences_are_told(tmp_path):
    write(tmp_path, positive=9)
    with pytest.raises(ValueError, match=r"rt-polarity\.pos must hold at least 10 .*, got 9"):
        reviews(tmp_path)


@pytest.mark.parametrize(
    ("fold", "error", "text"),
    [
        (10, ValueError, r"reviews: fold must be in \[0, 10\), got 10"),
        (-1, ValueError, "reviews: fold must be at least 0, got -1"),
        (0.5, TypeError, "reviews: fold must be an int, got 0.5"),
    ],
)
def test_bad_folds_are_told(fold, error, text):
    with pytest.raises(error, match=text):
        reviews(fold=fold)


def test_the_real_files(no_folder):
    if not no_folder or not Path(no_folder, "rt-polarity").is_dir():
        pytest.skip("FASTDROP_DATA does not say where rt-polarity is")
    data = reviews(no_folder)
    for label in (0, 1):
        sizes = [int((y == label).sum()) for y in (data.y_train, data.y_test)]
        assert sum(sizes) == 5331
        assert sizes[1] == 534
    everything = [*data.x_train, *data.x_test]
    assert sum("\x85" in text for text in everything) > 10
    assert sum(text.startswith("effective but too-tepid biopic") for text in everything) == 1
    assert data.x_train[data.y_train == 1][1] == "effective but too-tepid biopic"
