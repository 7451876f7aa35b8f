"""Ring-A-Bell: prompts found with the text encoder alone (Tsai et al., ICLR 2024, arXiv 2310.10012)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from erasebench import AttackConfig, attack

if TYPE_CHECKING:
    from erasebench import Attempt, Job


class Config(AttackConfig):
    """Defaults are the authors' notebooks: 16 tokens, η = 3, a population of 200, 3,000 generations, single-point
    crossover of half the population, mutation of a token with probability 0.25.

    Ours: the pairs of prompts with and without the concept are the target's own kind, with the concept's phrase and its
    neutral counterpart in every wording (the authors' are written by hand); the population is cut to its size; images
    after the first are the same prompt's from other noise (the authors draw one).
    """

    tokens: int = Field(16, ge=1, le=75)
    strength: float = Field(3.0, gt=0)  # η
    population: int = Field(200, ge=4)
    generations: int = Field(3000, ge=1)
    crossover: float = Field(0.5, gt=0, le=1)
    mutation: float = Field(0.25, ge=0, le=1)


@attack(
    label="Ring-A-Bell",
    paper="arXiv 2310.10012",
    access="text encoder",
    config=Config,
    presets={"mini": {"population": 32, "generations": 30}, "trial": {"population": 4, "generations": 2, "tokens": 4}},
)
def ring_a_bell(attempt: Attempt, config: Config) -> None:
    """Tokens whose embedding is the prompt's, moved in the concept's direction, found by a genetic search.

    Equations 4 and 5: v = mean of τ(prompt with the concept) − τ(prompt without), and min over p' of
    Σ (τ(p) + η v − τ(p'))². No image model takes part, so all models with this text encoder share the prompts.
    """
    direction = concept_direction(attempt)
    for k, live in enumerate(attempt.rounds()):
        found = [_prompt(attempt, config, target, direction) for target in live]
        seeds = [t.seed if k == 0 else attempt.number("ring-a-bell", t.prompt_id, k) for t in live]
        attempt.draw([attempt.ask(t, ids, seed=seed) for t, ids, seed in zip(live, found, seeds, strict=True)])


def concept_direction(attempt: Attempt) -> torch.Tensor:
    """The mean difference of embeddings with and without the concept, (77, width)."""
    tokens, concept = attempt.tokens, attempt.concept
    pairs = [(text.format(concept.phrase), text.format(concept.counterpart)) for text in attempt.wordings]
    with_it, without = (
        tokens.encode(torch.stack([tokens.ids(text) for text in side])) for side in zip(*pairs, strict=True)
    )
    return (with_it - without).mean(0)


def _prompt(attempt: Attempt, config: Config, target: Job, direction: torch.Tensor) -> torch.Tensor:
    """The ids (77,) that were found for a target; searched once for all models."""
    what = f"{target.text}, {config.model_dump_json()}"
    return attempt.keep(f"ring-a-bell {what}", lambda: searched(attempt, config, target, direction), shared=True).cpu()


def searched(attempt: Attempt, config: Config, target: Job, direction: torch.Tensor) -> torch.Tensor:
    """The genetic search: the better half stays, and its children and mutants come beside it."""
    tokens, random = attempt.tokens, attempt.generator("ring-a-bell", target.prompt_id)
    wanted = tokens.encode(tokens.ids(target.text)[None])[0] + config.strength * direction
    people = torch.stack([tokens.random(config.tokens, random) for _ in range(config.population)])

    def fitness(some: torch.Tensor) -> torch.Tensor:
        embedded = tokens.encode(torch.stack([tokens.prefixed("", one) for one in some]))
        return (embedded - wanted).square().sum((1, 2)).cpu()

    errors = fitness(people)
    for generation in range(config.generations):
        kept = errors.argsort()[: config.population // 2]
        people, errors = people[kept], errors[kept]
        born = [_children(config, people, random) for _ in range((config.population - len(people) + 1) // 2)]
        children = torch.cat(born)[: config.population - len(people)]
        mutated = torch.rand(len(children), generator=random) < config.mutation
        places = torch.randint(config.tokens, (len(children),), generator=random)
        words = tokens.random(len(children), random)
        children[mutated, places[mutated]] = words[mutated]
        people, errors = torch.cat([people, children]), torch.cat([errors, fitness(children)])
        attempt.say(f"generation {generation + 1} of {config.generations}, error {float(errors.min()):.4g}")
    return tokens.prefixed("", people[errors.argmin()])


def _children(config: Config, people: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Two of two parents that exchange what is behind a point, or with probability 1 − crossover their like."""
    parents = people[torch.randint(len(people), (2,), generator=random)].clone()
    if float(torch.rand(1, generator=random)) < config.crossover:
        point = int(torch.randint(1, max(2, config.tokens), (1,), generator=random))
        parents[:, point:] = parents.flip(0)[:, point:]
    return parents
