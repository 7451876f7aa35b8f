"""Every method that trains, for a step or two on a model as small as can be."""

from collections.abc import Callable
from typing import Any

import torch

from erasebench import ErasureTask, Method, Trainer
from erasebench.models.patch import restored
from erasebench.models.text_to_image import TextToImage
from erasebench.registry import METHODS

TASK = ErasureTask("garbage truck", "object", "garbage truck", "road", ("road",), "a garbage truck", 0)
# One word to search among and no way to go for what is searched, so that a loss is the same function at every call;
# the attack of those that defend from the first step on.
QUICK = {"steps": 1, "lr": 1e-4, "batch": 2, "sampler_steps": 4, "images": 4, "inverted_tokens": 0, "retained": 2}
QUICK |= {"words": 30, "closest": 1, "bank": 1, "targets": 2, "ceiling": 1.0, "attack_steps": 2, "ascents": 2}
QUICK |= {"plain_steps": 0, "warmup": 0, "cycles": 1, "accumulate": 1}
# Ablating's other target is the student's own and moves with it, so that its loss need not fall.
OWN: dict[str, dict[str, Any]] = {"adversarial-preservation-pgd": {"search_lr": 1e-6}, "ablating": {"variant": "noise"}}


def trained() -> list[str]:
    """Methods whose weights come from steps, by name."""
    methods = {name: METHODS.load(name) for name in METHODS.names()}
    return [name for name, method in methods.items() if method.guide is None and not method.deterministic]


def closed_forms() -> list[str]:
    """Methods that rewrite weights at once, by name."""
    methods = {name: METHODS.load(name) for name in METHODS.names()}
    return [name for name, method in methods.items() if method.guide is None and method.deterministic]


def quick(name: str, **settings: Any) -> tuple[Method, Any]:
    """A method, and a configuration of it that takes no time."""
    method: Method = METHODS.load(name)
    chosen = QUICK | OWN.get(name, {}) | settings
    known = {key: value for key, value in chosen.items() if key in method.config.model_fields}
    return method, method.configure("mini", TASK.kind, known)


def losses_of_a_step(model: TextToImage, name: str) -> tuple[float, float]:
    """A method's loss before a step and after it, on the same noise."""
    method, config = quick(name)
    trainer, found = Trainer(model, config.parameters, 0), list[float]()
    fit = trainer.fit

    def watched(loss: Callable[[int], torch.Tensor], **options: Any) -> None:
        start = trainer.generator.get_state()

        def at_first() -> None:
            trainer.generator.set_state(start)
            with trainer.trainable():
                found.append(float(loss(0).detach()))
            trainer.generator.set_state(start)

        at_first()
        fit(loss, **options)
        at_first()

    trainer.fit = watched  # type: ignore[method-assign]
    with restored(model):
        method.erase(model, TASK, config, trainer)
    before, after = found
    return before, after
