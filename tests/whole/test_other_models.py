"""Runs on a pipeline of the user's own: captions and reference images from files, and what is missing offline."""

import json
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from planned import work_of

from erasebench.cli.app import main
from erasebench.engine.run import run
from erasebench.errors import BenchError, NotScored
from erasebench.models.catalog import MINI_WEIGHTS
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.scoring.encoders import CleanFidInception, OpenClip
from erasebench.scoring.judge import Judge, _with_shared_table


def test_an_empty_reference_folder_is_an_error(tmp_path: Path) -> None:
    plan = Plan(methods=["uce"], metrics=["fid"], images=2, reference=str(tmp_path))
    with pytest.raises(BenchError, match="neither a folder of images"):
        work_of(plan, tmp_path / "run")


def test_a_local_pipeline_runs_and_says_what_it_cannot_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without network a local folder still trains, draws and compares; the rest is null with its reason."""

    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("cleanfid.features.InceptionV3W", offline)
    reference = tmp_path / "real"
    reference.mkdir()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(reference / "a.jpg")
    plan = Plan(
        name="local",
        model=str(MINI_WEIGHTS / "pipeline"),
        methods=["uce"],
        reference=str(reference),
        metrics=["concept_rate", "fid", "ssim", "train_steps"],
        images=2,
        generation=Generation(steps=3),
    )
    folder = RunFolder(tmp_path / "run")
    failures = run(plan, folder, "cpu")
    cells = {failure.cell for failure in failures}
    assert cells == {f"score {row} {name}" for row in ("original", "uce") for name in ("concept_rate", "fid")}
    records = {path.name: json.loads(path.read_text()) for path in (tmp_path / "run" / "scores").iterdir()}
    assert records["uce.concept_rate.json"]["value"] is None
    assert "is not in the cache" in records["uce.concept_rate.json"]["reason"]
    assert "can't be read from /tmp/inception-2015-12-05.pt" in records["uce.fid.json"]["reason"]
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
        concept=concept,
        kind=kind,
        replacement=replacement,
        methods=["esd", "ablating", "uce"],
        metrics=["concept_rate", "ssim"],
        images=2,
        train_steps=1,
        generation=Generation(steps=3),
        settings={"esd": {"sampler_steps": 3}, "ablating": {"images": 2, "sampler_steps": 3}},
    )
    assert run(plan, RunFolder(tmp_path / "run"), "cpu") == ()
    record = json.loads((tmp_path / "run" / "scores" / "esd.concept_rate.json").read_text())
    assert record["n"] == (2 if kind is None else 0)
    assert ("zero-shot needs 10 images of the original" in record["reason"]) is (kind is not None)


def test_a_full_disk_stops_with_one_line_and_keeps_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("erasebench.engine.run.write_tables", full)
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

    monkeypatch.setattr("cleanfid.features.InceptionV3W", offline)
    with pytest.raises(NotScored, match=r"/tmp/inception-2015-12-05\.pt"):
        CleanFidInception("cpu")
    monkeypatch.setattr("open_clip.create_model_and_transforms", offline)
    with pytest.raises(NotScored, match="is not in the cache"):
        OpenClip("ViT-B-32-quickgelu/openai", "cpu")


def test_an_unknown_clip_model_names_the_nearest() -> None:
    with pytest.raises(BenchError, match="Did you mean 'ViT-B-32-quickgelu/openai'"):
        OpenClip("ViT-B-32-quickgelu/openia", "cpu")


def test_open_clip_from_a_local_folder_is_what_open_clip_gives(tmp_path: Path, judge: Judge) -> None:
    _with_shared_table(MINI_WEIGHTS, tmp_path)
    model = OpenClip(f"local-dir:{tmp_path}", "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    images = model.image_features(list(pixels), batch_size=2)
    texts = model.text_features(["a cat", "a dog"], batch_size=1)
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    batch = torch.stack([preprocess(Image.fromarray(image)) for image in pixels])
    with torch.no_grad():
        assert np.allclose(images, theirs.eval().encode_image(batch).numpy(), atol=1e-5)
    assert np.allclose(images, judge.image_features(list(pixels)), atol=1e-4)
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    assert model.truncated(["a cat", "cat " * 75, "cat " * 76]) == 1
