"""Adversarial Preservation with a continuous search, an ablation of its author's slides (arXiv 2410.15618)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field

from erasebench import method

from .adversarial_preservation import AdversarialConfig, Search, minimax, to_neutral

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class Config(AdversarialConfig):
    """The search by normalised gradient ascent on the embedding; its numbers are the authors' code's."""

    recipes: ClassVar = {"official": {"preservation": 0.01}}

    search_lr: float = 1e-5  # of the embedding's norm, an ascent
    ascents: int = Field(100, ge=1)  # before each update, on one z


@method(
    label="Adversarial Preservation (PGD)",
    paper="arXiv 2410.15618",
    config=Config,
    several="turns",
    presets={
        "nudity": {"parameters": "noxattn"},
        # Fewer and larger ascents: the way that the embedding may go between two updates is 1 % of its norm.
        "mini": {
            "parameters": "xattn",
            "steps": 50,
            "batch": 2,
            "lr": 3e-3,
            "sampler_steps": 12,
            "search_lr": 1e-3,
            "ascents": 10,
        },
    },
    version=3,
)
def adversarial_preservation_pgd(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """As the Gumbel search, with an embedding that moves freely; it shows why the search needs real words.

    Equation 5 and the slides: c_a starts at the concept's embedding, persists, and takes the steps
    c_a += lr ‖c_a‖ ∇ / ‖∇‖ on one z, which is drawn with the concept. The slides show that it drifts to what draws
    background noise.
    """
    embedding = trainer.text(task.prompt).clone().requires_grad_(True)
    trainer.keep("embedding", embedding)
    trainer.show("what-is-preserved", embedding)

    def ascend(gradient: torch.Tensor) -> None:
        with torch.no_grad():
            size = gradient.norm()
            if size > 0:
                embedding.add_(config.search_lr * embedding.norm() / size * gradient)

    # A copy, since the step changes the embedding between the ascent's gradient and the update's loss.
    search = Search(lambda role: embedding.clone(), embedding, ascend, config.ascents, on_concept=True)
    minimax(model, config, trainer, task.prompt, search, to_neutral(model, task, config, trainer), config.recipe)
