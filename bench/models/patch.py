"""What erasing changed: the weights that differ from the original's, saved and attached again.

A patch names the UNet's weights as diffusers does, and those of the other parts with the part before them:
"text_encoder.text_model.…", "vae.decoder.…".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ..errors import BenchError
from ..storage.files import write_sealed
from ..storage.seal import is_intact
from .text_to_image import TextToImage

Patch = Mapping[str, torch.Tensor]
OTHER_PARTS = ("text_encoder", "text_encoder_2", "vae")  # beside the UNet


def snapshot(network: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all weights on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def difference(before: Patch, network: nn.Module | TextToImage) -> dict[str, torch.Tensor]:
    """Copies of a network's or a whole model's weights that are not bit-equal to `before`, float32 on the CPU."""
    return changed(before, weights_of(network) if isinstance(network, TextToImage) else network.state_dict())


def changed(before: Patch, weights: Patch) -> dict[str, torch.Tensor]:
    """Copies of those of `weights` that are not bit-equal to `before`, float32 on the CPU."""
    after = {name: value.detach().cpu() for name, value in weights.items()}
    return {name: value.float().clone() for name, value in after.items() if not torch.equal(value, before[name])}


@contextmanager
def restored(model: TextToImage) -> Iterator[dict[str, torch.Tensor]]:
    """All weights as they are before the block, by a patch's names: copies on the CPU, put back after it."""
    before = {name: value.detach().cpu().clone() for name, value in weights_of(model).items()}
    try:
        yield before
    finally:
        _write(weights_of(model), before)


def check(patch: Patch, allowed: set[str], label: str) -> None:
    """Raise unless something changed, only what was declared changed, and all of it is finite."""
    if not patch:
        raise BenchError(f"{label} changed no weight: raise its learning rate or its steps, or look at its settings.")
    if undeclared := sorted(set(patch) - allowed):
        raise BenchError(f"{label} changed {len(undeclared)} weights that it did not declare, such as {undeclared[0]}.")
    if broken := _not_finite(patch):
        raise BenchError(f"{label} left values that are not finite in {broken}: lower its learning rate.")


def save_patch(path: Path, patch: Patch) -> None:
    write_sealed(path, lambda temporary, metadata: save_file(dict(patch), temporary, metadata))


def load_patch(path: Path) -> dict[str, torch.Tensor]:
    """The weights that `save_patch` stored.

    Raises:
        BenchError: the file is missing or damaged, or a value is not finite.
    """
    if not is_intact(path):
        raise BenchError(f"{path} is missing or damaged. The same `bench run` makes it again.")
    patch = load_file(path)
    if broken := _not_finite(patch):
        raise BenchError(f"{path} has values that are not finite in {broken}. Delete it; `bench run` makes it again.")
    return patch


def _not_finite(patch: Patch) -> str | None:
    """The first tensor with a NaN or an infinity."""
    return next((name for name, value in patch.items() if not torch.isfinite(value).all()), None)


def part_of(name: str) -> str:
    """Which part of the model a weight of a patch belongs to: unet, text_encoder, text_encoder_2 or vae."""
    first = name.partition(".")[0]
    return first if first in OTHER_PARTS else "unet"


def changes_text(patch: Patch) -> bool:
    """Whether texts have other embeddings with these weights."""
    return any(part_of(name).startswith("text_encoder") for name in patch)


def weights_of(model: TextToImage) -> dict[str, torch.Tensor]:
    """All weights of a model by a patch's names; not copies."""
    others = {part: network.state_dict() for part, network in model.networks.items() if part != "unet"}
    named = {f"{part}.{name}": value for part, state in others.items() for name, value in state.items()}
    return {**model.unet.state_dict(), **named}


@dataclass(frozen=True)
class Attached:
    """A patch that stands in the place of a model's own weights.

    Attributes:
        before: the model's own, on its device.
        patch: what is in their place.
    """

    before: Patch
    patch: Patch

    @cached_property
    def change(self) -> dict[str, torch.Tensor]:
        """What the patch adds to each weight, on the model's device."""
        return {name: self.patch[name].to(own) - own for name, own in self.before.items()}


@contextmanager
def attached(model: TextToImage, patch: Patch) -> Iterator[None]:
    """The model with the patch's weights inside the block, and as it was after it.

    Blocks may stand in each other; `model.attached` has all of them, the outermost first.
    """
    state = weights_of(model)
    before = {name: state[name].clone() for name in patch}
    _write(state, patch)
    model.attached.append(Attached(before, patch))
    try:
        yield
    finally:
        _write(state, before)
        model.attached.pop()


@torch.no_grad()
def _write(state: Mapping[str, torch.Tensor], values: Patch) -> None:
    for name, value in values.items():
        state[name].copy_(value)
