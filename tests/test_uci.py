"""The UCI sets with their splits, and the density of predictions."""

import os

import numpy as np
import pytest

from fastdrop.uci import load_uci, log_likelihood

RATES, TAUS = (0.005, 0.01, 0.05, 0.1), (0.25, 0.5, 0.75)

# Rows, features, and the published means over the splits.
FACTS = {
    "concrete": (1030, 8, 4.83, -2.94),
    "energy": (768, 8, 0.54, -1.21),
    "yacht": (308, 6, 0.67, -1.25),
}


def write(folder, **other):
    """A small set of five rows; `other` replaces files, and None leaves one out."""
    files = {
        "data": "1 2 9.5\n3 4 8\n5 6 7\n7 8 6\n9 10 5\n",
        "index_features": "0\n1\n",
        "index_target": "2\n",
        "index_train_0": "4\n0\n2\n",
        "index_test_0": "1.0\n3\n",
        "index_train_1": "0\n1\n2\n3\n",
        "index_test_1": "4\n",
        "dropout_rates": "\n".join(map(str, RATES)),
        "tau_values": "\n".join(map(str, TAUS)),
    }
    small = folder / "uci" / "small"
    small.mkdir(parents=True)
    for name, text in (files | other).items():
        if text is not None:
            (small / f"{name}.txt").write_text(text)
    return folder


def test_small_set(tmp_path):
    found = load_uci("small", write(tmp_path))
    assert (found.x == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]).all()
    assert (found.y == [9.5, 8, 7, 6, 5]).all()
    splits = [tuple(part.tolist() for part in split) for split in found.splits]
    assert splits == [([4, 0, 2], [1, 3]), ([0, 1, 2, 3], [4])]
    assert (found.rates, found.taus) == (RATES, TAUS)
    assert found.published == {}


def test_published_results(tmp_path):
    folder = write(tmp_path)
    results = folder / "uci" / "small" / "gal_results"
    results.mkdir()
    (results / "test_MC_rmse_100_xepochs_1_hidden_layers.txt").write_text("0.5\n0.75\n")
    (results / "test_ll_100_xepochs_1_hidden_layers.txt").write_text("-1\n-2.5\n")
    found = load_uci("small", folder).published
    assert {name: values.tolist() for name, values in found.items()} == {
        "rmse": [0.5, 0.75],
        "log_likelihood": [-1.0, -2.5],
    }


def test_folder_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTDROP_DATA", str(write(tmp_path)))
    assert load_uci("small").x.shape == (5, 2)
    monkeypatch.delenv("FASTDROP_DATA")
    with pytest.raises(FileNotFoundError, match="load_uci: give data_dir, or set FASTDROP_DATA"):
        load_uci("small")


@pytest.mark.parametrize(
    ("name", "text", "error", "words"),
    [
        ("data", None, FileNotFoundError, "data.txt"),
        ("index_train_0", None, FileNotFoundError, "index_train_0.txt"),
        ("index_test_1", None, FileNotFoundError, "index_test_1.txt"),
        ("data", "1 2 x\n", ValueError, "data.txt must hold numbers"),
        ("index_train_0", "5\n", ValueError, r"index_train_0.txt must hold indices in \[0, 5\)"),
        ("index_train_0", "-1\n", ValueError, r"index_train_0.txt must hold indices in \[0, 5\)"),
        ("index_test_0", "0.5\n", ValueError, r"index_test_0.txt must hold indices in \[0, 5\)"),
        ("index_test_0", "2\n3\n", ValueError, "share no row with its test part, got row 2"),
        ("index_target", "3\n", ValueError, r"index_target.txt must hold indices in \[0, 3\)"),
    ],
)
def test_bad_files(tmp_path, name, text, error, words):
    with pytest.raises(error, match=words):
        load_uci("small", write(tmp_path, **{name: text}))


@pytest.mark.skipif("FASTDROP_DATA" not in os.environ, reason="FASTDROP_DATA is not set")
@pytest.mark.parametrize("name", FACTS)
def test_the_real_sets(name):
    rows, features, rmse, likelihood = FACTS[name]
    found = load_uci(name)
    assert found.x.shape == (rows, features)
    assert found.y.shape == (rows,)
    assert len(found.splits) == 20
    for train, test in found.splits:
        assert sorted([*train, *test]) == list(range(rows))
        assert len(test) == pytest.approx(rows / 10, abs=1)
    assert found.rates == RATES
    assert round(found.published["rmse"].mean(), 2) == rmse
    assert round(found.published["log_likelihood"].mean(), 2) == likelihood


# The density


def normals(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("tau", [0.05, 1.0, 30.0])
def test_log_likelihood_is_that_of_a_mixture(tau):
    stats = pytest.importorskip("scipy.stats")
    samples, y = normals(50, 7), normals(7, seed=1)
    densities = stats.norm(samples, tau**-0.5).pdf(y).mean(axis=0)
    expected = np.log(densities).mean()
    assert log_likelihood(samples, y, tau) == pytest.approx(expected, rel=1e-12)


def test_log_likelihood_of_what_is_far_off():
    """Where every density is 0 in float64: the nearest sample is all that counts."""
    expected = -(99.0**2) / 2 * 8.0 - np.log(2) + np.log(8.0 / (2 * np.pi)) / 2
    assert log_likelihood([[0.0], [1.0]], [100.0], 8.0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("samples", "y", "tau", "words"),
    [
        ([[1.0]], [1.0, 2.0], 1.0, r"got \(1, 1\) and \(2,\)"),
        ([1.0], [1.0], 1.0, r"got \(1,\) and \(1,\)"),
        (np.ones((0, 2)), [1.0, 2.0], 1.0, r"got \(0, 2\) and \(2,\)"),
        ([[1.0]], [1.0], 0.0, "tau must be finite and above 0, got 0.0"),
        ([[1.0]], [1.0], np.nan, "tau must be finite and above 0, got nan"),
    ],
)
def test_log_likelihood_errors(samples, y, tau, words):
    with pytest.raises(ValueError, match=words):
        log_likelihood(samples, y, tau)
