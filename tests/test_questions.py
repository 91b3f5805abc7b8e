"""Experiments: what is trained, and what is said of it."""

import numpy as np
import pytest

import fastdrop
from fastdrop import experiments, nn
from fastdrop.data import Dataset, digits
from fastdrop.experiments import compare, datasize, family, sweep, tune
from fastdrop.kinds import KINDS
from fastdrop.samples import part, repeated
from fastdrop.summaries import Summary, best_of

QUICK = {"hidden": (12,), "epochs": 2, "batch_size": 64, "learning_rate": 0.05}


def plain(layers, seed=0, data=None, **changes):
    """Losses and test error of a network that is put together here."""
    data, quick = data or digits(), QUICK | changes
    model = nn.Sequential(layers, optimizer=nn.SGD(quick["learning_rate"], 0.9), rng=seed)
    history = model.fit(
        data.x_train, data.y_train, epochs=quick["epochs"], batch_size=64, verbose=False
    )
    return history.history["loss"], 1 - model.evaluate(data.x_test, data.y_test)["accuracy"]


def mlp(noise=(), first=(), units=12):
    return [*first, nn.Dense(units), nn.ReLU(), *noise, nn.Dense(10)]


def check_rows(run, expected):
    """The rows of a run are those trainings, arm by arm and seed by seed."""
    assert [(row["arm"], row["x"], row["seed"]) for row in run.rows] == [
        (arm, x, seed) for arm, x, seed, _ in expected
    ]
    for row, (*_, (losses, error)) in zip(run.rows, expected, strict=True):
        np.testing.assert_allclose(row["losses"], losses, rtol=1e-5)
        assert row["test_error"] == row["test_errors"][-1] == pytest.approx(error, abs=0.003)
        assert row["gap"] == row["test_error"] - row["train_error"]
        assert len(row["train_errors"]) == QUICK["epochs"]


def test_compare_is_plain_training():
    run = compare(**QUICK, rate=0.4, seeds=2, seed=5)
    expected = [
        (arm, x, seed, plain(mlp(noise), seed))
        for arm, x, noise in (("without dropout", 0, 0), ("with dropout", 0.4, 1))
        for seed in (5, 6)
        for noise in [[nn.Dropout(0.4)] if noise else []]
    ]
    check_rows(run, expected)
    assert run.kind == "compare"
    asked = {name: run.settings[name] for name in ("data", "rate", "seeds", "hidden", "epochs")}
    assert asked == {"data": "digits", "rate": 0.4, "seeds": [5, 6], "hidden": [12], "epochs": 2}
    assert run.settings["network"] == "64-12-10 units"
    assert (run.settings["train_samples"], run.settings["test_samples"]) == (896, 901)
    # The networks of the first seed.
    data = digits()
    for arm in ("without dropout", "with dropout"):
        (error,) = (r["test_error"] for r in run.rows if r["arm"] == arm and r["seed"] == 5)
        accuracy = run.model(arm).evaluate(data.x_test, data.y_test)["accuracy"]
        assert 1 - accuracy == pytest.approx(error)


def test_compare_says_what_it_found():
    run = compare(**QUICK, seeds=2)
    without, dropped = run.arms
    gap, error = run.findings
    assert f"{100 * dropped.gap:.2f} ± {100 * dropped.gap_spread:.2f} points, without it" in gap
    assert f"{100 * without.gap:.2f} ± {100 * without.gap_spread:.2f} points." in gap
    tests = np.array([row["test_error"] for row in run.rows]).reshape(2, 2)
    wins = (tests[1] < tests[0]).sum()
    assert error.endswith(f"is better with {wins} of 2 seeds.")
    assert ("does not lower it" in error) == (dropped.test_error >= without.test_error)


@pytest.mark.parametrize(("where", "first"), [("input", True), ("hidden", False)])
def test_sweep_is_plain_training(where, first):
    run = sweep((0, 0.3), where, **QUICK, seeds=2)
    expected = []
    for rate in (0, 0.3):
        noise = [nn.Dropout(rate)] if rate else []
        layers = mlp(first=noise) if first else mlp(noise)
        for seed in (0, 1):
            expected.append((f"{where} {rate}", rate, seed, plain(layers, seed)))
            layers = (
                mlp(first=[nn.Dropout(r.rate) for r in noise])
                if first
                else mlp([nn.Dropout(r.rate) for r in noise])
            )
    check_rows(run, expected)
    assert {row["where"] for row in run.rows} == {where}


def test_sweep_can_fix_what_is_active():
    run = sweep((0, 0.25, 0.5), fixed_active=True, **QUICK, seeds=1)
    expected = [
        (f"hidden {rate:g}", rate, 0, plain(mlp([nn.Dropout(rate)], units=units)))
        for rate, units in ((0, 12), (0.25, 16), (0.5, 24))
    ]
    check_rows(run, expected)
    assert len(run.findings) == 2
    assert run.findings[1].startswith("With one seed, small differences may be chance")


def images(size=12):
    rng = np.random.default_rng(0)
    x, y = rng.random((60, size, size, 1), np.float32), np.arange(60) % 3
    return Dataset(x[:45], y[:45], x[45:], y[45:])


def test_sweep_of_convolutions():
    data = images()
    for fixed, filters in ((False, (32, 64)), (True, (64, 128))):
        run = sweep(
            [0.5], "conv", model="cnn", data=data, hidden=(6,), epochs=1, seeds=1,
            fixed_active=fixed,
        )  # fmt: skip
        layers = []
        for count in filters:
            layers += [nn.Conv2D(count, 3), nn.ReLU(), nn.MaxPool2D(), nn.Dropout(0.5)]
        layers += [nn.Flatten(), nn.Dense(6), nn.ReLU(), nn.Dense(3)]
        model = nn.Sequential(layers, rng=0)
        history = model.fit(data.x_train, data.y_train, verbose=False)
        np.testing.assert_allclose(run.rows[0]["losses"], history.history["loss"], rtol=1e-5)


def test_sweep_finds_overfitting_and_underfitting():
    run = sweep((0, 0.5, 0.98), hidden=(100,), epochs=40, seeds=2)
    low, middle, high = run.arms
    assert high.train_error > 0.5 > middle.train_error
    assert min(run.arms, key=error) is middle or middle.test_error < low.test_error < 0.1
    assert run.findings[0].startswith("Lowest test error at hidden 0.5: ")
    assert any(words.startswith("From hidden 0.98 on it underfits") for words in run.findings)


@pytest.mark.parametrize(
    ("spread", "seeds", "expected"),
    [(0.0, 2, []), (0.0099, 2, []), (0.0101, 2, ["b"]), (0.03, 2, ["b", "c"]), (0.03, 1, [])],
)
def test_what_is_near_the_best_is_said(spread, seeds, expected):
    errors = {"a": 0.05, "b": 0.06, "c": 0.07}
    arms = [
        Summary(name, 0.0, seeds, 0.0, 0.0, test, spread, test, spread)
        for name, test in errors.items()
    ]
    best, near = best_of(arms)
    assert best is arms[0]
    assert [arm.arm for arm in near] == expected


def error(arm):
    return arm.test_error


def test_datasize_trains_parts_for_as_many_steps():
    run = datasize((20, 300), input_rate=0.1, rate=0.3, **QUICK, seeds=2)
    expected = []
    for size in (20, 300):
        for arm in ("without dropout", "with dropout"):
            for seed in (0, 1):
                data = repeated(part(digits(), size, seed, ""), 896)
                dropped = arm == "with dropout"
                first, noise = ([nn.Dropout(rate)] if dropped else [] for rate in (0.1, 0.3))
                layers = mlp(noise, first)
                expected.append((arm, size, seed, plain(layers, seed, data)))
    check_rows(run, expected)


def test_datasize_halves_what_there_is():
    run = datasize(**QUICK | {"epochs": 1}, seeds=1)
    sizes = [arm.x for arm in run.arms[::2]]
    assert sizes == [28, 56, 112, 224, 448, 896]
    gains = [
        a.test_error - b.test_error for a, b in zip(run.arms[::2], run.arms[1::2], strict=True)
    ]
    if max(gains) > 0:
        best = sizes[int(np.argmax(gains))]
        assert f"helps most with {best} training samples" in run.findings[0]
    else:
        assert "does not help" in run.findings[0]


def test_sentences_of_a_part_have_the_words_of_that_part(monkeypatch):
    monkeypatch.delenv("FASTDROP_DATA", raising=False)  # the reviews that come with the package
    run = datasize((10, 180), data="reviews", model="text", epochs=1, seeds=1, rate=0.2)
    assert [arm.x for arm in run.arms] == [10, 10, 180, 180]
    # Words that occur once are unknown ones, also where sentences are repeated.
    data = fastdrop.data.load("reviews")
    some = part(data, 10, 0, "")
    words = fastdrop.text.Vocabulary(some.x_train, min_count=2)
    small = fastdrop.setting.Setting("test", data=data, model="text", samples=10)
    assert small.options["words"] == len(words)
    assert len(small.data.x_train) == 180


def test_tune_grows_and_then_drops():
    data = digits(0.1)
    run = tune(layers=2, start=2, most=128, epochs=60, seeds=2, data=data, rate=0.3)
    *grown, one, both = run.arms
    assert [arm.x for arm in grown] == [2**power for power in range(1, len(grown) + 1)]
    assert {arm.arm for arm in grown} == {"without dropout"}
    lowest = {
        arm.x: max(min(row["train_errors"]) for row in run.rows if row["x"] == arm.x and
                   row["arm"] == "without dropout")
        for arm in grown
    }  # fmt: skip
    *small, last = lowest.values()
    assert last == 0 < min(small)
    assert (one.arm, both.arm) == ("with dropout 0.3", "with dropout 0.3, input 0.25")
    assert one.x == both.x == grown[-1].x < 128
    assert f"2 hidden layers of {one.x} units fit the training samples" in run.findings[0]
    assert run.settings["network"] == f"64-{one.x}-{one.x}-10 units"
    # The last one is plain training with both rates.
    layers = [nn.Dropout(0.25)]
    for _ in range(2):
        layers += [nn.Dense(one.x), nn.ReLU(), nn.Dropout(0.3)]
    model = nn.Sequential([*layers, nn.Dense(10)], optimizer=nn.Adam(1e-3), rng=1)
    history = model.fit(data.x_train, data.y_train, epochs=60, batch_size=32, verbose=False)
    np.testing.assert_allclose(run.rows[-1]["losses"], history.history["loss"], rtol=1e-3)


def test_tune_says_when_nothing_fits():
    run = tune(layers=1, start=1, most=2, epochs=1, seeds=1, input_rate=0)
    assert [(arm.arm, arm.x) for arm in run.arms] == [
        ("without dropout", 1),
        ("without dropout", 2),
        ("with dropout 0.5", 2),
    ]
    assert run.findings[0].startswith("Up to 1 hidden layer of 2 units nothing fits the training")


@pytest.mark.parametrize(
    ("model", "without"),
    [
        ("mlp", {"SpatialDropout2D", "FeatureAlphaDropout", "DropBlock2D", "EmbeddingDropout"}),
        ("cnn", {"EmbeddingDropout"}),
        (
            "regularized",
            {"SpatialDropout2D", "FeatureAlphaDropout", "DropBlock2D", "EmbeddingDropout",
             "Standout"},
        ),
        ("text", {"SpatialDropout2D", "FeatureAlphaDropout", "DropBlock2D"}),
    ],
)  # fmt: skip
def test_family_has_every_kind(model, without):
    data = "reviews" if model == "text" else images()
    run = family(model=model, data=data, hidden=(6, 6), epochs=2, seeds=1, rate=0.3)
    arms = [arm.arm for arm in run.arms]
    assert arms == ["without noise", *(name for name in KINDS if name not in without)]
    # They are all different, and different from none.
    losses = [tuple(row["losses"]) for row in run.rows]
    assert len(set(losses)) == len(losses)


def test_family_is_plain_training():
    def around(kind, *arguments, **options):
        return [nn.Dense(12), nn.ReLU(), kind(*arguments, **options)]

    steps, samples = 2 * 14, 896
    networks = {
        "without noise": mlp(),
        "Dropout": mlp([nn.Dropout(0.2)]),
        "GaussianDropout": mlp([nn.GaussianDropout(0.2)]),
        "GaussianNoise": mlp([nn.GaussianNoise(0.5)]),
        "AlphaDropout": mlp([nn.AlphaDropout(0.2)]),
        "CurriculumDropout": mlp([nn.CurriculumDropout(0.2, steps=steps)]),
        "AdaptiveDropout": mlp([nn.AdaptiveDropout(0.2)]),
        "VariationalDropout": mlp([nn.VariationalDropout(0.2, 10 / samples)]),
        "ConcreteDropout": around(
            nn.ConcreteDropout, nn.Dense(10), 0.2, dropout_regularizer=1 / samples
        ),
        "DropConnect": around(nn.DropConnect, 10, 0.2),
        "Standout": [nn.Standout(12), nn.Dense(10)],
    }
    run = family(**QUICK, rate=0.2, seeds=1)
    expected = [
        (name, 0.2 if name != "without noise" else 0, 0, plain(layers))
        for name, layers in networks.items()
    ]
    check_rows(run, expected)
    assert run.findings[0].startswith(f"Lowest test error with {min(run.arms[1:], key=error).arm}")


@pytest.mark.parametrize(
    ("ask", "settings", "kind", "text"),
    [
        (compare, {"rate": 1.5}, ValueError, r"compare: rate must be in \[0, 1\], got 1.5"),
        (compare, {"seeds": 0}, ValueError, "compare: seeds must be at least 1, got 0"),
        (compare, {"seed": -1}, ValueError, "compare: seed must be at least 0, got -1"),
        (compare, {"hiden": (3,)}, TypeError, "compare: 'hiden' is not one of its arguments"),
        (compare, {"data": "digit"}, ValueError, "name must be digits, mnist, .* got 'digit'"),
        (sweep, {"rates": []}, ValueError, "sweep: rates must hold at least one, got none"),
        (sweep, {"rates": [0.5, -0.1]}, ValueError, r"sweep: rate must be in \[0, 1\], got -0.1"),
        (sweep, {"rates": ["half"]}, TypeError, "sweep: rate"),
        (sweep, {"rates": [0.5, 0.5]}, ValueError, "sweep: rates must be different ones, got"),
        (sweep, {"rate": 0.5}, TypeError, "sweep: rates are given, not a rate"),
        (sweep, {"where": "conv"}, ValueError, "dropout at input or hidden, got 'conv'"),
        (sweep, {"where": ["input"]}, ValueError, "mlp can have dropout at input or hidden, got"),
        (sweep, {"data": "reviews", "model": "bigrams"}, ValueError, "at input, got 'hidden'"),
        (sweep, {"rates": [1], "fixed_active": True}, ValueError, "rate must be below 1 where"),
        (sweep, {"where": "input", "fixed_active": True}, ValueError, "can be fixed at hidden"),
        (datasize, {"sizes": [9]}, ValueError, "samples must be from 10, one for each .* got 9"),
        (datasize, {"sizes": [20, 897]}, ValueError, "samples must be .* to 896, got 897"),
        (datasize, {"sizes": []}, ValueError, "datasize: sizes must be different ones"),
        (datasize, {"sizes": [20, 20]}, ValueError, "datasize: sizes must be different ones"),
        (datasize, {"sizes": [20.5]}, TypeError, "datasize: sizes must be"),
        (datasize, {"input_rate": 2}, ValueError, r"datasize, input_rate: rate must be in "),
        (tune, {"hidden": (5,)}, ValueError, "tune: hidden must not be given, it is what"),
        (tune, {"start": 8, "most": 4}, ValueError, "tune: most must be at least start, 8, got 4"),
        (tune, {"input_rate": 0.3}, ValueError, r"input_rate must be in \[0, 0.25\], got 0.3"),
        (tune, {"rate": 0}, ValueError, r"tune: rate must be in \(0, 1\), got 0"),
        (family, {"rate": 1}, ValueError, "family: rate must be below 1 where noise"),
        (family, {"data": "reviews", "model": "lstm"}, ValueError, "must be mlp, cnn, .* got lstm"),
        (family, {"hidden": ()}, ValueError, r"with hidden layers, got mlp with \[\]"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_before_anything_is_trained(ask, settings, kind, text, monkeypatch):
    monkeypatch.setattr(nn.Sequential, "fit", None)
    with pytest.raises(kind, match=text):
        ask(**settings)


def test_only_one_arm_may_be_wrong(monkeypatch):
    monkeypatch.setattr(nn.Sequential, "fit", None)
    data = images(4)  # maps of 1 x 1 behind the second pool
    with pytest.raises(ValueError, match="must"):
        datasize((3, 500), data=data)
    with pytest.raises(ValueError, match="got 'pool'"):
        experiments.experiment.Experiment(
            "sweep", seeds=1, n_jobs=None, progress=False, data=data
        ).train([experiments.experiment.Case("a", 0, {}), experiments.experiment.Case(
            "b", 0, {"place": "pool"})])  # fmt: skip
