"""erasebench: a benchmark for concept erasure in text-to-image diffusion models.

This module is the one door for plug-ins. It imports nothing heavy: names are resolved on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attacking.attack import Attack, AttackConfig, attack
    from .attacking.attempt import Attempt
    from .erasure.inversion import invert
    from .erasure.low_rank import LowRank
    from .erasure.method import ErasureTask, GuideConfig, Method, MethodConfig, method
    from .erasure.trainer import Trainer
    from .errors import BenchError, NotApplicable, NotScored
    from .images.files import Unreadable, read_image
    from .images.image_set import Encoder, ImageSet
    from .images.jobs import Job
    from .images.pairs import pair, pairs
    from .models.attention import start_token_detached, visible_cross_attention
    from .models.guidance import Guide, GuidedBatch
    from .models.parameter_groups import PARAMETER_GROUPS
    from .models.text_to_image import TextToImage
    from .scoring.classes import Classes, all_of_judge, judges_styles, judges_things, nearest_text, with_or_without
    from .scoring.combined import Part, combined, harmonic_mean
    from .scoring.context import JACKKNIFE_GROUPS, Distributions, ScoringContext
    from .scoring.cosines import text_cosines
    from .scoring.each_concept import combined_of_each, of_each_concept
    from .scoring.metric import Metric, metric
    from .scoring.scores import ImageScores, SetScore
    from .scoring.statistics import error_of_mean
    from .storage.keys import folder_hash

_HOME = {
    "Attack": "attacking.attack",
    "AttackConfig": "attacking.attack",
    "attack": "attacking.attack",
    "Attempt": "attacking.attempt",
    "invert": "erasure.inversion",
    "LowRank": "erasure.low_rank",
    "ErasureTask": "erasure.method",
    "GuideConfig": "erasure.method",
    "Method": "erasure.method",
    "MethodConfig": "erasure.method",
    "method": "erasure.method",
    "Trainer": "erasure.trainer",
    "BenchError": "errors",
    "NotApplicable": "errors",
    "NotScored": "errors",
    "Unreadable": "images.files",
    "read_image": "images.files",
    "ImageSet": "images.image_set",
    "Encoder": "images.image_set",
    "Job": "images.jobs",
    "pair": "images.pairs",
    "pairs": "images.pairs",
    "start_token_detached": "models.attention",
    "visible_cross_attention": "models.attention",
    "Guide": "models.guidance",
    "GuidedBatch": "models.guidance",
    "PARAMETER_GROUPS": "models.parameter_groups",
    "TextToImage": "models.text_to_image",
    "Classes": "scoring.classes",
    "all_of_judge": "scoring.classes",
    "judges_styles": "scoring.classes",
    "judges_things": "scoring.classes",
    "nearest_text": "scoring.classes",
    "with_or_without": "scoring.classes",
    "Part": "scoring.combined",
    "combined": "scoring.combined",
    "combined_of_each": "scoring.each_concept",
    "of_each_concept": "scoring.each_concept",
    "harmonic_mean": "scoring.combined",
    "text_cosines": "scoring.cosines",
    "Distributions": "scoring.context",
    "JACKKNIFE_GROUPS": "scoring.context",
    "ScoringContext": "scoring.context",
    "Metric": "scoring.metric",
    "metric": "scoring.metric",
    "ImageScores": "scoring.scores",
    "SetScore": "scoring.scores",
    "error_of_mean": "scoring.statistics",
    "folder_hash": "storage.keys",
}

__all__ = [
    "JACKKNIFE_GROUPS",
    "PARAMETER_GROUPS",
    "Attack",
    "AttackConfig",
    "Attempt",
    "BenchError",
    "Classes",
    "Distributions",
    "Encoder",
    "ErasureTask",
    "Guide",
    "GuideConfig",
    "GuidedBatch",
    "ImageScores",
    "ImageSet",
    "Job",
    "LowRank",
    "Method",
    "MethodConfig",
    "Metric",
    "NotApplicable",
    "NotScored",
    "Part",
    "ScoringContext",
    "SetScore",
    "TextToImage",
    "Trainer",
    "Unreadable",
    "all_of_judge",
    "attack",
    "combined",
    "combined_of_each",
    "error_of_mean",
    "folder_hash",
    "harmonic_mean",
    "invert",
    "judges_styles",
    "judges_things",
    "method",
    "metric",
    "nearest_text",
    "of_each_concept",
    "pair",
    "pairs",
    "read_image",
    "start_token_detached",
    "text_cosines",
    "visible_cross_attention",
    "with_or_without",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'erasebench' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
