"""SDXL's architecture, on a tiny one with random weights: two text encoders, and what its UNet takes beside words."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from one_step import TASK, closed_forms, losses_of_a_step, quick, trained
from tiny import WIDTH, tiny_xl

from erasebench import GuidedBatch, Method, Trainer
from erasebench.engine.attack_run import attack_run
from erasebench.engine.export import export
from erasebench.engine.run import run
from erasebench.errors import BenchError
from erasebench.models.catalog import find_model
from erasebench.models.loading import load_model
from erasebench.models.patch import attached, changes_text, difference, load_patch, restored, save_patch, weights_of
from erasebench.models.text_to_image import TextToImage
from erasebench.registry import METHODS
from erasebench.runs.attacks import AttackRequest
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan, SpectrumSettings, Variant


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("xl") / "model"
    tiny_xl().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> TextToImage:
    return load_model(find_model(str(folder)), "cpu")


def drawn(model: TextToImage, prompt: str) -> np.ndarray:
    z = model.denoise(model.noise([3]), model.encode([prompt]), model.encode([""]), steps=5, guidance=5.0)
    return model.decode(z)[0].astype(float)


def drawn_by_diffusers(pipeline: Any, model: TextToImage, **prompts: str) -> np.ndarray:
    pipeline.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": 5, "guidance_scale": 5.0, "output_type": "np", "return_dict": False}
    found: np.ndarray = pipeline(latents=model.noise([3]), **prompts, **options)[0][0] * 255
    return found


def test_plain_diffusers_draws_what_we_draw(model: TextToImage) -> None:
    """Without a negative prompt it takes zeros, as we do for the empty text."""
    pipeline = model.pipeline()
    assert np.abs(drawn(model, "a cat") - drawn_by_diffusers(pipeline, model, prompt="a cat")).max() <= 1
    other = drawn_by_diffusers(pipeline, model, prompt="a cat", negative_prompt="")
    assert np.abs(drawn(model, "a cat") - other).max() > 1


def test_an_embedding_holds_all_that_the_network_reads_of_a_text(model: TextToImage) -> None:
    cat, empty = model.encode(["a cat", ""])
    assert cat.shape == (78, 2 * WIDTH)
    assert model.positions == 77
    assert torch.equal(cat[77, WIDTH:], torch.zeros(WIDTH))
    assert not cat[77, :WIDTH].eq(0).any()
    assert not empty.any()
    z, t = model.noise([1]), 500
    words, whole = cat.clone(), cat.clone()
    words[5] += 1
    whole[77, 0] += 1
    plain, *moved = (model.predict_noise(z, t, one[None]) for one in (cat, words, whole))
    assert all(not torch.equal(plain, one) for one in moved)


def test_the_sizes_are_those_of_the_image(model: TextToImage) -> None:
    _, more = model.texts.arguments(model.encode(["a cat", "a dog"]), 24, 16)
    assert more["added_cond_kwargs"]["time_ids"].tolist() == [[24, 16, 0, 0, 24, 16]] * 2


@pytest.mark.parametrize("name", [name for name in trained() if name != "advunlearn"])
def test_a_step_lowers_the_loss(name: str, model: TextToImage) -> None:
    """AdvUnlearn trains the one text encoder of a model, and is refused where there are two."""
    before, after = losses_of_a_step(model, name)
    assert after < before


def changed(model: TextToImage, name: str, **settings: Any) -> dict[str, torch.Tensor]:
    """The weights that a closed form gives."""
    method = METHODS.load(name)
    config = method.configure("sd", "object", settings)
    with restored(model) as before:
        method.erase(model, TASK, config, Trainer(model, config.parameters, 0))
        return difference(before, model)


@pytest.mark.parametrize("name", ["negative-prompt", "sld", "sega"])
def test_guides_draw_away_and_without_a_strength_do_nothing(name: str, model: TextToImage) -> None:
    prompts, scale = ["a garbage truck"], torch.tensor(5.0).view(1, 1, 1, 1)
    batch = GuidedBatch(model, prompts, model.encode(prompts), model.encode([""]), scale, 5)

    def by(**settings: Any) -> np.ndarray:
        method: Method = METHODS.load(name)
        assert method.guide is not None
        guide = method.guide(TASK, method.configure("sd", "object", settings))
        return model.decode(model.walk(model.noise([3]), guide.predictor(batch), 5))[0].astype(float)

    nothing = {"text": ""} if name == "negative-prompt" else {"scale": 0.0}
    assert np.abs(by(**nothing) - drawn(model, prompts[0])).max() <= 1
    assert np.abs(by(text="a cat") - drawn(model, prompts[0])).max() > 1


@pytest.mark.parametrize("name", ["all-but-one", "salun", "spm"])
def test_a_patch_survives_saving(name: str, model: TextToImage, tmp_path: Path) -> None:
    method, config = quick(name, steps=2, lr=1e-2)
    z, cat = model.noise([1]), model.encode(["a cat"])
    plain = model.predict_noise(z, 500, cat)
    with restored(model) as before:
        method.erase(model, TASK, config, Trainer(model, config.parameters, 0))
        trained = model.predict_noise(z, 500, cat)
        save_patch(tmp_path / "patch.safetensors", difference(before, model))
    assert not torch.equal(trained, plain)
    with attached(model, load_patch(tmp_path / "patch.safetensors")):
        assert torch.equal(model.predict_noise(z, 500, cat), trained)
    assert torch.equal(model.predict_noise(z, 500, cat), plain)


@pytest.mark.parametrize("name", closed_forms())
def test_closed_forms_change_keys_and_values_of_words(name: str, model: TextToImage) -> None:
    patch = changed(model, name)
    assert {key.rsplit(".", 2)[1] for key in patch} == {"to_k", "to_v"}
    assert all(value.isfinite().all() for value in patch.values())


def test_uces_empty_guide_is_the_start_token(model: TextToImage) -> None:
    """Its authors encode "" as any prompt, where SDXL draws with zeros; RECE goes on from there."""
    c, start = model.encode(["garbage truck"])[0, 2].double(), model.encode(["cat"])[0, 0].double()
    for key, value in changed(model, "uce", recipe="2025").items():
        w = weights_of(model)[key].double()
        expected = w + torch.outer(w @ (start - c), c) / (0.5 + c @ c)  # equation 7 for one concept
        torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-5)
    empty, space = (changed(model, "rece", guide=guide) for guide in ("", " "))
    assert all(torch.equal(space[key], value) for key, value in empty.items())


def test_forget_me_not_says_what_it_cannot_do(model: TextToImage) -> None:
    method = METHODS.load("forget-me-not")
    config = method.configure("sd", "object", {"inverted_tokens": 2})
    with pytest.raises(BenchError, match=r"has 2 text encoders; tokens .* Set forget-me-not\.inverted_tokens=0"):
        method.erase(model, TASK, config, Trainer(model, config.parameters, 0))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Variant(method="safree"), "Leave safree out"),
        (Variant(method="uce", guide="safree"), "Leave safree out"),
        (Variant(method="forget-me-not", settings={"inverted_tokens": 2}), r"Set forget-me-not\.inverted_tokens=0"),
    ],
)
def test_what_takes_one_encoder_is_refused_before_anything_is_drawn(
    row: Variant, reason: str, folder: Path, tmp_path: Path
) -> None:
    plan = Plan(model=str(folder), concept="garbage truck", variants={"row": row}, metrics=["ssim"], images=2)
    with pytest.raises(BenchError, match=f"has 2 text encoders; .*{reason}"):
        run(plan, RunFolder(tmp_path / "run"), "cpu")
    assert not (tmp_path / "run").exists()


def test_a_patch_may_change_the_second_encoder(model: TextToImage) -> None:
    name = "text_encoder_2.text_projection.weight"
    patch = {name: 1.5 * weights_of(model)[name]}
    assert changes_text(patch)
    plain = model.encode(["a cat"])
    with attached(model, patch):
        assert not torch.equal(model.encode(["a cat"])[:, 77], plain[:, 77])
        assert torch.equal(model.encode(["a cat"])[:, :77], plain[:, :77])
    assert torch.equal(model.encode(["a cat"]), plain)


@pytest.mark.slow
def test_a_run_its_spectrum_and_its_export(folder: Path, model: TextToImage, tmp_path: Path) -> None:
    plan = Plan(
        model=str(folder),
        concept="garbage truck",
        methods=["esd", "uce"],
        metrics=["spectrum"],
        spectrum=SpectrumSettings(words=8, levels=1, draws=2),
        images=2,
        train_steps=1,
        generation=Generation(steps=3, precision="fp32"),
        settings={"esd": {"sampler_steps": 3}},
    )
    place = RunFolder(tmp_path / "run")
    assert run(plan, place, "cpu") == ()
    for row in ("esd", "uce"):
        assert json.loads((place.root / "scores" / f"{row}.spectrum.json").read_text())["value"] > 0
    target = export(place, "esd", tmp_path / "erased", None)
    pipeline = DiffusionPipeline.from_pretrained(target)
    erased = load_model(find_model(str(target)), "cpu")
    assert np.abs(drawn(erased, "a bus") - drawn_by_diffusers(pipeline, model, prompt="a bus")).max() <= 1
    with pytest.raises(BenchError, match="has two text encoders"):
        attack_run(place, AttackRequest(names=("paraphrases",), rows=("uce",), targets=1, budget=1), "cpu")


def edited(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("unet/config.json", {"projection_class_embeddings_input_dim": 20}, "takes 20 numbers beside the words"),
        ("unet/config.json", {"addition_embed_type": None}, "addition_embed_type None, not SDXL's 'text_time'"),
        ("unet/config.json", {"cross_attention_dim": WIDTH}, "its text encoders one of 16"),
        ("text_encoder_2/config.json", {"architectures": ["CLIPTextModel"]}, "not CLIPTextModelWithProjection's"),
        ("model_index.json", {"text_encoder": [None, None]}, "says that text_encoder is nothing"),
    ],
)
def test_another_models_parts_are_refused(
    file: str, changes: dict[str, Any], message: str, folder: Path, tmp_path: Path
) -> None:

    other = tmp_path / "other"
    shutil.copytree(folder, other)
    edited(other / file, **changes)
    with pytest.raises(BenchError, match=message):
        find_model(str(other))
