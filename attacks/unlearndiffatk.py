"""UnlearnDiffAtk: a prefix learned on the erased model alone (Zhang et al., ECCV 2024, arXiv 2310.11868)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from pydantic import Field

from erasebench import AttackConfig, attack

if TYPE_CHECKING:
    from erasebench import Attempt, Job


class Config(AttackConfig):
    """Defaults are the authors' code: 5 tokens for nudity and objects, 3 for styles; 50 noise levels 10, 30, …, 990
    from the cleanest on, 40 steps at each, one image after each; Adam, lr 0.01, weight decay 0.1.

    Ours: with fewer images than levels there are as many levels, spread evenly; precision is float32; target images are
    drawn as the run draws.
    """

    tokens: int = Field(5, ge=1, le=60)
    levels: int = Field(50, ge=1)
    steps: int = Field(40, ge=1)
    lr: float = Field(0.01, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    batch: int = Field(1, ge=1)  # targets together, which changes nothing but speed


@dataclass
class Prefix:
    """A target's matrix of simplex rows (tokens, vocabulary), and what optimises it."""

    matrix: torch.Tensor
    optimiser: torch.optim.Optimizer
    random: torch.Generator


@attack(
    label="UnlearnDiffAtk",
    paper="arXiv 2310.11868",
    access="gradients",
    config=Config,
    presets={"style": {"tokens": 3}, "mini": {"levels": 10, "steps": 20, "batch": 8}, "trial": {"steps": 2}},
)
def unlearndiffatk(attempt: Attempt, config: Config) -> None:
    """Let the prefixed prompt denoise the original's image of the prompt.

    Equation 6: min over p' of E‖ε − ε_θ(z_t, t, τ([p'; p]))‖² with z_t the noised latents of the original's image of
    the target. p' is a matrix of rows on the simplex over the vocabulary: each forward takes a token sampled from each
    row, the gradient goes straight through, clipped to [−1, 1], and rows are projected onto the simplex after each
    step. The most probable tokens are drawn.
    """
    tokens = attempt.tokens
    table, free = tokens.table[tokens.free.to(tokens.table.device)], tokens.free
    prefixes = {target.prompt_id: _start(attempt, config, len(free), target) for target in attempt.targets}
    for level, live in zip(levels(min(config.levels, attempt.budget)), attempt.rounds(), strict=False):
        for some in _batches(live, config.batch):
            own = [prefixes[target.prompt_id] for target in some]
            for step in range(config.steps):
                loss = _step(attempt, some, own, table, level)
                attempt.say(f"level {level}, step {step + 1} of {config.steps}, loss {loss:.4f}")
        best = {target.prompt_id: free[prefixes[target.prompt_id].matrix.argmax(1).cpu()] for target in live}
        attempt.draw([attempt.ask(t, tokens.prefixed(t.text, best[t.prompt_id])) for t in live])


def levels(count: int) -> list[int]:
    """So many timesteps from 10 to 990, the cleanest first.

    >>> levels(50)[:3], levels(3)
    ([10, 30, 50], [10, 500, 990])
    """
    return [round(10 + 980 * k / max(count - 1, 1)) for k in range(count)]


def on_simplex(rows: torch.Tensor) -> torch.Tensor:
    """The nearest points with entries of at least 0 and sum 1 for each row (Duchi et al., ICML 2008)."""
    ordered = rows.sort(1, descending=True).values
    excess = ordered.cumsum(1) - 1
    count = torch.arange(1, rows.shape[1] + 1, device=rows.device)
    kept = (ordered * count > excess).sum(1, keepdim=True)
    return (rows - excess.gather(1, kept - 1) / kept).clamp_min(0)


def _start(attempt: Attempt, config: Config, words: int, target: Job) -> Prefix:
    matrix = torch.full((config.tokens, words), 1 / words, device=attempt.model.device)
    optimiser = torch.optim.Adam([matrix], lr=config.lr, weight_decay=config.weight_decay)
    return Prefix(matrix, optimiser, attempt.generator("unlearndiffatk", target.prompt_id))


def _batches(targets: Sequence[Job], size: int) -> Iterator[Sequence[Job]]:
    yield from (targets[k : k + size] for k in range(0, len(targets), size))


def _step(
    attempt: Attempt, targets: Sequence[Job], prefixes: Sequence[Prefix], table: torch.Tensor, level: int
) -> float:
    """One update of some targets' prefixes; the mean of their losses before it."""
    model, tokens = attempt.model, attempt.tokens
    sampled = [torch.multinomial(one.matrix.cpu(), 1, generator=one.random)[:, 0] for one in prefixes]
    learned = torch.stack([table[chosen.to(table.device)] for chosen in sampled]).requires_grad_(True)
    prompts = [tokens.prefixed(t.text, tokens.free[chosen]) for t, chosen in zip(targets, sampled, strict=True)]
    around = tokens.table[torch.stack(prompts).to(table.device)]
    noise = torch.stack([torch.randn(model.latent_shape, generator=one.random) for one in prefixes]).to(model.device)
    t = torch.full((len(targets),), level, device=model.device)
    z = model.add_noise(attempt.shown(targets), noise, t)
    with torch.enable_grad():
        vectors = torch.cat([around[:, :1], learned, around[:, 1 + learned.shape[1] :]], 1)
        error = (attempt.predict(z, t, tokens.encode_vectors(vectors)) - noise).square().flatten(1).mean(1)
    (gradient,) = torch.autograd.grad(error.sum(), learned)
    for one, own in zip(prefixes, gradient, strict=True):
        one.matrix.grad = (own @ table.T).clamp(-1, 1)
        one.optimiser.step()
        one.matrix.copy_(on_simplex(one.matrix))
    return float(error.detach().mean())
