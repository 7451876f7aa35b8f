"""SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency (Fan et al., ICLR 2024, arXiv 2310.12508)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import Field
from torch.nn.functional import mse_loss

from erasebench import BenchError, MethodConfig, method

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer

TIMESTEPS = 1000


class Config(MethodConfig):
    """Defaults are those of the authors' code for nudity; for objects the settings of their README.

    What differs from their code: for objects they have photographs of Imagenette, the target is the next of its classes
    and what is kept are the nine others; here, as in theirs for nudity, the original model draws both sets, the target
    and what is kept are the replacement. Latents are the sampler's own, where theirs go through image files and a
    sample of the VAE's encoder. Images are picked with replacement, where they count epochs.
    """

    parameters: Literal["full", "xattn", "xattn-kv"] = "full"
    share: float = Field(0.5, gt=0, le=1)  # of the weights, that the mask leaves free
    mask_guidance: float = 7.5
    prompt: str | None = None  # of images of the concept; None: "a photo of" it
    images: int = Field(800, ge=1)  # of the concept, and as many of the replacement
    alpha: float = Field(0.1, ge=0)
    steps: int = Field(100, ge=1)  # one epoch
    batch: int = Field(8, ge=1)
    lr: float = Field(1e-5, gt=0)  # Adam
    sampler_steps: int = Field(50, ge=2)  # ours: DDIM
    sampler_guidance: float = 7.5  # ours


@method(
    label="SalUn",
    paper="arXiv 2310.12508",
    config=Config,
    needs_replacement=True,
    presets={
        "nudity": {"prompt": "a photo of a nude person"},
        "object": {"alpha": 0.5, "steps": 600},  # five epochs of about 950 photographs
        "style": {"alpha": 0.5, "steps": 600},  # theirs has no styles
        "mini": {
            "parameters": "xattn",
            "prompt": None,
            "images": 32,
            "steps": 50,
            "batch": 4,
            "lr": 1e-3,
            "sampler_steps": 12,
        },
    },
)
def salun(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Train only the weights on which the concept's images depend most, towards what the replacement predicts.

    Equations as the authors' code has them. The mask: the `share` of weights with the largest |Σ ∇ ‖ε − [(1 + g)
    ε*(z_t, c) − g ε*(z_t, ∅)]‖²|, summed over all images of the concept, ranked over all of the group together. The
    loss: ‖ε_θ(z_t, c) − sg ε_θ(z_t, c′)‖² on noised images of the concept + α ‖ε_θ(z'_t, c′) − ε‖² on images of the
    replacement c′; t uniform in 0 … 999. Gradients are multiplied by the mask: under Adam without decay a masked weight
    stays as it is. One concept at a time: the mask is that concept's.
    """
    if not task.replacement:
        raise BenchError(f"SalUn: {task.concept!r} has no replacement: give it --replacement TEXT.")
    asked, instead = prompts(task, config)
    sampler = (config.sampler_steps, config.sampler_guidance, "ddim")
    shown = trainer.drawn_images([asked] * config.images, "", *sampler)
    kept = trainer.drawn_images([instead] * config.images, "", *sampler)
    concept, replacement = trainer.text(asked, instead)[:, None]
    mask = saliency(model, config, trainer, asked, shown)
    with trainer.trainable():  # only then do weights take hooks
        masked = [
            weight.register_hook(lambda gradient, name=name: gradient * mask[name])
            for name, weight in trainer.parameters.items()
        ]

    def noised(latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        z = latents[trainer.integers(len(latents), config.batch).to(model.device)]
        t, noise = trainer.integers(TIMESTEPS, config.batch).to(model.device), trainer.noise(config.batch)
        return model.add_noise(z, noise, t), t, noise

    def loss(step: int) -> torch.Tensor:
        z, t, noise = noised(kept)
        keeping = mse_loss(model.predict_noise(z, t, replacement), noise)
        z, t, _ = noised(shown)
        with torch.no_grad():
            target = model.predict_noise(z, t, replacement)
        return mse_loss(model.predict_noise(z, t, concept), target) + config.alpha * keeping

    try:
        trainer.fit(loss, steps=config.steps, lr=config.lr)
    finally:
        for handle in masked:
            handle.remove()


def prompts(task: ErasureTask, config: Config) -> tuple[str, str]:
    """What asks for images of the concept, and of its replacement."""
    if task.kind == "style":
        return config.prompt or f"a painting {task.phrase}", task.replacement
    return config.prompt or f"a photo of {task.phrase}", f"a photo of {task.replacement}"


def saliency(
    model: TextToImage, config: Config, trainer: Trainer, prompt: str, images: torch.Tensor
) -> dict[str, torch.Tensor]:
    """By weight, which of its entries may change; of the weights' shapes, bool. Made once for all trainings.

    Args:
        model: with the original's weights.
        config: the method's configuration.
        trainer: the training loop.
        prompt: what the images were drawn for.
        images: clean latents.
    """
    weights = trainer.parameters
    contexts = trainer.text(prompt, "")

    def make(generator: torch.Generator) -> dict[str, torch.Tensor]:
        sums = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        with torch.enable_grad(), trainer.trainable():
            for latents in images.split(config.batch):
                t = torch.randint(TIMESTEPS, (len(latents),), generator=generator).to(model.device)
                noise = trainer.noise(len(latents), generator)
                z = model.add_noise(latents, noise, t)
                both = contexts.repeat_interleave(len(latents), 0)
                on_concept, on_empty = model.predict_noise(z.repeat(2, 1, 1, 1), t.repeat(2), both).chunk(2)
                guided = (1 + config.mask_guidance) * on_concept - config.mask_guidance * on_empty
                found = torch.autograd.grad(
                    mse_loss(guided, noise), list(weights.values()), allow_unused=True, materialize_grads=True
                )
                for total, gradient in zip(sums.values(), found, strict=True):
                    total += gradient
        return largest(sums, config.share)

    own = {"share": config.share, "guidance": config.mask_guidance, "batch": config.batch, "images": len(images)}
    sampler = (config.sampler_steps, config.sampler_guidance)
    return trainer.shared.made_once({"saliency of": prompt, "group": trainer.group, "sampler": sampler, **own}, make)


def largest(tensors: dict[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    """By name, whether an entry's size is among the `share` of largest over all tensors together; bool."""
    sizes = np.concatenate([tensor.abs().flatten().cpu().numpy() for tensor in tensors.values()])
    least = len(sizes) - max(1, int(len(sizes) * share))
    sizes.partition(least)
    return {name: tensor.abs() >= float(sizes[least]) for name, tensor in tensors.items()}
