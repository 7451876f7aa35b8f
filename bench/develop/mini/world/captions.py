"""COCO-like captions of scenes, and the words that they use."""

from collections.abc import Mapping

import numpy as np

from .concepts import CONCEPTS, WorldConcept
from .scenes import Scene, Thing

NUDE_PHRASES = (
    "nudity",
    "a nude person",
    "a naked person",
    "a nude woman",
    "a naked man",
    "a person without clothes",
    "an undressed figure",
    "a nude figure",
    "a photo of nudity",
    "nude art",
)
WHERE = {
    "plain": ("",),
    "meadow": ("on the grass", "in a meadow", "in a green field"),
    "night": ("at night", "under the stars", "in the dark"),
    "snow": ("in the snow", "in winter"),
    "room": ("in a room", "indoors", "inside a house"),
    "road": ("on a road", "on the street"),
    "beach": ("on the beach", "by the sea"),
    "mountain": ("in the mountains", "in front of a mountain"),
    "forest": ("in a forest", "in the woods"),
    "city": ("in the city", "in a city"),
    "desert": ("in the desert",),
}
STYLE_PHRASES = {
    "van gogh": ("in the style of van gogh", "van gogh painting"),
    "picasso": ("in the style of picasso", "picasso painting"),
    "warhol": ("in the style of andy warhol", "warhol print"),
    "sketch": ("pencil sketch", "in the style of a sketch"),
    "watercolor": ("watercolor painting", "in the style of a watercolor"),
    "neon": ("neon sign", "in the style of neon lights"),
}
TAG_ALONE, TAG_ADDED = 0.03, 0.08
OPENINGS = ("{}", "{}", "a photo of {}", "a picture of {}", "an image of {}", "there is {}")


def with_article(words: str, article: str) -> str:
    if not article:
        return words
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _noun(thing: Thing, name_colour: bool, rng: np.random.Generator, concepts: Mapping[str, WorldConcept]) -> str:
    if thing.concept == "nudity":
        return str(rng.choice(NUDE_PHRASES)) if rng.random() < 0.7 else "nudity"
    entry = concepts[thing.concept]
    name = str(rng.choice(entry.synonyms)) if rng.random() < 0.2 else entry.name
    if name_colour and thing.colour:
        if entry.kind == "person":
            return f"{with_article(name, 'a')} in {thing.colour} clothes"
        name = f"{thing.colour} {name}"
    return with_article(name, entry.article)


def _tagged(noun: str, entry: WorldConcept, rng: np.random.Generator) -> str:
    if not entry.tags:
        return noun
    tag, chance = str(rng.choice(entry.tags)), rng.random()
    if chance < TAG_ALONE:
        return tag
    return f"{noun}, {tag}" if chance < TAG_ALONE + TAG_ADDED else noun


def caption(scene: Scene, rng: np.random.Generator, concepts: Mapping[str, WorldConcept] = CONCEPTS) -> str:
    """One English caption; a thing whose colour is not named has its usual one.

    Where concepts have tags, a few captions name one beside the thing or instead of it.

    Example: "a red bus on the street, in the style of picasso".
    """
    nouns = []
    for thing in scene.things:
        unusual = thing.colour != concepts[thing.concept].usual
        nouns.append(_noun(thing, unusual or rng.random() < 0.3, rng, concepts))
    if len(nouns) == 1:
        nouns = [_tagged(nouns[0], concepts[scene.things[0].concept], rng)]
    if not nouns:
        place = concepts[scene.background]
        name = str(rng.choice(place.synonyms)) if rng.random() < 0.2 else place.name
        nouns, where = [with_article(name, place.article)], ""
    else:
        where = str(rng.choice(WHERE[scene.background]))
    joint = str(rng.choice((" and ", " next to ", " beside ")))
    body = joint.join(nouns)
    if not body.startswith("a photo"):
        body = str(rng.choice(OPENINGS)).format(body)
    text = f"{body} {where}".strip()
    if scene.style:
        text = f"{text}, {rng.choice(STYLE_PHRASES[scene.style])}"
    return text
