"""Steps that Ctrl-C does not cut in half."""

from __future__ import annotations

import signal
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
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held:
            signal.raise_signal(signal.SIGINT)
