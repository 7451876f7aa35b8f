"""A run's scores in one small file, with all that decides whether another run's may be compared with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from ...errors import BenchError
from ...registry import METRICS
from ...runs.folder import RunFolder
from ...runs.plan import Plan
from ...runs.record import RunRecord, read_run
from ...runs.rows import ORIGINAL, REFERENCE
from ...runs.scores import ScoreRecord, read_scores
from ...storage.files import now, read_json, write_json
from ...storage.schema import Stored, validated

SCHEMA_VERSION: Literal[2] = 2
LARGEST = 200_000_000  # bytes
NO_TRAINING = "-"  # the seed of images that no training is behind


class Training(Stored):
    """One training's part of a score; for the original model and real images the only one.

    Attributes:
        value: the score over this training's images.
        means: of a score that has values an image: by cluster, the unit over which prompts are independent, its mean.
        replicates: of a score of a whole set: its values without one group of prompts each; none of few prompts.
    """

    value: float
    means: dict[str, float] = Field(default={})
    replicates: list[float] = Field(default=[])


class Score(Stored):
    """One cell.

    Attributes:
        value: the score; None where there is none.
        error: its standard error; None where it has none.
        freedom: the error's degrees of freedom; None likewise.
        n: images or words.
        trainings: by training seed, what the score is made from.
        reason: why there is no value.
        label: the metric's, with its direction.
        digits: after the point, in tables.
        failed: whether it could not be computed.
    """

    value: float | None
    error: float | None = None
    freedom: float | None = None
    n: int = 0
    trainings: dict[str, Training] = Field(default={})
    reason: str = ""
    label: str = ""
    digits: int = 3
    failed: bool = False


class Baseline(Stored):
    """What `bench baseline` writes.

    Attributes:
        name: the run's plan.
        made: when, UTC.
        definitions: by metric, what a score of this name means; scores of another meaning are not compared.
        rows: by row, what it was made by: the method with its resolved settings, the concept's texts, the seeds.
        environment: device, number formats, packages and flags that rounding depends on.
        scores: by row and metric; what it cost to train is left out.
    """

    schema_version: Literal[2] = Field(default=SCHEMA_VERSION)
    name: str
    made: str
    definitions: dict[str, dict[str, Any]]
    rows: dict[str, dict[str, Any]]
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
            if score is not None and score.is_cost:
                continue
            if score is not None:
                definitions[metric] = _definition(plan, record, metric, score)
            if failure is not None:
                scores.setdefault(row, {})[metric] = Score(value=None, reason=f"failed: {failure.reason}", failed=True)
            elif score is not None:
                scores.setdefault(row, {})[metric] = _score(score)
    return Baseline(
        name=plan.name,
        made=now(),
        definitions=definitions,
        rows={row: _row(folder, plan, record, row) for row in record.rows},
        environment=environment(record),
        scores=scores,
    )


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
    """What rounding depends on: batch size and number formats, and the last session's device, driver, flags, Python
    and other packages."""
    batch = {"batch size": record.batch_size}
    formats = {f"precision of {stage}": found for stage, found in record.precision.items()}
    last = record.sessions[-1].provenance if record.sessions else {}
    packages = {f"package {name}": found for name, found in last.get("packages", {}).items() if name != "erasebench"}
    flags = {name.replace("_", " "): value for name, value in last.get("determinism", {}).items()}
    others = sorted({device for drawn in record.drawn for device in drawn.elsewhere})
    mixed = {"other devices of images": ", ".join(others)} if others else {}
    return {key: last.get(key) for key in ("device", "driver", "python")} | mixed | flags | packages | batch | formats


def _definition(plan: Plan, record: RunRecord, metric: str, score: ScoreRecord) -> dict[str, Any]:
    """What a metric's scores mean, in words that are the same on every machine: content, never paths or keys."""
    sampler = plan.generation.model_dump(exclude={"batch_size", "precision", "own_settings"})
    meaning: dict[str, Any] = {
        "metric version": score.version,
        "model": record.model.revision,
        "concept": plan.subject,
        **{f"scoring.{key}": value for key, value in plan.scoring.model_dump().items()},
    }
    if (role := score.prompts) is not None:
        meaning |= {f"generation.{key}": value for key, value in sampler.items()}
        meaning |= {"prompts": record.prompts[role]["hash"], "real images": record.reference}
        known = METRICS.entries().get(metric)
        beside = known.facts.get("beside", ()) if known is not None else ()
        meaning |= {f"prompts {other}": record.prompts[other]["hash"] for other in beside}
    elif metric == "spectrum":
        meaning |= {f"spectrum.{key}": value for key, value in plan.spectrum.model_dump().items()}
    return meaning


def _row(folder: RunFolder, plan: Plan, record: RunRecord, row: str) -> dict[str, Any]:
    """What a row was made by."""
    if row == REFERENCE:
        return {}
    noise = {"image seed": plan.image_seed}
    if row == ORIGINAL:
        return noise
    trained = read_json(folder.erasure(row, record.training_of(row))) or {}
    task = {key: value for key, value in trained.get("task", {}).items() if key != "seed"}
    return {
        "method": record.methods.get(row),
        **{f"settings.{key}": value for key, value in trained.get("config", {}).items()},
        **{f"task.{key}": value for key, value in task.items()},
        "at most steps": plan.train_steps,
        "training seeds": " ".join(map(str, record.trainings.get(row, ()))),
        **noise,
    }


def _score(score: ScoreRecord) -> Score:
    return Score(
        value=score.value,
        error=score.error,
        freedom=score.freedom,
        n=score.n,
        trainings=_trainings(score),
        reason=score.reason,
        label=score.label,
        digits=score.digits,
    )


def _trainings(score: ScoreRecord) -> dict[str, Training]:
    """A stored score's parts by training seed: of a set's score its own, else those of its images' values."""
    if score.trainings:
        parts = {_seed(part.seed): part for part in score.trainings}
        return {seed: Training(value=part.value, replicates=list(part.replicates)) for seed, part in parts.items()}
    found: dict[str, dict[str, list[float]]] = {}
    for entry in score.values:
        if entry.value is not None:
            clusters = found.setdefault(_seed(entry.seed), {})
            clusters.setdefault(entry.cluster, []).append(entry.value)
    return {
        seed: Training(
            value=float(np.mean(np.concatenate(list(clusters.values())))),
            means={cluster: float(np.mean(values)) for cluster, values in clusters.items()},
        )
        for seed, clusters in found.items()
    }


def _seed(seed: int | None) -> str:
    return NO_TRAINING if seed is None else str(seed)
