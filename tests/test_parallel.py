"""Runs of an experiment in several processes, on a cluster, and cut short."""

import signal
import sys
from threading import Timer

import joblib
import numpy as np
import pytest
from processes import run_code

import fastdrop
from fastdrop import experiments
from fastdrop.data import Dataset
from fastdrop.experiments import Stopped, compare, family, sweep
from fastdrop.nn import Sequential

QUICK = {"hidden": (12,), "epochs": 2, "seeds": 2}


def figures(run):
    """All of the rows but the time that they took."""
    times = "seconds", "samples_per_second"
    return [{name: row[name] for name in row if name not in times} for row in run.rows]


@pytest.fixture
def threads():
    before = fastdrop.get_num_threads()
    yield
    fastdrop.set_num_threads(before)


def images():
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 16, 16, 1), np.float32), np.arange(60) % 3
    return Dataset(x[:45], y[:45], x[45:], y[45:])


def test_processes_give_the_numbers_of_one(threads):
    expected = sweep((0, 0.5), **QUICK)
    for n_jobs in (2, -1):
        run = sweep((0, 0.5), **QUICK, n_jobs=n_jobs)
        assert figures(run) == figures(expected)
    assert (expected.settings["jobs"], run.settings["seeds"]) == (1, [0, 1])
    # They share the threads of this process.
    fastdrop.set_num_threads(1)
    assert sweep((0, 0.5), **QUICK, n_jobs=2).settings["threads"] == 1
    assert fastdrop.get_num_threads() == 1


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_every_kind_gives_the_same_with_any_number_of_threads(threads, model):
    asked = {"model": model, "data": images(), "hidden": (300,), "epochs": 2, "seeds": 1}
    runs = []
    for count in (1, 2):
        fastdrop.set_num_threads(count)
        runs.append(figures(family(**asked)))
    runs.append(figures(family(**asked, n_jobs=2)))
    assert runs[0] == runs[1] == runs[2]


def test_networks_come_back_from_processes():
    alone, apart = (compare(**QUICK, n_jobs=n_jobs) for n_jobs in (1, 2))
    x = np.ones((3, 64))
    for arm in ("without dropout", "with dropout"):
        np.testing.assert_array_equal(alone.model(arm).predict(x), apart.model(arm).predict(x))


def test_workers_use_the_same_backend(backend):
    # Gaussian noise of two backends differs in its last bits.
    asked = {"hidden": (12,), "epochs": 1, "seeds": 1}
    assert figures(family(**asked, n_jobs=2)) == figures(family(**asked))


def test_joblib_says_where():
    with joblib.parallel_config(backend="threading", n_jobs=2):
        run = sweep((0, 0.5), **QUICK)
    assert run.settings["jobs"] == 2
    assert figures(run) == figures(sweep((0, 0.5), **QUICK))


DASK = """
import joblib
from dask.distributed import Client, LocalCluster
from test_parallel import QUICK, figures
from fastdrop.experiments import sweep

if __name__ == "__main__":
    alone = sweep((0, 0.5), **QUICK)
    local = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with local as cluster, Client(cluster):
        with joblib.parallel_config(backend="dask"):
            run = sweep((0, 0.5), **QUICK)
    assert figures(run) == figures(alone)
    print(run.settings["jobs"])
"""


def test_a_dask_cluster_gives_the_same_numbers(tmp_path):
    # Its workers are processes that import the program: a file.
    (tmp_path / "program.py").write_text(DASK)
    code = f"import runpy; runpy.run_path({str(tmp_path / 'program.py')!r}, run_name='__main__')"
    assert run_code(code) == "2"


def test_the_bar_moves_with_each_run(capsys):
    sweep((0, 0.5), **QUICK, progress=True)
    shown = capsys.readouterr().err
    assert "sweep: 100%" in shown
    assert "4/4" in shown
    sweep((0, 0.5), **QUICK)
    assert capsys.readouterr().err == ""


def stop_at(monkeypatch, number, error=KeyboardInterrupt):
    """Raise in the run of that number."""
    fit, begun = Sequential.fit, []

    def stopped(self, *args, **settings):
        begun.append(1)
        if len(begun) == number:
            raise error
        return fit(self, *args, **settings)

    monkeypatch.setattr(Sequential, "fit", stopped)


def test_ctrl_c_leaves_what_was_done(monkeypatch):
    expected = figures(sweep((0, 0.5), **QUICK))
    stop_at(monkeypatch, 4)
    with pytest.raises(Stopped, match="3 of 4 runs were done") as stop:
        sweep((0, 0.5), **QUICK)
    # Both arms of seed 0 and the first of seed 1, in the order of the table.
    assert figures(stop.value.run) == [expected[0], expected[1], expected[2]]
    assert [(row["arm"], row["seed"]) for row in stop.value.run.rows] == [
        *(("hidden 0", 0), ("hidden 0", 1), ("hidden 0.5", 0)),
    ]
    assert stop.value.run.findings == ("Interrupted: 3 of 4 runs were done.",)
    assert [arm.seeds for arm in stop.value.run.arms] == [2, 1]


def test_ctrl_c_before_anything_is_done_is_itself(monkeypatch):
    stop_at(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt) as stop:
        sweep((0, 0.5), **QUICK)
    assert type(stop.value) is KeyboardInterrupt


def test_ctrl_c_in_a_later_stage_keeps_the_earlier_ones(monkeypatch):
    stop_at(monkeypatch, 4)
    with pytest.raises(Stopped) as stop:
        experiments.tune(layers=1, start=2, most=64, epochs=1, seeds=2)
    assert [(row["x"], row["seed"]) for row in stop.value.run.rows] == [(2, 0), (2, 1), (4, 0)]


def test_a_signal_while_processes_train():
    # Raised by another thread, it is the main one that hears it.
    timer = Timer(2, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        sweep((0, 0.5), hidden=(12,), epochs=500, seeds=20, n_jobs=2)
    timer.join()


def test_a_run_that_diverges_says_which():
    with pytest.raises(
        FloatingPointError, match=r"with.* dropout, seed 0: .* smaller learning_rate"
    ):
        compare(**QUICK, learning_rate=1e30)


def test_without_joblib_or_tqdm_the_error_says_how_to_get_it(monkeypatch):
    for name in ("joblib", "tqdm"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(ImportError, match=r'pip install "fastdrop\[app\]"'):
                sweep((0, 0.5), **QUICK, progress=True)
