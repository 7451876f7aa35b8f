"""SPM, a concept-semi-permeable membrane: One-dimensional Adapter to Rule Them All (Lyu et al., CVPR 2024).

One-dimensional Adapter to Rule Them All: Concepts, Diffusion Models and Erasing Applications, arXiv 2312.16145.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch.nn.functional import mse_loss

from erasebench import LowRank, MethodConfig, method

from .esd import target

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class Config(MethodConfig):
    """Defaults are those of the authors' code (configs/ and src/configs/prompt.py).

    What differs from it: the adapters of the row `spm` act at full scale for every prompt, so that other concepts rest
    on the anchors alone; `spm+transport` scales them by the prompt, as the authors draw. The latents lie exactly at the
    noise level that is trained on, the noisiest one included, and have the model's own size, not a random one. AdamW
    keeps its moments in float32, not in 8 bits. The result is W* + B A, one matrix each.
    """

    parameters: Literal["transformers"] = "transformers"  # linear layers and convolutions of Transformer2DModel
    rank: int = Field(1, ge=1)
    eta: float = 1.0  # "guidance_scale" of prompt.yaml: negative guidance
    anchoring: float = Field(1000.0, ge=0)  # "la_strength"
    anchors: int = Field(4, ge=1)  # "sampling_batch_size"
    steps: int = Field(3000, ge=1)
    batch: int = Field(1, ge=1)
    lr: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)  # AdamW's default, of the adapters
    warmup: int = Field(500, ge=0)  # steps in which the rate rises
    cycles: int = Field(3, ge=1)  # of the cosine that it then follows
    sampler_steps: int = Field(30, ge=2)  # DDIM
    sampler_guidance: float = 3.0


@method(
    label="SPM",
    paper="arXiv 2312.16145",
    config=Config,
    several="turns",
    presets={"mini": {"steps": 50, "batch": 4, "lr": 1e-2, "warmup": 5, "cycles": 1, "sampler_steps": 12}},
)
def spm(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Learn a matrix of rank 1 beside every weight of the transformers, which moves the concept and nothing else.

    Equations as the authors' code has them: ‖ε_θ(z_t, c) − [ε*(z_t, ∅) − η (ε*(z_t, c) − ε*(z_t, ∅))]‖², ESD's loss, +
    λ ‖ε_θ(z_t, a) − ε*(z_t, a)‖² (latent anchoring), θ = W* + B A with B = 0 at first; z_t is drawn by the student. The
    anchors a are random embeddings, drawn anew at every step: a Gaussian direction, accepted with probability 1 −
    cos(a, c), of 0.8 to 1.2 times the length of c. Several concepts take turns on one set of adapters.
    """
    teacher = trainer.teacher
    concept, empty = trainer.text(task.prompt), trainer.text("")
    both = torch.cat([empty, concept]).repeat_interleave(config.batch, 0)
    levels = model.timesteps(config.sampler_steps)
    originals = dict(teacher.named_parameters())
    adapters = LowRank(trainer.parameters, originals, config.rank, trainer.generator)

    def loss(step: int) -> torch.Tensor:
        level = trainer.random_level(len(levels))
        t, count = levels[level], config.anchors
        z = trainer.latents(trainer.noise(config.batch), concept, level, config.sampler_steps, config.sampler_guidance)
        anchors = torch.cat([anchor(concept, model.positions, trainer.generator) for _ in range(count)])
        repeated, asked = z.repeat(count, 1, 1, 1), anchors.repeat_interleave(config.batch, 0)
        with torch.no_grad():
            unconditional, conditional = model.predict_noise(z.repeat(2, 1, 1, 1), t, both, teacher).chunk(2)
            kept = model.predict_noise(repeated, t, asked, teacher)
        contexts = torch.cat([concept.expand(config.batch, -1, -1), asked])
        found = model.predict_noise(torch.cat([z, repeated]), t, contexts)
        erasing = mse_loss(found[: config.batch], target(conditional, unconditional, config.eta))
        anchoring = mse_loss(found[config.batch :], kept)
        trainer.log(erasing=float(erasing.detach()), anchoring=float(anchoring.detach()))
        return erasing + config.anchoring * anchoring

    trainer.fit(
        loss,
        steps=config.steps,
        lr=config.lr,
        optimiser="adamw",
        weight_decay=config.weight_decay,
        schedule=restarts(config.steps, config.warmup, config.cycles),
        low_rank=adapters,
    )


def anchor(concept: torch.Tensor, positions: int, generator: torch.Generator) -> torch.Tensor:
    """A random embedding that is not like the concept's, of its shape, (1, rows, width).

    Tokens, and a vector of the whole text after them where there is one, are drawn apart, as in the authors' code for
    SDXL; where that vector's row is padded with zeros it stays zero.
    """
    parts = [concept[:, :positions], concept[:, positions:]]
    return torch.cat([_near_none(part, generator) for part in parts], 1)


def _near_none(part: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if not part.any():
        return part
    while True:
        direction = torch.randn(part.shape, generator=generator).to(part) * (part != 0)
        direction = direction / direction.norm()
        cosine = float((direction * part).sum() / part.norm())
        accepted, scale = torch.rand(2, generator=generator).tolist()
        if accepted < 1 - cosine:
            return (0.8 + 0.4 * scale) * part.norm() * direction


def restarts(steps: int, warmup: int, cycles: int) -> Callable[[int], float]:
    """By step, what the rate is multiplied by: linear up to 1, then a cosine that begins anew `cycles` times.

    >>> [round(restarts(10, 2, 2)(step), 2) for step in range(10)]
    [0.0, 0.5, 1.0, 0.85, 0.5, 0.15, 1.0, 0.85, 0.5, 0.15]
    """

    def at(step: int) -> float:
        if step < warmup:
            return step / warmup
        progress = (step - warmup) / max(1, steps - warmup)
        return 0.0 if progress >= 1 else 0.5 * (1 + math.cos(math.pi * (cycles * progress % 1)))

    return at
