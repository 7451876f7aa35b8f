"""The run's model, loaded when a task first asks for it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..models.text_to_image import TextToImage
    from .setup import Setup


class LoadedModel:
    """One model in full precision and in the plan's of drawing; tasks of both kinds may follow each other."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._full: TextToImage | None = None
        self._drawing: TextToImage | None = None

    def full(self) -> TextToImage:
        """The model in full precision: for trainings and for metrics that look at the network."""
        if self._full is None:
            self._full = self._load()
        return self._full

    def drawing(self) -> TextToImage:
        """The model in the precision of drawing: bf16 shares the full one's weights, fp16 has cast ones of its own."""
        if self._drawing is None:
            precision = self._setup.precision["generation"]
            self._drawing = self._load() if precision == "fp16" else copy.copy(self.full())
            self._drawing.set_precision(precision)
        return self._drawing

    def _load(self) -> TextToImage:
        from ..models.loading import load_model

        return load_model(self._setup.source, self._setup.device)
