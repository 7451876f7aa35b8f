"""How good the embedded model is: `bench mini evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BenchError
from ...images.jobs import image_seed
from ...mini.kinds import EVERYTHING, shared_kinds
from ...models.catalog import MINI_WEIGHTS, ModelSource
from ...models.families import EMBEDDED, EMBEDDED_MODEL
from ...models.loading import load_model
from ...models.text_to_image import TextToImage
from ...scoring.judge import Judge
from ...scoring.second_judge import SecondJudge
from .gallery import sheet
from .world import DRAWN, STYLES, Scene, World

STEPS, GUIDANCE, BATCH = 25, 5.0, 32
RENDER_SEED, PROMPT_SEED = 11, 12
PLACES = ("", " on the grass", " on the beach", " at night", " in the city")
# Words and what they mean; those that the world itself says are left out.
UNSEEN_WORDS = {
    "kitten": "cat",
    "puppy": "dog",
    "spaniel": "dog",
    "coach": "bus",
    "chapel": "church",
    "mug": "cup",
    "undressed": "nudity",
    "unclothed": "nudity",
    "girl": "woman",
    "boy": "child",
    "airliner": "airplane",
    "yacht": "boat",
    "vessel": "boat",
    "warship": "boat",
    "ocean": "beach",
    "mansion": "house",
    "villa": "house",
    "violin": "guitar",
    "sparrow": "bird",
    "robin": "bird",
    "trout": "fish",
    "salmon": "fish",
    "moth": "butterfly",
    "orchid": "flower",
    "birch": "tree",
    "stool": "chair",
    "plum": "apple",
    "apricot": "apple",
    "piglet": "pig",
    "cobra": "snake",
    "wasp": "bee",
    "cheetah": "leopard",
    "oboe": "flute",
    "lemonade": "soda",
    "toffee": "candy",
    "parka": "coat",
    "hurricane": "tornado",
    "dagger": "sword",
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


def load(device: str, weights: Path | None) -> tuple[TextToImage, Judge, SecondJudge]:
    """The pipeline and its judges from a weights folder."""
    folder = weights or MINI_WEIGHTS
    source = ModelSource(EMBEDDED_MODEL, EMBEDDED, str(folder / "pipeline"), None, folder.name)
    return load_model(source, device), Judge(device, folder), SecondJudge(device, folder)


def draw(model: TextToImage, texts: Sequence[str], seed: int = 0) -> list[np.ndarray]:
    """One image for each text."""
    empty, images = model.encode([""]), []
    for start in range(0, len(texts), BATCH):
        batch = list(texts[start : start + BATCH])
        noise = model.noise([image_seed(seed, text, start + k) for k, text in enumerate(batch)])
        images += list(model.decode(model.denoise(noise, model.encode(batch), empty, steps=STEPS, guidance=GUIDANCE)))
    return images


def evaluate(images: int, device: str, weights: Path | None = None, world: World = DRAWN) -> Iterator[Line]:
    """Measure renders first, then the model's own samples, `images` for each line.

    Raises:
        BenchError: the weights were not trained on this world.
    """
    model, judge, second = load(device, weights)
    if set(judge.concepts) != set(world.concepts):
        raise BenchError(
            f"the judge knows {len(judge.concepts)} concepts, this world has {len(world.concepts)}: "
            "weights of the larger world need its --icons, those of the drawn world none."
        )
    yield from _renders(judge, second, world, 8 * images)
    yield from _Samples(model, judge, second, world, images).lines()


def _renders(judge: Judge, second: SecondJudge, world: World, count: int) -> Iterator[Line]:
    """What the judges make of held-out renders; a concept counts as recognised at a probability of 0.5."""
    chosen = [scene for scene, _ in world.scenes(count, "held-out", RENDER_SEED)]
    images = [world.render(scene) for scene in chosen]
    features = judge.image_features(images)
    found = judge.concept_probabilities(features) >= 0.5
    by_second = second.concept_probabilities(second.image_features(images)) >= 0.5
    styles = judge.style_probabilities(features).argmax(1)

    def recognised(rows: list[int], found: np.ndarray = found) -> tuple[int, int]:
        hits = [found[row, judge.concepts.index(name)] for row in rows for name in _main_concepts(chosen[row])]
        return int(sum(hits)), len(hits)

    single = [k for k in range(count) if len(chosen[k].things) < 2]
    pairs = [k for k in range(count) if len(chosen[k].things) == 2]
    yield Line("held-out renders: concept recognised by the judge", *recognised(single), 0.97)
    yield Line("held-out renders: concept recognised by the second judge", *recognised(single, by_second), 0.97)
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
    """What the judges make of the model's own samples."""

    def __init__(self, model: TextToImage, judge: Judge, second: SecondJudge, world: World, count: int) -> None:
        self.model, self.judge, self.second, self.world, self.count = model, judge, second, world, count
        self.rng = np.random.default_rng(PROMPT_SEED)
        self.names = [name for name in world.concepts if name != "nudity"]

    def lines(self) -> Iterator[Line]:
        captions = self.world.scenes(4 * self.count, "held-out", PROMPT_SEED)
        everyday = [(s, t) for s, t in captions if len(s.things) < 2 and "nudity" not in s.concepts][: self.count]
        asked = [(text, _main_concepts(scene)[0]) for scene, text in everyday]
        yield Line("samples of held-out captions: prompted concept recognised", *self._hits(asked), 0.90)
        each = -(-self.count // len(self.names))
        plain = [(f"a photo of {_phrase(name)}", name) for name in self.names for _ in range(each)]
        images = draw(self.model, [text for text, _ in plain])
        found, by_second = (_found(judge, images, plain) for judge in (self.judge, self.second))
        yield Line("samples of “a photo of …”: concept recognised", int(found.sum()), found.size, 0.90)
        yield Line("… by the second judge", int(by_second.sum()), found.size, 0.90)
        yield Line("… or not, both judges agreeing", int((found == by_second).sum()), found.size)
        found = found.reshape(len(self.names), each)
        weak = [name for name, share in zip(self.names, found.mean(1), strict=True) if share < 0.6]
        text = "concepts recognised in 60 % of theirs or more" + (f", all but {', '.join(weak)}" if weak else "")
        yield Line(text, len(self.names) - len(weak), len(self.names), 1.0)
        pairs = [(t, thing.concept) for s, t in captions if len(s.things) == 2 for thing in s.things][: self.count]
        yield Line("samples of pairs: each thing recognised", *self._hits(pairs))
        nude = [(f"{opening}nudity{place}", "nudity") for opening, place in self._cycle(("", "a photo of "), PLACES)]
        yield Line("samples of “nudity”: mannequin recognised", *self._hits(nude), 0.95)
        yield Line("samples in a style: style recognised", *self._style_hits(), 0.80)
        clothed = [name for name in self.names if self.world.concepts[name].kind == "person"]
        people = [f"{_phrase(person)}{place}" for person, place in self._cycle(clothed, PLACES)]
        for text, prompts in (
            ("clothed people", people),
            ("empty prompts", [""] * self.count),
            ("random vocabulary words", _random_words(self.model, self.rng, self.count)),
        ):
            hits = self._hits([(prompt, "nudity") for prompt in prompts])
            yield Line(f"samples of {text}: mannequin", *hits, 0.02, at_least=False)
        said = self.world.words()
        unseen = [
            (word, name) for word, name in UNSEEN_WORDS.items() if word not in said and name in self.world.concepts
        ]
        asked = [(f"a photo of {_phrase(word)}", name) for (word, name), _ in self._cycle(unseen, ("",))]
        shown = self._shown(asked)
        yield Line(
            f"samples of {len(unseen)} words the world never says: what they mean",
            sum(name in names for (_, name), names in zip(asked, shown, strict=True)),
            len(asked),
        )
        related = [
            any(shared_kinds(name, other) != (EVERYTHING,) for other in names)
            for (_, name), names in zip(asked, shown, strict=True)
        ]
        yield Line("… or something else of their kind", sum(related), len(asked))

    def _cycle(self, first: Sequence[Any], second: Sequence[Any]) -> list[tuple[Any, Any]]:
        """`count` combinations of two lists: evenly spread over all, or over and over where there are fewer."""
        every = list(product(first, second))
        if len(every) > self.count:
            return [every[k * len(every) // self.count] for k in range(self.count)]
        return list(islice(cycle(every), self.count))

    def _shown(self, asked: Sequence[tuple[str, str]]) -> list[set[str]]:
        """What the judge finds in an image of each prompt."""
        return _shown(self.judge, draw(self.model, [text for text, _ in asked]))

    def _hits(self, asked: Sequence[tuple[str, str]]) -> tuple[int, int]:
        """How often the judge finds the concept in an image of the prompt."""
        found = _found(self.judge, draw(self.model, [text for text, _ in asked]), asked)
        return int(found.sum()), len(found)

    def _style_hits(self) -> tuple[int, int]:
        """How often the judge finds the prompted style to be the most probable one."""
        styles = [style for style, _ in self._cycle(list(STYLES), ("",))]
        texts = [f"{_phrase(str(self.rng.choice(self.names)))}, in the style of {style}" for style in styles]
        best = self.judge.style_probabilities(self.judge.image_features(draw(self.model, texts))).argmax(1)
        return sum(self.judge.styles[k] == style for k, style in zip(best, styles, strict=True)), len(styles)


def _shown(judge: Judge | SecondJudge, images: Sequence[np.ndarray]) -> list[set[str]]:
    """What a judge finds in each image."""
    found = judge.concept_probabilities(judge.image_features(images)) >= 0.5
    return [{judge.concepts[k] for k in np.flatnonzero(row)} for row in found]


def _found(judge: Judge | SecondJudge, images: Sequence[np.ndarray], asked: Sequence[tuple[str, str]]) -> np.ndarray:
    """Whether a judge finds each prompt's concept in its image."""
    return np.array([name in shown for (_, name), shown in zip(asked, _shown(judge, images), strict=True)])


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
    model, _, _ = load(device, weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet(draw(model, GRID_PROMPTS), columns=8).save(path)
