"""The commands, through their real entry points."""

import json
import re
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from time import sleep

import matplotlib.image
import numpy as np
import pytest
from processes import ROOT
from test_idx import encode

import fastdrop
from fastdrop.cli.train import train
from fastdrop.models import MODELS, TEXT_MODELS
from fastdrop.nn.optimizers import OPTIMIZERS
from fastdrop.setting import LEARNING_RATES

QUICK = ("--epochs", "2", "--hidden", "16")

# Ctrl-C is ignored from birth in a process of a shell's background job.
HEARS_CTRL_C = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("fastdrop", run_name="__main__")
"""


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
    for name in ("training error", "test error", "test accuracy"):
        assert re.search(rf"^{name} +\d+\.\d\d% +\d+\.\d\d%$", out, re.MULTILINE)
    assert re.search(r"^samples/second +[\d,]+ +[\d,]+$", out, re.MULTILINE)
    assert "\noptimizer sgd, learning rate 0.02, batch size 32\n" in out
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
        *("--learning-rate", "0.01", "--train-share", "0.75", "--seed", "9", "--quiet"),
        *("--optimizer", "rmsprop"),
        *("--backend", "reference", "--threads", "1", "--out", "here.svg"),
    )
    assert result.exit_code == 0, result.output
    data = fastdrop.data.digits(0.75)
    expected = fastdrop.experiments.train(
        compare=True,
        rate=0.25,
        hidden=(8, 6),
        epochs=1,
        batch_size=100,
        learning_rate=0.01,
        seed=9,
        data=data,
        optimizer="rmsprop",
    )
    assert f"{len(data.y_train):,} digits to train on" in result.stdout
    assert "network: 64-8-6-10 units" in result.stdout
    without, with_dropout = expected.without.test_error, expected.with_dropout.test_error
    assert without != with_dropout
    assert re.search(rf"test error +{without:.2%} +{with_dropout:.2%}\n", result.stdout)
    assert "optimizer rmsprop, learning rate 0.01, batch size 100" in result.stdout
    assert "epochs 1, seed 9, backend reference, threads 1," in result.stdout
    assert result.stderr == ""
    assert (tmp_path / "here.svg").read_text().startswith("<?xml")


def write_mnist(folder):
    """Noise in the four files."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, count in (("train", 60), ("t10k", 20)):
        pixels = rng.integers(0, 256, count * 784).tolist()
        (folder / f"{name}-images-idx3-ubyte").write_bytes(encode(pixels, (count, 28, 28)))
        labels = [place % 10 for place in range(count)]
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(encode(labels, (count,)))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_named_images_train_one_cnn(run, tmp_path, name):
    write_mnist(tmp_path / "data" / name)
    result = run(
        *("train", "--data", name, "--data-dir", "data", "--model", "cnn", "--epochs", "1")
    )
    assert result.exit_code == 0, result.output
    assert (
        "60 samples to train on, 20 for the test; network: cnn, 225,034 parameters" in result.stdout
    )
    assert re.search(r"^0  Conv2D +\(None, 26, 26, 32\) +320$", result.stdout, re.MULTILINE)
    data = getattr(fastdrop.data, name)("data")
    expected = fastdrop.experiments.train(data=data, model="cnn", epochs=1)
    (arm,) = expected.arms
    for words in (
        rf"\n\n +with dropout 0\.5\ntraining error +{arm.train_error:.2%}\n",
        rf"\ntest error +{arm.test_error:.2%}\ntest accuracy +{1 - arm.test_error:.2%}\n",
        r"\nsamples/second +[\d,]+\n\noptimizer adam, learning rate 0\.001, batch size 32\n",
        r"\nepochs 1, seed 0, backend \w+, threads \d+, \d+\.\d seconds\n",
    ):
        assert re.search(words, result.stdout), words
    assert "without dropout" not in result.stdout
    assert result.stderr.count("with dropout") == result.stderr.count("batch/s") > 0
    assert (tmp_path / "learning-curves.png").stat().st_size > 10_000


def test_own_data_and_a_comparison(run, tmp_path):
    write_own(tmp_path)
    run = partial(run, "train", "--data", "mine.npz", "--model", "regularized", *QUICK, "--quiet")
    labels, errors = [], []
    for options in (("--rate", "0"), (), ("--compare",)):
        result = run(*options)
        assert result.exit_code == 0, result.output
        labels += re.findall(r"^ +(with.*)$", result.stdout, re.MULTILINE)
        errors.append(re.search(r"test error +(.*)", result.stdout).group(1).split())
    assert labels == ["without dropout", "with dropout 0.5", "without dropout  with dropout 0.5"]
    assert errors[0] + errors[1] == errors[2]


@pytest.mark.parametrize("model", TEXT_MODELS)
def test_sentences_train_models_of_text(run, model):
    epochs = 1 if model == "lstm" else 20
    result = run(
        *("train", "--data", "reviews", "--model", model, "--epochs", f"{epochs}", "--quiet"),
        *("--learning-rate", "0.003"),
    )
    assert result.exit_code == 0, result.output
    assert f"180 sentences to train on, 20 for the test; network: {model}, " in result.stdout
    assert f"optimizer adam, learning rate 0.003, batch size 32\nepochs {epochs}" in result.stdout
    (error,) = re.findall(r"^test error +([\d.]+)%$", result.stdout, re.MULTILINE)
    expected = fastdrop.experiments.train(
        data="reviews", model=model, epochs=epochs, learning_rate=0.003
    )
    assert error == f"{100 * expected.arms[0].test_error:.2f}"
    # What a coin would get wrong is 10 of the 20.
    assert model == "lstm" or float(error) <= 20


def test_sentences_of_a_folder_and_a_comparison(run, tmp_path):
    for name, words in (("pos", "good"), ("neg", "bad")):
        lines = [f"a {words} film , {'very ' * (place % 7)}{words} \x85\n" for place in range(40)]
        (tmp_path / f"rt-polarity.{name}").write_bytes("".join(lines).encode("latin-1"))
    options = ("--data", "reviews", "--data-dir", ".", "--compare", "--quiet", "--epochs", "5")
    result = run("train", *options, "--model", "text", "--hidden", "8")
    assert result.exit_code == 0, result.output
    assert "72 sentences to train on, 8 for the test" in result.stdout
    assert re.search(r"^ +without dropout +with dropout 0\.5$", result.stdout, re.MULTILINE)
    assert re.search(r"^2  Dense +\(None, 8\) +808$", result.stdout, re.MULTILINE)


def test_json_is_all_that_is_printed(run, tmp_path):
    result = run("train", *QUICK, "--quiet", "--json", "--run", "mine")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed == json.loads((tmp_path / "mine" / "run.json").read_text())
    assert [row["arm"] for row in printed["rows"]] == ["without dropout", "with dropout"]
    assert (tmp_path / "learning-curves.png").is_file()


def write_own(folder):
    rng = np.random.default_rng(0)
    np.savez(folder / "mine.npz", x=rng.random((200, 10, 10)), y=rng.integers(0, 4, 200))


def test_digits_can_be_trained_alone(run):
    for options in (("--no-compare",), ("--model", "cnn"), ("--checkpoint", "run")):
        result = run("train", *QUICK, "--quiet", *options)
        assert re.search(r"^ +with dropout 0\.5$", result.stdout, re.MULTILINE), result.output
        assert "896 digits to train on" in result.stdout


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
        (("--model", "vgg"), "'--model': 'vgg' is not one of 'mlp', 'cnn', 'regularized'"),
        (("--optimizer", "lion"), "'--optimizer': 'lion' is not one of 'sgd', 'adam'"),
        (
            ("--data", "digit"),
            "name must be digits, mnist, fashion_mnist, reviews, a path .*'digit'",
        ),
        (("--data", "reviews", "--model", "mlp"), "the model mlp needs samples of numbers, got"),
        (("--data", "reviews", "--model", "cnn"), "the model cnn needs samples of numbers, got se"),
        (("--data", "reviews", "--data-dir", "."), "rt-polarity.pos are needed, and are neither"),
        (("--model", "lstm"), r"the model lstm needs sentences, .* float32 and shape \(64,\)"),
        (("--data", "none.npz"), "none.npz does not exist; give an .npz file or a folder"),
        (("--data", "broken.npz"), "broken.npz is not an .npz file"),
        (("--data", "words.npz"), "words.npz: x must hold real numbers, got <U1"),
        (("--data", "mine.npz", "--train-share", "0.001"), "leaves a part empty"),
        (("--data", "mnist"), "t10k-labels-idx1-ubyte .* --data-dir .* or FASTDROP_DATA"),
        (("--data", "mnist", "--data-dir", "."), "are needed, and are neither in mnist nor in"),
        (("--checkpoint", "missing/run"), "no checkpoint can be written to the folder"),
        (("--checkpoint", "."), "checkpoint must be a file, got the folder"),
        (("--resume", "missing"), "'missing' cannot be read"),
        (("--resume", "broken.npz"), "'broken.npz' is no checkpoint of fastdrop"),
        (("--compare", "--checkpoint", "run"), "--compare trains two networks"),
        (("--compare", "--resume", "run"), "--compare trains two networks"),
    ],
)
def test_bad_input_is_one_line_and_status_2(run, tmp_path, monkeypatch, arguments, text):
    write_own(tmp_path)
    (tmp_path / "broken.npz").write_text("broken")
    np.savez(tmp_path / "words.npz", x=[["a"]] * 4, y=[0, 1, 0, 1])

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


@contextmanager
def started(tmp_path, *arguments):
    """`fastdrop …` in a process that can be interrupted."""
    process = subprocess.Popen(
        [sys.executable, "-c", HEARS_CTRL_C, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_is_one_line_and_status_130(tmp_path):
    with started(tmp_path, "train", "--epochs", "10000") as process:
        shown = b""
        while b"batch/s" not in shown:  # the bar moves: training has begun
            assert process.poll() is None, shown
            shown += process.stderr.read1(100)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err
    assert err.endswith(b"\nfastdrop: interrupted, nothing was saved\n")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_keeps_the_checkpoint_and_says_how_to_go_on(run, tmp_path):
    command = ["train", "--hidden", "16", "--epochs", "40", "--batch-size", "300", "--seed", "4"]
    command += ["--quiet", "--checkpoint"]
    with started(tmp_path, *command, "my run") as process:
        while not (tmp_path / "my run").exists():
            assert process.poll() is None, process.communicate()
            sleep(0.002)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == b""
    epoch, advice = re.fullmatch(
        r"\nfastdrop: interrupted; 'my run' has the network after epoch (\d+); "
        r"to go on: fastdrop (.*)\n",
        err.decode(),
    ).groups()
    assert 1 <= int(epoch) < 40
    assert advice == f"{shlex.join(command)} 'my run' --resume 'my run'"
    resumed = run(*shlex.split(advice))
    assert resumed.exit_code == 0, resumed.output
    whole = run(*command, "whole")
    assert (tmp_path / "my run").read_bytes() == (tmp_path / "whole").read_bytes()
    errors = [re.findall("(?:error|accuracy) .*", each.stdout) for each in (resumed, whole)]
    assert errors[0] == errors[1]
    assert len(errors[0]) == 3


def test_advice_to_go_on_names_each_file_once(run, tmp_path, monkeypatch):
    command = ["train", *QUICK, "--quiet", "--checkpoint", "run"]
    assert run(*command).exit_code == 0

    def interrupted(*args, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(fastdrop.nn.Sequential, "fit", interrupted)
    again = run(*command, "--resume", "run")
    assert again.exit_code == 130
    assert again.stderr.endswith(f"{shlex.join(command)} --resume run\n")


def test_help_teaches(run):
    result = run("train", "--help")
    assert result.exit_code == 0
    assert "fastdrop train --rate 0.3" in result.stdout
    for model in MODELS | TEXT_MODELS:
        assert re.search(rf"^      {model} +\w+", result.stdout, re.MULTILINE)
    options = re.findall(r"^  (--[a-z-]+)", result.stdout, re.MULTILINE)
    assert len(options) == 20
    without_default = {"--run", "--checkpoint", "--resume", "--json", "--quiet"}
    for option in options:
        section = result.stdout.split(f"\n  {option} ", 1)[1].split("\n  -", 1)[0]
        shown = "[default:" in re.sub(r"\s+", " ", section)
        assert shown == (option not in without_default), option
    for alone in (run(), run("--help")):
        assert alone.exit_code == 0
        assert re.search(r"^  train +Train a network with dropout", alone.stdout, re.MULTILINE)


def test_choices_are_those_of_the_library():
    choices = {option.name: getattr(option.type, "choices", None) for option in train.params}
    assert list(choices["model"]) == [*MODELS, *TEXT_MODELS]
    assert list(choices["optimizer"]) == list(LEARNING_RATES)
    assert set(LEARNING_RATES) == set(OPTIMIZERS)


def test_version(run):
    result = run("--version")
    assert result.exit_code == 0
    assert version("fastdrop") in result.stdout
