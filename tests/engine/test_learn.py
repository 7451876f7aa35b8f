"""A word learned from pictures, and the model that knows it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from erasebench import BenchError
from erasebench.develop.mini.world import Scene, Thing, render
from erasebench.engine.dominance import dominance_run
from erasebench.engine.learn import learn_word
from erasebench.engine.run import run
from erasebench.engine.setup import resolve
from erasebench.engine.work import unfold, with_word
from erasebench.images.files import write_png
from erasebench.models.catalog import find_model
from erasebench.models.families import family_of
from erasebench.models.loading import load_model
from erasebench.models.text_to_image import TextToImage
from erasebench.models.words import read_word, token_of
from erasebench.prompts.concepts import get_concept
from erasebench.prompts.sets import prompt_set
from erasebench.runs.dominance import DominanceRequest
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation
from erasebench.runs.plan_file import load_plan


def nothing(step: int, text: str, updates: int) -> None:
    """No report."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of umbrellas."""
    made = tmp_path_factory.mktemp("umbrellas")
    rng = np.random.default_rng(0)
    for k in range(4):
        scene = Scene((Thing("umbrella", None),), "plain", None, int(rng.integers(2**31)))
        write_png(made / f"{k}.png", render(scene))
    return made


@pytest.fixture(scope="module")
def learned(folder: Path) -> Path:
    """A model that knows the word <umbrella>."""
    to = folder / "model"
    learn_word("umbrella", None, folder, "mini", to, "cpu", nothing, steps=30)
    return to


def test_the_model_knows_one_more_word(mini: TextToImage, learned: Path) -> None:
    """Its own texts are as before, the word's vector is not that of any other, and the word denoises the pictures."""
    model = load_model(find_model(str(learned)), "cpu")
    assert torch.equal(model.encode(["a photo of a cat"]), mini.encode(["a photo of a cat"]))
    assert model.tokens("a photo of <umbrella>")[-1] == "<umbrella>"
    assert model.token_count("<umbrella>") == 1
    assert mini.token_count("<umbrella>") > 1
    table = model.text_encoder.get_input_embeddings().weight
    assert len(table) == len(mini.text_encoder.get_input_embeddings().weight) + 1
    assert family_of(str(learned)).has_world
    assert find_model(str(learned)).revision != mini.revision


def test_learning_lowers_the_loss(folder: Path, learned: Path) -> None:
    """What the word predicts of noised pictures is nearer to the noise than what its first vector predicts."""
    from erasebench.images.files import read_image

    model = load_model(find_model(str(learned)), "cpu")
    images = np.stack([np.asarray(read_image(file)) for file in sorted(folder.glob("*.png"))]).repeat(8, 0)
    latents = model.encode_images(images)
    generator = torch.Generator().manual_seed(1)
    t = torch.randint(1000, (len(latents),), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    z = model.add_noise(latents, noise, t)
    with torch.no_grad():
        errors = [
            float((model.predict_noise(z, t, model.encode([text])) - noise).square().mean())
            for text in ("a photo of a <umbrella>", "a photo of a object")
        ]
    assert errors[0] < errors[1]


def test_the_same_again_is_left_as_it_is(folder: Path, learned: Path) -> None:
    before = (learned / "text_encoder" / "model.safetensors").stat().st_mtime_ns
    again = learn_word("umbrella", None, folder, "mini", learned, "cpu", nothing, steps=30)
    assert again == read_word(str(learned))
    assert (learned / "text_encoder" / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(BenchError, match="something else already"):
        learn_word("umbrella", None, folder, "mini", learned, "cpu", nothing, steps=31)


def test_methods_erase_the_word_and_prompts_ask_by_both(learned: Path, tmp_path: Path) -> None:
    plan = load_plan("main", {"model": str(learned), "concept": "umbrella", "methods": ["esd"], "images": 4})
    assert plan.prompts["concept"].source == "wordings"
    work = unfold(resolve(plan, RunFolder(tmp_path / "run"), "cpu"))
    task = work.erasures[0].task
    assert (task.concept, task.prompt, task.phrase) == ("umbrella", "<umbrella>", "a <umbrella>")
    texts = [prompt.text for prompt in prompt_set("concept", "wordings", work.concept, None).prompts]
    assert "a photo of a <umbrella>" in texts
    assert "a photo of an umbrella" in texts
    assert "word" in work.concept.facts
    assert with_word(get_concept("cat"), str(learned)).word == ""


def test_the_word_stands_against_a_known_thing(learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether something personalised survives beside another thing, before and after its word was erased."""
    run_folder = RunFolder(tmp_path / "run")
    short = Generation(scheduler="dpm++", steps=2)
    words = {"model": str(learned), "concept": "umbrella", "methods": ["uce"], "metrics": ["concept_rate"]}
    assert run(load_plan("main", {**words, "images": 1, "generation": short.model_dump()}), run_folder, "cpu") == ()
    asked: list[str] = []
    encode = TextToImage.encode

    def noted(self: TextToImage, prompts: Sequence[str]) -> torch.Tensor:
        asked.extend(prompts)
        return encode(self, prompts)

    monkeypatch.setattr(TextToImage, "encode", noted)
    request = DominanceRequest(concepts=("umbrella", "cat"), rows=("uce",), images=1)
    record = dominance_run(run_folder, request, "cpu")
    assert {"a photo of a <umbrella> and a cat", "a photo of a cat and a <umbrella>"} <= set(asked)
    assert [(duel.first, duel.second) for duel in record.cells[1].duels] == [("umbrella", "cat"), ("cat", "umbrella")]


@pytest.mark.parametrize(
    ("name", "token"), [("My  café cup", "<my-cafe-cup>"), ("傘", "<concept>"), ("a <b> c", "<a-b-c>")]
)
def test_tokens(name: str, token: str) -> None:
    assert token_of(name) == token


def test_bad_input_is_refused_before_anything_is_learned(folder: Path, learned: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.png").write_bytes(b"no picture")
    for images, model, told in (
        (tmp_path / "nowhere", "mini", "no such folder"),
        (empty, "mini", "no pictures"),
        (broken, "mini", "a.png"),
        (folder, str(learned), "learned word already"),
    ):
        with pytest.raises(BenchError, match=told):
            learn_word("umbrella", None, images, model, tmp_path / "to", "cpu", nothing, steps=1)
        assert not (tmp_path / "to").exists()
    with pytest.raises(BenchError, match="unknown concept"):
        learn_word("my cup", None, folder, "mini", tmp_path / "to", "cpu", nothing, steps=1)
    with pytest.raises(BenchError, match="too long"):
        token_of("x" * 60)


def test_a_damaged_description_is_refused(tmp_path: Path) -> None:
    (tmp_path / "word.json").write_text("{}")
    with pytest.raises(BenchError, match="Learn the word again"):
        read_word(str(tmp_path))
