"""Every Python block of the README runs: as it stands, or after what its text has at hand."""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from made_runs import COMPARED, made
from matplotlib.figure import Figure
from processes import run_python

import fastdrop

README = (Path(__file__).parents[1] / "README.md").read_text()
SECTIONS = re.split(r"^## (.*)\n", README, flags=re.M)[1:]
BLOCKS = [
    (name, source)
    for name, text in zip(SECTIONS[::2], SECTIONS[1::2], strict=True)
    for source in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
]

# They have tests of their own, which compare what they give.
ELSEWHERE = "Three lines", "In NumPy programs of your own"
# Parts of one program, whose data are the reader's.
FRAGMENTS = "What there is", "See it"
# What would take minutes, as seconds: smaller networks, fewer epochs.
SMALLER = {
    "scikit-learn": {"(256,)": "(16,)", "tol=0.01": "tol=1.0"},
    "Data larger than memory": {"200_000": "20_000", "Dense(128)": "Dense(8)"},
    "Which rate?": {"progress=True": "hidden=(8,), epochs=1, seeds=1"},
}
NEEDS = {"scikit-learn": "sklearn", "PyTorch": "torch", "Which rate?": "distributed"}


@pytest.mark.parametrize(
    ("section", "source"),
    [block for block in BLOCKS if block[0] not in ELSEWHERE + FRAGMENTS],
    ids=lambda text: text if "\n" not in text else "",
)
def test_program(section, source, tmp_path):
    needed = NEEDS.get(section)
    if needed and find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    for large, small in SMALLER.get(section, {}).items():
        assert large in source
        source = source.replace(large, small)
    program = tmp_path / "program.py"
    program.write_text(source)
    run_python("-W", "error", str(program), timeout=300, cwd=tmp_path)


def test_fragments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made("compare", COMPARED).save("digits")
    rng = np.random.default_rng(0)
    images, labels = rng.random((40, 16, 16, 1), np.float32), np.arange(40) % 10
    # From the block that begins with these words on, these names are at hand.
    given = {
        "fastdrop.dropout(x": {"x": images, "rates": rng.random(1), "previous": images + 1},
        "stream =": {"x": np.ones((128, 1024)), "dy": np.ones((128, 1024))},
        "from fastdrop import nn": {"x": images, "y": labels, "x_test": images, "y_test": labels},
        "from fastdrop import plots": {"ax": Figure().subplots()},
    }
    names = {"fastdrop": fastdrop}
    for section, source in BLOCKS:
        if section not in FRAGMENTS:
            continue
        starts = [start for start in given if source.startswith(start)]
        for start in starts:
            names |= given.pop(start)
        if "plots" in source:
            names["plain"] = names["model"]
        # Three axes, where the other functions have four.
        exec(source.replace("temporal_dropout(x", "temporal_dropout(x[0]"), names)
    assert not given
    assert (tmp_path / "turned.png").stat().st_size > 1000
