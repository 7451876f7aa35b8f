"""An entry: what one run, or one published table, says, as a small JSON file that others can put beside theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ...errors import BenchError
from ...registry import METHODS
from ...runs.private import without_paths
from ...runs.protocols import deviations
from ...runs.rows import ORIGINAL, REFERENCE, UNRANKED_ROWS
from ...storage.files import write_text
from ...storage.keys import content_key
from ...storage.schema import Stored, validated
from ..headings import headings
from ..published import published_table
from .opened import OpenRun

SCHEMA_VERSION: Literal[1] = 1
MOST_BYTES = 5_000_000  # of an entry's file
NAMES = {ORIGINAL: "Original", REFERENCE: "Real images"}
Finite = Annotated[float, Field(allow_inf_nan=False)]


class EntryValue(Stored):
    """One value."""

    value: Finite = Field(description="The mean over images, or the set's score.")
    low: Finite | None = Field(default=None, description="Of its 95 % interval.")
    high: Finite | None = Field(default=None, description="Of its 95 % interval.")
    n: int = Field(default=0, ge=0, description="Images or words; 0 where that is not known.")
    covers: str = Field(default="", description="In words, what the interval is over, or why there is none.")


class EntryMetric(Stored):
    """A column."""

    label: str = Field(description="Its heading.")
    better: Literal["higher", "lower"] = Field(description="Which direction is better.")
    digits: int = Field(ge=0, le=12, description="Decimals in tables.")
    is_cost: bool = Field(default=False, description="Whether it is a cost.")
    version: int = Field(default=0, description="Of the metric's definition; 0 of a published one.")
    notes: tuple[str, ...] = Field(default=(), description="What its values depend on: detector, features, model.")


class EntryRow(Stored):
    """A row."""

    label: str = Field(description="How tables name it.")
    method: str = Field(default="", description="The registered method and its version; empty for none.")
    trainings: tuple[int, ...] = Field(default=(), description="Training seeds; none for what no seed changes.")
    values: dict[str, EntryValue] = Field(description="By metric; those without a value are absent.")


class Entry(Stored):
    """The content of an entry's file.

    Two entries are compared where `basis` is equal; a metric's columns where its version is, too.
    """

    schema_version: Literal[1] = Field(default=SCHEMA_VERSION, description="Of this file's form.")
    kind: Literal["measured", "published"] = Field(description="A run of erasebench, or numbers as printed.")
    name: str = Field(min_length=1, description="What the run is called, or the table's source.")
    fingerprint: str = Field(description="A hash of all that the run was made from, or of the numbers.")
    model: str = Field(description="What was erased from.")
    concept: str = Field(description="What was erased.")
    protocol: str = Field(default="", description="The protocol, and where it is left; empty for none.")
    quick: bool = Field(default=False, description="Whether it is a mere trial.")
    basis: dict[str, Any] = Field(description="What has to be equal for numbers to be compared.")
    metrics: dict[str, EntryMetric] = Field(description="The columns.")
    rows: dict[str, EntryRow] = Field(description="The rows.")
    remarks: tuple[str, ...] = Field(default=(), description="What a reader should know.")
    made_with: dict[str, Any] = Field(default={}, description="Device and packages.")

    @property
    def group(self) -> str:
        """Equal for entries that can be compared."""
        return content_key(kind=self.kind, basis=self.basis)


def entry_of(run: OpenRun) -> Entry:
    """The entry of a finished run.

    Raises:
        BenchError: the run is not complete.
    """
    if run.status != "complete":
        raise BenchError(f"{run.folder.root} is {run.status}: an entry is of a complete run. `bench run` completes it.")
    plan, record, scores = run.plan, run.record, run.tabled
    left = deviations(plan.protocol, plan.model_dump()) if plan.protocol else []
    protocol = ", but ".join([plan.protocol, "; ".join(left)] if left else [plan.protocol]) if plan.protocol else ""
    metrics = {
        name: EntryMetric(
            label=head.label,
            better="lower" if head.better == "lower" else "higher",
            digits=head.digits,
            is_cost=head.is_cost,
            version=record.metrics.get(name, 0),
            notes=tuple(dict.fromkeys(score.note for (_, key), score in scores.items() if key == name and score.note)),
        )
        for name, head in headings(scores, plan.metrics).items()
    }
    rows = {}
    for row in record.rows:
        values = {
            name: EntryValue(value=score.value, low=score.low, high=score.high, n=score.n, covers=score.covers)
            for name in plan.metrics
            if (score := scores.get((row, name))) is not None and score.value is not None
        }
        method = "" if row in UNRANKED_ROWS else record.methods.get(row, "")
        rows[row] = EntryRow(
            label=run.label(row), method=method, trainings=record.trainings.get(row, ()), values=values
        )
    made = record.sessions[-1].provenance if record.sessions else {}
    entry = Entry(
        kind="measured",
        name=run.name,
        fingerprint=record.fingerprint,
        model=plan.model,
        concept=plan.subject,
        protocol=protocol,
        quick=plan.quick,
        basis=_basis(run, protocol),
        metrics=metrics,
        rows=rows,
        remarks=record.remarks,
        made_with={key: made[key] for key in ("device", "packages") if made.get(key)},
    )
    return Entry.model_validate_json(without_paths(entry.model_dump_json(), plan))


def _basis(run: OpenRun, protocol: str) -> dict[str, Any]:
    """What has to be equal for numbers to be compared; how many trainings there were is no part of it."""
    plan, record = run.plan, run.record
    drawn = plan.generation.model_dump(exclude={"batch_size", "precision"})
    return {
        "model": record.model.revision or plan.model,
        "concept": plan.subject,
        "kind": plan.kind or "",
        "protocol": protocol,
        "quick": plan.quick,
        "prompts": {role: used.get("hash", "") for role, used in sorted(record.prompts.items())},
        "drawing": {key: "" if value is None else value for key, value in drawn.items()},
        "image_seed": plan.image_seed,
        "scoring": plan.scoring.model_dump(mode="json"),
        "real_images": record.reference,
    }


def published_entry(name: str) -> Entry:
    """A published table as an entry of its own kind, which no measured one is compared with."""
    table = published_table(name)
    metrics = {
        key: EntryMetric(
            label=column.heading.label,
            better="lower" if column.heading.better == "lower" else "higher",
            digits=column.heading.digits,
        )
        for key, column in table.columns.items()
    }
    labels = {row: one.facts.get("label", row) for row, one in METHODS.entries().items()} | NAMES
    rows = {
        row: EntryRow(
            label=labels.get(row, row),
            values={key: EntryValue(value=value) for key, value in values.items() if value is not None},
        )
        for row, values in table.rows.items()
    }
    told = {row: one.model_dump(mode="json") for row, one in rows.items()}
    return Entry(
        kind="published",
        name=table.source,
        fingerprint=content_key(rows=told),
        model="as published",
        concept="as published",
        basis={"source": table.source},
        metrics=metrics,
        rows=rows,
        remarks=table.notes,
    )


def write_entry(entry: Entry, to: Path) -> None:
    """Write an entry that `read_entry` gives back."""
    write_text(to, json.dumps(entry.model_dump(mode="json"), indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def read_entry(file: Path) -> Entry:
    """The entry in a file.

    Raises:
        BenchError: it can't be read, or is no entry of this version.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise BenchError(f"{file} is over {MOST_BYTES / 1e6:g} MB: no entry is. `bench entry RUN` writes one.")
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BenchError(f"{file} can't be read: {error}. `bench entry RUN` writes an entry.") from None
    if not isinstance(stored, dict) or "schema_version" not in stored:
        raise BenchError(f"{file} is no entry. `bench entry RUN` writes one.")
    return validated(Entry, stored, SCHEMA_VERSION, str(file), "Let its owner write it anew with `bench entry`.")
