"""What every method must satisfy; `bench check` and the tests run the same list."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from .cost import Cost
from .errors import BenchError
from .methodology import ErasureTask, Method
from .models import TextToImage
from .parameters import GROUPS
from .patch import attached, check, difference, load_patch, save_patch, snapshot
from .training import Trainer

STEPS = 2
TASK = ErasureTask(
    concept="garbage truck", kind="object", prompt="garbage truck", replacement="a vehicle",
    anchors=("a vehicle", "a photo of a vehicle"), phrase="a garbage truck", seed=0,
)  # fmt: skip


@dataclass(frozen=True)
class Erased:
    """One short erasure."""

    patch: dict[str, torch.Tensor]
    declared: set[str]
    cost: Cost


class Broken(Exception):
    """A method breaks the contract; the message says how."""


class Subject:
    """A method on the embedded model, erased on demand; the model is as before afterwards."""

    def __init__(self, method: Method, model: TextToImage) -> None:
        self.method, self.model = method, model
        self._first: Erased | None = None

    def erase(self, seed: int = TASK.seed) -> Erased:
        """Erase with the embedded model's preset, at most STEPS steps."""
        before = snapshot(self.model.unet)
        config = self.method.configure("mini", TASK.kind, {})
        trainer = Trainer(self.model, config.parameters, seed, max_steps=STEPS)
        try:
            self.method.erase(self.model, replace(TASK, seed=seed), config, trainer)
            return Erased(difference(before, self.model.unet), set(trainer.parameters), trainer.cost())
        finally:
            self.model.unet.load_state_dict(before)

    @property
    def first(self) -> Erased:
        """The first erasure, made once."""
        if self._first is None:
            self._first = self.erase()
        return self._first


def weights_change_only_where_declared(subject: Subject) -> None:
    """Only declared weights change, and they do change."""
    try:
        check(subject.first.patch, subject.first.declared, subject.method.label)
    except BenchError as error:
        raise Broken(str(error)) from None


def same_seed_same_weights(subject: Subject) -> None:
    """The same seed gives the same weights, bit for bit."""
    again = subject.erase().patch
    different = [
        name for name, value in subject.first.patch.items() if name not in again or not torch.equal(value, again[name])
    ]
    if different or len(again) != len(subject.first.patch):
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
        with attached(model.unet, patch):
            direct = draw()
        with attached(model.unet, load_patch(path)):
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
        for family in ("sd", "mini"):
            config = method.configure(family, kind, {})
            if config.parameters not in GROUPS:
                raise Broken(f"parameters {config.parameters!r} is no group; allowed: {', '.join(GROUPS)}.")
    try:
        config.parameters = "full"
    except ValueError:
        return
    raise Broken("the configuration can be changed: let it inherit from MethodConfig.")


def it_says_where_it_comes_from(subject: Subject) -> None:
    """The docstring gives the equation and the registration the paper."""
    if "quation" not in (subject.method.erase.__doc__ or ""):
        raise Broken("the docstring names no equation.")
    if not subject.method.paper or not subject.method.label:
        raise Broken("label or paper is empty.")


CHECKS: tuple[Callable[[Subject], None], ...] = (
    weights_change_only_where_declared,
    same_seed_same_weights,
    deterministic_means_no_seed_matters,
    saved_and_loaded_draws_the_same,
    cost_is_accounted,
    configuration_is_strict_and_frozen,
    it_says_where_it_comes_from,
)


def run_checks(subject: Any, checks: Sequence[Callable[[Any], None]] = CHECKS) -> Iterator[tuple[str, str | None]]:
    """Each check's description with what is broken, or None; what is raised with its file and line."""
    for check_one in checks:
        text = (check_one.__doc__ or check_one.__name__).split("\n")[0]
        try:
            check_one(subject)
        except Broken as error:
            yield text, str(error)
        except Exception as error:  # noqa: BLE001  (whatever a foreign method raises is the check's result)
            yield text, f"it raised {type(error).__name__}: {error} ({_place(error)})"
        else:
            yield text, None


def _place(error: BaseException) -> str:
    """Where an error was raised: the last line outside of installed packages, or else the last one."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename and frame.filename != __file__]
    last = (own or list(frames))[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"
