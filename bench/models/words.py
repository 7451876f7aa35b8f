"""Models with a learned word: a token of its own that stands for what somebody's pictures show."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Literal

from pydantic import Field

from ..errors import BenchError
from ..storage.files import read_json
from ..storage.schema import Stored, parsed

WORD = "word.json"  # beside a pipeline's parts


class LearnedWord(Stored):
    """What a model folder says of its learned word."""

    token: str = Field(description="As prompts have it, such as <my-cup>.")
    name: str = Field(description="The concept's name in plain words.")
    base: str = Field(description="The model that it was learned on, as --model takes it.")
    base_revision: str = Field(description="Of the base.")
    family: Literal["mini", "sd"] = Field(description="Of the base: presets, prompts and judges are that family's.")
    images: str = Field(description="A hash of the pictures.")
    count: int = Field(description="How many pictures.")
    steps: int = Field(description="Updates of the word's vector.")
    loss: float = Field(description="The mean of the last tenth of the steps.")


def read_word(model: str) -> LearnedWord | None:
    """The learned word of a model folder; None for any other model.

    Raises:
        BenchError: the file that describes it is damaged.
    """
    file = Path(model) / WORD
    if not file.is_file():
        return None
    return parsed(LearnedWord, read_json(file) or {}, str(file), "Learn the word again with `bench learn`.")


def token_of(name: str) -> str:
    """The token that stands for a concept.

    >>> token_of("My  café cup")
    '<my-cafe-cup>'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain))
    if len(slug) > 40:
        raise BenchError(f"{name!r} is too long a name for a word: give one of at most 40 letters.")
    return f"<{slug or 'concept'}>"
