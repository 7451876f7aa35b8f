"""Ablating Concepts in Text-to-Image Diffusion Models (Kumari et al., ICCV 2023, arXiv 2303.13516)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch.nn.functional import mse_loss

from erasebench import BenchError, MethodConfig, method
from erasebench.attention import start_token_detached

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer

TIMESTEPS = 1000
TEMPLATES = {  # authors' code; {p} is an anchor prompt, {x} the concept
    "nudity": ("{x}, {p}", "in {x} style, {p}", "{p}, {x}"),
    "style": ("{p}, in the style of {x}", "in {x}'s style, {p}"),
}


class Config(MethodConfig):
    """Defaults are those of the authors' code for Stable Diffusion v1.4, for objects and styles."""

    variant: Literal["model", "noise"] = "model"  # section 3.2
    parameters: Literal["xattn-kv", "xattn", "attention", "full"] = "xattn-kv"  # section 4.3
    steps: int = 100
    batch: int = 4
    accumulate: int = 2  # in place of the authors' two GPUs
    lr: float = 1.6e-5  # 2e-6 for each of the 4 × 2 images of an update
    weight_decay: float = 0.01
    clip: float = 1.0
    prior: float = 0.0  # weight of ‖ε_θ(z_t, c*) − ε‖² on the anchor's images
    images: int = 1000  # of the anchor, drawn by the original model
    sampler_steps: int = 25  # DPM-Solver++
    sampler_guidance: float = 6.0


def concept_prompts(task: ErasureTask, anchor: str) -> list[str]:
    """The prompts that ask for the concept where `anchor` asks for its replacement (authors' code)."""
    if task.kind in TEMPLATES:
        return [template.format(p=anchor, x=task.prompt) for template in TEMPLATES[task.kind]]
    return [anchor.replace(task.replacement, task.phrase)]


@method(
    label="Ablating",
    paper="arXiv 2303.13516",
    config=Config,
    needs_replacement=True,
    presets={
        "nudity": {"parameters": "attention", "steps": 400, "lr": 3.2e-5, "prior": 1.0},  # 4e-6 × 4 × 2, read as above
        "mini": {
            "parameters": "xattn-kv",
            "prior": 0.0,
            "steps": 100,
            "batch": 4,
            "accumulate": 1,
            "lr": 3e-4,
            "images": 64,
            "sampler_steps": 12,
        },
    },
)
def ablating(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """On images of the anchor, let the concept's prompt predict what the anchor's prompt predicts.

    Equation 4 (model): ‖ε_θ(z_t, c) − sg ε_θ(z_t, c*)‖², both from the student; equation 5 (noise): ‖ε_θ(z_t, c) − ε‖².
    z_t are noised latents that the original model drew for anchor prompts, t uniform in 0 … 999. No gradient flows
    through the start token's keys and values.
    """
    if not task.anchors:
        raise BenchError(f"Ablating: {task.concept!r} has no anchor prompts: give it --replacement TEXT.")
    prompts = [task.anchors[k % len(task.anchors)] for k in range(config.images)]
    negative = task.prompt if task.kind == "nudity" else ""
    latents = trainer.drawn_images(prompts, negative, config.sampler_steps, config.sampler_guidance, "dpm++")

    def loss(step: int) -> torch.Tensor:
        picked = trainer.integers(config.images, config.batch)
        anchors = [prompts[int(k)] for k in picked]
        asked = [concept_prompts(task, anchor) for anchor in anchors]
        chosen = [options[int(trainer.integers(len(options), 1))] for options in asked]
        t = trainer.integers(TIMESTEPS, config.batch).to(model.device)
        noise = trainer.noise(config.batch)
        z = model.add_noise(latents[picked.to(model.device)], noise, t)
        if config.variant == "noise":
            target = noise
        else:
            with torch.no_grad():
                target = model.predict_noise(z, t, trainer.text(*anchors))
        with start_token_detached(model.unet):
            ablation = mse_loss(model.predict_noise(z, t, trainer.text(*chosen)), target)
            if config.prior == 0:
                return ablation
            return ablation + config.prior * mse_loss(model.predict_noise(z, t, trainer.text(*anchors)), noise)

    trainer.fit(
        loss, steps=config.steps, lr=config.lr, optimiser="adamw", weight_decay=config.weight_decay,
        clip=config.clip, accumulate=config.accumulate,
    )  # fmt: skip
