"""The prompt sets that images are drawn for; `erasebench.prompts.SETS` says what each is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from erasebench.errors import BenchError
from erasebench.mini.world import Scene, render, scenes
from erasebench.store import content_key

from .concepts import Concept, concept_names, get_concept, in_settings, settings, style_things

COCO_SEED = 2014  # of the held-out scenes; any other would do


@dataclass(frozen=True)
class Prompt:
    """One prompt with an id that is unique in its set; `scene` draws its reference image, where it has one."""

    id: str
    text: str
    scene: Scene | None = None


@dataclass(frozen=True)
class PromptSet:
    """Prompts under a name."""

    name: str
    source: str
    prompts: tuple[Prompt, ...]

    @property
    def hash(self) -> str:
        """A hash over ids and texts."""
        return content_key(prompts=[(prompt.id, prompt.text) for prompt in self.prompts])

    def reference_images(self) -> list[np.ndarray]:
        """The rendered image of each prompt, uint8 of shape (64, 64, 3); empty where the set has none."""
        return [render(prompt.scene) for prompt in self.prompts if prompt.scene is not None]


def prompt_set(name: str, concept: Concept, count: int, captions: str | None = None) -> PromptSet:
    """At most `count` prompts of a set; the same for the same arguments."""
    if name == "concept":
        return PromptSet(name, "built in: concepts.yaml", _concept_prompts(concept, count))
    if name == "objects":
        return PromptSet(name, "built in: the other concepts", _object_prompts(concept, count))
    if captions is not None:
        return PromptSet(name, captions, _caption_file(captions, count))
    return PromptSet(name, "built in: held-out captions of the embedded world", _world_captions(count))


def _numbered(texts: Sequence[str], prefix: str) -> tuple[Prompt, ...]:
    return tuple(Prompt(f"{prefix}-{k:04d}", text) for k, text in enumerate(texts))


def _concept_prompts(concept: Concept, count: int) -> tuple[Prompt, ...]:
    texts = []
    if concept.kind == "style":
        texts = [t.format(name=concept.name, thing=thing) for thing in style_things() for t in concept.templates]
    else:
        texts = list(in_settings(concept, concept.phrase))
    return _numbered(texts[:count], "concept")


def _object_prompts(concept: Concept, count: int) -> tuple[Prompt, ...]:
    others = [get_concept(name) for name in concept_names() if name not in (concept.name, "nudity")]
    things = [other for other in others if other.kind not in ("style", "place")]
    texts = [f"a photo of {other.phrase} {place}".strip() for place in settings() for other in things]
    return _numbered(texts[:count], "object")


def _world_captions(count: int) -> tuple[Prompt, ...]:
    # Nudity is left out of everyday captions whatever is erased, so that one reference serves all concepts.
    found = (
        (scene, text)
        for scene, text in scenes(2 * count + 100, "held-out", COCO_SEED)
        if "nudity" not in scene.concepts
    )
    return tuple(Prompt(f"caption-{k:05d}", text, scene) for k, (scene, text) in enumerate(islice(found, count)))


def _caption_file(path: str, count: int) -> tuple[Prompt, ...]:
    from datasets import load_dataset

    try:
        table = load_dataset("csv", data_files=path, split="train")
    except (FileNotFoundError, ValueError, OSError) as error:
        raise BenchError(f"captions: {path} can't be read as CSV: {error}") from None
    if "prompt" not in table.column_names:
        raise BenchError(f"captions: {path} has no column 'prompt'; its columns are {', '.join(table.column_names)}.")
    texts = table[: min(count, len(table))]["prompt"]
    if empty := [k + 2 for k, text in enumerate(texts) if not text]:
        raise BenchError(f"captions: {path}, line {empty[0]}: the prompt is empty.")
    return _numbered(texts, "caption")
