"""The concepts that can be erased by name, and the prompts that ask for them."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from erasebench.errors import unknown


@dataclass(frozen=True)
class Concept:
    """A concept to erase.

    Attributes:
        name: as the judge knows it.
        kind: nudity, person, vehicle, animal, plant, object, building, place or style.
        phrase: the name with its article; for a style "in the style of NAME".
        guide: the text that takes its place, for methods that need one.
        templates: prompts with `{x}`, `{name}` or `{thing}` in them.
    """

    name: str
    kind: str
    phrase: str
    guide: str
    templates: tuple[str, ...]


@cache
def _file() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(
        (files("erasebench.prompts") / "concepts.yaml").read_text(encoding="utf-8")
    )
    return content


def concept_names() -> list[str]:
    """All concepts, in the file's order."""
    return list(_file()["concepts"])


def settings() -> tuple[str, ...]:
    """Where things stand, such as "on the beach"; the first is empty."""
    return tuple(_file()["settings"])


def get_concept(name: str) -> Concept:
    """The concept of this name.

    Raises:
        BenchError: there is none; names the nearest.
    """
    content = _file()
    if name not in content["concepts"]:
        raise unknown("concept", name, content["concepts"], "bench list concepts")
    entry = content["concepts"][name]
    kind = content["kinds"][entry["kind"]]
    article = entry.get("article", "a")
    phrase = f"in the style of {name}" if entry["kind"] == "style" else f"{article} {name}".strip()
    return Concept(name, entry["kind"], phrase, kind["guide"], tuple(kind["templates"]))
