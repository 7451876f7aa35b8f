"""Purifying real images with erased models, as data: what is asked for, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..errors import BenchError
from ..storage.files import read_json
from ..storage.schema import Stored, validated
from .folder import RunFolder

SCHEMA_VERSION: Literal[1] = 1
STRENGTHS = (0.3, 0.5, 0.7, 1.0)
STEPS = 35  # of DDIM, as "All but One" trains
Asked = Literal["nothing", "concept"]
Strength = Annotated[float, Field(gt=0, le=1)]


class PurifyRequest(BaseModel):
    """What is purified by what.

    Attributes:
        images: a folder of images with the concept.
        others: a folder of images without it, which should stay as they are; None for none.
        rows: of the run, the original not among them.
        strengths: how far towards pure noise an image is inverted, in (0, 1].
        steps: of DDIM, both ways.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    images: Path
    others: Path | None = None
    rows: tuple[str, ...]
    strengths: Annotated[tuple[Strength, ...], Field(min_length=1)] = STRENGTHS
    steps: Annotated[int, Field(ge=2, le=999)] = STEPS

    def begins(self) -> dict[float, int]:
        """By strength, the step of DDIM that denoising begins with: 0 from pure noise.

        Raises:
            BenchError: a strength is less than a step.
        """
        found = {strength: self.steps - round(strength * self.steps) for strength in self.strengths}
        if weak := [strength for strength, begin in found.items() if begin == self.steps]:
            raise BenchError(f"--strengths {weak[0]:g}: less than one of {self.steps} steps. Give more --steps.")
        return found


class Purified(Stored):
    """One image at one strength."""

    name: str = Field(description="The file's name in its folder.")
    seen: float | None = Field(description="1 where the concept is seen in the result, 0 where not; none if unjudged.")
    ssim: float | None = Field(description="Structural similarity of the result to the input; none if not finite.")
    psnr: float | None = Field(description="Peak signal-to-noise ratio of the result to the input, dB; likewise.")


class PurifyCell(Stored):
    """Images that one model denoised after one model inverted them."""

    row: str = Field(description="Whose weights denoise.")
    training: int | None = Field(description="The training's seed; none for the original and where none matters.")
    inverter: str = Field(description="Whose weights invert: original, or the row.")
    source: Literal["concept", "others"] = Field(description="Images with the concept, or without.")
    asked: Asked = Field(description="The condition of denoising: no prompt, or the concept's phrase.")
    strength: float = Field(description="How far towards pure noise.")
    key: str = Field(description="Of its entry in the store.")
    images: tuple[Purified, ...] = Field(description="Each image.")


class PurifyRecord(Stored):
    """The content of RUN/purify.json."""

    schema_version: Literal[1] = Field(default=SCHEMA_VERSION, description="Of this file's form.")
    images: str = Field(description="The folder of images with the concept.")
    others: str | None = Field(description="The folder of images without it.")
    strengths: tuple[float, ...] = Field(description="Those that were tried.")
    steps: int = Field(description="Of DDIM.")
    judge: str = Field(description="Who decides.")
    unjudged: str = Field(default="", description="Why nobody can.")
    labels: dict[str, str] = Field(description="How tables name rows.")
    before: tuple[Purified, ...] = Field(description="The images with the concept as they are.")
    unreadable: tuple[str, ...] = Field(default=(), description="Files that can't be read, and why.")
    cells: tuple[PurifyCell, ...] = Field(description="All that was done.")


def read_purified(folder: RunFolder) -> PurifyRecord | None:
    """What RUN/purify.json holds; None where there is none."""
    file = folder.root / "purify.json"
    stored = read_json(file)
    return None if stored is None else validated(PurifyRecord, stored, SCHEMA_VERSION, str(file), "Purify again.")


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that are there; None of none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
