"""Tables in Markdown: of a section's rows, and of the goals over all sections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks import goals
from benchmarks.cases import power

Table = tuple[Sequence[str], list[list[str]]]

# Beside a figure that misses its goal.
MISSED = " (!)"


def figure(row: dict) -> str:
    """A row's figure, marked if it misses its goal."""
    value = row["figure"]
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text + MISSED * (goals.met(row) is False)


def goal(row: dict) -> str:
    """What a row's figure may be."""
    if "least" in row:
        return f">= {row['least']:g}"
    return f"<= {row['most']:g}" if "most" in row else ""


def pivot(rows: Iterable[dict], index: Sequence[str], across: str) -> Table:
    """Rows with the same `index` on one line, their figures in a column for each `across`."""
    rows = list(rows)
    heads = list(dict.fromkeys(row[across] for row in rows))
    lines: dict[tuple, dict] = {}
    for row in rows:
        lines.setdefault(tuple(row[name] for name in index), {})[row[across]] = figure(row)
    header = [*index, *(power(head) if isinstance(head, int) else head for head in heads)]
    body = [
        [*map(str, key), *(cells.get(head, "") for head in heads)] for key, cells in lines.items()
    ]
    return header, body


def summary(sections: dict[str, list[dict]]) -> Table:
    """One line a goal: the worst figure over all its rows."""
    body = []
    for section, rows in sections.items():
        names = dict.fromkeys(row["goal"] for row in rows if "goal" in row)
        for name in names:
            same = [row for row in rows if row.get("goal") == name]
            worst = (
                min(same, key=lambda row: row["figure"])
                if "least" in same[0]
                else max(same, key=lambda row: row["figure"])
            )
            missed = sum(goals.met(row) is False for row in same)
            body.append([section, name, goal(worst), figure(worst), f"{missed} of {len(same)}"])
    return ["section", "what", "goal", "worst", "missed"], body


def markdown(table: Table) -> str:
    """A table in Markdown, aligned so that a terminal shows it well."""
    header, body = table
    widths = [max(len(line[column]) for line in (header, *body)) for column in range(len(header))]

    def join(cells: Iterable[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return "| " + " | ".join(padded) + " |"

    return "\n".join([join(header), join("-" * width for width in widths), *map(join, body)])
