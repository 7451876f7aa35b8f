"""How many UNet forwards a training takes, counted ahead: its own code runs, but the UNet is left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ..erasure.method import ErasureTask, Method, MethodConfig
from ..erasure.trainer import Trainer
from ..models.cost import Cost
from ..models.patch import restored
from ..models.text_to_image import TextToImage

TRIED = 24  # steps from which a longer training is extrapolated
PLAIN = "plain_steps"  # the setting of methods that begin without their inner attack: the steps of both are counted


def count_forwards(carrier: TextToImage, method: Method, config: MethodConfig, task: ErasureTask) -> Cost:
    """Forwards without and with gradient of a whole training, for any model: the number does not depend on it.

    The levels of a step are random, so that a training of more than TRIED steps is extrapolated from that many. For a
    method that looks inside the UNet, predictions with gradient are real ones, of two steps.

    Args:
        carrier: a small model that lends its parts; left as it was.
        method: the method.
        config: its configuration, for the model in question.
        task: what is erased.
    """
    steps: int | None = getattr(config, "steps", None)
    if steps is None:
        return Cost()
    plain = min(steps, getattr(config, PLAIN, 0))
    if steps <= TRIED or plain in (0, steps):
        return _sum(steps, _counted(carrier, method, config, task, steps))
    first, later = plain, config.model_copy(update={PLAIN: 0})
    before, each = _counted(carrier, method, config, task, first)
    _, attacked = _counted(carrier, method, later, task, steps - first)
    share = first / steps
    return _sum(steps, (before, [share * a + (1 - share) * b for a, b in zip(each, attacked, strict=True)]))


def _sum(steps: int, counted: tuple[list[float], list[float]]) -> Cost:
    """What comes before the first step once, and the mean step `steps` times."""
    return Cost(steps, 0.0, *(round(before + steps * each) for before, each in zip(*counted, strict=True)))


def _counted(
    carrier: TextToImage, method: Method, config: MethodConfig, task: ErasureTask, steps: int
) -> tuple[list[float], list[float]]:
    """Forwards without and with gradient before the first step, and of a step, from at most TRIED of so many."""
    try:
        return _tried(carrier, method, config, task, min(steps, TRIED), with_gradient=True)
    except (ValueError, RuntimeError, IndexError, ZeroDivisionError):
        return _tried(carrier, method, config, task, min(steps, 2), with_gradient=False)


def _tried(
    carrier: TextToImage, method: Method, config: MethodConfig, task: ErasureTask, steps: int, with_gradient: bool
) -> tuple[list[float], list[float]]:
    with restored(carrier), _hollow(carrier, with_gradient):
        short, long = (_cost(carrier, method, config, task, few) for few in (1, steps))
    names = ("forwards", "forwards_with_gradient")
    each = [(getattr(long, name) - getattr(short, name)) / max(1, steps - 1) for name in names]
    return [getattr(short, name) - slope for name, slope in zip(names, each, strict=True)], each


def _cost(carrier: TextToImage, method: Method, config: MethodConfig, task: ErasureTask, steps: int) -> Cost:
    trainer = Trainer(carrier, config.parameters, task.seed, steps, block=1)
    method.erase(carrier, task, config, trainer)
    return trainer.cost()


@contextmanager
def _hollow(model: TextToImage, with_gradient: bool) -> Iterator[None]:
    """Let predictions and texts be made up: counted as ever, of the right shapes, with gradients where they have some.

    Without `with_gradient`, predictions that need a gradient stay real.
    """
    real = model.predict_noise
    weights: dict[nn.Module, list[nn.Parameter]] = {}  # to look for them takes longer than the rest
    encoded = model.encode([""])

    def predict(
        z: torch.Tensor, t: torch.Tensor | float, context: torch.Tensor, unet: nn.Module | None = None
    ) -> torch.Tensor:
        network = unet if unet is not None else model.unet
        if network not in weights:
            weights[network] = list(network.parameters())
        grad = torch.is_grad_enabled()
        learned = [tensor for tensor in (z, context, *weights[network]) if tensor.requires_grad] if grad else []
        if learned:
            if not with_gradient:
                return real(z, t, context, unet)
            model.forwards.with_gradient += len(z)
            return z * 0.5 + learned[-1].sum() * 1e-6 + context.mean() * 1e-6
        model.forwards.without_gradient += len(z)
        return z * 0.5

    def encode(prompts: list[str], texts: object = None) -> torch.Tensor:
        generator = torch.Generator().manual_seed(len(prompts))
        return torch.randn(len(prompts), *encoded.shape[1:], generator=generator)

    model.predict_noise, model.encode = predict, encode  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        del model.predict_noise, model.encode  # the class's own again
