"""Named groups of parameters, in diffusers' names (ESD, arXiv 2303.07345, section 4) and transformers'."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import BenchError, unknown

if TYPE_CHECKING:
    from torch import nn

    from .text_to_image import TextToImage

PARAMETER_GROUPS: dict[str, str] = {
    "xattn": r"attn2",
    "xattn-kv": r"attn2\.to_[kv]\.",
    "selfattn": r"attn1",
    "attention": r"attn[12]",
    "noxattn": r"^(?!.*attn2)(?!time_embed)(?!conv_out\.)",
    "transformers": r"attentions\.\d+\.(?!.*norm).*weight$",  # every matrix and convolution, biases aside
    "full": r"",
    # All layers and the last normalisation, as AdvUnlearn's authors train them; never the vectors of tokens.
    "text-encoder": r"(^|\.)(encoder|final_layer_norm)\.",
}
OF_TEXT = ("text-encoder",)  # all others are the UNet's


def part_of_group(group: str) -> str:
    """The part of the model that a group belongs to: unet or text_encoder.

    Raises:
        BenchError: the group is unknown.
    """
    if group not in PARAMETER_GROUPS:
        raise unknown("parameter group", group, PARAMETER_GROUPS, "bench list methods")
    return "text_encoder" if group in OF_TEXT else "unet"


def select(network: nn.Module, group: str) -> dict[str, nn.Parameter]:
    """The parameters of a group, by their names in the part that the group belongs to.

    Raises:
        BenchError: the group is unknown.
    """
    part_of_group(group)
    pattern = re.compile(PARAMETER_GROUPS[group])
    return {name: parameter for name, parameter in network.named_parameters() if pattern.search(name)}


def trained_of(model: TextToImage, group: str) -> dict[str, nn.Parameter]:
    """The parameters of a group, by a patch's names.

    Raises:
        BenchError: the group is unknown, or it is the text encoder's and the model has two.
    """
    if part_of_group(group) == "unet":
        return select(model.unet, group)
    if len(model.texts.networks) > 1:
        raise BenchError(two_encoders(model.name, group))
    return {f"text_encoder.{name}": weight for name, weight in select(model.text_encoder, group).items()}


def two_encoders(model: str, what: str) -> str:
    """Why one text encoder can't be trained where there are two."""
    return (
        f"{what} trains the text encoder, and {model} has two, whose outputs no such method knows: name it with a "
        "model that has one, such as sd-v1-4, or leave it out of --methods."
    )
