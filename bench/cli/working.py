"""How a run is worked on, which changes none of its results: options that commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import BenchError

if TYPE_CHECKING:
    from ..engine.ray_request import RayRequest

WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes at work: a core each on a CPU, a GPU each by default.")
]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Where results are kept for all runs; results/store by default.")
]
ExclusiveOption = Annotated[
    bool, typer.Option("--exclusive-erase", help="Train one at a time with nothing beside: times then compare.")
]
RayOption = Annotated[
    str | None, typer.Option("--ray", metavar="ADDRESS", help="Work on a Ray cluster: auto, or HOST:PORT of its head.")
]
ShareOption = Annotated[
    float | None, typer.Option("--gpus-per-task", help="With --ray: of a GPU for each worker, over 0 up to 1; 1.")
]


@dataclass(frozen=True)
class Working:
    """How a run is worked on.

    Attributes:
        workers: processes; None for one a core or GPU.
        store: where results are kept; None for the usual place.
        alone: whether trainings run one at a time with nothing beside them.
        ray: the address of a Ray cluster; None for this machine.
        share: of a GPU for each of its workers; None for a whole one.

    Raises:
        BenchError: there is a share and no cluster.
    """

    workers: int | None = None
    store: Path | None = None
    alone: bool = False
    ray: str | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if self.share is not None and self.ray is None:
            raise BenchError("--gpus-per-task is for workers on a cluster: give --ray too, or leave it out.")

    def begin(self) -> None:
        """Let the server of workers import what they need while this process does."""
        if self.ray is None and self.workers != 1:
            from ..engine.server import context

            context()

    @property
    def cluster(self) -> RayRequest | None:
        """What is asked of a Ray cluster."""
        from ..engine.ray_request import RayRequest

        return None if self.ray is None else RayRequest(self.ray, 1.0 if self.share is None else self.share)
