"""Some images of a set, as a set: what is known of the whole is known of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..storage.keys import content_key
from .image_set import Encoder, ImageSet

if TYPE_CHECKING:
    from .jobs import Job


@dataclass
class Selected(ImageSet):
    """Images of another set; encoders and detectors see that one whole.

    Attributes:
        whole: the other set.
        places: which of its images.
    """

    whole: ImageSet | None = None
    places: tuple[int, ...] = ()

    @property
    def trainings(self) -> list[int | None]:
        assert self.whole is not None
        every = self.whole.trainings
        return [every[place] for place in self.places]

    def features(self, encoder: Encoder) -> np.ndarray:
        assert self.whole is not None
        found: np.ndarray = self.whole.features(encoder)[list(self.places)]
        return found

    def cached(self, name: str, version: str, compute: Callable[[Sequence[Path]], list[Any]]) -> list[Any]:
        assert self.whole is not None
        every = self.whole.cached(name, version, compute)
        return [every[place] for place in self.places]


def select(images: ImageSet, wanted: Callable[[Job], bool]) -> Selected:
    """The images of a set whose jobs are wanted, in its order."""
    places = tuple(place for place, job in enumerate(images.jobs) if wanted(job))
    files = images.files
    return Selected(
        images.row,
        images.name,
        images.folder,
        [images.jobs[place] for place in places],
        content_key(whole=images.key, places=places),
        paths=[files[place] for place in places],
        whole=images,
        places=places,
    )
