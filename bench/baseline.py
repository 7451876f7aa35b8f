"""A run's scores in one small file, with all that decides whether another run's may be compared with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from .errors import BenchError
from .layout import RunFolder
from .plan import Plan
from .run_record import RunRecord, read_run
from .schema import Stored, validated
from .stats import clustered_error, jackknife_error
from .store import now, read_json, write_json
from .tables import read_scores

SCHEMA_VERSION: Literal[1] = 1
LARGEST = 50_000_000  # bytes
NORMAL = 1.959964  # standard errors on each side of a 95 % interval


class Score(Stored):
    """One cell.

    Attributes:
        value: the score; None where there is none.
        error: its standard error over prompts, or over groups of prompts; None where it has none.
        n: images or words.
        seed_means: of an image's values, the mean of each run seed.
        key: a hash of everything but the code that the score depends on.
        reason: why there is no value.
        label: the metric's, with its direction.
        digits: after the point, in tables.
        failed: whether it could not be computed.
    """

    value: float | None
    error: float | None = None
    n: int = 0
    seed_means: dict[str, float] = Field(default={})
    key: str = ""
    reason: str = ""
    label: str = ""
    digits: int = 3
    failed: bool = False


class Baseline(Stored):
    """What `bench baseline` writes.

    Attributes:
        name: the run's plan.
        made: when, UTC.
        seeds: run seeds.
        trained: rows whose weights were trained.
        definitions: by metric, what a score of this name means; scores of another meaning are not compared.
        environment: device, packages and flags that rounding depends on.
        scores: by row and metric; what it cost to train is left out.
    """

    schema_version: Literal[1] = Field(default=SCHEMA_VERSION)
    name: str
    made: str
    seeds: list[int]
    trained: list[str]
    definitions: dict[str, dict[str, Any]]
    environment: dict[str, Any]
    scores: dict[str, dict[str, Score]]


def baseline_of(folder: RunFolder) -> Baseline:
    """The baseline that a run makes.

    Raises:
        BenchError: there is no run, or it isn't finished.
    """
    plan, record = read_run(folder)
    if record.status in ("running", "interrupted"):
        raise BenchError(f"{folder.root} is not finished ({record.status}). Finish it: `bench run {folder.plan}`.")
    stored = read_scores(folder, record.rows, plan.metrics)
    scores: dict[str, dict[str, Score]] = {}
    definitions = {}
    for row in record.rows:
        for metric in plan.metrics:
            score = stored.get((row, metric))
            failure = record.failure_of(row, metric)
            if score is not None and score["is_cost"]:
                continue
            if score is not None:
                definitions[metric] = _definition(plan, record, metric, score)
            if failure is not None:
                scores.setdefault(row, {})[metric] = Score(value=None, reason=f"failed: {failure.reason}", failed=True)
            elif score is not None:
                scores.setdefault(row, {})[metric] = _score(score)
    return Baseline(
        name=plan.name, made=now(), seeds=plan.seeds, trained=list(plan.rows), definitions=definitions,
        environment=environment(record), scores=scores,
    )  # fmt: skip


def write_baseline(path: Path, baseline: Baseline) -> None:
    write_json(path, baseline.model_dump(mode="json"))


def read_baseline(path: Path) -> Baseline:
    """What `write_baseline` wrote.

    Raises:
        BenchError: there is no such file, or it is no baseline.
    """
    if not path.is_file():
        raise BenchError(f"--baseline {path}: there is no such file. `bench baseline RUN --to {path}` makes one.")
    if path.stat().st_size > LARGEST:
        raise BenchError(f"--baseline {path}: over {LARGEST:,} bytes, so it is no baseline.")
    stored = read_json(path)
    if stored is None:
        raise BenchError(f"--baseline {path}: not as `bench baseline` wrote it; make it again.")
    return validated(
        Baseline, stored, SCHEMA_VERSION, f"--baseline {path}", "Make it again with this version of erasebench."
    )


def environment(record: RunRecord) -> dict[str, Any]:
    """What rounding depends on: batch size, and the last session's device, driver, flags, Python and other packages."""
    batch = {"batch size": record.plan.get("generation", {}).get("batch_size")}
    last = record.sessions[-1].provenance if record.sessions else {}
    packages = {f"package {name}": found for name, found in last.get("packages", {}).items() if name != "erasebench"}
    flags = {name.replace("_", " "): value for name, value in last.get("determinism", {}).items()}
    return {key: last.get(key) for key in ("device", "driver", "python")} | flags | packages | batch


def _definition(plan: Plan, record: RunRecord, metric: str, score: dict[str, Any]) -> dict[str, Any]:
    """What a metric's scores mean."""
    sampler = plan.generation.model_dump(exclude={"batch_size", "precision"})
    meaning: dict[str, Any] = {
        "metric version": score["version"],
        "model": record.model.revision,
        "concept": plan.concept,
        **{f"scoring.{key}": value for key, value in plan.scoring.model_dump().items()},
    }
    if (role := score["prompts"]) is not None:
        meaning |= {f"generation.{key}": value for key, value in sampler.items()}
        meaning |= {"prompts": record.prompts[role]["hash"], "reference": plan.reference}
    elif metric == "spectrum":
        meaning |= {f"spectrum.{key}": value for key, value in plan.spectrum.model_dump().items()}
    return meaning


def _score(score: dict[str, Any]) -> Score:
    known = [value for value in score.get("values", ()) if value["value"] is not None]
    error, by_seed = None, dict[str, list[float]]()
    if known:
        error = clustered_error([value["value"] for value in known], [value["prompt"] for value in known])
        for value in known:
            by_seed.setdefault(str(value["seed"]), []).append(value["value"])
    elif score.get("replicates"):
        error = jackknife_error(score["replicates"])
    elif score["low"] is not None and score["high"] is not None:
        error = (score["high"] - score["low"]) / (2 * NORMAL)
    return Score(
        value=score["value"], error=error, n=score["n"], key=score["key"], reason=score["reason"],
        seed_means={seed: float(np.mean(values)) for seed, values in by_seed.items()}, label=score["label"],
        digits=score["digits"],
    )  # fmt: skip
