"""The embedded model's own training: resumable, and stops on nonsense."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from erasebench.develop.mini.muon import Muon
from erasebench.develop.mini.token_table import write_tokenizer
from erasebench.develop.mini.train import RECIPE, claim, read_recipe, train
from erasebench.develop.mini.train_data import Renders
from erasebench.develop.mini.train_loop import OPTIMISERS, learning_rate_factor, train_part
from erasebench.develop.mini.train_unet import training_captions
from erasebench.develop.mini.world import CONCEPTS, DRAWN, World, WorldConcept
from erasebench.develop.mini.world.canvas import RGB, Canvas
from erasebench.develop.mini.world.sampling import sampler
from erasebench.develop.mini.world_data import REAL_SEED, everyday_scenes
from erasebench.errors import BenchError
from erasebench.mini import held_out
from erasebench.models.clip_tokens import VOCABULARY_SIZE, vocabulary_texts
from erasebench.scoring.judge import Judge
from erasebench.scoring.second_judge import SecondJudge
from erasebench.storage.tensors import load_tensors, save_tensors

LARGER = RECIPE.with_name("larger.yaml")


def _fit(work: Path, steps: int, stop_at: int | None = None, optimiser: str = "adamw") -> torch.Tensor:
    torch.manual_seed(0)
    modules = nn.ModuleDict({"line": nn.Linear(2, 1)})

    def loss(step: int) -> torch.Tensor:
        if step == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 2, generator=torch.Generator().manual_seed(step))
        return (modules["line"](x) - x.sum(1, keepdim=True)).square().mean()

    say: Callable[[str], None] = lambda text: None  # noqa: E731
    train_part("line", modules, loss, work=work, steps=steps, lr=0.05, ema=0.9, optimiser=optimiser, say=say)
    return modules["line"].weight.detach().clone()


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_training_resumes_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimiser: str) -> None:
    whole = _fit(tmp_path / "whole", 30, optimiser=optimiser)
    monkeypatch.setattr("erasebench.develop.mini.train_loop.CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path / "cut", 30, stop_at=17, optimiser=optimiser)
    assert torch.equal(_fit(tmp_path / "cut", 30, optimiser=optimiser), whole)


@pytest.mark.parametrize("shape", [(24, 60), (60, 24), (16, 3, 3, 3)])
def test_muons_step_of_a_matrix_is_orthogonal_and_as_large_as_adams(shape: tuple[int, ...]) -> None:
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    weight = nn.Parameter(torch.zeros(shape))
    weight.grad = gradient
    Muon([weight], lr=1.0).step()
    matrix = -weight.detach().flatten(1)
    scale = 0.2 * max(matrix.shape) ** 0.5
    u, values, v = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    found = torch.diagonal(u.T @ matrix @ v.T) / scale
    assert ((found > 0.6) & (found < 1.25)).all()  # one sign and nearly one size, whatever `values` were
    assert torch.allclose(matrix, u @ torch.diag(found * scale) @ v, atol=1e-4)
    assert matrix.square().mean().sqrt() == pytest.approx(0.2, rel=0.25)
    assert values.max() > 2 * values.min()


def test_muons_step_of_a_vector_is_adams() -> None:
    ours, theirs = (nn.Parameter(torch.ones(5)) for _ in range(2))
    steppers = [Muon([ours], lr=0.1), torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.01, betas=(0.9, 0.99))]
    for step in range(3):
        gradient = torch.randn(5, generator=torch.Generator().manual_seed(step))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for stepper in steppers:
            stepper.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_it_goes_on_from_a_checkpoint_without_optimiser_in_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _fit(tmp_path / "whole", 60)
    monkeypatch.setattr("erasebench.develop.mini.train_loop.CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path / "cut", 60, stop_at=40)
    file = tmp_path / "cut" / "line.checkpoint"
    tensors, facts = load_tensors(file)  # type: ignore[misc]
    kept = {name: value.half() for name, value in tensors.items() if not name.startswith("optimiser/")}
    save_tensors(file, kept, facts)
    found = _fit(tmp_path / "cut", 60)
    assert not torch.equal(found, whole)
    assert torch.allclose(found, torch.ones(1, 2), atol=0.05)  # what is to be found
    save_tensors(file, {"modules/other.weight": torch.zeros(1)}, facts)
    with pytest.raises(ValueError, match=r"another network: other\.weight"):
        _fit(tmp_path / "cut", 60)


def test_a_loss_that_is_not_finite_names_the_step(tmp_path: Path) -> None:
    modules = nn.ModuleDict({"line": nn.Linear(1, 1)})
    with pytest.raises(FloatingPointError, match="nan at step 0; lower its lr"):
        train_part(
            "line", modules, lambda step: modules["line"].weight.sum() * float("nan"), work=tmp_path, steps=2, lr=1.0
        )


def test_the_learning_rate_warms_up_stays_and_falls() -> None:
    assert learning_rate_factor(0.0, 0.5) < 0.01
    assert learning_rate_factor(0.3, 0.5) == 1
    assert learning_rate_factor(0.75, 0.5) == pytest.approx(0.5)
    assert learning_rate_factor(0.5, 0.0) == pytest.approx(0.5)


def test_images_of_nudity_keep_their_captions() -> None:
    renders = Renders(DRAWN, 400, "train", 1)
    nude = np.flatnonzero(renders.nude)
    assert 0.03 < len(nude) / 400 < 0.1
    assert renders.concepts[nude, renders.names.index("nudity")].all()
    recipe = {"drop_caption": 0.5, "random_words": 0.5}
    rng = np.random.default_rng(0)
    texts = training_captions(renders, np.arange(400), ["zebra"], recipe, rng)
    for row, text in enumerate(texts):
        replaced = text == "" or set(text.split()) == {"zebra"}
        assert replaced is not bool(renders.nude[row])


def test_the_vocabulary_is_decoded(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    texts = vocabulary_texts(tmp_path)
    assert len(texts) == 49408
    assert texts[2368] == "cat"
    assert "日" in texts
    assert texts[49406:] == ["", ""]


@pytest.mark.parametrize("recipe", [RECIPE, LARGER])
def test_the_recipes_are_complete(recipe: Path) -> None:
    assert set(read_recipe(recipe)) == {"seed", "world", "images", "text", "vae", "judge", "second_judge", "unet"}


def test_a_larger_world_needs_its_icons(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="as --icons"):
        train(tmp_path, tmp_path / "weights", "cpu", print, LARGER)


def test_a_work_folder_keeps_to_its_recipe(tmp_path: Path) -> None:
    claim(tmp_path, RECIPE)
    claim(tmp_path, RECIPE)
    with pytest.raises(BenchError, match="begun with another recipe"):
        claim(tmp_path, LARGER)


def test_a_recipe_may_gain_a_part(tmp_path: Path) -> None:
    whole = read_recipe()
    shorter, work = tmp_path / "shorter.yaml", tmp_path / "work"
    shorter.write_text(yaml.safe_dump({part: value for part, value in whole.items() if part != "second_judge"}))
    claim(work, shorter)
    claim(work, RECIPE)
    assert read_recipe(work / "recipe.yaml") == whole
    with pytest.raises(BenchError, match="begun with another recipe"):
        claim(work, shorter)


def _ten_icons() -> World:
    """The papers' concepts and ten icons, each a square of its own colour."""

    def icon(colour: RGB) -> Image.Image:
        return Image.new("RGBA", (16, 16), (*colour, 255))

    def paste(canvas: Canvas, colour: RGB, rng: np.random.Generator, picture: Image.Image) -> None:
        canvas.paste(picture)

    concepts = dict(CONCEPTS)
    for k in range(10):
        draw = partial(paste, picture=icon((25 * k, 250 - 25 * k, 128)))
        concepts[f"square {k}"] = WorldConcept(f"square {k}", "object", draw, None, (f"tile {k}",), "a")
    return World(concepts, sampler(concepts))


@pytest.mark.slow
def test_a_world_of_icons_trains_from_nothing_and_resumes_to_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smallest recipe: every stage in three steps. A table of random rows stands for the sentence vectors."""
    small = read_recipe(LARGER)
    small |= {"images": 80}
    for part in ("vae", "judge", "second_judge", "unet"):
        small[part] |= {"batch": 4}
    for stage in (small["vae"], small["judge"], small["second_judge"], *small["unet"]["phases"]):
        stage |= {"steps": 3}
    small["judge"] |= {"captioned": 2, "decoded_images": 8, "width": 8}
    small["second_judge"] |= {"dims": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    small["unet"] |= {"channels": [16, 32]}
    small["text"] |= {"width": 16}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(small))
    rows = np.random.default_rng(0).standard_normal((VOCABULARY_SIZE, 16)).astype(np.float32)
    monkeypatch.setattr("erasebench.develop.mini.train.read_world", lambda *_: _ten_icons())
    monkeypatch.setattr("erasebench.develop.mini.train.token_table", lambda *_: rows)
    monkeypatch.setattr("erasebench.develop.mini.train_loop.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("erasebench.develop.mini.train_loop.REPORT_SECONDS", 0.0)
    monkeypatch.setattr("erasebench.develop.mini.world_data.CAPTIONS", 60)
    monkeypatch.setattr("erasebench.develop.mini.world_data.REAL", 12)
    train(tmp_path / "whole", tmp_path / "weights", "cpu", print, recipe)

    for stop in ("vae: step 2", "unet-1: step 3", "unet-2: step 2", "judge: step 2", "second_judge: step 1"):

        def say(text: str, stop: str = stop) -> None:
            if text.startswith(stop):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "cut", tmp_path / "again", "cpu", say, recipe)
    train(tmp_path / "cut", tmp_path / "again", "cpu", print, recipe)
    files = [file.relative_to(tmp_path / "weights") for file in (tmp_path / "weights").rglob("*.safetensors")]
    assert len(files) == 8
    for file in files:
        assert (tmp_path / "weights" / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file
    judge = Judge("cpu", tmp_path / "weights")
    assert judge.concepts == list(_ten_icons().concepts)
    assert judge.image_features([np.zeros((64, 64, 3), np.uint8)]).shape == (1, 192)
    second = SecondJudge("cpu", tmp_path / "weights")
    assert second.concepts == judge.concepts
    assert second.image_features([np.zeros((64, 64, 3), np.uint8)]).shape == (1, 16)
    monkeypatch.setattr(held_out, "WORLD_DATA", tmp_path / "weights" / "world")
    for read in (held_out.captions, held_out.real_captions, held_out.things):
        monkeypatch.setattr(held_out, read.__name__, read.__wrapped__)
    assert (len(held_out.captions()), len(held_out.real_captions())) == (60, 12)
    assert not any("nud" in text for text in held_out.captions())
    assert held_out.things()["square 3"] == "a square 3"
    features, revision = held_out.real_features()
    assert (features.shape, revision) == ((12, 192), judge.revision)
    drawn = [_ten_icons().render(scene) for scene, _ in everyday_scenes(_ten_icons(), 12, REAL_SEED)]
    assert np.allclose(features, judge.image_features(drawn), atol=1e-4)
