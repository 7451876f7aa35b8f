"""Which of two concepts wins when both are asked for, as data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..storage.files import read_json
from ..storage.schema import Stored, validated
from .folder import RunFolder

SCHEMA_VERSION: Literal[1] = 1


class DominanceRequest(BaseModel):
    """What is set against what.

    Attributes:
        concepts: things, built in or among what the run erases, in their canonical spelling.
        rows: of the run, the original not among them.
        images: of each pair and order, from noise that all models share.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    concepts: Annotated[tuple[str, ...], Field(min_length=2)]
    rows: tuple[str, ...]
    images: Annotated[int, Field(ge=1)] = 4


class Duel(Stored):
    """One image that two concepts were asked for in."""

    first: str = Field(description="The concept that is named first.")
    second: str = Field(description="The other.")
    number: int = Field(description="Of its noise, which both orders and all models share.")
    seen: tuple[bool, bool] | None = Field(description="Whether each of them is seen; none where it can't be judged.")


class DominanceCell(Stored):
    """All duels by one model."""

    row: str = Field(description="Whose weights draw.")
    training: int | None = Field(description="The training's seed; none where no seed changes anything.")
    key: str = Field(description="Of its entry in the store.")
    duels: tuple[Duel, ...] = Field(description="Every pair in both orders.")


class DominanceRecord(Stored):
    """The content of RUN/dominance.json."""

    schema_version: Literal[1] = Field(default=SCHEMA_VERSION, description="Of this file's form.")
    concepts: tuple[str, ...] = Field(description="Those that were set against each other.")
    images: int = Field(description="Of each pair and order.")
    judge: str = Field(description="Who decides, and how.")
    labels: dict[str, str] = Field(description="How tables name rows.")
    cells: tuple[DominanceCell, ...] = Field(description="By the original and each training.")


def read_dominance(folder: RunFolder) -> DominanceRecord | None:
    """What RUN/dominance.json holds; None where there is none."""
    file = folder.root / "dominance.json"
    stored = read_json(file)
    return None if stored is None else validated(DominanceRecord, stored, SCHEMA_VERSION, str(file), "Make it again.")
