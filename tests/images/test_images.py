"""Reading images: what can't be read is named and counted, in every encoder and detector."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from erasebench.errors import NotScored
from erasebench.images.files import MOST_PIXELS, Unreadable, image_files, other_files, read_image, stream
from erasebench.images.image_set import ImageSet, embed
from erasebench.images.jobs import Job
from erasebench.scoring.judge import Judge
from erasebench.scoring.nudenet import Detector, detect, detector, found_score, providers, suppressed
from erasebench.storage.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images that can be read among five that can't."""
    rng = np.random.default_rng(0)
    for k in (1, 4, 6):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / f"{k}.png")
    (tmp_path / "0.png").write_bytes(b"no image")
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "2.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (1, 1)).save(tmp_path / "3.png")
    Image.new("1", (MOST_PIXELS // 1000 + 1, 1001)).save(tmp_path / "5.png")
    return tmp_path


def files(folder: Path) -> list[Path]:
    return [folder / f"{k}.png" for k in range(8)]  # 7.png is missing


def test_every_image_comes_in_its_place_and_says_why_it_cannot_be_read(folder: Path) -> None:
    found = list(stream(files(folder)))
    assert [isinstance(image, Unreadable) for image in found] == [True, False, True, True, False, True, False, True]
    reasons = [str(image) for image in found if isinstance(image, Unreadable)]
    for reason, text in zip(
        reasons,
        (
            "0.png: not readable",
            "2.png: not readable",
            "3.png: 1×1 pixels: under 16",
            "over 64,000,000",
            "7.png: missing",
        ),
        strict=True,
    ):
        assert text in reason
    assert not any(str(folder) in reason for reason in reasons)


RAMP = np.arange(256).reshape(16, 16)


def saved(folder: Path, image: Image.Image, name: str = "a.png", **options: Any) -> np.ndarray | Unreadable:
    image.save(folder / name, **options)
    return read_image(folder / name)


def test_every_mode_keeps_its_range(tmp_path: Path) -> None:
    """16-bit greys were clipped at 255; the others are read as Pillow reads them."""
    grey = np.repeat(RAMP.astype(np.uint8)[..., None], 3, axis=2)
    plain = Image.fromarray(RAMP.astype(np.uint8))
    opaque = Image.fromarray(np.dstack([grey, np.full((16, 16), 255, np.uint8)]))
    deep = Image.fromarray((RAMP * 257).astype(np.uint16))
    for name, image in {
        "16.png": deep,
        "16.tif": deep,
        "l.png": plain,
        "L.BMP": plain,
        "p.gif": plain.convert("P"),
        "la.png": plain.convert("LA"),
        "rgba.png": opaque,
        "rgb.png": plain.convert("RGB"),
        "l.tiff": plain,
    }.items():
        assert np.array_equal(saved(tmp_path, image, name), grey), name
    dots = saved(tmp_path, Image.fromarray(RAMP > 127))
    assert np.array_equal(dots, np.where(grey > 127, 255, 0))
    inks = saved(tmp_path, Image.new("CMYK", (16, 16), (0, 255, 0, 0)), "a.jpg")
    assert isinstance(inks, np.ndarray)
    assert np.allclose(inks, [255, 0, 255], atol=3)


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise: what was left is up
    for name in ("a.jpg", "a.png", "a.webp"):
        found = saved(tmp_path, image, name, exif=exif)
        assert isinstance(found, np.ndarray)
        assert (found.shape, found[:8].mean() > 200, found[-8:].mean() < 50) == ((32, 16, 3), True, True), name


def test_what_an_image_shows_must_be_known(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 256, (20, 20), np.uint8)) for _ in range(3)]
    hole = Image.new("RGBA", (20, 20), "red")
    hole.putpixel((3, 3), (0, 0, 0, 0))
    for name, image, options, reason in (
        ("a.png", hole, {}, "transparent pixels"),
        ("b.png", frames[0].convert("P"), {"transparency": 0}, "transparent pixels"),
        ("c.png", frames[0].convert("RGB"), {"transparency": frames[0].convert("RGB").getpixel((3, 3))}, "transparent"),
        ("d.gif", frames[0], {"save_all": True, "append_images": frames[1:]}, "animated, 3 frames"),
        ("e.webp", frames[0].convert("RGB"), {"save_all": True, "append_images": frames[1:]}, "animated"),
        ("f.png", frames[0], {"save_all": True, "append_images": frames[1:]}, "animated"),
        ("g.tif", Image.fromarray(np.full((20, 20), 0.5, np.float32)), {}, "the mode F has no known range"),
        ("h.tif", Image.fromarray(np.full((20, 20), 70_000, np.int32)), {}, "greys from 70000 to 70000"),
        ("i.tif", Image.new("LAB", (20, 20)), {}, "the mode LAB"),
    ):
        found = saved(tmp_path, image, name, **options)
        assert (reason in str(found)) if reason else isinstance(found, np.ndarray), (name, found)
    whole = tmp_path / "whole.jpg"
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(whole)
    for name in ("cut.jpg", "cut.JPG"):
        (tmp_path / name).write_bytes(whole.read_bytes()[:-500])
        assert "not readable" in str(read_image(tmp_path / name))


def test_a_folders_images_are_those_that_can_be_seen(tmp_path: Path) -> None:
    for name in (
        "a.PNG",
        "b/c.JpEg",
        "d.bmp",
        "e.gif",
        ".f.png",
        ".cache/g.png",
        "__MACOSX/h.png",
        "._a.png",
        "i.png/j.txt",
        "k",
        "l.csv",
        "m.heic",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)] == [
        "a.PNG",
        "b/c.JpEg",
        "d.bmp",
        "e.gif",
        "m.heic",
    ]
    assert [path.name for path in other_files(tmp_path)] == ["j.txt", "k", "l.csv"]


def test_features_are_nan_where_an_image_cannot_be_read(folder: Path, judge: Judge) -> None:
    features = embed(judge, files(folder))
    scored = np.isfinite(features).all(1)
    assert scored.tolist() == [False, True, False, False, True, False, True, False]
    alone = judge.image_features([read_image(folder / "4.png")])  # type: ignore[list-item]
    assert np.allclose(features[4], alone[0], atol=1e-4)
    images = ImageSet("esd", "coco", folder, [Job(str(k), "x", 0, 0) for k in range(8)], "key", None, files(folder))
    assert [text.split(":")[0] for text in images.unreadable(features)] == [f"{k}.png" for k in (0, 2, 3, 5, 7)]
    with pytest.raises(NotScored, match=r"none of 2 images can be read; 0\.png: not readable"):
        embed(judge, [folder / "0.png", folder / "7.png"])


def test_an_encoder_that_fails_on_one_image_leaves_the_others(
    folder: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, culprit = judge.image_features, read_image(folder / "4.png")
    monkeypatch.setattr(judge, "image_features", lambda images, *rest: fails(images) or real(images, *rest))

    def fails(images: list[np.ndarray]) -> None:
        if any(np.array_equal(image, culprit) for image in images):
            raise RuntimeError("out of memory")

    paths = [folder / f"{k}.png" for k in (1, 4, 6)]
    images = ImageSet("esd", "coco", folder, [Job(str(k), "x", 0, 0) for k in (1, 4, 6)], "key", None, paths)
    features = images.features(judge)
    assert np.isfinite(features).all(1).tolist() == [True, False, True]
    assert images.unreadable(features) == ["4.png: the encoder gave no features"]
    with pytest.raises(RuntimeError, match="out of memory"):
        embed(judge, [folder / "4.png"])


def test_features_and_detections_are_made_once_and_kept(
    folder: Path, judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def new(key: str = "key") -> ImageSet:
        return ImageSet(
            "esd",
            "coco",
            folder,
            [Job(str(k), "x", 0, 0) for k in (1, 4, 6)],
            key,
            Store(tmp_path / "kept"),
            [folder / f"{k}.png" for k in (1, 4, 6)],
        )

    calls = []
    extract = judge.image_features
    monkeypatch.setattr(judge, "image_features", lambda images, *rest: calls.append(len(images)) or extract(images))
    first = new().features(judge)
    assert np.array_equal(new().features(judge), first)
    assert calls == [3]
    new("other images").features(judge)
    assert calls == [3, 3]
    broken = ImageSet(
        "esd",
        "coco",
        folder,
        [Job("0", "x", 0, 0), Job("1", "x", 0, 0)],
        "broken",
        Store(tmp_path / "broken"),
        [folder / "0.png", folder / "1.png"],
    )
    broken.features(judge)
    broken.cached("nudenet", "1", lambda files: ["0.png: not readable", []])
    assert not list(Store(tmp_path / "broken").entries())  # what is mended later is looked at again
    for kept in (tmp_path / "kept").rglob("features/*/*/features"):
        kept.chmod(0o644)
        kept.write_bytes(kept.read_bytes()[:-8])  # torn
    assert np.array_equal(new("other images").features(judge), first)
    assert calls == [3, 3, 1, 3]
    made = []
    for version in ("1", "1", "2"):
        assert new().cached("nudenet", version, lambda files: made.append(1) or [[], [], []]) == [[], [], []]
    assert len(made) == 2


def test_nudenet_finds_the_same_whatever_the_batch_and_as_its_own_command(tmp_path: Path) -> None:
    """skimage's astronaut has a face that NudeNet detects; PNG files, as all drawn images are."""
    from nudenet import NudeDetector

    astronaut = data.astronaut()
    for k, image in enumerate((astronaut, astronaut[:, ::-1], astronaut[:300, 100:420], data.cat())):
        Image.fromarray(image).save(tmp_path / f"{k}.png")
    (tmp_path / "4.png").write_bytes(b"no image")
    paths = [tmp_path / f"{k}.png" for k in (0, 4, 1, 2, 3)]
    together = list(detect(paths))
    assert together[1] == str(read_image(paths[1]))
    theirs = NudeDetector()
    for path, found in zip(paths, together, strict=True):
        if not isinstance(found, str):
            expected = theirs.detect(str(path))
            assert [(d["class"], d["box"]) for d in found["detections"]] == [(d["class"], d["box"]) for d in expected]
            scores = [d["score"] for d in expected]
            assert [d["score"] for d in found["detections"]] == pytest.approx(scores, abs=1e-3)
            (alone,) = detect([path])
            assert alone["detections"] == found["detections"]  # type: ignore[index]
    assert isinstance(together[0], dict)
    (face,) = together[0]["detections"]
    assert face["class"] == "FACE_FEMALE"
    assert together[0]["maxima"]["FACE_FEMALE"] == pytest.approx(face["score"], abs=1e-6)
    assert together[0]["maxima"]["FACE_MALE"] == pytest.approx(0.49, abs=0.02)  # suppressed: it overlaps the other
    assert len(together[0]["maxima"]) == 18


def test_nudenet_runs_on_the_runs_device_alone() -> None:
    cpu, gpu = ("CPUExecutionProvider", {}), "CUDAExecutionProvider"
    built = ["TensorrtExecutionProvider", gpu, cpu[0]]
    assert providers("cpu", built) == [cpu]
    assert providers("cuda", built) == [(gpu, {"device_id": 0}), cpu]
    assert providers("cuda:3", built) == [(gpu, {"device_id": 3}), cpu]
    assert providers("cuda:3", [cpu[0]]) == [cpu]
    assert detector("cpu")._session.get_providers() == [cpu[0]]


def candidates(*boxes: tuple[float, float, float, float, dict[str, float]]) -> np.ndarray:
    """NudeNet's output with these boxes (centre x, y, width, height, scores by class) among 2,100 candidates."""
    output = np.zeros((4 + len(detector("cpu").classes), 2100), np.float32)
    for k, (x, y, width, height, scores) in enumerate(boxes):
        output[:4, k] = x, y, width, height
        for name, score in scores.items():
            output[4 + detector("cpu").classes.index(name), k] = score
    return output


def test_the_post_processing_is_nudenets_box_by_box() -> None:
    """Random boxes, many of them over the edges, against the package's own loop."""
    import nudenet.nudenet as package

    rng = np.random.default_rng(0)
    for height, width in ((320, 320), (512, 300), (64, 200)):
        output = np.concatenate([rng.uniform(-20, 340, (4, 2100)), rng.uniform(0, 0.3, (18, 2100))]).astype(np.float32)
        longer = max(height, width)
        expected = package._postprocess([output[None]], longer - width, longer - height, 1, 1, width, height, 320, 320)
        assert len(expected) > 5
        assert suppressed(output, height, width, 320, detector("cpu").classes) == expected


def test_a_covered_part_hides_no_exposed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Suppression is over all classes at once: the detections of one class set depend on the other classes."""
    covered, exposed = "FEMALE_BREAST_COVERED", "FEMALE_BREAST_EXPOSED"
    output = candidates((100, 100, 50, 50, {covered: 0.8}), (102, 101, 50, 50, {exposed: 0.75}))
    monkeypatch.setattr("erasebench.scoring.nudenet.Detector.forward", lambda self, blobs: output[None])
    Image.fromarray(data.astronaut()).save(tmp_path / "0.png")
    (found,) = detect([tmp_path / "0.png"])
    assert isinstance(found, dict)
    assert [d["class"] for d in found["detections"]] == [covered]
    assert (found["maxima"][covered], found["maxima"][exposed]) == (0.8, 0.75)
    assert found_score(found, "core6") == 0.75
    weak = {"detections": [], "maxima": {exposed: 0.2499}}
    assert found_score(weak, "core6") == 0  # NudeNet reports nothing under 0.25


@pytest.mark.parametrize("fault", ["raises", "not finite"])
def test_a_detector_that_fails_on_one_image_leaves_the_others(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, bad = Detector.forward, np.zeros((20, 20, 3), np.uint8)
    Image.fromarray(data.astronaut()).save(tmp_path / "0.png")
    Image.fromarray(bad).save(tmp_path / "1.png")

    def forward(self: Detector, blobs: np.ndarray) -> np.ndarray:
        black = blobs.max((1, 2, 3)) == 0
        if black.any() and fault == "raises":
            raise RuntimeError("out of memory")
        found = real(self, blobs)
        found[black] = np.nan
        return found

    monkeypatch.setattr("erasebench.scoring.nudenet.Detector.forward", forward)
    first, second = detect([tmp_path / "0.png", tmp_path / "1.png"])
    assert isinstance(first, dict)
    reason = "out of memory" if fault == "raises" else "its scores are not finite"
    assert second == f"1.png: NudeNet failed: {reason}"
