"""Adversarial Preservation with a continuous search, an ablation of its author's slides (arXiv 2410.15618)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from erasebench import method

from .adversarial_preservation import AdversarialConfig, minimax

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class Config(AdversarialConfig):
    """The search by projected gradient ascent on the embedding."""

    search_lr: float = 1e-2


@method(
    label="Adversarial Preservation (PGD)",
    paper="arXiv 2410.15618",
    config=Config,
    presets={
        "nudity": {"parameters": "noxattn"},
        "mini": {"parameters": "xattn", "steps": 50, "batch": 2, "lr": 3e-3, "sampler_steps": 12},
    },
)
def adversarial_preservation_pgd(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """As the Gumbel search, with an embedding that moves freely; it shows why the search needs real words.

    Equation 5 and the slides: c_a starts at the concept's embedding, persists, and takes the step
    c_a += lr ‖c_a‖ ∇ / ‖∇‖. The slides show that it drifts to what draws background noise.
    """
    embedding = trainer.text(task.prompt).clone().requires_grad_(True)
    trainer.keep("embedding", embedding)

    def ascend(gradient: torch.Tensor) -> None:
        with torch.no_grad():
            size = gradient.norm()
            if size > 0:
                embedding.add_(config.search_lr * embedding.norm() / size * gradient)

    # A copy, since the step changes the embedding between the ascent's gradient and the update's loss.
    minimax(model, task, config, trainer, lambda role: embedding.clone(), embedding, ascend)
