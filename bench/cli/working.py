"""How a run is worked on, which changes none of its results: options that commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes at work: a core each on a CPU, a GPU each by default.")
]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Where results are kept for all runs; results/store by default.")
]
ExclusiveOption = Annotated[
    bool, typer.Option("--exclusive-erase", help="Train one at a time with nothing beside: times then compare.")
]


@dataclass(frozen=True)
class Working:
    """How a run is worked on.

    Attributes:
        workers: processes; None for one a core or GPU.
        store: where results are kept; None for the usual place.
        alone: whether trainings run one at a time with nothing beside them.
    """

    workers: int | None = None
    store: Path | None = None
    alone: bool = False

    def begin(self) -> None:
        """Let the server of workers import what they need while this process does."""
        if self.workers != 1:
            from ..engine.server import context

            context()
