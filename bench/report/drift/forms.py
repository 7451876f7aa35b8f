"""Verdicts of a drift check as Markdown for a pull request, JSON, and JUnit XML."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from ..formats import markdown
from ..sheet import NONE, Cell, Column, Sheet
from .verdicts import ABSOLUTE, RELATIVE, Outcome, Verdict

ORDER = (Outcome.DRIFTED, Outcome.NOT_COMPARABLE, Outcome.SAME)


def headline(verdicts: list[Verdict]) -> str:
    """Such as "1 drifted, 0 not comparable, 12 same"."""
    return ", ".join(f"{sum(v.verdict == kind for v in verdicts)} {kind}" for kind in ORDER)


def view(verdicts: list[Verdict], baseline: str, run: str, level: float) -> Sheet:
    """A table of all cells, those that drifted first."""
    tested = sum(verdict.p is not None for verdict in verdicts)
    note = (
        f"{baseline} against {run}. Identical set-ups must agree to rounding, others to {RELATIVE:g} of the score + "
        f"{ABSOLUTE:g}. {tested} cells that are further apart are tested in pairs; the chance that any of them is "
        f"called drifted by chance is at most {level:g} (Holm)."
    )
    columns = [Column(name) for name in ("metric", "baseline", "run", "difference", "p", "verdict", "how")]
    rows = [(verdict.row, _cells(verdict)) for kind in ORDER for verdict in verdicts if verdict.verdict == kind]
    return Sheet(headline(verdicts), columns, [rows], [note])


def as_markdown(sheet: Sheet) -> str:
    return f"**{sheet.caption}**\n\n{markdown(sheet)}"


def as_json(verdicts: list[Verdict], level: float) -> dict[str, Any]:
    """The verdicts as plain objects."""
    cells = [
        {
            "row": v.row,
            "metric": v.metric,
            "verdict": v.verdict,
            "reason": v.reason,
            "p": v.p,
            "baseline": v.before.value,
            "run": None if v.after is None else v.after.value,
            "difference": v.difference,
        }
        for v in verdicts
    ]
    return {"family_wise_error_rate": level, "summary": headline(verdicts), "cells": cells}


def as_junit(verdicts: list[Verdict], allow_not_comparable: bool = False) -> str:
    """One test case a cell: a failure where it drifted; an error, or where allowed skipped, if it can't be compared."""
    tags = {Outcome.DRIFTED: "failure", Outcome.NOT_COMPARABLE: "skipped" if allow_not_comparable else "error"}
    found = [tags.get(verdict.verdict, "") for verdict in verdicts]
    counts = {"failures": found.count("failure"), "errors": found.count("error"), "skipped": found.count("skipped")}
    suite = ElementTree.Element("testsuite", name="erasebench drift", tests=str(len(verdicts)))
    suite.attrib |= {name: str(count) for name, count in counts.items()}
    for verdict in verdicts:
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(verdict.row), name=_xml(verdict.metric))
        if verdict.verdict != Outcome.SAME:
            ElementTree.SubElement(case, tags[verdict.verdict], message=_xml(_told(verdict)), type=verdict.verdict)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _told(verdict: Verdict) -> str:
    after = None if verdict.after is None else verdict.after.value
    return f"{verdict.before.value} → {after}: {verdict.reason}"


def _xml(text: str) -> str:
    """Text without the control characters that XML does not know."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _cells(verdict: Verdict) -> list[Cell]:
    def shown(value: float | None, digits: int = verdict.before.digits) -> Cell:
        return Cell(NONE if value is None else f"{value:.{digits}f}")

    after = None if verdict.after is None else verdict.after.value
    small = verdict.difference is not None and 0 < abs(verdict.difference) < 0.5 * 10**-verdict.before.digits
    difference = Cell(f"{verdict.difference:.1e}") if small else shown(verdict.difference)
    p = Cell(NONE if verdict.p is None else f"{verdict.p:.2g}")
    metric = Cell(verdict.metric)
    return [
        metric,
        shown(verdict.before.value),
        shown(after),
        difference,
        p,
        Cell(verdict.verdict),
        Cell(verdict.reason),
    ]
