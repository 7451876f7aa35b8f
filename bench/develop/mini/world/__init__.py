"""The embedded model's world: pictograms, painting styles and captions, all made from seeds."""

from . import drawings  # noqa: F401  (registers its concepts)
from .captions import caption
from .concepts import COLOURS, CONCEPTS, WorldConcept
from .dataset import World
from .drawn import DRAWN
from .places import BACKGROUNDS
from .scenes import Scene, Thing, render
from .styles import STYLES

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "CONCEPTS",
    "DRAWN",
    "STYLES",
    "Scene",
    "Thing",
    "World",
    "WorldConcept",
    "caption",
    "render",
]
