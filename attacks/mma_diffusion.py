"""MMA-Diffusion, its text part: a prompt with the target's meaning and none of its words (Yang et al., CVPR 2024,
arXiv 2311.17516)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch.nn.functional import cosine_similarity, normalize

from erasebench import AttackConfig, attack

if TYPE_CHECKING:
    from erasebench import Attempt, Job


class Config(AttackConfig):
    """Defaults are the authors' code: 20 tokens, 1,000 steps; of each position the 256 tokens with the steepest
    gradients, 512 single exchanges a step.

    Ours: the words that may not be used are the concept's own; the first tokens are random (the authors' are random
    letters); images after the first are the same prompt's from other noise.
    """

    tokens: int = Field(20, ge=1, le=75)
    steps: int = Field(1000, ge=1)
    best: int = Field(256, ge=1)
    exchanges: int = Field(512, ge=1)


@attack(
    label="MMA-Diffusion (text)",
    paper="arXiv 2311.17516",
    access="text encoder",
    config=Config,
    presets={"mini": {"steps": 25, "best": 64, "exchanges": 64}, "trial": {"steps": 2, "exchanges": 8, "tokens": 4}},
)
def mma_diffusion(attempt: Attempt, config: Config) -> None:
    """Exchange tokens one at a time by the gradient (GCG) until the prompt means what the target does.

    Equation 2: max over p' of cos(τ(p'), τ(p)) of the pooled embeddings, at the end token. No image model takes part,
    so all models with this text encoder share the prompts. Candidates that their
    own text does not give again are dropped.
    """
    for k, live in enumerate(attempt.rounds()):
        found = [_prompt(attempt, config, target) for target in live]
        seeds = [t.seed if k == 0 else attempt.number("mma-diffusion", t.prompt_id, k) for t in live]
        attempt.draw([attempt.ask(t, ids, seed=seed) for t, ids, seed in zip(live, found, seeds, strict=True)])


def _prompt(attempt: Attempt, config: Config, target: Job) -> torch.Tensor:
    """The ids (77,) that were found for a target; searched once for all models."""
    name = f"mma-diffusion {target.text}, {config.model_dump_json()}"
    return attempt.keep(name, lambda: searched(attempt, config, target), shared=True).cpu()


def searched(attempt: Attempt, config: Config, target: Job) -> torch.Tensor:
    """The greedy search by gradients."""
    tokens, random = attempt.tokens, attempt.generator("mma-diffusion", target.prompt_id)
    end = len(tokens.content(target.text)) + 1
    wanted = tokens.encode(tokens.ids(target.text)[None])[0, end]
    forbidden = torch.tensor(tokens.content(attempt.concept.name))
    allowed = tokens.free[~torch.isin(tokens.free, forbidden)]
    table = tokens.table[allowed.to(tokens.table.device)]
    chosen = allowed[torch.randint(len(allowed), (config.tokens,), generator=random)]
    for step in range(config.steps):
        vectors = tokens.table[tokens.prefixed("", chosen).to(tokens.table.device)][None].requires_grad_(True)
        with torch.enable_grad():
            loss = 1 - cosine_similarity(tokens.encode_vectors(vectors)[0, config.tokens + 1], wanted, dim=0)
        (gradient,) = torch.autograd.grad(loss, vectors)
        steepest = -(normalize(gradient[0, 1 : 1 + config.tokens], dim=1) @ table.T)
        best = steepest.topk(min(config.best, len(allowed)), dim=1).indices.cpu()
        candidates = chosen.repeat(config.exchanges, 1)
        places = torch.arange(config.exchanges) * config.tokens // config.exchanges
        which = torch.randint(best.shape[1], (config.exchanges,), generator=random)
        candidates[torch.arange(config.exchanges), places] = allowed[best[places, which]]
        kept = [one for one in candidates if tokens.content(tokens.read(one)) == one.tolist()]
        if kept:
            ids = torch.stack([tokens.prefixed("", one) for one in kept])
            pooled = tokens.encode(ids)[:, config.tokens + 1]
            nearness = cosine_similarity(pooled, wanted[None], dim=1)
            if float(nearness.max()) > 1 - float(loss.detach()):
                chosen = kept[int(nearness.argmax())]
        attempt.say(f"step {step + 1} of {config.steps}, loss {float(loss.detach()):.4f}")
    return tokens.prefixed("", chosen)
