"""A run as far as it can be read: unfinished, failed in cells or damaged, and what is wrong is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import BenchError
from ...registry import METHODS
from ...runs.folder import RunFolder
from ...runs.plan import Plan
from ...runs.record import RunRecord, read_plan, read_record
from ...runs.references import status_of
from ...runs.rows import ORIGINAL, REFERENCE, UNRANKED_ROWS
from ...runs.scores import Scores, read_score
from ...storage.files import read_json

DAMAGED = "damaged"


@dataclass(frozen=True)
class OpenRun:
    """A run's data.

    Attributes:
        folder: where it lies.
        plan: what was to be run.
        record: how it went; of a run without a readable one, what the plan tells.
        scores: those that can be read, by row and metric, the timeline's too.
        status: complete, failed, running, interrupted or damaged.
        problems: what can't be read, and what that means.
        unread: (row, metric) of scores whose files can't be read.
    """

    folder: RunFolder
    plan: Plan
    record: RunRecord
    scores: Scores
    status: str
    problems: tuple[str, ...] = ()
    unread: frozenset[tuple[str, str]] = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        """What the run is called: its folder."""
        return self.folder.root.resolve().name

    @property
    def methods(self) -> list[str]:
        """The rows that were erased."""
        return [row for row in self.record.rows if row not in UNRANKED_ROWS]

    @property
    def tabled(self) -> Scores:
        """The scores of the tables' rows: not those of snapshots."""
        return {cell: score for cell, score in self.scores.items() if cell[0] in self.record.rows}

    def label(self, row: str) -> str:
        """How tables name a row."""
        return self.record.labels.get(row, row)

    def configuration(self, row: str) -> dict[str, Any]:
        """What a row's first training was configured with; empty where that is not known."""
        stored = read_json(self.folder.erasure(row, self.record.training_of(row)))
        return dict((stored or {}).get("config", {}))


def open_runs(roots: Sequence[Path]) -> list[OpenRun]:
    """The runs of these folders.

    Raises:
        BenchError: one is no run, can't be read at all, or stands there twice; or two folders have one name.
    """
    found: dict[str, OpenRun] = {}
    for root in roots:
        run = open_run(root)
        if run.name in found:
            other = found[run.name].folder.root
            if other.resolve() == root.resolve():
                raise BenchError(f"{root} stands there twice. Name each run once.")
            raise BenchError(f"two runs are called {run.name!r}: {other} and {root}. Rename one of the folders.")
        found[run.name] = run
    return list(found.values())


def open_run(root: Path) -> OpenRun:
    """The run of a folder.

    Raises:
        BenchError: it is no run's, or neither its plan nor its record can be read, or another version wrote it.
    """
    folder, problems = RunFolder(root), list[str]()
    if not folder.plan.exists() and not folder.status.exists():
        raise BenchError(f"{root} is no run's folder: it holds no plan.yaml and no run.json. `bench run` makes one.")
    record = read_record(folder)
    plan = _plan(folder, record, problems)
    status = status_of(folder)
    if record is None:
        state = "is damaged" if folder.status.exists() else "is missing"
        problems.append(
            f"run.json {state}: how the run was made, and what failed in it, is not known. `bench run` with the same "
            "plan and --out makes what is missing."
        )
        record, status = _record_of(plan), DAMAGED
    scores, unread = Scores(), set[tuple[str, str]]()
    for row, name in _cells(plan, record):
        file = folder.score(row, name)
        try:
            score = read_score(file)
        except BenchError as error:
            problems.append(str(error))
            score = None
        if score is not None:
            scores[row, name] = score
        elif file.exists():
            unread.add((row, name))
            problems.append(f"{file.relative_to(root)} is damaged: `bench run` makes it again.")
    return OpenRun(folder, plan, record, scores, status, tuple(dict.fromkeys(problems)), frozenset(unread))


def _plan(folder: RunFolder, record: RunRecord | None, problems: list[str]) -> Plan:
    """The plan, from run.json where plan.yaml can't be read."""
    try:
        return read_plan(folder)
    except BenchError as error:
        if record is None:
            raise
        problems.append(f"{error} What stands in run.json is shown.")
    try:
        return Plan(**record.plan)
    except ValueError as error:
        raise BenchError(f"{folder.status}: its plan can't be read: {error}") from None


def _record_of(plan: Plan) -> RunRecord:
    """What a plan alone tells of its run."""
    facts = {name: entry.facts for name, entry in METHODS.entries().items()}
    labels = {
        row: variant.label or (facts.get(variant.method, {}).get("label", row) if row == variant.method else row)
        for row, variant in plan.rows.items()
    }
    labels |= {ORIGINAL: "Original", REFERENCE: "Real images"}
    return RunRecord(rows=(ORIGINAL, *plan.rows, REFERENCE), labels=labels, plan=plan.model_dump())


def _cells(plan: Plan, record: RunRecord) -> list[tuple[str, str]]:
    rows = [*record.rows, *record.timeline]
    return [(row, name) for row in dict.fromkeys(rows) for name in plan.metrics]
