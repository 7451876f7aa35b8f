"""Forget-Me-Not: Learning to Forget in Text-to-Image Diffusion Models (Zhang et al., arXiv 2303.17591).

The default is the paper's attention resteering alone, on the concept's own tokens. The configuration that its authors
ship is for Stable Diffusion 2.1-base, learns four tokens by textual inversion first and counts every end-of-text
position (`use_pooler`): `end_and_padding: true, inverted_tokens: 4`.

What differs from their code: where no folder is given, the original model draws the images; images are not mirrored;
latents are the encoder's mean, not a sample; the inversion trains in the training's precision, not in fp16.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import Field, computed_field

from erasebench import (
    BenchError,
    MethodConfig,
    Unreadable,
    folder_hash,
    invert,
    method,
    read_image,
    visible_cross_attention,
)

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer

TIMESTEPS = 1000


class Config(MethodConfig):
    """Steps, lr and what follows are those of the authors' code; what is ours is marked."""

    parameters: Literal["full", "xattn"] = "full"
    steps: int = 35
    batch: int = 1
    lr: float = 2e-6
    weight_decay: float = 0.01
    clip: float = 1.0
    end_and_padding: bool = False  # authors' use_pooler: with CLIP's padding, every position after the prompt too
    inverted_tokens: int = Field(0, ge=0, le=16)  # authors' configuration: 4; 0: the concept's own tokens
    inversion_steps: int = Field(500, ge=1)
    inversion_lr: float = 1e-3
    inversion_weight_decay: float = 0.1
    folder: str | None = None  # PNG images of the concept; None: the original model draws them
    images: int = 16  # ours: how many it draws
    sampler_steps: int = 50  # ours: DDIM
    sampler_guidance: float = 7.5  # ours

    @computed_field
    def folder_hash(self) -> str:
        """A hash of the folder's contents, so that other images are another training."""
        if self.folder is None:
            return ""
        if not Path(self.folder).is_dir():
            raise BenchError(f"Forget-Me-Not: there is no folder {self.folder}.")
        return folder_hash(Path(self.folder))


def needs_one_encoder(config: Config) -> str:
    """Why a configuration takes models with one text encoder alone; "" where it does not."""
    if not config.inverted_tokens:
        return ""
    return "tokens are learned for one. Set forget-me-not.inverted_tokens=0: the concept's own tokens lose attention."


def attention_norm(squares: list[torch.Tensor]) -> torch.Tensor:
    """The Frobenius norm over all layers, heads, pixels and concept tokens, averaged over the batch.

    Args:
        squares: for each layer, the sum of squared probabilities of each sample, of shape (batch,).
    """
    return torch.stack(squares).sum(0).sqrt().mean()


@method(
    label="Forget-Me-Not",
    paper="arXiv 2303.17591",
    config=Config,
    several="turns",
    version=2,
    one_encoder=needs_one_encoder,
    presets={
        # The full UNet, trained towards no target, draws nothing more at any point of the grid.
        "mini": {"parameters": "xattn", "steps": 50, "batch": 4, "lr": 3e-4, "sampler_steps": 12}
    },
)
def forget_me_not(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Take the attention away from the concept's tokens.

    Equation 3 (attention resteering): the norm, not squared, of all cross-attention probabilities of the concept's
    tokens, on noised latents of images of the concept, t uniform in 0 … 999. Neither a teacher nor a target.
    """
    forget_me_not.check_encoders(len(model.texts.networks), config, model.name)
    template = "a photo in the style of {x}" if task.kind == "style" else "a photo of {x}"
    prompt = template.format(x=task.prompt)
    if config.folder is None:
        latents = trainer.drawn_images(
            [prompt] * config.images, "", config.sampler_steps, config.sampler_guidance, "ddim"
        )
    else:
        latents = _encode_folder(model, Path(config.folder))
    context, count = trainer.text(prompt), model.token_count(task.prompt)
    if config.inverted_tokens:
        context, count = _inverted(model, task, config, trainer, template, latents), config.inverted_tokens
    first = 1 + model.token_count(prompt) - model.token_count(task.prompt)
    columns = slice(first, None if config.end_and_padding else first + count)

    squares: list[torch.Tensor] = []
    looking = False

    def measure(probabilities: torch.Tensor) -> torch.Tensor:
        found = probabilities[..., columns].float().square().sum((1, 2, 3))
        if looking:  # not when activations are recomputed, whose graphs would stay alive
            squares.append(found)
        return probabilities

    def loss(step: int) -> torch.Tensor:
        nonlocal looking
        squares.clear()
        z = latents[trainer.integers(len(latents), config.batch).to(model.device)]
        t = trainer.integers(TIMESTEPS, config.batch).to(model.device)
        looking = True
        model.predict_noise(model.add_noise(z, trainer.noise(config.batch), t), t, context)
        looking = False
        return attention_norm(squares)

    with visible_cross_attention(model.unet, measure):
        trainer.fit(
            loss,
            steps=config.steps,
            lr=config.lr,
            optimiser="adamw",
            weight_decay=config.weight_decay,
            clip=config.clip,
        )


def _inverted(
    model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer, template: str, latents: torch.Tensor
) -> torch.Tensor:
    def learn(generator: torch.Generator) -> dict[str, torch.Tensor]:
        found = invert(
            model,
            latents,
            template,
            task.prompt,
            count=config.inverted_tokens,
            steps=config.inversion_steps,
            lr=config.inversion_lr,
            weight_decay=config.inversion_weight_decay,
            generator=generator,
            report=lambda step, text: trainer.report(0, text),
        )
        return {"embedding": found}

    erasing = {"parameters", "steps", "batch", "lr", "weight_decay", "clip", "end_and_padding"}
    what = {"inversion of": template.format(x=task.prompt), "config": config.model_dump(exclude=erasing)}
    return trainer.shared.made_once(what, learn)["embedding"]


def _encode_folder(model: TextToImage, folder: Path) -> torch.Tensor:
    files = sorted(folder.glob("*.png"))
    if not files:
        raise BenchError(f"Forget-Me-Not: folder {folder} holds no PNG images of the concept.")
    images = [_image(file) for file in files]
    wrong = [f.name for f, image in zip(files, images, strict=True) if image.shape[:2] != (model.image_size,) * 2]
    if wrong:
        raise BenchError(f"Forget-Me-Not: {folder / wrong[0]} is not {model.image_size} × {model.image_size} pixels.")
    return torch.cat([model.encode_images(image[None]) for image in images])


def _image(file: Path) -> np.ndarray:
    image = read_image(file)
    if isinstance(image, Unreadable):
        raise BenchError(f"Forget-Me-Not: images: {image}. Mend or remove it.")
    return image
