"""Ten seconds of measuring, in less; what is right is tested, and not how fast it is."""

import json
import re
import sys
from math import prod
from statistics import median

import numpy as np
import pytest

import fastdrop
from fastdrop import bench

QUICK = 0.01


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("extension", [True, False])
def test_copies_are_copies(monkeypatch, extension, threads):
    if not extension:
        monkeypatch.setitem(sys.modules, "fastdrop.kernels.cython_kernels", None)
    x = np.random.default_rng(0).random((7, 1001), np.float32)
    out = np.empty_like(x)
    copies = bench.copies(x, out, threads)
    assert len(copies) == len({1, threads})
    for name, copy in copies.items():
        assert name.startswith("C" if extension else "NumPy")
        out[...] = np.nan
        copy()
        assert np.array_equal(out, 2 * x)


SMALL = [case for case in bench.CASES if prod(case.shape) <= 2**20]


@pytest.mark.parametrize("case", SMALL, ids=lambda case: f"{case.mask}-{case.shape}")
def test_contenders_compute_what_they_say(case):
    """Dropped or doubled, one draw for all elements along the axes that share it."""
    x = np.ones(case.shape, np.float32)
    out = np.empty_like(x)
    contenders = bench._dropouts(case, x, out)
    assert list(contenders) == [
        f"{name} {way}" for name in ("cython", "numba") for way in ("forward", "backward")
    ]
    for contender in contenders.values():
        out[...] = np.nan
        contender.seconds(1)
        assert set(np.unique(out)) == {0, 2}
        own = out.max(axis=case.shared_axes, keepdims=True)
        assert own.shape == case.own
        assert np.array_equal(out, np.broadcast_to(own, case.shape))
        assert abs(own.mean() - 1) < 5 / np.sqrt(own.size)
    assert set(np.unique(bench._idiom(case, x)())) == {0, 2}


def test_contenders_run_on_their_backend(monkeypatch):
    used = []
    monkeypatch.setattr(bench, "dropout", lambda *a, **k: used.append(fastdrop.get_backend()))
    case = bench.Case("elementwise", (8,))
    x = np.ones(8, np.float32)
    before = fastdrop.get_backend()
    for name, contender in bench._dropouts(case, x, x.copy()).items():
        if name.endswith("forward"):
            contender.seconds(2)
    assert used == ["cython"] * 2 + ["numba"] * 2
    assert fastdrop.get_backend() == before


def test_shares_are_times_of_the_copy_over_theirs(monkeypatch):
    times = {
        "C, 1 thread": [4.0, 4.0, 9.0],
        "C, 2 threads": [1.0, 2.0, 3.0],
        "cython forward": [2.0, 2.0, 4.0],
        bench.IDIOM: [100.0, 100.0, 100.0],
    }
    monkeypatch.setattr(bench, "copies", lambda *a: dict.fromkeys(list(times)[:2], lambda: None))
    monkeypatch.setattr(bench, "_in_turn", lambda contenders, seconds: times)
    row = bench.measure(bench.Case("elementwise", (16,)), QUICK)
    assert (row.copy, row.copy_seconds) == ("C, 2 threads", 2.0)
    # Round by round, and then the median.
    assert row.shares == {"cython forward": median([0.5, 1.0, 0.75]), bench.IDIOM: 0.02}
    assert row.seconds == {"cython forward": 2.0, bench.IDIOM: 100.0}


@pytest.mark.parametrize(
    ("isa", "backend", "n", "expected"),
    [
        ("avx512", "cython", 2**20, 0.9),
        ("avx512", "cython", 2**18, 0.4),
        ("avx512", "cython", 2**18 - 1, 0.0),
        ("avx2", "cython", 2**24, 0.4),
        ("baseline", "cython", 2**24, 0.0),
        ("avx2", "numba", 2**20, 0.4),
        ("avx2", "numba", 2**19, 0.2),
        ("avx2", "np.random.binomial", 2**20, 0.0),
    ],
)
def test_what_is_promised(monkeypatch, isa, backend, n, expected):
    monkeypatch.setattr(bench, "isa", lambda: isa)
    assert bench.least(backend, n) == expected
    row = bench.Row("x", (n,), "copy", 1.0, {f"{backend} forward": 0.3}, {})
    assert row.missed(f"{backend} forward") == (expected > 0.3)


def test_a_table():
    shares = {"cython forward": 0.123, bench.IDIOM: 0.004}
    rows = (bench.Row("spatial", (2**10, 2**10), "C", 1e-3, shares, {}),)
    head, line = bench.Bench(rows, {}).table().splitlines()
    assert head.split() == [
        *("mask", "elements", "copy,", "ms", "GB/s", "cython", "forward", bench.IDIOM)
    ]
    # 2**20 elements, of four bytes, read and written.
    start = ["spatial", "2^20", "1.000", "8", "0.12"]
    assert line.split()[:5] == start
    assert line.split()[-1] == "0.004"


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_seconds_are_checked(seconds):
    with pytest.raises(ValueError, match="seconds must be finite and above 0, got"):
        bench.bench(seconds)


@pytest.fixture
def few(monkeypatch):
    """Two small cases stand for all."""
    cases = bench.CASES[0], bench.Case("temporal", (4, 8, 16), (1,))
    monkeypatch.setattr(bench.bench, "__kwdefaults__", {"cases": cases, "progress": False})
    return cases


def test_command(run, few):
    result = run("bench", "--seconds", f"{QUICK}", "--threads", "1")
    assert result.exit_code == 0, result.output
    assert "; threads 1; Python" in result.stdout
    assert re.search(r"^elementwise +2\^14 +\d", result.stdout, re.MULTILINE)
    assert re.search(r"^temporal +2\^9 +\d", result.stdout, re.MULTILINE)
    assert "2/2" in result.stderr
    result = run("bench", "--seconds", f"{QUICK}", "--json", "--quiet")
    assert result.stderr == ""
    answer = json.loads(result.stdout)
    assert [row["mask"] for row in answer["rows"]] == ["elementwise", "temporal"]
    assert answer["machine"]["threads"] == fastdrop.get_num_threads()
    for row in answer["rows"]:
        assert all(share > 0 for share in row["shares"].values())


def test_ctrl_c_prints_what_was_measured(run, few, monkeypatch):
    measure = bench.measure

    def interrupted(case, seconds):
        if case is few[1]:
            raise KeyboardInterrupt
        return measure(case, seconds)

    monkeypatch.setattr(bench, "measure", interrupted)
    result = run("bench", "--seconds", f"{QUICK}", "--quiet")
    assert result.exit_code == 130
    assert "elementwise" in result.stdout
    assert "temporal" not in result.stdout
    assert result.stderr == "fastdrop: interrupted; the table has what was measured\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--seconds", "0"), "'--seconds': 0.0 is not in the range x>0"),
        (("--seconds", "inf"), "seconds must be finite and above 0, got inf"),
        (("--threads", "0"), "'--threads': 0 is not in the range"),
    ],
)
def test_bad_input_is_one_line_and_status_2(run, arguments, text):
    result = run("bench", *arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert re.fullmatch(rf"fastdrop: .*{re.escape(text)}.*bench --help`\)\n", result.stderr)
