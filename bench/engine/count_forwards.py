"""How many UNet forwards a training takes, counted ahead: its own code runs, but the UNet is left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ..erasure.method import ErasureTask, Method, MethodConfig
from ..erasure.trainer import Trainer
from ..models.cost import Cost
from ..models.patch import snapshot
from ..models.text_to_image import TextToImage

TRIED = 24  # steps from which a longer training is extrapolated


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
    before = snapshot(carrier.unet)
    try:
        try:
            tried = min(steps, TRIED)
            with _hollow(carrier, with_gradient=True):
                short, long = (_cost(carrier, method, config, task, few) for few in (1, tried))
        except (ValueError, RuntimeError, IndexError, ZeroDivisionError):
            carrier.unet.load_state_dict(before)
            tried = min(steps, 2)
            with _hollow(carrier, with_gradient=False):
                short, long = (_cost(carrier, method, config, task, few) for few in (1, tried))
    finally:
        carrier.unet.load_state_dict(before)
    return _extrapolated(short, long, tried, steps)


def _extrapolated(short: Cost, long: Cost, tried: int, steps: int) -> Cost:
    """What comes before the first step once, and the mean step `steps` times."""
    slopes = [
        (getattr(long, name) - getattr(short, name)) / max(1, tried - 1)
        for name in ("forwards", "forwards_with_gradient")
    ]
    without, having = (
        round(getattr(long, name) + slope * (steps - tried))
        for name, slope in zip(("forwards", "forwards_with_gradient"), slopes, strict=True)
    )
    return Cost(steps, 0.0, without, having)


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

    def encode(prompts: list[str]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(len(prompts))
        return torch.randn(len(prompts), *encoded.shape[1:], generator=generator)

    model.predict_noise, model.encode = predict, encode  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        del model.predict_noise, model.encode  # the class's own again
