"""Model folders of every kind that people have: refused at once, by name and with a remedy, or loaded right."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from tiny import WIDTH, save_tiny, tiny_pipeline, tiny_unet

from erasebench.errors import BenchError
from erasebench.models.catalog import find_model
from erasebench.models.loading import load_model

UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return shutil.copytree(saved, tmp_path / "model")


def edit(path: Path, **changes: Any) -> None:
    """Change a JSON file's entries; None as "absent" takes one out."""
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps({key: value for key, value in content.items() if value != "absent"}))


def retensor(path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def shard(folder: Path, name: str, count: int = 2) -> None:
    """Split a file of weights as save_pretrained(max_shard_size=…) does."""
    path = folder / name
    tensors, base = load_file(path), path.name.removesuffix(".safetensors")
    files = [f"{base}-{k + 1:05}-of-{count:05}.safetensors" for k in range(count)]
    places = {key: files[k % count] for k, key in enumerate(tensors)}
    for file in files:
        held = {key: value for key, value in tensors.items() if places[key] == file}
        save_file(held, path.parent / file, metadata={"format": "pt"})
    index = {"metadata": {"total_size": 0}, "weight_map": places}
    (path.parent / f"{base}.safetensors.index.json").write_text(json.dumps(index))
    path.unlink()


def index(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "model_index.json", **changes)


def config(part: str, **changes: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / part / "config.json", **changes)


def scheduler(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "scheduler" / "scheduler_config.json", **changes)


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def cut(folder: Path) -> None:
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:-100])


def cut_in_its_header(folder: Path) -> None:
    (folder / VAE).write_bytes((folder / VAE).read_bytes()[:50])


def lora(folder: Path) -> None:
    save_file({"down.attn2.to_k.lora_A.weight": torch.zeros(4, 8)}, folder / UNET)


def esd_x(folder: Path) -> None:
    retensor(folder / UNET, lambda tensors: {name: value for name, value in tensors.items() if "attn2" in name})


def pickles(folder: Path) -> None:
    (folder / UNET).rename(folder / "unet" / "diffusion_pytorch_model.bin")


def another_name(folder: Path) -> None:
    (folder / UNET).rename(folder / "unet" / "esd.safetensors")


def lora_beside(folder: Path) -> None:
    (folder / UNET).rename(folder / "unet" / "pytorch_lora_weights.safetensors")


def two_variants(folder: Path) -> None:
    shutil.copy(folder / UNET, folder / "unet" / "diffusion_pytorch_model.non_ema.safetensors")
    (folder / UNET).rename(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors")


def whole_and_shards(folder: Path) -> None:
    kept = (folder / UNET).read_bytes()
    shard(folder, UNET)
    (folder / UNET).write_bytes(kept)


def lost_shard(folder: Path) -> None:
    shard(folder, UNET)
    (folder / "unet" / "diffusion_pytorch_model-00002-of-00002.safetensors").unlink()


def poor_shard(folder: Path) -> None:
    shard(folder, UNET)
    retensor(
        folder / "unet" / "diffusion_pytorch_model-00002-of-00002.safetensors",
        lambda tensors: dict([*tensors.items()][1:]),
    )


def quantised(folder: Path) -> None:
    retensor(folder / UNET, lambda tensors: {name: value.to(torch.int8) for name, value in tensors.items()})


def nine_channels(folder: Path) -> None:
    retensor(folder / UNET, lambda tensors: tensors | {"conv_in.weight": torch.zeros(8, 9, 3, 3)})


def dangling(folder: Path) -> None:
    (folder / UNET).unlink()
    (folder / UNET).symlink_to("../../blobs/gone")


def without(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()

    return remove


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "inpainting": (
        index(_class_name="StableDiffusionInpaintPipeline"),
        "StableDiffusionInpaintPipeline, not Stable.*sd-v1-4",
    ),
    "SDXL": (
        index(_class_name="StableDiffusionXLPipeline", text_encoder_2=["transformers", "x"]),
        "text_encoder_2 is x",
    ),
    "SD3": (index(_class_name="StableDiffusion3Pipeline", transformer=["diffusers", "x"]), "3Pipeline, not"),
    "img2img": (index(_class_name="StableDiffusionImg2ImgPipeline"), r"image-to-image.*save_pretrained\(NEW\)"),
    "no class": (index(_class_name="absent"), "no _class_name"),
    "another text encoder": (index(text_encoder=["transformers", "T5EncoderModel"]), "text_encoder is T5EncoderModel"),
    "a null unet": (index(unet=[None, None]), "unet is nothing"),
    "index no JSON": (write("model_index.json", b"{"), r"model_index\.json is not valid JSON"),
    "index no object": (write("model_index.json", b"[]"), r"model_index\.json is no JSON object"),
    "config no JSON": (write("vae/config.json", b"\xff"), r"vae/config\.json is not valid JSON"),
    "no config": (without("vae/config.json"), r"vae/config\.json is missing"),
    "config of another class": (config("unet", _class_name="UNet2DModel"), r"unet/config\.json is a UNet2DModel's"),
    "config of another text": (
        config("text_encoder", architectures=["CLIPTextModelWithProjection"]),
        "WithProjection's",
    ),
    "9 channels": (config("unet", in_channels=9), "takes 9 channels: an inpainting model's"),
    "8 channels": (config("unet", in_channels=8), "InstructPix2Pix"),
    "16 latent channels": (config("vae", latent_channels=16), "its VAE has 16"),
    "another width": (config("unet", cross_attention_dim=1024), "width of 1024 and its text encoder one of 8"),
    "SDXL's UNet": (config("unet", addition_embed_type="text_time"), "addition_embed_type 'text_time'"),
    "LCM's UNet": (config("unet", time_cond_proj_dim=256), "time_cond_proj_dim 256"),
    "SD3's VAE": (config("vae", shift_factor=0.06), "shift_factor"),
    "oblong": (config("unet", sample_size=[8, 16]), r"sample_size \[8, 16\]"),
    "quantised by configuration": (config("unet", quantization_config={"bits": 4}), "unet is quantised"),
    "predicts images": (
        scheduler(prediction_type="sample"),
        "predicts 'sample'; supported are epsilon and v_prediction",
    ),
    "flow matching": (scheduler(_class_name="FlowMatch", beta_start="absent"), "FlowMatch has no beta_start"),
    "zero SNR": (scheduler(rescale_betas_zero_snr=True), "rescaled to zero signal"),
    "50 levels": (scheduler(num_train_timesteps=50), "50 noise levels where 1000"),
    "cut off": (cut, r"unet: diffusion_pytorch_model\.safetensors is cut off: [\d,]+ bytes where its header says"),
    "cut off early": (cut_in_its_header, r"vae: .* is cut off after 50 bytes"),
    "empty file": (write(UNET, b""), r"unet: .* \(0 bytes\) is no safetensors file"),
    "a web page": (write(UNET, b"<!DOCTYPE html><html>" * 9), "is no safetensors file"),
    "Git LFS": (write(TEXT, b"version https://git-lfs.github.com/spec/v1\noid"), "pointer of Git LFS.*git lfs pull"),
    "a LoRA": (lora, r"are a LoRA.*fuse_lora\(\)"),
    "a LoRA beside": (lora_beside, r"holds a LoRA.*fuse_lora\(\)"),
    "ESD-x": (esd_x, r"lacks conv_in\.weight.*ESD.*strict=False"),
    "pickles": (pickles, r"it holds config\.json, diffusion_pytorch_model\.bin.*safe_serialization=True"),
    "another file name": (another_name, r"it holds config\.json, esd\.safetensors\)\. Give the file that name"),
    "two variants": (two_variants, r"which one is meant\? Rename it"),
    "whole and shards": (whole_and_shards, r"which one is meant\? Remove the other"),
    "lost shard": (lost_shard, r"index\.json names .*00002-of-00002\.safetensors, which is not there"),
    "poor shard": (poor_shard, r"00002-of-00002\.safetensors lacks .* says it holds"),
    "integers": (quantised, "its weights are I8: quantised"),
    "weights of 9 channels": (
        nine_channels,
        r"conv_in\.weight has shape \[8, 9, 3, 3\] where config\.json has in_channels 4",
    ),
    "another vocabulary": (config("text_encoder", vocab_size=49409), "has vocab_size 49409"),
    "a link to nothing": (dangling, r"unet/.* is a link to \.\./\.\./blobs/gone, which is not there"),
    "no tokenizer": (without("tokenizer"), "tokenizer missing"),
    "no vocabulary": (without("tokenizer/tokenizer.json"), r"neither tokenizer\.json nor vocab\.json"),
    "no scheduler": (without("scheduler"), r"scheduler/scheduler_config\.json missing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_used_is_refused_by_its_files_alone(case: str, folder: Path) -> None:
    spoil, message = REFUSED[case]
    spoil(folder)
    with pytest.raises(BenchError, match=f"(?s)^--model {folder}: .*{message}") as caught:
        find_model(str(folder))
    assert (
        "--model" not in str(caught.value).replace("--model NEW", "").replace("--model sd-v1-4", "")[8:]
    )  # named once


def test_refusing_needs_no_torch(folder: Path) -> None:
    esd_x(folder)
    code = """
import sys
from erasebench.errors import BenchError
from erasebench.models.catalog import find_model
try:
    find_model(sys.argv[1])
except BenchError:
    assert not {"torch", "diffusers"} & set(sys.modules)
else:
    sys.exit("accepted")
"""
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


def test_folders_that_are_no_pipeline(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copytree(saved / "unet", tmp_path / "unet")
    shutil.copytree(saved / "vae", tmp_path / "vae")
    shutil.copytree(saved, tmp_path / "cache" / "snapshots" / COMMIT)
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "pytorch_lora_weights.safetensors").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for name, message in {
        "empty": "the folder is empty",
        "unet": r"a UNet alone.*unet=UNet2DConditionModel\.from_pretrained",
        "vae": "a AutoencoderKL alone",
        "lora": r"a LoRA, where a whole pipeline.*fuse_lora",
        "cache": rf"further down: --model {tmp_path}/cache/snapshots/{COMMIT}",
        "absent": "there is no such folder",
        "link": "a link to .*gone, which is not there",
        f"unet/{Path(UNET).name}": "a single file",
    }.items():
        with pytest.raises(BenchError, match=message):
            find_model(str(tmp_path / name))


def test_a_folder_can_not_take_the_name_of_a_model(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(saved, tmp_path / "sd-v1-4")
    monkeypatch.chdir(tmp_path)
    find_model.cache_clear()
    assert find_model("sd-v1-4").revision.startswith("CompVis/")
    assert find_model("./sd-v1-4").revision == find_model(str(saved)).revision


def test_only_files_that_are_loaded_count(folder: Path) -> None:
    def revision() -> str:
        find_model.cache_clear()
        return find_model(str(folder)).revision

    before = revision()
    (folder / "README.md").write_text("a card")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"old")
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"not loaded")
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "model.safetensors").write_bytes(b"never loaded")
    assert revision() == before
    for name in (UNET, VAE, TEXT, "unet/config.json", "tokenizer/tokenizer.json", "scheduler/scheduler_config.json"):
        kept = (folder / name).read_bytes()
        changed = kept + b" " if name.endswith(".json") else kept[:-1] + bytes([kept[-1] ^ 1])
        (folder / name).write_bytes(changed)
        assert revision() != before, name
        (folder / name).write_bytes(kept)
    assert revision() == before


# What loads, and what loading finds


def missing(folder: Path) -> None:
    retensor(
        folder / UNET, lambda tensors: {n: t for n, t in tensors.items() if not n.startswith("mid_block.resnets.0")}
    )


def left_over(folder: Path) -> None:
    retensor(folder / VAE, lambda tensors: tensors | {"decoder.extra.weight": torch.zeros(2)})


def misshapen(folder: Path) -> None:
    retensor(folder / UNET, lambda tensors: tensors | {"mid_block.resnets.0.conv1.bias": torch.zeros(3)})


def not_finite(folder: Path) -> None:
    retensor(folder / VAE, lambda tensors: tensors | {"decoder.conv_out.bias": torch.tensor([0.0, float("nan"), 0.0])})


def added_token(folder: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    pipeline.tokenizer.add_tokens("<cat>")
    pipeline.tokenizer.save_pretrained(folder / "tokenizer")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (missing, r"unet lacks \d+ tensors of the \d+ .*mid_block\.resnets\.0"),
        (left_over, r"vae has besides 1 tensors .*decoder\.extra\.weight"),
        (misshapen, r"unet .*mid_block\.resnets\.0\.conv1\.bias"),
        (not_finite, r"vae has values that are not finite in decoder\.conv_out\.bias"),
        (added_token, "tokenizer has 49409 tokens and its text encoder embeddings for 49408"),
    ],
    ids=["missing", "left over", "misshapen", "not finite", "added token"],
)
def test_weights_that_do_not_fit_are_refused_when_they_are_read(
    spoil: Callable[[Path], None], message: str, folder: Path
) -> None:
    spoil(folder)
    with pytest.raises(BenchError, match=message):
        load_model(find_model(str(folder)), "cpu")


def weights(folder: Path | str) -> dict[str, torch.Tensor]:
    model = load_model(find_model(str(folder)), "cpu")
    parts = {"unet": model.unet, "vae": model.vae, "text": model.text_encoder}
    return {f"{name}.{key}": tensor for name, part in parts.items() for key, tensor in part.state_dict().items()}


def test_shards_old_names_and_absent_optional_parts_load_the_same_weights(saved: Path, folder: Path) -> None:
    expected = weights(saved)
    shard(folder, UNET)
    shard(folder, TEXT)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        found = {}
        for name, tensor in tensors.items():
            for new, before in old.items():
                name = name.replace(f".attentions.0.{new}.", f".attentions.0.{before}.")
            found[name] = tensor
        assert "decoder.mid_block.attentions.0.query.weight" in found
        return found

    retensor(folder / VAE, rename)
    edit(
        folder / "model_index.json",
        safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
        feature_extractor=["transformers", "CLIPImageProcessor"],
    )
    found = weights(folder)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert found.keys() == expected.keys()


def test_half_precision_files_load_in_float32_and_the_plain_ones_come_first(saved: Path, tmp_path: Path) -> None:
    expected = weights(saved)
    half = save_tiny(tmp_path / "half", "fp16")
    found = weights(half)
    assert all(tensor.dtype == torch.float32 for tensor in found.values() if tensor.is_floating_point())
    assert all(torch.equal(found[name], tensor.half().float()) for name, tensor in expected.items())
    both = shutil.copytree(half, tmp_path / "both")
    shutil.copytree(saved, both, dirs_exist_ok=True)
    assert torch.equal(weights(both)["unet.conv_in.weight"], expected["unet.conv_in.weight"])


def test_a_saved_samplers_options_change_nothing(saved: Path, folder: Path) -> None:
    edit(
        folder / "scheduler" / "scheduler_config.json",
        _class_name="DPMSolverMultistepScheduler",
        algorithm_type="sde-dpmsolver++",
        use_karras_sigmas=True,
        thresholding=True,
        solver_order=3,
        timestep_spacing="trailing",
        steps_offset=7,
        clip_sample=True,
        final_sigmas_type="sigma_min",
        set_alpha_to_one=True,
        skip_prk_steps=False,
    )
    plain, other = load_model(find_model(str(saved)), "cpu"), load_model(find_model(str(folder)), "cpu")
    z, context, empty = plain.noise([3]), plain.encode(["a cat"]), plain.encode([""])
    for solver in ("ddim", "dpm++", "lms", "pndm"):
        drawn = [
            model.denoise(z, context, empty, steps=4, guidance=3.0, solver=solver) for model in (plain, other, other)
        ]
        assert torch.equal(drawn[0], drawn[1]), solver
        assert torch.equal(drawn[1], drawn[2]), solver


def test_a_tokenizer_without_a_length_takes_the_text_encoders(saved: Path, folder: Path) -> None:
    edit(folder / "tokenizer" / "tokenizer_config.json", model_max_length="absent")
    model = load_model(find_model(str(folder)), "cpu")
    assert model.tokenizer.model_max_length == 77
    long = "a cat " * 60
    assert torch.equal(model.encode([long]), load_model(find_model(str(saved)), "cpu").encode([long]))


@pytest.mark.slow
def test_the_remedies_work(saved: Path, folder: Path, tmp_path: Path) -> None:
    """What the messages for a UNet alone, for a part of a UNet and for another pipeline's class say."""
    unet = tiny_unet()
    unet.save_pretrained(tmp_path / "unet")
    StableDiffusionPipeline.from_pretrained(saved, unet=type(unet).from_pretrained(tmp_path / "unet")).save_pretrained(
        tmp_path / "merged"
    )
    assert torch.equal(weights(tmp_path / "merged")["unet.conv_in.weight"], unet.conv_in.weight)

    key = next(name for name in unet.state_dict() if name.endswith("attn2.to_k.weight"))
    save_file({key: torch.ones(8, WIDTH)}, tmp_path / "part.safetensors")
    pipeline = StableDiffusionPipeline.from_pretrained(saved)
    pipeline.unet.load_state_dict(load_file(tmp_path / "part.safetensors"), strict=False)
    pipeline.save_pretrained(tmp_path / "erased")
    assert (weights(tmp_path / "erased")[f"unet.{key}"] == 1).all()

    other = StableDiffusionImg2ImgPipeline(**tiny_pipeline().components, requires_safety_checker=False)
    other.save_pretrained(tmp_path / "img2img")
    StableDiffusionPipeline.from_pretrained(tmp_path / "img2img").save_pretrained(tmp_path / "text")
    assert weights(tmp_path / "text").keys() == weights(saved).keys()


# The hub's cache


@pytest.fixture
def cache(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with one model at one commit, with links to blobs as the hub's own."""
    root = tmp_path / "hub" / "models--owner--name"
    snapshot = shutil.copytree(saved, root / "snapshots" / COMMIT)
    (root / "blobs").mkdir()
    for k, file in enumerate(sorted(path for path in snapshot.rglob("*") if path.is_file())):
        file.rename(root / "blobs" / str(k))
        file.symlink_to(root / "blobs" / str(k))
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    find_model.cache_clear()
    return snapshot


def test_a_hub_model_without_revision_is_resolved_to_the_caches_commit(cache: Path, saved: Path) -> None:
    source = find_model("owner/name")
    assert source.revision == f"owner/name@{COMMIT}" == find_model(f"owner/name@{COMMIT}").revision
    assert source.image_size == 16
    assert source.fetched() == source
    local = load_model(find_model(str(saved)), "cpu")
    assert torch.equal(load_model(source, "cpu").unet.conv_in.weight, local.unet.conv_in.weight)


def test_hub_models_that_are_not_there_say_how_to_get_them(cache: Path) -> None:
    for name in ("owner/other", "owner/name@branch"):
        with pytest.raises(BenchError, match=r"(?s)hub can't be asked.*`hf download .*--model FOLDER"):
            find_model(name)
    (cache / UNET).unlink()  # partly fetched
    source = find_model("owner/name")
    assert (source.source, source.hub_revision) == ("owner/name", COMMIT)
    with pytest.raises(BenchError, match=rf"could not be fetched(.|\n)*hf download owner/name --revision {COMMIT}"):
        load_model(source, "cpu")


def test_a_cached_model_of_another_kind_is_refused_at_once(cache: Path) -> None:
    edit(cache / "model_index.json", _class_name="StableDiffusion3Pipeline")
    with pytest.raises(BenchError, match="StableDiffusion3Pipeline, not Stable"):
        find_model("owner/name")


def test_a_hub_model_is_fetched_configurations_first(
    saved: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is loaded is fetched, and nothing of the weights where the pipeline is of another kind."""
    remote = shutil.copytree(saved, tmp_path / "remote")
    (remote / "v1-5-pruned.ckpt").touch()
    (remote / "unet" / "diffusion_pytorch_model.fp16.safetensors").touch()
    fetched: list[str] = []

    def download(hub_id: str, revision: str, allow_patterns: list[str]) -> str:
        assert (hub_id, revision) == ("owner/name", COMMIT)
        for name in allow_patterns:
            (cache / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(remote / name, cache / name)
        fetched.extend(allow_patterns)
        return str(cache)

    names = sorted(path.relative_to(remote).as_posix() for path in remote.rglob("*") if path.is_file())
    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", lambda self, hub_id, revision: names)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)

    def fresh() -> Any:
        shutil.rmtree(cache)
        cache.mkdir()
        shutil.copy(remote / "model_index.json", cache)
        fetched.clear()
        find_model.cache_clear()
        return find_model("owner/name")

    source = fresh()
    here = source.fetched()
    assert (here.source, here.revision) == (str(cache), source.revision)
    assert here.image_size == 16
    assert set(fetched) == set(names) - {"v1-5-pruned.ckpt", "unet/diffusion_pytorch_model.fp16.safetensors"}

    edit(remote / "unet" / "config.json", in_channels=9)
    with pytest.raises(BenchError, match="inpainting"):
        fresh().fetched()
    assert not any(name.endswith(".safetensors") for name in fetched)
