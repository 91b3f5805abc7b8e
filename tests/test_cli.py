"""The commands, through their real entry points."""

import re
import signal
import subprocess
import sys
from importlib.metadata import version

import matplotlib.image
import pytest
from click.testing import CliRunner
from processes import ROOT

import fastdrop
from fastdrop.cli import main

QUICK = ("--epochs", "2", "--hidden", "16")

# Ctrl-C is ignored from birth in a process of a shell's background job.
HEARS_CTRL_C = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("fastdrop", run_name="__main__")
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`fastdrop …` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    backend, threads = fastdrop.get_backend(), fastdrop.get_num_threads()
    yield lambda *arguments: CliRunner().invoke(main, arguments)
    fastdrop.set_backend(backend)
    fastdrop.set_num_threads(threads)


def test_train_as_a_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fastdrop", "train", *QUICK, "--seed", "3"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    out = done.stdout
    assert re.search(r"without dropout +with dropout 0\.5\n", out)
    for name in ("training error", "test error"):
        assert re.search(rf"^{name} +\d+\.\d\d% +\d+\.\d\d%$", out, re.MULTILINE)
    assert re.search(
        r"^epochs 2, seed 3, backend \w+, threads \d+, \d+\.\d seconds$", out, re.MULTILINE
    )
    assert f"learning curves: {tmp_path / 'learning-curves.png'}" in out
    assert matplotlib.image.imread(tmp_path / "learning-curves.png").shape == (750, 1200, 4)
    # A bar for each run: 896 images in batches of 32, twice.
    assert done.stderr.count("56/56") == 2
    assert "with dropout 0.5" in done.stderr


def test_options_reach_the_library(run, tmp_path):
    result = run(
        *("train", "--rate", "0.25", "--hidden", "8,6", "--epochs", "1", "--batch-size", "100"),
        *("--learning-rate", "0.1", "--train-share", "0.75", "--seed", "9", "--quiet"),
        *("--backend", "reference", "--threads", "1", "--out", "here.svg"),
    )
    assert result.exit_code == 0, result.output
    data = fastdrop.data.digits(0.75)
    expected = fastdrop.experiments.compare(
        rate=0.25, hidden=(8, 6), epochs=1, batch_size=100, learning_rate=0.1, seed=9, data=data
    )
    assert f"{len(data.y_train):,} digits to train on" in result.stdout
    assert "network: 64-8-6-10 units" in result.stdout
    without, with_dropout = expected.without.test_error, expected.with_dropout.test_error
    assert without != with_dropout
    assert re.search(rf"test error +{without:.2%} +{with_dropout:.2%}\n", result.stdout)
    assert "epochs 1, seed 9, backend reference, threads 1," in result.stdout
    assert result.stderr == ""
    assert (tmp_path / "here.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--rate", "1.5"), "'--rate': 1.5 is not in the range 0<=x<=1"),
        (("--rate", "nan"), r"rate must be in \[0, 1\], got nan"),
        (("--rate", "half"), "'--rate': 'half' is not a valid float"),
        (("--hidden", "512;512"), "'512;512' is not a list of sizes like 512,512"),
        (("--hidden", "0"), "'0' is not a list of sizes"),
        (("--epochs", "0"), "'--epochs': 0 is not in the range x>=1"),
        (("--batch-size", "0"), "'--batch-size': 0 is not in the range x>=1"),
        (("--learning-rate", "nan"), "learning_rate must be finite and at least 0, got nan"),
        (("--seed", "-1"), "'--seed': -1 is not in the range x>=0"),
        (("--backend", "fortran"), "'--backend': 'fortran' is not one of 'cython', 'numba'"),
        (("--threads", "0"), "'--threads': 0 is not in the range x>=1"),
        (("--out", "missing/curves.png"), "is not a folder; make it first or choose another"),
        (("--out", "/proc/curves.png"), "cannot write to the folder '/proc'"),
        (("--out", "curves.xyz"), r"path must end in one of .*\.png.* got '.*curves.xyz'"),
        (("--speed", "9"), "No such option"),
    ],
)
def test_bad_input_is_one_line_and_status_2(run, monkeypatch, arguments, text):
    def trained(*args, **settings):
        raise AssertionError("trained before all was checked")

    monkeypatch.setattr(fastdrop.nn.Sequential, "fit", trained)
    result = run("train", *arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert re.fullmatch(
        rf"fastdrop: .*{text}.* \(see `\S+ train --help`\)\n", result.stderr, re.IGNORECASE
    )


def test_a_backend_that_is_not_here_is_told(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fastdrop.kernels.backend, "_is_there", lambda name: name == "reference")
        result = run("train", "--backend", "numba")
    assert result.exit_code == 2
    assert "pip install numba" in result.stderr


def test_bad_environment_is_told(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fastdrop", "train"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "FASTDROP_NUM_THREADS": "0", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "FASTDROP_NUM_THREADS must be an int of at least 1, got '0'" in done.stderr


def test_divergence_is_one_line_and_status_1(run):
    result = run("train", *QUICK, "--learning-rate", "1e30", "--quiet")
    assert result.exit_code == 1
    assert re.fullmatch(r"fastdrop: .*a smaller learning_rate may help\n", result.stderr)


def test_ctrl_c_is_one_line_and_status_130(tmp_path):
    command = [sys.executable, "-c", HEARS_CTRL_C, "train", "--epochs", "10000"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        shown = b""
        while b"batch/s" not in shown:  # the bar moves: training has begun
            assert process.poll() is None, shown
            shown += process.stderr.read1(100)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err
    assert err.endswith(b"\nfastdrop: interrupted, nothing was saved\n")
    assert list(tmp_path.iterdir()) == []


def test_help_teaches(run):
    result = run("train", "--help")
    assert result.exit_code == 0
    assert "fastdrop train --rate 0.3" in result.stdout
    options = re.findall(r"^  (--[a-z-]+)", result.stdout, re.MULTILINE)
    assert len(options) == 11
    for option in options[:-1]:
        section = result.stdout.split(f"  {option} ", 1)[1].split("\n  -", 1)[0]
        assert "[default:" in re.sub(r"\s+", " ", section), option
    for alone in (run(), run("--help")):
        assert alone.exit_code == 0
        assert re.search(r"^  train +Train one network twice", alone.stdout, re.MULTILINE)


def test_version(run):
    result = run("--version")
    assert result.exit_code == 0
    assert version("fastdrop") in result.stdout
