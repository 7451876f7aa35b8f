"""A text-to-image model behind one face: encode, predict noise, denoise, decode."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

from .catalog import HUB_MODELS, MODELS
from .errors import BenchError, ModelUnavailable, unknown
from .store import folder_hash

MINI_WEIGHTS = Path(__file__).parent / "mini" / "weights"
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass
class ForwardCount:
    """UNet forwards so far, in images (a guided prediction of one image counts 2)."""

    without_gradient: int = 0
    with_gradient: int = 0


class TextToImage:
    """A Stable Diffusion pipeline's parts on one device.

    Attributes:
        family: "mini" for the embedded model, "sd" for everything else; methods have presets by family.
        revision: a content hash or a hub commit; part of every cache key.
        unet: the network that methods change.
        image_size: height and width of an image in pixels.
    """

    def __init__(self, pipeline: StableDiffusionPipeline, name: str, family: str, revision: str, device: str) -> None:
        self.name, self.family, self.revision, self.device = name, family, revision, device
        self.unet: UNet2DConditionModel = pipeline.unet.to(device).eval().requires_grad_(False)
        self.vae = pipeline.vae.to(device).eval().requires_grad_(False)
        self.text_encoder = pipeline.text_encoder.to(device).eval().requires_grad_(False)
        self.tokenizer = pipeline.tokenizer
        self.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False, set_alpha_to_one=False)
        if self.scheduler.config.prediction_type != "epsilon":
            kind = self.scheduler.config.prediction_type
            raise BenchError(f"{name} predicts {kind!r}; only noise prediction (epsilon) is supported.")
        size = self.unet.config.sample_size
        self.latent_shape = (self.unet.config.in_channels, size, size)
        self.image_size = size * 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.forwards = ForwardCount()
        self.autocast_dtype: torch.dtype | None = None

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """Text embeddings of shape (len(prompts), 77, width); longer prompts are truncated."""
        tokens = self.tokenizer(
            list(prompts),
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        return self.text_encoder(tokens.input_ids.to(self.device))[0]

    def teacher(self) -> UNet2DConditionModel:
        """A frozen copy of the UNet as it is now."""
        return copy.deepcopy(self.unet).eval().requires_grad_(False)

    def predict_noise(
        self, z: torch.Tensor, t: torch.Tensor | int, context: torch.Tensor, unet: UNet2DConditionModel | None = None
    ) -> torch.Tensor:
        """ε(z, t, c) of shape (batch, channels, height, width), in float32; counted.

        `context` has one row for each row of `z`, or a single one for all.
        """
        network = unet if unet is not None else self.unet
        if len(context) != len(z):
            context = context.expand(len(z), -1, -1)
        if torch.is_grad_enabled() and any(p.requires_grad for p in network.parameters()):
            self.forwards.with_gradient += len(z)
        else:
            self.forwards.without_gradient += len(z)
        autocast = torch.autocast(self.device, self.autocast_dtype) if self.autocast_dtype else nullcontext()
        with autocast:
            return network(z.to(network.dtype), t, context.to(network.dtype)).sample.float()

    def timesteps(self, steps: int) -> list[int]:
        """DDIM's "leading" timesteps with Stable Diffusion's offset of 1, noisiest first (50: 981, 961, …, 1)."""
        self.scheduler.set_timesteps(steps)
        return [int(t) for t in self.scheduler.timesteps]

    @torch.no_grad()
    def denoise(
        self,
        z: torch.Tensor,
        context: torch.Tensor,
        empty: torch.Tensor,
        *,
        steps: int,
        guidance: float,
        until: int | None = None,
        unet: UNet2DConditionModel | None = None,
    ) -> torch.Tensor:
        """DDIM (η=0) with classifier-free guidance from pure noise.

        Args:
            z: noise at the first level, (batch, channels, height, width).
            context: embeddings, (batch or 1, 77, width).
            empty: the embedding of "", (1, 77, width).
            steps: sampler steps.
            guidance: ε(∅) + guidance · (ε(c) − ε(∅)); at 1 the unconditional forward is left out.
            until: stop before the step with this index, so that the result lies exactly at the noise
                level of `timesteps(steps)[until]`; None for a clean latent.
            unet: the network that draws; the model's own by default.
        """
        levels = self.timesteps(steps)
        stop = len(levels) if until is None else until
        context = context.expand(len(z), -1, -1)
        both = context if guidance == 1 else torch.cat([empty.expand(len(z), -1, -1), context])
        for t in levels[:stop]:
            if guidance == 1:
                noise = self.predict_noise(z, t, both, unet)
            else:
                unconditional, conditional = self.predict_noise(torch.cat([z, z]), t, both, unet).chunk(2)
                noise = unconditional + guidance * (conditional - unconditional)
            z = self.scheduler.step(noise, t, z).prev_sample
        return z

    @torch.no_grad()
    def decode(self, z: torch.Tensor) -> np.ndarray:
        """Clean latents as uint8 images of shape (batch, height, width, 3)."""
        image = self.vae.decode(z.to(self.vae.dtype) / self.vae.config.scaling_factor).sample
        scaled = (image.float() / 2 + 0.5).clamp(0, 1) * 255
        return scaled.round().byte().permute(0, 2, 3, 1).cpu().numpy()

    def noise(self, seeds: Sequence[int]) -> torch.Tensor:
        """Starting noise, one generator on the CPU for each seed: the same image whatever the batch or the device."""
        drawn = [torch.randn(self.latent_shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(drawn).to(self.device)

    def set_precision(self, precision: str) -> None:
        """Cast all parts for generation, to what `resolve_precision` gave."""
        dtype = PRECISIONS[precision]
        if self.device == "cpu":
            # On the CPU, autocast keeps normalisations and sums in float32; pure bf16 would not.
            self.autocast_dtype = dtype if precision == "bf16" else None
        else:
            for part in (self.unet, self.vae, self.text_encoder):
                part.to(dtype)


def resolve_precision(precision: str, device: str) -> str:
    """ "auto" as fp16 on a GPU and fp32 on a CPU.

    Raises:
        BenchError: fp16 is asked for on a CPU.
    """
    if precision == "auto":
        return "fp16" if device == "cuda" else "fp32"
    if precision == "fp16" and device == "cpu":
        raise BenchError("generation.precision: fp16 needs a GPU; on the CPU use fp32 or bf16.")
    return precision


def choose_device(wanted: str) -> str:
    """ "auto", "cpu" or "cuda" as a torch device.

    Raises:
        BenchError: CUDA is asked for and there is none.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise BenchError(f"--device is auto, cpu or cuda, not {wanted!r}.")
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise BenchError(
            f"--device cuda: PyTorch {torch.__version__} sees no CUDA device here. "
            "Use --device cpu, or check the driver with nvidia-smi and install a CUDA build of torch."
        )
    return "cuda" if wanted != "cpu" and available else "cpu"


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from, known before its weights are read.

    Attributes:
        name: as the user gave it.
        family: "mini" for the embedded model, "sd" for all others.
        source: a folder or a hub id.
        hub_revision: a hub commit or branch; None for a folder.
        revision: a content hash or hub id and revision; part of every cache key.
    """

    name: str
    family: str
    source: str
    hub_revision: str | None
    revision: str

    def load(self, device: str) -> TextToImage:
        """Read the weights in float32."""
        pipeline = _read_pipeline(self.source, self.hub_revision)
        return TextToImage(pipeline, self.name, self.family, self.revision, device)


def find_model(name: str) -> ModelSource:
    """Resolve "mini", a named hub model, a local diffusers folder, or a hub id ("owner/name[@revision]").

    Raises:
        BenchError: there is no such model, or the folder is no pipeline.
    """
    folder = Path(name)
    if name == "mini":
        # The judge is part of the embedded model: the hash covers both.
        return ModelSource(name, "mini", str(MINI_WEIGHTS / "pipeline"), None, folder_hash(MINI_WEIGHTS))
    if folder.is_dir():
        check_pipeline_folder(folder)
        return ModelSource(name, "sd", name, None, folder_hash(folder))
    if name in HUB_MODELS:
        hub_id, revision = HUB_MODELS[name]
    elif name.count("/") == 1 and not name.startswith((".", "/", "~")):
        hub_id, _, wanted = name.partition("@")
        revision = wanted or "main"
    elif "/" in name:
        raise BenchError(f"--model {name}: there is no such folder.")
    else:
        raise unknown("model", name, MODELS, "bench list models")
    return ModelSource(name, "sd", hub_id, revision, f"{hub_id}@{revision}")


def check_pipeline_folder(folder: Path) -> None:
    """Raise unless `folder` holds a Stable Diffusion pipeline in diffusers' layout."""
    needed = ["model_index.json", "unet", "vae", "text_encoder", "tokenizer", "scheduler"]
    missing = [part for part in needed if not (folder / part).exists()]
    if missing:
        raise BenchError(
            f"--model {folder}: not a diffusers pipeline, {', '.join(missing)} missing. Expected a folder as "
            "StableDiffusionPipeline.save_pretrained writes it; convert a single checkpoint file with "
            "StableDiffusionPipeline.from_single_file first."
        )


def _read_pipeline(source: str, revision: str | None) -> StableDiffusionPipeline:
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    options: dict[str, Any] = {"dtype": torch.float32, "safety_checker": None, "requires_safety_checker": False}
    try:
        return StableDiffusionPipeline.from_pretrained(source, revision=revision, **options)
    except (OSError, ValueError) as error:
        if revision is None:
            raise ModelUnavailable(
                f"--model {source}: diffusers {version('diffusers')} can't load it: {error}"
            ) from None
        raise ModelUnavailable(
            f"--model {source} (revision {revision}) is not in the local Hugging Face cache and could not be fetched. "
            f"With network: `huggingface-cli download {source} --revision {revision}`, then run the same command. "
            "Without: copy the pipeline's folder to this machine and pass --model FOLDER, or use the embedded "
            "model with --model mini."
        ) from None
