"""All but One (Hong et al., AAAI 2024, arXiv 2312.12807), explicit form.

All but One: Surgical Concept Erasing with Model Preservation in Text-to-Image Diffusion Models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field
from torch.nn.functional import mse_loss

from erasebench import MethodConfig, method

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer

Instruction = Annotated[tuple[float, str], Field(strict=False)]
Targets = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class SharedConfig(MethodConfig):
    """What both forms share; defaults are the paper's, section 5, and what it leaves open is marked."""

    parameters: Literal["xattn", "xattn-kv", "full"] = "xattn"  # open in the paper
    steps: int = 200
    batch: int = 1  # open
    lr: float = 1e-5  # AdamW
    weight_decay: float = 0.01  # open: AdamW's default
    teacher_guidance: float = 7.5  # γ1
    student_guidance: float = 7.5  # γ2
    penalty: float = 5.0  # λ; it acts relative to γ2²: λ/γ2² = 0.089
    sampler_steps: int = 35  # DDIM


class Config(SharedConfig):
    """The explicit form's own: semantic guidance (SEGA, arXiv 2301.12247)."""

    instructions: tuple[Instruction, ...] | None = Field(None, strict=False)  # C_I with g; None: as below
    kappa: float = Field(0.9, ge=0, le=1)  # open: the quantile of |Δ| that an entry must reach
    warmup: int = Field(5, ge=0)  # noisiest sampler steps without δ
    first: int = Field(0, ge=0)  # open: δ acts from this sampler step on …
    last: int | None = None  # … to this one; None: to the end


def semantic_guidance(
    differences: Sequence[tuple[float, torch.Tensor]], kappa: float, active: torch.Tensor
) -> torch.Tensor:
    """δ = Σ g · β ⊙ Δ: each instruction's difference, where it is among its channel's largest (Algorithm 1).

    Args:
        differences: (g, Δ) with Δ = ε*(c″) − ε*(∅) of shape (batch, channels, height, width).
        kappa: β keeps the entries whose |Δ| is at least this quantile of |Δ|, for each sample and channel.
        active: 1 or 0 for each sample: whether its sampler step lies inside the gates.
    """
    total = torch.zeros_like(differences[0][1]) if differences else torch.zeros(())
    for scale, difference in differences:
        size = difference.float().abs()
        threshold = torch.quantile(size.flatten(2), kappa, dim=2)[..., None, None]
        total = total + scale * difference * (size >= threshold)
    return total * active.view(-1, 1, 1, 1)


def concept_loss(concept: torch.Tensor, empty: torch.Tensor, target: torch.Tensor, guidance: float) -> torch.Tensor:
    """L_c: the mean of (γ2 (ε_θ(c) − sg ε_θ(∅)) − target)² (equation 11)."""
    return mse_loss(guidance * (concept - empty.detach()), target)


def train(
    model: TextToImage,
    task: ErasureTask,
    config: SharedConfig,
    trainer: Trainer,
    targets: Targets,
    what: dict[str, object],
) -> None:
    """The part that the explicit and the implicit form share: trajectories, L_c + λ L_p (equation 12), AdamW.

    Args:
        model: the student.
        task: what is erased.
        config: the method's configuration.
        trainer: the training loop.
        targets: (z, t, sampler steps) → (ε*(∅), guided direction), for sampling and as the target.
        what: everything that the targets depend on.
    """
    concept, empty = trainer.text(task.prompt), trainer.text("")
    levels = model.timesteps(config.sampler_steps)

    def draw(generator: torch.Generator, steps: int) -> dict[str, torch.Tensor]:
        level = torch.randint(len(levels), (steps,), generator=generator).repeat_interleave(config.batch)

        def predict(z: torch.Tensor, t: float, step: int) -> torch.Tensor:
            here = torch.full((len(z),), step)
            unconditional, direction = targets(z, torch.full((len(z),), t, device=z.device), here)
            return unconditional + direction

        start = trainer.noise(steps * config.batch, generator)
        z = model.walk(start, predict, config.sampler_steps, level.tolist())
        t = torch.tensor(levels)[level]
        unconditional, direction = targets(z, t.to(z.device), level)
        drawn = {"z": z, "t": t, "empty": unconditional, "target": direction}
        return {name: value.unflatten(0, (steps, config.batch)) for name, value in drawn.items()}

    batch_of = trainer.shared.drawn_ahead({**what, "sampler": config.sampler_steps, "batch": config.batch}, draw)

    def loss(step: int) -> torch.Tensor:
        batch = batch_of(step)
        context = torch.cat([concept, empty]).repeat_interleave(config.batch, 0)
        noise = model.predict_noise(torch.cat([batch["z"]] * 2), torch.cat([batch["t"]] * 2), context)
        on_concept, on_empty = noise.chunk(2)
        erasing = concept_loss(on_concept, on_empty, batch["target"], config.student_guidance)
        penalty = mse_loss(on_empty, batch["empty"])
        trainer.log(concept_loss=float(erasing.detach()), penalty=float(penalty.detach()))  # Fig. 6: L_c and L_p apart
        return erasing + config.penalty * penalty

    trainer.fit(loss, steps=config.steps, lr=config.lr, optimiser="adamw", weight_decay=config.weight_decay)


@method(
    label="All but One",
    paper="arXiv 2312.12807",
    config=Config,
    several="turns",
    aliases=("ours",),
    presets={"mini": {"steps": 100, "batch": 4, "lr": 1e-3, "sampler_steps": 12, "warmup": 2}},
)
def all_but_one(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Move the guidance, not the prediction: the concept's direction is replaced, the empty prompt's output stays.

    Equations 11 and 12: ‖γ2 (ε_θ(c) − sg ε_θ(∅)) − [γ1 (ε*(c) − ε*(∅)) + δ]‖² + λ ‖ε_θ(∅) − ε*(∅)‖². δ is added, as in
    Algorithm 1; equation 13's sign would train away from the replacement. z_t is the original model's own, drawn with
    the same guided estimate. C_I is by default the concept (g = −γ1) and its replacement (g = γ1), where it has one.
    """
    teacher, scale = trainer.teacher, config.teacher_guidance
    instructions = config.instructions
    if instructions is None:
        instructions = ((-scale, task.prompt), *(((scale, task.replacement),) if task.replacement else ()))
    texts = list(dict.fromkeys(["", task.prompt, *(text for _, text in instructions)]))
    contexts = trainer.text(*texts)
    last = config.sampler_steps if config.last is None else config.last

    def targets(z: torch.Tensor, t: torch.Tensor, step: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        count = len(texts)
        noise = model.predict_noise(
            z.repeat(count, 1, 1, 1), t.repeat(count), contexts.repeat_interleave(len(z), 0), teacher
        )
        by_text = dict(zip(texts, noise.chunk(count), strict=True))
        differences = [(g, by_text[text] - by_text[""]) for g, text in instructions]
        active = (step >= max(config.warmup, config.first)) & (step <= last)
        delta = semantic_guidance(differences, config.kappa, active.to(z.device))
        return by_text[""], scale * (by_text[task.prompt] - by_text[""]) + delta

    what = {
        "explicit": instructions,
        "concept": task.prompt,
        "guidance": scale,
        "kappa": config.kappa,
        "gates": (config.warmup, config.first, last),
    }
    train(model, task, config, trainer, targets, what)
