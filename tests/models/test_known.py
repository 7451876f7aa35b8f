"""What `bench list models` says of models on the hub."""

import pytest
import torch
from command import bench_here
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from erasebench.models.catalog import HUB_MODELS, LICENCES
from erasebench.models.known import FAMILY_NOTES, KNOWN, PARAMETERS, V1, V2, XL

HEADS = {"attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True}
UNETS = {
    V1: {"cross_attention_dim": 768},
    V2: {"cross_attention_dim": 1024, **HEADS},
    XL: {
        "cross_attention_dim": 2048,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": [1, 2, 10],
        "attention_head_dim": [5, 10, 20],
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
# Width, layers and heads of the text encoders; the last of two has a projection.
TEXTS = {V1: [(768, 12, 12)], V2: [(1024, 23, 16)], XL: [(768, 12, 12), (1280, 32, 20)]}


@pytest.mark.parametrize("family", list(PARAMETERS))
def test_parameters_are_counted_from_the_architecture(family: str) -> None:
    with torch.device("meta"):
        parts: list[torch.nn.Module] = [
            UNet2DConditionModel(**UNETS[family]),
            AutoencoderKL(
                block_out_channels=(128, 256, 512, 512),
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                layers_per_block=2,
            ),
        ]
        for place, (width, layers, heads) in enumerate(TEXTS[family]):
            config = CLIPTextConfig(
                hidden_size=width,
                intermediate_size=4 * width,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                projection_dim=width,
            )
            parts.append((CLIPTextModelWithProjection if place else CLIPTextModel)(config))
    assert sum(weight.numel() for part in parts for weight in part.parameters()) == PARAMETERS[family]


def test_the_list_says_what_is_known_and_what_is_not() -> None:
    listed = bench_here("list", "models").stdout
    for known in KNOWN:
        assert known.name in listed
        assert known.family in FAMILY_NOTES
        assert LICENCES[known.name] == known.licence
    plain = " ".join(listed.split())
    assert "pinned at 133a221b8aa7" in plain
    assert "not pinned: give NAME@COMMIT; 1024×1024, predicts noise; 3,469 million parameters, 13.9 GB in" in plain
    assert "which is ours: none was taken from a source" in plain
    assert list(HUB_MODELS) == ["sd-v1-4"]
