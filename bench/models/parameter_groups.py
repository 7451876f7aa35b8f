"""Named groups of UNet parameters, in diffusers' names (ESD, arXiv 2303.07345, section 4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import unknown

if TYPE_CHECKING:
    from torch import nn

PARAMETER_GROUPS: dict[str, str] = {
    "xattn": r"attn2",
    "xattn-kv": r"attn2\.to_[kv]\.",
    "selfattn": r"attn1",
    "attention": r"attn[12]",
    "noxattn": r"^(?!.*attn2)(?!time_embed)(?!conv_out\.)",
    "full": r"",
}


def select(unet: nn.Module, group: str) -> dict[str, nn.Parameter]:
    """The parameters of a group, by name.

    Raises:
        BenchError: the group is unknown.
    """
    if group not in PARAMETER_GROUPS:
        raise unknown("parameter group", group, PARAMETER_GROUPS, "bench list methods")
    pattern = re.compile(PARAMETER_GROUPS[group])
    return {name: parameter for name, parameter in unet.named_parameters() if pattern.search(name)}
