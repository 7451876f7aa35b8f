"""What a run asks of a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RayRequest:
    """A Ray cluster to work on.

    Attributes:
        address: "auto" for the one of this machine, or HOST:PORT.
        share: of a GPU for each worker, in (0, 1].
    """

    address: str = "auto"
    share: float = 1.0
