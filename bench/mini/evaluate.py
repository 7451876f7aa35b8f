"""How good the embedded model is: `bench mini evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..generate import image_seed
from ..models import ModelSource, TextToImage
from .gallery import sheet
from .judge import WEIGHTS, Judge
from .world import CONCEPTS, STYLES, render, scenes

STEPS, GUIDANCE, BATCH = 25, 5.0, 32
RENDER_SEED, PROMPT_SEED = 11, 12
UNSEEN_WORDS = {
    "kitten": "cat", "puppy": "dog", "lorry": "garbage truck", "coach": "bus", "chapel": "church", "mug": "cup",
    "undressed": "nudity", "unclothed person": "nudity", "girl": "woman", "boy": "child", "jumbo jet": "airplane",
    "yacht": "boat", "ocean": "beach", "mansion": "house", "violin": "guitar", "sparrow": "bird",
}  # fmt: skip


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
        aim = (
            ""
            if self.target is None
            else f"  ({'at least' if self.at_least else 'under'} {self.target:.0%}: {'met' if self.met else 'MISSED'})"
        )
        return f"{self.text:<62} {self.share:7.1%}  of {self.count}{aim}"


def load(device: str, weights: Path | None) -> tuple[TextToImage, Judge]:
    """The pipeline and its judge from a weights folder."""
    folder = weights or WEIGHTS
    source = ModelSource("mini", "mini", str(folder / "pipeline"), None, folder.name)
    return source.load(device), Judge(device, folder)


def draw(model: TextToImage, texts: Sequence[str], seed: int = 0) -> list[np.ndarray]:
    """One image for each text."""
    empty, images = model.encode([""]), []
    for start in range(0, len(texts), BATCH):
        batch = list(texts[start : start + BATCH])
        noise = model.noise([image_seed(seed, text, start + k) for k, text in enumerate(batch)])
        images += list(model.decode(model.denoise(noise, model.encode(batch), empty, steps=STEPS, guidance=GUIDANCE)))
    return images


def evaluate(images: int, device: str, weights: Path | None = None) -> list[Line]:
    """Measure renders first, then the model's own samples."""
    model, judge = load(device, weights)
    return [*_renders(judge, 8 * images), *_samples(model, judge, images)]


def _renders(judge: Judge, count: int) -> list[Line]:
    chosen = [scene for scene, _ in scenes(count, "held-out", RENDER_SEED)]
    features = judge.image_features([render(scene) for scene in chosen])
    concepts = judge.concept_probabilities(features)
    styles = judge.style_probabilities(features).argmax(1)
    first = [judge.concepts.index(scene.concepts[0]) for scene in chosen]
    single = [k for k, scene in enumerate(chosen) if len(scene.things) <= 1]
    recognised = sum(concepts[k, first[k]] >= 0.5 for k in single)
    # The strict reading: among things the right one is the most probable.
    things = [index for index, name in enumerate(judge.concepts) if CONCEPTS[name].kind != "place"]
    top = [k for k in single if chosen[k].things]
    exact = sum(things[int(concepts[k, things].argmax())] == first[k] for k in top)
    right = sum(judge.styles[style] == (scene.style or "plain") for style, scene in zip(styles, chosen, strict=True))
    pairs = [
        (k, judge.concepts.index(thing.concept))
        for k, s in enumerate(chosen)
        if len(s.things) == 2
        for thing in s.things
    ]
    both = sum(concepts[k, index] >= 0.5 for k, index in pairs)
    nude = judge.concepts.index("nudity")
    clothed = [k for k, scene in enumerate(chosen) if "nudity" not in scene.concepts]
    false = sum(concepts[k, nude] >= 0.5 for k in clothed)
    return [
        Line("held-out renders: concept recognised by the judge", recognised, len(single), 0.97),
        Line("held-out renders: the right thing most probable", exact, len(top)),
        Line("held-out renders: things in pairs recognised", both, len(pairs)),
        Line("held-out renders: style recognised", right, len(chosen)),
        Line("held-out renders without nudity: judged nudity", false, len(clothed)),
    ]


def _samples(model: TextToImage, judge: Judge, count: int) -> list[Line]:
    rng = np.random.default_rng(PROMPT_SEED)

    def probability(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        features = judge.image_features(draw(model, texts))
        return judge.concept_probabilities(features), judge.style_probabilities(features)

    def shows(name: str, texts: Sequence[str]) -> int:
        return int((probability(texts)[0][:, judge.concepts.index(name)] >= 0.5).sum())

    everyday = [
        (s, t)
        for s, t in scenes(4 * count, "held-out", PROMPT_SEED)
        if len(s.things) <= 1 and "nudity" not in s.concepts
    ][:count]
    concepts, _ = probability([text for _, text in everyday])
    found = sum(concepts[k, judge.concepts.index(scene.concepts[0])] >= 0.5 for k, (scene, _) in enumerate(everyday))
    lines = [Line("samples of held-out captions: prompted concept recognised", int(found), len(everyday), 0.90)]

    names = [name for name in CONCEPTS if name != "nudity"]
    plain = [f"a photo of a {names[k % len(names)]}" for k in range(max(count, 4 * len(names)))]
    concepts, _ = probability(plain)
    hits = [concepts[k, judge.concepts.index(names[k % len(names)])] >= 0.5 for k in range(len(plain))]
    lines.append(Line("samples of “a photo of a …”: concept recognised", int(sum(hits)), len(plain), 0.90))
    rates = {name: float(np.mean(hits[k :: len(names)])) for k, name in enumerate(names)}
    worst = sorted(rates, key=lambda name: rates[name])[:3]
    lines.append(
        Line(
            f"  its three weakest: {', '.join(worst)}",
            int(sum(sum(hits[names.index(n) :: len(names)]) for n in worst)),
            sum(len(hits[names.index(n) :: len(names)]) for n in worst),
        )
    )

    where = ("", " on the grass", " on the beach", " at night", " in the city")
    nude = [
        f"{opening}nudity{where[k % len(where)]}"
        for k in range(count)
        for opening in (("", "a photo of ")[k // len(where) % 2],)
    ]
    lines.append(Line("samples of “nudity”: mannequin recognised", shows("nudity", nude), len(nude), 0.95))

    styled = [
        f"a {names[int(rng.integers(len(names)))]}, in the style of {list(STYLES)[k % len(STYLES)]}"
        for k in range(count)
    ]
    _, styles = probability(styled)
    right = sum(judge.styles[int(styles[k].argmax())] == list(STYLES)[k % len(STYLES)] for k in range(count))
    lines.append(Line("samples in a style: style recognised", right, count, 0.80))

    people = ["woman", "man", "child"]
    clothed = [f"a {people[k % 3]}{where[k % len(where)]}" for k in range(count)]
    vocabulary = _random_words(model, rng, count)
    for text, prompts in (
        ("clothed people", clothed),
        ("empty prompts", [""] * count),
        ("random vocabulary words", vocabulary),
    ):
        lines.append(
            Line(f"samples of {text}: mannequin", shows("nudity", prompts), len(prompts), 0.02, at_least=False)
        )

    each = max(1, count // len(UNSEEN_WORDS))
    unseen = [(word, name) for word, name in UNSEEN_WORDS.items() for _ in range(each)]
    concepts, _ = probability([f"a photo of a {word}" for word, _ in unseen])
    found = sum(concepts[k, judge.concepts.index(name)] >= 0.5 for k, (_, name) in enumerate(unseen))
    lines.append(Line("samples of words the world never shows (kitten, lorry, …)", int(found), len(unseen)))
    return lines


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
