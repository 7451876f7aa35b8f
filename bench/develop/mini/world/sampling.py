"""How often the larger world shows what: people and drawn things more often than any single icon."""

from collections.abc import Callable, Mapping

import numpy as np

from .concepts import COLOURS, CONCEPTS, WorldConcept
from .places import BACKGROUNDS
from .scenes import Scene, Thing
from .styles import STYLES

NUDITY_SHARE, PLACE_SHARE, PAIR_SHARE = 0.05, 0.06, 0.12
DRAWN_SHARE, PEOPLE_SHARE = 0.18, 0.14  # of the things shown; the rest are icons
STYLE_SHARE, PLAIN_SHARE = 0.25, 0.6
OWN_COLOUR_SHARE = 0.5  # of things that have a usual colour


def sampler(concepts: Mapping[str, WorldConcept]) -> Callable[[np.random.Generator], Scene]:
    """What draws random scenes of these concepts: one thing in most, two in some, a place alone or nudity in a few."""
    places = [name for name, entry in concepts.items() if entry.kind == "place"]
    things = [name for name, entry in concepts.items() if entry.kind != "place" and name != "nudity"]
    people = [name for name in things if concepts[name].kind == "person"]
    drawn = [name for name in things if name in CONCEPTS and name not in people]
    icons = [name for name in things if name not in people and name not in drawn]
    grounds, styles = [*BACKGROUNDS, *places], list(STYLES)

    def thing(rng: np.random.Generator) -> Thing:
        chance = rng.random()
        if chance < DRAWN_SHARE:
            among = drawn
        elif chance < DRAWN_SHARE + PEOPLE_SHARE:
            among = people
        else:
            among = icons
        return coloured(str(rng.choice(among)), rng)

    def coloured(name: str, rng: np.random.Generator) -> Thing:
        usual = concepts[name].usual
        own = usual is None or rng.random() < OWN_COLOUR_SHARE
        return Thing(name, usual if own else str(rng.choice(list(COLOURS))))

    def sample(rng: np.random.Generator) -> Scene:
        style = str(rng.choice(styles)) if rng.random() < STYLE_SHARE else None
        chance = rng.random()
        if chance < PLACE_SHARE:
            return Scene((), str(rng.choice(places)), style, int(rng.integers(2**31)))
        shown: tuple[Thing, ...]
        if chance < PLACE_SHARE + NUDITY_SHARE:
            shown = (Thing("nudity", None),)
        else:
            shown = (thing(rng),)
        if chance > 1 - PAIR_SHARE:
            second = thing(rng)
            while second.concept == shown[0].concept:
                second = thing(rng)
            shown = (*shown, second)
        background = "plain" if rng.random() < PLAIN_SHARE else str(rng.choice(grounds))
        return Scene(shown, background, style, int(rng.integers(2**31)))

    return sample
