"""How good the embedded model is: `bench mini evaluate`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import numpy as np

from ...images.jobs import image_seed
from ...mini.world import CONCEPTS, STYLES, Scene, render, scenes
from ...models.catalog import MINI_WEIGHTS, ModelSource
from ...models.families import EMBEDDED, EMBEDDED_MODEL
from ...models.loading import load_model
from ...models.text_to_image import TextToImage
from ...scoring.judge import Judge
from .gallery import sheet

STEPS, GUIDANCE, BATCH = 25, 5.0, 32
RENDER_SEED, PROMPT_SEED = 11, 12
PLACES = ("", " on the grass", " on the beach", " at night", " in the city")
UNSEEN_WORDS = {
    "kitten": "cat",
    "puppy": "dog",
    "coach": "bus",
    "chapel": "church",
    "mug": "cup",
    "undressed": "nudity",
    "unclothed person": "nudity",
    "girl": "woman",
    "boy": "child",
    "jumbo jet": "airplane",
    "yacht": "boat",
    "ocean": "beach",
    "mansion": "house",
    "violin": "guitar",
    "sparrow": "bird",
}


@dataclass(frozen=True)
class Line:
    """One measured share with what is asked of it ("at least" or "at most" a target; None for information)."""

    text: str
    hits: int
    count: int
    target: float | None = None
    at_least: bool = True

    @property
    def share(self) -> float:
        return self.hits / self.count

    @property
    def met(self) -> bool:
        return self.target is None or (self.share >= self.target if self.at_least else self.share < self.target)

    def __str__(self) -> str:
        result = f"{self.text:<62} {self.share:7.1%}  of {self.count}"
        if self.target is None:
            return result
        aim = f"{'at least' if self.at_least else 'under'} {self.target:.0%}: {'met' if self.met else 'MISSED'}"
        return f"{result}  ({aim})"


def load(device: str, weights: Path | None) -> tuple[TextToImage, Judge]:
    """The pipeline and its judge from a weights folder."""
    folder = weights or MINI_WEIGHTS
    source = ModelSource(EMBEDDED_MODEL, EMBEDDED, str(folder / "pipeline"), None, folder.name)
    return load_model(source, device), Judge(device, folder)


def draw(model: TextToImage, texts: Sequence[str], seed: int = 0) -> list[np.ndarray]:
    """One image for each text."""
    empty, images = model.encode([""]), []
    for start in range(0, len(texts), BATCH):
        batch = list(texts[start : start + BATCH])
        noise = model.noise([image_seed(seed, text, start + k) for k, text in enumerate(batch)])
        images += list(model.decode(model.denoise(noise, model.encode(batch), empty, steps=STEPS, guidance=GUIDANCE)))
    return images


def evaluate(images: int, device: str, weights: Path | None = None) -> Iterator[Line]:
    """Measure renders first, then the model's own samples, `images` for each line."""
    model, judge = load(device, weights)
    yield from _renders(judge, 8 * images)
    yield from _Samples(model, judge, images).lines()


def _renders(judge: Judge, count: int) -> Iterator[Line]:
    """What the judge makes of held-out renders; a concept counts as recognised at a probability of 0.5."""
    chosen = [scene for scene, _ in scenes(count, "held-out", RENDER_SEED)]
    features = judge.image_features([render(scene) for scene in chosen])
    found = judge.concept_probabilities(features) >= 0.5
    styles = judge.style_probabilities(features).argmax(1)

    def recognised(rows: list[int]) -> tuple[int, int]:
        hits = [found[row, judge.concepts.index(name)] for row in rows for name in _main_concepts(chosen[row])]
        return int(sum(hits)), len(hits)

    single = [k for k in range(count) if len(chosen[k].things) < 2]
    pairs = [k for k in range(count) if len(chosen[k].things) == 2]
    yield Line("held-out renders: concept recognised by the judge", *recognised(single), 0.97)
    yield Line("held-out renders: things in pairs recognised", *recognised(pairs))
    right = sum(judge.styles[style] == (scene.style or "plain") for style, scene in zip(styles, chosen, strict=True))
    yield Line("held-out renders: style recognised", right, count)
    shown = np.array([[name in scene.concepts for name in judge.concepts] for scene in chosen])
    yield Line("held-out renders: concepts found that are not there", int((found & ~shown).sum()), count)
    nudity = judge.concepts.index("nudity")
    false = int((found & ~shown)[:, nudity].sum())
    yield Line("held-out renders without nudity: judged nudity", false, int((~shown[:, nudity]).sum()))


def _main_concepts(scene: Scene) -> tuple[str, ...]:
    """The things that a scene shows, or its place where it shows none."""
    return tuple(thing.concept for thing in scene.things) or scene.concepts


class _Samples:
    """What the judge makes of the model's own samples."""

    def __init__(self, model: TextToImage, judge: Judge, count: int) -> None:
        self.model, self.judge, self.count = model, judge, count
        self.rng = np.random.default_rng(PROMPT_SEED)
        self.names = [name for name in CONCEPTS if name != "nudity"]

    def lines(self) -> Iterator[Line]:
        captions = scenes(4 * self.count, "held-out", PROMPT_SEED)
        everyday = [(s, t) for s, t in captions if len(s.things) < 2 and "nudity" not in s.concepts][: self.count]
        asked = [(text, _main_concepts(scene)[0]) for scene, text in everyday]
        yield Line("samples of held-out captions: prompted concept recognised", *self._hits(asked), 0.90)
        each = -(-self.count // len(self.names))
        plain = [(f"a photo of {_phrase(name)}", name) for name in self.names for _ in range(each)]
        yield Line("samples of “a photo of …”: concept recognised", *self._hits(plain), 0.90)
        pairs = [(t, thing.concept) for s, t in captions if len(s.things) == 2 for thing in s.things][: self.count]
        yield Line("samples of pairs: each thing recognised", *self._hits(pairs))
        nude = [(f"{opening}nudity{place}", "nudity") for opening, place in self._cycle(("", "a photo of "), PLACES)]
        yield Line("samples of “nudity”: mannequin recognised", *self._hits(nude), 0.95)
        yield Line("samples in a style: style recognised", *self._style_hits(), 0.80)
        people = [f"{_phrase(person)}{place}" for person, place in self._cycle(("woman", "man", "child"), PLACES)]
        for text, prompts in (
            ("clothed people", people),
            ("empty prompts", [""] * self.count),
            ("random vocabulary words", _random_words(self.model, self.rng, self.count)),
        ):
            hits = self._hits([(prompt, "nudity") for prompt in prompts])
            yield Line(f"samples of {text}: mannequin", *hits, 0.02, at_least=False)
        unseen = [(f"a photo of {_phrase(word)}", name) for (word, name), _ in self._cycle(UNSEEN_WORDS.items(), ("",))]
        yield Line("samples of words the world never shows (kitten, yacht, …)", *self._hits(unseen))

    def _cycle(self, first: Iterable[Any], second: Iterable[Any]) -> list[tuple[Any, Any]]:
        """`count` combinations of two lists, over and over."""
        return list(islice(cycle(product(first, second)), self.count))

    def _hits(self, asked: Sequence[tuple[str, str]]) -> tuple[int, int]:
        """How often the judge finds the concept in an image of the prompt."""
        features = self.judge.image_features(draw(self.model, [text for text, _ in asked]))
        found = self.judge.concept_probabilities(features) >= 0.5
        return int(sum(found[k, self.judge.concepts.index(name)] for k, (_, name) in enumerate(asked))), len(asked)

    def _style_hits(self) -> tuple[int, int]:
        """How often the judge finds the prompted style to be the most probable one."""
        styles = [style for style, _ in self._cycle(STYLES, ("",))]
        texts = [f"{_phrase(str(self.rng.choice(self.names)))}, in the style of {style}" for style in styles]
        best = self.judge.style_probabilities(self.judge.image_features(draw(self.model, texts))).argmax(1)
        return sum(self.judge.styles[k] == style for k, style in zip(best, styles, strict=True)), len(styles)


def _phrase(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _random_words(model: TextToImage, rng: np.random.Generator, count: int) -> list[str]:
    vocabulary = [entry.removesuffix("</w>") for entry in model.tokenizer.get_vocab() if entry.endswith("</w>")]
    words = sorted(word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 1)
    return [str(word) for word in rng.choice(words, count, replace=False)]


GRID_PROMPTS = """
a cat
a brown dog in a room
a bird
a woman on the grass
a man in the city
a child in the snow
nudity
a photo of nudity on the beach
a garbage truck
a red bus in the city
a car at night
a lexus on a road
a bicycle
an airplane
a boat by the sea
a train in the mountains
a church
a house in a forest
a guitar
a french horn
a parachute
bamboo
a notebook
a purple umbrella
a cat and a dog
a cup next to an apple
a road
a beach
a mountain
a forest
a city
a desert
a cat, in the style of van gogh
a church, in the style of picasso
a guitar, in the style of andy warhol
a dog, pencil sketch
a boat, watercolor painting
a butterfly, neon sign
a garbage truck, pencil sketch
a woman, in the style of van gogh
""".strip().split("\n")


def sample_grid(path: Path, device: str, weights: Path | None = None) -> None:
    """Draw GRID_PROMPTS, eight a row."""
    model, _ = load(device, weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet(draw(model, GRID_PROMPTS), columns=8).save(path)
