"""The picture of the peers, read back from the figure, and the README beside the saved runs."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import fresh, picture
from benchmarks.cases import fast_backends
from benchmarks.machine import ROOT
from benchmarks.sections.against_peers import against, contenders


def row(backend, peer, seconds, copies, peer_seconds, peer_copies, **others):
    """A row of the section, in a process whose copy took 1e-4 seconds."""
    plain = {"shape": "elementwise", "way": "forward", "n": 2**20, "figure": 1.0}
    times = {"seconds": seconds, "peer_seconds": peer_seconds, "copy_seconds": 1e-4}
    ratios = {"copy": "C, 2 threads", "copies": copies, "peer_copies": peer_copies}
    return {"backend": backend, "peer": peer, **plain, **times, **ratios, **others}


@pytest.fixture
def result():
    """Two packages, a process for each: the second has two forms, whose rows repeat its figures."""
    facts = {"processor": "Z80", "threads": 2, "isa": "avx2", "python": "3.11.7"}
    versions = {"numpy": "2.4.6", "keras": "3.15.1", "jax": "0.10.2"}
    rows = [
        row("cython", "NumPy 2.4.6 binomial", 2e-4, 2.0, 0.03, 300.0),
        row("cython", "JAX 0.10.2", 4e-4, 4.0, 0.001, 10.25),
        row("cython", "JAX 0.10.2 rbg", 4e-4, 4.0, 0.002, 20.0),
        row("numba", "NumPy 2.4.6 binomial", 6e-4, 6.5, 0.03, 300.0),
        row("cython", "NumPy 2.4.6 binomial", 1.0, 999.0, 1.0, 999.0, shape="temporal"),
        row("cython", "NumPy 2.4.6 binomial", 1.0, 999.0, 1.0, 999.0, way="backward"),
    ]
    machine = {**facts, "versions": versions}
    return {"quick": False, "machine": machine, "sections": {"peers": rows}}


def test_bars_are_as_long_as_the_figures_and_the_least_is_on_top(result):
    (ax,) = picture.draw(result).axes
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    bars = {name: bar.get_width() for name, bar in zip(labels, ax.patches, strict=True)}
    # The backend's 2 and 4 are of two processes; 3 copies is their median.
    assert list(bars.items()) == [
        ("a copy of the array", 1.0),
        ("fastdrop (Cython)", 3.0),
        ("fastdrop (Numba)", 6.5),
        ("JAX", 10.25),
        ("JAX, generator rbg", 20.0),
        ("NumPy: np.random.binomial", 300.0),
    ]
    assert [text.get_text() for text in ax.texts] == [
        "1×  (0.10 ms)",
        "3×  (0.30 ms)",
        "6.5×  (0.60 ms)",
        "10×  (1.00 ms)",
        "20×  (2.00 ms)",
        "300×  (30.00 ms)",
    ]
    assert {bar.get_x() for bar in ax.patches} == {0.0}
    assert ax.get_xlim()[0] == 0
    assert ax.yaxis_inverted()


def test_fastdrop_stands_out(result):
    (ax,) = picture.draw(result).axes
    weights = {tick.get_text(): tick.get_fontweight() for tick in ax.get_yticklabels()}
    bold = [name for name, weight in weights.items() if weight == "bold"]
    assert bold == ["fastdrop (Cython)", "fastdrop (Numba)"]
    tints = [bar.get_facecolor() for bar in ax.patches]
    assert tints[1] == tints[2]
    assert tints[1] not in tints[3:]


def test_it_says_what_was_measured_where_and_with_what(result):
    figure = picture.draw(result)
    assert "2^20 float32" in figure.get_suptitle()
    said = " ".join(figure.get_supxlabel().split())
    assert said.startswith("Z80, 2 threads, avx2; Python 3.11.7, numpy 2.4.6, jax 0.10.2.")
    assert "C, 2 threads" in said
    assert "quick" not in said
    result["quick"] = True
    assert "say nothing about speed" in picture.draw(result).get_supxlabel()


@pytest.mark.parametrize("section", ["blas", "peers"])
def test_a_result_without_peers_is_refused(result, section):
    result["sections"] = {section: []}
    with pytest.raises(ValueError, match=f"picture: result must .* got the sections {section}$"):
        picture.draw(result)


def test_a_result_from_before_the_copy_is_refused_and_printed(result):
    for old in result["sections"]["peers"]:
        del old["copy"], old["copy_seconds"], old["copies"], old["peer_copies"]
    with pytest.raises(ValueError, match="beside a copy"):
        picture.draw(result)
    assert next(iter(contenders(result["sections"]["peers"], "seconds"))) == "fastdrop, cython"


def test_the_copy_is_measured_beside_each_peer():
    rows = fresh.call(against, package="numpy", quick=True, threads=1)
    plain = [row for row in rows if row["shape"] == "elementwise" and row["way"] == "forward"]
    double = [row for row in rows if row["peer"].endswith("2 * x")]
    assert {row["backend"] for row in double} == set(fast_backends())
    assert all(row in plain for row in double)
    for row in rows:
        assert ("copies" in row) == (row in plain)
    # One round: its ratio is that of the two times.
    for row in plain:
        assert row["copies"] == pytest.approx(row["seconds"] / row["copy_seconds"])
        assert row["peer_copies"] == pytest.approx(row["peer_seconds"] / row["copy_seconds"])
    assert contenders(rows, "copies")["the copy"] == 1


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["benchmarks", *map(str, arguments)])
    command.main()


def test_the_command_draws_a_saved_run(monkeypatch, tmp_path, capsys):
    saved, drawn = ROOT / "benchmarks" / "peers.json", tmp_path / "speed.png"
    run(monkeypatch, "--markdown", saved, "--picture", drawn)
    assert drawn.read_bytes().startswith(b"\x89PNG")
    assert 5_000 < drawn.stat().st_size < 60_000
    assert "### Times as fast as the peers" in capsys.readouterr().out


def test_the_command_says_what_a_saved_run_lacks(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match=r"the sections scaling$"):
        run(
            *(monkeypatch, "--markdown", ROOT / "benchmarks" / "scaling.json"),
            *("--picture", tmp_path / "x.png", "peers", "scaling"),
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["blas", "--picture", "x.png"], "name it, too"),
        (["--picture", "missing/x.png"], "is not a folder"),
        (["--picture", "x.jpegs"], "must end in one of"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_it_is_measured(
    monkeypatch, tmp_path, capsys, arguments, said
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "run", lambda *arguments: pytest.fail("measured"))
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    assert said in capsys.readouterr().err


BLOCK = r"<!-- made by `python -m benchmarks (--markdown [^`]*)` -->\n\n(.*?)(?=\n<!--|\n## |\Z)"


@pytest.mark.parametrize("file", ["README.md", "benchmarks/README.md"])
def test_tables_are_those_of_the_saved_runs(monkeypatch, capsys, file):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(BLOCK, Path(file).read_text(), re.DOTALL)
    assert blocks
    for arguments, text in blocks:
        run(monkeypatch, *arguments.split())
        made = {line for line in capsys.readouterr().out.splitlines() if line.startswith("|")}
        shown = {line for line in text.splitlines() if line.startswith("|")}
        assert shown <= made, f"{file}: {arguments}: {sorted(shown - made)[:3]}"
        assert shown


def test_the_first_screen_says_what_its_run_says():
    rows = json.loads((ROOT / "benchmarks" / "peers.json").read_text())["sections"]["peers"]
    copies = {picture.label(name): f"{n:.2g}" if n < 10 else f"{n:.0f}" for name, n in (
        contenders(rows, "copies").items()
    )}  # fmt: skip
    seconds = contenders(rows, "seconds")["fastdrop, cython"]
    plain = [row for row in rows if row["shape"] == "elementwise" and row["way"] == "forward"]
    ours = [row for row in plain if row["backend"] == "cython"]
    slower = {picture.label(row["peer"]): f"{row['figure']:.3g}" for row in ours}
    text = " ".join((ROOT / "README.md").read_text().split("\n## ")[0].split())
    for said in (
        f"NumPy's 2 * x {copies['NumPy: 2 * x, no dropout']}, ",
        f"fastdrop {copies['fastdrop (Cython)']} with Cython and "
        f"{copies['fastdrop (Numba)']} with Numba, ",
        f"NumPy's rng.random {copies['NumPy: rng.random < 0.5']}, ",
        f"TensorFlow {copies['TensorFlow, tf.function']} to {copies['TensorFlow, XLA']}, ",
        f"JAX {copies['JAX']} and {copies['JAX, generator rbg']}, ",
        f"PyTorch {copies['PyTorch']}, ",
        f"np.random.binomial {copies['NumPy: np.random.binomial']}]",
        f"takes {seconds * 1e3:.2f} ms; ",
        f"PyTorch takes {float(slower['PyTorch']):.0f} times as long",
        f"NumPy idiom {slower['NumPy: rng.random < 0.5']} times",
    ):
        assert said in text
