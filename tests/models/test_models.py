"""Loading models, and Stable Diffusion's parameter groups by its configuration alone."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from diffusers import UNet2DConditionModel

from erasebench.errors import BenchError, ModelUnavailable
from erasebench.models.catalog import MINI_WEIGHTS, find_model
from erasebench.models.families import STABLE_DIFFUSION
from erasebench.models.loading import load_model
from erasebench.models.parameter_groups import select
from erasebench.models.text_to_image import TextToImage, check_finite

SD_COUNTS = {
    "xattn": (43_962_560, 80),
    "xattn-kv": (19_169_280, 32),
    "selfattn": (49_574_080, None),
    "noxattn": (813_496_320, None),
    "transformers": (266_977_280, 192),
    "full": (859_520_964, None),
}


@pytest.mark.parametrize("group", SD_COUNTS)
def test_groups_select_stable_diffusions_parameters(group: str) -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    chosen = select(unet, group)
    count, tensors = SD_COUNTS[group]
    assert sum(parameter.numel() for parameter in chosen.values()) == count
    assert tensors is None or len(chosen) == tensors


def test_the_package_holds_at_most_35_mb_of_weights() -> None:
    assert sum(file.stat().st_size for file in MINI_WEIGHTS.rglob("*") if file.is_file()) <= 35_000_000


@pytest.mark.parametrize("text", ["nudity", "a garbage truck!", "Van Gogh café 日本", "it's  ☺", ""])
def test_token_ids_are_clips(mini: TextToImage, text: str) -> None:
    theirs = open_clip.tokenizer.SimpleTokenizer().encode(text)
    assert mini.tokenizer(text).input_ids == [49406, *theirs, 49407]


def test_the_vocabulary_is_clips(mini: TextToImage) -> None:
    assert len(mini.tokenizer) == 49408
    assert mini.text_encoder.get_input_embeddings().weight.shape[0] == 49408
    assert mini.encode(["word " * 200]).shape == (1, 77, mini.text_encoder.config.hidden_size)


@pytest.mark.parametrize(
    ("name", "message"),
    [("minni", "Did you mean 'mini'"), ("./absent", "there is no such folder"), ("/absent/too", "no such folder")],
)
def test_a_model_that_is_not_there(name: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        find_model(name)


def test_a_folder_that_is_no_pipeline(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").touch()
    with pytest.raises(BenchError, match=r"not a diffusers pipeline, model_index\.json, vae"):
        find_model(str(tmp_path))


def test_a_local_folder_loads_as_a_stable_diffusion(mini: TextToImage) -> None:
    source = find_model(str(MINI_WEIGHTS / "pipeline"))
    assert source.family is STABLE_DIFFUSION
    model = load_model(source, "cpu")
    z, context = mini.noise([1]), mini.encode(["a cat"])
    with torch.no_grad():
        mine, theirs = model.predict_noise(z, 500, context), mini.predict_noise(z, 500, context)
    assert torch.allclose(mine, theirs, atol=1e-3)  # where tensors lie in memory decides how sums are rounded


def test_the_hub_offline_says_what_to_do() -> None:
    source = find_model("sd-v1-4")
    assert source.revision.startswith("CompVis/stable-diffusion-v1-4@")
    with pytest.raises(BenchError, match=r"could not be fetched(.|\n)*--model FOLDER"):
        load_model(source, "cpu")
    assert find_model(f"owner/name@{'a' * 40}").revision == f"owner/name@{'a' * 40}"


def test_bf16_on_the_cpu_draws_almost_the_same(mini: TextToImage) -> None:
    z, context = mini.noise([1]), mini.encode(["a cat"])
    with torch.no_grad():
        exact = mini.predict_noise(z, 500, context)
        mini.set_precision("bf16")
        rough = mini.predict_noise(z, 500, context)
        mini.set_precision("fp32")
        again = mini.predict_noise(z, 500, context)
    assert torch.equal(exact, again)
    assert 0 < (rough - exact).abs().max() < 0.1


@pytest.mark.parametrize(
    ("part", "tensor"), [("unet", "conv_in.weight"), ("vae", "decoder.conv_out.bias"), ("text_encoder", None)]
)
def test_weights_that_are_not_finite_are_refused_by_name(mini: TextToImage, part: str, tensor: str | None) -> None:
    pipeline = mini.pipeline()
    check_finite(pipeline, "mine")
    weights = getattr(pipeline, part).state_dict()
    name = tensor or list(weights)[-1]
    place = weights[name].view(-1)
    before = place[-1].item()
    for value in (float("nan"), float("inf")):
        place[-1] = value
        try:
            with pytest.raises(ModelUnavailable, match=rf"--model mine: {part} has values .* not finite in {name}"):
                check_finite(pipeline, "mine")
        finally:
            place[-1] = before


def test_images_are_decoded_eight_at_a_time_and_what_is_not_finite_is_known(
    mini: TextToImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    z = mini.noise(range(19)) * 0.2
    with torch.no_grad():
        at_once = mini.vae.decode(z / mini.vae.config.scaling_factor).sample
    expected = ((at_once / 2 + 0.5).clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
    z[4, 0, 3, 3], z[9, 0, 0, 0] = float("nan"), float("inf")
    sizes, decode = [], mini.vae.decode

    def noted(few: torch.Tensor) -> object:
        sizes.append(len(few))
        return decode(few)

    monkeypatch.setattr(mini.vae, "decode", noted)
    images, finite = mini.decode_checked(z)
    assert sizes == [8, 8, 3]
    assert [k for k, known in enumerate(finite) if not known] == [4, 9]
    assert (images.shape, images.dtype) == ((19, 64, 64, 3), np.uint8)
    assert np.abs(images[finite].astype(float) - expected[finite]).max() <= 1
