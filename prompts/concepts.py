"""The concepts that can be erased by name, and the prompts that ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, model_validator

from erasebench.errors import BenchError, unknown
from erasebench.mini.held_out import things
from erasebench.mini.kinds import kinds as kinds_of_things

from .spelling import canonical, overlap, spelled


@dataclass(frozen=True)
class Concept:
    """A concept to erase.

    Attributes:
        name: as the judge knows it, or a text of the user's own; in its canonical spelling.
        kind: nudity, person, vehicle, animal, plant, food, object, building, place, sky or style.
        phrase: the name with its article; for a style "in the style of NAME".
        replacement: the text that takes its place, for methods that need one; "" where there is none.
        templates: prompts with `{x}`, `{name}` or `{thing}` in them.
        built_in: whether it is known by its name.
        shown: what an image of the concept is of, as a detector is asked.
        counterpart: what an image of the kind is of without the concept.
        besides: further concepts that the same erasure takes away.
        word: the token that stands for it, where one was learned from pictures, such as "<my-cup>".
    """

    name: str
    kind: str
    phrase: str
    replacement: str
    templates: tuple[str, ...]
    built_in: bool = True
    shown: str = ""
    counterpart: str = ""
    besides: tuple[Concept, ...] = ()
    word: str = ""

    @property
    def each(self) -> tuple[Concept, ...]:
        """All concepts of the erasure, each alone."""
        return (replace(self, besides=()), *self.besides) if self.besides else (self,)

    @property
    def facts(self) -> dict[str, Any]:
        """All of it as JSON has it; `besides` and `word` where there are any."""
        return {key: value for key, value in asdict(self).items() if value or key not in ("besides", "word")}

    @property
    def asked(self) -> str:
        """How its direct prompts ask for it: by the learned word, or by its name."""
        if not self.word:
            return self.phrase
        return f"in the style of {self.word}" if self.kind == "style" else f"a {self.word}"

    def overlaps(self, name: str) -> bool:
        """Whether a name is another way to say one of the concepts, or says one and more."""
        return any(overlap(name, concept.name) for concept in self.each)

    @property
    def preset(self) -> str:
        """The kind by which methods have presets: nudity, style or object."""
        return self.kind if self.kind in ("nudity", "style") else "object"

    @property
    def anchors(self) -> tuple[str, ...]:
        """Prompts that show the replacement; for a style, generic paintings of what it is asked for with."""
        if self.kind == "style":
            painting = self.replacement or "a painting"
            return tuple(f"{painting} of {thing} {place}".strip() for thing in style_things() for place in settings())
        if not self.replacement:
            return ()
        return in_settings(self, self.replacement)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Kind(_Strict):
    """What the concepts of a kind share."""

    replacement: str
    replacement_by_family: dict[str, str] = {}
    templates: list[str]


class _Entry(_Strict):
    """One built-in concept."""

    kind: str
    article: str = "a"
    shown: str | None = None  # for a detector, where the phrase would not do


class _ConceptFile(_Strict):
    """The schema of concepts.yaml."""

    kinds: dict[str, _Kind]
    settings: list[str]
    style_things: list[str]
    concepts: dict[str, _Entry]

    @model_validator(mode="after")
    def _known_kinds(self) -> Self:
        if unknown_kinds := {entry.kind for entry in self.concepts.values()} - set(self.kinds):
            raise ValueError(f"concepts of unknown kinds: {', '.join(sorted(unknown_kinds))}")
        return self


@cache
def _file() -> _ConceptFile:
    text = (files("erasebench.prompts") / "concepts.yaml").read_text(encoding="utf-8")
    return _ConceptFile(**yaml.safe_load(text))


def concept_names() -> list[str]:
    """All concepts, in the file's order."""
    return list(_file().concepts)


def nameable() -> list[str]:
    """All that can be erased by name: the file's concepts, then what else the embedded model's world shows."""
    return list(dict.fromkeys((*concept_names(), *things())))


def _entry(name: str) -> _Entry | None:
    """What is known of a name."""
    if name in things() and name not in _file().concepts:
        return _Entry(kind=kinds_of_things()[name][0], article=things()[name].removesuffix(name).strip())
    return _file().concepts.get(name)


def settings() -> tuple[str, ...]:
    """Where things stand, such as "on the beach"; the first is empty."""
    return tuple(_file().settings)


def kinds() -> list[str]:
    """All kinds of concepts."""
    return list(_file().kinds)


def style_things() -> tuple[str, ...]:
    """The things that styles are asked for with, such as "a cat"."""
    return tuple(_file().style_things)


@cache
def _paraphrases() -> dict[str, list[str]]:
    text = (files("erasebench.prompts") / "paraphrases.yaml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, list[str]]).validate_python(yaml.safe_load(text), strict=True)


def paraphrases(name: str) -> tuple[str, ...]:
    """Other ways to ask for a built-in concept; none for a text of the user's own."""
    return tuple(_paraphrases().get(name, ()))


def places(concept: Concept) -> tuple[str, ...]:
    """The settings that a concept is asked for in; a place or the sky stands in no other."""
    return ("",) if concept.kind in ("place", "sky") else settings()


def in_settings(concept: Concept, phrase: str) -> tuple[str, ...]:
    """The concept's prompts with another phrase in its place, in every setting."""
    return tuple(f"{t.format(x=phrase)} {place}".strip() for place in places(concept) for t in concept.templates)


@cache
def canonical_name(name: str) -> str:
    """The known name that a text is a spelling of ("Garbage  Trucks"), or the text in its canonical spelling."""
    return spelled(name, nameable()) or canonical(name)


def get_concept(name: str, kind: str | None = None, replacement: str | None = None, family: str = "sd") -> Concept:
    """The concept of this name in any spelling, or, where `kind` is given, any text of that kind.

    Its replacement is the given one, or the kind's for this model family.

    Raises:
        BenchError: there is no such concept or kind; names the nearest.
    """
    content, name = _file(), canonical_name(name)
    known = _entry(name)
    if known is not None and kind not in (None, known.kind):
        raise BenchError(f"--kind {kind}: {name!r} is a built-in concept of the kind {known.kind}. Leave --kind out.")
    if known is None and kind is None:
        raise BenchError(
            f"{unknown('concept', name, nameable(), 'bench list concepts')} "
            "To erase any other text, say what it is: --kind object (or style, person, …), "
            "and what takes its place: --replacement TEXT."
        )
    if known is None and not name:
        raise BenchError("--concept: the text to erase is empty.")
    chosen = str(known.kind if known is not None else kind)
    if chosen not in content.kinds:
        raise unknown("kind", chosen, content.kinds, "bench list kinds")
    defaults = content.kinds[chosen]
    usual = defaults.replacement_by_family.get(family, defaults.replacement)
    article = known.article if known is not None else ""
    phrase = f"in the style of {name}" if chosen == "style" else f"{article} {name}".strip()
    shown = f"{defaults.replacement} {phrase}" if chosen == "style" else phrase
    return Concept(
        name,
        chosen,
        phrase,
        replacement if replacement is not None else usual if known is not None or chosen == "style" else "",
        tuple(defaults.templates),
        known is not None,
        (known.shown if known is not None else None) or shown,
        defaults.replacement,
    )


def get_concepts(
    names: Sequence[str], kind: str | None = None, replacement: str | None = None, family: str = "sd"
) -> Concept:
    """One erasure's concepts, the first with the others `besides`; `kind` is for those that are not built in.

    Raises:
        BenchError: there is no such concept or kind, or two of them are one in other words.
    """
    known = nameable()
    found = [
        get_concept(name, None if len(names) > 1 and canonical_name(name) in known else kind, replacement, family)
        for name in names
    ]
    for k, concept in enumerate(found):
        for other in found[:k]:
            if overlap(other.name, concept.name):
                raise BenchError(
                    f"--concepts: {other.name!r} and {concept.name!r} overlap: prompts for one ask for the other. "
                    "Name one of them."
                )
    return replace(found[0], besides=tuple(found[1:]))
