"""The prompt sets that come with the package, each whole, for a concept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from erasebench.errors import BenchError
from erasebench.mini.held_out import captions
from erasebench.storage.text_files import lines

from .bands import STYLE, banded, related_things
from .concepts import Concept, get_concept, nameable, paraphrases, places, settings, style_things
from .prompt import Prompt

Wording = tuple[str, str | None]  # a text and the template that it shares with others


def numbered(wordings: Sequence[Wording], prefix: str) -> tuple[Prompt, ...]:
    """Texts as prompts "prefix-0000", "prefix-0001", …"""
    return tuple(Prompt(f"{prefix}-{k:04d}", text, template=template) for k, (text, template) in enumerate(wordings))


def wordings(concept: Concept) -> tuple[Prompt, ...]:
    """The concept by its name, and in other words where any are known."""
    return direct(concept) + (paraphrased(concept) if _other_words(concept) else ())


def direct(concept: Concept) -> tuple[Prompt, ...]:
    """The concept by its name, or by the word that was learned for it."""
    return numbered(_asking(concept, [concept.asked]), "concept")


def paraphrased(concept: Concept) -> tuple[Prompt, ...]:
    """The concept in other words."""
    return numbered(_asking(concept, _other_words(concept)), "paraphrase")


def related(concept: Concept) -> tuple[Prompt, ...]:
    """Concepts of the same kind; for nudity, people."""
    wordings: list[Wording] = []
    for kind in _kinds(concept):
        others = _others(concept, kind)
        if kind == "style":
            wordings += [wording for style in others for wording in _asking(style, [style.phrase])]
        else:
            wordings += _photos(others)
    return numbered(wordings, "related")


def unrelated(concept: Concept) -> tuple[Prompt, ...]:
    """Things of other kinds."""
    kinds = _kinds(concept)
    return numbered(_photos([other for other in _things(concept) if other.kind not in kinds]), "unrelated")


def others(concept: Concept) -> tuple[Prompt, ...]:
    """All other things."""
    return numbered(_photos(_things(concept)), "object")


def bands(concept: Concept) -> tuple[Prompt, ...]:
    """All other things of the embedded world, by how closely they are related; for a style, other styles too."""
    found = []
    if concept.kind == "style":
        wordings = [wording for style in _others(concept, "style") for wording in _asking(style, [style.phrase])]
        found += [banded(STYLE, k, *wording) for k, wording in enumerate(wordings)]
    for band, names in related_things(concept).items():
        wordings = _photos([get_concept(name) for name in names], places(concept))
        found += [banded(band, k, *wording) for k, wording in enumerate(wordings)]
    return tuple(found)


def objects(concept: Concept) -> tuple[Prompt, ...]:
    """1,000 everyday objects, without the concept itself."""
    words = [word for word in object_words() if not concept.overlaps(word)]
    return numbered([(f"a photo of {word}", None) for word in words], "thing")


def styles(concept: Concept) -> tuple[Prompt, ...]:
    """Things but the erased one, in every style but the erased one."""
    things = [thing for thing in style_things() if not concept.overlaps(thing)]
    others = _others(concept, "style")
    wordings = [(f"{thing}, {style.phrase}", style.phrase) for thing in things for style in others]
    return numbered(wordings, "style")


def pairs(concept: Concept) -> tuple[Prompt, ...]:
    """The concept beside another thing in every setting, or for a style that thing in it; with the clean half.

    Those with the same thing share a template.
    """
    found: list[Prompt] = []
    others = _things(concept)
    for one in concept.each:
        asked = one.shown if one.kind == "nudity" else one.phrase
        for place in places(one):
            for other in (other for other in others if place in places(other)):
                clean, alone = f"a photo of {other.phrase} {place}".strip(), f"a photo of {other.phrase}"
                text = f"{clean}, {asked}" if one.kind == "style" else f"a photo of {asked} and {other.phrase} {place}"
                found.append(Prompt(f"pair-{len(found):04d}", text.strip(), template=alone, clean=clean))
    return tuple(found)


def world(concept: Concept) -> tuple[Prompt, ...]:
    """Captions of random scenes that the embedded model never saw, the same whatever is erased."""
    return tuple(Prompt(f"caption-{k:05d}", text) for k, text in enumerate(captions()))


@cache
def object_words() -> tuple[str, ...]:
    """The 1,000 objects with their articles, in an order without meaning."""
    text = (files("erasebench.prompts") / "objects.txt").read_text(encoding="utf-8")
    return tuple(line for line in lines(text) if line and not line.startswith("#"))


def _asking(concept: Concept, phrases: Sequence[str]) -> list[Wording]:
    """Prompts with these phrases for the concept, so that a few of the first use all phrases.

    Those that differ by the setting alone (for a style, by the thing alone) share a template.
    """
    if not phrases:
        raise BenchError(
            f"prompts: no paraphrases of {concept.name!r} are known. Give your own: --prompts concept=FILE.txt."
        )
    if concept.kind == "style":
        ways = [template.split(", ")[0] for template in concept.templates]
        return [
            (f"{way.format(thing=thing)}, {phrase}", f"{way}, {phrase}")
            for thing in style_things()
            for way in ways
            for phrase in phrases
        ]
    return [
        (f"{text} {place}".strip(), text)
        for place in places(concept)
        for template in concept.templates
        for phrase in phrases
        if (text := template.format(x=phrase))
    ]


def _other_words(concept: Concept) -> tuple[str, ...]:
    """Its paraphrases; of a concept with a learned word, its plain name too."""
    return (*([concept.phrase] if concept.word else []), *paraphrases(concept.name))


def _kinds(concept: Concept) -> list[str]:
    """Of all concepts of an erasure, each once; nudity is people's."""
    return list(dict.fromkeys("person" if one.kind == "nudity" else one.kind for one in concept.each))


def _others(concept: Concept, kind: str) -> list[Concept]:
    found = [get_concept(name) for name in nameable() if not concept.overlaps(name)]
    return [other for other in found if other.kind == kind]


def _things(concept: Concept) -> list[Concept]:
    names = (name for name in nameable() if name != "nudity" and not concept.overlaps(name))
    found = [get_concept(name) for name in names]
    return [other for other in found if other.kind not in ("style", "place")]


def _photos(concepts: Sequence[Concept], where: Sequence[str] | None = None) -> list[Wording]:
    """Photos of concepts in all settings, or in some, as far as each stands there."""
    return [
        (f"a photo of {concept.phrase} {place}".strip(), f"a photo of {concept.phrase}")
        for place in (settings() if where is None else where)
        for concept in concepts
        if place in places(concept)
    ]
