"""The third stage: a metric's value for a row, computed or read."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

from ..errors import BenchError, NotApplicable, NotScored
from ..images.image_set import ImageSet
from ..report.stored_scores import estimate_fields, estimate_values
from ..runs.rows import REFERENCE, UNRANKED_ROWS
from ..runs.scores import ImageValue, ScoreRecord, read_score, write_score
from ..scoring.context import ScoringContext
from ..scoring.metric import Metric
from ..scoring.scores import ImageScores, SetScore
from ..scoring.statistics import combine_set_scores
from ..storage.keys import content_key
from ..storage.store import Busy, Store

SCORE_VERSION = 8
SCORE = "score.json"


def score_made_from(name: str, metric: Metric, context: ScoringContext, images: ImageSet | None) -> dict[str, Any]:
    """Everything that a score depends on; the row's name is no part of it."""

    def key_of(image_set: ImageSet | None) -> str | None:
        return image_set.key if image_set else None

    beside = {role: key_of(context.beside.get(role)) for role in metric.beside}
    return {
        "stage": "score",
        "version": SCORE_VERSION,
        "metric": name,
        "metric_version": metric.version,
        "row": context.row if context.row in UNRANKED_ROWS else "erased",
        "concept": context.concept.facts,
        "images": key_of(images),
        "original": key_of(context.original),
        "others": key_of(context.others),
        "reference": key_of(context.reference),
        "costs": list(context.costs),
        "scoring": {key: getattr(context.scoring, key) for key in metric.settings},
        "versions": dict(context.versions),
        **({"beside": beside} if beside else {}),
    }


def stored_score(
    store: Store, name: str, metric: Metric, context: ScoringContext, images: ImageSet | None
) -> ScoreRecord | None:
    """The record of a score that the store has, for this row; None where it has none."""
    entry = store.find("score", content_key(**score_made_from(name, metric, context, images)))
    stored = None if entry is None else read_score(entry.file(SCORE))
    return None if stored is None else stored.model_copy(update={"row": context.row})


def score(store: Store, name: str, metric: Metric, context: ScoringContext, images: ImageSet | None) -> ScoreRecord:
    """The record of one score: computed and stored, or the one that was there already.

    A record with a `failure` has no key and is not stored, so that it is tried again.
    """
    known = stored_score(store, name, metric, context, images)
    if known is not None:
        return known
    made_from = score_made_from(name, metric, context, images)
    found = _found(name, metric, context, images)
    record = ScoreRecord(
        key="" if "failure" in found else content_key(**made_from),
        made_from=made_from,
        row=context.row,
        metric=name,
        version=metric.version,
        label=metric.label,
        better=metric.better,
        prompts=metric.prompts,
        digits=metric.digits,
        is_cost=metric.is_cost,
        is_rate=metric.is_rate,
        **found,
    )
    if record.key:
        with suppress(Busy), store.making("score", record.key) as folder:
            write_score(folder / SCORE, record)
            store.put("score", record.key, {}, of=_of(context, images))
    return record


def _of(context: ScoringContext, images: ImageSet | None) -> list[str]:
    """The entries that a score goes with: its images, or where it has none the trainings, or the original's images."""
    if images is None and context.versions.get("weights"):
        return context.versions["weights"].split()
    shown = images or context.original
    return [shard.key for part in shown.each for shard in part.shards] if shown else []


def _found(name: str, metric: Metric, context: ScoringContext, images: ImageSet | None) -> dict[str, Any]:
    """What the metric says, as fields of a record: a value with its interval, a reason why there is none, or a failure.

    Raises:
        BenchError: the metric returned what is no score, or no score of these images.
    """
    try:
        if context.row == REFERENCE and not metric.with_reference:
            raise NotApplicable("not defined for real images")
        result = metric.score(images, context)
    except NotApplicable as reason:
        return {"reason": str(reason)}
    except NotScored as reason:
        return {"reason": str(reason), "failure": str(reason)}
    said = {"note": result.note, "qualifier": result.qualifier} if isinstance(result, ImageScores | SetScore) else {}
    if isinstance(result, SetScore):
        return said | set_fields(result)
    if isinstance(result, ImageScores) and images is not None:
        return said | image_fields(result, images, metric)
    raise BenchError(
        f"the metric {name!r} returned {type(result).__name__}: return ImageScores with one value an image, "
        "or SetScore with one for the whole set; one that scores no images (prompts=None) returns SetScore."
    )


def set_fields(result: SetScore) -> dict[str, Any]:
    """A set's score with its interval, over trainings and groups of prompts where it has them."""
    fields: dict[str, Any] = {"n": result.n, "trainings": tuple(result.trainings), "unscored": tuple(result.unscored)}
    fields |= {"parts": dict(result.parts)}
    if not math.isfinite(result.value):
        reason = f"the score is {result.value}"
        return fields | {"reason": reason, "failure": reason}
    if not result.trainings:
        return fields | {
            "value": float(result.value),
            "low": result.low,
            "high": result.high,
            "covers": result.covers,
            "error": result.error,
            "freedom": result.freedom,
        }
    values = {part.seed: part.value for part in result.trainings}
    left_out = {part.seed: part.replicates for part in result.trainings}
    fields |= estimate_fields(combine_set_scores(values, left_out, result.n))
    if result.low is None:
        return fields
    own = {"low": result.low, "high": result.high, "error": result.error, "freedom": result.freedom}
    return fields | own | {"covers": result.covers}


def image_fields(result: ImageScores, images: ImageSet, metric: Metric) -> dict[str, Any]:
    """Mean and interval over prompts, with every image's value; one that is not finite is an unscored image.

    Raises:
        BenchError: there is not one value, and where there are any one detail, for each image.
    """
    details = list(result.details or [None] * len(images.jobs))
    second = list(result.second or [None] * len(images.jobs))
    if not len(result.values) == len(details) == len(second) == len(images.jobs):
        raise BenchError(
            f"{len(result.values)} values, {len(details)} details and {len(second)} of a second judge for "
            f"{len(images.jobs)} images: return one each in the order of images.jobs, None for an image without one."
        )
    numbers = [None if value is None or not math.isfinite(value) else float(value) for value in result.values]
    for k, (value, given) in enumerate(zip(numbers, result.values, strict=True)):
        if value is None and given is not None:
            details[k] = f"{images.files[k].name}: its value is {given}"
    values = tuple(
        ImageValue(
            prompt=job.prompt_id,
            cluster=job.cluster,
            sample=job.sample,
            seed=seed,
            value=value,
            second=other,
            detail=detail,
        )
        for job, seed, value, other, detail in zip(images.jobs, images.trainings, numbers, second, details, strict=True)
    )
    unscored = tuple(
        str(detail or file.name)
        for file, value, detail in zip(images.files, numbers, details, strict=True)
        if value is None
    )
    fields: dict[str, Any] = {"values": values, "unscored": unscored}
    found = estimate_values(values, numbers, metric.is_rate)
    if found is None:
        reason = f"no image could be scored: {unscored[0]}" if unscored else "there is no image"
        return fields | {"reason": reason, "failure": reason}
    other = estimate_values(values, second, metric.is_rate)
    if other is not None:
        fields |= {"second": other.value, "second_low": other.low, "second_high": other.high}
    return fields | estimate_fields(found)
