"""Runs on a pipeline of the user's own: captions and reference images from files, and what is missing offline."""

import json
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from erasebench.cells import unfold
from erasebench.cli import main
from erasebench.errors import BenchError
from erasebench.layout import RunFolder
from erasebench.mini.judge import WEIGHTS
from erasebench.plan import Generation, Plan
from erasebench.prompts.concepts import get_concept
from erasebench.prompts.sets import prompt_set
from erasebench.runner import run
from erasebench.scoring import NotApplicable
from erasebench.sources import find_model
from erasebench.vision import CleanFidInception, OpenClip


def test_captions_come_from_a_csv_with_a_prompt_column(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text('image_id,prompt\n1,"a dog, running"\n2,two cats\n3,a bus\n')
    prompts = prompt_set("coco", get_concept("nudity"), 2, str(path))
    assert [prompt.text for prompt in prompts.prompts] == ["a dog, running", "two cats"]
    assert prompts.hash != prompt_set("coco", get_concept("nudity"), 3, str(path)).hash


@pytest.mark.parametrize(
    ("text", "message"),
    [("id,caption\n1,x\n", "has no column 'prompt'; its columns are id, caption"), ("id,prompt\n1,x\n2,\n", "line 3")],
)
def test_a_wrong_caption_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "captions.csv"
    path.write_text(text)
    with pytest.raises(BenchError, match=message):
        prompt_set("coco", get_concept("nudity"), 9, str(path))


def test_a_caption_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="can't be read as CSV"):
        prompt_set("coco", get_concept("nudity"), 9, str(tmp_path / "absent.csv"))


def test_an_empty_reference_folder_is_an_error(tmp_path: Path) -> None:
    plan = Plan(methods=["uce"], metrics=["fid"], images=2, reference=str(tmp_path))
    with pytest.raises(BenchError, match="holds no PNG or JPEG images"):
        unfold(plan, find_model("mini"), RunFolder(tmp_path / "run"), "cpu")


def test_a_local_pipeline_runs_and_says_what_it_cannot_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without network a local folder still trains, draws and compares; the rest is null with its reason."""

    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("cleanfid.features.build_feature_extractor", offline)
    reference = tmp_path / "real"
    reference.mkdir()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(reference / "a.jpg")
    plan = Plan(
        name="local", model=str(WEIGHTS / "pipeline"), methods=["uce"], reference=str(reference),
        metrics=["concept_rate", "fid", "ssim", "train_steps"], images=2, generation=Generation(steps=3),
    )  # fmt: skip
    folder = RunFolder(tmp_path / "run")
    assert run(plan, folder, "cpu") == {}
    records = {path.name: json.loads(path.read_text()) for path in (tmp_path / "run" / "scores").iterdir()}
    assert records["uce.concept_rate.json"]["value"] is None
    assert "is not in the cache" in records["uce.concept_rate.json"]["reason"]
    assert "put inception-2015-12-05.pt into /tmp" in records["uce.fid.json"]["reason"]
    assert -1 <= records["uce.ssim.json"]["value"] <= 1
    assert records["uce.ssim.json"]["n"] == 2


@pytest.mark.parametrize(
    ("concept", "kind", "replacement"),
    [
        ("garbage truck", None, None),
        ("church", None, "a tree"),
        ("van gogh", None, None),
        ("sketch", None, None),
        ("a sleepy kitten", "animal", "a dog"),
        ("monet", "style", None),
    ],
)
def test_objects_styles_and_free_texts_run(
    concept: str, kind: str | None, replacement: str | None, tmp_path: Path
) -> None:
    plan = Plan(
        concept=concept, kind=kind, replacement=replacement, methods=["esd", "ablating", "uce"],
        metrics=["concept_rate", "ssim"], images=2, train_steps=1, generation=Generation(steps=3),
        settings={"esd": {"sampler_steps": 3}, "ablating": {"images": 2, "sampler_steps": 3}},
    )  # fmt: skip
    assert run(plan, RunFolder(tmp_path / "run"), "cpu") == {}
    record = json.loads((tmp_path / "run" / "scores" / "esd.concept_rate.json").read_text())
    assert record["n"] == 2
    assert ("zero-shot" in record["note"]) is (kind is not None)


def test_a_full_disk_stops_with_one_line_and_keeps_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("erasebench.runner.write_tables", full)
    command = [
        "run",
        "--quick",
        "--methods",
        "uce",
        "--metrics",
        "ssim",
        "--images",
        "2",
        "--out",
        str(tmp_path / "run"),
    ]
    monkeypatch.setattr(sys, "argv", ["bench", *command])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert "No space left on device. What is done is kept" in capsys.readouterr().err
    assert len(list((tmp_path / "run" / "images" / "uce" / "objects").iterdir())) == 2


def test_feature_models_that_cannot_be_fetched_are_a_reason_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("cleanfid.features.build_feature_extractor", offline)
    with pytest.raises(NotApplicable, match="Inception weights are missing"):
        CleanFidInception("cpu")
    monkeypatch.setattr("open_clip.create_model_and_transforms", offline)
    with pytest.raises(NotApplicable, match="is not in the cache"):
        OpenClip("cpu")


def test_open_clip_embeds_images_and_texts_in_one_space() -> None:
    """With random weights: shapes, types and unit length are what metrics rely on."""
    model = OpenClip("cpu", "RN50", "")
    images = model.image_features([np.zeros((64, 64, 3), np.uint8)] * 3, batch_size=2)
    texts = model.text_features(["a cat", "a dog"], batch_size=1)
    assert images.shape == (3, 1024)
    assert texts.shape == (2, 1024)
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
