"""A LoRA as the weights that it makes: W + scale · α / r · B A (Hu et al., arXiv 2106.09685, equation 3).

Keys as diffusers and PEFT save them, and as kohya's trainer does, whose names are a module's with underscores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.utils.state_dict_utils import convert_state_dict_to_peft, convert_unet_state_dict_to_peft
from safetensors import safe_open
from safetensors.torch import load_file

from ...errors import BenchError
from ..patch import OTHER_PARTS, Patch
from ..weight_files import read_object, some

KOHYA = re.compile(r"lora_(unet|te1?)_(\w+)\.(lora_down\.weight|lora_up\.weight|alpha)")
PLAIN = re.compile(r"(.+)\.(lora_A|lora_B)(?:\.\w+)?\.weight")
OLD_TEXT = re.compile(r"_lora\.(up|down)|lora_linear_layer")


def read_lora(file: Path, base: Patch, scale: float) -> dict[str, torch.Tensor]:
    """The changed weights, by a patch's names.

    Args:
        file: safetensors; beside a PEFT adapter its adapter_config.json.
        base: the original's weights.
        scale: how much of it is added, 1 for all.

    Raises:
        BenchError: it is of another model: a module is unknown, or a matrix has another shape.
    """
    tensors = load_file(file)
    modules = {name.removesuffix(".weight") for name in base if name.endswith(".weight")}
    kohya = any(KOHYA.fullmatch(name) for name in tensors)
    found = _from_kohya(tensors, modules) if kohya else _from_diffusers(tensors, modules, _alphas(file))
    changed = {}
    for module, parts in found.items():
        name, weight = f"{module}.weight", base[f"{module}.weight"]
        if not {"down", "up"} <= parts.keys():
            raise BenchError(f"{module} has only one of its two matrices ({', '.join(parts)}): the file is incomplete.")
        down, up = (parts[side].double().flatten(1) for side in ("down", "up"))
        rows, columns = weight.shape[0], weight[0].numel()
        if down.shape[1] != columns or up.shape[0] != rows or up.shape[1] != down.shape[0]:
            raise BenchError(
                f"{module} is {rows} × {columns} in the base and {up.shape[0]} × {down.shape[1]} in the LoRA: it was "
                "made for another model."
            )
        strength = scale * float(parts.get("alpha", len(down))) / len(down)
        changed[name] = (weight.double() + strength * (up @ down).view(weight.shape).to(weight.device)).to(weight.dtype)
    return changed


def _from_kohya(tensors: Patch, modules: set[str]) -> dict[str, dict[str, torch.Tensor]]:
    flat = {_flat(module): module for module in modules}
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        match = KOHYA.fullmatch(name)
        if match is None:
            raise BenchError(f"{name} is no name of a LoRA for Stable Diffusion's UNet and text encoder.")
        part = "unet" if match[1] == "unet" else "text_encoder"
        module = flat.get(f"{part} {match[2].removeprefix('text_model_') if part == 'text_encoder' else match[2]}")
        if module is None:
            raise _unknown(name)
        kind = {"lora_down.weight": "down", "lora_up.weight": "up", "alpha": "alpha"}[match[3]]
        found.setdefault(module, {})[kind] = value
    return found


def _flat(module: str) -> str:
    """A module's name as kohya's trainer writes it, behind its part."""
    part, _, inner = module.partition(".")
    part, inner = (part, inner) if part in OTHER_PARTS else ("unet", module)
    return f"{part} {inner.removeprefix('text_model.').replace('.', '_')}"


def _from_diffusers(
    tensors: Patch, modules: set[str], alphas: Mapping[str, float]
) -> dict[str, dict[str, torch.Tensor]]:
    found: dict[str, dict[str, torch.Tensor]] = {}
    plain = {name.replace("base_model.model.", ""): value for name, value in tensors.items()}
    text = {name: value for name, value in plain.items() if name.startswith(("text_encoder.", "text_model."))}
    unet = {name.removeprefix("unet."): value for name, value in plain.items() if name not in text}
    if any(OLD_TEXT.search(name) for name in text):
        text = convert_state_dict_to_peft(text)
    for name, value in [*convert_unet_state_dict_to_peft(unet).items(), *text.items()]:
        own = name.removeprefix("text_encoder.").removeprefix("text_model.")
        is_text = name.startswith(("text_encoder.", "text_model."))
        if name.endswith(".alpha"):
            module, kind = own.removesuffix(".alpha"), "alpha"
        elif match := PLAIN.fullmatch(own):
            module, kind = match[1], {"lora_A": "down", "lora_B": "up"}[match[2]]
        else:
            raise BenchError(f"{name} is no name of a LoRA for Stable Diffusion's UNet and text encoder.")
        known = next((m for m in _named(module, is_text) if m in modules), None)
        if known is None:
            raise _unknown(name)
        found.setdefault(known, {})[kind] = value
        part = "text_encoder" if is_text else "unet"
        if (alpha := alphas.get(part, alphas.get(""))) is not None:
            found[known].setdefault("alpha", torch.tensor(alpha))
    return found


def _named(module: str, is_text: bool) -> list[str]:
    """How a patch may call a module."""
    return [f"text_encoder.{module}", f"text_encoder.text_model.{module}"] if is_text else [module]


def _alphas(file: Path) -> dict[str, float]:
    """α by part, "" for any, where a configuration beside or inside the file gives it; otherwise it is the rank."""
    config = file.with_name("adapter_config.json")
    with safe_open(file, "pt") as opened:
        text = (opened.metadata() or {}).get("lora_adapter_metadata")
    found: dict[str, Any] = json.loads(text) if text else {}
    if file.name == "adapter_model.safetensors" and config.is_file():
        found = read_object(config)
    for key in ("alpha_pattern", "use_rslora", "use_dora"):
        if told := next((name for name, value in found.items() if name.split(".")[-1] == key and value), None):
            raise BenchError(f"its configuration has {told}, which is not supported: merge it into its model.")
    return {
        name.rpartition(".")[0]: float(value) for name, value in found.items() if name.split(".")[-1] == "lora_alpha"
    }


def _unknown(name: str) -> BenchError:
    return BenchError(f"{some([name])} is a module that the base has not: it was made for another model.")
