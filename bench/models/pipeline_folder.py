"""A folder in diffusers' layout: whether it holds a pipeline that the bench can use, and which files.

All of it is read from configurations and headers, without torch, so that a wrong folder is refused at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BenchError
from .compatible import check_together
from .layouts import INDEX, SUPPORTED, XL, Layout, layout_of
from .weight_files import FLOATS, SUFFIX, Tensor, read_headers, read_object, some, weight_files

TOKENIZER = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
SCHEDULER = "scheduler/scheduler_config.json"
PARTS = (*XL.classes, "scheduler")
PICKLES = (".bin", ".ckpt", ".pt", ".pth")
LEVELS = 1000
PREDICTIONS = ("epsilon", "v_prediction")
SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")

CONVERT = (
    "Convert a file that you trust, on a machine that may be lost: "
    "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER, safe_serialization=True), or "
    "from_pretrained(FOLDER) in its place for a folder of pickled weights."
)
PUT_UNET = (
    "Put it into its pipeline: StableDiffusionPipeline.from_pretrained(ORIGINAL, "
    "unet=UNet2DConditionModel.from_pretrained(UNET)).save_pretrained(NEW), then --model NEW."
)
PUT_PART = (
    "Put it into the pipeline that it was made from: pipeline.unet.load_state_dict(safetensors.torch.load_file(FILE), "
    "strict=False), pipeline.save_pretrained(NEW), then --model NEW."
)
PUT_LORA = (
    "Merge it into the pipeline that it was made from: pipeline.load_lora_weights(FILE), pipeline.fuse_lora(), "
    "pipeline.unload_lora_weights(), pipeline.save_pretrained(NEW), then --model NEW."
)


@dataclass(frozen=True)
class PipelineFolder:
    """What is loaded from a folder.

    Attributes:
        root: the folder.
        layout: which kind of pipeline it is.
        files: all that is loaded, relative to it.
        variants: for each part with weights "fp16" or another variant, or None for the plain files.
        image_size: height and width of its images in pixels.
        schedule: the noise schedule, as `noise_schedule` gives it.
    """

    root: Path
    layout: Layout
    files: tuple[str, ...]
    variants: Mapping[str, str | None]
    image_size: int
    schedule: Mapping[str, Any]


def open_pipeline(folder: Path) -> PipelineFolder:
    """Look at a folder without reading its weights.

    Parts that the bench never uses (safety checker, feature extractor) may be there or not, whatever the index says.

    Raises:
        BenchError: it is no such pipeline, or a file is missing, damaged or of another model.
    """
    with _named(folder):
        return _open(folder)


def check_configurations(folder: Path) -> None:
    """`open_pipeline`'s checks of the configurations alone, for a folder whose weights are yet to be fetched."""
    with _named(folder):
        _configurations(folder)


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Say of an error which model it is about."""
    try:
        yield
    except OSError as error:
        raise BenchError(f"--model {folder}: {error.filename or folder} can't be read: {error.strerror}.") from None
    except BenchError as error:
        raise BenchError(f"--model {folder}: {error}") from None


def _open(folder: Path) -> PipelineFolder:
    names = _listing(folder)
    if INDEX not in names:
        raise BenchError(_what_it_is_instead(folder, names))
    layout = layout_of(read_object(folder / INDEX))  # first: another pipeline has other parts
    chosen = choose_files(names, layout)
    configs, schedule = _configurations(folder)
    files = [INDEX, SCHEDULER, *(f"{part}/{name}" for part in layout.tokenizers for name in chosen[part][1])]
    variants = {}
    for part in layout.weights:
        variants[part], found = chosen[part]
        try:
            tensors, loaded = read_headers(folder / part, found)
            _check_tensors(part, tensors, configs[part])
        except BenchError as error:
            raise BenchError(f"{part}: {error}") from None
        files += [f"{part}/{name}" for name in ("config.json", *loaded)]
    size = configs["unet"]["sample_size"] * 2 ** (len(configs["vae"]["block_out_channels"]) - 1)
    return PipelineFolder(folder, layout, tuple(files), variants, size, schedule)


def _configurations(folder: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The networks' configurations by part, and the noise schedule."""
    layout = layout_of(read_object(folder / INDEX))
    configs = {part: _config(folder, part, layout) for part in layout.weights}
    check_together(configs)
    return configs, noise_schedule(read_object(folder / SCHEDULER))


def choose_files(names: Collection[str], layout: Layout) -> dict[str, tuple[str | None, list[str]]]:
    """For each part its variant and the names of the files with weights; for a tokenizer its files.

    Args:
        names: all files of a pipeline, relative, with slashes: of a folder, or of a repository on the hub.
        layout: the pipeline's.

    Raises:
        BenchError: a part or its weights are missing, or lie there as pickles only.
    """
    inside = {part: [name[len(part) + 1 :] for name in names if name.startswith(f"{part}/")] for part in layout.classes}
    missing = [part for part in layout.classes if not inside[part]] + [SCHEDULER] * (SCHEDULER not in names)
    if missing:
        raise BenchError(
            f"{some(missing)} missing. Expected a folder as {layout.pipeline}.save_pretrained writes it. {CONVERT}"
        )
    chosen: dict[str, tuple[str | None, list[str]]] = {}
    for part, base in layout.weights.items():
        held = sorted(inside[part])
        try:
            variant, files = weight_files(held, base)
        except BenchError as error:
            raise BenchError(f"{part}: {error}") from None
        if not files and any(name.endswith(PICKLES) for name in held):
            raise BenchError(
                f"{part} has no {base}{SUFFIX} (it holds {some(held)}). Pickled weights (.bin, .pt, .ckpt) can run "
                f"any code and are never loaded. {CONVERT}"
            )
        if any("lora" in name for name in held) and not files:
            raise BenchError(f"{part} holds a LoRA ({some(held)}) and no {base}{SUFFIX}. {PUT_LORA}")
        if not files:
            raise BenchError(f"{part} has no {base}{SUFFIX} (it holds {some(held)}). Give the file that name.")
        chosen[part] = variant, files
    for part in layout.tokenizers:
        files = [name for name in TOKENIZER if name in inside[part]]
        if "tokenizer.json" not in files and not {"vocab.json", "merges.txt"} <= set(files):
            raise BenchError(
                f"{part} has neither tokenizer.json nor vocab.json and merges.txt, but {some(inside[part])}. Copy the "
                f"folder {part} of the model that this one was made from: CLIP's are all the same."
            )
        chosen[part] = None, files
    return chosen


def wanted_files(names: Collection[str], layout: Layout) -> list[str]:
    """Of a repository's files those that are worth fetching: what `open_pipeline` will load."""
    chosen = choose_files(names, layout)
    parts = [f"{part}/{name}" for part, (_, files) in chosen.items() for name in files]
    return [INDEX, SCHEDULER, *(f"{part}/config.json" for part in layout.weights), *parts]


def noise_schedule(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of a scheduler's saved options only what the model was trained on: its noise levels, and what it predicts.

    All else (which solver, how it spaces its steps, thresholds, whether it adds noise) is the bench's to choose: one
    sampler for all models.

    Raises:
        BenchError: the model predicts neither noise nor velocity, or its levels are not 1,000 of Stable Diffusion's
            kind.
    """
    kind = config.get("prediction_type") or "epsilon"
    if kind not in PREDICTIONS:
        raise BenchError(f"it predicts {kind!r}; supported are {' and '.join(PREDICTIONS)}. {SUPPORTED}")
    betas, name = config.get("trained_betas"), config.get("_class_name", "the scheduler")
    if betas is None:
        lost = [key for key in ("beta_start", "beta_end", "beta_schedule") if config.get(key) is None]
        if lost:
            raise BenchError(f"{name} has no {some(lost)}: it is no scheduler of Stable Diffusion's kind. {SUPPORTED}")
        if config["beta_schedule"] not in SCHEDULES:
            raise BenchError(
                f"beta_schedule {config['beta_schedule']!r} is none of {', '.join(SCHEDULES)}. {SUPPORTED}"
            )
    levels = len(betas) if betas is not None else config.get("num_train_timesteps", LEVELS)
    if levels != LEVELS:
        raise BenchError(f"it has {levels} noise levels where {LEVELS} are supported. {SUPPORTED}")
    if config.get("rescale_betas_zero_snr"):
        raise BenchError(f"its noise levels are rescaled to zero signal, which not every sampler knows. {SUPPORTED}")
    found = {key: config[key] for key in ("beta_start", "beta_end", "beta_schedule") if config.get(key) is not None}
    return {**found, "trained_betas": betas, "num_train_timesteps": LEVELS, "prediction_type": kind}


def _listing(folder: Path) -> list[str]:
    """The files of a folder and of its parts, relative; a link to nothing is named."""
    found = []
    for entry in sorted(folder.iterdir()):
        below = sorted(entry.iterdir()) if entry.is_dir() else [entry]
        for file in below:
            name = file.relative_to(folder).as_posix()
            if file.is_symlink() and not file.exists():
                if name == INDEX or entry.name in PARTS:
                    raise BenchError(
                        f"{name} is a link to {file.readlink()}, which is not there. Fetch or copy it again."
                    )
                continue
            if file.is_file():
                found.append(name)
    return found


def _what_it_is_instead(folder: Path, names: Collection[str]) -> str:
    """What a folder without model_index.json is, and what to do."""
    if not names:
        nested = [entry.name for entry in folder.glob("*/*/") if (entry / INDEX).is_file()]
        return f"the folder is empty. {CONVERT}" if not nested else _nested(folder)
    inner = _nested(folder)
    if inner:
        return inner
    if "config.json" in names:
        name = read_object(folder / "config.json").get("_class_name")
        if name == "UNet2DConditionModel":
            return f"a UNet alone, where a whole pipeline is needed. {PUT_UNET}"
        if name:
            return f"a {name} alone, where a whole pipeline is needed. {SUPPORTED}"
    if any("lora" in name or name == "adapter_config.json" for name in names):
        return f"a LoRA, where a whole pipeline is needed. {PUT_LORA}"
    parts = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
    missing = [INDEX, *(part for part in parts if not any(name.startswith(f"{part}/") for name in names))]
    return (
        f"not a diffusers pipeline, {', '.join(missing)} missing (it holds {some(names)}). Expected a folder as "
        f"StableDiffusionPipeline.save_pretrained writes it. {CONVERT}"
    )


def _nested(folder: Path) -> str:
    """Where the pipeline lies, if it is one or two folders further down, as in the hub's cache."""
    inner = [place.parent for pattern in ("*", "snapshots/*") for place in sorted(folder.glob(f"{pattern}/{INDEX}"))]
    return f"the pipeline lies further down: --model {inner[0]}." if inner else ""


def _config(folder: Path, part: str, layout: Layout) -> dict[str, Any]:
    """A part's configuration, of the class that is expected."""
    try:
        config = read_object(folder / part / "config.json")
    except FileNotFoundError:
        raise BenchError(f"{part}/config.json is missing. Copy or fetch it again.") from None
    except BenchError as error:
        raise BenchError(f"{part}/{error}") from None
    is_text = part.startswith("text_encoder")
    names = config.get("architectures") or [None] if is_text else [config.get("_class_name")]
    allowed = layout.classes[part]
    if names[0] not in allowed:
        raise BenchError(
            f"{part}/config.json is a {names[0] or 'file without a class'}'s, not {allowed[0]}'s. {SUPPORTED}"
        )
    if config.get("quantization_config"):
        raise BenchError(f"{part} is quantised; training needs its plain weights. Take the original model.")
    return config


def _check_tensors(part: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Whether the tensors are those of the configuration, by their names, dtypes and a few telling shapes."""
    wrong = sorted(
        {t.dtype for name, t in tensors.items() if t.dtype not in FLOATS and not name.endswith("position_ids")}
    )
    if wrong:
        raise BenchError(
            f"its weights are {', '.join(wrong)}: quantised. Take the original model's {', '.join(FLOATS[1:])}."
        )
    if part == "unet":
        if any("lora" in name.lower() for name in tensors):
            raise BenchError(f"its weights are a LoRA ({some(sorted(tensors))}), not a UNet. {PUT_LORA}")
        whole = ("conv_in.weight", "conv_out.weight", "time_embedding.linear_1.weight")
        attention = next((t for name, t in tensors.items() if name.endswith("attn2.to_k.weight")), None)
        lost = [name for name in whole if name not in tensors] + ["attn2.to_k.weight"] * (attention is None)
        if lost:
            raise BenchError(
                f"its file holds {len(tensors)} tensors ({some(sorted(tensors))}) and lacks {some(lost)}: a part of a "
                f"UNet, such as ESD and UCE save. {PUT_PART}"
            )
        _same("conv_in.weight", tensors["conv_in.weight"], 1, "in_channels", config.get("in_channels", 4))
        _same("attn2.to_k.weight", attention, 1, "cross_attention_dim", config.get("cross_attention_dim", 1280))
    if part.startswith("text_encoder"):
        table = next((t for name, t in tensors.items() if name.endswith("token_embedding.weight")), None)
        if table is None:
            raise BenchError(
                f"its file has no token_embedding.weight ({some(sorted(tensors))}): no CLIP text encoder's."
            )
        _same("token_embedding.weight", table, 0, "vocab_size", config.get("vocab_size", 49408))
        _same("token_embedding.weight", table, 1, "hidden_size", config.get("hidden_size", 512))


def _same(name: str, tensor: Tensor | None, axis: int, key: str, wanted: Any) -> None:
    if tensor is None or len(tensor.shape) <= axis or tensor.shape[axis] != wanted:
        shape = None if tensor is None else list(tensor.shape)
        raise BenchError(
            f"{name} has shape {shape} where config.json has {key} {wanted}: weights and configuration are of two "
            "models. Copy both from one."
        )
