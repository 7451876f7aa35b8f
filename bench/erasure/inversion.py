"""Textual inversion: token embeddings that stand for what images show (Gal et al., ICLR 2023, arXiv 2208.01618)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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

    One image a step; the tokens start at the concept's own, the rest at random. Arguments as for `learn`.
    """
    learned = learn(
        model,
        latents,
        [template],
        concept,
        count=count,
        steps=steps,
        batch=1,
        lr=lr,
        weight_decay=weight_decay,
        pull=PULL,
        generator=generator,
        report=report,
    )
    ids, first = _framed(model, template, count)
    with torch.no_grad(), tokens_replaced(model.text_encoder, first, learned):
        return model.text_encoder(ids)[0].float()


def learn(
    model: TextToImage,
    latents: torch.Tensor,
    templates: Sequence[str],
    start: str,
    *,
    count: int,
    steps: int,
    batch: int,
    lr: float,
    weight_decay: float,
    pull: float,
    generator: torch.Generator,
    report: Callable[[int, str], None] = lambda step, text: None,
) -> torch.Tensor:
    """Vectors of `count` tokens that stand for what images show, (count, width).

    Minimises E‖ε(√ᾱ x + √(1 − ᾱ) ε, t, p) − ε‖² over the tokens with AdamW (equation 2; slides of arXiv 2410.15618's
    author, equations 8 and 9).

    Args:
        model: left as it was; of one text encoder.
        latents: clean ones of the images, (images, channels, height, width).
        templates: prompts with `{x}`, of which each step takes one.
        start: the words whose tokens the vectors start at; further vectors start at random.
        count: tokens to learn.
        steps: updates.
        batch: images a step.
        lr: AdamW's.
        weight_decay: AdamW's.
        pull: after each step their length goes this part of the way to the vocabulary's mean (that of the LoRA trainer
            that Forget-Me-Not uses, whose 0.4 is Stable Diffusion's); 0 for none.
        generator: of all that is random, on the CPU.
        report: called after each step with its number and a line.
    """
    table = model.text_encoder.get_input_embeddings()
    own = _ids(model, start)[0, 1 : 1 + min(count, model.token_count(start))]
    usual = table.weight.detach().float().norm(dim=1).mean()
    learned = torch.randn(count, table.weight.shape[1], generator=generator).to(model.device)
    learned[: len(own)] = table.weight[own].detach().float()
    learned.requires_grad_(True)
    optimiser = torch.optim.AdamW([learned], lr=lr, weight_decay=weight_decay)
    frames = [_framed(model, template, count) for template in templates]
    for step in range(steps):
        which = torch.randint(len(latents), (batch,), generator=generator)
        t = torch.randint(TIMESTEPS, (batch,), generator=generator).to(model.device)
        noise = torch.randn((batch, *model.latent_shape), generator=generator).to(model.device)
        ids, first = frames[int(torch.randint(len(frames), (1,), generator=generator)) if len(frames) > 1 else 0]
        z = model.add_noise(latents[which.to(model.device)], noise, t)
        with torch.enable_grad(), tokens_replaced(model.text_encoder, first, learned):
            loss = mse_loss(model.predict_noise(z, t, model.text_encoder(ids)[0].float()), noise)
        (learned.grad,) = torch.autograd.grad(loss, learned)
        optimiser.step()
        with torch.no_grad():
            length = learned.norm(dim=1, keepdim=True)
            learned.mul_((length + pull * (usual - length)) / length)
        report(step + 1, f"inversion {step + 1}/{steps}, loss {float(loss.detach()):.4g}")
    return learned.detach()


def _framed(model: TextToImage, template: str, count: int) -> tuple[torch.Tensor, int]:
    """A template's ids, (1, 77), with stand-ins for `{x}`, and the position of the first of these."""
    ids = _ids(model, template.format(x=" ".join([PLACEHOLDER] * count)))
    return ids, 1 + model.token_count(template.split("{x}")[0].strip())


def _ids(model: TextToImage, text: str) -> torch.Tensor:
    tokens = model.tokenizer(
        text, padding="max_length", max_length=model.tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    return tokens.input_ids.to(model.device)
