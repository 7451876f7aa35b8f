"""Tasks: the pieces of a run that a process can do by itself, each of which may be done twice without harm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["erase", "draw", "look", "score", "attack"]
UNITS: dict[Kind, str] = {"erase": "steps", "draw": "images", "look": "images", "score": "scores", "attack": "attacks"}


@dataclass(frozen=True)
class Task:
    """One piece of work; what it means is looked up in the run's `Work` by these names.

    Attributes:
        kind: erase (train one row once), draw (a shard), look (an encoder or detector at a shard), score (a cell),
            attack (an attack on a training).
        row: the row; of a snapshot "ROW@STEP".
        item: the prompt set, the metric or the attack; "" for erase.
        training: the training seed; None where no seed changes anything, and for scores.
        part: of a prompt set, the shard's number.
        encoder: of a look, through what.
        size: how much of the kind's unit it is.
        aside: whether it is done a second time, beside a worker that is slow at it; the first result stays.
    """

    kind: Kind
    row: str
    item: str = ""
    training: int | None = None
    part: int = 0
    encoder: str = ""
    size: int = 1
    aside: bool = False

    @property
    def text(self) -> str:
        """What a person is told of it."""
        names = [self.row, self.item, self.encoder]
        seed = [] if self.training is None else [f"seed {self.training}"]
        return ", ".join([name for name in names if name] + seed)
