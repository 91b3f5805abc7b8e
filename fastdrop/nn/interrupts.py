"""Steps that Ctrl-C does not cut in half."""

from __future__ import annotations

# `signal` is this with enums around it, which made a small network's step a tenth longer.
import _signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def whole() -> Iterator[None]:
    """Hold back Ctrl-C until the block has ended, then hand it on.

    Python raises KeyboardInterrupt between any two operations of the main
    thread, and an optimiser moves the parameters one after another. Elsewhere
    than in the main thread there is nothing to hold back; a handler that was
    not set from Python (None) cannot be put back and is left alone.
    """
    before = _signal.getsignal(_signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    _signal.signal(_signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        _signal.signal(_signal.SIGINT, before)
        if held:
            _signal.raise_signal(_signal.SIGINT)
