"""Parts of the training samples."""

import numpy as np
import pytest

from fastdrop.data import Dataset
from fastdrop.samples import part, repeated

LABELS = np.repeat([0, 2, 5], [60, 30, 10])


def labelled(labels=LABELS):
    x = np.arange(len(labels), dtype=np.float32)[:, None]
    return Dataset(x, labels, x[:5], labels[:5])


@pytest.mark.parametrize("samples", [3, 4, 10, 20, 50, 99, 100])
def test_each_class_has_its_share(samples):
    data = labelled()
    some = part(data, samples, 7, "test")
    assert len(some.x_train) == len(some.y_train) == samples
    # Each sample once, with its own label.
    places = some.x_train[:, 0].astype(int)
    assert len(set(places)) == samples
    np.testing.assert_array_equal(some.y_train, LABELS[places])
    for label, share in ((0, 0.6), (2, 0.3), (5, 0.1)):
        count = (some.y_train == label).sum()
        assert count >= 1
        assert abs(count - share * samples) <= 1.5
    assert some.x_test is data.x_test


def test_a_seed_chooses_and_smaller_parts_are_in_larger_ones():
    def places(samples, seed):
        return set(part(labelled(), samples, seed, "test").x_train[:, 0].tolist())

    assert places(20, 1) == places(20, 1) != places(20, 2)
    assert places(3, 1) < places(10, 1) < places(40, 1) < places(100, 1)


@pytest.mark.parametrize("samples", [2, 101])
def test_a_part_must_have_every_class_and_be_there(samples):
    with pytest.raises(
        ValueError, match=f"test: samples must be from 3, one for each .* to 100, got {samples}"
    ):
        part(labelled(), samples, 0, "test")


def test_repeated_samples_are_the_same_ones():
    some = part(labelled(), 30, 0, "test")
    data = repeated(some, 100)
    assert len(data.x_train) == len(data.y_train) == 100
    counts = np.unique(data.x_train[:, 0], return_counts=True)[1]
    assert sorted(counts.tolist()) == [3] * 20 + [4] * 10
    np.testing.assert_array_equal(data.y_train, LABELS[data.x_train[:, 0].astype(int)])
    assert repeated(some, 30) is some
