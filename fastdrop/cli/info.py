"""`fastdrop info`: what this install has and uses."""

from __future__ import annotations

import json
from typing import Any

import click

from fastdrop.cli.group import told


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(as_json: bool) -> None:
    """Show versions, backends, threads, packages and data sets.

    What is missing stands there with what to do about it. Put this into a bug
    report.

    \b
    Variables that change what is shown
        FASTDROP_BACKEND      cython, numba or reference
        FASTDROP_NUM_THREADS  the most threads that compute
        FASTDROP_ISA          avx512, avx2, avx2-other or baseline
        FASTDROP_DATA         the folder with the data sets
    """
    from fastdrop.info import info as find

    with told():
        facts = find()
    click.echo(json.dumps(facts, indent=1) if as_json else _text(facts))


def _text(facts: dict[str, Any]) -> str:
    def line(name: str, text: str) -> str:
        return f"{name:16}{text}"

    where = " ".join((facts["system"], facts["processor"]))
    lines = [
        line("fastdrop", facts["fastdrop"]),
        line("Python", f"{facts['python']}, {where}"),
        line("backend", f"{facts['backend']['name']}: {facts['backend']['from']}"),
    ]
    for name, missing in facts["backends"].items():
        layer = facts["thread_layers"].get(name)
        words = [f"missing: {missing}" if missing else "here"]
        if name == "cython" and facts["isa"]:
            words.append(f"{facts['isa']['name']} of {', '.join(facts['isa']['available'])}")
        if layer and not missing:
            words.append(f"threads: {layer}")
        lines.append(line(f"  {name}", "; ".join(words)))
    own = facts["layers"] == "cython"
    blas = "; ".join(facts["blas"]) + ("; not called by the layers" if own else "")
    lines += [
        line("layers", facts["layers"]),
        line("threads", f"{facts['threads']['count']}: {facts['threads']['from']}"),
        line("BLAS", blas),
    ]
    for place, (name, version) in enumerate(facts["packages"].items()):
        found = version or f"missing: {facts['install'][name]}"
        lines.append(line("" if place else "packages", f"{name} {found}"))
    folder = facts["data"]["folder"] or "no folder: FASTDROP_DATA is not set"
    lines.append(line("data", folder))
    for name, place in facts["data"]["sets"].items():
        lines.append(line(f"  {name}", place or "not found"))
    return "\n".join(lines)
