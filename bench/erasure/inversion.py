"""Textual inversion: token embeddings that stand for what images show (Gal et al., ICLR 2023, arXiv 2208.01618)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import mse_loss

from ..models.text_to_image import TextToImage
from ..models.token_vectors import PLACEHOLDER, tokens_replaced

TIMESTEPS = 1000
PULL = 0.1  # part of the way to the usual length that an embedding goes after each step


def invert(
    model: TextToImage,
    latents: torch.Tensor,
    template: str,
    concept: str,
    *,
    count: int,
    steps: int,
    lr: float,
    weight_decay: float,
    generator: torch.Generator,
    report: Callable[[int, str], None] = lambda step, text: None,
) -> torch.Tensor:
    """The embedding of a prompt whose `{x}` is `count` learned tokens; (1, 77, width).

    Minimises E‖ε(√ᾱ x + √(1 − ᾱ) ε, t, p) − ε‖² over the tokens with AdamW, one image a step. They start at the
    concept's own, the rest at random; after each step their length goes a tenth of the way to the vocabulary's mean
    (the pull of the LoRA trainer that Forget-Me-Not uses, whose 0.4 is Stable Diffusion's).

    Args:
        model: left as it was.
        latents: clean ones of the images, (images, channels, height, width).
        template: a prompt with `{x}` at its end.
        concept: the words whose tokens come first.
        count: tokens to learn.
        steps: updates.
        lr: AdamW's.
        weight_decay: AdamW's.
        generator: of all that is random, on the CPU.
        report: called after each step with its number and a line.
    """
    table = model.text_encoder.get_input_embeddings()
    ids = _ids(model, template.format(x=" ".join([PLACEHOLDER] * count)))
    end = 1 + model.token_count(template.format(x=" ".join([PLACEHOLDER] * count)))
    own = _ids(model, concept)[0, 1 : 1 + min(count, model.token_count(concept))]
    usual = table.weight.detach().float().norm(dim=1).mean()
    start = torch.randn(count, table.weight.shape[1], generator=generator).to(model.device)
    start[: len(own)] = table.weight[own].detach().float()
    learned = start.requires_grad_(True)

    optimiser = torch.optim.AdamW([learned], lr=lr, weight_decay=weight_decay)
    with tokens_replaced(model.text_encoder, end - count, learned):
        for step in range(steps):
            which = torch.randint(len(latents), (1,), generator=generator)
            t = torch.randint(TIMESTEPS, (1,), generator=generator).to(model.device)
            noise = torch.randn((1, *model.latent_shape), generator=generator).to(model.device)
            z = model.add_noise(latents[which.to(model.device)], noise, t)
            with torch.enable_grad():
                loss = mse_loss(model.predict_noise(z, t, model.text_encoder(ids)[0].float()), noise)
            (learned.grad,) = torch.autograd.grad(loss, learned)
            optimiser.step()
            with torch.no_grad():
                length = learned.norm(dim=1, keepdim=True)
                learned.mul_((length + PULL * (usual - length)) / length)
            report(step + 1, f"inversion {step + 1}/{steps}, loss {float(loss.detach()):.4g}")
        with torch.no_grad():
            return model.text_encoder(ids)[0].float()


def _ids(model: TextToImage, text: str) -> torch.Tensor:
    tokens = model.tokenizer(
        text, padding="max_length", max_length=model.tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    return tokens.input_ids.to(model.device)
