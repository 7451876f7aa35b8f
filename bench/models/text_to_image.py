"""The text-to-image model as everything else sees it: encode, predict noise, sample, decode."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import nn
from torch.func import functional_call

from ..errors import BenchError, ModelUnavailable
from .pipeline_folder import noise_schedule
from .sampler import Sampler, new_sampler
from .sampler_steps import schedule_fault
from .text_encoders import TextEncoders, TwoEncoders, text_encoders
from .velocity import noise_of_velocity

if TYPE_CHECKING:
    from .patch import Attached

Predict = Callable[[torch.Tensor, float, int], torch.Tensor]
# Images that are decoded together: 8, or as many as have the pixels of 8 of 512 × 512. Four times as many would make a
# tensor of 2³¹ elements.
DECODED, DECODED_PIXELS = 8, 8 * 512 * 512


@dataclass
class ForwardCount:
    """UNet forwards so far, in images (a guided prediction of one image counts 2)."""

    without_gradient: int = 0
    with_gradient: int = 0


class TextToImage:
    """A Stable Diffusion pipeline's parts on one device.

    Attributes:
        family: the name of the model's family; methods have presets by it.
        revision: a content hash or a hub commit; part of every cache key.
        unet: the network that methods change.
        texts: the text encoders.
        levels: the noise schedule, and what the network predicts: all that is taken of the model's saved sampler.
        products: ᾱ by noise level, 0 … 999.
        image_size: height and width of an image in pixels.
        cut: the texts encoded so far that were longer than the text encoder takes.
        attached: the patches in the place of weights, the outermost first; copies of a model share the list.
    """

    def __init__(self, pipeline: DiffusionPipeline, name: str, family: str, revision: str, device: str) -> None:
        self.name, self.family, self.revision, self.device = name, family, revision, device
        self.unet: UNet2DConditionModel = pipeline.unet.to(device).eval().requires_grad_(False)
        self.vae = pipeline.vae.to(device).eval().requires_grad_(False)
        self.texts = text_encoders(pipeline, device)
        self.text_encoder, self.tokenizer = pipeline.text_encoder, pipeline.tokenizer  # SDXL has a second pair
        self.levels = noise_schedule(pipeline.scheduler.config)
        self.scheduler = DDIMScheduler(
            **self.levels, clip_sample=False, set_alpha_to_one=False, timestep_spacing="leading", steps_offset=1
        )
        self.products: list[float] = self.scheduler.alphas_cumprod.tolist()
        size = self.unet.config.sample_size
        self.latent_shape = (self.unet.config.in_channels, size, size)
        self.image_size = size * 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.forwards = ForwardCount()
        self.autocast_dtype: torch.dtype | None = None
        self.cut: set[str] = set()
        self.attached: list[Attached] = []

    @torch.no_grad()
    def encode(self, prompts: Sequence[str], texts: TextEncoders | None = None) -> torch.Tensor:
        """Text embeddings of shape (len(prompts), rows, width); longer prompts are cut, and kept in `cut`.

        A row for each of 77 tokens; SDXL's last row, the 78th, is the text as a whole (`TwoEncoders`). `texts` are the
        encoders, the model's own by default.
        """
        self.cut.update(self.truncated(prompts))
        return (texts or self.texts).encode(prompts)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """All networks by part, the UNet first."""
        return {"unet": self.unet, **self.texts.networks, "vae": self.vae}

    @property
    def positions(self) -> int:
        """How many rows of an embedding are tokens."""
        return int(self.tokenizer.model_max_length)

    def truncated(self, texts: Sequence[str]) -> list[str]:
        """Those of the texts that have more tokens than the text encoder's 77, start and end included."""
        counts = [len(ids) for ids in self.tokenizer(list(texts)).input_ids] if texts else []
        return [text for text, count in zip(texts, counts, strict=True) if count > self.tokenizer.model_max_length]

    def token_count(self, text: str) -> int:
        """How many tokens a text has, without start, end and padding."""
        return len(self.tokens(text))

    def tokens(self, text: str) -> list[str]:
        """A text's tokens, such as "truck</w>", without start, end and padding."""
        return self.tokenizer.convert_ids_to_tokens(self.tokenizer(text, truncation=True).input_ids[1:-1])

    def frozen_copy(self, shared: Iterable[torch.Tensor] = ()) -> UNet2DConditionModel:
        """A frozen copy of the UNet as it is now; weights in `shared` never change and are not copied."""
        return copy.deepcopy(self.unet, {id(weight): weight for weight in shared}).eval().requires_grad_(False)

    def predict_noise(
        self, z: torch.Tensor, t: torch.Tensor | float, context: torch.Tensor, unet: UNet2DConditionModel | None = None
    ) -> torch.Tensor:
        """ε(z, t, c) of shape (batch, channels, height, width), in float32; counted.

        A network that predicts velocity is read as noise, so that all losses are differences of ε.
        `context` has one row for each row of `z`, or a single one for all. A forward is one with gradient where any of
        weights, `z` and `context` takes one.
        """
        network = unet if unet is not None else self.unet
        if len(context) != len(z):
            context = context.expand(len(z), -1, -1)
        if torch.is_grad_enabled() and any(p.requires_grad for p in (context, z, *network.parameters())):
            self.forwards.with_gradient += len(z)
        else:
            self.forwards.without_gradient += len(z)
        if self.autocast_dtype is None:
            predicted = self.predict(z.to(network.dtype), t, context.to(network.dtype), network).float()
            return self.as_noise(predicted, z, t)
        kind = torch.device(self.device).type
        with torch.autocast(kind, self.autocast_dtype), _output_in_float32(network, kind):
            predicted = self.predict(z, t, context, network)
        return self.as_noise(predicted, z, t)

    def predict_noise_between(
        self, share: float, z: torch.Tensor, t: torch.Tensor | float, context: torch.Tensor
    ) -> torch.Tensor:
        """`predict_noise` with so much of what the row's patch adds to the UNet's weights as `share` says.

        What changed the weights since, as an attack does, stays as it is.

        Raises:
            BenchError: the patch changes other parts than the UNet.
        """
        weights = dict(self.unet.named_parameters())
        change = self.attached[0].change if self.attached else {}
        if others := [name for name in change if name not in weights]:
            raise BenchError(f"only a UNet's weights can be scaled by the prompt, and the row changes {others[0]}.")
        mixed = {f"unet.{name}": weights[name] - (1 - share) * added for name, added in change.items()}
        asked: torch.Tensor = functional_call(_Predictor(self), mixed, (z, t, context))
        return asked

    def predict(
        self, z: torch.Tensor, t: torch.Tensor | float, context: torch.Tensor, network: UNet2DConditionModel
    ) -> torch.Tensor:
        """What a network gives, noise or velocity, with one row of `context` for each of `z`; not counted."""
        height, width = (side * self.image_size // self.latent_shape[1] for side in z.shape[-2:])
        words, more = self.texts.arguments(context, height, width)
        predicted: torch.Tensor = network(z, t, words, **more).sample
        return predicted

    def as_noise(self, predicted: torch.Tensor, z: torch.Tensor, t: torch.Tensor | float) -> torch.Tensor:
        """A network's prediction at z and t as ε; `t` as for `noise_of_velocity`."""
        if self.levels["prediction_type"] == "epsilon":
            return predicted
        return noise_of_velocity(predicted, z, t, self.products)

    def timesteps(self, steps: int) -> list[int]:
        """DDIM's "leading" timesteps with Stable Diffusion's offset of 1, noisiest first (50: 981, 961, …, 1)."""
        return [int(t) for t in self.sampler("ddim", steps).timesteps]

    def sampler(self, solver: str, steps: int) -> Sampler:
        """A sampler on this model's noise levels, for one walk.

        Raises:
            BenchError: so many steps would not begin at pure noise.
        """
        if fault := schedule_fault(solver, steps, self.scheduler.config.num_train_timesteps):
            raise BenchError(f"{fault}.")
        return new_sampler(solver, self.levels, self.products, steps)

    @torch.no_grad()
    def walk(
        self,
        z: torch.Tensor,
        predict: Predict,
        steps: int,
        until: int | Sequence[int] | None = None,
        solver: str = "ddim",
        begin: int = 0,
    ) -> torch.Tensor:
        """Run a sampler from pure noise, or from a level in between, with any noise estimate.

        Args:
            z: noise at the first level, or latents at the level of `timesteps(steps)[begin]`, (batch, channels, height,
                width).
            predict: (z, timestep, step) → noise; z holds the rows that still go on.
            steps: sampler steps.
            until: stop before the step with this index, so that the result lies exactly at the noise level of
                `timesteps(steps)[until]`; one for all rows or one for each; None for a clean latent.
            solver: "ddim" with η=0, "dpm++" (2M), "lms" or "pndm"; only DDIM takes one `until` for each row.
            begin: the first step that is taken; only "ddim" begins elsewhere than at 0.

        Raises:
            BenchError: so many steps would not begin at pure noise, or this solver can't begin in between.
        """
        sampler = self.sampler(solver, steps)
        if begin and (solver != "ddim" or not 0 < begin < steps):
            raise BenchError(f"{solver} with {steps} steps can't begin at step {begin}: give ddim, and a step of its.")
        z = z * sampler.start
        stop = len(sampler.timesteps) if until is None else until
        if isinstance(stop, int):
            for step, t in list(enumerate(sampler.timesteps))[begin:stop]:
                z = sampler.step(z, predict(sampler.scaled(z, step), t, step), step)
            return z
        z = z.clone()
        for step, t in list(enumerate(sampler.timesteps))[begin : max(stop)]:
            live = [row for row, end in enumerate(stop) if end > step]
            z[live] = sampler.step(z[live], predict(z[live], t, step), step)
        return z

    def denoise(
        self,
        z: torch.Tensor,
        context: torch.Tensor,
        empty: torch.Tensor,
        *,
        steps: int,
        guidance: float | Sequence[float],
        until: int | Sequence[int] | None = None,
        unet: UNet2DConditionModel | None = None,
        solver: str = "ddim",
        begin: int = 0,
    ) -> torch.Tensor:
        """`walk` with classifier-free guidance: ε(∅) + guidance · (ε(c) − ε(∅)).

        Args:
            z: noise at the first level, or latents at that of `begin`, (batch, channels, height, width).
            context: embeddings, (batch, 77, width), or (1, 77, width) for all rows.
            empty: the embedding of "" or of a negative prompt, (1, 77, width).
            steps: sampler steps.
            guidance: one for all rows, or one for each; where all are 1 the unconditional forward is left out.
            until: as for `walk`; several levels need a single context.
            unet: the network that draws; the model's own by default.
            solver: as for `walk`.
            begin: as for `walk`.
        """
        scales = [guidance] if isinstance(guidance, int | float) else list(guidance)
        scale = torch.tensor(scales, dtype=torch.float32, device=z.device).view(-1, 1, 1, 1)

        def predict(z: torch.Tensor, t: float, step: int) -> torch.Tensor:
            conditions = context.expand(len(z), -1, -1)
            if all(one == 1 for one in scales):
                return self.predict_noise(z, t, conditions, unet)
            both = torch.cat([empty.expand(len(z), -1, -1), conditions])
            unconditional, conditional = self.predict_noise(torch.cat([z, z]), t, both, unet).chunk(2)
            return unconditional + scale * (conditional - unconditional)

        return self.walk(z, predict, steps, until, solver, begin)

    @torch.no_grad()
    def invert(
        self,
        latents: torch.Tensor,
        context: torch.Tensor,
        *,
        steps: int,
        until: Sequence[int] = (0,),
        unet: UNet2DConditionModel | None = None,
    ) -> dict[int, torch.Tensor]:
        """DDIM backwards, without guidance: latents at noise levels from which its steps lead back to these images.

        z_{t'} = √ᾱ_{t'} x̂₀ + √(1 − ᾱ_{t'}) ε(z_t, t', c), with x̂₀ from the same noise (equation 12 of DDIM, arXiv
        2010.02502, η = 0): the noise is predicted at the level that is gone to, so the way back is near, not exact.

        Args:
            latents: clean ones, (batch, channels, height, width).
            context: embeddings, (batch, 77, width), or (1, 77, width) for all rows.
            steps: of DDIM.
            until: levels to give, as indices of `timesteps(steps)`; 0 is the noisiest.
            unet: the network that predicts; the model's own by default.

        Returns:
            By index, the latents at that level: what `walk` takes with `begin`.
        """
        products, found = self.scheduler.alphas_cumprod.to(self.device), dict[int, torch.Tensor]()
        z, before = latents, products[0]  # set_alpha_to_one is off: the cleanest level counts as the first
        levels = list(enumerate(self.timesteps(steps)))
        for level, t in reversed(levels[min(until) :]):
            noise = self.predict_noise(z, t, context, unet)
            clean = (z - (1 - before).sqrt() * noise) / before.sqrt()
            z, before = products[t].sqrt() * clean + (1 - products[t]).sqrt() * noise, products[t]
            if level in until:
                found[level] = z
        return found

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """√ᾱ_t · latents + √(1 − ᾱ_t) · noise, with one timestep t in 0 … 999 for each row."""
        return self.scheduler.add_noise(latents, noise, t)

    @torch.no_grad()
    def encode_images(self, images: np.ndarray) -> torch.Tensor:
        """The latents' mean of uint8 images of shape (batch, height, width, 3), scaled as the UNet takes them."""
        pixels = torch.tensor(images, device=self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        return self.vae.encode(pixels.to(self.vae.dtype)).latent_dist.mean.float() * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, z: torch.Tensor) -> np.ndarray:
        """Clean latents as uint8 images of shape (batch, height, width, 3)."""
        return self.decode_checked(z)[0]

    @torch.no_grad()
    def decode_checked(self, z: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """`decode`, and for each image whether its latent and its pixels are finite: bool of shape (batch,).

        What is not finite would be black: its pixels mean nothing.
        """
        images, finite = [], []
        pixels = z.shape[-2] * z.shape[-1] * (self.image_size // self.latent_shape[1]) ** 2
        for few in z.split(max(1, min(DECODED, DECODED_PIXELS // pixels))):
            image = self.vae.decode(few.to(self.vae.dtype) / self.vae.config.scaling_factor).sample.float()
            finite.append(few.isfinite().flatten(1).all(1) & image.isfinite().flatten(1).all(1))
            scaled = (image / 2 + 0.5).nan_to_num().clamp(0, 1) * 255
            images.append(scaled.round().byte().permute(0, 2, 3, 1).cpu().numpy())
        return np.concatenate(images), torch.cat(finite).cpu().numpy()

    def noise(self, seeds: Sequence[int], size: tuple[int, int] | None = None) -> torch.Tensor:
        """Starting noise, one generator on the CPU for each seed: the same image whatever the batch or the device.

        `size` is the image's width and height in pixels; None for the model's own.
        """
        scale = self.image_size // self.latent_shape[1]
        shape = self.latent_shape if size is None else (self.latent_shape[0], size[1] // scale, size[0] // scale)
        drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(drawn).to(self.device)

    def pipeline(self) -> DiffusionPipeline:
        """The parts as a plain diffusers pipeline that shares this model's weights."""
        parts = {
            **self.networks,
            **self.texts.tokenizers,
            "scheduler": DDIMScheduler.from_config(self.scheduler.config),
        }
        if isinstance(self.texts, TwoEncoders):
            return StableDiffusionXLPipeline(
                **parts, force_zeros_for_empty_prompt=self.texts.zeros, add_watermarker=False
            )
        return StableDiffusionPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )

    def set_precision(self, precision: str) -> None:
        """Draw in what `resolve_precision` gave: fp32; bf16, the UNet's autocast over float32 weights; or all in fp16.

        Autocast keeps normalisations and sums in float32, which bf16 with its 8 bits needs; fp16 casts the weights,
        and nothing makes them float32 again. SDXL's VAE stays in float32: in fp16 it overflows.
        """
        self.autocast_dtype = torch.bfloat16 if precision == "bf16" else None
        if precision == "fp16":
            for name, network in self.networks.items():
                if name != "vae" or not isinstance(self.texts, TwoEncoders):
                    network.to(torch.float16)
        elif self.unet.dtype != torch.float32:
            raise ValueError(f"weights cast to {self.unet.dtype} can't be drawn with in {precision}: load them again")

    @contextmanager
    def in_precision(self, precision: str) -> Iterator[None]:
        """Predict noise in fp32, or in bf16's autocast over the same weights, inside the block."""
        before = self.autocast_dtype
        self.autocast_dtype = torch.bfloat16 if precision == "bf16" else None
        try:
            yield
        finally:
            self.autocast_dtype = before


class _Predictor(nn.Module):
    """A model's prediction as a function of its UNet's weights."""

    def __init__(self, model: TextToImage) -> None:
        super().__init__()
        self.model, self.unet = model, model.unet

    def forward(self, z: torch.Tensor, t: torch.Tensor | float, context: torch.Tensor) -> torch.Tensor:
        return self.model.predict_noise(z, t, context)


@contextmanager
def _output_in_float32(network: UNet2DConditionModel, kind: str) -> Iterator[None]:
    """Under autocast, let the last layer give float32: losses compare small differences of predictions."""
    layer = network.conv_out

    def forward(features: torch.Tensor) -> torch.Tensor:
        with torch.autocast(kind, enabled=False):
            return type(layer).forward(layer, features.float())

    layer.forward = forward
    try:
        yield
    finally:
        del layer.forward


def check_finite(pipeline: DiffusionPipeline, name: str) -> None:
    """Raise unless all weights are finite: one NaN draws black images, in which nothing is found."""
    for part, network in pipeline.components.items():
        if not isinstance(network, nn.Module):
            continue
        for tensor, value in network.state_dict().items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise ModelUnavailable(
                    f"--model {name}: {part} has values that are not finite in {tensor}: the file is damaged, or its "
                    "training failed. Get the weights again."
                )
