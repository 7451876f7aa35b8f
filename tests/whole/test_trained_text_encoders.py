"""A row whose text encoder was trained here: images, spectrum, attack and export are those of its own embeddings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

from erasebench import TextToImage
from erasebench.engine.export import export
from erasebench.engine.run import run
from erasebench.models.patch import attached, load_patch, part_of
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan, SpectrumSettings, Variant

FEW = {"steps": 3, "plain_steps": 1, "batch": 1, "retained": 1, "words": 4, "sampler_steps": 3, "lr": 1e-2}


def plan_of(**rows: Variant) -> Plan:
    return Plan(
        name="texts",
        concept="garbage truck",
        methods=[],
        variants={"mine": Variant(method="advunlearn", settings=FEW), **rows},
        metrics=["concept_rate", "ssim", "spectrum"],
        images=2,
        snapshots=[2],
        generation=Generation(steps=2, precision="fp32", batch_size=2),
        spectrum=SpectrumSettings(words=8, levels=1, draws=2),
    )


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("run") / "first")
    assert run(plan_of(), folder, "cpu") == ()
    return folder


def drawn(model: TextToImage, text: str) -> np.ndarray:
    z = model.denoise(model.noise([3]), model.encode([text]), model.encode([""]), steps=4, guidance=5.0)
    return model.decode(z)[0].astype(float)


def test_its_weights_are_the_text_encoders(first: RunFolder) -> None:
    patch = load_patch(first.patch("mine", 0))
    assert {part_of(name) for name in patch} == {"text_encoder"}
    kept = load_patch(first.patch("mine@2", 0))
    assert kept.keys() == patch.keys()
    assert any(not torch.equal(kept[name], value) for name, value in patch.items())
    scores = {name: json.loads(first.score("mine", name).read_text())["value"] for name in ("ssim", "spectrum")}
    assert scores["ssim"] < 1
    assert scores["spectrum"] != 0  # with the original's embeddings nothing would differ: the UNet is the original's


def test_exported_it_is_drawn_by_plain_diffusers(first: RunFolder, mini: TextToImage, tmp_path: Path) -> None:
    folder = export(first, "mine", tmp_path / "model")
    assert "what differs from the original: text_encoder." in (folder / "README.md").read_text(encoding="utf-8")
    original = mini.unet.state_dict()
    unet = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(value, original[name]) for name, value in unet.items())
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": 4, "guidance_scale": 5.0, "output_type": "np", "return_dict": False}
    theirs = pipeline("a garbage truck", latents=mini.noise([3]), **options)[0][0] * 255
    with attached(mini, load_patch(first.patch("mine", 0))):
        mine = drawn(mini, "a garbage truck")
    assert np.abs(mine - theirs).max() <= 1
    assert np.abs(mine - drawn(mini, "a garbage truck")).max() > 1


def test_brought_back_as_a_file_it_has_the_same_scores(first: RunFolder, tmp_path: Path) -> None:
    """As the patch, and as the exported folder's text encoder alone."""
    folder = export(first, "mine", tmp_path / "model") / "text_encoder"
    rows = {"patch": first.patch("mine", 0), "encoder": folder}
    again = RunFolder(tmp_path / "again")
    plan = plan_of(**{name: Variant(path=str(path)) for name, path in rows.items()})
    assert run(plan, again, "cpu", store=first.store) == ()
    for name in ("concept_rate", "ssim", "spectrum"):
        values = {row: json.loads(again.score(row, name).read_text())["value"] for row in ("mine", *rows)}
        assert len(set(values.values())) == 1, values
    assert "of text_encoder, relative size" in again.table("md").read_text(encoding="utf-8")
