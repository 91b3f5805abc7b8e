"""The commands: arguments in, the library called, results printed.

One file for each command, and for what several share.
"""

from fastdrop.cli.group import main

__all__ = ["main"]
