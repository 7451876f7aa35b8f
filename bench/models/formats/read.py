"""Somebody's weights as a patch of a base: read, checked name by name, and compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from safetensors.torch import load_file

from ...errors import BenchError
from ..parameter_groups import PARAMETER_GROUPS
from ..patch import OTHER_PARTS, Patch, part_of, weights_of
from ..pipeline_folder import open_pipeline
from ..read_pipeline import read_pipeline
from ..text_to_image import TextToImage
from ..weight_files import SUFFIX, some
from .lora import read_lora
from .original import read_original
from .recognise import OwnWeights

IGNORED = ("position_ids",)  # 0 … 76, which old versions of transformers saved
MANY = 0.6  # of a part's tensors: no method that erases by attention alone changes as many
ROUNDING = 1e-3  # relative; float16 has a mantissa of 11 bits


@dataclass(frozen=True)
class Part:
    """How much of one part differs: tensors, of how many, and ‖W′ − W‖ / ‖W‖ over the whole part."""

    changed: int
    tensors: int
    relative: float


@dataclass(frozen=True)
class Difference:
    """What differs from the base.

    Attributes:
        parts: by part, those that differ.
        group: the smallest named group of parameters that holds all that differs in the UNet; "" where none does.
    """

    parts: Mapping[str, Part]
    group: str

    def __str__(self) -> str:
        told = []
        for name, part in self.parts.items():
            group = f" ({self.group})" if name == "unet" and self.group != "full" else ""
            told.append(f"{part.changed} of {part.tensors} tensors of {name}{group}, relative size {part.relative:.2g}")
        text = " and ".join(told)
        if many := [part for part in self.parts.values() if part.changed > MANY * part.tensors]:
            rounded = any(part.relative < ROUNDING for part in many)
            text += " (so many by so little: rounding to half precision?)" if rounded else " (so many: another base?)"
        return text


def read_own(own: OwnWeights, base: TextToImage, scale: float = 1.0) -> tuple[dict[str, torch.Tensor], Difference]:
    """The weights that differ from the base's, float32 on the CPU, and what they are.

    Args:
        own: what was found.
        base: the original model in float32.
        scale: of a LoRA.

    Raises:
        BenchError: a tensor has no place in the base, or another shape; one is not finite; or nothing differs.
    """
    before = {name: value.detach().cpu() for name, value in weights_of(base).items()}
    try:
        weights = _named(_read(own, base, before, scale), before)
        _check(weights, before)
        patch = {n: value for n, given in weights.items() if not torch.equal(value := given.float(), before[n].float())}
        if not patch:
            raise BenchError(f"nothing differs from {base.name}: it is the base itself.")
    except BenchError as error:
        raise BenchError(f"{own.path}: {error} The base is {base.name} ({base.revision[:16]}).") from None
    return patch, difference_of(patch, before)


def difference_of(patch: Patch, before: Patch) -> Difference:
    """What a patch changes, part by part."""
    parts = {}
    for part in ("unet", *OTHER_PARTS):
        names = [name for name in before if part_of(name) == part and before[name].is_floating_point()]
        if changed := [name for name in names if name in patch]:
            moved = sum(float((patch[n].double() - before[n].double()).square().sum()) for n in changed)
            size = sum(float(before[n].double().square().sum()) for n in names)
            parts[part] = Part(len(changed), len(names), (moved / size) ** 0.5 if size else float("inf"))
    inner = [name for name in patch if part_of(name) == "unet"]
    order = ("xattn-kv", "xattn", "selfattn", "attention", "transformers", "noxattn", "full")
    group = (
        next((g for g in order if all(re.search(PARAMETER_GROUPS[g], name) for name in inner)), "full") if inner else ""
    )
    return Difference(parts, group)


def _read(own: OwnWeights, base: TextToImage, before: Patch, scale: float) -> dict[str, torch.Tensor]:
    file = own.root / own.files[0]
    if scale != 1 and own.form != "lora":
        raise BenchError(f"scale {scale:g}: only a LoRA has a scale; this is {own.told}.")
    if own.form == "lora":
        return read_lora(file, before, scale)
    if own.form == "original":
        return read_original(file, base)
    if own.form == "pipeline":
        folder = open_pipeline(own.root)
        pipeline = read_pipeline(folder)
        predicts, wanted = pipeline.scheduler.config.prediction_type, base.levels["prediction_type"]
        if predicts != wanted:
            raise BenchError(f"it predicts {predicts!r} and the base {wanted!r}: it was made from another model.")
        return {
            f"{part}.{n}": value
            for part in folder.layout.weights
            for n, value in getattr(pipeline, part).state_dict().items()
        }
    prefix = f"{own.part}." if own.part else ""
    shards = [load_file(own.root / name) for name in own.files if name.endswith(SUFFIX)]
    return {f"{prefix}{name}": value for shard in shards for name, value in shard.items()}


def _named(weights: Patch, before: Patch) -> dict[str, torch.Tensor]:
    """By a patch's names: the UNet's without its part, the text encoder's with or without "text_model."."""
    found = {}
    for given, value in weights.items():
        name = given.removeprefix("unet.")
        if name not in before and name.startswith("text_encoder."):
            inner = name.removeprefix("text_encoder.").removeprefix("text_model.")
            name = next((n for n in (f"text_encoder.{inner}", f"text_encoder.text_model.{inner}") if n in before), name)
        if not name.endswith(IGNORED):
            found[name] = value
    return found


def _check(weights: Patch, before: Patch) -> None:
    if unknown := sorted(set(weights) - set(before)):
        raise BenchError(
            f"{len(unknown)} of its {len(weights)} tensors have no place in the base, such as {some(unknown)}: it is "
            "of another architecture."
        )
    for name, value in weights.items():
        if value.shape != before[name].shape:
            raise BenchError(
                f"{name} has shape {list(value.shape)}, and {list(before[name].shape)} in the base: another model's."
            )
    if broken := [name for name, value in weights.items() if not torch.isfinite(value).all()]:
        raise BenchError(f"{some(broken)} has values that are not finite: the file is damaged, or its training failed.")
