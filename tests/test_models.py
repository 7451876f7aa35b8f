"""Loading models, and Stable Diffusion's parameter groups by its configuration alone."""

from pathlib import Path

import open_clip
import pytest
import torch
from diffusers import UNet2DConditionModel

from erasebench.errors import BenchError
from erasebench.mini.judge import WEIGHTS
from erasebench.models import TextToImage, choose_device, resolve_precision
from erasebench.parameters import select
from erasebench.sources import find_model

SD_COUNTS = {
    "xattn": (43_962_560, 80),
    "xattn-kv": (19_169_280, 32),
    "selfattn": (49_574_080, None),
    "noxattn": (813_496_320, None),
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


def test_the_package_holds_at_most_20_mb_of_weights() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.rglob("*") if file.is_file()) <= 20_000_000


@pytest.mark.parametrize("text", ["nudity", "a garbage truck!", "Van Gogh café 日本", "it's  ☺", ""])
def test_token_ids_are_clips(mini: TextToImage, text: str) -> None:
    theirs = open_clip.tokenizer.SimpleTokenizer().encode(text)
    assert mini.tokenizer(text).input_ids == [49406, *theirs, 49407]


def test_the_vocabulary_is_clips(mini: TextToImage) -> None:
    assert len(mini.tokenizer) == 49408
    assert mini.text_encoder.get_input_embeddings().weight.shape[0] == 49408
    assert mini.encode(["word " * 200]).shape == (1, 77, 64)


@pytest.mark.parametrize(
    ("name", "message"),
    [("minni", "Did you mean 'mini'"), ("./absent", "there is no such folder"), ("/absent/too", "no such folder")],
)
def test_a_model_that_is_not_there(name: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        find_model(name)


def test_a_folder_that_is_no_pipeline(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    with pytest.raises(BenchError, match=r"not a diffusers pipeline, model_index\.json, vae"):
        find_model(str(tmp_path))


def test_a_local_folder_loads_as_a_stable_diffusion(mini: TextToImage) -> None:
    source = find_model(str(WEIGHTS / "pipeline"))
    assert source.family == "sd"
    model = source.load("cpu")
    z, context = mini.noise([1]), mini.encode(["a cat"])
    with torch.no_grad():
        assert torch.equal(model.predict_noise(z, 500, context), mini.predict_noise(z, 500, context))


def test_the_hub_offline_says_what_to_do() -> None:
    source = find_model("sd-v1-4")
    assert source.revision.startswith("CompVis/stable-diffusion-v1-4@")
    with pytest.raises(BenchError, match=r"could not be fetched(.|\n)*--model FOLDER"):
        source.load("cpu")
    assert find_model("owner/name@abc").revision == "owner/name@abc"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_without_a_gpu_is_an_error() -> None:
    assert choose_device("auto") == "cpu"
    with pytest.raises(BenchError, match="sees no CUDA device"):
        choose_device("cuda")


def test_half_precision_needs_a_gpu() -> None:
    assert resolve_precision("auto", "cpu") == "fp32"
    assert resolve_precision("auto", "cuda") == "fp16"
    with pytest.raises(BenchError, match="fp16 needs a GPU"):
        resolve_precision("fp16", "cpu")


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
