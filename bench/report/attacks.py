"""Tables of attacks: rows × attacks, and each attack with what it costs and what its controls do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ..runs.attacks import DECOY, UNDEFENDED, AttackRecord, read_attacks
from ..runs.folder import RunFolder
from ..runs.plan import Plan
from ..runs.rows import ORIGINAL
from ..scoring.statistics import Estimate
from ..storage.files import write_csv, write_text
from .attack_rates import Rates, attack_rates, budgets_of
from .formats import html, latex, markdown
from .leaderboard import banner
from .sheet import NONE, Cell, Column, Sheet
from .terminal import SheetView, terminal_table

PLACES = 2  # digits of a rate


def write_attack_tables(folder: RunFolder, plan: Plan, record: AttackRecord) -> None:
    """Write attacks.csv, .md, .tex and .html of a run."""
    found = attack_rates(record)
    table, details = matrix(plan, record, found), detail_sheet(plan, record, found)
    write_csv(folder.root / "attacks.csv", lines(record, found))
    write_text(folder.root / "attacks.md", f"{markdown(table)}\n{markdown(details)}")
    write_text(folder.root / "attacks.tex", latex(table))
    write_text(folder.root / "attacks.html", html(table))


def attack_views(folder: RunFolder, plan: Plan) -> list[SheetView]:
    """A run's tables of attacks for a terminal; none where it was not attacked."""
    record = read_attacks(folder)
    if record is None:
        return []
    found = attack_rates(record)
    sheets = matrix(plan, record, found), detail_sheet(plan, record, found)
    return [terminal_table(sheet.caption, sheet) for sheet in sheets]


def lines(record: AttackRecord, found: Sequence[Rates]) -> pd.DataFrame:
    """One line a row and attack."""
    return pd.DataFrame([_line(record, rates) for rates in found])


def _line(record: AttackRecord, rates: Rates) -> dict[str, Any]:
    line: dict[str, Any] = {
        "row": rates.row,
        "attack": rates.attack,
        "access": record.access[rates.attack],
        "before": _value(rates.before),
        "targets": 0 if rates.before is None else rates.before.n,
        "attacked": rates.attacked,
        "found": rates.found,
    }
    for budget, rate in rates.success.items():
        line |= {f"success_{budget}": _value(rate)}
        line |= {f"success_{budget}_{end}": None if rate is None else getattr(rate, end) for end in ("low", "high")}
    line |= {"tries": rates.decided}
    line |= {f"{name}_same_tries": value for name, value in rates.controls.items()}
    line |= {"p": rates.p, "above_controls": rates.is_above, "confirmed": rates.confirmed, "unscored": rates.unscored}
    line |= {what: rates.cost(what) for what in ("forwards", "forwards_with_gradient", "text_passes", "seconds")}
    return line | {"reason": rates.reason}


def matrix(plan: Plan, record: AttackRecord, found: Sequence[Rates]) -> Sheet:
    """Rows × attacks: success with all tries; bold where an attack does more than both controls."""
    names = list(dict.fromkeys(rates.attack for rates in found))
    rows: dict[str, list[Cell]] = {}
    for rates in found:
        before = Cell(_shown(rates.before), 0, _interval(rates.before), _ends(rates.before))
        rows.setdefault(rates.row, [before]).append(_cell(record, rates))
    shown = {row: (record.labels[row], cells) for row, cells in rows.items()}
    sections = [[line for row, line in shown.items() if (row in UNDEFENDED) == first] for first in (True, False)]
    columns = [Column("Before ↓"), *(Column(f"{record.attacks[name]} ↓") for name in names)]
    caption = f"Attacks on erasing “{plan.subject}” from {plan.model}: how often the concept is there"
    return Sheet(caption, columns, [part for part in sections if part], _notes(record, found), banner(plan))


def detail_sheet(plan: Plan, record: AttackRecord, found: Sequence[Rates]) -> Sheet:
    """A line a row and attack: success by budget, the controls with as many images, confirmation, cost."""
    heads = [
        "Before",
        *(f"{budget} image{'s' if budget > 1 else ''}" for budget in budgets_of(record)),
        "Interval",
        "Found / attacked",
        "Random tokens",
        "Seed search",
        "On the original",
        "Confirmed",
        "Forwards",
        "with gradient",
        "Seconds",
    ]
    original = {rates.attack: rates.final for rates in found if rates.row == ORIGINAL}
    sections: dict[str, list[tuple[str, list[Cell]]]] = {}
    for rates in found:
        cells = [
            _shown(rates.before),
            *(_shown(rate) for rate in rates.success.values()),
            _ends(rates.final) or NONE,
            f"{rates.found} / {rates.attacked}",
            *(_rate(rates.controls.get(name)) for name in ("random-tokens", "seed-search")),
            NONE if rates.row in UNDEFENDED else _shown(original.get(rates.attack)),
            _rate(rates.confirmed),
            f"{rates.cost('forwards'):.0f}",
            f"{rates.cost('forwards_with_gradient'):.0f}",
            f"{rates.cost('seconds'):.0f}",
        ]
        label = f"{record.labels[rates.row]} · {record.attacks[rates.attack]}"
        sections.setdefault(rates.row, []).append((label, [Cell(text) for text in cells]))
    return Sheet("Each attack", [Column(head) for head in heads], list(sections.values()), [], banner(plan))


def _cell(record: AttackRecord, rates: Rates) -> Cell:
    if rates.reason:
        return Cell("failed" if rates.reason.startswith("failed") else NONE, hint=rates.reason)
    controls = ", ".join(f"{record.attacks[name]} {_rate(value)}" for name, value in rates.controls.items())
    by_budget = ", ".join(f"{_shown(rate)} with {budget}" for budget, rate in rates.success.items())
    hint = f"{_interval(rates.final)}; {by_budget}; {rates.found} of {rates.attacked} attacked are found"
    return Cell(
        _shown(rates.final),
        int(rates.is_above),
        f"{hint}; with {rates.decided} images: {controls}" if controls else hint,
        _ends(rates.final),
    )


def _notes(record: AttackRecord, found: Sequence[Rates]) -> list[str]:
    request = record.request
    first, *second = record.judges
    notes = [
        f"{request['targets']} prompts that ask for the concept, each with {request['budget']} images at most; "
        "an attack stops at the first that shows it. A row’s number counts the prompts that show it before (“Before”, "
        "never attacked) and those that do under attack; the original’s counts the attack’s own images alone.",
        f"Judged by {first}, which no attack optimises against; "
        + (f"“Confirmed”: the share of what is found that {second[0]} sees too." if second else "no second judge."),
        f"“{record.labels[DECOY]}”: the same attacks, aimed at another concept; how often the erased one is seen then "
        "is what the judge’s mistakes give an attack.",
        "Bold: more than both controls with as many images (paired tests, Holm over the attacks on a row, 5 %).",
        "Access: " + "; ".join(f"{record.attacks[name]}: {access}" for name, access in record.access.items()) + ".",
    ]
    if covers := next((rates.before.covers for rates in found if rates.before and rates.row not in UNDEFENDED), ""):
        notes.append(f"95 % intervals over {covers}.")
    for rates in found:
        if rates.reason:
            notes.append(f"{record.labels[rates.row]}, {record.attacks[rates.attack]}: {rates.reason}")
    if unscored := sum(rates.unscored for rates in found):
        notes.append(f"{unscored} images could not be judged and count as failures of the attack.")
    return list(dict.fromkeys(notes))


def _value(rate: Estimate | None) -> float | None:
    return None if rate is None else rate.value


def _shown(rate: Estimate | None) -> str:
    return _rate(_value(rate))


def _rate(value: float | None) -> str:
    return NONE if value is None else f"{value:.{PLACES}f}"


def _ends(rate: Estimate | None) -> str:
    return "" if rate is None or rate.low is None else f"{_rate(rate.low)} to {_rate(rate.high)}"


def _interval(rate: Estimate | None) -> str:
    return "" if rate is None else f"95 % interval {_ends(rate)}, n = {rate.n}" if rate.low is not None else rate.covers
