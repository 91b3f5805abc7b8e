"""Timers in a process of their own, which lasts: it works when told to and sleeps meanwhile.

For contenders that do not go into one process and have to take turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.machine import ROOT

# What libraries print must not come between the answers.
_PROGRAM = """
import json, os, sys
from importlib import import_module
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
module, name, arguments = json.loads(sys.argv[1])
timers = getattr(import_module(module), name)(**arguments)
print(json.dumps(list(timers)), file=answers, flush=True)
for line in sys.stdin:
    name, number = json.loads(line)
    print(json.dumps(timers[name].timeit(number)), file=answers, flush=True)
"""


class Timer:
    """Stands for a `timeit.Timer` of a process."""

    def __init__(self, process: Process, name: str) -> None:
        self._process, self._name = process, name

    def timeit(self, number: int) -> float:
        """Seconds of `number` calls there."""
        return self._process.ask(self._name, number)


class Process:
    """A fresh process with the timers that a module's function gives, a dict, in it.

    Attributes
    ----------
    timers : dict of str to Timer
        By their names there.
    """

    def __init__(
        self,
        function: Callable[..., Mapping[str, Any]],
        environment: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> None:
        what = json.dumps([function.__module__, function.__name__, arguments])
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, what],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.timers = {name: Timer(self, name) for name in self._answer()}

    def ask(self, name: str, number: int) -> float:
        """What ``timeit(number)`` of the timer `name` gives."""
        print(json.dumps([name, number]), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._process.args[3:])}: the process has ended")
        return json.loads(line)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate()
