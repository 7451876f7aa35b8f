"""erasebench: a benchmark for concept erasure in text-to-image diffusion models.

This module is the one door for plug-ins. It imports nothing heavy: names are resolved on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import BenchError
    from .image_sets import ImageSet
    from .images import Unreadable, read_image
    from .methodology import ErasureTask, Method, MethodConfig, method
    from .models import TextToImage
    from .parameters import GROUPS
    from .scores import ImageScores, Metric, NotApplicable, NotScored, SetScore, metric
    from .scoring import ScoringContext
    from .training import Trainer

_HOME = {
    "BenchError": "errors",
    "ErasureTask": "methodology",
    "Method": "methodology",
    "MethodConfig": "methodology",
    "method": "methodology",
    "TextToImage": "models",
    "GROUPS": "parameters",
    "ImageScores": "scores",
    "ImageSet": "image_sets",
    "Metric": "scores",
    "NotApplicable": "scores",
    "NotScored": "scores",
    "ScoringContext": "scoring",
    "SetScore": "scores",
    "metric": "scores",
    "Trainer": "training",
    "Unreadable": "images",
    "read_image": "images",
}

__all__ = [
    "GROUPS",
    "BenchError",
    "ErasureTask",
    "ImageScores",
    "ImageSet",
    "Method",
    "MethodConfig",
    "Metric",
    "NotApplicable",
    "NotScored",
    "ScoringContext",
    "SetScore",
    "TextToImage",
    "Trainer",
    "Unreadable",
    "method",
    "metric",
    "read_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'erasebench' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
