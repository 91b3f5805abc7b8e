"""The table of cases with pytest-benchmark, beside the copy and the peers.

Names and groups stay the same from run to run, so that ``--benchmark-autosave``
and ``--benchmark-compare`` show what a change has cost. With ``--quick``
results are checked; they are not while time is taken.
"""

from __future__ import annotations

from timeit import Timer

import numpy as np
import pytest

import fastdrop
from benchmarks import baselines, cases, machine, measure, peers
from benchmarks.cases import Case


def pytest_generate_tests(metafunc):
    """Cases, and beside each group of them one copy and each peer."""
    quick, full = (metafunc.config.getoption(name) for name in ("quick", "full"))
    table = list(cases.quick() if quick else cases.full() if full else cases.usual())
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", table, ids=str)
        return
    beside = dict.fromkeys((case.shape, case.n, case.dtype) for case in table)
    if "peer" not in metafunc.fixturenames:
        metafunc.parametrize(("shape", "n", "dtype"), beside)
        return
    # Peers are slow, and their sizes do not differ much from one another.
    n = cases.SIZES[0] if quick else 2**20
    rows = [
        pytest.param(peer, shape, size, dtype, way, id=f"{peer}-{shape}-{size}-{dtype}-{way}")
        for peer in peers.installed()
        for shape, size, dtype in beside
        if peers.supports(peer.package, dtype) and (full or (size == n and dtype == "float32"))
        for way in ("forward", "backward")
    ]
    metafunc.parametrize(("peer", "shape", "n", "dtype", "way"), rows)


@pytest.fixture(scope="session")
def origin():
    return machine.describe()


@pytest.fixture
def note(benchmark, origin):
    """Puts a result in its group and says where it comes from."""

    def note(group, backend, **more):
        benchmark.group = group
        facts = {name: origin[name] for name in ("threads", "isa", "commit")}
        benchmark.extra_info.update(facts, backend=backend, **more)

    return note


def operands(shape, n, dtype):
    """Numbers, and an array of what no result holds."""
    x = cases.numbers(cases.SHAPES[shape].of(n), dtype)
    return x, np.full_like(x, np.nan)


def test_dropout(case: Case, benchmark, note, quick, origin):
    note(case.group, case.backend, version=origin["versions"].get("fastdrop"))
    x, out = operands(case.shape, case.n, case.dtype)
    with fastdrop.use_backend(case.backend):
        y = benchmark(case.ready(x, out))
    if quick:
        np.testing.assert_array_equal(y, case.expected(x), strict=True)


def test_copy(shape, n, dtype, benchmark, note, quick):
    x, out = operands(shape, n, dtype)
    copies = baselines.copies(x, out, fastdrop.get_num_threads())
    if quick:
        for copy in copies.values():
            out.fill(np.nan)
            copy()
            np.testing.assert_array_equal(out, 2 * x, strict=True)
    timers = {name: Timer(copy) for name, copy in copies.items()}
    best = baselines.best(measure.compare(timers, quick=quick, rounds=3))
    note(Case("", shape, n, dtype, 0.5, "").group, "copy", copy=best)
    benchmark(copies[best])


@pytest.mark.filterwarnings("default")
def test_peer(peer, shape, n, dtype, way, benchmark, note, quick):
    x, _ = operands(shape, n, dtype)
    own = cases.SHAPES[shape].own(n)
    rate = 0.5
    forward, backward = peer.calls(x, rate, own, fastdrop.get_num_threads())
    version = machine.version_of(peer.package)
    note(Case("", shape, n, dtype, rate, way).group, peer.name, version=version)
    y = np.asarray(benchmark(forward if way == "forward" else backward))
    if quick:
        check_dropped(x, y, rate, own)


def check_dropped(x, y, rate, own):
    """Zeros and scaled elements, shared as they should be, about as many as they should be."""
    kept = y != 0
    np.testing.assert_allclose(y, np.where(kept, x / (1 - rate), 0), rtol=1e-6)
    shared = tuple(axis for axis, size in enumerate(own) if size != x.shape[axis])
    assert (kept == kept.any(axis=shared, keepdims=True)).all()
    draws = np.prod(own)
    dropped = draws - kept.any(axis=shared, keepdims=True).sum()
    assert abs(dropped - rate * draws) < 6 * np.sqrt(rate * (1 - rate) * draws)


@pytest.fixture
def quick(request):
    return request.config.getoption("quick")
