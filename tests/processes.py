"""Python programs in processes of their own, with a time limit: a hang is a failed row."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastdrop

ROOT = Path(fastdrop.__file__).parents[1]
OURS = ("FASTDROP_", "NUMBA_", "OMP_", "GOMP_", "OPENBLAS_", "MKL_")


def run_python(*arguments, timeout=120, root=ROOT, cwd=None, fails=False, **environment):
    """The output of a Python process that finds the package in `root`, and runs there.

    Variables that set threads are those of `environment` alone.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    paths = [str(root), str(Path(__file__).parent)]
    variables |= {"PYTHONPATH": os.pathsep.join(paths)} | environment
    command = [sys.executable, *arguments]
    try:
        # A program given by -c finds what lies in its own folder first.
        done = subprocess.run(
            command,
            cwd=cwd or root,
            env=variables,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as hang:
        said = ((hang.stdout or b"") + (hang.stderr or b"")).decode(errors="replace")
        pytest.fail(f"no end after {timeout} s; it said: {said[-3000:]}")
    if (done.returncode != 0) != fails:
        pytest.fail(f"ended with {done.returncode}:\n{done.stdout[-6000:]}{done.stderr[-6000:]}")
    return (done.stdout + done.stderr if fails else done.stdout).strip()


def run_code(code, **options):
    """The same for a program; warnings are errors in it."""
    # Python 3.12 and newer warn of every fork of a process with threads.
    fork = "ignore:This process:DeprecationWarning"
    return run_python("-W", "error", "-W", fork, "-c", code, **options)
