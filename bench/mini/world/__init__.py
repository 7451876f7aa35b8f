"""The embedded model's world: pictograms, painting styles and captions, all made from seeds."""

from . import animals, people, things, vehicles  # noqa: F401  (drawing modules register their concepts)
from .captions import caption
from .concepts import COLOURS, CONCEPTS, WorldConcept
from .dataset import scenes
from .places import BACKGROUNDS
from .scenes import Scene, Thing, render
from .styles import STYLES

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "CONCEPTS",
    "STYLES",
    "Scene",
    "Thing",
    "WorldConcept",
    "caption",
    "render",
    "scenes",
]
