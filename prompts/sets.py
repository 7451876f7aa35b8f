"""Prompt sets: what a prompt is, and from which source a set comes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from erasebench.errors import BenchError, unknown
from erasebench.storage.keys import content_key

from . import SOURCES, WHERE, built_in
from .bands import band_of_prompt, in_turn
from .concepts import Concept
from .files import is_file_source, read_prompts
from .prompt import Prompt

BUILDERS: dict[str, Callable[[Concept], tuple[Prompt, ...]]] = {
    "wordings": built_in.wordings,
    "direct": built_in.direct,
    "paraphrased": built_in.paraphrased,
    "related": built_in.related,
    "unrelated": built_in.unrelated,
    "others": built_in.others,
    "bands": built_in.bands,
    "objects": built_in.objects,
    "styles": built_in.styles,
    "pairs": built_in.pairs,
    "world": built_in.world,
}


@dataclass(frozen=True)
class PromptSet:
    """Prompts under the name of their role, where they come from, and how many there are to choose from."""

    name: str
    source: str
    prompts: tuple[Prompt, ...]
    available: int

    @cached_property
    def hash(self) -> str:
        """A hash over ids, texts, seeds, guidance and sizes: all that images depend on."""
        return content_key(prompts=[(p.id, p.text, p.seed, p.guidance, p.size) for p in self.prompts])

    def without_settings(self) -> PromptSet:
        """The same prompts without the guidance and size of their own, for protocols whose authors ignore these."""
        plain = tuple(replace(prompt, guidance=None, size=None) for prompt in self.prompts)
        if plain == self.prompts:
            return self
        return replace(self, source=f"{self.source} without its own guidance and sizes", prompts=plain)

    def described(self) -> dict[str, Any]:
        """What run.json and footnotes say of it: source, hash, size, and how many prompts bring their own settings."""
        described: dict[str, Any] = {"source": self.source, "hash": self.hash, "size": len(self.prompts)}
        described |= {"available": self.available, "clusters": len({prompt.cluster for prompt in self.prompts})}
        for what in ("seed", "guidance", "size"):
            described[f"own_{what}"] = sum(getattr(prompt, what) is not None for prompt in self.prompts)
        return described


def sampled(prompts: Sequence[Prompt]) -> list[Prompt]:
    """All prompts in a fixed random order in which every cluster has its turn before any has another.

    A prefix is a random sample that is balanced over clusters, and a longer one holds every shorter. The order depends
    on ids alone, so that it is the same wherever prompts stand in a file, and for every model and method.

    >>> prompts = [Prompt(f"{cluster}-{k}", "", template=cluster) for cluster in "ab" for k in range(9)]
    >>> sorted(prompt.cluster for prompt in sampled(prompts)[:4])
    ['a', 'a', 'b', 'b']
    """
    shuffled = sorted(prompts, key=lambda prompt: hashlib.sha256(prompt.id.encode()).digest())
    turns: Counter[str] = Counter()
    placed = []
    for prompt in shuffled:
        placed.append((turns[prompt.cluster], prompt))
        turns[prompt.cluster] += 1
    return [prompt for _, prompt in sorted(placed, key=lambda pair: pair[0])]


def prompt_set(
    name: str, source: str, concept: Concept, count: int | None, category: str | None = None, order: str = "random"
) -> PromptSet:
    """At most `count` prompts (None: all) of a source; the same for the same arguments.

    Args:
        name: the role that the set takes.
        source: a built-in set, a file, or a hub data set as "hub:OWNER/NAME".
        concept: what is erased; built-in sets are about it.
        count: so many, a random sample that is balanced over clusters (`sampled`).
        category: only prompts of this category, for files that have categories.
        order: "random", or "first" for the first of a file instead of a sample.

    Raises:
        BenchError: the source is unknown, unreadable, or has no prompt for these arguments.
    """
    if name == "concept" and concept.besides:
        return _of_each(source, concept, count, category, order)
    if source in SOURCES:
        if category is not None:
            raise BenchError(f"prompts.{name}: the built-in set {source!r} has no categories; leave `category` out.")
        found = BUILDERS[source](concept)
        where = f"built in: {source}"
    elif is_file_source(source):
        try:
            found, where = read_prompts(source, None, category), source
        except BenchError as error:
            reason = str(error).removeprefix("prompts: ")
            had = f" It is had from {WHERE[source]}." if source in WHERE else ""
            raise BenchError(f"prompts.{name}: {reason}{had} Another source: --prompts {name}=SOURCE.") from None
    else:
        raise BenchError(
            f"prompts.{name}: {unknown('prompt set', source, SOURCES, 'bench list prompts')} "
            "Or give a file that exists, or hub:OWNER/NAME."
        )
    if not found:
        raise BenchError(f"prompts.{name}: {source} has no prompt for the concept {concept.name!r}.")
    as_they_stand = order == "first" or source == "world"  # the world's captions are random as they stand
    ordered = found if as_they_stand else _by_bands(found) if source == "bands" else sampled(found)
    chosen = tuple(ordered)[:count]
    return PromptSet(name, where, chosen, len(found))


def _of_each(source: str, concept: Concept, count: int | None, category: str | None, order: str) -> PromptSet:
    """Equally many prompts for each of several concepts, whose ids say which one they ask for."""
    if source not in SOURCES:
        raise BenchError(
            f"prompts.concept: {source} does not say which of {len(concept.each)} concepts a prompt asks for. Take a "
            "built-in set (`bench list prompts`), or erase one concept."
        )
    share = None if count is None else max(1, count // len(concept.each))
    sets = [prompt_set("concept", source, one, share, category, order) for one in concept.each]
    fewest = min(len(each.prompts) for each in sets)
    prompts = tuple(prompt.asks_for(k) for k, each in enumerate(sets) for prompt in each.prompts[:fewest])
    return PromptSet("concept", sets[0].source, prompts, sum(each.available for each in sets))


def _by_bands(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The bands in turn, each in random order."""
    apart: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        apart.setdefault(band_of_prompt(prompt.id), []).append(prompt)
    return in_turn(map(sampled, apart.values()))
