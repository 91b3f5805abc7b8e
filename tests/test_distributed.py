"""Training in several processes: the same masks, the same losses, and errors that all hear of.

Each test starts `mpiexec` on this machine, with a time limit: a hang is a failed row.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import ranked
from processes import OURS, ROOT, run_code

import fastdrop
from fastdrop import nn
from fastdrop.distributed import launched
from fastdrop.layout import layout
from fastdrop.share import Share, drawn

MPIEXEC = Path(sys.executable).with_name("mpiexec")
if not MPIEXEC.exists():
    MPIEXEC = shutil.which("mpiexec")
mpi = pytest.mark.skipif(
    find_spec("mpi4py") is None or not MPIEXEC, reason="mpi4py or mpiexec is not installed"
)
LAUNCHERS = ("PMI_", "PMIX_", "OMPI_", "MPI_", "HYDI_", "MV2_")


def mpiexec(ranks, *arguments, timeout=60, fails=False, cwd=ROOT, **environment):
    """What `mpiexec` prints for Python processes, and its exit status."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith((*OURS, *LAUNCHERS))
    }
    paths = [str(ROOT), str(Path(__file__).parent)]
    variables |= {"PYTHONPATH": os.pathsep.join(paths)} | environment
    command = [str(MPIEXEC), "-n", str(ranks), sys.executable, "-W", "error", *arguments]
    process = subprocess.Popen(
        command, cwd=cwd, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.terminate()  # mpiexec ends its processes
        out, err = process.communicate(timeout=20)
        pytest.fail(f"no end after {timeout} s; it said: {out[-3000:]}{err[-3000:]}")
    if (process.returncode != 0) != fails:
        pytest.fail(f"ended with {process.returncode}:\n{out[-3000:]}{err[-6000:]}")
    return out, err, process.returncode


def call(ranks, name, *arguments, **options):
    """What a function of `ranked` gives."""
    program = str(Path(ranked.__file__))
    return json.loads(mpiexec(ranks, program, name, *map(str, arguments), **options)[0])


# Recipes of a part of a batch.


@pytest.mark.parametrize("axes", [(), (0,), (1,), (0, 2)])
@pytest.mark.parametrize("batch_axis", [0, 1, 2])
def test_rows_of_a_recipe_are_rows_of_its_mask(batch_axis, axes):
    axes = tuple(axis + batch_axis for axis in axes if axis + batch_axis < 4)
    shape = [3, 4, 2, 5]
    shape[batch_axis] = 7
    mask = fastdrop.Mask(tuple(shape), 0.4, key=3, stream=9, shared_axes=axes)
    x = np.random.default_rng(0).standard_normal(shape)
    expected, keeps = mask.apply(x), np.broadcast_to(mask.keep(), shape)
    for begin, end in ((0, 3), (3, 4), (4, 7)):
        share = Share(begin, end - begin, 7, None)
        part = list(shape)
        part[batch_axis] = end - begin
        found = drawn(fastdrop.Mask, tuple(part), 0.4, axes, (3, 9), share, batch_axis)
        rows = (slice(None),) * batch_axis + (slice(begin, end),)
        own = np.ascontiguousarray(x[rows])
        assert (found.apply(own) == expected[rows]).all()
        assert (found.apply(own, own) == expected[rows]).all()
        assert (np.broadcast_to(found.keep(), part) == keeps[rows]).all()
        if batch_axis == 1:
            first = found[1:2].apply(np.ascontiguousarray(x[rows][1:2]))
            assert (first == expected[rows][1:2]).all()


def test_a_share_of_the_rates_of_a_whole_batch():
    rates = np.linspace(0, 1, 6)[:, None]
    layer = nn.Dropout(rates, rng=0)
    whole = layer.forward(np.ones((6, 50)), training=True)
    other = nn.Dropout(rates, rng=0)
    other.share = Share(2, 3, 6, None)
    assert (other.forward(np.ones((3, 50)), training=True) == whole[2:5]).all()
    assert layout(other.mask.shape, ()).draws == 150


# Without MPI.


def test_the_launcher_is_found_by_its_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith(LAUNCHERS):
            monkeypatch.delenv(name)
    assert launched() == (0, 1)
    for names in (("PMI_RANK", "PMI_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")):
        with monkeypatch.context() as patch:
            patch.setenv(names[0], "2")
            assert launched() == (0, 1)
            patch.setenv(names[1], "4")
            assert launched() == (2, 4)
            patch.setenv(names[1], "two")
            assert launched() == (0, 1)


WITHOUT = """
import sys
sys.modules["mpi4py"] = None
import fastdrop, numpy as np
from fastdrop import nn
try:
    nn.Sequential([nn.Dense(2)]).fit(np.eye(2), [0, 1], comm=object(), verbose=False)
except ImportError as error:
    print(error)
sys.argv[1:] = ["train", "--epochs", "1"]
from fastdrop.cli import main
try:
    main()
except SystemExit as end:
    print(end.code)
"""


def test_without_mpi4py_the_error_says_how_to_get_it():
    said = run_code(WITHOUT + "\n", PMI_RANK="0", PMI_SIZE="2").splitlines()
    assert said[0].startswith("Sequential.fit: training in several processes needs mpi4py: ")
    assert 'pip install "fastdrop[mpi]"' in said[0]
    assert said[1] == "2"


def test_import_and_training_alone_bring_no_mpi():
    code = (
        "import sys, fastdrop, numpy as np; from fastdrop import nn; "
        "nn.Sequential([nn.Dense(2)]).fit(np.eye(2), [0, 1], verbose=False); "
        "print('mpi4py' in sys.modules, 'fastdrop.distributed' in sys.modules)"
    )
    assert run_code(code) == "False False"


@mpi
def test_what_is_no_communicator():
    code = (
        "import fastdrop, numpy as np; from fastdrop import nn\n"
        "try: nn.Sequential([nn.Dense(2)]).fit(np.eye(2), [0, 1], comm=1, verbose=False)\n"
        "except TypeError as error: print(error)"
    )
    assert run_code(code) == "Sequential.fit: comm must be a communicator of mpi4py, got 1"


@mpi
@pytest.mark.parametrize("comm", ["MPI.COMM_NULL", "MPI.COMM_SELF.Split(MPI.UNDEFINED)"])
def test_a_communicator_without_this_process(comm):
    code = (
        "import fastdrop, numpy as np; from fastdrop import nn; from mpi4py import MPI\n"
        f"try: nn.Sequential([nn.Dense(2)]).fit(np.eye(2), [0, 1], comm={comm}, verbose=False)\n"
        "except ValueError as error: print(error)"
    )
    assert run_code(code) == "Sequential.fit: comm must have this process in it, got COMM_NULL"


# In many processes.


@pytest.fixture(scope="module")
def alone():
    return ranked.trainings(None)


@mpi
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_many_processes_draw_the_masks_and_reach_the_losses_of_one(alone, ranks):
    found = call(ranks, "trainings", timeout=90)
    for name, one in alone.items():
        several = found[name]
        assert len(one["masks"]) == 54
        assert several["masks"] == one["masks"], name
        bound = 1e-5 if name == "float32" else 1e-12
        assert np.allclose(several["losses"], one["losses"], rtol=bound, atol=0), name
        assert several["logs"].keys() == one["logs"].keys()
        for log, values in one["logs"].items():
            assert np.allclose(several["logs"][log], values, rtol=bound, atol=0), (name, log)


@mpi
def test_sums_by_mpi_are_those_in_shared_memory(alone):
    found = call(2, "over_nodes")
    again = found.pop("again")
    for one, several in ((alone["dense"], found), (alone["images"], again)):
        assert several["masks"] == one["masks"]
        assert np.allclose(several["losses"], one["losses"], rtol=1e-12, atol=0)


@mpi
def test_samples_that_are_not_in_memory():
    losses, logs = ranked.streamed(None)
    found, history = call(2, "streamed")
    assert np.allclose(found, losses, rtol=1e-12, atol=0)
    for name, values in logs.items():
        assert np.allclose(history[name], values, rtol=1e-12, atol=0), name


@mpi
@pytest.mark.parametrize(("ranks", "rows"), [(2, 7), (3, 2)])
def test_running_statistics_are_the_means_over_the_ranks(ranks, rows):
    x = ranked.data("dense")[0][:rows]
    parts = [x[r * rows // ranks : (r + 1) * rows // ranks] for r in range(ranks)]
    weighed = [(len(part) / rows, part) for part in parts if len(part)]
    mean = sum(0.1 * weight * part.mean(axis=0) for weight, part in weighed)
    unbiased = [
        (weight, part.var(axis=0) * len(part) / max(1, len(part) - 1)) for weight, part in weighed
    ]
    variance = 0.9 + sum(0.1 * weight * found for weight, found in unbiased)
    for found in call(ranks, "statistics", rows):
        assert np.allclose(found[0], mean, rtol=1e-12)
        assert np.allclose(found[1], variance, rtol=1e-12)


# By the case: what ranks other than 1 raise, and the steps that all have done then.
FAULTS = {
    "callback": ("ValueError: on rank 1 of 3: a callback's own", 1),
    "first": ("ValueError: on rank 1 of 3: a callback's own", 0),
    "epoch": ("RuntimeError: on rank 1 of 3: KeyError: 'k'", 9),
    "end": ("ValueError: on rank 1 of 3: a callback's own", 18),
    "interrupt": ("KeyboardInterrupt: on rank 1 of 3: ", 1),
    "stop": ("", 9),
    "heavier": ("RuntimeError: Sequential.fit: the weights must be the same on every rank", 9),
    "heavier at last": ("RuntimeError: Sequential.fit: the weights must be the same on every", 9),
    "apart": ("RuntimeError: Sequential.fit: ranks have run apart", 1),
    "nan": ("FloatingPointError: on rank 1 of 3: Sequential.fit, epoch 0, step ", None),
    "nan in all": ("FloatingPointError: ", None),
    "memory": ("MemoryError: on rank 1 of 3: no room", 0),
    "batch_size": ("ValueError: Sequential.fit: batch_size must be the same on every rank, "
                   "got 25 on rank 0 and 20 on rank 1", 0),
    "epochs": ("ValueError: Sequential.fit: epochs must be the same on every rank, got 2 on", 0),
    "shuffle": ("ValueError: Sequential.fit: shuffle must be the same on every rank", 0),
    "shape": ("ValueError: Sequential.fit: the shape of x must be the same on every rank, got "
              "(202, 20) on rank 0 and (100, 20) on rank 1", 0),
    "dtype": ("ValueError: Sequential.fit: the dtype of x must be the same on every rank", 0),
    "part": ("ValueError: Sequential.fit: some rows of x (by their digest) must be the same", 0),
    "labels": ("ValueError: on rank 1 of 3: Sequential.fit: y must hold labels in [0, 3)", 0),
    "validation": ("ValueError: Sequential.fit: the shape of x to validate must be the same on "
                   "every rank, got None on rank 0 and (9, 20) on rank 1", 0),
    "layers": ("ValueError: Sequential.fit: the class of layer 0 must be the same", 0),
    "optimizer": ("ValueError: Sequential.fit: the class of the optimizer must be the same", 0),
    "other rng": ("ValueError: Sequential.fit: the key of the network's masks", 0),
    "healthy": ("", 18),
}  # fmt: skip


@mpi
def test_what_goes_wrong_on_one_rank_all_hear_of():
    found = call(3, "faults")
    assert found.keys() == FAULTS.keys()
    for name, (*outcomes, seconds) in found.items():
        said, steps = FAULTS[name]
        assert seconds < 10, name
        own = [words for words, *_ in outcomes]
        # A step is learned by all or by none.
        assert len({done for _, done, *_ in outcomes}) == 1, (name, outcomes)
        if name not in ("heavier", "heavier at last", "layers", "other rng"):
            assert len({digest for *_, digest in outcomes}) == 1, name
        if steps is not None:
            assert outcomes[0][1] == steps, name
        if name == "nan in all":  # one of them has the row, and blames it
            assert sum("on rank" not in words for words in own) == 1, own
            assert all("x has NaN or infinite values in it" in words for words in own), own
        for rank, words in enumerate(own):
            theirs = said.partition(" on rank 1 of 3: ")[2] if rank == 1 else said
            assert theirs in words if said else not words, (name, rank, words)


@mpi
def test_states_of_a_ranks_rows_are_not_kept():
    one, other = call(2, "stateful")
    assert one == other


@mpi
def test_ranks_divide_the_processors_of_a_node():
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    everyone = call(2, "threads")
    assert all(during == max(1, own // 2) for during, _ in everyone)
    assert all(after >= during for during, after in everyone)
    assert call(2, "threads", FASTDROP_NUM_THREADS="1") == [[1, 1], [1, 1]]
    if own > 1:
        assert call(2, "threads", FASTDROP_NUM_THREADS="2") == [[2, 2], [2, 2]]


# Processes that are killed.


def shared_files():
    return Path("/dev/shm").glob("mpich_shm_*")


KILLS = int(os.environ.get("FASTDROP_TEST_KILLS", "3"))


@mpi
def test_a_run_whose_processes_are_killed_goes_on_from_its_checkpoint(tmp_path):
    path, epochs = str(tmp_path / "run.safetensors"), 2 * KILLS + 2
    x, y = ranked.data("plain")
    # Batch normalisation of each rank's rows alone: so all runs are of two ranks.
    whole = call(2, "continued", tmp_path / "whole.safetensors", epochs)
    chance, slowest, done, before = random.Random(7), 0.0, 0, {*shared_files()}
    for kill in range(KILLS):
        saving = kill % 3 == 2
        rank, step = (0, 0) if saving else (chance.randrange(2), 9 + chance.randrange(9))
        place = "saving" if saving else "batch"
        mpiexec(2, ranked.__file__, "continued", path, str(epochs), str(rank), str(step), place,
                fails=True)  # fmt: skip
        slowest = max(slowest, time.time() - float(Path(path + ".killed").read_text()))
        network = fastdrop.load(path)
        assert network.epoch >= done + (not saving), "an epoch was lost"
        done = network.epoch
        assert network.evaluate(x, y)["loss"] == pytest.approx(
            network.history.history["val_loss"][-1], rel=1e-12
        )
        # MPICH leaves a file of its own in the shared memory of a process that is killed.
        for left in {*shared_files()} - before:
            left.unlink(missing_ok=True)
    assert slowest < 10
    assert call(2, "continued", path, epochs) == whole
    print(f"{KILLS} kills, the end of a job at most {slowest:.2f} s later")


@mpi
def test_a_run_goes_on_with_another_number_of_processes(tmp_path):
    x, y = ranked.data("synchronized")
    network = ranked.model("synchronized")
    settings = {"batch_size": ranked.BATCH, "verbose": False, "validation_data": (x, y)}
    expected = network.fit(x, y, epochs=4, **settings).history
    path, started = str(tmp_path / "run"), ranked.model("synchronized")
    started.fit(x, y, epochs=1, **settings)
    started.save(path)
    for epochs, ranks in ((2, 2), (3, 3)):
        call(ranks, "continued", path, epochs)
        assert fastdrop.load(path).epoch == epochs
    last = fastdrop.load(path)
    found = last.fit(x, y, epochs=4, initial_epoch=last.epoch, **settings).history
    # The bias before a batch normalisation has a gradient of 0, but for rounding, of
    # which Adam makes steps of some size.
    for name, values in expected.items():
        assert np.allclose(found[name], values, rtol=1e-10, atol=0), name


# The command.


@mpi
def test_the_command_trains_in_all_processes_and_speaks_once(tmp_path):
    arguments = ["-m", "fastdrop", "train", "--no-compare", "--epochs", "2", "--json"]
    arguments += ["--checkpoint", "run.safetensors", "--quiet"]
    found = json.loads(mpiexec(2, *arguments, cwd=tmp_path)[0])
    alone = run_code(
        "import fastdrop; r = fastdrop.experiments.train(epochs=2); print(r.run.to_json())"
    )
    ours, theirs = found["rows"][0], json.loads(alone)["rows"][0]
    assert ours["test_errors"] == theirs["test_errors"]
    assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-5)
    assert fastdrop.load(tmp_path / "run.safetensors").epoch == 2
    assert {file.name for file in tmp_path.iterdir()} == {"run.safetensors", "learning-curves.png"}


@mpi
def test_errors_and_other_commands_speak_once(tmp_path):
    _, err, status = mpiexec(
        3, "-m", "fastdrop", "train", "--data", "no.npz", fails=True, cwd=tmp_path
    )
    assert err.count("no.npz does not exist") == 1
    assert status == 2
    out, _, _ = mpiexec(2, "-m", "fastdrop", "info", cwd=tmp_path)
    assert out.count("backend") == 1
