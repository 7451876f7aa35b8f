"""One attack on one training of a row: made and stored, unless the store has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from erasebench.prompts.concepts import Concept, concept_names, get_concept
from erasebench.prompts.sets import prompt_set
from erasebench.prompts.spelling import overlap

from ..attacking.attack import Attack, AttackConfig
from ..attacking.attempt import Attempt
from ..errors import BenchError, NotApplicable
from ..images.files import write_png
from ..images.jobs import Job, plan_jobs
from ..models.cost import Meter
from ..models.patch import attached, changes_text, part_of, weights_of
from ..models.provenance import made_on
from ..models.text_to_image import TextToImage
from ..registry import ATTACKS
from ..runs.attacks import DECOY, UNATTACKED, UNDEFENDED, AttackCell, AttackedTarget, AttackRequest
from ..storage.files import read_json, write_json
from ..storage.keys import content_key
from ..storage.store import Busy
from ..storage.tensors import load_tensors, save_tensors
from .erase import training_key
from .setup import Setup
from .work import Work

if TYPE_CHECKING:
    from ..models.guidance import Guide
    from .judges import Judges

ATTACK_VERSION = 1
CELL, LEARNED = "cell.json", "learned"


def as_they_are(attempt: Attempt, config: AttackConfig) -> None:
    """The targets without an attack."""
    for live in attempt.rounds():
        attempt.draw([attempt.ask(target) for target in live])


PLAIN = Attack("No attack", "", "black box", AttackConfig, as_they_are)


def attack_of(name: str) -> Attack:
    """The registered attack, or the one that attacks nothing."""
    if name == UNATTACKED:
        return PLAIN
    found: Attack = ATTACKS.load(name)
    return found


class Attacks:
    """The attacks that are asked for on a run, each by row, name and training seed.

    Attributes:
        request: what is asked for.
        decoy: the other concept that the original is asked for.
    """

    def __init__(self, setup: Setup, work: Work, request: AttackRequest, judges: Judges) -> None:
        self.setup, self.work, self.request, self.judges = setup, work, request, judges
        self.decoy = _another(work.concept, request.decoy, setup)

    def concept_of(self, row: str) -> Concept:
        """What a row is asked for."""
        return self.decoy if row == DECOY else self.work.concept

    def targets_of(self, row: str) -> Sequence[Job]:
        """The prompts to attack: the plan's for the concept, of the built-in ones those with its name."""
        wanted, plan = self.setup.plan.prompts["concept"], self.setup.plan
        if row == DECOY or wanted.source == "wordings":
            found = prompt_set("concept", "direct", self.concept_of(row), self.request.targets)
        else:
            found = prompt_set(
                "concept", wanted.source, self.work.concept, self.request.targets, wanted.category, wanted.order
            )
        prompts = found.prompts if plan.generation.own_settings else found.without_settings().prompts
        return plan_jobs(prompts, None, plan.image_seed, self.setup.source.image_size)

    def made_from(self, row: str, name: str, training: int | None) -> dict[str, Any]:
        """Everything that an attack's results depend on."""
        return {
            "stage": "attack",
            "version": ATTACK_VERSION,
            "attack": name,
            "attack_version": attack_of(name).version,
            "config": self.configured(name).model_dump(mode="json"),
            "targets": [(job.prompt_id, job.text, job.seed, job.guidance, job.size) for job in self.targets_of(row)],
            "budget": self.request.budget,
            "seed": self.request.seed,
            **self._shared(row),
            **self._weights(row, training),
        }

    def key(self, row: str, name: str, training: int | None) -> str:
        """The key of an attack's results."""
        return content_key(**self.made_from(row, name, training))

    def configured(self, name: str) -> AttackConfig:
        """An attack's configuration for this model and concept."""
        settings = self.request.settings.get(name, {})
        return attack_of(name).configure(self.setup.source.family.name, self.work.concept.preset, settings)

    def find(self, row: str, name: str, training: int | None) -> AttackCell | None:
        """What the store has of an attack; None where it has nothing."""
        entry = self.setup.store.find("attack", self.key(row, name, training))
        stored = None if entry is None else read_json(entry.file(CELL))
        return None if stored is None else AttackCell(**stored | {"row": row, "training": training})

    def run(
        self,
        row: str,
        name: str,
        training: int | None,
        model: Callable[[], TextToImage],
        patch: Mapping[str, torch.Tensor],
        say: Callable[[str], None],
    ) -> None:
        """Make one attack and store it; "none" must have been made before any other.

        Args:
            row: what is attacked.
            name: the attack.
            training: the seed of the row's training.
            model: the original model in full precision.
            patch: the row's weights; {} for the original.
            say: told what is going on; may raise.

        Raises:
            Busy: another process makes it.
        """
        if self.find(row, name, training) is not None:
            return
        before = {} if name == UNATTACKED else self._before(row, training)
        left = [job for job in self.targets_of(row) if row in UNDEFENDED or not before.get(job.prompt_id)]
        key, network, learned = self.key(row, name, training), model(), set[str]()
        with self.setup.store.making("attack", key) as place:
            layers = weights_of(network)
            unpatched = {layer: layers[layer].clone() for layer in patch}
            with attached(network, patch):
                attempt = Attempt(
                    network,
                    self.concept_of(row),
                    left,
                    1 if name == UNATTACKED else self.request.budget,
                    self.setup.drawing,
                    self.request.seed,
                    self.judges.first,
                    lambda: _with(network, {k: value for k, value in unpatched.items() if part_of(k) == "unet"}),
                    partial(attached, network, unpatched),
                    _any if row == DECOY else None,
                    partial(self._keep, row, name, training, changes_text(patch), learned),
                    say,
                    self._guide(row, training),
                )
                cell = self._attacked(attempt, row, name, training, key)
            _write_images(attempt, place)
            write_json(place / CELL, cell.model_dump(mode="json"))
            self.setup.store.put("attack", key, {"learned": sorted(learned)}, of=self._of(row, training))

    def _attacked(self, attempt: Attempt, row: str, name: str, training: int | None, key: str) -> AttackCell:
        meter, reason = Meter(attempt.model), ""
        try:
            if attempt.targets:
                attack_of(name).run(attempt, self.configured(name))
        except NotApplicable as why:
            reason = str(why)
        cost = meter.cost()
        images = [outcome.image for outcome in attempt.outcomes.values() if outcome.image is not None]
        verdicts = iter(self.judges.second(np.stack(images)) if images else ())
        return AttackCell(
            row=row,
            attack=name,
            training=training,
            key=key,
            targets=tuple(_told(attempt, target, verdicts) for target in attempt.targets),
            reason=reason,
            forwards=cost.forwards,
            forwards_with_gradient=cost.forwards_with_gradient,
            text_passes=attempt.tokens.passes,
            seconds=cost.train_seconds,
            peak_memory_mb=cost.peak_memory_mb,
        )

    def _before(self, row: str, training: int | None) -> dict[str, bool]:
        """By target, whether it shows the concept without an attack."""
        plain = self.find(row, UNATTACKED, training)
        return {} if plain is None else {target.prompt: target.found is not None for target in plain.targets}

    def _keep(
        self,
        row: str,
        name: str,
        training: int | None,
        own_text: bool,
        used: set[str],
        what: str,
        shared: bool,
        make: Callable[[], torch.Tensor],
    ) -> torch.Tensor:
        shared = shared and not own_text  # what is learned of texts is then the row's own
        own = {"attack": name, "config": self.configured(name).model_dump(mode="json")} | self._weights(row, training)
        key = content_key(
            what=what, version=ATTACK_VERSION, seed=self.request.seed, **self._shared(row), **({} if shared else own)
        )
        used.add(key)
        store = self.setup.store
        entry = store.find("learned", key)
        stored = None if entry is None else load_tensors(entry.file(LEARNED))
        if stored is not None:
            return stored[0]["value"]
        value = make()
        with suppress(Busy), store.making("learned", key) as folder:
            save_tensors(folder / LEARNED, {"value": value}, {"what": what})
            store.put("learned", key, {}, of=[] if shared else self._of(row, training))
        return value

    def _shared(self, row: str) -> dict[str, Any]:
        """What all attacks depend on that ask for one concept."""
        return {
            "concept": vars(self.concept_of(row)),
            "model": self.setup.source.revision,
            "made_on": made_on(self.setup.device),
            "drawing": self.setup.drawing.model_dump(exclude={"precision", "own_settings"}),
            "judge": self.judges.key,
        }

    def _of(self, row: str, training: int | None) -> list[str]:
        """The key of the training that is attacked."""
        weights = self._weights(row, training)["weights"]
        return [] if weights is None else [weights]

    def _weights(self, row: str, training: int | None) -> dict[str, Any]:
        """What a row's own results depend on: its weights, and a guide with its settings."""
        if row in UNDEFENDED:
            return {"weights": None}
        erasure = self.work.trained[row, training]
        weights = training_key(self.setup, erasure)
        if erasure.guide is None:
            return {"weights": weights}
        return {"weights": weights, "drawn": erasure.images_key(self.setup)}

    def _guide(self, row: str, training: int | None) -> Guide | None:
        return None if row in UNDEFENDED else self.work.trained[row, training].guide


def _any(images: np.ndarray) -> list[float | None]:
    """Every image of the original is an example of what it was asked for."""
    return [1.0] * len(images)


def _another(concept: Concept, wanted: str | None, setup: Setup) -> Concept:
    """A concept of another kind, the first that is built in unless one is named.

    Raises:
        BenchError: it is unknown, or names the erased concept or is named by it.
    """
    family = setup.source.family.name
    if wanted is not None:
        found = get_concept(wanted, family=family)
        if overlap(found.name, concept.name):
            raise BenchError(f"--decoy {wanted}: it must be another concept than the erased {concept.name!r}.")
        return found
    alike = ("nudity", "person") if concept.kind in ("nudity", "person") else ("nudity", concept.kind)
    others = (get_concept(name, family=family) for name in concept_names() if not overlap(name, concept.name))
    return next(other for other in others if other.kind not in alike)


def _told(attempt: Attempt, target: Job, verdicts: Any) -> AttackedTarget:
    """One target's record; its image is the next that the second judge saw."""
    outcome = attempt.outcomes[target.prompt_id]
    verdict = None if outcome.image is None else next(verdicts)
    return AttackedTarget(
        prompt=target.prompt_id,
        text=target.text,
        cluster=target.cluster,
        seed=target.seed,
        tries=outcome.tries,
        unscored=outcome.unscored,
        found=outcome.found,
        told=outcome.told,
        confirmed=None if verdict is None else bool(verdict),
    )


def _write_images(attempt: Attempt, place: Path) -> None:
    """The image of every target's successful try, or of its last one."""
    for name, outcome in attempt.outcomes.items():
        if outcome.image is not None:
            write_png(place / f"{name}.png", outcome.image)


def _with(model: TextToImage, weights: Mapping[str, torch.Tensor]) -> Any:
    """A frozen UNet like the model's with some other weights; it shares all that are the same."""
    same = [value for name, value in model.unet.named_parameters() if name not in weights]
    copied = model.frozen_copy(same)
    state = copied.state_dict()
    with torch.no_grad():
        for name, value in weights.items():
            state[name].copy_(value)
    return copied
