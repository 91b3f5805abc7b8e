"""What every experiment is: arms times seeds, each a run of its own, and what came out."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from fastdrop.data import Dataset
from fastdrop.kernels import get_backend, set_backend
from fastdrop.nn import Sequential
from fastdrop.nn.arguments import check_count
from fastdrop.nn.saving import _version
from fastdrop.runs import Run
from fastdrop.setting import Arm, Asked, Setting
from fastdrop.summaries import Summary
from fastdrop.threads import get_num_threads, set_num_threads


@dataclass(frozen=True)
class Case:
    """An arm of an experiment: its label, its number along the axis, what differs.

    Attributes
    ----------
    changes : dict
        Arguments of `Setting`.
    notes : dict
        What its rows have besides their figures.
    """

    arm: str
    x: float | None
    changes: dict[str, Any]
    notes: dict[str, Any] = field(default_factory=dict)


class Stopped(KeyboardInterrupt):
    """Ctrl-C during an experiment: ``run`` has what was done."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.findings[-1])
        self.run = run


class Experiment:
    """Runs of one kind: `train` adds some, `run` is what they found.

    Parameters
    ----------
    kind : str
        That of the `Run`, and what errors begin with.
    seeds : int
        How many, from `seed` on.
    n_jobs : int, optional
        As of `joblib.Parallel`.
    progress : bool
        Show a bar.
    keep : bool, default False
        Keep the networks of the first seed.
    seed : int or None
        The first one.
    **asked
        Arguments of `Setting` that all arms have in common.
    """

    def __init__(
        self,
        kind: str,
        *,
        seeds: int,
        n_jobs: int | None,
        progress: bool,
        seed: int | None = 0,
        rate: float = 0.5,
        keep: bool = False,
        **asked: Any,
    ) -> None:
        for name in asked:
            if name not in Asked.__annotations__:
                raise TypeError(f"{kind}: {name!r} is not one of its arguments")
        self.kind, self.n_jobs, self.progress, self.keep = kind, n_jobs, progress, keep
        self._begun = perf_counter()
        self.base = Setting(kind, seed=seed, rate=rate, **asked)
        count = check_count(seeds, "seeds", kind)
        self.seeds = [self.base.seed + more for more in range(count)]
        self._rows: list[dict[str, Any]] = []
        self._models: dict[str, Sequential] = {}
        self._jobs = self._threads = 1
        # Arguments of its own, for the settings of the run.
        self.own: dict[str, Any] = {}

    def train(self, cases: Iterable[Case]) -> list[Summary]:
        """Run each case with each seed; all are checked before the first.

        Raises
        ------
        Stopped
            On Ctrl-C, if a run is done; else the KeyboardInterrupt.
        """
        cases = list(cases)
        for case in cases:
            setting = self.base.but(**case.changes)
            setting.network().predict(setting.data.x_test[:1])
        # Every arm of a seed before the next seed: what Ctrl-C leaves can be compared.
        tasks = [(case, seed) for seed in self.seeds for case in cases]
        rows: dict[int, dict[str, Any]] = {}
        try:
            for place, arm, network in self._results(tasks):
                case, seed = tasks[place]
                # By case first, as tables are.
                rows[cases.index(case) * len(tasks) + place] = row(
                    case.arm, case.x, seed, arm, **case.notes
                )
                if network is not None:
                    self._models[case.arm] = network
        except KeyboardInterrupt:
            self._keep(rows)
            if not self._rows:
                raise
            done = f"{len(rows)} of {len(tasks)} runs"
            raise Stopped(self.run(f"Interrupted: {done} were done.")) from None
        self._keep(rows)
        return self.run().arms[-len(cases) :]

    def run(self, *findings: str) -> Run:
        """What was found up to now."""
        settings = described(
            self.base,
            seeds=self.seeds,
            jobs=self._jobs,
            threads=self._threads,
            seconds=round(perf_counter() - self._begun, 3),
            **self.own,
        )
        return Run(self.kind, settings, tuple(self._rows), findings, dict(self._models))

    def _keep(self, rows: dict[int, dict[str, Any]]) -> None:
        self._rows += [rows[place] for place in sorted(rows)]

    def _results(
        self, tasks: list[tuple[Case, int]]
    ) -> Iterator[tuple[int, Arm, Sequential | None]]:
        """What each task gave, in the order in which they end."""
        joblib = _joblib(self.kind)
        self._jobs = max(1, min(joblib.effective_n_jobs(self.n_jobs), len(tasks)))
        self._threads = before = get_num_threads()
        if self._jobs > 1:
            self._threads = max(1, before // self._jobs)
        arguments = self.base.arguments()
        data = self.base.given
        machine = os.getpid(), get_backend(), self._threads
        calls = [
            # The arrays one by one: joblib and Dask bring each to a worker once.
            joblib.delayed(_trained)(
                place,
                case.arm,
                {**arguments, **case.changes, "seed": seed},
                self.keep and seed == self.seeds[0],
                machine,
                *data,
            )
            for place, (case, seed) in enumerate(tasks)
        ]
        parallel = joblib.Parallel(n_jobs=self.n_jobs, return_as="generator_unordered")
        results = parallel(calls)
        try:
            with _bar(self.kind, len(tasks), self.progress) as advance:
                for result in results:
                    yield result
                    advance()
        finally:
            results.close()
            # Where the workers are threads of this process.
            if get_num_threads() != before:
                set_num_threads(before)


def _trained(
    place: int,
    name: str,
    arguments: dict[str, Any],
    keep: bool,
    machine: tuple[int, str, int],
    *data: Any,
) -> tuple[int, Arm, Sequential | None]:
    """One run, in any process."""
    parent, backend, threads = machine
    if os.getpid() != parent and threading.current_thread() is threading.main_thread():
        # Ctrl-C goes to all processes of a terminal; the parent ends this one.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if get_backend() != backend:
        set_backend(backend)
    if get_num_threads() != threads:
        set_num_threads(threads)
    setting = Setting(**arguments, data=Dataset(*data))
    network = setting.network()
    try:
        arm = setting.run(network, name, setting.rate, None)
    except FloatingPointError as error:
        raise FloatingPointError(f"{name}, seed {setting.seed}: {error}") from error
    return place, arm, network if keep else None


def row(name: str, x: float | None, seed: int, arm: Arm, **notes: Any) -> dict[str, Any]:
    """A row of a `Run`."""
    return {
        "arm": name,
        "x": x,
        "seed": seed,
        **notes,
        "train_error": arm.train_error,
        "test_error": arm.test_error,
        "gap": arm.test_error - arm.train_error,
        "train_errors": list(arm.train_errors),
        "test_errors": list(arm.test_errors),
        "losses": list(arm.losses),
        "seconds": round(arm.seconds, 3),
        "samples_per_second": arm.samples_per_second,
    }


def described(setting: Setting, **more: Any) -> dict[str, Any]:
    """The ``settings`` of a `Run`."""
    return {
        "data": os.fsdecode(setting.source),
        "data_dir": None if setting.data_dir is None else os.fsdecode(setting.data_dir),
        "train_share": float(setting.train_share),
        "model": setting.model,
        "network": setting.words(),
        "hidden": list(setting.hidden),
        "rate": setting.rate,
        "epochs": setting.epochs,
        "batch_size": setting.batch_size,
        "optimizer": setting.optimizer,
        "learning_rate": float(setting.learning_rate),
        "seed": setting.seed,
        "train_samples": len(setting.data.x_train),
        "test_samples": len(setting.data.x_test),
        "backend": get_backend(),
        "version": _version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }


@contextmanager
def _bar(description: str, runs: int, shown: bool) -> Iterator[Any]:
    """A function that moves a bar of so many runs."""
    if not shown:
        yield lambda: None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        raise ImportError(
            f'{description}: tqdm is not installed: `pip install "fastdrop[app]"`, or ask '
            "without progress"
        ) from None
    with tqdm(total=runs, desc=description, unit="run") as bar:
        yield bar.update


def _joblib(where: str) -> Any:
    try:
        import joblib
    except ImportError:
        raise ImportError(
            f'{where}: joblib is not installed: `pip install "fastdrop[app]"`'
        ) from None
    return joblib
