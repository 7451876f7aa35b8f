"""The run's model, loaded when a stage first asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..models.text_to_image import TextToImage
    from .setup import Setup


class LoadedModel:
    """One model in the precision that each stage needs; never twice in memory where once will do."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._model: TextToImage | None = None
        self._exact: TextToImage | None = None
        self._generating = False

    def training(self) -> TextToImage:
        """The model in full precision."""
        if self._model is None:
            self._model = self._load()
        return self._model

    def generation(self) -> TextToImage:
        """The model in the plan's generation precision."""
        if not self._generating:
            if self._setup.device != "cpu":
                self._model = None  # cast weights would not be the full-precision ones again
            self.training().set_precision(self._setup.precision["generation"])
            self._generating = True
        return self.training()

    def exact(self) -> TextToImage:
        """The model in full precision, beside one that was made to draw in another."""
        if not self._generating or self._setup.precision["generation"] == "fp32":
            return self.training()
        if self._exact is None:
            self._exact = self._load()
        return self._exact

    def _load(self) -> TextToImage:
        from ..models.loading import load_model

        return load_model(self._setup.source, self._setup.device)
