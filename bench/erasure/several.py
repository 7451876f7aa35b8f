"""Several concepts in one erasure: methods that train take them in turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch

from .method import ErasureTask, Method

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

    from ..models.text_to_image import TextToImage
    from .trainer import Trainer

Loss = Callable[[int], torch.Tensor]


def erase(method: Method, model: TextToImage, task: ErasureTask, config: Any, trainer: Trainer) -> None:
    """Change the model's weights so that all concepts of the task are erased, as the method's `several` says."""
    if not task.besides or method.several != "turns":
        method.erase(model, task, config, trainer)
        return
    each, fits = task.each, list[tuple[Loss, dict[str, Any]]]()
    turns = [replace(one, besides=(*each[:k], *each[k + 1 :])) for k, one in enumerate(each)]

    def prepare(k: int) -> None:
        """Let the method make the loss of concept `k`, within what it holds open for the ones before; then train."""
        if k < len(turns):
            turn = _Turn(trainer, turns[k].concept, k, fits, lambda: prepare(k + 1))
            method.erase(model, turns[k], config, cast("Trainer", turn))
        else:
            _fit_in_turns(trainer, fits)

    prepare(0)


def _fit_in_turns(trainer: Trainer, fits: list[tuple[Loss, dict[str, Any]]]) -> None:
    """One training whose steps take the losses in turns, each as often as it would be alone."""
    losses, settings = [loss for loss, _ in fits], fits[0][1]
    accumulate = settings.get("accumulate", 1)

    def loss(call: int) -> torch.Tensor:
        step, part = divmod(call, accumulate)
        return losses[step % len(losses)](step // len(losses) * accumulate + part)

    trainer.turns = len(losses)
    trainer.fit(loss, **{**settings, "steps": settings["steps"] * len(losses)})


class _Turn:
    """What a method trains one of several concepts with: the common trainer, whose `fit` waits for the others."""

    def __init__(
        self,
        trainer: Trainer,
        concept: str,
        number: int,
        fits: list[tuple[Loss, dict[str, Any]]],
        go_on: Callable[[], None],
    ) -> None:
        self._trainer, self._concept, self._number, self._fits, self._go_on = trainer, concept, number, fits, go_on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)

    def fit(self, loss: Loss, **settings: Any) -> None:
        self._fits.append((loss, settings))
        self._go_on()

    def keep(self, name: str, tensor: torch.Tensor, optimiser: torch.optim.Optimizer | None = None) -> torch.Tensor:
        return self._trainer.keep(f"{self._number} {name}", tensor, optimiser)

    def show(self, name: str, embedding: torch.Tensor) -> None:
        self._trainer.show(f"{name}-{self._number + 1}", embedding)

    def log(self, **facts: Any) -> None:
        self._trainer.log(concept=self._concept, **facts)

    def moving_average(self, decay: float) -> UNet2DConditionModel:
        return self._trainer.averaged or self._trainer.moving_average(decay)
