"""Vocabularies against counts made naively."""

import re
import sys
from collections import Counter

import numpy as np
import pytest

import fastdrop
from fastdrop.data import Dataset
from fastdrop.sentences import NEGATIVE, POSITIVE
from fastdrop.text import Vocabulary, encoded

SENTENCES = ["A good film, a good cast.", "It's no good", "so-so film !"]


def tokens(sentence):
    """Naively: what stands between spaces, with signs cut off at both ends."""
    found = []
    for piece in sentence.lower().split():
        start, end = 0, len(piece)
        while start < end and not piece[start].isalnum():
            start += 1
        while end > start and not piece[end - 1].isalnum():
            end -= 1
        found += [*piece[:start], *([piece[start:end]] if start < end else []), *piece[end:]]
    return found


def grams(sentence, most):
    words = tokens(sentence)
    return [
        " ".join(words[start : start + size])
        for size in range(1, most + 1)
        for start in range(len(words) - size + 1)
    ]


def test_words_are_taken_apart():
    vocabulary = Vocabulary(SENTENCES)
    words = ["a", "cast", "film", "good", "it's", "no", "so-so", ".", ",", "!"]
    assert vocabulary.words[:2] == ["<padding>", "<unknown>"]
    assert sorted(vocabulary.words[2:]) == sorted(words)
    assert len(vocabulary) == 12
    assert repr(vocabulary) == "<Vocabulary of 12 words>"


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("min_count", [1, 2])
def test_words_are_by_frequency_and_then_by_the_alphabet(most, min_count):
    sentences = SENTENCES + POSITIVE
    counts = Counter(gram for sentence in sentences for gram in grams(sentence, most))
    expected = sorted(
        (gram for gram in counts if counts[gram] >= min_count), key=lambda g: (-counts[g], g)
    )
    settings = {"ngrams": (1, most), "min_count": min_count}
    assert Vocabulary(sentences, **settings).words[2:] == expected
    assert Vocabulary(sentences, max_words=7, **settings).words[2:] == expected[:7]


@pytest.mark.parametrize("unique", [False, True])
def test_indices_are_those_of_the_words(unique):
    vocabulary = Vocabulary(POSITIVE, ngrams=(1, 2), min_count=2)
    sentences, words = [*NEGATIVE, *POSITIVE, ""], set(vocabulary.words)
    indices = vocabulary.encode(sentences, unique=unique)
    assert indices.dtype == np.int64
    longest = 0
    for sentence, row in zip(sentences, indices, strict=True):
        expected = []
        for gram in grams(sentence, 2) or ["nothing known"]:
            index = vocabulary.words.index(gram) if gram in words else 1
            if not unique or index not in expected:
                expected.append(index)
        assert row[: len(expected)].tolist() == expected
        assert not row[len(expected) :].any()
        longest = max(longest, len(expected))
    assert indices.shape == (len(sentences), longest)


def test_a_length_cuts_and_pads():
    vocabulary = Vocabulary(["a b c"])
    assert vocabulary.encode(["a b c", "c"], 2).tolist() == [[2, 3], [4, 0]]
    assert vocabulary.encode(["a b c", "c"], 4).tolist() == [[2, 3, 4, 0], [4, 0, 0, 0]]
    assert vocabulary.encode(["a b c", "c"], 1).tolist() == [[2], [4]]


def test_texts_without_words_are_one_unknown_word():
    vocabulary = Vocabulary(["a", ""])
    assert vocabulary.encode(["", " \t\n", "z", "a"]).tolist() == [[1], [1], [1], [2]]
    assert vocabulary.encode([]).shape == (0, 1)
    assert Vocabulary([""]).encode(["a b", ""]).tolist() == [[1, 1], [1, 0]]


def test_case_is_kept_on_request():
    assert Vocabulary(["The the"]).words[2:] == ["the"]
    vocabulary = Vocabulary(["The the"], lowercase=False)
    assert vocabulary.words[2:] == ["The", "the"]
    assert vocabulary.encode(["the THE"]).tolist() == [[3, 1]]


def test_a_bag_says_what_is_there():
    vocabulary = Vocabulary(POSITIVE, ngrams=(1, 2), max_words=150)
    bag = vocabulary.bag(NEGATIVE)
    assert bag.dtype == np.float32
    assert bag.shape == (100, 152)
    assert not bag[:, 0].any()
    for sentence, row in zip(NEGATIVE, bag, strict=True):
        present = set(grams(sentence, 2))
        expected = [float(word in present) for word in vocabulary.words[2:]]
        assert row[2:].tolist() == expected
        assert row[1] == float(not present <= set(vocabulary.words))


def test_what_a_words_index_says_is_in_the_words():
    vocabulary = Vocabulary(["a <unknown> b"])
    assert "<unknown>" not in vocabulary.words[2:]
    assert vocabulary.encode(["<padding>"]).min() >= 1


def test_numpys_strings_are_strings():
    array = np.array(SENTENCES)
    assert Vocabulary(array).words == Vocabulary(SENTENCES).words
    assert Vocabulary(iter(array.astype(object))).words == Vocabulary(SENTENCES).words


def test_a_data_set_is_encoded_by_what_it_trains_on():
    data = Dataset(
        np.array(["b a", "b c b"]), np.array([0, 1]), np.array(["d b a a"]), np.array([1])
    )
    numbers, vocabulary = encoded(data)
    assert vocabulary.words[2:] == ["b", "a", "c"]
    assert numbers.x_train.tolist() == [[2, 3, 0], [2, 4, 2]]
    assert numbers.x_test.tolist() == [[1, 2, 3]]
    assert numbers.y_train is data.y_train
    numbers, vocabulary = encoded(data, ngrams=(1, 2), min_count=2, unique=True)
    assert vocabulary.words[2:] == ["b"]
    assert numbers.x_train.tolist() == [[2, 1], [2, 1]]


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "text"),
    [
        (("a b",), {}, TypeError, "Vocabulary: sentences must be a list of strings, got 'a b'"),
        ((b"a b",), {}, TypeError, "sentences must be a list of strings, got b'a b'"),
        ((5,), {}, TypeError, "sentences must be a list of strings, got 5"),
        ((["a", None],), {}, TypeError, r"sentences\[1\] must be a string, got None"),
        (([b"a"],), {}, TypeError, r"sentences\[0\] must be a string, got b'a'"),
        (([],), {}, ValueError, "Vocabulary: sentences must hold at least one, got none"),
        ((["a"],), {"max_words": 0}, ValueError, "max_words must be at least 1, got 0"),
        ((["a"],), {"min_count": 1.5}, TypeError, "min_count must be an int, got 1.5"),
        ((["a"],), {"lowercase": "no"}, TypeError, "lowercase must be a bool, got 'no'"),
        ((["a"],), {"ngrams": 2}, TypeError, "ngrams must be two ints, got 2"),
        ((["a"],), {"ngrams": (0, 1)}, ValueError, "ngrams must be at least 1, got 0"),
        ((["a"],), {"ngrams": (2, 1)}, ValueError, r"ngrams must not be desc.*, got \(2, 1\)"),
    ],
)
def test_bad_arguments_are_told(arguments, settings, error, text):
    with pytest.raises(error, match=text):
        Vocabulary(*arguments, **settings)


def test_calls_tell_what_is_no_list_of_strings():
    vocabulary = Vocabulary(["a"])
    for method in ("encode", "bag"):
        with pytest.raises(TypeError, match=rf"^Vocabulary\.{method}: sentences must be a list"):
            getattr(vocabulary, method)("a b")
    with pytest.raises(ValueError, match=r"^Vocabulary\.encode: length must be at least 1, got 0"):
        vocabulary.encode(["a"], 0)


def test_without_scikit_learn_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    with pytest.raises(ImportError, match=r'^Vocabulary: .*pip install "fastdrop\[app\]"'):
        Vocabulary(["a"])


def test_sentences_of_the_tests_have_no_signs_within_words():
    # Else `tokens` would not be the rule that is documented.
    for sentence in POSITIVE + NEGATIVE:
        assert re.fullmatch(r"[a-z ,.:'-]+", sentence)


def test_the_room_is_lazy():
    assert fastdrop.text.Vocabulary is Vocabulary
