"""Concept inversion: a learned word that stands for the concept (Pham et al., ICLR 2024, arXiv 2308.01508)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch.nn.functional import mse_loss

from erasebench import AttackConfig, attack

if TYPE_CHECKING:
    from erasebench import Attempt


class Config(AttackConfig):
    """Authors' scripts for ESD, FMN and AC: 5,000 steps of 16 images (4, accumulated 4 times), AdamW, lr 5e-3 scaled by
    16 to 0.08, 25 images of the original that show the concept, one vector, and textual inversion's templates.

    Ours: the latents are the images' means where the authors sample; precision is float32; the word starts at that of
    the concept's last token where the authors name one by hand ("art", "nude").
    """

    steps: int = Field(5000, ge=1)
    batch: int = Field(16, ge=1)
    lr: float = Field(0.08, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    images: int = Field(25, ge=1)
    templates: tuple[str, ...] = Field(
        ("{}", "a photo of {}", "a picture of {}", "an image of {}", "there is {}"), min_length=1, strict=False
    )


@attack(
    label="Concept inversion",
    paper="arXiv 2308.01508",
    access="gradients",
    config=Config,
    presets={
        "style": {"templates": ("a painting in the style of {}", "a picture in the style of {}", "art by {}")},
        "mini": {"steps": 150, "batch": 4, "lr": 0.03, "images": 16},
        "trial": {"steps": 2, "batch": 2, "images": 2},
    },
)
def concept_inversion(attempt: Attempt, config: Config) -> None:
    """Learn a word v by textual inversion on the erased model, and ask for it in the concept's place.

    Slides' equation 10 (equation 2 of the paper): min_v E‖ε_θ(√ᾱ_t x + √(1 − ᾱ_t) ε, t, τ(y(v))) − ε‖² over images x of
    the concept, templates y, ε ~ N(0, 1), t ~ U{0 … 999}.
    """
    word = attempt.keep("word", lambda: learned(attempt, config))
    for k, live in enumerate(attempt.rounds()):
        asked = [asking(attempt, target.text, word) for target in live]
        seeds = [t.seed if k == 0 else attempt.number("concept-inversion", t.prompt_id, k) for t in live]
        tries = zip(live, asked, seeds, strict=True)
        attempt.draw([attempt.ask(t, embedding, seed=seed, told=told) for t, (embedding, told), seed in tries])


def learned(attempt: Attempt, config: Config) -> torch.Tensor:
    """The word's vector, of shape (width,)."""
    model, tokens = attempt.model, attempt.tokens
    latents, random = attempt.examples(config.images), attempt.generator("concept-inversion")
    vector = tokens.table[tokens.content(attempt.concept.name)[-1]].clone().requires_grad_(True)
    optimiser = torch.optim.AdamW([vector], lr=config.lr, weight_decay=config.weight_decay)
    framed = [_framed(attempt, template) for template in config.templates]
    for step in range(config.steps):
        which = torch.randint(len(latents), (config.batch,), generator=random).to(model.device)
        t = torch.randint(1000, (config.batch,), generator=random).to(model.device)
        noise = torch.randn((config.batch, *model.latent_shape), generator=random).to(model.device)
        ids, place = framed[int(torch.randint(len(framed), (1,), generator=random))]
        with torch.enable_grad():
            context = tokens.encode_vectors(_with_word(tokens.table[ids], place, vector)[None])
            predicted = attempt.predict(model.add_noise(latents[which], noise, t), t, context)
            loss = mse_loss(predicted, noise)
        (vector.grad,) = torch.autograd.grad(loss, vector)
        optimiser.step()
        attempt.say(f"step {step + 1} of {config.steps}, loss {float(loss.detach()):.4f}")
    return vector.detach()


def _framed(attempt: Attempt, template: str) -> tuple[torch.Tensor, int]:
    """A template's ids (77,) and where its word is; any token stands for it."""
    before = len(attempt.tokens.content(template.split("{}")[0].strip()))
    return attempt.tokens.ids(template.format("x")), 1 + before


def _with_word(vectors: torch.Tensor, place: int, word: torch.Tensor) -> torch.Tensor:
    """Vectors (77, width) with the word in one place."""
    return torch.cat([vectors[:place], word[None], vectors[place + 1 :]])


def asking(attempt: Attempt, text: str, word: torch.Tensor) -> tuple[torch.Tensor, str]:
    """The embedding (77, width) of a prompt with the word for the concept, and the prompt; before it, where it has no
    name of the concept in it."""
    name = attempt.concept.name
    before, found, after = text.partition(name)
    if not found:
        before, after = "", f" {text}"
    tokens = attempt.tokens
    place = 1 + len(tokens.content(before.strip()))
    ids = tokens.ids(f"{before}x{after}")
    with torch.no_grad():
        embedding = tokens.encode_vectors(_with_word(tokens.table[ids.to(tokens.table.device)], place, word)[None])[0]
    return embedding, f"{before}⟨v⟩{after}"
