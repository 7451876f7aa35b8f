"""P4D: a prompt with which the erased model predicts what the original does (Chin et al., ICML 2024, arXiv 2309.06135).

The authors' variant; `p4d-reimplemented` is the one in UnlearnDiffAtk's code, which most papers report as P4D.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field

from erasebench import AttackConfig, attack

if TYPE_CHECKING:
    from erasebench import Attempt, Job

OPEN = -1  # a position of a prompt that is learned


class Config(AttackConfig):
    """Defaults are the authors' configurations: 16 free tokens alone (P4D-N), or one after every three of the prompt's
    (P4D-K); AdamW, lr 0.1, weight decay 0.1; 3,000 steps, an image every 50.

    Not verified, as the authors' loop was not at hand: that z_t are noised latents of the original's image of the
    target, at a random level each step, and that tokens start as random words. Ours: the images are spread evenly over
    the steps where the budget has fewer.
    """

    variant: Literal["n", "k"] = "n"
    tokens: int = Field(16, ge=1, le=60)
    every: int = Field(3, ge=1)
    steps: int = Field(3000, ge=1)
    steps_an_image: int = Field(50, ge=1)
    lr: float = Field(0.1, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    batch: int = Field(1, ge=1)  # targets together, which changes nothing but speed


@dataclass
class HardPrompt:
    """A target's prompt with some learned positions.

    Attributes:
        ids: (77,), OPEN where it is learned.
        vectors: the learned ones, (open, width), continuous.
        optimiser: of these.
        random: all that is random.
    """

    ids: torch.Tensor
    vectors: torch.Tensor
    optimiser: torch.optim.Optimizer
    random: torch.Generator


@attack(
    label="P4D",
    paper="arXiv 2309.06135",
    access="gradients",
    config=Config,
    presets={
        "mini": {"steps": 100, "steps_an_image": 20, "batch": 8},
        "trial": {"steps": 4, "steps_an_image": 2, "tokens": 4},
    },
)
def p4d(attempt: Attempt, config: Config) -> None:
    """Let the learned prompt predict with the erased model what the target does with the original.

    Equation 4: min over p' of ‖ε_θ*(z_t, t, τ(p)) − ε_θ(z_t, t, τ(p'))‖². Learned vectors are continuous; each step
    takes the gradient at the nearest words by cosine (PEZ, arXiv 2302.03668), which are drawn.
    """
    prompts = {target.prompt_id: _start(attempt, config, target) for target in attempt.targets}
    rounds = max(1, min(attempt.budget, config.steps // config.steps_an_image))

    def level(random: torch.Generator) -> int:
        return int(torch.randint(1000, (1,), generator=random))

    for _, live in zip(range(rounds), attempt.rounds(), strict=False):
        search(attempt, prompts, live, config.steps // rounds, config.batch, level)


def _start(attempt: Attempt, config: Config, target: Job) -> HardPrompt:
    """A prompt whose open positions hold random words."""
    tokens, random = attempt.tokens, attempt.generator("p4d", target.prompt_id)
    if config.variant == "n":
        ids = tokens.prefixed("", torch.full((config.tokens,), OPEN))
    else:
        own = tokens.content(target.text)
        parts = [own[k : k + config.every] for k in range(0, len(own), config.every)]
        ids = tokens.prefixed("", torch.tensor([one for part in parts for one in (*part, OPEN)]))
    words = tokens.random(int((ids == OPEN).sum()), random)
    vectors = tokens.table[words.to(tokens.table.device)].clone()
    optimiser = torch.optim.AdamW([vectors], lr=config.lr, weight_decay=config.weight_decay)
    return HardPrompt(ids, vectors, optimiser, random)


def search(
    attempt: Attempt,
    prompts: dict[str, HardPrompt],
    live: Sequence[Job],
    steps: int,
    batch: int,
    level: Callable[[torch.Generator], int],
) -> None:
    """So many steps of the live targets' prompts, then a try of each.

    Args:
        attempt: the attack's.
        prompts: by target.
        live: the targets.
        steps: updates.
        batch: targets together.
        level: a timestep for a step.
    """
    words = torch.nn.functional.normalize(attempt.tokens.table[attempt.tokens.free.to(attempt.model.device)], dim=1)
    for begin in range(0, len(live), batch):
        some = live[begin : begin + batch]
        own = [prompts[target.prompt_id] for target in some]
        for step in range(steps):
            loss = _step(attempt, some, own, words, level)
            attempt.say(f"step {step + 1} of {steps}, loss {loss:.4f}")
    attempt.draw([attempt.ask(target, nearest(attempt, prompts[target.prompt_id], words)) for target in live])


def nearest(attempt: Attempt, prompt: HardPrompt, words: torch.Tensor) -> torch.Tensor:
    """A prompt's ids (77,) with the words in its open positions that are nearest by cosine."""
    chosen = (torch.nn.functional.normalize(prompt.vectors, dim=1) @ words.T).argmax(1).cpu()
    ids = prompt.ids.clone()
    ids[ids == OPEN] = attempt.tokens.free[chosen]
    return ids


def _step(
    attempt: Attempt,
    targets: Sequence[Job],
    prompts: Sequence[HardPrompt],
    words: torch.Tensor,
    level: Callable[[torch.Generator], int],
) -> float:
    """One update of some targets' prompts; the mean of their losses before it."""
    model, tokens = attempt.model, attempt.tokens
    levels = torch.tensor([level(one.random) for one in prompts], device=model.device)
    noise = torch.stack([torch.randn(model.latent_shape, generator=one.random) for one in prompts]).to(model.device)
    z = model.add_noise(attempt.shown(targets), noise, levels)
    ids = torch.stack([nearest(attempt, one, words) for one in prompts]).to(model.device)
    vectors = tokens.table[ids].requires_grad_(True)
    with torch.no_grad():
        wanted = model.predict_noise(z, levels, attempt.meant(targets), attempt.original)
    with torch.enable_grad():
        predicted = model.predict_noise(z, levels, tokens.encode_vectors(vectors))
        error = (predicted - wanted).square().flatten(1).mean(1)
    (gradient,) = torch.autograd.grad(error.sum(), vectors)
    for one, own in zip(prompts, gradient, strict=True):
        one.vectors.grad = own[(one.ids == OPEN).to(own.device)]
        one.optimiser.step()
    return float(error.detach().mean())
