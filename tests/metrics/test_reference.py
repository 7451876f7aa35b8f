"""Real images: paired with captions by id, never by order; features by clean-fid equal clean-fid's own."""

from pathlib import Path

import cleanfid.features
import numpy as np
import pytest
import torch
from cleanfid import fid as theirs
from PIL import Image
from test_metrics import context_of, image_set

from erasebench.develop.mini.world import DRAWN, render
from erasebench.errors import BenchError, NotApplicable, NotScored
from erasebench.images.reference import extract_all, open_reference, prepare_reference
from erasebench.metrics.fid import Gaussian, frechet_distances
from erasebench.prompts.concepts import get_concept
from erasebench.prompts.sets import prompt_set
from erasebench.registry import METRICS
from erasebench.scoring.encoders import CleanFidInception
from erasebench.scoring.judge import Judge


@pytest.fixture
def coco(tmp_path: Path) -> tuple[Path, str]:
    """Images whose order by name is not their captions' order."""
    images = tmp_path / "val2014"
    images.mkdir()
    lines = ["image_id,prompt"]
    for k, (scene, text) in enumerate(DRAWN.scenes(6, "held-out", 3)):
        number = 900 - k
        Image.fromarray(render(scene)).save(images / f"COCO_val2014_{number:012d}.jpg", quality=95)
        lines.append(f'{number:012d},"{text}"')
    lines += ["000000000001,an image that is missing", "000000000002,a broken image"]
    (images / "COCO_val2014_000000000002.jpg").write_bytes(b"no image")
    captions = tmp_path / "captions.csv"
    captions.write_text("\n".join(lines) + "\n")
    return images, str(captions)


def test_captions_find_their_images(coco: tuple[Path, str], tmp_path: Path, judge: Judge) -> None:
    images, captions = coco
    index = prepare_reference(images, captions, None, tmp_path / "reference")
    assert index["missing"] == ["000000000001"]
    assert [text.split(":")[0] for text in index["unreadable"]] == ["COCO_val2014_000000000002.jpg"]
    reference = open_reference(tmp_path / "reference")
    assert [path.name for path in reference.files] == [f"COCO_val2014_{900 - k:012d}.jpg" for k in range(6)]
    right = METRICS.load("clip_score").score(reference, context_of(judge))
    swapped = open_reference(tmp_path / "reference")
    swapped.jobs = swapped.jobs[::-1]
    assert np.mean(right.values) > np.mean(METRICS.load("clip_score").score(swapped, context_of(judge)).values)


def test_some_captions_are_a_random_sample_that_a_larger_one_holds(tmp_path: Path) -> None:
    """The same one as a prompt set takes of the file, wherever a caption stands in it."""
    (tmp_path / "images").mkdir()
    for k in range(40):
        Image.new("RGB", (32, 32)).save(tmp_path / "images" / f"{k}.png")
    lines = [f"{k},text {k}" for k in range(40)]

    def chosen(count: int, lines: list[str]) -> list[str]:
        captions = tmp_path / "captions.csv"
        captions.write_text("\n".join(["image_id,prompt", *lines]) + "\n")
        index = prepare_reference(tmp_path / "images", str(captions), count, tmp_path / "reference")
        asked = prompt_set("coco", str(captions), get_concept("nudity"), count)
        assert [entry["id"] for entry in index["captions"]] == [prompt.id for prompt in asked.prompts]
        return [entry["prompt"] for entry in index["captions"]]

    few, more = chosen(10, lines), chosen(20, lines)
    assert more[:10] == few
    assert chosen(10, lines[::-1]) == few
    assert set(few) != {f"text {k}" for k in range(10)}
    assert len(set(chosen(99, lines))) == 40


def test_features_are_kept_and_need_no_images_again(coco: tuple[Path, str], tmp_path: Path, judge: Judge) -> None:
    images, captions = coco
    folder = tmp_path / "reference"
    prepare_reference(images, captions, None, folder)

    def absent() -> None:
        raise NotScored("no weights")

    lines = extract_all(folder, [lambda: judge, absent])
    features = open_reference(folder).features(judge)
    assert lines == [f"embedded judge: 6 images × {features.shape[1]} features", "left out: no weights"]
    for path in images.iterdir():
        path.unlink()
    assert np.array_equal(open_reference(folder).features(judge), features)


def test_wrong_references_say_what_to_do(coco: tuple[Path, str], tmp_path: Path) -> None:
    images, captions = coco
    plain = tmp_path / "plain.csv"
    plain.write_text("prompt\na dog\n")
    with pytest.raises(BenchError, match="a column `image_id` or `file_name`"):
        prepare_reference(images, str(plain), None, tmp_path / "r")
    with pytest.raises(BenchError, match="there is no such folder"):
        prepare_reference(tmp_path / "absent", captions, None, tmp_path / "r")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match="not one of the 8 captions' images is there"):
        prepare_reference(tmp_path / "empty", captions, None, tmp_path / "r")
    with pytest.raises(BenchError, match="neither a folder of images nor one made by"):
        open_reference(tmp_path / "empty")


def test_images_are_never_guessed(tmp_path: Path) -> None:
    """Another number in the table, another folder, another prefix: missing or an error, not the wrong image."""
    images = tmp_path / "images"
    for name in ("a/1.png", "b/1.png", "b/dog_2.png", "139.png", "COCO_203564.png"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32)).save(images / name)

    def paired(text: str) -> tuple[list[str], list[str]]:
        (tmp_path / "captions.csv").write_text(text)
        index = prepare_reference(images, str(tmp_path / "captions.csv"), None, tmp_path / "reference")
        return [entry["file"] for entry in index["captions"]], index["missing"]

    assert paired("case_number,image_id,prompt\n139,000000203564,x\n") == (["COCO_203564.png"], [])
    assert paired("file_name,prompt\na/1.png,x\nb/1.png,y\ncat_2.png,z\n") == (["a/1.png", "b/1.png"], ["cat_2.png"])
    with pytest.raises(BenchError, match=r"1\.png and .*1\.png could be the image"):
        paired("file_name,prompt\n1.png,x\n")


def test_what_has_no_counterpart_is_counted_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("1.png", "2.png", "3.png", ".4.png"):
        Image.new("RGB", (32, 32)).save(images / name)
    (images / "notes.txt").touch()
    (tmp_path / "captions.csv").write_text("image_id,prompt\n1.0,a\n1.0,b\n4,c\n2,d\n")
    index = prepare_reference(images, str(tmp_path / "captions.csv"), None, tmp_path / "reference")
    assert [(entry["prompt"], entry["file"]) for entry in index["captions"]] == [("a", "1.png"), ("d", "2.png")]
    assert {what: index[what] for what in ("missing", "further caption", "without a caption", "no image")} == {
        "missing": ["000000000004"],
        "further caption": ["prompt-1-2"],
        "without a caption": ["3.png"],
        "no image": ["notes.txt"],
    }
    before = open_reference(images)
    assert [path.name for path in before.files] == ["1.png", "2.png", "3.png"]
    (images / "more.txt").touch()
    (images / ".hidden").mkdir()
    assert open_reference(images).key == before.key
    assert "1 files are no images by their ending, such as notes.txt" in caplog.text


class _Layers(torch.nn.Module):
    """The face of clean-fid's Inception: 2,048 features of a 299×299 image in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.project = torch.nn.Linear(3 * 13 * 13, 2048)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.project(torch.nn.functional.adaptive_avg_pool2d(x, 13).flatten(1)))


class _Inception(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = _Layers()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@pytest.mark.slow
def test_fid_and_kid_on_folders_are_clean_fids(tmp_path: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its resize, its loader and its distance on the same PNG files, with random weights where its Inception's lie."""
    torch.manual_seed(0)
    torch.jit.script(_Inception()).save(str(tmp_path / "inception-2015-12-05.pt"))
    make = cleanfid.features.InceptionV3W
    monkeypatch.setattr(cleanfid.features, "InceptionV3W", lambda path, **options: make(str(tmp_path), **options))
    chosen = DRAWN.scenes(60, "held-out", 3)
    sets = [
        image_set(tmp_path / name, [render(s) for s, _ in part], [text for _, text in part])
        for name, part in (("real", chosen[:30]), ("drawn", chosen[30:]))
    ]
    context = context_of(judge, reference=sets[0], distance=lambda: CleanFidInception("cpu"))
    options = {"num_workers": 0, "device": torch.device("cpu"), "use_dataparallel": False, "verbose": False}
    folders = str(tmp_path / "drawn"), str(tmp_path / "real")
    with pytest.raises(NotApplicable, match="as many images as features, 2,048; there are 30"):
        METRICS.load("fid").score(sets[1], context)
    drawn, real = (images.features(CleanFidInception("cpu")).astype(float) for images in (sets[1], sets[0]))
    distance = next(frechet_distances(drawn, None, Gaussian.of(real)))
    assert distance == pytest.approx(theirs.compute_fid(*folders, **options), rel=1e-3)
    # One subset of all images is a permutation of them; its own hundred random ones of all would be the same.
    score = METRICS.load("kid").score(sets[1], context)
    assert score.value == pytest.approx(theirs.compute_kid(*folders, **options), rel=1e-3)
    assert score.qualifier == ""
