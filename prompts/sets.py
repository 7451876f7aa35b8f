"""Prompt sets: what a prompt is, and from which source a set comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from erasebench.errors import BenchError, unknown
from erasebench.mini.world import Scene
from erasebench.store import content_key

from . import SOURCES, built_in
from .concepts import Concept
from .files import is_file_source, read_prompts
from .prompt import Prompt

Builder = Callable[[Concept, int | None], tuple[Prompt, ...]]
BUILDERS: dict[str, Builder] = {
    "direct": built_in.direct,
    "paraphrased": built_in.paraphrased,
    "related": built_in.related,
    "unrelated": built_in.unrelated,
    "others": built_in.others,
    "objects": built_in.objects,
    "styles": built_in.styles,
    "world": built_in.world,
}


@dataclass(frozen=True)
class PromptSet:
    """Prompts under the name of their role, and where they come from."""

    name: str
    source: str
    prompts: tuple[Prompt, ...]

    @cached_property
    def hash(self) -> str:
        """A hash over ids, texts, seeds, guidance and sizes: all that images depend on."""
        return content_key(prompts=[(p.id, p.text, p.seed, p.guidance, p.size) for p in self.prompts])

    def without_settings(self) -> PromptSet:
        """The same prompts without the guidance and size of their own, for protocols whose authors ignore these."""
        plain = tuple(replace(prompt, guidance=None, size=None) for prompt in self.prompts)
        changed = plain != self.prompts
        return PromptSet(
            self.name, f"{self.source} without its own guidance and sizes" if changed else self.source, plain
        )

    def described(self) -> dict[str, Any]:
        """What run.json and footnotes say of it: source, hash, size, and how many prompts bring their own settings."""
        described: dict[str, Any] = {"source": self.source, "hash": self.hash, "size": len(self.prompts)}
        for what in ("seed", "guidance", "size"):
            described[f"own_{what}"] = sum(getattr(prompt, what) is not None for prompt in self.prompts)
        return described


def prompt_set(name: str, source: str, concept: Concept, count: int | None, category: str | None = None) -> PromptSet:
    """At most `count` prompts (None: all) of a source; the same for the same arguments.

    Args:
        name: the role that the set takes.
        source: a built-in set, a file, or a hub data set as "hub:OWNER/NAME".
        concept: what is erased; built-in sets are about it.
        count: the first so many.
        category: only prompts of this category, for files that have categories.

    Raises:
        BenchError: the source is unknown, unreadable, or has no prompt for these arguments.
    """
    if source in BUILDERS:
        if category is not None:
            raise BenchError(f"prompts.{name}: the built-in set {source!r} has no categories; leave `category` out.")
        found, where = BUILDERS[source](concept, count), f"built in: {source}"
    elif is_file_source(source):
        try:
            found, where = read_prompts(source, count, category), source
        except BenchError as error:
            reason = str(error).removeprefix("prompts: ")
            raise BenchError(f"prompts.{name}: {reason} Another source: --prompts {name}=SOURCE.") from None
    else:
        raise BenchError(
            f"prompts.{name}: {unknown('prompt set', source, SOURCES, 'bench list prompts')} "
            "Or give a file that exists, or hub:OWNER/NAME."
        )
    if not found:
        raise BenchError(f"prompts.{name}: {source} has no prompt for the concept {concept.name!r}.")
    return PromptSet(name, where, found)


WORLD_REFERENCE = 1024  # images; other scenes than those of the captions that are drawn


@cache
def world_reference() -> tuple[tuple[Prompt, Scene], ...]:
    """Captions with their scenes, for the embedded world's real images: no caption of the set "world" is among them."""
    return tuple(
        (Prompt(f"real-{k:05d}", text), scene)
        for k, (scene, text) in enumerate(built_in.everyday_scenes(WORLD_REFERENCE, built_in.REFERENCE_SEED))
    )
