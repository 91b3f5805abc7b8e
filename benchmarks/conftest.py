"""Options of ``pytest benchmarks``: how much of the table is run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser):
    group = parser.getgroup("fastdrop benchmarks")
    group.addoption(
        "--full",
        action="store_true",
        help="time every case: an hour or two. The default is every case that differs in one thing "
        "at most from float32, 2^20 elements, element-wise, rate 0.5, forward",
    )
    group.addoption(
        "--quick",
        action="store_true",
        help="run small cases once and check their results; nothing is timed",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    if config.getoption("quick"):
        # Each function that is given to `benchmark` is then called once.
        config.option.benchmark_disable = True
