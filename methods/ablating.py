"""Ablating Concepts in Text-to-Image Diffusion Models (Kumari et al., ICCV 2023, arXiv 2303.13516).

What differs from the authors' code: anchor prompts are this project's (theirs are captions of LAION images and of a
language model); latents are the sampler's own, where theirs go through PNG files and the VAE's encoder, unless images
are rescaled; images are mirrored only where they are rescaled; the encoder's mean is taken, not a sample; two GPUs
are two accumulated calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import mse_loss

from erasebench import BenchError, MethodConfig, method, start_token_detached

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer

TIMESTEPS = 1000
TEMPLATES = {  # authors' code, drawn uniformly; {p} is an anchor prompt, {x} the concept
    "nudity": ("{x}, {p}", "in {x} style, {p}", "{p}, {x}"),
    "style": ("{p}, in the style of {x}", "in {x}'s style, {p}", "in {x}'s style, {p}"),
}
TARGETS = {"nudity": "nudity, nsfw"}  # authors' code: what a concept is called in prompts, and as negative prompt
GREY = 128  # around images that were made smaller
SMALLER = ("a far away ", "very small ")  # before prompts for images below 0.6 of their size
LARGER = ("zoomed in ", "close up ")


class Config(MethodConfig):
    """Defaults are those of the authors' code for Stable Diffusion v1.4, for objects and styles."""

    variant: Literal["model", "noise"] = "model"  # section 3.2
    parameters: Literal["xattn-kv", "xattn", "attention", "full"] = "xattn-kv"  # section 4.3
    steps: int = 100
    batch: int = 4
    accumulate: int = 2  # in place of the authors' two GPUs
    lr: float = 1.6e-5  # 2e-6 for each of the 4 × 2 images of an update (--scale_lr)
    weight_decay: float = 0.01
    clip: float = 1.0
    prior: float = 0.0  # weight of ‖ε_θ(z_t, c*) − ε‖² on other images of the anchor
    rescale: bool = False  # make images smaller or larger, and say so in the prompt; for objects
    images: int = 1000  # of the anchor, drawn by the original model
    sampler_steps: int = 25  # DPM-Solver++
    sampler_guidance: float = 6.0


def concept_prompts(task: ErasureTask, anchor: str) -> list[str]:
    """The prompts that ask for the concept where `anchor` asks for its replacement (authors' code)."""
    if task.kind in TEMPLATES:
        name = TARGETS.get(task.prompt, task.prompt)
        return [template.format(p=anchor, x=name) for template in TEMPLATES[task.kind]]
    return [anchor.replace(task.replacement, task.phrase)]


def rescaled(image: np.ndarray, size: int, top: int, left: int, cell: int) -> tuple[np.ndarray, np.ndarray]:
    """An image in another size, on grey or cut out, and the latent cells that lie wholly inside it.

    Args:
        image: uint8, (side, side, 3).
        size: the side that it gets; up to `side` it is set on grey, above it is cut.
        top: where it is set, or where the cut begins, in pixels.
        left: likewise.
        cell: pixels of a latent cell's side.

    Returns:
        uint8 of (side, side, 3), and a mask of 0 and 1, float32 of (side / cell, side / cell).
    """
    side = len(image)
    drawn = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
    if size > side:
        return drawn[top : top + side, left : left + side], np.ones((side // cell,) * 2, np.float32)
    canvas, mask = np.full_like(image, GREY), np.zeros((side // cell,) * 2, np.float32)
    canvas[top : top + size, left : left + size] = drawn
    mask[top // cell + 1 : (top + size) // cell - 1, left // cell + 1 : (left + size) // cell - 1] = 1
    return canvas, mask


@method(
    label="Ablating",
    paper="arXiv 2303.13516",
    config=Config,
    several="turns",
    needs_replacement=True,
    presets={
        # 4e-6 × 4 × 2, and × 2 once more with the prior (--scale_lr --with_prior_preservation)
        "nudity": {"parameters": "attention", "steps": 400, "lr": 6.4e-5, "prior": 1.0},
        "object": {"rescale": True},
        "mini": {
            "parameters": "xattn-kv",
            "prior": 0.0,
            "rescale": False,
            "steps": 100,
            "batch": 4,
            "accumulate": 1,
            "lr": 3e-4,
            "images": 64,
            "sampler_steps": 12,
        },
    },
    version=2,
)
def ablating(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """On images of the anchor, let the concept's prompt predict what the anchor's prompt predicts.

    Equation 4 (model): ‖ε_θ(z_t, c) − sg ε_θ(z_t, c*)‖², both from the student; equation 5 (noise): ‖ε_θ(z_t, c) − ε‖²;
    summed over channels and averaged over the cells of the mask. z_t are noised latents that the original model drew
    for anchor prompts, t uniform in 0 … 999. The prior term is a mean, on images, t and noise of its own. No gradient
    flows through the start token's keys and values.
    """
    if not task.anchors:
        raise BenchError(f"Ablating: {task.concept!r} has no anchor prompts: give it --replacement TEXT.")
    prompts = [task.anchors[k % len(task.anchors)] for k in range(config.images)]
    negative = TARGETS.get(task.prompt, task.prompt) if task.kind == "nudity" else ""
    latents = trainer.drawn_images(prompts, negative, config.sampler_steps, config.sampler_guidance, "dpm++")

    def pick(options: int) -> int:
        return int(trainer.integers(options, 1))

    def rescale(image: np.ndarray, prompt: str) -> tuple[torch.Tensor, torch.Tensor, str]:
        """A latent, its mask and the prompt that says how far away the thing is."""
        side = len(image)
        shrink = pick(100) < 66
        size = side // 3 + pick(side + 1 - side // 3) if shrink else int(1.2 * side) + pick(int(0.2 * side))
        top, left = (pick(abs(side - size) + 1) for _ in range(2))
        mirrored = image[:, ::-1] if pick(2) else image
        changed, mask = rescaled(np.ascontiguousarray(mirrored), size, top, left, side // model.latent_shape[1])
        sizes = SMALLER if size < 0.6 * side else LARGER if size > side else ("",)
        z = model.encode_images(changed[None])
        return z, torch.from_numpy(mask).expand(1, 1, -1, -1).to(z.device), sizes[pick(len(sizes))] + prompt

    def noised(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        t = trainer.integers(TIMESTEPS, config.batch).to(model.device)
        noise = trainer.noise(config.batch)
        return model.add_noise(z, noise, t), t, noise

    def prior() -> torch.Tensor:
        picked = trainer.integers(config.images, config.batch)
        z, t, noise = noised(latents[picked.to(model.device)])
        return mse_loss(model.predict_noise(z, t, trainer.text(*(prompts[int(k)] for k in picked))), noise)

    def loss(step: int) -> torch.Tensor:
        picked = trainer.integers(config.images, config.batch)
        anchors = [prompts[int(k)] for k in picked]
        options = [concept_prompts(task, anchor) for anchor in anchors]
        chosen = [asked[pick(len(asked))] for asked in options]
        clean, mask = latents[picked.to(model.device)], torch.ones((), device=model.device)
        if config.rescale:
            parts = [rescale(model.decode(z[None])[0], prompt) for z, prompt in zip(clean, chosen, strict=True)]
            clean, mask = torch.cat([z for z, _, _ in parts]), torch.cat([m for _, m, _ in parts])
            chosen = [prompt for _, _, prompt in parts]
        z, t, noise = noised(clean)
        target = noise
        if config.variant == "model":
            with torch.no_grad():
                target = model.predict_noise(z, t, trainer.text(*anchors))
        with start_token_detached(model.unet):
            error = ((model.predict_noise(z, t, trainer.text(*chosen)) - target) ** 2).sum(1, keepdim=True)
            cells = mask.expand_as(error).sum((1, 2, 3)).clamp(min=1)
            ablation = ((error * mask).sum((1, 2, 3)) / cells).mean()
            return ablation + config.prior * prior() if config.prior else ablation

    trainer.fit(
        loss,
        steps=config.steps,
        lr=config.lr,
        optimiser="adamw",
        weight_decay=config.weight_decay,
        clip=config.clip,
        accumulate=config.accumulate,
    )
