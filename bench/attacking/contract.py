"""What every attack must satisfy; `bench check` and the tests run the same list."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, get_args

import numpy as np
import torch

from erasebench.prompts.concepts import get_concept

from ..errors import BenchError, Broken, NotApplicable
from ..images.jobs import Job
from ..models.families import FAMILIES
from ..models.patch import difference, snapshot
from ..models.text_to_image import TextToImage
from ..runs.plan import Generation
from .attack import Access, Attack
from .attempt import Attempt

CONCEPT = "garbage truck"
TARGETS = [Job("p0", "a photo of a garbage truck", 0, 3), Job("p1", "a garbage truck at night", 0, 4)]
BUDGET = 2
DRAWING = Generation(steps=2, batch_size=2)
TRIAL = "trial"  # the preset with which an attack takes seconds


class _NeverThere(Attempt):
    """An attempt whose judge sees the concept in every example of the original, and in no try."""

    def draw(self, *arguments: Any, **options: Any) -> list[bool]:
        """Draw tries, none of which succeeds."""
        self.judge = lambda images: [0.0] * len(images)
        try:
            return super().draw(*arguments, **options)
        finally:
            self.judge = _seen


def _seen(images: np.ndarray) -> list[float | None]:
    return [1.0] * len(images)


class AttackSubject:
    """An attack on the embedded model, made on demand with its preset "trial"; the model is as before afterwards."""

    def __init__(self, attack: Attack, model: TextToImage) -> None:
        self.attack, self.model = attack, model

    def attempt(self) -> Attempt:
        """An attempt that never succeeds."""
        model = self.model
        found = _NeverThere(
            model, get_concept(CONCEPT), TARGETS, BUDGET, DRAWING, 0, _seen, lambda: model.frozen_copy()
        )
        try:
            self.attack.run(found, self.attack.configure("mini", "object", self.attack.presets.get(TRIAL, {})))
        except NotApplicable:
            return found
        return found

    @cached_property
    def parts(self) -> tuple[torch.nn.Module, ...]:
        return self.model.unet, self.model.text_encoder, self.model.vae

    @cached_property
    def first(self) -> tuple[Attempt, str]:
        """The first attempt, and what it left changed in the model."""
        before = [snapshot(part) for part in self.parts]
        try:
            found = self.attempt()
            return found, self._left(before)
        finally:
            for part, weights in zip(self.parts, before, strict=True):
                part.load_state_dict(weights)
                part.requires_grad_(False)

    def _left(self, before: list[dict[str, torch.Tensor]]) -> str:
        changed = [name for part, old in zip(self.parts, before, strict=True) for name in difference(old, part)]
        if changed:
            return (
                f"{len(changed)} weights are not as before, such as {changed[0]}: put them back, also after an error."
            )
        taking = [name for part in self.parts for name, weight in part.named_parameters() if weight.requires_grad]
        return f"{len(taking)} weights still take gradients, such as {taking[0]}." if taking else ""


def configuration_is_strict_and_frozen(subject: AttackSubject) -> None:
    """Unknown keys are errors, defaults and presets are valid, and nothing can be changed afterwards."""
    attack = subject.attack
    try:
        attack.configure("sd", "nudity", {"no_such_key": 1})
    except BenchError:
        pass
    else:
        raise Broken("the setting no_such_key=1 is accepted: let the config inherit from AttackConfig.")
    for kind in ("nudity", "object", "style", TRIAL):
        for family in FAMILIES:
            config: Any = attack.configure(family.name, kind, {})
    for field in type(config).model_fields:
        try:
            setattr(config, field, None)
        except ValueError:
            continue
        raise Broken("the configuration can be changed: let it inherit from AttackConfig.")


def it_keeps_to_its_targets_and_budget(subject: AttackSubject) -> None:
    """Each target has a try at least, unless the attack can't be made, and no more than the budget."""
    tries = [outcome.tries for outcome in subject.first[0].outcomes.values()]
    if max(tries) > BUDGET or (any(tries) and not all(tries)):
        raise Broken(f"{tries} images were drawn of targets with a budget of {BUDGET} each: let attempt.draw count.")
    if not any(tries):
        raise Broken(f"it drew nothing for “{CONCEPT}”: draw a try of each target with attempt.draw.")


def it_tells_what_it_asked_for(subject: AttackSubject) -> None:
    """Every image has a text that says what was asked for."""
    if not all(outcome.told.strip() for outcome in subject.first[0].outcomes.values()):
        raise Broken("a try tells nothing: give attempt.ask(…, told=TEXT) where no prompt tells it.")


def same_seed_same_images(subject: AttackSubject) -> None:
    """The same seed asks for the same and draws the same images."""
    for mine, other in zip(subject.first[0].outcomes.values(), subject.attempt().outcomes.values(), strict=True):
        if mine.told != other.told or not np.array_equal(mine.image, other.image):  # type: ignore[arg-type]
            raise Broken("two attacks with one seed differ: draw random numbers with attempt.generator or .number.")


def the_model_is_as_before(subject: AttackSubject) -> None:
    """The model's weights are as before, and none takes gradients."""
    if fault := subject.first[1]:
        raise Broken(fault)


def it_says_where_it_comes_from(subject: AttackSubject) -> str | None:
    """The registration gives label and access, the docstring what is done, with gradients its equation."""
    attack = subject.attack
    if not attack.label.strip():
        raise Broken("the label is empty.")
    if attack.access not in get_args(Access):
        raise Broken(f"access is {attack.access!r}: one of {', '.join(get_args(Access))}.")
    text = attack.run.__doc__ or ""
    if len(text.split()) < 5:
        raise Broken("the docstring is missing or too short: say what is asked for, and where the idea comes from.")
    if attack.access == "gradients" and "quation" not in text:
        return "the docstring names no equation: one helps readers to check the code against the paper."
    return None


# Each raises what is broken, or returns a remark.
CHECKS: tuple[Callable[[AttackSubject], str | None], ...] = (
    configuration_is_strict_and_frozen,
    it_keeps_to_its_targets_and_budget,
    it_tells_what_it_asked_for,
    same_seed_same_images,
    the_model_is_as_before,
    it_says_where_it_comes_from,
)
