"""Families of models: what plans, methods and metrics mean where they do not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Family:
    """What models of a kind have in common.

    Attributes:
        name: methods and concepts have presets by it.
        prompts: the usual source of prompts by role.
        clip: the usual model of the CLIP score.
        sampler: the usual `scheduler` and `steps` of a plan's `generation`.
        has_world: whether it draws the embedded world: then that world's renders are the real images, and its judge
            sees what is in a picture.
    """

    name: str
    prompts: Mapping[str, str]
    clip: str
    sampler: Mapping[str, Any]
    has_world: bool


EMBEDDED = Family(
    "mini",
    {"concept": "wordings", "coco": "world", "objects": "others"},
    "judge",
    {"scheduler": "dpm++", "steps": 12},
    has_world=True,
)
STABLE_DIFFUSION = Family(
    "sd",
    {"concept": "wordings", "coco": "world", "objects": "objects"},
    "ViT-B-32-quickgelu/openai",
    {"scheduler": "ddim", "steps": 25},
    has_world=False,
)
FAMILIES = (EMBEDDED, STABLE_DIFFUSION)
EMBEDDED_MODEL = "mini"


def family_of(model: str) -> Family:
    """The family of a model by its name, as `bench run --model` takes it; a learned word's model is of its base's."""
    from .words import read_word

    if model == EMBEDDED_MODEL:
        return EMBEDDED
    word = read_word(model)
    return STABLE_DIFFUSION if word is None else next(family for family in FAMILIES if family.name == word.family)
