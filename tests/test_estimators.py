"""The estimators: scikit-learn's own checks, and scikit-learn's own MLP as the oracle.

Without noise both draw the same numbers from the same `random_state`, so that weights,
batches and losses are comparable number by number.
"""

import copy
import pickle
import re
import threading
import warnings

import numpy as np
import pytest
from processes import run_code
from scipy import sparse
from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

import fastdrop
from fastdrop import nn
from fastdrop.estimators.parameters import ACTIVATIONS, KINDS
from fastdrop.estimators.terms import HalfPoissonDeviance, HalfSquaredError, SummedCrossEntropy

OURS = (fastdrop.MLPClassifier, fastdrop.MLPRegressor)
THEIRS = {
    fastdrop.MLPClassifier: neural_network.MLPClassifier,
    fastdrop.MLPRegressor: neural_network.MLPRegressor,
}
OWN = {"dropout", "input_dropout", "kind", "max_norm", "class_weight"}

# Checks call what warns on purpose, and scikit-learn skips what needs other packages.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::sklearn.exceptions.SkipTestWarning"
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread_of_blas():
    """Products as small as scikit-learn's here are slow on two, and very slow beside others."""
    with threadpool_limits(1, user_api="blas"):
        yield


# scikit-learn's checks

REPETITION = (
    "a sample that is there twice is dropped in two ways at once, one of weight 2 in one way"
)


def excused(estimator):
    """What no random mask can satisfy."""
    if not estimator.dropout:
        return {}
    name = "check_sample_weight_equivalence_on_{}_data"
    return {name.format(kind): REPETITION for kind in ("dense", "sparse")}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [make(**given) for make in OURS for given in ({}, {"dropout": 0.5})],
    expected_failed_checks=excused,
    xfail_strict=True,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("make", OURS)
def test_parameters_and_defaults_are_scikit_learn_s(make):
    ours, theirs = make().get_params(), THEIRS[make]().get_params()
    assert {name: ours[name] for name in theirs} == theirs
    assert ours.keys() - theirs.keys() <= OWN
    # By position, too.
    first = ("poisson", (3,), "tanh") if make is fastdrop.MLPRegressor else ((3,), "tanh")
    ours, theirs = make(*first).get_params(), THEIRS[make](*first).get_params()
    assert {name: ours[name] for name in theirs} == theirs


# scikit-learn's MLP


def numbers(samples=230, features=6, kind=np.float64):
    rng = np.random.default_rng(3)
    return rng.standard_normal((samples, features)).astype(kind), rng


def classes(count=3, samples=230):
    x, rng = numbers(samples)
    names = np.array(["ant", "bee", "cow", "dog"][:count])
    return x, names[(x @ rng.standard_normal((6, count))).argmax(axis=1)]


def labels(samples=230):
    x, rng = numbers(samples)
    return x, (x @ rng.standard_normal((6, 3)) > 0.3).astype(int)


def targets(outputs=1, samples=230):
    x, rng = numbers(samples)
    y = x @ rng.standard_normal((6, outputs)) + 0.1 * rng.standard_normal((samples, outputs))
    return x, y[:, 0] if outputs == 1 else y


def counts(samples=230):
    x, rng = numbers(samples)
    return x, rng.poisson(np.exp(0.5 * x[:, 0]))


CLASSIFIER = {"three": classes, "two": lambda: classes(2), "labels": labels}
REGRESSOR = {"one": targets, "two": lambda: targets(2)}
DATA = {
    **{f"classifier-{name}": (fastdrop.MLPClassifier, data) for name, data in CLASSIFIER.items()},
    **{f"regressor-{name}": (fastdrop.MLPRegressor, data) for name, data in REGRESSOR.items()},
}
SETTINGS = {
    "defaults": {},
    "order": {"shuffle": False},
    "layers": {"hidden_layer_sizes": [9, 7], "activation": "tanh"},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "logistic": {"activation": "logistic", "hidden_layer_sizes": 9},
    "identity": {"activation": "identity"},
    "alpha": {"alpha": 3.0},
    "adam": {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-3, "learning_rate_init": 0.01},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.02},
    "sgd, no nesterov": {
        "solver": "sgd",
        "learning_rate_init": 0.02,
        "nesterovs_momentum": False,
        "momentum": 0.5,
    },
    "sgd, no momentum": {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0},
    "invscaling": {
        "solver": "sgd",
        "learning_rate": "invscaling",
        "learning_rate_init": 0.1,
        "power_t": 0.2,
    },
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.05,
        "n_iter_no_change": 1,
        "tol": 0.01,
        "max_iter": 60,
    },
    "one batch": {"batch_size": "auto", "alpha": 0.1},
    "stops": {"tol": 0.02, "n_iter_no_change": 2, "max_iter": 200, "learning_rate_init": 0.01},
    "early stopping": {
        "early_stopping": True,
        "validation_fraction": 0.2,
        "n_iter_no_change": 3,
        "max_iter": 60,
        "learning_rate_init": 0.02,
    },
}


def pair(make, **given):
    """Ours and scikit-learn's."""
    given = {"batch_size": 48, "max_iter": 12, "random_state": 5, **given}
    return make(**given), THEIRS[make](**given)


def assert_same(ours, theirs, x, rtol=1e-7):
    """That both have learned the same in the same epochs."""
    close = {"rtol": rtol, "atol": 1e-9}
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, **close)
    for name in ("coefs_", "intercepts_"):
        for mine, other in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert mine.dtype == other.dtype
            np.testing.assert_allclose(mine, other, rtol=rtol, atol=1e-8)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("loss_", "best_loss_", "validation_scores_", "best_validation_score_"):
        expected = getattr(theirs, name)
        if expected is None:
            assert getattr(ours, name) is None
        else:
            np.testing.assert_allclose(getattr(ours, name), expected, **close)
    np.testing.assert_allclose(_predicted(ours, x), _predicted(theirs, x), rtol=rtol, atol=1e-8)
    if hasattr(ours, "classes_"):
        np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
        found = ours.predict_log_proba(x)
        np.testing.assert_allclose(found, theirs.predict_log_proba(x), rtol=10 * rtol, atol=1e-8)


def _predicted(estimator, x):
    return getattr(estimator, "predict_proba", estimator.predict)(x)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_same_random_state_trains_the_network_of_scikit_learn(data, setting):
    make, samples = DATA[data]
    x, y = samples()
    ours, theirs = pair(make, **SETTINGS[setting])
    assert_same(ours.fit(x, y), theirs.fit(x, y), x)
    if make is fastdrop.MLPClassifier:
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    assert ours.score(x, y) == pytest.approx(theirs.score(x, y), rel=1e-9)
    if setting == "stops":
        assert 3 < ours.n_iter_ < 200
    if setting == "adaptive":
        rate = ours._network.optimizer.learning_rate
        assert rate == pytest.approx(theirs._optimizer.learning_rate)
        assert rate < 0.05
    if setting == "early stopping":
        assert len(ours.validation_scores_) == ours.n_iter_


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_sample_weights_are_scikit_learn_s(data, solver):
    make, samples = DATA[data]
    x, y = samples()
    weights = np.random.default_rng(1).uniform(0.1, 3, len(x))
    ours, theirs = pair(make, solver=solver, alpha=0.5, early_stopping=solver == "sgd")
    assert_same(ours.fit(x, y, weights), theirs.fit(x, y, sample_weight=weights), x)
    ours, theirs = pair(make, solver=solver)
    for _ in range(2):
        assert_same(_part(ours, x, y, weights), _part(theirs, x, y, weights), x)


def _part(estimator, x, y, weights=None):
    more = {}
    if hasattr(estimator, "predict_proba"):
        more["classes"] = np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])
    return estimator.partial_fit(x, y, sample_weight=weights, **more)


def test_poisson_loss_is_scikit_learn_s():
    x, y = counts()
    weights = np.random.default_rng(1).uniform(0.1, 3, len(x))
    for given in ({}, {"sample_weight": weights}):
        ours, theirs = pair(fastdrop.MLPRegressor, loss="poisson")
        assert_same(ours.fit(x, y, **given), theirs.fit(x, y, **given), x)
    with pytest.raises(ValueError, match="y must be finite and at least 0 for the loss 'poisson'"):
        ours.fit(x, y - 1)


@pytest.mark.parametrize("data", DATA)
def test_lbfgs_is_scikit_learn_s(data):
    make, samples = DATA[data]
    x, y = samples()
    weights = np.random.default_rng(1).uniform(0.1, 3, len(x))
    for given in ({}, {"sample_weight": weights}):
        ours, theirs = pair(make, solver="lbfgs", alpha=1.0, max_iter=8)
        with pytest.warns(ConvergenceWarning, match="hasn't converged"):
            ours.fit(x, y, **given)
        theirs.fit(x, y, **given)
        np.testing.assert_allclose(_predicted(ours, x), _predicted(theirs, x), rtol=1e-4, atol=1e-6)
        assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-6)
        assert ours.n_iter_ == theirs.n_iter_
    assert not hasattr(ours, "partial_fit")


def test_float32_stays():
    x, y = classes()
    ours, theirs = pair(fastdrop.MLPClassifier)
    x = x.astype(np.float32)
    assert_same(ours.fit(x, y), theirs.fit(x, y), x, rtol=2e-3)
    assert ours.coefs_[0].dtype == ours.predict_proba(x).dtype == np.float32
    x, y = targets(2)
    reg = pair(fastdrop.MLPRegressor)[0].fit(x.astype(np.float32), y.astype(np.float32))
    assert reg.predict(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_sparse_input_is_as_dense(kind):
    x, y = classes(samples=1500)
    x[np.abs(x) < 0.7] = 0
    dense, other = (pair(fastdrop.MLPClassifier, max_iter=3)[0] for _ in range(2))
    dense.fit(x, y)
    other.fit(kind(x), y)
    assert dense.loss_curve_ == other.loss_curve_
    # The network keeps its dtype.
    dense.partial_fit(x.astype(np.float32), y)
    other.partial_fit(kind(x.astype(np.float32)), y)
    assert dense.loss_curve_ == other.loss_curve_
    assert other.coefs_[0].dtype == np.float64
    np.testing.assert_array_equal(other.predict_proba(kind(x)), dense.predict_proba(x))


def test_sparse_labels_come_back_sparse():
    x, y = labels()
    ours, theirs = (e.fit(x, sparse.csr_matrix(y)) for e in pair(fastdrop.MLPClassifier))
    found = ours.predict(x)
    assert sparse.issparse(found)
    np.testing.assert_array_equal(found.toarray(), theirs.predict(x).toarray())


# Training again


@pytest.mark.parametrize("data", ["classifier-three", "regressor-one"])
@pytest.mark.parametrize("setting", ["defaults", "invscaling", "sgd"])
def test_warm_start_is_scikit_learn_s(data, setting):
    make, samples = DATA[data]
    x, y = samples()
    ours, theirs = pair(make, **{**SETTINGS[setting], "warm_start": True, "max_iter": 4})
    for _ in range(3):
        assert_same(ours.fit(x, y), theirs.fit(x, y), x)
    for each in (ours, theirs):
        each.set_params(alpha=1.0, learning_rate_init=0.005)
    assert_same(ours.fit(x, y), theirs.fit(x, y), x)


def test_warm_start_takes_new_dropout_and_refuses_other_layers():
    x, y = classes()
    clf = pair(fastdrop.MLPClassifier, warm_start=True)[0].fit(x, y)
    before = [w.copy() for w in clf.coefs_]
    clf.set_params(dropout=0.5, learning_rate_init=1e-12, alpha=0).fit(x, y)
    assert [layer for layer in clf._network.layers if layer.noisy]
    for weight, last in zip(clf.coefs_, before, strict=True):
        np.testing.assert_allclose(weight, last, atol=1e-9)
    with pytest.raises(ValueError, match=r"hidden_layer_sizes must be those of the last fit"):
        clf.set_params(hidden_layer_sizes=(9,)).fit(x, y)
    clf.set_params(hidden_layer_sizes=(100,))
    with pytest.raises(ValueError, match="y must have the classes of the last fit"):
        clf.fit(x[y != "ant"], y[y != "ant"])


@pytest.mark.parametrize("data", DATA)
def test_partial_fit_is_scikit_learn_s(data):
    make, samples = DATA[data]
    x, y = samples()
    ours, theirs = pair(make, alpha=0.1)
    for rows in (slice(0, 90), slice(90, 150), slice(150, 230)):
        assert_same(_part(ours, x[rows], y[rows]), _part(theirs, x[rows], y[rows]), x)
    # And on from a fit.
    ours, theirs = pair(make, solver="sgd", learning_rate="invscaling")
    assert_same(_part(ours.fit(x, y), x, y), _part(theirs.fit(x, y), x, y), x)


def test_partial_fit_needs_the_classes_first():
    x, y = classes()
    clf = fastdrop.MLPClassifier(random_state=0)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        clf.partial_fit(x, y)
    clf.partial_fit(x[:9], y[:9], classes=["ant", "bee", "cow"])
    clf.partial_fit(x[y == "ant"], y[y == "ant"])
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        clf.partial_fit(x, y, classes=["ant", "bee"])
    with pytest.raises(ValueError, match="y must have the classes of the last fit"):
        clf.partial_fit(x, np.where(y == "ant", "owl", y))
    with pytest.raises(ValueError, match=r"partial_fit: early_stopping must be False"):
        clf.set_params(early_stopping=True).partial_fit(x, y)


def test_early_stopping_keeps_the_best_weights():
    x, y = classes(samples=400)
    rng = np.random.default_rng(0)
    y = np.where(rng.random(400) < 0.3, rng.permutation(y), y)  # to be overfitted
    clf = pair(fastdrop.MLPClassifier, early_stopping=True, learning_rate_init=0.05, max_iter=40)[
        0
    ].fit(x, y)
    assert clf.best_validation_score_ == max(clf.validation_scores_) > clf.validation_scores_[-1]
    longer = clone(clf).set_params(
        max_iter=clf.validation_scores_.index(max(clf.validation_scores_)) + 1
    )
    np.testing.assert_array_equal(longer.fit(x, y).predict_proba(x), clf.predict_proba(x))
    # A warm start that finds nothing better keeps them, too.
    before = clf.predict_proba(x)
    clf.set_params(warm_start=True, learning_rate_init=10.0).fit(x, y)
    np.testing.assert_array_equal(clf.predict_proba(x), before)
    with pytest.raises(ValueError, match="leaves 1 to stop by, and at least 2 are needed"):
        clone(clf).set_params(validation_fraction=0.001).fit(x, y)


# Weights


@pytest.mark.parametrize("data", ["classifier-three", "classifier-labels", "regressor-two"])
def test_weight_0_is_removal_to_the_bit_in_batches_too(data):
    make, samples = DATA[data]
    x, y = samples()
    weights = np.random.default_rng(2).integers(0, 2, len(x))
    given = {"dropout": 0.3, "batch_size": 16, "max_iter": 4, "random_state": 0}
    some = make(**given).fit(x, y, weights)
    rest = make(**given).fit(x[weights > 0], y[weights > 0])
    np.testing.assert_allclose(_predicted(some, x), _predicted(rest, x), rtol=1e-12)


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (np.zeros(230), "[Ss]ample weights must .*zero"),
        (-np.ones(230), "Negative values in data passed to `sample_weight`"),
        (np.ones(229), "sample_weight.shape == "),
    ],
)
def test_bad_sample_weights_are_told(weights, text):
    x, y = classes()
    with pytest.raises(ValueError, match=text):
        fastdrop.MLPClassifier().fit(x, y, weights)


@pytest.mark.parametrize("count", [2, 3])
def test_class_weights_are_sample_weights(count):
    x, y = classes(count)
    given = {"batch_size": 32, "max_iter": 5, "random_state": 0}
    own = np.random.default_rng(0).uniform(0.5, 1, len(x))
    by_class = {"ant": 3.0, "bee": 0.5}
    each = np.where(y == "ant", 3.0, np.where(y == "bee", 0.5, 1.0))
    found = fastdrop.MLPClassifier(**given, class_weight=by_class).fit(x, y, own)
    assert found.loss_curve_ == fastdrop.MLPClassifier(**given).fit(x, y, own * each).loss_curve_
    names, numbers = np.unique(y, return_counts=True)
    share = dict(zip(names, len(y) / (count * numbers), strict=True))
    found = fastdrop.MLPClassifier(**given, class_weight="balanced").fit(x, y)
    expected = neural_network.MLPClassifier(**given).fit(x, y, [share[name] for name in y])
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_)
    # A weight counts as so many samples here, too.
    times = np.random.default_rng(1).integers(0, 4, len(x))
    given["batch_size"] = times.sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fastdrop.MLPClassifier(**given, class_weight="balanced").fit(x, y, times)
    again = fastdrop.MLPClassifier(**given, class_weight="balanced")
    again.fit(x.repeat(times, axis=0), y.repeat(times))
    np.testing.assert_allclose(found.loss_curve_, again.loss_curve_)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ("often", ValueError, "class_weight must be a dict, 'balanced' or None, got 'often'"),
        ({"owl": 2}, ValueError, "class_weight must name classes of .* got 'owl'"),
        ({"ant": -1}, ValueError, r"class_weight\['ant'\] must be finite and at least 0, got -1"),
    ],
)
def test_bad_class_weights_are_told(given, error, text):
    with pytest.raises(error, match=rf"^MLPClassifier\.fit: {text}"):
        fastdrop.MLPClassifier(class_weight=given).fit(*classes())
    with pytest.raises(ValueError, match="class_weight needs one label a sample"):
        fastdrop.MLPClassifier(class_weight="balanced").fit(*labels())


# Noise


def test_the_network_is_the_one_described():
    x, y = classes()
    given = {"dropout": [0.1, 0.0], "input_dropout": 0.25, "max_norm": 1.5, "max_iter": 2}
    clf = fastdrop.MLPClassifier((8, 5), **given).fit(x, y)
    names = [type(layer).__name__ for layer in clf._network.layers]
    assert names == ["Dropout", "Dense", "ReLU", "Dropout", "Dense", "ReLU", "Dense"]
    assert [layer.rate for layer in clf._network.layers if layer.noisy] == [0.25, 0.1]
    for kind, noise in KINDS.items():
        clf = fastdrop.MLPClassifier((8, 5), dropout=0.2, kind=kind, max_iter=2).fit(x, y)
        assert [type(layer) for layer in clf._network.layers if layer.noisy] == [noise] * 2
    for name, found in ACTIVATIONS.items():
        clf = fastdrop.MLPClassifier(activation=name, max_iter=2).fit(x, y)
        assert [type(layer) for layer in clf._network.layers[1:-1]] == found


@pytest.mark.parametrize("make", OURS)
def test_dropout_trains_a_sequential_with_the_same_masks(make):
    """The losses of the first epoch, by hand: the first mask of the stream, in NumPy."""
    x, y = classes(2) if make is fastdrop.MLPClassifier else targets()
    given = {"hidden_layer_sizes": (20,), "max_iter": 1, "random_state": 3}
    est = make(dropout=0.4, batch_size=230, shuffle=False, **given).fit(x, y)
    start = THEIRS[make](learning_rate_init=1e-12, **given).fit(x, y)
    rng = np.random.RandomState(3).randint(2**63 - 1, dtype=np.int64)
    mask = nn.sources.sources(int(rng), "test").masks.draw((230, 20), 0.4)
    w, b = start.coefs_, start.intercepts_
    out = np.where(mask.keep(), np.maximum(x @ w[0] + b[0], 0) / 0.6, 0) @ w[1] + b[1]
    if make is fastdrop.MLPClassifier:
        p = 1 / (1 + np.exp(-out[:, 0]))
        loss = -np.log(np.where(y == "bee", p, 1 - p)).mean()
    else:
        loss = ((out[:, 0] - y) ** 2).mean() / 2
    loss += 0.5e-4 * sum((each**2).sum() for each in w) / 230
    assert est.loss_ == pytest.approx(loss, rel=1e-7)


def test_dropout_begins_with_the_weights_and_the_batches_of_none():
    x, y = classes()
    given = {"learning_rate_init": 1e-12, "alpha": 0, "max_iter": 1, "random_state": 7}
    states = []
    for dropout in (0.0, 0.5):
        clf = fastdrop.MLPClassifier(dropout=dropout, **given).fit(x, y)
        states.append((clf.coefs_[0].round(6), clf._random_state.get_state()[1]))
    np.testing.assert_array_equal(states[0][0], states[1][0])
    np.testing.assert_array_equal(states[0][1], states[1][1])


def test_an_int_reproduces_and_none_does_not():
    x, y = classes()
    found = [
        fastdrop.MLPClassifier(dropout=0.5, max_iter=2, random_state=seed).fit(x, y).loss_
        for seed in (0, 0, np.random.RandomState(0), 1, None, None)
    ]
    assert found[0] == found[1] == found[2]
    assert len(set(found)) == 4


def test_max_norm_holds():
    x, y = classes()
    clf = fastdrop.MLPClassifier((30, 20), max_norm=0.5, dropout=0.2, max_iter=3).fit(x, y)
    for weight in clf.coefs_[:-1]:
        norms = np.linalg.norm(weight, axis=0)
        assert norms.max() == pytest.approx(0.5, abs=1e-6)
    assert np.linalg.norm(clf.coefs_[-1], axis=0).max() > 0.5


@pytest.mark.parametrize("data", DATA)
def test_predict_mc_is_of_what_predict_gives(data):
    make, samples = DATA[data]
    x, y = samples()
    est = make(hidden_layer_sizes=10, dropout=0.3, max_iter=3, random_state=0).fit(x, y)
    found = est.predict_mc(x[:7], samples=400, random_state=1, return_samples=True)
    shape = _predicted(est, x[:7]).shape
    assert found.mean.shape == found.std.shape == shape
    assert found.samples.shape == (400, *shape)
    np.testing.assert_allclose(found.samples.mean(axis=0), found.mean, atol=1e-12)
    np.testing.assert_allclose(found.samples.std(axis=0), found.std, atol=1e-9)
    classifies = make is fastdrop.MLPClassifier
    assert (found.entropy is not None) == classifies
    if classifies and y.ndim == 1:
        np.testing.assert_allclose(found.mean.sum(axis=1), 1)
        entropy = -(found.mean * np.log(found.mean)).sum(axis=1)
        np.testing.assert_allclose(found.entropy, entropy)
    # The same int, the same samples; and predict is as it was, without noise.
    again = est.predict_mc(sparse.csr_array(x[:7]), samples=400, random_state=1)
    np.testing.assert_array_equal(again.mean, found.mean)
    assert est.predict_mc(x[:7], samples=400, random_state=2).mean.tolist() != found.mean.tolist()
    np.testing.assert_array_equal(_predicted(est, x), _predicted(est, x))


def test_predict_mc_without_noise_is_an_error():
    clf = fastdrop.MLPClassifier(max_iter=1)
    with pytest.raises(NotFittedError, match="not fitted"):
        clf.predict_mc([[0.0] * 6])
    text = r"^MLPClassifier\.predict_mc: needs a fit with dropout or input_dropout above 0"
    with pytest.raises(ValueError, match=text):
        clf.fit(*classes()).predict_mc(classes()[0])


# Mistakes


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"dropout": 1.5}, r"dropout: rate must be in \[0, 1\], got 1.5"),
        ({"dropout": [0.1, -0.5]}, r"dropout: rate must be in \[0, 1\], got -0.5 in it"),
        ({"dropout": "half"}, "dropout: rate must be a number or an array of numbers, got 'half'"),
        (
            {"dropout": [0.1, 0.2, 0.3]},
            r"dropout must be one rate or one for each of the 2 hidden layers, got \[0.1, 0.2, ",
        ),
        ({"input_dropout": 2}, r"input_dropout: rate must be in \[0, 1\], got 2"),
        ({"input_dropout": [0.1]}, r"input_dropout must be one rate, got \[0.1\]"),
        (
            {"kind": "spatial"},
            "kind must be one of 'dropout', 'gaussian', 'alpha', 'adaptive', got 'spatial'",
        ),
        ({"solver": "rmsprop"}, "solver must be one of 'adam', 'sgd', 'lbfgs', got 'rmsprop'"),
        ({"activation": None}, "activation must be one of 'identity', .* got None"),
        ({"learning_rate": 0.1}, "learning_rate must be one of 'constant', .* got 0.1"),
        ({"solver": "lbfgs", "dropout": 0.5}, "solver must be 'adam' or 'sgd' with dropout"),
        ({"alpha": -1}, "alpha must be finite and at least 0, got -1"),
        ({"learning_rate_init": 0.0}, "learning_rate_init must be above 0, got 0.0"),
        ({"epsilon": "tiny"}, "epsilon must be a number, got 'tiny'"),
        ({"beta_2": 1.0}, r"beta_2 must be in \[0, 1\), got 1.0"),
        ({"momentum": 1}, r"momentum must be in \[0, 1\), got 1"),
        ({"validation_fraction": 1.0}, r"validation_fraction must be in \[0, 1\), got 1.0"),
        ({"max_iter": 0}, "max_iter must be at least 1, got 0"),
        ({"max_iter": 1.5}, "max_iter must be an int, got 1.5"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": "all"}, "batch_size must be an int, got 'all'"),
        ({"n_iter_no_change": 0}, "n_iter_no_change must be at least 1, got 0"),
        ({"hidden_layer_sizes": (8, 0)}, "hidden_layer_sizes must be at least 1, got 0"),
        ({"hidden_layer_sizes": "8"}, "hidden_layer_sizes must be an int, got '8'"),
        ({"shuffle": "yes"}, "shuffle must be a bool, got 'yes'"),
        ({"max_norm": -2}, "max_norm must be finite and at least 0, got -2"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("make", OURS)
def test_a_mistake_gets_one_line(make, given, text):
    x, y = targets()
    y = y > 0
    est = make(**{"hidden_layer_sizes": (8, 5), **given})
    with pytest.raises((TypeError, ValueError), match=text) as caught:
        est.fit(x, y)
    said = str(caught.value)
    assert said.startswith(f"{make.__name__}.fit: ")
    assert "\n" not in said
    with pytest.raises(NotFittedError, match="not fitted"):
        est.predict(x)


def test_an_unknown_loss_is_told():
    with pytest.raises(
        ValueError, match="loss must be one of 'squared_error', 'poisson', got 'l1'"
    ):
        fastdrop.MLPRegressor("l1").fit(*targets())


def test_numbers_that_overflow_are_told():
    x, y = targets()
    with pytest.raises(ValueError, match=r"loss is (inf|nan); .* or X has to be scaled"):
        fastdrop.MLPRegressor(solver="sgd", learning_rate_init=1e3).fit(x * 1e100, y)


def test_warnings_are_scikit_learn_s():
    x, y = classes()
    with pytest.warns(ConvergenceWarning, match="max_iter=2 epochs were reached") as caught:
        fastdrop.MLPClassifier(max_iter=2).fit(x, y)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="batch_size 500 is clipped to the number of samples, 230"):
        fastdrop.MLPClassifier(max_iter=2, batch_size=500).fit(x, y)
    with pytest.warns(DataConversionWarning):
        fastdrop.MLPClassifier(max_iter=2).fit(x, y[:, None])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastdrop.MLPClassifier(max_iter=200, tol=0.1).fit(x, y)
        fastdrop.MLPClassifier().partial_fit(x, y, classes=np.unique(y))


def test_verbose_says_what_scikit_learn_says(capsys):
    x, y = classes()
    given = {"verbose": True, "learning_rate": "adaptive", "solver": "sgd", "max_iter": 30}
    given |= {"learning_rate_init": 0.1, "n_iter_no_change": 1, "tol": 0.05}
    for early in (False, True):
        said = []
        for each in pair(fastdrop.MLPClassifier, early_stopping=early, **given):
            each.fit(x, y)
            said.append(capsys.readouterr().out)
        assert said[0] == said[1]
        assert "Setting learning rate" in said[0]


def test_ctrl_c_leaves_a_fitted_estimator(monkeypatch):
    x, y = classes()
    clf = fastdrop.MLPClassifier(dropout=0.2, max_iter=9, batch_size=100)
    real, calls = nn.Sequential._step, []

    def interrupted(*arguments):
        calls.append(None)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(nn.Sequential, "_step", interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        clf.fit(x, y)
    assert clf.n_iter_ == len(clf.loss_curve_) == 2
    assert clf.predict(x).shape == y.shape


# Life with scikit-learn


def digits():
    x, y = load_digits(return_X_y=True)
    return x[:600] / 16, y[:600]


def test_pipeline_and_grid_search_over_dropout():
    x, y = digits()
    given = {"max_iter": 15, "learning_rate_init": 0.01, "random_state": 0}
    pipe = make_pipeline(StandardScaler(), fastdrop.MLPClassifier((40,), **given))
    grid = {"mlpclassifier__dropout": [0.0, 0.3], "mlpclassifier__kind": ["dropout", "gaussian"]}
    search = GridSearchCV(pipe, grid, cv=2).fit(x, y)
    assert search.best_score_ > 0.8
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert search.predict_proba(x[:3]).shape == (3, 10)
    rates = {"dropout": [[0.1, 0.2], 0.5]}
    search = GridSearchCV(fastdrop.MLPClassifier((9, 9), max_iter=2), rates, cv=2).fit(x, y)
    assert search.best_params_["dropout"] in rates["dropout"]


def test_cross_val_score_on_two_processes_is_as_on_one():
    x, y = digits()
    given = {"max_iter": 10, "learning_rate_init": 0.01, "random_state": 0}
    clf = fastdrop.MLPClassifier((40,), dropout=0.2, **given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [cross_val_score(clf, x, y, cv=3, n_jobs=jobs).tolist() for jobs in (1, 2)]
    assert found[0] == found[1]
    assert min(found[0]) > 0.8


@pytest.mark.parametrize("make", OURS)
def test_pickles_and_copies_predict_and_go_on_alike(make):
    x, y = classes() if make is fastdrop.MLPClassifier else targets()
    given = {"max_iter": 3, "random_state": np.random.RandomState(0)}
    est = make(hidden_layer_sizes=(10,), dropout=0.4, **given).fit(x, y)
    others = [pickle.loads(pickle.dumps(est)), copy.deepcopy(est)]
    for other in others:
        np.testing.assert_array_equal(_predicted(other, x), _predicted(est, x))
    expected = est.partial_fit(x, y).loss_
    for other in others:
        # The same weights, moments, batches and masks.
        assert other.partial_fit(x, y).loss_ == expected
        np.testing.assert_array_equal(_predicted(other, x), _predicted(est, x))


def test_a_pickle_is_of_the_size_of_the_weights():
    x, y = digits()
    clf = fastdrop.MLPClassifier((300,), max_iter=2, dropout=0.5).fit(x, y)
    size = sum(array.nbytes for array in clf.coefs_)
    # Adam has two moments of each.
    assert len(pickle.dumps(clf)) < 3.2 * size + 60_000


def test_clones_are_not_fitted():
    est = fastdrop.MLPClassifier(dropout=[0.5], kind="alpha", max_iter=1).fit(*classes())
    other = clone(est)
    assert other.get_params() == est.get_params()
    with pytest.raises(NotFittedError, match="not fitted"):
        other.predict(classes()[0])
    assert not hasattr(other, "coefs_")


def test_what_is_written_into_the_weights_is_predicted_with():
    x, y = targets()
    reg = fastdrop.MLPRegressor(max_iter=1).fit(x, y)
    reg.coefs_[-1][...] = 0
    reg.intercepts_[-1][...] = 2.5
    assert (reg.predict(x) == 2.5).all()


def test_threads_predict_at_once():
    x, y = classes(samples=3000)
    clf = fastdrop.MLPClassifier((50, 50), activation="tanh", dropout=0.2, max_iter=1).fit(x, y)
    parts = [x[i::4] for i in range(4)]
    # A layer remembers its last output: none of these may be in the layers all share.
    before = [dict(vars(layer)) for layer in clf._network.layers]
    expected = [clf.predict_proba(part) for part in parts]
    clf.predict_mc(x[:10], samples=2)
    assert all(
        now is before[place][name]
        for place, layer in enumerate(clf._network.layers)
        for name, now in vars(layer).items()
    )
    wrong = []

    def work(part, right):
        for _ in range(20):
            if not np.array_equal(clf.predict_proba(part), right):
                wrong.append(None)

    threads = [
        threading.Thread(target=work, args=each) for each in zip(parts, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_names_are_lazy_and_scikit_learn_optional():
    code = "import fastdrop, sys; print('MLPClassifier' in dir(fastdrop), 'sklearn' in sys.modules)"
    assert run_code(code) == "True False"
    code = """
import sys
sys.modules["sklearn"] = None
import fastdrop
try:
    fastdrop.MLPRegressor
except ImportError as error:
    print(error)
"""
    said = run_code(code)
    assert re.fullmatch(r"fastdrop\.estimators: .* not installed: `pip install .*app.*`", said)


# The terms


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("kind", [SummedCrossEntropy, HalfSquaredError, HalfPoissonDeviance])
def test_gradients_are_those_of_the_sum_over_outputs(kind, outputs):
    rng = np.random.default_rng(0)
    z, weights = rng.standard_normal((5, outputs)), rng.uniform(0.5, 2, 5)
    y = rng.integers(0, 2, (5, outputs))
    loss = kind()
    found = (loss.forward(z, y, weights), loss.backward())[1]
    # Of the squares scikit-learn's loss is a mean over outputs, its gradient of their sum.
    factor = outputs if kind is HalfSquaredError else 1
    for place in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[place] = 1e-6
        rise = loss.forward(z + step, y, weights) - loss.forward(z - step, y, weights)
        assert found[place] == pytest.approx(factor * rise / 2e-6, rel=1e-6, abs=1e-9)
