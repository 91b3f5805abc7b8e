"""Sentences as numbers: a vocabulary, the indices of its words, bags of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastdrop.data import Dataset
from fastdrop.nn.arguments import check_count

PADDING, UNKNOWN = 0, 1

# Words with what an apostrophe or a hyphen joins to them, and signs one by one.
_TOKEN = r"\w+(?:['’-]\w+)*|[^\w\s]"


class Vocabulary:
    """The words of some sentences, each with an index.

    Parameters
    ----------
    sentences : iterable of str
        At least one.
    max_words : int, optional
        Keep the most frequent ones.
    min_count : int, default 1
        Keep those that occur so often.
    lowercase : bool, default True
        Take "The" for "the".
    ngrams : (int, int), default (1, 1)
        The least and the most words in a row that together have an index:
        (1, 2) are words and pairs of neighbours.

    Attributes
    ----------
    words : list of str
        What each index means. 0 is padding and 1 an unknown word; from 2 on
        they are by frequency, and those of the same by the alphabet.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind or out of its range.
    ImportError
        If scikit-learn is not installed; the text says how to get it.

    Notes
    -----
    Sentences are taken apart by scikit-learn's ``CountVectorizer``: a word is
    letters, digits and underscores, with apostrophes and hyphens inside, and
    any other sign that is no space is a word of its own.

    Examples
    --------
    >>> from fastdrop.text import Vocabulary
    >>> vocabulary = Vocabulary(["a fine film .", "a film , a bore !"])
    >>> vocabulary.words
    ['<padding>', '<unknown>', 'a', 'film', '!', ',', '.', 'bore', 'fine']
    >>> vocabulary.encode(["A dull film!", ""])
    array([[2, 1, 3, 4],
           [1, 0, 0, 0]])
    """

    def __init__(
        self,
        sentences: Iterable[str],
        *,
        max_words: int | None = None,
        min_count: int = 1,
        lowercase: bool = True,
        ngrams: tuple[int, int] = (1, 1),
    ) -> None:
        where = type(self).__name__
        if max_words is not None:
            max_words = check_count(max_words, "max_words", where)
        min_count = check_count(min_count, "min_count", where)
        if not isinstance(lowercase, bool):
            raise TypeError(f"{where}: lowercase must be a bool, got {lowercase!r}")
        self._parts = _analyzer(lowercase, _check_ngrams(ngrams, where), where)
        texts = _check_sentences(sentences, where)
        if not texts:
            raise ValueError(f"{where}: sentences must hold at least one, got none")
        counts = Counter(part for text in texts for part in self._parts(text))
        often = [item for item in counts.items() if item[1] >= min_count]
        often.sort(key=lambda item: (-item[1], item[0]))
        self.words = ["<padding>", "<unknown>", *(word for word, _ in often[:max_words])]
        self._indices = {word: index for index, word in enumerate(self.words) if index > UNKNOWN}

    def __len__(self) -> int:
        """How many indices there are, those of padding and of unknown words among them."""
        return len(self.words)

    def __repr__(self) -> str:
        return f"<Vocabulary of {len(self):,} words>"

    def encode(
        self, sentences: Iterable[str], length: int | None = None, *, unique: bool = False
    ) -> np.ndarray:
        """Indices of the words of each sentence, with padding behind them.

        Parameters
        ----------
        sentences : iterable of str
        length : int, optional
            T; what is longer is cut. By default that of the longest sentence.
        unique : bool, default False
            Each index of a sentence once, where it comes first: a bag.

        Returns
        -------
        ndarray of int64, shape (N, T)
            Where pairs have indices too, single words come first. A sentence
            without words is one unknown word.

        Raises
        ------
        TypeError, ValueError
            If an argument is of a wrong kind or out of its range.
        """
        where = f"{type(self).__name__}.encode"
        rows: list[Any] = []
        for text in _check_sentences(sentences, where):
            row = [self._indices.get(part, UNKNOWN) for part in self._parts(text)] or [UNKNOWN]
            rows.append(list(dict.fromkeys(row)) if unique else row)
        if length is None:
            length = max(map(len, rows), default=1)
        indices = np.full((len(rows), check_count(length, "length", where)), PADDING, np.int64)
        for place, row in zip(indices, rows, strict=True):
            place[: len(row)] = row[:length]
        return indices

    def bag(self, sentences: Iterable[str]) -> np.ndarray:
        """Which words there are in each sentence.

        Parameters
        ----------
        sentences : iterable of str

        Returns
        -------
        ndarray of float32, shape (N, len(vocabulary))
            1 where the word of that index is in the sentence, else 0. This is a
            large array: `encode` with ``unique=True``, `fastdrop.nn.Embedding`
            and `fastdrop.nn.GlobalSumPool1D` do without.

        Raises
        ------
        TypeError
            If `sentences` are no strings.

        Examples
        --------
        >>> from fastdrop.text import Vocabulary
        >>> vocabulary = Vocabulary(["so so", "so bad"], ngrams=(1, 2))
        >>> vocabulary.words[2:]
        ['so', 'bad', 'so bad', 'so so']
        >>> vocabulary.bag(["so so so", "bad"])[:, 2:]
        array([[1., 0., 0., 1.],
               [0., 1., 0., 0.]], dtype=float32)
        """
        indices = self.encode(_check_sentences(sentences, f"{type(self).__name__}.bag"))
        bag = np.zeros((len(indices), len(self)), np.float32)
        np.put_along_axis(bag, indices, 1, axis=1)
        bag[:, PADDING] = 0
        return bag


def encoded(
    data: Dataset, *, ngrams: tuple[int, int] = (1, 1), min_count: int = 1, unique: bool = False
) -> tuple[Dataset, Vocabulary]:
    """A data set of sentences as indices, and the vocabulary of those to train on.

    Parameters
    ----------
    data : Dataset
        ``x`` are strings.
    ngrams, min_count
        As of `Vocabulary`.
    unique : bool, default False
        As of `Vocabulary.encode`.

    Returns
    -------
    Dataset, Vocabulary
        ``x`` is int64 (samples, T), with one T for both parts: longer sentences
        of the test are cut.

    Raises
    ------
    TypeError, ImportError
        As by `Vocabulary`.
    """
    vocabulary = Vocabulary(data.x_train, ngrams=ngrams, min_count=min_count)
    x_train = vocabulary.encode(data.x_train, unique=unique)
    x_test = vocabulary.encode(data.x_test, x_train.shape[1], unique=unique)
    return data._replace(x_train=x_train, x_test=x_test), vocabulary


def _analyzer(lowercase: bool, ngrams: tuple[int, int], where: str) -> Callable[[str], list[str]]:
    try:
        from sklearn.feature_extraction.text import CountVectorizer
    except ImportError:
        raise ImportError(
            f'{where}: scikit-learn is not installed: `pip install "fastdrop[app]"`'
        ) from None
    vectorizer = CountVectorizer(lowercase=lowercase, ngram_range=ngrams, token_pattern=_TOKEN)
    return vectorizer.build_analyzer()


def _check_ngrams(ngrams: Any, where: str) -> tuple[int, int]:
    if not isinstance(ngrams, (tuple, list)) or len(ngrams) != 2:
        raise TypeError(f"{where}: ngrams must be two ints, got {ngrams!r}")
    least, most = (check_count(size, "ngrams", where) for size in ngrams)
    if least > most:
        raise ValueError(f"{where}: ngrams must not be descending, got {ngrams!r}")
    return least, most


def _check_sentences(sentences: Any, where: str) -> list[str]:
    if isinstance(sentences, (str, bytes)) or not isinstance(sentences, Iterable):
        raise TypeError(f"{where}: sentences must be a list of strings, got {sentences!r}")
    texts = list(sentences)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"{where}: sentences[{place}] must be a string, got {text!r}")
    return texts
