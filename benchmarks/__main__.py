"""``python -m benchmarks``: measure, print the tables, save them."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from benchmarks import machine, picture, tables
from benchmarks.sections import SECTIONS
from fastdrop.plots import destination

DESCRIPTION = """\
What fastdrop costs, beside a scaled copy and beside other libraries. Every
figure that has a goal is marked (!) where it misses it.

sections (all of them unless some are named):
"""

EXAMPLES = """
examples:
  python -m benchmarks                            everything, some minutes
  python -m benchmarks copy blas                  two sections
  python -m benchmarks --save results.json        keep the figures, too
  python -m benchmarks --markdown results.json    the tables of a saved run
  python -m benchmarks --markdown results.json peers small
  python -m benchmarks peers --save peers.json --picture peers.png
  python -m benchmarks --markdown peers.json --picture peers.png
  python -m benchmarks --quick                    only: does it run?

Timings mean something on a machine that does nothing else meanwhile. Peers are
those that are installed (pip install "fastdrop[bench]"). How a change compares
with what was before is for pytest-benchmark:
  pytest benchmarks --benchmark-autosave
  pytest benchmarks --benchmark-compare
"""


def main() -> None:
    arguments = parse()
    names = arguments.sections or list(SECTIONS)
    if arguments.markdown:
        result = json.loads(Path(arguments.markdown).read_text())
        result["sections"] = {
            name: rows for name, rows in result["sections"].items() if name in names
        }
    else:
        result = run(names, arguments.quick, arguments.threads)
    if arguments.save:
        Path(arguments.save).write_text(json.dumps(result, indent=1) + "\n")
    if arguments.picture:
        try:
            picture.save(picture.draw(result), arguments.picture)
        except ValueError as error:
            sys.exit(f"python -m benchmarks: {error}")
    print(report(result))


def parse() -> argparse.Namespace:
    listed = "\n".join(f"  {name:16} {section.TITLE}" for name, section in SECTIONS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION + listed,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", metavar="section", help="what to measure")
    parser.add_argument("--quick", action="store_true", help="tiny arrays, once: figures are void")
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="at most N threads for fastdrop, the copies and the peers (JAX takes all)",
    )
    parser.add_argument("--save", metavar="FILE", help="write the figures to FILE, as JSON")
    parser.add_argument("--markdown", metavar="FILE", help="measure nothing: print a saved FILE")
    parser.add_argument(
        "--picture", metavar="FILE", help="draw the section peers to FILE (.png, .svg, …), too"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - SECTIONS.keys():
        parser.error(f"section must be one of {', '.join(SECTIONS)}, got {', '.join(unknown)}")
    if arguments.threads is not None and arguments.threads < 1:
        parser.error(f"--threads must be at least 1, got {arguments.threads}")
    if arguments.picture:
        if "peers" not in (arguments.sections or SECTIONS):
            parser.error("--picture draws the section peers: name it, too")
        # Before minutes of measuring.
        try:
            destination(arguments.picture)
        except (ImportError, OSError, ValueError) as error:
            parser.error(f"--picture: {error}")
    return arguments


def run(names: list[str], quick: bool, threads: int | None) -> dict:
    """Measure the sections and say where."""
    facts = machine.describe()
    if threads is not None:
        facts["threads"] = min(threads, facts["threads"])
    sections = {}
    for name in names:
        print(f"{name}: {SECTIONS[name].TITLE}", file=sys.stderr)
        sections[name] = SECTIONS[name].measure(quick, threads)
    if quick:
        # One call of a tiny array neither reaches a goal nor misses it.
        for row in chain.from_iterable(sections.values()):
            for key in ("goal", "least", "most"):
                row.pop(key, None)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return {"when": when, "quick": quick, "machine": facts, "sections": sections}


def report(result: dict) -> str:
    """All tables of a result, in Markdown."""
    facts = result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    parts = [
        f"{facts['processor']}, {facts['processors']} processors, {facts['threads']} threads, "
        f"{facts['isa'] or 'no extension'}; {facts['system']}, Python {facts['python']}, "
        f"{versions}; commit {facts['commit']}; {result['when']}, load average before the run: "
        f"{facts['load']}."
    ]
    if result["quick"]:
        parts.append("**A quick run: these figures say nothing about speed.**")
    for name, rows in result["sections"].items():
        parts.append(f"### {SECTIONS[name].TITLE}")
        found = SECTIONS[name].tables(rows) if rows else []
        parts += map(tables.markdown, found) if found else ["Nothing here to measure."]
    parts += [
        "### Goals: the worst figure of each",
        tables.markdown(tables.summary(result["sections"])),
    ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
