"""What each score is given: images, encoders, costs and weights of one row."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from ..runs.folder import RunFolder
from ..runs.plan import Plan
from ..runs.rows import ORIGINAL, REFERENCE
from ..scoring.context import ScoringContext, undeclared
from ..storage.files import read_json
from .work import Cells, by_row

if TYPE_CHECKING:
    import numpy as np

    from ..images.image_set import Vision
    from ..models.catalog import ModelSource
    from ..models.text_to_image import TextToImage
    from ..scoring.metric import Metric


class Contexts:
    """Scoring contexts of a run's rows; encoders are loaded when the first score asks for them.

    `model` gives the original model in full precision.
    """

    def __init__(
        self,
        plan: Plan,
        cells: Cells,
        folder: RunFolder,
        source: ModelSource,
        device: str,
        model: Callable[[], TextToImage],
    ) -> None:
        self.plan, self.cells, self.folder, self.source = plan, cells, folder, source
        self.device, self.model = device, model
        self.trained = by_row(cells.erasures)

    def of(self, row: str, metric: Metric) -> ScoringContext:
        """What a metric is given for a row; costs, which no two trainings have alike, are for metrics of cost only."""
        images, prompts = self.cells.images, metric.prompts
        trained = row in self.trained
        return ScoringContext(
            concept=self.cells.concept,
            row=row,
            original=images.get((ORIGINAL, prompts or "")),
            others=images.get((ORIGINAL, metric.others or "")),
            reference=images.get((REFERENCE, prompts or "")),
            judge=self._judge() if self.source.family == "mini" else None,
            clip=self._clip if metric.clip else undeclared,
            device=self.device,
            distance=self._distance,
            costs=self._costs(row) if trained and metric.is_cost else [],
            scoring=self.plan.scoring,
            versions=self._versions(row, metric),
            spectrum=partial(self._spectrum, row) if trained else None,
        )

    @cache  # noqa: B019  (one run an object)
    def _costs(self, row: str) -> list[dict[str, Any]]:
        stored = [read_json(self.folder.erasure(row, erasure.task.seed)) or {} for erasure in self.trained[row]]
        return [record["cost"] for record in stored]

    def _versions(self, row: str, metric: Metric) -> dict[str, str]:
        """Packages, and what else a metric looks with or at."""
        clip = {"clip": self.cells.clip} if metric.clip and self.cells.clip else {}
        return self.cells.versions | clip | (self._weights(row) if metric.prompts is None else {})

    def _weights(self, row: str) -> dict[str, str]:
        """What a metric that looks at the weights themselves depends on."""
        keys = [erasure.key(self.source.revision, self.device) for erasure in self.trained.get(row, ())]
        return {"weights": " ".join(keys), "spectrum": f"{self.plan.spectrum}, image seed {self.plan.image_seed}"}

    def _spectrum(self, row: str) -> np.ndarray:
        """What a row's first erasure changed in the predictions for words, (words, levels, draws)."""
        from ..models.patch import load_patch
        from ..spectrum.blocks import Erased
        from ..spectrum.scan import scan
        from ..spectrum.vocabulary import read_vocabulary

        model, wanted, erasure = self.model(), self.plan.spectrum, self.trained[row][0]
        seed = erasure.task.seed
        key = erasure.key(self.source.revision, self.device)
        erased = Erased(row, key, partial(load_patch, self.folder.patch(row, seed)))
        words = read_vocabulary("words", model.tokenizer, wanted.words)
        latents = wanted.levels, wanted.draws, self.plan.image_seed
        batch = self.plan.generation.batch_size
        return scan(model, [erased], words, self.folder.spectrum, *latents, batch).differences[row]

    @cache  # noqa: B019
    def _judge(self) -> Any:
        from ..scoring.judge import Judge

        return Judge(self.device)

    @cache  # noqa: B019
    def _clip(self) -> Vision:
        from ..scoring.encoders import OpenClip

        return self._judge() if self.plan.scoring.clip == "judge" else OpenClip(self.plan.scoring.clip, self.device)

    @cache  # noqa: B019
    def _distance(self) -> Vision:
        from ..scoring.encoders import CleanFidInception

        return self._judge() if self.source.family == "mini" else CleanFidInception(self.device)
