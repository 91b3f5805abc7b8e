"""What the tests share: every backend in turn, and the masks' bits written out."""

import signal

import pytest

import fastdrop

# A shell starts what runs in its background with Ctrl-C ignored, and children
# inherit that; the tests of Ctrl-C need its handler.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

BACKENDS = ("cython", "numba", "reference")


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
