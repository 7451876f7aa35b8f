"""AdvUnlearn: Defensive Unlearning with Adversarial Training for Robust Concept Erasure in Diffusion Models.

Zhang et al., NeurIPS 2024, arXiv 2405.15234.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch.nn.functional import mse_loss

from erasebench import MethodConfig, method

from .adversarial_preservation import frequent_words
from .esd import target

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class Config(MethodConfig):
    """Defaults are the command in the authors' README for Stable Diffusion v1.4, and where it is silent their code's.

    What differs from that code: prompts to retain name frequent English words, where theirs name 243 objects of COCO;
    latents lie exactly at the noise level that is trained on; a prompt is measured in tokens, not in words. Their
    option to train the first layers alone is left out.
    """

    parameters: Literal["text-encoder"] = "text-encoder"  # all layers and the last normalisation
    steps: int = Field(1000, ge=1)
    plain_steps: int = Field(200, ge=0)  # without attacks, before the others
    batch: int = Field(1, ge=1)
    lr: float = Field(1e-5, gt=0)  # Adam's
    eta: float = 1.0  # ESD's negative guidance
    retention: float = Field(0.3, ge=0)  # the README's weight; 1 in their code
    retained: int = Field(5, ge=1)  # prompts at every update
    template: str = Field("a photo of {}", pattern=r"^[^{}]*\{\}[^{}]*$")  # of these prompts
    words: int = Field(243, ge=1)  # ours: the most frequent in English, of which these are drawn
    tokens: int = Field(1, ge=1, le=70)  # free vectors before the prompt
    attack_steps: int = Field(30, ge=1)  # before each update
    attack_lr: float = Field(1e-3, gt=0)  # Adam's
    restart: bool = True  # every attack begins at random tokens, not where the last one ended
    fast: bool = False  # their “fast AT”: by the gradient's sign
    fresh_latents: bool = True  # every step of an attack draws its own z_t; otherwise it shares the update's
    sampler_steps: int = Field(50, ge=2)  # DDIM
    sampler_guidance: float = 3.0


@method(
    label="AdvUnlearn",
    paper="arXiv 2405.15234",
    config=Config,
    presets={
        "mini": {
            "steps": 100,
            "plain_steps": 20,
            "batch": 4,
            "lr": 1e-3,
            "retained": 4,
            "attack_steps": 5,
            "attack_lr": 0.03,
            "fresh_latents": False,
            "sampler_steps": 12,
        }
    },
    parts=("text_encoder",),
    several="turns",
)
def advunlearn(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Train the text encoder so that no word before the concept's prompt makes it mean the concept again.

    The paper's two-level equation, as the authors' code has it: min over the text encoder of ESD's loss at an attacked
    prompt, ‖ε(z_t, [p; c]) − [ε*(z_t, ∅) − η (ε*(z_t, c) − ε*(z_t, ∅))]‖², and w ‖ε(z′_t, r) − ε*(z′_t, r)‖² for
    prompts r to retain. p are free vectors in the place of tokens, from steps of Adam down the attack's loss
    ‖ε(z_t, [p; c]) − ε*(z_t, c)‖². The UNet stays the original's; it draws z_t for c and z′_t for r, with the
    original's embeddings, and gives ε*.

    The authors draw a new z_t for every step of an attack, about 1,500 forwards for an update. The preset of the
    embedded model shares the update's own z_t between them instead (`fresh_latents`), which is ours.
    """
    both = trainer.text("", task.prompt)
    concept = both[1:]
    words = [word for word in frequent_words(config.words + len(task.words)) if word not in task.words][: config.words]
    retained = [config.template.format(word) for word in words]
    levels, sampler = model.timesteps(config.sampler_steps), (config.sampler_steps, config.sampler_guidance)

    def originals(z: torch.Tensor, t: int, contexts: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return model.predict_noise(z, t, contexts)

    def one(generator: torch.Generator) -> dict[str, torch.Tensor]:
        """What one update needs of the original."""
        level = int(torch.randint(len(levels), (1,), generator=generator))
        which = torch.randint(len(words), (config.retained,), generator=generator)
        others = trainer.text(*[retained[int(k)] for k in which])
        contexts = torch.cat([concept.expand(config.batch, -1, -1), others])
        z = trainer.latents(trainer.noise(len(contexts), generator), contexts, level, *sampler)
        mine = z[: config.batch]
        noise = originals(
            torch.cat([mine, z]), levels[level], torch.cat([both[:1].expand(config.batch, -1, -1), contexts])
        )
        return {"z": z, "level": torch.tensor(level), "which": which, "noise": noise}

    def draw(generator: torch.Generator, steps: int) -> dict[str, torch.Tensor]:
        parts = [one(generator) for _ in range(steps)]
        return {name: torch.stack([part[name] for part in parts]) for name in parts[0]}

    what = {"advunlearn": task.prompt, "retained": retained, "each": (config.batch, config.retained)}
    drawn_ahead = trainer.shared.drawn_ahead({**what, "sampler": sampler}, draw)

    table = model.text_encoder.get_input_embeddings().weight.detach().float()
    prefix = table[: config.tokens].clone().requires_grad_(True)
    trainer.keep("prefix", prefix)

    def attack(step: int, z: torch.Tensor, t: int, wanted: torch.Tensor) -> tuple[torch.Tensor, list[float]]:
        """Vectors that bring the concept back best, and the attack's loss by step."""
        if config.restart or step == config.plain_steps:
            with torch.no_grad():
                prefix.copy_(table[trainer.integers(len(table), config.tokens).to(table.device)])
        descent, losses = torch.optim.Adam([prefix], lr=config.attack_lr), list[float]()
        for _ in range(config.attack_steps):
            if config.fresh_latents:
                level = trainer.random_level(len(levels))
                t = levels[level]
                z = trainer.latents(trainer.noise(config.batch), concept, level, *sampler)
                wanted = originals(z, t, concept)
            asked = trainer.student_text(task.prompt, prefix=prefix)
            value = mse_loss(model.predict_noise(z, t, asked), wanted)
            (gradient,) = torch.autograd.grad(value, prefix)
            prefix.grad = gradient.sign() if config.fast else gradient
            descent.step()
            losses.append(float(value.detach()))
        return prefix.detach(), losses

    def loss(step: int) -> torch.Tensor:
        batch = drawn_ahead(step)
        z, t = batch["z"], levels[int(batch["level"])]
        unconditional, conditional, kept = batch["noise"].split([config.batch, config.batch, config.retained])
        found, attacks = None, dict[str, float]()
        if step >= config.plain_steps:
            found, losses = attack(step, z[: config.batch], t, conditional)
            attacks = {"unattacked": losses[0], "attacked": losses[-1]}
        asked = trainer.student_text(task.prompt, prefix=found)
        others = trainer.student_text(*[retained[int(k)] for k in batch["which"]])
        predicted = model.predict_noise(z, t, torch.cat([asked.expand(config.batch, -1, -1), others]))
        erasing = mse_loss(predicted[: config.batch], target(conditional, unconditional, config.eta))
        retaining = mse_loss(predicted[config.batch :], kept)
        trainer.log(erasing=float(erasing.detach()), retaining=float(retaining.detach()), **attacks)
        return erasing + config.retention * retaining

    trainer.fit(loss, steps=config.steps, lr=config.lr)
