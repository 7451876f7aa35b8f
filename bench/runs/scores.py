"""A run's stored scores: what a metric says of a row, with all that tables and tests need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ..storage.files import read_json, write_json
from ..storage.schema import Stored, parsed
from .folder import RunFolder


def _is_empty(value: Any) -> bool:
    """What a record leaves out of its file, such as a set score's values, or a second judge's where there is none."""
    return value is None or value in ((), {})


class ImageValue(Stored):
    """One image's value."""

    prompt: str = Field(description="The prompt's id.")
    cluster: str = Field(description="The prompts that are not independent of this one: its template, or its own id.")
    sample: int = Field(description="Which of the prompt's images.")
    seed: int | None = Field(description="The training's; None where no training is behind the image.")
    value: float | None = Field(description="None for an unscored image.")
    second: float | None = Field(default=None, exclude_if=_is_empty, description="The second judge's value.")
    detail: Any = Field(default=None, exclude_if=_is_empty, description="What the metric keeps, or why it is unscored.")


class TrainingScore(Stored):
    """A set's score for the images of one training.

    The replicates are its values without one of the prompts' groups each (a jackknife), the same groups for every row
    and training, so that rows can be compared in pairs.
    """

    seed: int | None = Field(description="The training's; None for a model that was not trained.")
    value: float = Field(description="The score over this training's images.")
    replicates: tuple[float, ...] = Field(default=(), description="Empty where there are too few prompts.")


class ScoreRecord(Stored):
    """What a metric says of a row, or why it says nothing."""

    key: str = Field(default="", description="Of what it was made from; empty for a failure, which is tried again.")
    made_from: dict[str, Any] = Field(default={}, description="Everything that it depends on.")
    row: str = Field(description="The table's row.")
    metric: str = Field(description="The registered metric.")
    version: int = Field(default=1, description="Of the metric's definition.")
    label: str = Field(description="The metric's heading.")
    better: Literal["higher", "lower"] = Field(description="Which direction is better.")
    prompts: str | None = Field(default=None, description="The prompt set; None for a score of the training itself.")
    digits: int = Field(default=3, description="Decimals in tables.")
    is_cost: bool = Field(default=False, description="Whether it is a cost: set apart, not ranked.")
    is_rate: bool = Field(default=False, description="Whether an image's value is 1 or 0.")
    value: float | None = Field(default=None, description="The mean over images, or the set's score; None without one.")
    low: float | None = Field(default=None, description="Of its 95 % interval; None where none can be given.")
    high: float | None = Field(default=None, description="Of its 95 % interval; None likewise.")
    error: float | None = Field(default=None, description="Its standard error; None likewise.")
    freedom: float | None = Field(default=None, description="The error's degrees of freedom; None likewise.")
    n: int = Field(default=0, description="Images or words that were scored.")
    clusters: int = Field(default=0, description="Of prompts, that the interval is over.")
    covers: str = Field(default="", description="In words, what the interval is over, or why there is none.")
    second: float | None = Field(
        default=None, exclude_if=_is_empty, description="The value by a second judge; None where none looked."
    )
    second_low: float | None = Field(default=None, exclude_if=_is_empty, description="Of its 95 % interval.")
    second_high: float | None = Field(default=None, exclude_if=_is_empty, description="Of its 95 % interval.")
    values: tuple[ImageValue, ...] = Field(default=(), exclude_if=_is_empty, description="Every image's value.")
    trainings: tuple[TrainingScore, ...] = Field(
        default=(), exclude_if=_is_empty, description="Every training's, of a set's score."
    )
    parts: dict[str, float] = Field(
        default={}, exclude_if=_is_empty, description="The means that a set's score is made of, by name."
    )
    unscored: tuple[str, ...] = Field(default=(), description="Images without a value, and why.")
    note: str = Field(default="", description="What the value depends on: detector, model, version.")
    qualifier: str = Field(default="", description="What the heading must say besides.")
    reason: str = Field(default="", description="Why there is no value.")
    failure: str = Field(default="", description="Why there is none where there should be one.")


Scores = dict[tuple[str, str], ScoreRecord]  # by row and metric


def write_score(path: Path, record: ScoreRecord) -> None:
    """Write a record that `read_score` gives back."""
    write_json(path, record.model_dump())


def read_score(path: Path) -> ScoreRecord | None:
    """The stored record; None where there is none or it is damaged.

    Raises:
        BenchError: it has another form.
    """
    stored = read_json(path)
    if stored is None:
        return None
    advice = "Another version of erasebench wrote it: read it with that version, or run the plan again."
    return parsed(ScoreRecord, stored, str(path), advice)


def read_scores(folder: RunFolder, rows: Sequence[str], metrics: Sequence[str]) -> Scores:
    """The stored scores by row and metric; those that are missing are absent.

    Raises:
        BenchError: one has another form.
    """
    found = {(row, name): read_score(folder.score(row, name)) for row in rows for name in metrics}
    return {cell: record for cell, record in found.items() if record is not None}
