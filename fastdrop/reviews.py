"""Sentences of film reviews, for and against: a published set, and a small one built in."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from fastdrop.data import Dataset
from fastdrop.nn.arguments import check_count

FOLDS = 10
# Label 0, then label 1.
_FILES = ("rt-polarity.neg", "rt-polarity.pos")
# As the archive is unpacked, or put under a shorter name, or the files alone.
_FOLDERS = ("rt-polarity", "rt-polaritydata", "")


def reviews(data_dir: str | os.PathLike[str] | None = None, fold: int = 0) -> Dataset:
    """Sentences and whether each is for (1) or against (0) what it speaks of.

    Parameters
    ----------
    data_dir : path-like, optional
        The folder that holds rt-polarity.pos and rt-polarity.neg, or one that
        has them in a subfolder ``rt-polarity`` or ``rt-polaritydata``, which
        goes first. By default what the environment variable ``FASTDROP_DATA``
        says; without that, 200 sentences that come with fastdrop. Nothing is
        downloaded.
    fold : int, default 0
        Which tenth is for the test, in [0, 10).

    Returns
    -------
    Dataset
        ``x`` are strings (samples,), those against first; ``y`` is int64.
        `fastdrop.text` makes numbers of them.

    Raises
    ------
    FileNotFoundError
        If a file is missing in the folder; the text says how to get it.
    ValueError
        If a file has no sentences, or `fold` is not in [0, 10).
    TypeError
        If `fold` is no int.

    Notes
    -----
    The folds are fixed and stratified: sentence ``i`` of each file is in fold
    ``i % 10``. The files are in latin-1, one sentence a line; a byte 0x85 in
    them, a line break to ``str.splitlines``, is within a sentence.

    References
    ----------
    Pang, Lee, "Seeing stars: exploiting class relationships for sentiment
    categorization with respect to rating scales", ACL 2005;
    https://www.cs.cornell.edu/people/pabo/movie-review-data/

    Examples
    --------
    >>> from fastdrop.reviews import reviews
    >>> data = reviews("folder/of/the/files")  # doctest: +SKIP
    >>> data.x_train.shape, data.x_test.shape  # doctest: +SKIP
    ((9594,), (1068,))
    """
    fold = check_count(fold, "fold", "reviews", least=0)
    if fold >= FOLDS:
        raise ValueError(f"reviews: fold must be in [0, {FOLDS}), got {fold}")
    root = data_dir or os.environ.get("FASTDROP_DATA")
    if root:
        classes = [_sentences(path) for path in _find(Path(root))]
    else:
        from fastdrop.sentences import NEGATIVE, POSITIVE

        classes = [NEGATIVE, POSITIVE]
    x = np.array([sentence for sentences in classes for sentence in sentences])
    y = np.repeat(np.arange(len(classes)), [len(sentences) for sentences in classes])
    places = np.concatenate([np.arange(len(sentences)) for sentences in classes])
    test = places % FOLDS == fold
    return Dataset(x[~test], y[~test], x[test], y[test])


def _find(root: Path) -> list[Path]:
    for folder in _FOLDERS:
        paths = [root / folder / name for name in _FILES]
        if all(path.is_file() for path in paths):
            return paths
    raise FileNotFoundError(
        f"reviews: the files {' and '.join(_FILES)} are needed, and are neither in "
        f"{root / _FOLDERS[0]} nor in {root}; unpack rt-polaritydata.tar.gz of "
        "https://www.cs.cornell.edu/people/pabo/movie-review-data/ and name the folder that has "
        "them with --data-dir (data_dir) or FASTDROP_DATA, or neither for the built-in sentences"
    )


def _sentences(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_bytes().decode("latin-1").split("\n")]
    sentences = [line for line in lines if line]
    if len(sentences) < FOLDS:
        raise ValueError(
            f"reviews: {path} must hold at least {FOLDS} sentences, one a line, "
            f"got {len(sentences)}; download it again"
        )
    return sentences
