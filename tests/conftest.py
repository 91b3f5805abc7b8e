"""What the tests share: every backend in turn, and the commands."""

import signal

import pytest
from backends import BACKENDS
from click.testing import CliRunner

import fastdrop
from fastdrop.cli import main

# A shell starts what runs in its background with Ctrl-C ignored, and children
# inherit that; the tests of Ctrl-C need its handler.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=BACKENDS)
def backend(request):
    """The name of a backend, which is in use during the test.

    One that is missing is an error and no reason to skip: the masks are the
    same in all three or the package is broken.
    """
    before = fastdrop.get_backend()
    fastdrop.set_backend(request.param)
    yield request.param
    fastdrop.set_backend(before)


@pytest.fixture
def kernels(backend):
    """The kernel module of a backend."""
    return fastdrop.kernels.active()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`fastdrop …` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTDROP_DATA", raising=False)
    backend, threads = fastdrop.get_backend(), fastdrop.get_num_threads()
    yield lambda *arguments: CliRunner().invoke(main, arguments)
    fastdrop.set_backend(backend)
    fastdrop.set_num_threads(threads)
