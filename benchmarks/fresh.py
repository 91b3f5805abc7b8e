"""Functions called in a process of their own.

Libraries leave threads behind that spin, memory that is not given back and
runtimes that whoever comes later has to share. What must be measured apart
from all that is measured in a fresh process, with nothing set in its
environment that the caller did not ask for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.machine import ROOT

# The result is the last line: some libraries print.
_PROGRAM = """
import json, sys
from importlib import import_module
module, name, arguments = json.loads(sys.argv[1])
result = getattr(import_module(module), name)(**arguments)
print("\\n" + json.dumps(result))
"""


def call(
    function: Callable[..., Any], environment: Mapping[str, str] | None = None, **arguments: Any
) -> Any:
    """The JSON-able result of a module's function, called in a fresh process."""
    what = json.dumps([function.__module__, function.__name__, arguments])
    return json.loads(run(["-c", _PROGRAM, what], environment).splitlines()[-1])


def run(arguments: list[str], environment: Mapping[str, str] | None = None) -> str:
    """What this Python prints, given `arguments`; its errors go where ours go."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout
