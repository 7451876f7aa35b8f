"""What every method must satisfy; `bench check` and the tests run the same list."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch

from ..errors import BenchError, Broken, told
from ..models.cost import Cost
from ..models.families import FAMILIES
from ..models.guidance import GuidedBatch
from ..models.patch import attached, check, difference, load_patch, restored, save_patch
from ..models.text_to_image import TextToImage
from .method import ErasureTask, Method
from .trainer import Trainer

STEPS = 2
LARGEST = {"images": 4, "sampler_steps": 6}  # of what a method draws before it trains: the contract asks for no quality
OTHER = "a photo of a house"
TASK = ErasureTask(
    concept="garbage truck",
    kind="object",
    prompt="garbage truck",
    replacement="a vehicle",
    anchors=("a vehicle", "a photo of a vehicle"),
    phrase="a garbage truck",
    seed=0,
)


@dataclass(frozen=True)
class TrainedOnce:
    """One short erasure."""

    patch: dict[str, torch.Tensor]
    declared: set[str]
    cost: Cost


class Subject:
    """A method on the embedded model, erased on demand; the model is as before afterwards."""

    def __init__(self, method: Method, model: TextToImage) -> None:
        self.method, self.model = method, model
        self._first: TrainedOnce | None = None
        self._failure: Exception | None = None

    def erase(self, seed: int = TASK.seed) -> TrainedOnce:
        """Erase with the embedded model's preset, at most STEPS steps, after drawing little."""
        preset = self.method.configure("mini", TASK.kind, {}).model_dump()
        little = {k: most for k, most in LARGEST.items() if isinstance(preset.get(k), int) and preset[k] > most}
        try:
            config = self.method.configure("mini", TASK.kind, little)
        except BenchError:  # it asks for more
            config = self.method.configure("mini", TASK.kind, {})
        with restored(self.model) as before:
            trainer = Trainer(self.model, config.parameters, seed, max_steps=STEPS)
            self.method.erase(self.model, replace(TASK, seed=seed), config, trainer)
            return TrainedOnce(difference(before, self.model), set(trainer.parameters), trainer.cost())

    @property
    def first(self) -> TrainedOnce:
        """The first erasure, made once; if it raised, every check that needs it raises the same."""
        if self._failure is not None:
            raise self._failure
        if self._first is None:
            try:
                self._first = self.erase()
            except Exception as error:
                self._failure = error
                raise
        return self._first


def weights_change_only_where_declared(subject: Subject) -> None:
    """Only declared weights change, and they do change."""
    try:
        check(subject.first.patch, subject.first.declared, subject.method.label)
    except BenchError as error:
        raise Broken(str(error)) from None


def same_seed_same_weights(subject: Subject) -> None:
    """The same seed gives the same weights, bit for bit."""
    first, again = subject.first.patch, subject.erase().patch
    different = [name for name, value in first.items() if name not in again or not torch.equal(value, again[name])]
    if different or len(again) != len(first):
        raise Broken(
            f"{len(different)} weights differ between two erasures with the same seed, such as {different[:1]}: draw "
            "all random numbers with trainer.generator, trainer.noise or trainer.integers."
        )


def deterministic_means_no_seed_matters(subject: Subject) -> None:
    """A method that calls itself deterministic has the same weights whatever the seed."""
    if not subject.method.deterministic:
        return
    other = subject.erase(TASK.seed + 1).patch
    if any(name not in other or not torch.equal(value, other[name]) for name, value in subject.first.patch.items()):
        raise Broken("another seed gives other weights: leave out deterministic=True.")


def saved_and_loaded_draws_the_same(subject: Subject) -> None:
    """The patch, saved and loaded, draws the same image, and the original's comes back after it."""
    model, patch = subject.model, subject.first.patch

    def draw() -> Any:
        z = model.noise([5])
        return model.decode(model.denoise(z, model.encode(["a bus"]), model.encode([""]), steps=3, guidance=3.0))

    original = draw()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "patch.safetensors"
        save_patch(path, patch)
        with attached(model, patch):
            direct = draw()
        with attached(model, load_patch(path)):
            loaded = draw()
    if (direct != loaded).any():
        raise Broken("the patch, saved and loaded, draws another image.")
    if (original != draw()).any():
        raise Broken("the model is not as before after the patch was taken off.")


def cost_is_accounted(subject: Subject) -> None:
    """Steps, seconds, forwards and memory are counted; steps need forwards with gradient."""
    cost = subject.first.cost
    trains = "steps" in subject.method.config.model_fields
    if cost.train_seconds <= 0 or cost.peak_memory_mb <= 0:
        raise Broken("seconds or memory were not measured.")
    if trains and cost.train_steps != STEPS:
        raise Broken(
            f"{cost.train_steps} steps were counted where {STEPS} were allowed: train with "
            "trainer.fit(steps=config.steps)."
        )
    if trains and cost.forwards_with_gradient < STEPS:
        raise Broken("no UNet forwards with gradient were counted: predict with model.predict_noise.")
    if not trains and (cost.train_steps or cost.forwards_with_gradient):
        raise Broken("it trains, but its config has no field `steps`.")


def configuration_is_strict_and_frozen(subject: Subject) -> None:
    """Unknown keys and wrong types are errors, defaults are valid, and nothing can be changed afterwards."""
    method = subject.method
    for key, value in (("no_such_key", 1), ("parameters", 3)):
        try:
            method.configure("sd", "nudity", {key: value})
        except BenchError:
            continue
        raise Broken(f"the setting {key}={value!r} is accepted: let the config inherit from MethodConfig.")
    for kind in ("nudity", "object", "style"):
        for family in FAMILIES:
            config = method.configure(family.name, kind, {})
    try:
        setattr(config, next(iter(type(config).model_fields)), None)
    except ValueError:
        return
    raise Broken("the configuration can be changed: let it inherit from MethodConfig.")


def a_guide_draws_another_image_at_the_cost_it_says(subject: Subject) -> None:
    """A guide draws another image than the original, the same one again, by as many forwards as it says."""
    model, method = subject.model, subject.method
    if method.guide is None:
        raise Broken("it is no guide: register it with guides=True.")
    guide = method.guide(TASK, method.configure("mini", TASK.kind, {}))
    prompt = OTHER if method.beside_weights else TASK.phrase
    context, empty, steps = model.encode([prompt]), model.encode([""]), 6

    def plainly() -> torch.Tensor:
        return model.denoise(model.noise([5]), context, empty, steps=steps, guidance=5.0)

    def draw() -> torch.Tensor:
        batch = GuidedBatch(model, [prompt], context, empty, torch.full((1, 1, 1, 1), 5.0), steps)
        return model.walk(model.noise([5]), guide.predictor(batch), steps)

    plain = plainly()
    name, weight = next((name, one) for name, one in model.unet.named_parameters() if one.ndim > 1)
    with attached(model, {name: 2 * weight.detach()} if method.beside_weights else {}):
        erased, before = plainly(), model.forwards.without_gradient
        first, counted = draw(), (model.forwards.without_gradient - before) / steps
        again = draw()
    if counted != guide.forwards:
        raise Broken(f"it takes {counted:g} forwards a step and says {guide.forwards}.")
    if torch.equal(first, plain):
        raise Broken("it draws what the original draws.")
    if torch.equal(first, erased):
        raise Broken("it draws what the row's weights draw without it.")
    if not torch.equal(first, again):
        raise Broken("it draws another image the second time: begin anew in `predictor`.")


def it_says_where_it_comes_from(subject: Subject) -> str | None:
    """The registration gives label and paper, and the docstring the equation."""
    if not subject.method.paper or not subject.method.label:
        raise Broken("label or paper is empty.")
    if "quation" not in ((subject.method.guide or subject.method.erase).__doc__ or ""):
        return "the docstring names no equation: one helps readers to check the code against the paper."
    return None


# Each raises what is broken, or returns a remark.
CHECKS: tuple[Callable[[Subject], str | None], ...] = (
    configuration_is_strict_and_frozen,
    weights_change_only_where_declared,
    same_seed_same_weights,
    deterministic_means_no_seed_matters,
    saved_and_loaded_draws_the_same,
    cost_is_accounted,
    it_says_where_it_comes_from,
)
GUIDE_CHECKS = (
    configuration_is_strict_and_frozen,
    a_guide_draws_another_image_at_the_cost_it_says,
    it_says_where_it_comes_from,
)


class Outcome(StrEnum):
    """What became of a check."""

    OK = "ok"
    REMARK = "remark"
    NOT_CHECKED = "not checked"
    BROKEN = "BROKEN"


@dataclass(frozen=True)
class Finding:
    """One check's outcome, with what is broken or remarked, or why it was not made."""

    check: str
    outcome: Outcome
    text: str = ""


def checks_of(method: Method) -> tuple[Callable[[Subject], str | None], ...]:
    """What a method must satisfy, or one that guides sampling."""
    return CHECKS if method.guide is None else GUIDE_CHECKS


def run_checks(subject: Any, checks: Sequence[Callable[[Any], str | None]] = CHECKS) -> Iterator[Finding]:
    """Each check's finding; a fault that several checks meet is told once."""
    known: set[str] = set()
    for check_one in checks:
        text = (check_one.__doc__ or check_one.__name__).split("\n")[0]
        try:
            remark = check_one(subject)
        except (Broken, BenchError) as error:
            fault = str(error)
        except Exception as error:  # noqa: BLE001  (whatever a foreign method raises is the check's result)
            fault = f"it raised {told(error)}"
        else:
            yield Finding(text, Outcome.REMARK if remark else Outcome.OK, remark or "")
            continue
        yield Finding(text, *((Outcome.NOT_CHECKED, "as above") if fault in known else (Outcome.BROKEN, fault)))
        known.add(fault)
