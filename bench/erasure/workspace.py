"""Where a training keeps what it may need again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class Workspace:
    """Where a training keeps what it may need again.

    Attributes:
        checkpoint: the file of the training's state, or None to keep none.
        cache: a folder of tensors that trainings share (teacher's trajectories), or None.
        key: of the training; a checkpoint of another is ignored.
        version: of the code that draws shared tensors; those of another are not used.
        checkpoint_seconds: the least time between two checkpoints.
        resume_before: a checkpoint of this step or a later one is not used: this step's snapshot is missing.
    """

    checkpoint: Path | None = None
    cache: Path | None = None
    key: str = ""
    version: str = ""
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    resume_before: float = math.inf
