"""run.json: what a run was made from, how it went, and what failed."""

from __future__ import annotations

from typing import Any, Literal

import yaml
from pydantic import Field

from ..errors import BenchError
from ..storage.files import read_json, write_json
from ..storage.schema import Stored, validated
from .folder import UNSEEDED, RunFolder
from .plan import Plan

SCHEMA_VERSION: Literal[2] = 2


class Failure(Stored):
    """A cell that could not be computed; the same command tries it again."""

    stage: Literal["erase", "generate", "score", "attack", "disk"] = Field(description="Where it failed.")
    row: str = Field(description="The row.")
    item: str = Field(description="The training seed, prompt set, metric or attack.")
    reason: str = Field(description="The error's message.")
    lost: tuple[str, ...] = Field(default=(), description='The scores that it leaves empty, as "ROW METRIC".')
    traceback: str = Field(default="", description="The error's traceback; empty for errors that a user can mend.")

    @property
    def cell(self) -> str:
        """Such as "score esd fid"."""
        return " ".join(part for part in (self.stage, self.row, self.item) if part)


class ModelRecord(Stored):
    """Which model was erased from."""

    name: str = Field(default="", description="As the plan names it.")
    family: str = Field(default="", description="mini or sd: which presets the methods took.")
    revision: str = Field(default="", description="A hash of all weights, or a hub id with its commit.")


class Session(Stored):
    """One process that worked on the run."""

    started: str = Field(description="UTC, ISO 8601.")
    ended: str = Field(default="", description="UTC; empty while it works, and if it was killed.")
    seconds: float = Field(default=0.0, ge=0, description="Wall-clock time.")
    provenance: dict[str, Any] = Field(
        default={}, description="Packages, Python, platform, device, driver, flags, git, command."
    )
    nodes: dict[str, dict[str, Any]] = Field(
        default={}, description="The same of every machine of a cluster that worked on it, by its name."
    )
    workers: dict[str, float] = Field(
        default={}, description="By process that did tasks: MiB of memory, or of its GPU's, that it held at most."
    )


class DrawnSet(Stored):
    """What is out of the ordinary in one training's images of a prompt set."""

    row: str = Field(description="The row.")
    name: str = Field(description="The prompt set.")
    training: int | None = Field(default=None, description="The training seed; null where it changes nothing.")
    images: int = Field(description="How many there are to draw.")
    unscored: tuple[str, ...] = Field(default=(), description="Images whose values are not finite; they have no file.")
    flat: tuple[str, ...] = Field(default=(), description="Images all of whose pixels are equal.")
    in_float32: tuple[str, ...] = Field(
        default=(), description="Images that were drawn in float32 because half precision was not finite."
    )
    elsewhere: dict[str, int] = Field(
        default={}, description="By device, how many were drawn on another one than the run was planned on."
    )
    batch_size: int = Field(description="Images that were drawn together.")
    planned: int = Field(description="Images that were to be drawn together; more do not fit into memory.")

    @property
    def is_ordinary(self) -> bool:
        noted = self.unscored or self.flat or self.in_float32 or self.elsewhere
        return not noted and self.batch_size == self.planned

    def described(self, label: str) -> str:
        """A footnote, with the row's label."""
        parts = [
            f"{len(names)} of {self.images} {what}, such as {names[0]}"
            for names, what in (
                (self.unscored, "images are unscored, as their values are not finite (NaN or infinite)"),
                (self.flat, "images are flat (all pixels equal)"),
                (self.in_float32, "images are drawn in float32, as half precision was not finite"),
            )
            if names
        ]
        if self.batch_size != self.planned:
            parts.append(f"drawn {self.batch_size} at a time, as {self.planned} do not fit into memory")
        parts += [
            f"{count} of {self.images} drawn on another device, {device}, which gives other last digits"
            for device, count in self.elsewhere.items()
        ]
        seed = "" if self.training is None else f", seed {self.training}"
        return f"Images of {label}{seed}, {self.name}: {'; '.join(parts)}."


class RunRecord(Stored):
    """The content of run.json."""

    schema_version: Literal[2] = Field(default=SCHEMA_VERSION, description="Of this file's form.")
    status: Literal["running", "interrupted", "failed", "complete"] = Field(
        default="running", description="How far it is."
    )
    fingerprint: str = Field(default="", description="A hash of everything that the tables depend on.")
    plan: dict[str, Any] = Field(default={}, description="The resolved plan, as in plan.yaml.")
    model: ModelRecord = Field(default=ModelRecord(), description="The original model.")
    precision: dict[str, str] = Field(default={}, description="Number formats of training and generation.")
    batch_size: int = Field(default=0, description="Images that are drawn together, where memory was enough for them.")
    prompts: dict[str, dict[str, Any]] = Field(
        default={}, description="By role: source, size, hash of the prompt set; how many prompts were cut."
    )
    reference: str = Field(default="", description="A hash of the real images; empty where there are none.")
    truncated: dict[str, list[str]] = Field(
        default={}, description="By row: texts of its training that the text encoder cuts, over 77 tokens."
    )
    methods: dict[str, str] = Field(default={}, description="By row: the registered method and its version.")
    trainings: dict[str, tuple[int, ...]] = Field(
        default={}, description="By row: the seeds of its trainings; none for a closed form, which no seed changes."
    )
    metrics: dict[str, int] = Field(default={}, description="Versions of the metrics.")
    weights: dict[str, str] = Field(default={}, description="By ROW/SEED: SHA-256 of the file of changed weights.")
    rows: tuple[str, ...] = Field(default=(), description="The tables' rows in order.")
    timeline: dict[str, tuple[str, int]] = Field(default={}, description="Snapshots' rows, as (row, training step).")
    labels: dict[str, str] = Field(default={}, description="How tables name the rows.")
    drawn: tuple[DrawnSet, ...] = Field(
        default=(),
        description="Image sets with unscored, flat or float32 images, or drawn in smaller batches or on other devices "
        "than planned.",
    )
    remarks: tuple[str, ...] = Field(default=(), description="What a reader of the tables should know of the plan.")
    remade: tuple[str, ...] = Field(default=(), description="What was finished and made again, and why.")
    failures: tuple[Failure, ...] = Field(default=(), description="Cells that could not be computed.")
    tables: dict[str, str] = Field(
        default={}, description="SHA-256 of the leaderboard's files by suffix, once written."
    )
    sessions: tuple[Session, ...] = Field(default=(), description="The processes that worked on it, first to last.")

    def training_of(self, row: str, seed: int | None = None) -> int:
        """The seed under which a row's weights lie: the given one, or the first; for a closed form always the same.

        Raises:
            BenchError: the row was not trained with this seed.
        """
        known = self.trainings.get(row, ())
        if not known:
            return UNSEEDED
        if seed is not None and seed not in known:
            raise BenchError(f"--seed {seed}: {row} was trained with the seeds {', '.join(map(str, known))}.")
        return known[0] if seed is None else seed

    def failure_of(self, row: str, metric: str) -> Failure | None:
        """What keeps a cell of the leaderboard empty."""
        return next((failure for failure in self.failures if f"{row} {metric}" in failure.lost), None)

    @property
    def seconds(self) -> float:
        """Wall-clock time of all sessions that ended."""
        return sum(session.seconds for session in self.sessions)


def write_record(folder: RunFolder, record: RunRecord) -> None:
    write_json(folder.status, record.model_dump(mode="json"))


def read_record(folder: RunFolder) -> RunRecord | None:
    """The stored record; None where there is none or it is damaged.

    Raises:
        BenchError: it was written by another version of erasebench, or is no run's.
    """
    stored = read_json(folder.status)
    if stored is None:
        return None
    advice = "Read it with that version, or run the plan again into a new folder."
    return validated(RunRecord, stored, SCHEMA_VERSION, str(folder.status), advice)


def devices_of(folder: RunFolder) -> list[str]:
    """The names of the devices that a cluster's machines worked on a run with; of an unreadable record none."""
    sessions = (read_json(folder.status) or {}).get("sessions", ())
    nodes = (node for session in sessions for node in session.get("nodes", {}).values())
    return list(dict.fromkeys(node["device"] for node in nodes if node.get("device")))


def read_run(folder: RunFolder) -> tuple[Plan, RunRecord]:
    """The resolved plan and the record of a run.

    Raises:
        BenchError: the folder holds no run, or one that can't be read.
    """
    record = read_record(folder)
    if record is None or not folder.plan.exists():
        raise BenchError(
            f"{folder.root} is no run's folder: it holds no whole run.json and plan.yaml. `bench run` makes one."
        )
    return read_plan(folder), record


def read_plan(folder: RunFolder) -> Plan:
    """The resolved plan of a run's folder.

    Raises:
        BenchError: it can't be read.
    """
    try:
        return Plan(**yaml.safe_load(folder.plan.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise BenchError(f"{folder.plan} can't be read: {error}. Choose another --out.") from None
