"""All but One, implicit: the target comes from reweighted cross-attention (AAAI 2024, arXiv 2312.12807)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from erasebench import method, visible_cross_attention

from .all_but_one import SharedConfig, train

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class Config(SharedConfig):
    """The implicit form's own."""

    factor: float = Field(0.0, ge=0)  # what the concept's attention probabilities are multiplied with
    end_and_padding: bool = False  # open: CLIP is causal, so the positions after the concept carry it too


@method(
    label="All but One (implicit)",
    paper="arXiv 2312.12807",
    config=Config,
    several="turns",
    presets={"mini": {"steps": 25, "batch": 4, "lr": 3e-3, "sampler_steps": 12}},
)
def all_but_one_implicit(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """As the explicit form, with ε*(c) + δ replaced by a prediction that attends less to the concept's tokens.

    Equations 11 and 12 with ε^ptp*(c) (Prompt-to-Prompt, arXiv 2208.01626): in attn2, the probabilities after the
    softmax in the concept's columns are scaled by a factor and not normalised again; in the conditional branch only,
    while sampling and in the target. The paper calls this form sensitive to the reweighting.
    """
    teacher = trainer.teacher
    concept, empty = trainer.text(task.prompt), trainer.text("")
    weights = torch.ones(model.positions, device=model.device)
    weights[1 : None if config.end_and_padding else 1 + model.token_count(task.prompt)] = config.factor

    def targets(z: torch.Tensor, t: torch.Tensor, step: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        unconditional = model.predict_noise(z, t, empty, teacher)
        with visible_cross_attention(teacher, lambda probabilities: probabilities * weights):
            conditional = model.predict_noise(z, t, concept, teacher)
        return unconditional, config.teacher_guidance * (conditional - unconditional)

    what = {
        "implicit": task.prompt,
        "guidance": config.teacher_guidance,
        "factor": config.factor,
        "end_and_padding": config.end_and_padding,
    }
    train(model, task, config, trainer, targets, what)
