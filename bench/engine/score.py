"""The third stage: a metric's value for a row, computed or read."""

from __future__ import annotations

import math
from typing import Any

from ..errors import BenchError, NotApplicable, NotScored
from ..images.image_set import ImageSet
from ..report.stored_scores import estimate_fields, estimate_values
from ..runs.folder import RunFolder
from ..runs.rows import REFERENCE
from ..runs.scores import ImageValue, ScoreRecord, write_score
from ..scoring.context import ScoringContext
from ..scoring.metric import Metric
from ..scoring.scores import ImageScores, SetScore
from ..scoring.statistics import combine_set_scores
from ..storage.files import read_json
from ..storage.keys import content_key
from ..storage.reasons import Again, say_why, warn

SCORE_VERSION = 7
UPSTREAM = ("images", "original", "others", "reference", "costs")  # why these changed is told where they are made


def score_made_from(
    name: str, metric: Metric, row: str, context: ScoringContext, images: ImageSet | None
) -> dict[str, Any]:
    """Everything that a score depends on."""

    def key_of(image_set: ImageSet | None) -> str | None:
        return image_set.key if image_set else None

    return {
        "stage": "score",
        "version": SCORE_VERSION,
        "metric": name,
        "metric_version": metric.version,
        "row": row,
        "concept": vars(context.concept),
        "images": key_of(images),
        "original": key_of(context.original),
        "others": key_of(context.others),
        "reference": key_of(context.reference),
        "judge": context.judge.revision if context.judge else None,
        "costs": list(context.costs),
        "scoring": context.scoring.model_dump(),
        "versions": dict(context.versions),
    }


def score(
    folder: RunFolder, name: str, metric: Metric, context: ScoringContext, images: ImageSet | None, again: Again = warn
) -> ScoreRecord:
    """The record of one score: computed and stored, or the one that was there already.

    A record with a `failure` has no key, so that it is tried again. `again` is told why a finished one is, unless that
    is because of what it is computed from.
    """
    path = folder.score(context.row, name)
    made_from = score_made_from(name, metric, context.row, context, images)
    key = content_key(**made_from)
    stored = read_json(path)
    if stored is not None and stored.get("key") == key:
        return ScoreRecord(**stored)
    if stored is not None:
        say_why(f"{name} of {context.row}: computed", stored, made_from, again, UPSTREAM)
    path.unlink(missing_ok=True)  # if this raises, no table may show the older one
    found = _found(name, metric, context, images)
    record = ScoreRecord(
        key="" if "failure" in found else key,
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
    write_score(path, record)
    return record


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
    return fields | estimate_fields(combine_set_scores(values, left_out, result.n))


def image_fields(result: ImageScores, images: ImageSet, metric: Metric) -> dict[str, Any]:
    """Mean and interval over prompts, with every image's value; one that is not finite is an unscored image.

    Raises:
        BenchError: there is not one value, and where there are any one detail, for each image.
    """
    details = list(result.details or [None] * len(images.jobs))
    if not len(result.values) == len(details) == len(images.jobs):
        raise BenchError(
            f"{len(result.values)} values and {len(details)} details for {len(images.jobs)} images: return one each in "
            "the order of images.jobs, None for an image without a value."
        )
    numbers = [None if value is None or not math.isfinite(value) else float(value) for value in result.values]
    for k, (value, given) in enumerate(zip(numbers, result.values, strict=True)):
        if value is None and given is not None:
            details[k] = f"{images.files[k].name}: its value is {given}"
    values = tuple(
        ImageValue(prompt=job.prompt_id, cluster=job.cluster, sample=job.sample, seed=seed, value=value, detail=detail)
        for job, seed, value, detail in zip(images.jobs, images.trainings, numbers, details, strict=True)
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
    return fields | estimate_fields(found)
