"""Callbacks, alone with a run of given figures and in `Sequential.fit`."""

from math import inf, nan

import numpy as np
import pytest

import fastdrop
from fastdrop.nn import SGD, Callback, Dense, History, Sequential
from fastdrop.nn.callbacks import (
    Checkpoint,
    EarlyStopping,
    LearningRateScheduler,
    ReduceOnPlateau,
)
from fastdrop.nn.schedules import CosineDecay, PiecewiseConstant


class Run:
    """A model without layers whose epochs give the figures that it is told.

    It calls callbacks in the order in which `Sequential.fit` does. Its one
    parameter and what it keeps beside that are, after each epoch, the number of
    epochs that are done.
    """

    def __init__(self, rate=1.0):
        self.optimizer = SGD(rate)
        self.layer = Dense(1)
        self.layer.params = {"weight": np.zeros(1)}
        self.layer.state = {"mean": np.zeros(1)}
        self.layers = [self.layer]
        self.history = History()
        self.epoch, self.stop_training = 0, False
        self.saved, self.rates, self.checkpoints = [], [], []

    def save(self, path):
        self.saved.append((path, self.epoch))

    def fit(self, figures, *callbacks, start=0, name="val_loss", interrupt=None):
        """Epochs `start` and after it; with `interrupt`, Ctrl-C within that epoch."""
        self.epoch, self.stop_training = start, False
        past = figures[:start]
        self.history = History({name: list(past)} if start else {})
        try:
            for callback in callbacks:
                callback.on_train_begin(self, len(figures), 3)
            for epoch in range(start, len(figures)):
                if self.stop_training:
                    break
                for callback in callbacks:
                    callback.on_epoch_begin(self, epoch)
                self.rates.append(self.optimizer.rate_at(0))
                self.layer.params["weight"][:] = self.layer.state["mean"][:] = epoch + 1
                if epoch == interrupt:
                    raise KeyboardInterrupt("in the middle")
                logs = {"loss": 0.5, name: figures[epoch]}
                self.history.append(logs)
                self.epoch = epoch + 1
                for callback in callbacks:
                    # What a checkpoint at any place among the callbacks would hold.
                    self.checkpoints.append((self.epoch, self.optimizer.rate_at(0)))
                    callback.on_epoch_end(self, epoch, logs)
                self.checkpoints.append((self.epoch, self.optimizer.rate_at(0)))
        finally:
            for callback in callbacks:
                callback.on_train_end(self)
        return self


def sequences():
    rng = np.random.default_rng(0)
    # Few different values, so that there are ties.
    return [rng.integers(0, 6, 12).astype(float).tolist() for _ in range(40)]


def naive_stop(figures, patience, min_delta, sign):
    """How many epochs are trained, and after which was the best."""
    best, place = None, 0
    for done, figure in enumerate(figures, 1):
        if best is None or sign * (best - figure) > min_delta:
            best, place = figure, done
        elif done - place >= max(patience, 1):
            return done, place
    return len(figures), place


def naive_rates(figures, factor, patience, least):
    """The rate of each epoch, from 1.0 on."""
    rate, rates, best, wait = 1.0, [], inf, 0
    for figure in figures:
        rates.append(rate)
        if figure < best:
            best, wait = figure, 0
        else:
            wait += 1
        if wait >= max(patience, 1):
            rate, wait = max(rate * factor, least), 0
    return rates


# EarlyStopping


@pytest.mark.parametrize("patience", [0, 1, 2, 4])
@pytest.mark.parametrize("min_delta", [0, 1.5])
@pytest.mark.parametrize(
    ("mode", "name", "sign"),
    [("auto", "val_loss", 1), ("auto", "val_accuracy", -1), ("max", "val_loss", -1)],
)
def test_early_stopping_ends_after_its_patience(patience, min_delta, mode, name, sign):
    for figures in sequences():
        stop = EarlyStopping(name, patience, min_delta, mode, restore_best=True)
        model = Run().fit(figures, stop, name=name)
        epochs, best = naive_stop(figures, patience, min_delta, sign)
        assert len(model.history.history["loss"]) == epochs
        assert model.layer.params["weight"][0] == best
        assert stop.best == figures[best - 1]
        assert stop.wait == epochs - best


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_early_stopping_goes_on_as_if_uninterrupted(patience):
    for figures in sequences():
        epochs, _ = naive_stop(figures, patience, 0, 1)
        for start in range(1, epochs + 1):
            model = Run().fit(figures, EarlyStopping("val_loss", patience), start=start)
            assert model.epoch == epochs


def test_weights_are_those_of_the_last_epoch_unless_restored():
    model = Run().fit([3, 2, 5, 6], EarlyStopping("val_loss", 2))
    assert model.layer.params["weight"][0] == 4
    model = Run().fit([3, 2, 5, 6], EarlyStopping("val_loss", 9, restore_best=True))
    assert model.layer.params["weight"][0] == model.layer.state["mean"][0] == 2


def test_ctrl_c_restores_nothing():
    model, stop = Run(), EarlyStopping("val_loss", 9, restore_best=True)
    with pytest.raises(KeyboardInterrupt, match="in the middle"):
        model.fit([3, 2, 5, 6], stop, interrupt=3)
    assert model.layer.params["weight"][0] == 4
    # The same callback has the best weights still, when the run goes on.
    model.fit([3, 2, 5, 6], stop, start=3)
    assert model.layer.params["weight"][0] == 2


def test_weights_of_a_run_that_goes_on():
    # The last epoch before is the best of all: the model has its weights.
    model = Run()
    model.layer.params["weight"][:] = 2
    model.fit([3, 1, 5, 6], EarlyStopping("val_loss", 2, restore_best=True), start=2)
    assert model.layer.params["weight"][0] == 2
    # An epoch before that is: its weights are gone, and it is said.
    model = Run()
    with pytest.warns(UserWarning, match="best val_loss, 1, is of an epoch before this run"):
        model.fit([1, 3, 5, 6], EarlyStopping("val_loss", 9, restore_best=True), start=2)
    assert model.layer.params["weight"][0] == 4
    # One after it is.
    model = Run().fit([2, 3, 1, 6], EarlyStopping("val_loss", 9, restore_best=True), start=2)
    assert model.layer.params["weight"][0] == 3


def test_nothing_of_another_run_is_restored():
    stop = EarlyStopping("val_loss", 9, restore_best=True)
    Run().fit([2, 1, 3], stop)
    model = Run().fit([9, 8, 7], stop)
    assert model.layer.params["weight"][0] == 3

    class Fails(Callback):
        def on_train_begin(self, model, epochs, steps):
            raise RuntimeError("before the first epoch")

    model = Run()
    with pytest.raises(RuntimeError, match="before the first epoch"):
        model.fit([9, 8, 7, 6], Fails(), stop, start=3)
    assert model.layer.params["weight"][0] == 0
    with pytest.warns(UserWarning, match="best val_loss, 4, is of an epoch before this run"):
        model.fit([4, 5, 6], stop, start=2)
    assert model.layer.params["weight"][0] == 3


def test_nan_is_never_the_best():
    model = Run().fit([nan, nan, nan], EarlyStopping("val_loss", 9, restore_best=True))
    assert model.layer.params["weight"][0] == 3
    model = Run().fit([nan, 2, nan, nan, nan], stop := EarlyStopping("val_loss", 2))
    assert (model.epoch, stop.best) == (4, 2)


# Checkpoint


def test_checkpoint_saves_each_epoch_under_its_name(tmp_path):
    model = Run().fit([3, 1, 2], Checkpoint("run"))
    assert model.saved == [("run", 1), ("run", 2), ("run", 3)]
    path = tmp_path / "m-{epoch:03d}-{val_loss:.2f}-{{x}}"
    model = Run().fit([3, 1.125], Checkpoint(path))
    names = [f"{tmp_path}/m-001-3.00-{{x}}", f"{tmp_path}/m-002-1.12-{{x}}"]
    assert model.saved == [(names[0], 1), (names[1], 2)]


@pytest.mark.parametrize(
    ("mode", "name", "sign"),
    [("auto", "val_loss", 1), ("auto", "accuracy", -1), ("min", "accuracy", 1)],
)
def test_checkpoint_saves_the_best_so_far(mode, name, sign):
    for figures in sequences():
        best = [
            epoch
            for epoch in range(1, 13)
            if all(sign * figures[epoch - 1] < sign * other for other in figures[: epoch - 1])
        ]
        model = Run().fit(figures, Checkpoint("best", name, mode), name=name)
        assert model.saved == [("best", epoch) for epoch in best]
        for start in range(1, 12):
            model = Run().fit(figures, Checkpoint("best", name, mode), name=name, start=start)
            assert model.saved == [("best", epoch) for epoch in best if epoch > start]


@pytest.mark.parametrize("path", ["{val_acc}", "{}", "{0}", "{epoch:x.y}", "{epoch.a}", "{"])
def test_a_bad_name_is_told_after_the_first_epoch(path):
    model = Run()
    with pytest.raises(ValueError, match="Checkpoint: path must be a format of 'epoch', 'loss', "):
        model.fit([3, 2], Checkpoint(path))
    assert (model.epoch, model.saved) == (1, [])


# Learning rates


def test_scheduler_sets_the_rate_before_each_epoch():
    schedule = PiecewiseConstant([2, 3], [0.5, 0.25, 0.125])
    assert Run().fit([1] * 4, LearningRateScheduler(schedule)).rates == [0.5, 0.5, 0.25, 0.125]
    model = Run().fit([1] * 4, LearningRateScheduler(lambda epoch: 1 / (1 + epoch)), start=2)
    assert model.rates == [1 / 3, 1 / 4]
    with pytest.raises(ValueError, match="SGD: learning_rate must be finite and at least 0"):
        Run().fit([1], LearningRateScheduler(lambda epoch: nan))


@pytest.mark.parametrize(("patience", "least"), [(0, 0.0), (1, 0.0), (2, 0.0), (2, 0.3), (4, 0.0)])
def test_rates_are_reduced_on_plateaus(patience, least):
    for figures in sequences():
        reduce = ReduceOnPlateau("val_loss", 0.5, patience, least)
        model = Run().fit(figures, reduce)
        assert model.rates == naive_rates(figures, 0.5, patience, least)
        assert model.optimizer.learning_rate == model.rates[-1]


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_reduced_rates_go_on_as_if_uninterrupted(patience):
    for figures in sequences():
        whole = Run().fit(figures, ReduceOnPlateau("val_loss", 0.5, patience))
        for epoch, rate in whole.checkpoints:
            model = Run(rate)
            model.fit(figures, ReduceOnPlateau("val_loss", 0.5, patience), start=epoch)
            assert model.rates == whole.rates[epoch:]


def test_a_rate_reduced_for_an_epoch_that_was_cut_short_is_reduced_once():
    reduce, model = ReduceOnPlateau("val_loss", 0.5, 1), Run()
    with pytest.raises(KeyboardInterrupt, match="in the middle"):
        model.fit([1, 2, 0, 0], reduce, interrupt=2)
    assert model.rates == [1, 1, 0.5]
    for each in (reduce, ReduceOnPlateau("val_loss", 0.5, 1)):
        model.rates = []
        again = Run(model.optimizer.learning_rate)
        assert again.fit([1, 2, 0, 0], each, start=2).rates == [0.5, 0.5]


def test_min_rate_never_raises_the_rate():
    assert Run(0.25).fit([1] * 3, ReduceOnPlateau("val_loss", 0.5, 1, 0.5)).rates == [0.25] * 3


def test_a_schedule_cannot_be_reduced():
    with pytest.raises(ValueError, match="learning_rate must be a number, got CosineDecay"):
        Run(CosineDecay(1, 5)).fit([1], ReduceOnPlateau())


# Settings


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceOnPlateau, lambda m: Checkpoint("x", m)])
def test_a_monitor_that_is_no_log_is_told_after_the_first_epoch(kind):
    model = Run()
    with pytest.raises(
        ValueError, match="monitor must be one of 'loss', 'val_loss', got 'val_acc'"
    ):
        model.fit([3, 2, 1], kind("val_acc"))
    assert model.epoch == 1


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: EarlyStopping(mode="least"), ValueError, "EarlyStopping: mode must be 'auto'"),
        (lambda: EarlyStopping(patience=-1), ValueError, "EarlyStopping: patience must be at le"),
        (lambda: EarlyStopping(patience=1.5), TypeError, "EarlyStopping: patience must be an int"),
        (lambda: EarlyStopping(min_delta=-1), ValueError, "EarlyStopping: min_delta must be fin"),
        (lambda: Checkpoint(3), TypeError, "Checkpoint: path must be a str or a path, got 3"),
        (lambda: Checkpoint("x", "loss", "up"), ValueError, "Checkpoint: mode must be 'auto'"),
        (lambda: LearningRateScheduler(0.1), TypeError, "schedule must be callable, got 0.1"),
        (lambda: ReduceOnPlateau(factor=1), ValueError, r"factor must be in \[0, 1\), got 1"),
        (lambda: ReduceOnPlateau(patience=None), TypeError, "patience must be an int, got None"),
        (lambda: ReduceOnPlateau(min_rate=nan), ValueError, "min_rate must be finite"),
    ],
)
def test_bad_settings_are_told(make, error, text):
    with pytest.raises(error, match=text):
        make()


# In training


def network(**settings):
    return Sequential([Dense(3)], rng=0, **settings)


def samples():
    rng = np.random.default_rng(0)
    return rng.random((20, 4), np.float32), rng.integers(0, 3, 20)


def test_epochs_begin_and_end_in_turn():
    calls = []

    class Watch(Callback):
        def on_epoch_begin(self, model, epoch):
            calls.append(("begin", epoch, model.epoch))

        def on_batch_end(self, model, step, loss):
            calls.append(step)

        def on_epoch_end(self, model, epoch, logs):
            calls.append(("end", epoch, model.epoch))

    network().fit(*samples(), epochs=2, batch_size=10, callbacks=[Watch()], verbose=False)
    first = [("begin", 0, 0), 0, 1, ("end", 0, 1)]
    assert calls == [*first, ("begin", 1, 1), 0, 1, ("end", 1, 2)]


def test_training_stops_and_has_its_best_weights():
    # A rate that does harm after some epochs.
    model = network(optimizer=SGD(0.5))
    x, y = samples()
    data = x[10:], y[10:]
    stop = EarlyStopping(patience=3, restore_best=True)
    grow = LearningRateScheduler(lambda epoch: 0.05 * 3**epoch)
    history = model.fit(
        x[:10],
        y[:10],
        epochs=50,
        validation_data=data,
        callbacks=[grow, stop],
        verbose=False,
    ).history["val_loss"]
    assert len(history) == int(np.argmin(history)) + 4 < 50
    assert model.evaluate(*data)["loss"] == min(history) < history[-1]


def test_best_checkpoint_is_the_best_epoch(tmp_path):
    model = network(optimizer=SGD(0.5))
    x, y = samples()
    history = model.fit(
        x,
        y,
        epochs=6,
        validation_data=(x, y),
        callbacks=[
            LearningRateScheduler(lambda epoch: 0.05 * 5**epoch),
            Checkpoint(tmp_path / "best", "val_loss"),
            Checkpoint(tmp_path / "at-{epoch}"),
        ],
        verbose=False,
    ).history["val_loss"]
    assert fastdrop.load(tmp_path / "best").evaluate(x, y)["loss"] == min(history)
    for epoch, loss in enumerate(history, 1):
        assert fastdrop.load(tmp_path / f"at-{epoch}").evaluate(x, y)["loss"] == loss


def test_progress_bar_counts_what_is_done(capsys):
    model = network()
    model.fit(*samples(), epochs=2, batch_size=10)
    assert "4/4" in capsys.readouterr().err
    model.fit(*samples(), epochs=5, batch_size=10, initial_epoch=2, verbose=True)
    shown = capsys.readouterr().err
    assert "4/10" in shown
    assert "10/10" in shown
