"""The third stage: a metric's value for a row, computed or read."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from ..errors import BenchError, NotApplicable, NotScored
from ..images.image_set import ImageSet
from ..report.stored_scores import estimate_fields, estimate_values
from ..runs.folder import RunFolder
from ..runs.rows import REFERENCE
from ..scoring.context import ScoringContext
from ..scoring.metric import Metric
from ..scoring.scores import ImageScores, SetScore
from ..scoring.statistics import combine_set_scores
from ..storage.files import read_json, write_json
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
) -> dict[str, Any]:
    """The record of one score: computed and stored, or the one that was there already.

    A record with a `failure` has no key, so that it is tried again. `again` is told why a finished one is, unless that
    is because of what it is computed from.
    """
    path = folder.score(context.row, name)
    made_from = score_made_from(name, metric, context.row, context, images)
    key = content_key(**made_from)
    stored = read_json(path)
    if stored is not None and stored.get("key") == key:
        return stored
    if stored is not None:
        say_why(f"{name} of {context.row}: computed", stored, made_from, again, UPSTREAM)
    path.unlink(missing_ok=True)  # if this raises, no table may show the older one
    record: dict[str, Any] = {
        "key": key,
        "made_from": made_from,
        "failure": "",
        "row": context.row,
        "metric": name,
        "label": metric.label,
        "version": metric.version,
        "better": metric.better,
        "value": None,
        "low": None,
        "high": None,
        "error": None,
        "freedom": None,
        "n": 0,
        "clusters": 0,
        "covers": "",
        "unscored": [],
        "prompts": metric.prompts,
        "digits": metric.digits,
        "is_cost": metric.is_cost,
        "is_rate": metric.is_rate,
        "note": "",
        "qualifier": "",
        "reason": "",
    }
    try:
        if context.row == REFERENCE and not metric.with_reference:
            raise NotApplicable("not defined for real images")
        result = metric.score(images, context)
    except NotApplicable as reason:
        record["reason"] = str(reason)
    except NotScored as reason:
        record |= {"key": "", "failure": str(reason), "reason": str(reason)}
    else:
        if isinstance(result, SetScore):
            record |= _set_fields(result)
        elif isinstance(result, ImageScores) and images is not None:
            record |= _aggregate(result, images, metric)
        else:
            raise BenchError(
                f"the metric {name!r} returned {type(result).__name__}: return ImageScores with one value an image, "
                "or SetScore with one for the whole set; one that scores no images (prompts=None) returns SetScore."
            )
        record |= {"note": result.note, "qualifier": result.qualifier}
    write_json(path, record)
    return record


def _set_fields(result: SetScore) -> dict[str, Any]:
    """A set's score with its interval, over trainings and groups of prompts where it has them."""
    parts = [asdict(part) for part in result.trainings]
    fields: dict[str, Any] = {"n": result.n, "trainings": parts, "unscored": list(result.unscored)}
    if not math.isfinite(result.value):
        reason = f"the score is {result.value}"
        return fields | {"key": "", "reason": reason, "failure": reason}
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


def _aggregate(result: ImageScores, images: ImageSet, metric: Metric) -> dict[str, Any]:
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
    values = [None if value is None or not math.isfinite(value) else float(value) for value in result.values]
    for k, (value, given) in enumerate(zip(values, result.values, strict=True)):
        if value is None and given is not None:
            details[k] = f"{images.files[k].name}: its value is {given}"
    rows = [
        {"prompt": job.prompt_id, "cluster": job.cluster, "sample": job.sample, "seed": seed, "value": value}
        | ({"detail": detail} if detail is not None else {})
        for job, seed, value, detail in zip(images.jobs, images.trainings, values, details, strict=True)
    ]
    unscored = [
        str(detail or file.name)
        for file, value, detail in zip(images.files, values, details, strict=True)
        if value is None
    ]
    record: dict[str, Any] = {"values": rows, "unscored": unscored}
    found = estimate_values(rows, values, metric.is_rate)
    if found is None:
        reason = f"no image could be scored: {unscored[0]}" if unscored else "there is no image"
        return record | {"key": "", "reason": reason, "failure": reason}
    return record | estimate_fields(found)
