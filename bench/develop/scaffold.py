"""A new method's, metric's or attack's files: one that works, with its test, to be changed into the real one."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from ..errors import BenchError
from ..registry import ATTACKS, METHODS, METRICS, Registry
from ..storage.files import write_text

METHOD = '''"""{title}: replace this line with the paper's title, authors and number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch.nn.functional import mse_loss

from erasebench import MethodConfig, method

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class Config(MethodConfig):
    """Defaults for Stable Diffusion v1.4; let each one cite its source."""

    parameters: Literal["xattn", "xattn-kv", "full"] = "xattn"
    steps: int = 200
    batch: int = 1
    lr: float = 1e-5
    sampler_steps: int = 50


@method(
    label="{title}",
    paper="arXiv 0000.00000",
    config=Config,
    presets={{"mini": {{"steps": 50, "batch": 4, "lr": 1e-3, "sampler_steps": 12}}}},
)
def {function}(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Let the concept's prompt predict what the empty prompt predicts.

    Equation 1: ‖ε_θ(z_t, c) − ε*(z_t, ∅)‖². Say here what the letters mean and how z_t is drawn.
    """
    teacher = trainer.teacher
    concept, empty = trainer.text(task.prompt), trainer.text("")
    levels = model.timesteps(config.sampler_steps)

    def loss(step: int) -> torch.Tensor:
        level = trainer.random_level(len(levels))
        z = trainer.latents(trainer.noise(config.batch), concept, level, config.sampler_steps, guidance=3.0)
        with torch.no_grad():
            target = model.predict_noise(z, levels[level], empty, teacher)
        return mse_loss(model.predict_noise(z, levels[level], concept), target)

    trainer.fit(loss, steps=config.steps, lr=config.lr)
'''

METHOD_TEST = '''"""{title}: the contract of every method. Add what is particular to this one."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

from erasebench.erasure.contract import CHECKS, Subject
from erasebench.registry import METHODS
from erasebench.models.catalog import find_model
from erasebench.models.loading import load_model


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(METHODS.load("{name}"), load_model(find_model("mini"), "cpu"))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check, subject: Subject) -> None:
    check(subject)
'''

METRIC = '''"""{title}: replace this line with what it is, and the paper that it comes from."""

from __future__ import annotations

import numpy as np

from erasebench import ImageScores, ImageSet, NotApplicable, ScoringContext, Unreadable, metric, read_image


@metric(label="{title}", better="lower", prompts="objects")
def {function}(images: ImageSet, context: ScoringContext) -> ImageScores:
    """Mean absolute difference of pixels to the original model's image of the same prompt and noise; in [0, 255].

    Prompts name other concepts than the erased one, so that 0 means: nothing else changed. Raise `version=` in the
    line above when the definition changes.
    """
    if context.row == "original" or context.original is None:
        raise NotApplicable("the original would be compared with itself")
    values: list[float | None] = []
    details: list[str | None] = []
    for mine, original in zip(images.files, images.partners(context.original), strict=True):
        a, b = read_image(mine), read_image(original)
        if isinstance(a, Unreadable) or isinstance(b, Unreadable):
            values.append(None)  # unscored and named, never a zero
            details.append(str(a) if isinstance(a, Unreadable) else f"the original's {{b}}")
        else:
            values.append(float(np.abs(a.astype(float) - b.astype(float)).mean()))
            details.append(None)
    return ImageScores(values, note="uint8 pixels", details=details)
'''

METRIC_TEST = '''"""{title}: the contract of every metric. Add what is particular to this one."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

from erasebench.scoring.contract import CHECKS, MetricSubject
from erasebench.registry import METRICS


@pytest.fixture(scope="module")
def subject() -> MetricSubject:
    return MetricSubject(METRICS.load("{name}"))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check, subject: MetricSubject) -> None:
    check(subject)
'''

ATTACK = '''"""{title}: replace this line with what it is, and the paper that it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from erasebench import AttackConfig, attack

if TYPE_CHECKING:
    from erasebench import Attempt


class Config(AttackConfig):
    """Defaults for Stable Diffusion v1.4; let each one cite its source."""

    words: tuple[str, ...] = Field(("a drawing of {{}}", "{{}}, seen from above"), min_length=1, strict=False)


@attack(label="{title}", paper="", access="black box", config=Config)
def {function}(attempt: Attempt, config: Config) -> None:
    """Ask for the concept in other words, one after the other, until it is there; each from the target's own noise."""
    for words, live in zip(config.words, attempt.rounds(), strict=False):
        phrase = words.format(attempt.concept.phrase)
        attempt.draw([attempt.ask(target, attempt.instead(target, phrase)) for target in live])
'''

ATTACK_TEST = '''"""{title}: the contract of every attack. Add what is particular to this one."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

from erasebench.attacking.contract import CHECKS, AttackSubject
from erasebench.models.catalog import find_model
from erasebench.models.loading import load_model
from erasebench.registry import ATTACKS


@pytest.fixture(scope="module")
def subject() -> AttackSubject:
    return AttackSubject(ATTACKS.load("{name}"), load_model(find_model("mini"), "cpu"))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check, subject: AttackSubject) -> None:
    check(subject)
'''

PROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{distribution}"
version = "0.1.0"
dependencies = ["erasebench"]

[project.entry-points."erasebench.{kind}s"]
{name} = "{module}:{function}"

[tool.setuptools]
py-modules = ["{module}"]
"""


def new_method(name: str, folder: Path | None) -> list[Path]:
    """Write a working method and its test; return the files.

    Inside a checkout of erasebench (and without `folder`) they go to methods/ and tests/methods/ (a metric's to
    metrics/ and tests/metrics/); otherwise a package of its
    own is made, which registers the method by its entry point.

    Raises:
        BenchError: the name is no name, is taken, or a file is in the way.
    """
    return _new(METHODS, name, folder, METHOD, METHOD_TEST)


def new_metric(name: str, folder: Path | None) -> list[Path]:
    """Write a working metric and its test, as `new_method` does; its registered name has underscores for dashes."""
    return _new(METRICS, name.replace("_", "-"), folder, METRIC, METRIC_TEST)


def new_attack(name: str, folder: Path | None) -> list[Path]:
    """Write a working attack and its test, as `new_method` does."""
    return _new(ATTACKS, name, folder, ATTACK, ATTACK_TEST)


def _new(registry: Registry, name: str, folder: Path | None, source: str, test: str) -> list[Path]:
    kind = registry.kind
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise BenchError(f"{name!r} is no {kind}'s name: use small letters, digits and dashes, such as my-{kind}.")
    function, title = name.replace("-", "_"), name.replace("-", " ").capitalize()
    registered = registry.public(function)
    if registered in registry.entries() or registered in registry.aliases():
        raise BenchError(f"there is a {kind} {registered!r} already: `bench list {kind}s`. Choose another name.")
    texts = {"name": registered, "function": function, "title": title, "kind": kind}
    if folder is None and _is_checkout(Path.cwd()):
        files = {Path(f"{kind}s") / f"{function}.py": source, Path("tests") / f"{kind}s" / f"test_{function}.py": test}
    else:
        root = folder if folder is not None else Path(f"erasebench-{name}")
        texts |= {"distribution": f"erasebench-{name}", "module": f"erasebench_{function}"}
        files = {
            root / "pyproject.toml": PROJECT,
            root / f"erasebench_{function}.py": source,
            root / f"test_{function}.py": test,
        }
    if taken := [path for path in files if path.exists()]:
        raise BenchError(f"{taken[0]} exists already; nothing was written. Choose another name or --to FOLDER.")
    for path, template in files.items():
        write_text(path, template.format(**texts))
    return list(files)


def _is_checkout(folder: Path) -> bool:
    project = folder / "pyproject.toml"
    return (folder / "methods").is_dir() and project.is_file() and 'name = "erasebench"' in project.read_text("utf-8")
