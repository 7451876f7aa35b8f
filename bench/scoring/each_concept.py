"""Scores where several concepts are erased at once: each image is judged for the one that its prompt asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..images.image_set import ImageSet
from .combined import Part, combined
from .context import ScoringContext
from .scores import ImageScores, SetScore

Formula = Callable[[Sequence[float]], float]


def of_each_concept(
    images: ImageSet, context: ScoringContext, score: Callable[[ImageSet, ScoringContext], ImageScores]
) -> ImageScores:
    """Every image's score, by a function that judges images for one concept; notes name the concepts."""
    if not context.concept.besides:
        return score(images, context)
    each = context.each(images)
    parts = [(some, its.concept.name, score(some, its)) for some, its in each]
    both = all(part.second for _, _, part in parts)
    values: list[float | None] = [None] * len(images.jobs)
    details: list[Any] = [None] * len(images.jobs)
    second: list[float | None] = [None] * len(images.jobs) if both else []
    for some, _, part in parts:
        for k, place in enumerate(some.places):
            values[place], details[place] = part.values[k], part.details and part.details[k]
            if both:
                second[place] = part.second[k]
    note = "; ".join(f"{name}: {part.note}" for _, name, part in parts)
    return ImageScores(values, note, parts[0][2].qualifier, details, second)


def combined_of_each(formulas: Mapping[str, tuple[Sequence[Part], Formula]], note: str, qualifier: str) -> SetScore:
    """A formula of shares for each concept, and their mean; where there are several, each one's value is a part too.

    Args:
        formulas: by concept its parts, and what is made of their means in this order; parts of one name are one.
        note: as of `combined`.
        qualifier: as of `combined`.

    Raises:
        NotApplicable: a part has no value in one of the trainings.
    """
    parts = {part.name: part for own, _ in formulas.values() for part in own}

    def of_each(means: Mapping[str, float]) -> dict[str, float]:
        return {name: formula([means[part.name] for part in own]) for name, (own, formula) in formulas.items()}

    def of(means: Mapping[str, float]) -> float:
        return float(np.mean(list(of_each(means).values())))

    found = combined(list(parts.values()), of, note, qualifier)
    if len(formulas) == 1:
        return found
    each = {f"all of {name}": value for name, value in of_each(found.parts).items()}
    return replace(found, parts={**found.parts, **each}, note=f"{found.note}; the mean over {len(formulas)} concepts")
