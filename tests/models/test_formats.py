"""Weights that others made: each form of file gives the patch that it was made from; what does not fit is refused."""

import json
import pickle
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny import tiny_pipeline, tiny_unet

from erasebench.errors import BenchError
from erasebench.models.formats.read import Difference, read_own
from erasebench.models.formats.recognise import recognise
from erasebench.models.patch import attached, changes_text, part_of, save_patch, weights_of
from erasebench.models.text_to_image import TextToImage

Tensors = dict[str, torch.Tensor]
LAYERS = 1  # of the tiny UNet's blocks
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


@pytest.fixture(scope="module")
def base() -> TextToImage:
    return TextToImage(tiny_pipeline(), "tiny", "sd", "revision", "cpu")


@pytest.fixture(scope="module")
def patch(base: TextToImage) -> Tensors:
    """Every linear layer of attention in UNet and text encoder, moved."""
    generator = torch.Generator().manual_seed(1)
    chosen = (".to_k.weight", ".to_v.weight", ".to_out.0.weight", "self_attn.q_proj.weight")
    return {
        name: value + 0.1 * torch.randn(value.shape, generator=generator)
        for name, value in weights_of(base).items()
        if name.endswith(chosen) and part_of(name) != "vae"
    }


def inner(patch: Tensors, part: str) -> Tensors:
    """One part's weights by its own names."""
    return {name.removeprefix(f"{part}."): value for name, value in patch.items() if part_of(name) == part}


def changed_pipeline(patch: Tensors) -> StableDiffusionPipeline:
    pipeline = tiny_pipeline()
    pipeline.unet.load_state_dict(inner(patch, "unet"), strict=False)
    pipeline.text_encoder.load_state_dict(inner(patch, "text_encoder"), strict=False)
    return pipeline


def as_patch(patch: Tensors, base: TextToImage, folder: Path) -> Path:
    save_patch(folder / "patch.safetensors", patch)
    return folder / "patch.safetensors"


def as_pipeline(patch: Tensors, base: TextToImage, folder: Path) -> Path:
    changed_pipeline(patch).save_pretrained(folder)
    return folder


def as_unet_folder(patch: Tensors, base: TextToImage, folder: Path) -> Path:
    changed_pipeline(patch).unet.save_pretrained(folder)
    return folder


def as_part_of_a_unet(patch: Tensors, base: TextToImage, folder: Path) -> Path:
    """As ESD-x saves it: cross-attention alone, whether it changed or not."""
    state = changed_pipeline(patch).unet.state_dict()
    save_file({name: value for name, value in state.items() if "attn" in name}, folder / "esd-x.safetensors")
    return folder / "esd-x.safetensors"


def as_text_folder(patch: Tensors, base: TextToImage, folder: Path) -> Path:
    changed_pipeline(patch).text_encoder.save_pretrained(folder)
    return folder


def as_text_file(patch: Tensors, base: TextToImage, folder: Path) -> Path:
    """As earlier versions of transformers name it."""
    state = changed_pipeline(patch).text_encoder.state_dict()
    save_file({f"text_model.{name}": value for name, value in state.items()}, folder / "text.safetensors")
    return folder / "text.safetensors"


def as_original(patch: Tensors, base: TextToImage, folder: Path) -> Path:
    pipeline = changed_pipeline(patch)
    unet = {f"model.diffusion_model.{original_name(n)}": v for n, v in pipeline.unet.state_dict().items()}
    text = {f"cond_stage_model.transformer.text_model.{n}": v for n, v in pipeline.text_encoder.state_dict().items()}
    vae = {
        f"first_stage_model.{n}": v for n, v in map(original_vae, *zip(*pipeline.vae.state_dict().items(), strict=True))
    }
    save_file({**unet, **text, **vae}, folder / "model.safetensors")
    return folder / "model.safetensors"


def original_vae(name: str, value: torch.Tensor) -> tuple[str, torch.Tensor]:
    """A tiny VAE's tensor in Stable Diffusion's original layout; attention's matrices are convolutions there."""
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{1 - int(m[1])}.block", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{1 - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("conv_shortcut", "nin_shortcut")
    name = name.replace("conv_norm_out", "norm_out")
    if "attn_1" in name and value.dim() == 2:
        value = value[:, :, None, None]
    for own, theirs in {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}.items():
        name = name.replace(f"attn_1.{own}", f"attn_1.{theirs}")
    return name, value


def original_name(name: str) -> str:
    """A tiny UNet's tensor in Stable Diffusion's original layout."""
    for own, theirs in {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }.items():
        if name.startswith(f"{own}."):
            return name.replace(own, theirs)
    block, _, rest = name.partition(".")
    number, kind, j, rest = ("", *rest.split(".", 2)) if block == "mid_block" else rest.split(".", 3)
    if kind == "resnets":
        layer, _, end = rest.partition(".")
        rest = f"{RESNET[layer]}.{end}"
    if block == "mid_block":
        return f"middle_block.{2 * int(j) if kind == 'resnets' else 1}.{rest}"
    start = int(number) * (LAYERS + 1) + (block == "down_blocks")
    side = "input_blocks" if block == "down_blocks" else "output_blocks"
    if kind == "downsamplers":
        return f"{side}.{start + LAYERS}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsamplers":
        return f"{side}.{start + LAYERS}.2.{rest}"
    return f"{side}.{start + int(j)}.{int(kind == 'attentions')}.{rest}"


def matrices(patch: Tensors, base: TextToImage) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """By module, full-rank A and B whose product is the change."""
    before, found = weights_of(base), {}
    for name, value in patch.items():
        u, s, v = torch.linalg.svd((value - before[name]).double(), full_matrices=False)
        found[name.removesuffix(".weight")] = (
            (s.sqrt()[:, None] * v).float().contiguous(),
            (u * s.sqrt()).float().contiguous(),
        )
    return found


def as_peft_lora(patch: Tensors, base: TextToImage, folder: Path) -> Path:
    """As diffusers saves one today, with PEFT's names; an α of half the rank, which the file tells."""
    tensors = {}
    for module, (a, b) in matrices(patch, base).items():
        name = module if module.startswith("text_encoder.") else f"unet.{module}"
        tensors |= {f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": 2 * b}
    alphas = {"unet.lora_alpha": 4, "text_encoder.lora_alpha": 4}
    save_file(tensors, folder / "pytorch_lora_weights.safetensors", {"lora_adapter_metadata": json.dumps(alphas)})
    return folder


def as_old_lora(patch: Tensors, base: TextToImage, folder: Path) -> Path:
    """As diffusers saved one before PEFT."""
    tensors = {}
    for module, (a, b) in matrices(patch, base).items():
        if module.startswith("text_encoder."):
            name = module.replace("q_proj", "q_proj.lora_linear_layer")
        else:
            path, _, layer = module.replace("to_out.0", "to_out").rpartition(".")
            name = f"unet.{path}.processor.{layer}_lora"
        tensors |= {f"{name}.down.weight": a, f"{name}.up.weight": b}
    save_file(tensors, folder / "old.safetensors")
    return folder / "old.safetensors"


def as_kohya_lora(patch: Tensors, base: TextToImage, folder: Path) -> Path:
    """As kohya's trainer saves one, with an α of twice the rank."""
    tensors = {}
    for module, (a, b) in matrices(patch, base).items():
        part = "te" if module.startswith("text_encoder.") else "unet"
        inner = module.replace("text_encoder.", "text_model.")
        name = f"lora_{part}_{inner.replace('.', '_')}"
        tensors |= {
            f"{name}.lora_down.weight": a,
            f"{name}.lora_up.weight": b / 2,
            f"{name}.alpha": torch.tensor(2.0 * len(a)),
        }
    save_file(tensors, folder / "kohya.safetensors")
    return folder / "kohya.safetensors"


Write = Callable[[Tensors, TextToImage, Path], Path]
BOTH, UNET, TEXT = ("unet", "text_encoder"), ("unet",), ("text_encoder",)
FORMS: list[tuple[Write, tuple[str, ...], float]] = [
    (as_patch, BOTH, 0),
    (as_pipeline, BOTH, 0),
    (as_unet_folder, UNET, 0),
    (as_part_of_a_unet, UNET, 0),
    (as_text_folder, TEXT, 0),
    (as_text_file, TEXT, 0),
    (as_original, BOTH, 0),
    (as_peft_lora, BOTH, 1e-5),
    (as_old_lora, BOTH, 1e-5),
    (as_kohya_lora, BOTH, 1e-5),
]


@pytest.mark.parametrize(("write", "parts", "tolerance"), FORMS, ids=[write.__name__ for write, _, _ in FORMS])
def test_every_form_gives_the_patch_that_it_was_made_from(
    write: Write, parts: tuple[str, ...], tolerance: float, base: TextToImage, patch: Tensors, tmp_path: Path
) -> None:
    own = recognise(write(patch, base, tmp_path))
    found, difference = read_own(own, base)
    expected = {name: value for name, value in patch.items() if part_of(name) in parts}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name] - value).abs().max() <= tolerance, name
    assert set(difference.parts) == set(parts)
    before = {name: value for name, value in weights_of(base).items() if part_of(name) == "unet"}
    if "unet" in parts:
        moved = sum((patch[n] - before[n]).square().sum() for n in patch if n in before)
        size = sum(value.square().sum() for value in before.values())
        assert difference.parts["unet"].relative == pytest.approx(float((moved / size).sqrt()), rel=1e-4)
        assert difference.group == "attention"


def test_the_text_encoder_of_a_patch_is_attached_and_taken_off(base: TextToImage, patch: Tensors) -> None:
    before = base.encode(["a cat"])
    with attached(base, patch):
        inside = base.encode(["a cat"])
    expected = changed_pipeline(patch).text_encoder(
        base.tokenizer(["a cat"], padding="max_length", return_tensors="pt").input_ids
    )[0]
    assert torch.equal(inside, expected)
    assert not torch.allclose(inside, before)
    assert torch.equal(base.encode(["a cat"]), before)
    assert changes_text(patch)
    assert not changes_text(inner(patch, "unet"))


def test_a_lora_of_full_rank_draws_the_patchs_images(base: TextToImage, patch: Tensors, tmp_path: Path) -> None:
    """To a grey level: its two matrices multiply to the difference but for rounding."""
    found, _ = read_own(recognise(as_peft_lora(patch, base, tmp_path)), base)

    def drawn(weights: Tensors) -> np.ndarray:
        with attached(base, weights):
            context, empty = base.encode(["a garbage truck", "a cat"]), base.encode([""])
            return base.decode(base.denoise(base.noise([1, 2]), context, empty, steps=5, guidance=5.0)).astype(int)

    own = drawn(patch)
    assert np.abs(drawn(found) - own).max() <= 1
    assert np.abs(drawn({}) - own).max() > 1


def test_a_scale_is_of_a_lora_alone(base: TextToImage, patch: Tensors, tmp_path: Path) -> None:
    before = weights_of(base)
    found, _ = read_own(recognise(as_kohya_lora(patch, base, tmp_path)), base, scale=0.5)
    for name, value in patch.items():
        assert (found[name] - (before[name] + value) / 2).abs().max() < 1e-5
    with pytest.raises(BenchError, match="only a LoRA has a scale"):
        read_own(recognise(as_patch(patch, base, tmp_path)), base, scale=0.5)


def saved(tensors: Mapping[str, torch.Tensor], folder: Path) -> Path:
    save_file(dict(tensors), folder / "x.safetensors")
    return folder / "x.safetensors"


NAME = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
LAYER = f"unet.{NAME.removesuffix('.weight')}"
WRONG: list[tuple[str, Tensors, str]] = [
    ("another architecture", {"down_blocks.7.weight": torch.ones(2)}, "no place in the base, such as down_blocks.7"),
    ("another shape", {NAME: torch.ones(8, 16)}, rf"{NAME} has shape \[8, 16\], and \[8, 8\] in the base"),
    ("not finite", {NAME: torch.full((8, 8), torch.nan)}, rf"{NAME} has values that are not finite"),
    ("a LoRA for another family", {"lora_te2_x.lora_down.weight": torch.ones(1, 1)}, "lora_te2_x"),
    (
        "a LoRA for another width",
        {f"{LAYER}.lora_A.weight": torch.ones(1, 9), f"{LAYER}.lora_B.weight": torch.ones(8, 1)},
        "8 × 8 in the base and 8 × 9",
    ),
    ("half a LoRA", {f"{LAYER}.lora_A.weight": torch.ones(1, 8)}, "only one of its two matrices"),
    ("a LoHa", {"lora_unet_x.hada_w1_a": torch.ones(1)}, "a LoHa"),
    ("SDXL", {"conditioner.embedders.0.x": torch.ones(1)}, "Stable Diffusion XL"),
    ("anything else", {"a": torch.ones(1), "b": torch.ones(1)}, "it holds a, b, which no form has"),
    ("nothing", {}, "no tensor"),
    ("quantised", {NAME: torch.ones(8, 8, dtype=torch.int8)}, "I8: quantised"),
]


@pytest.mark.parametrize(("kind", "tensors", "message"), WRONG, ids=[kind for kind, _, _ in WRONG])
def test_what_does_not_fit_is_refused_by_name(
    kind: str, tensors: Tensors, message: str, base: TextToImage, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match=message):
        read_own(recognise(saved(tensors, tmp_path)), base)


def test_the_base_itself_is_no_row(base: TextToImage, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="nothing differs from tiny"):
        read_own(recognise(saved({NAME: weights_of(base)[NAME]}, tmp_path)), base)


def largest(path: Path) -> Path:
    """A row's largest file."""
    files = [path] if path.is_file() else path.rglob("*.safetensors")
    return max(files, key=lambda file: file.stat().st_size)


@pytest.mark.parametrize("write", [write for write, _, _ in FORMS])
def test_every_form_is_refused_where_it_is_cut_off(
    write: Write, base: TextToImage, patch: Tensors, tmp_path: Path
) -> None:
    path = write(patch, base, tmp_path)
    file = largest(path)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(BenchError, match=rf"{file.name}.*cut off"):
        recognise(path)


@pytest.mark.parametrize("write", [write for write, _, _ in FORMS])
def test_every_form_is_refused_where_it_is_not_finite(
    write: Write, base: TextToImage, patch: Tensors, tmp_path: Path
) -> None:
    path = write(patch, base, tmp_path)
    file = largest(path)
    with safe_open(file, "pt") as opened:
        tensors, metadata = {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata()  # noqa: SIM118
    name = next(name for name, value in tensors.items() if value.dim() == 2)
    tensors[name][0, 0] = torch.nan
    save_file(tensors, file, metadata)
    with pytest.raises(BenchError, match="has values that are not finite"):
        read_own(recognise(path), base)


def test_a_unet_of_other_blocks_is_refused(base: TextToImage, tmp_path: Path) -> None:
    tiny_unet(block_out_channels=(8, 16)).save_pretrained(tmp_path)
    with pytest.raises(BenchError, match="of another architecture"):
        read_own(recognise(tmp_path), base)


class _Code:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (Path("ran"),)  # type: ignore[return-value]


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True], ids=["plain", "inside state_dict"])
def test_a_pickle_is_refused_with_the_command_that_converts_it(
    nested: bool, base: TextToImage, patch: Tensors, tmp_path: Path
) -> None:
    unet = inner(patch, "unet")
    path = tmp_path / "esd x.pt"
    torch.save({"state_dict": unet, "step": 3} if nested else unet, path)
    with pytest.raises(BenchError, match="never loaded") as refused:
        recognise(path)
    command = shlex.split(str(refused.value).splitlines()[-1])
    assert command[:2] == ["python", "-c"]
    subprocess.run([sys.executable, *command[1:]], check=True)
    found, _ = read_own(recognise(path.with_suffix(".safetensors")), base)
    assert all(torch.equal(found[name], value) for name, value in unet.items())


@pytest.mark.slow
def test_a_pickled_textual_inversion_is_converted_by_its_own_command(tmp_path: Path) -> None:
    torch.save({"string_to_param": {"*": torch.ones(2, 8)}, "name": "cat"}, tmp_path / "cat.pt")
    with pytest.raises(BenchError) as refused:
        recognise(tmp_path / "cat.pt")
    subprocess.run([sys.executable, *shlex.split(str(refused.value).splitlines()[-1])[1:]], check=True)
    assert load_file(tmp_path / "cat.safetensors")["emb_params"].shape == (2, 8)


def test_a_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.ckpt").write_bytes(pickle.dumps(_Code()))
    with pytest.raises(BenchError, match="never loaded"):
        recognise(tmp_path / "bad.ckpt")
    assert not (tmp_path / "ran").exists()


def test_what_differs_is_told(base: TextToImage, tmp_path: Path) -> None:
    half = {name: value.half() for name, value in base.unet.state_dict().items()}
    _, rounded = read_own(recognise(saved(half, tmp_path)), base)
    assert isinstance(rounded, Difference)
    assert "rounding to half precision?" in str(rounded)
    patch = load_file(saved({NAME: 2 * base.unet.state_dict()[NAME]}, tmp_path))
    recognise.cache_clear()
    _, doubled = read_own(recognise(saved(patch, tmp_path)), base)
    assert str(doubled).startswith(f"1 of {len(base.unet.state_dict())} tensors of unet (xattn-kv), relative size")
