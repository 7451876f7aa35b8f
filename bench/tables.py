"""The leaderboard: a pure function of a run's stored scores, as CSV, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from .layout import ORIGINAL, REFERENCE, RunFolder
from .plan import Plan
from .store import read_json, write_text

TABLE_VERSION = 2  # raise it when the tables' form changes
UNRANKED_ROWS = (ORIGINAL, REFERENCE)
ARROWS = {"lower": "↓", "higher": "↑"}
TEX_ARROWS = {"lower": r"$\downarrow$", "higher": r"$\uparrow$"}

Scores = dict[tuple[str, str], dict[str, Any]]


@dataclass(frozen=True)
class Heading:
    """How a metric's column is headed and printed; `is_cost` columns are not ranked."""

    label: str
    better: str = "higher"
    digits: int = 3
    is_cost: bool = False

    def shown(self, value: float | None) -> str:
        """A value as tables print it; an em dash for none."""
        return "—" if value is None or pd.isna(value) else f"{value:.{self.digits}f}"


def read_scores(folder: RunFolder, rows: Sequence[str], metrics: Sequence[str]) -> Scores:
    """The stored scores by row and metric; those that are missing are absent."""
    found = {(row, name): read_json(folder.score(row, name)) for row in rows for name in metrics}
    return {cell: record for cell, record in found.items() if record is not None}


def leaderboard(scores: Scores, plan: Plan, rows: Sequence[str], labels: dict[str, str]) -> pd.DataFrame:
    """One line a row: row, label, model, concept, seeds, then value, low, high and n of each metric."""
    lines = []
    for row in rows:
        line: dict[str, Any] = {
            "row": row, "label": labels[row], "model": plan.model, "concept": plan.concept,
            "seeds": " ".join(map(str, plan.seeds)),
        }  # fmt: skip
        for name in plan.metrics:
            record = scores.get((row, name), {})
            line |= {name: record.get("value"), f"{name}_low": record.get("low"), f"{name}_high": record.get("high")}
            line[f"{name}_n"] = record.get("n", 0)
        lines.append(line)
    return pd.DataFrame(lines)


def ranks(table: pd.DataFrame, name: str, heading: Heading) -> dict[str, int]:
    """1 for the best and 2 for the second-best methods by shown value; ties share a rank, costs are not ranked."""
    if heading.is_cost:
        return {}
    values = {
        row: float(heading.shown(value))
        for row, value in zip(table["row"], table[name], strict=True)
        if row not in UNRANKED_ROWS and heading.shown(value) != "—"
    }
    places = sorted(set(values.values()), reverse=heading.better == "higher")[:2]
    return {row: places.index(value) + 1 for row, value in values.items() if value in places} if len(values) > 1 else {}


def headings(scores: Scores, plan: Plan) -> dict[str, Heading]:
    """How each metric is headed, from the scores; a qualifier such as "judge" stands behind the label."""
    found = {}
    for name in plan.metrics:
        records = [record for (_, metric), record in scores.items() if metric == name]
        if not records:
            found[name] = Heading(name)
            continue
        qualifier = next((record["qualifier"] for record in records if record["qualifier"]), "")
        label = f"{records[0]['label']} ({qualifier})" if qualifier else records[0]["label"]
        found[name] = Heading(label, records[0]["better"], records[0]["digits"], records[0]["is_cost"])
    return found


def _notes(scores: Scores, name: str) -> list[str]:
    notes = [
        record["note"]
        for (row, metric), record in scores.items()
        if metric == name and record["note"] and row != REFERENCE
    ]
    return list(dict.fromkeys(notes))


def footnotes(scores: Scores, plan: Plan) -> list[str]:
    """What the numbers depend on: n, detectors, versions, and why cells are empty."""
    lines = [
        f"Model {plan.model}, concept “{plan.concept}”, run seeds {' '.join(map(str, plan.seeds))}; DDIM "
        f"{plan.generation.steps} steps, guidance {plan.generation.guidance:g}. "
        "Best bold, second best underlined, among methods; 95 % intervals over prompts in leaderboard.csv."
    ]
    for name, heading in headings(scores, plan).items():
        if heading.is_cost:
            continue
        counts = sorted({record["n"] for (_, metric), record in scores.items() if metric == name and record["n"]})
        unscored = sum(record["unscored"] for (_, metric), record in scores.items() if metric == name)
        n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}" if counts else "n = 0"
        extra = f"; {unscored} images unscored" if unscored else ""
        note = "; ".join(_notes(scores, name))
        reasons = {
            r["reason"] for (row, m), r in scores.items() if m == name and r["reason"] and row not in UNRANKED_ROWS
        }
        why = f"; empty: {'; '.join(sorted(reasons))}" if reasons else ""
        lines.append(f"{heading.label}: {n}{extra}{f'; {note}' if note else ''}{why}.")
    return lines


def markdown(scores: Scores, table: pd.DataFrame, plan: Plan) -> str:
    """The leaderboard as a GitHub table with footnotes."""
    heads = headings(scores, plan)
    lines = ["| | " + " | ".join(f"{head.label} {ARROWS[head.better]}" for head in heads.values()) + " |"]
    lines.append("|---|" + "---:|" * len(heads))
    marks = {1: "**{}**", 2: "<u>{}</u>"}
    for _, line in table.iterrows():
        cells = []
        for name, head in heads.items():
            place = ranks(table, name, head).get(line["row"])
            cells.append(marks.get(place or 0, "{}").format(head.shown(line[name])))
        lines.append(f"| {line['label']} | " + " | ".join(cells) + " |")
    notes = "\n".join(f"- {note}" for note in footnotes(scores, plan))
    return "\n".join(lines) + f"\n\n{notes}\n"


def latex(scores: Scores, table: pd.DataFrame, plan: Plan) -> str:
    """The leaderboard as a booktabs table."""
    heads = headings(scores, plan)
    marks = {1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}
    lines = [r"\begin{tabular}{l" + "r" * len(heads) + "}", r"\toprule"]
    lines.append(
        " & ".join(["", *(f"{_tex(head.label)} {TEX_ARROWS[head.better]}" for head in heads.values())]) + r" \\"
    )
    lines.append(r"\midrule")
    for _, line in table.iterrows():
        cells = []
        for name, head in heads.items():
            place = ranks(table, name, head).get(line["row"])
            value = head.shown(line[name]).replace("—", "--")
            cells.append(marks.get(place or 0, "{}").format(value))
        lines.append(" & ".join([_tex(line["label"]), *cells]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [f"% {note}" for note in footnotes(scores, plan)]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "&%$#_{}" else letter for letter in text)


def write_tables(folder: RunFolder, plan: Plan, rows: Sequence[str], labels: dict[str, str]) -> pd.DataFrame:
    """Write leaderboard.csv, .md and .tex from the stored scores."""
    scores = read_scores(folder, rows, plan.metrics)
    table = leaderboard(scores, plan, rows, labels)
    write_text(folder.table("csv"), table.to_csv(index=False))
    write_text(folder.table("md"), markdown(scores, table, plan))
    write_text(folder.table("tex"), latex(scores, table, plan))
    return table


def terminal_tables(folder: RunFolder, plan: Plan) -> list[Any]:
    """The leaderboard for a terminal, from the stored files: what methods reach, and below it what they cost."""
    table = pd.read_csv(folder.table("csv"))
    scores = read_scores(folder, list(table["row"]), plan.metrics)
    heads = headings(scores, plan)
    reached = [name for name in heads if not heads[name].is_cost]
    cost = [name for name in heads if heads[name].is_cost]
    title = f"{plan.name}: erasing “{plan.concept}” from {plan.model}"
    parts = ((title, reached, table), ("Cost", cost, table[~table["row"].isin(UNRANKED_ROWS)]))
    return [_terminal_table(text, names, lines, heads) for text, names, lines in parts if names]


def _terminal_table(title: str, names: list[str], lines: pd.DataFrame, heads: dict[str, Heading]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    view = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    view.add_column("", no_wrap=True)
    for name in names:
        view.add_column(f"{heads[name].label} {ARROWS[heads[name].better]}", justify="right", min_width=7)
    styles = {1: "bold", 2: "underline"}
    for _, line in lines.iterrows():
        cells = [str(line["label"])]
        for name in names:
            style = styles.get(ranks(lines, name, heads[name]).get(line["row"], 0))
            text = heads[name].shown(line[name])
            cells.append(f"[{style}]{text}[/]" if style else text)
        view.add_row(*cells)
    return view
