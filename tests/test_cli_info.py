"""What an install says of itself."""

import json
import os
import re
import sys
import tomllib
from importlib.metadata import version

import pytest
from processes import ROOT, run_python
from test_cli import write_mnist

import fastdrop
from fastdrop.info import PACKAGES, info

requires_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="processes have no affinity here"
)


def told(**environment):
    """What a fresh process says."""
    return json.loads(run_python("-m", "fastdrop", "info", "--json", **environment))


def test_facts_are_those_of_the_package():
    facts = info()
    assert facts["backend"]["name"] == fastdrop.get_backend()
    assert facts["threads"]["count"] == fastdrop.get_num_threads()
    assert facts["backends"] == dict.fromkeys(("cython", "numba", "reference"))
    assert facts["layers"] == "cython"
    assert facts["isa"]["name"] in facts["isa"]["available"]
    assert facts["packages"]["numpy"] == version("numpy")
    assert facts["thread_layers"]["cython"] == "fastdrop's own pool"
    assert facts["blas"]


def test_variables_are_seen():
    facts = told(FASTDROP_BACKEND="numba", FASTDROP_NUM_THREADS="1", FASTDROP_ISA="baseline")
    assert facts["backend"] == {"name": "numba", "from": "FASTDROP_BACKEND"}
    assert facts["isa"]["name"] == "baseline"
    if fastdrop.threads._processors() > 1:
        assert facts["threads"] == {"count": 1, "from": "FASTDROP_NUM_THREADS"}
        assert told(OMP_NUM_THREADS="1")["threads"]["from"] == "OMP_NUM_THREADS"
    facts = told(FASTDROP_LAYERS="numpy")
    assert facts["layers"] == "numpy"
    assert facts["backend"]["from"] == "the fastest that is here"


@requires_affinity
def test_affinity_is_seen():
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, [{one}]); from fastdrop.info import info; "
    code += "import json; print(json.dumps(info()['threads']))"
    facts = json.loads(run_python("-c", code))
    assert facts == {"count": 1, "from": "the processors that this process may run on"}


def test_what_is_missing_is_said_with_the_remedy(run, monkeypatch):
    backend = fastdrop.kernels.backend
    with monkeypatch.context() as patch:
        # One that is not built, and one that is there and cannot be imported.
        patch.setattr(backend, "_is_there", lambda name: name != "cython")
        patch.setitem(sys.modules, "fastdrop.kernels.numba_kernels", None)
        patch.setattr(
            fastdrop.info, "version_of", lambda name: None if name in ("torch", "tqdm") else "1.2"
        )
        out = run("info").stdout
    assert re.search(r"^  numba +missing: import of fastdrop.kernels.numba_kernels", out, re.M)
    assert re.search(r"^  cython +missing: its extension is not built: .*`pip install", out, re.M)
    assert re.search(r'^ +torch missing: pip install "fastdrop\[torch\]"$', out, re.M)
    assert re.search(r'^ +tqdm missing: pip install "fastdrop\[app\]"$', out, re.M)


def test_packages_are_those_of_the_extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {**project["optional-dependencies"], None: project["dependencies"]}
    for extra, names in PACKAGES.items():
        required = {re.match(r"[\w-]+", text).group() for text in extras[extra]}
        assert required <= set(names), extra


def test_data_sets_that_are_there(run, tmp_path, monkeypatch):
    write_mnist(tmp_path / "sets" / "mnist")
    (tmp_path / "sets" / "uci" / "yacht").mkdir(parents=True)
    (tmp_path / "sets" / "uci" / "yacht" / "data.txt").write_text("1 2")
    without = json.loads(run("info", "--json").stdout)["data"]
    assert without["folder"] is None
    assert without["sets"] == {
        "digits": "in scikit-learn",
        "mnist": None,
        "fashion_mnist": None,
        "reviews": "200 built-in sentences",
    }
    monkeypatch.setenv("FASTDROP_DATA", str(tmp_path / "sets"))
    sets = json.loads(run("info", "--json").stdout)["data"]["sets"]
    assert sets["mnist"] == str(tmp_path / "sets" / "mnist")
    assert sets["fashion_mnist"] is None
    assert sets["reviews"] is None
    assert sets["uci"].endswith("uci: yacht")


def test_text_has_it_all(run):
    result = run("info")
    assert result.exit_code == 0, result.output
    facts = info()
    for words in (
        rf"^backend +{facts['backend']['name']}: ",
        rf"^  cython +here; {facts['isa']['name']} of .*; threads: fastdrop's own pool$",
        r"^  reference +here$",
        rf"^threads +{facts['threads']['count']}: {facts['threads']['from']}$",
        rf"^BLAS +{re.escape(facts['blas'][0])}.*not called by the layers$",
        r"^data +no folder: FASTDROP_DATA is not set$",
        r"^  mnist +not found$",
    ):
        assert re.search(words, result.stdout, re.MULTILINE), words


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("FASTDROP_BACKEND", "fortran", "backend must be one of cython, numba, reference"),
        ("FASTDROP_NUM_THREADS", "0", "FASTDROP_NUM_THREADS must be an int of at least 1"),
        ("FASTDROP_ISA", "mmx", "FASTDROP_ISA must be one of"),
    ],
)
def test_a_bad_environment_is_one_line(variable, value, text):
    said = run_python("-m", "fastdrop", "info", fails=True, **{variable: value})
    assert said.count("\n") == 0
    assert text in said
