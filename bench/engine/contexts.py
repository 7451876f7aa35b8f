"""What each score is given: images, encoders, costs and weights of one row."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..errors import NotApplicable, NotScored
from ..models.catalog import JUDGE, MINI_WEIGHTS, SECOND_JUDGE
from ..runs.rows import ORIGINAL, REFERENCE
from ..scoring.context import DeclaredSettings, ScoringContext, undeclared
from ..scoring.nudenet import are_detected
from ..storage.keys import files_hash
from .erase import facts_of, patch_of, training_key
from .setup import Setup
from .work import Work, by_row

if TYPE_CHECKING:
    import numpy as np

    from ..images.image_set import Encoder, ImageSet
    from ..models.text_to_image import TextToImage
    from ..scoring.metric import Look, Metric

T = TypeVar("T")


class _WhenAsked:
    """An encoder that is loaded when something of it is asked for."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    def __getattr__(self, name: str) -> Any:
        return getattr(self._load(), name)


class Contexts:
    """Scoring contexts of a run's rows; encoders are loaded when the first score asks for them.

    `model` gives the original model in full precision.
    """

    def __init__(self, setup: Setup, work: Work, model: Callable[[], TextToImage]) -> None:
        self.setup, self.work, self.model = setup, work, model
        self.plan, self.source, self.device = setup.plan, setup.source, setup.device
        self.trained = by_row(work.erasures)
        self._loaded: dict[str, Any] = {}

    def of(self, row: str, metric: Metric) -> ScoringContext:
        """What a metric is given for a row; costs, which no two trainings have alike, are for metrics of cost only."""
        images, prompts = self.work.images, metric.prompts
        trained = row in self.trained
        return ScoringContext(
            concept=self.work.concept,
            row=row,
            original=images.get((ORIGINAL, prompts or "")),
            others=images.get((ORIGINAL, metric.others or "")),
            reference=images.get((REFERENCE, prompts or "")),
            judge=_WhenAsked(self._judge) if self.source.family.has_world else None,
            second_judge=_WhenAsked(self._second_judge) if self.source.family.has_world else None,
            clip=self._clip if metric.clip else undeclared,
            device=self.device,
            distance=self._distance,
            costs=self._costs(row) if trained and metric.is_cost else [],
            scoring=DeclaredSettings(self.plan.scoring, metric.settings),
            versions=self._versions(row, metric),
            spectrum=partial(self._spectrum, row) if trained else None,
            encoder=self.encoder,
            beside={role: images[row, role] for role in metric.beside if (row, role) in images},
            lpips=self._lpips,
        )

    def encoder(self, look: Look) -> Encoder:
        """The encoder that a look sees images through.

        Raises:
            NotScored: its weights can't be had.
        """
        has_world = self.source.family.has_world
        judge, second = (self._judge, self._second_judge) if has_world else (self._clip, self._clip)
        usual = {"judge": judge, "second_judge": second, "clip": self._clip, "distance": self._distance}
        return usual[look]() if look in usual else self._judge() if has_world else self._of_papers(look)

    def name_of(self, look: Look) -> str:
        """A look's encoder by a name that no other has: on the embedded model the judge is all but the second one."""
        if self.source.family.has_world:
            own = look in ("second_judge", "nudenet") or (look == "clip" and self.plan.scoring.clip != "judge")
            return look if own else "judge"
        return "clip" if look in ("judge", "second_judge") else look

    def has_seen(self, look: Look, images: ImageSet) -> bool:
        """Whether the store has what a look sees in every image of one training, so that none has to be read."""
        if look == "nudenet":
            return are_detected(images)
        try:
            return images.has_features(self.encoder(look))
        except NotScored:  # the score will say so, with images or without
            return True

    def _costs(self, row: str) -> list[dict[str, Any] | None]:
        if not all(erasure.changes_weights for erasure in self.trained[row]):
            return []
        facts = [facts_of(self.setup.store, training_key(self.setup, erasure)) for erasure in self.trained[row]]
        return [known["cost"] for known in facts if known]

    def _versions(self, row: str, metric: Metric) -> dict[str, str]:
        """Packages, and what else a metric looks with or at."""
        clip = {"clip": self.work.clip} if metric.clip and self.work.clip else {}
        judges = (("judge", JUDGE), ("second_judge", SECOND_JUDGE)) if self.source.family.has_world else ()
        judge = {name: files_hash(MINI_WEIGHTS / name, files) for name, files in judges}
        packages = {name: version(name) for name in metric.packages}
        if not judges and "canvas objects" in metric.looks:
            from ..scoring.classifiers import canvas_revision

            packages |= {look: canvas_revision(look) for look in metric.looks if look.startswith("canvas")}
        return self.work.versions | packages | clip | judge | (self._weights(row) if metric.prompts is None else {})

    def _weights(self, row: str) -> dict[str, str]:
        """What a metric that looks at the weights themselves depends on."""
        trained = self.trained.get(row, ())
        keys = [training_key(self.setup, erasure) + ", scaled" * erasure.scaled_by_prompts for erasure in trained]
        return {"weights": " ".join(keys), "spectrum": f"{self.plan.spectrum}, image seed {self.plan.image_seed}"}

    def _spectrum(self, row: str) -> np.ndarray:
        """What a row's first erasure changed in the predictions for words, (words, levels, draws)."""
        from ..models.patch import load_patch
        from ..spectrum.blocks import ErasedModel
        from ..spectrum.draws import Latents
        from ..spectrum.scan import scan
        from ..spectrum.vocabulary import read_vocabulary

        model, wanted, erasure = self.model(), self.plan.spectrum, self.trained[row][0]
        if not erasure.changes_weights:
            raise NotApplicable("it changes no weights")
        if erasure.scaled_by_prompts:
            raise NotApplicable("each prompt is drawn with weights of its own")
        key, patch = training_key(self.setup, erasure), patch_of(self.setup, erasure)
        if patch is None:
            raise NotScored(f"the store has no weights of {row}")
        erased = ErasedModel(key, key, partial(load_patch, patch))
        words = read_vocabulary("words", model.tokenizer, wanted.words)
        latents = Latents(wanted.levels, wanted.draws, self.plan.image_seed)
        batch = self.setup.drawing.batch_size
        return scan(model, [erased], words, self.setup.store.root / "spectrum", latents, batch).differences[key]

    def _judge(self) -> Any:
        from ..scoring.judge import Judge

        return self._once("judge", lambda: Judge(self.device))

    def _second_judge(self) -> Any:
        from ..scoring.second_judge import SecondJudge

        return self._once("second_judge", lambda: SecondJudge(self.device))

    def _clip(self) -> Encoder:
        from ..scoring.encoders import OpenClip

        if self.plan.scoring.clip == "judge":
            return cast("Encoder", self._judge())
        return self._once("clip", lambda: OpenClip(self.plan.scoring.clip, self.device))

    def _distance(self) -> Encoder:
        from ..scoring.encoders import CleanFidInception

        if self.source.family.has_world:
            return cast("Encoder", self._judge())
        return self._once("distance", lambda: CleanFidInception(self.device))

    def _of_papers(self, look: Look) -> Encoder:
        from ..scoring.classifiers import CanvasClassifier, ImageNetClassifier
        from ..scoring.encoders import CMMD, OpenClip

        if look == "cmmd":
            return self._once(look, lambda: OpenClip(CMMD, self.device))
        if look == "imagenet":
            return self._once(look, lambda: ImageNetClassifier(self.device))
        return self._once(look, lambda: CanvasClassifier(look, self.device))

    def _lpips(self) -> Callable[[np.ndarray, np.ndarray], float]:
        from ..scoring.perceptual import Lpips

        return self._once("lpips", lambda: Lpips(self.device))

    def _once(self, name: str, load: Callable[[], T]) -> T:
        """What has been loaded under this name, for as long as the run lasts."""
        if name not in self._loaded:
            self._loaded[name] = load()
        return cast("T", self._loaded[name])
