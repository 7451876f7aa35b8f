"""Other things by how closely they are related to a concept: "related" has degrees.

The bands are kinds that a thing shares with the concept in the tree of kinds (`mini/kinds.yaml`), from its
closest relatives to everything; for a style, other styles and things in none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import chain, zip_longest
from typing import TypeVar

from erasebench.errors import BenchError
from erasebench.mini.held_out import things
from erasebench.mini.kinds import EVERYTHING, kinds
from erasebench.mini.kinds import bands as bands_among

from .concepts import Concept
from .prompt import Prompt

STYLE = "style"  # the band of other styles

T = TypeVar("T")


@cache
def related_things(concept: Concept) -> Mapping[str, tuple[str, ...]]:
    """The embedded world's things by band, the closest first; without the concept and other spellings of it.

    Raises:
        BenchError: the concept is none of the tree's things, and no style.
    """
    if concept.besides:
        raise BenchError("prompts: bands tell how closely things are related to one concept. Take `others`.")
    names = [name for name in things() if name != "nudity" and not concept.overlaps(name)]
    if concept.kind == "style":
        return {EVERYTHING: tuple(names)}
    try:
        return bands_among(concept.name, names)
    except BenchError as error:
        raise BenchError(f"prompts: {error} Others have no bands: take `related` and `unrelated`.") from None


def has_bands(concept: Concept) -> bool:
    """Whether a concept has bands: it is one alone, and the tree knows it or it is a style."""
    return not concept.besides and (concept.kind == STYLE or concept.name in kinds())


def band_of(concept: Concept, name: str) -> str:
    """The band of a thing; "" for what is in none."""
    return next((band for band, names in related_things(concept).items() if name in names), "")


def banded(band: str, number: int, text: str, template: str | None) -> Prompt:
    """A prompt whose id says its band: "figure-0007"."""
    return Prompt(f"{band.replace(' ', '_')}-{number:04d}", text, template=template)


def band_of_prompt(prompt_id: str) -> str:
    """The band that a prompt's id says.

    >>> band_of_prompt(banded("sea creature", 7, "a photo of a squid", None).id)
    'sea creature'
    """
    return prompt_id.rpartition("-")[0].replace("_", " ")


def in_turn(bands: Iterable[Iterable[T]]) -> list[T]:
    """Each band's first, then each one's second, …: a prefix holds all bands alike, as far as they reach."""
    return [one for one in chain.from_iterable(zip_longest(*bands)) if one is not None]
