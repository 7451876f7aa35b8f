"""Values that are not finite: an image is drawn in float32 or unscored by name, never black and counted as erased."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from erasebench.engine.run import run
from erasebench.errors import BenchError, NotScored
from erasebench.images.drawing import generate
from erasebench.images.files import Unreadable, read_image, remove_damaged
from erasebench.images.image_set import ImageSet
from erasebench.images.jobs import Job
from erasebench.images.notes import ImageNote, is_drawn, note_file, noted_images, read_note
from erasebench.images.shard_drawing import draw_shard
from erasebench.images.shards import cuts_of, shards_of
from erasebench.models.catalog import find_model
from erasebench.models.loading import load_model
from erasebench.models.parameter_groups import select
from erasebench.models.patch import load_patch, save_patch
from erasebench.models.text_to_image import TextToImage
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.runs.record import read_record
from erasebench.scoring.nudenet import detect
from erasebench.storage.files import read_json
from erasebench.storage.store import Store

JOBS = [Job(f"p{k}", "a cat", 0, k) for k in range(5)]
FILES = [job.file_name for job in JOBS]
NAN, FLAT = float("nan"), 0.25


class Sketch:
    """A model that draws noise: a seed's image is its latent; seeds in `broken` get a NaN, those in `flat` one grey."""

    def __init__(self, broken: tuple[int, ...] = (), flat: tuple[int, ...] = (), shift: float = 0.0) -> None:
        self.broken, self.flat, self.shift, self.batches = broken, flat, shift, list[list[int]]()

    def encode(self, texts: list[str]) -> torch.Tensor:
        return torch.zeros(len(texts), 1, 1)

    def noise(self, seeds: list[int], size: Any) -> torch.Tensor:
        self.batches.append(list(seeds))
        made = []
        for seed in seeds:
            z = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(seed)) + self.shift
            z[0, 0, 0] = NAN if seed in self.broken else z[0, 0, 0]
            made.append(torch.full_like(z, FLAT) if seed in self.flat else z)
        return torch.stack(made)

    def denoise(self, z: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return z

    def decode_checked(self, z: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        pixels = (z.nan_to_num().clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).numpy()
        return pixels, z.isfinite().flatten(1).all(1).numpy()


def draw(folder: Path, half: Sketch, exact: Sketch | None = None) -> int:
    @contextmanager
    def in_float32() -> Iterator[Any]:
        yield exact

    retry = None if exact is None else in_float32
    settings: Any = {"steps": 1, "guidance": 1.0, "batch_size": 3, "in_float32": retry}
    return generate(half, JOBS, folder, **settings)  # type: ignore[arg-type]


def test_a_nan_leaves_no_image_and_the_others_of_its_batch_stay(tmp_path: Path) -> None:
    assert draw(tmp_path / "whole", Sketch()) == 5
    assert draw(tmp_path / "drawn", Sketch(broken=(1,), flat=(4,))) == 5
    there = sorted(path.name for path in (tmp_path / "drawn").glob("*.png"))
    assert there == ["p0-0.png", "p2-0.png", "p3-0.png", "p4-0.png"]
    for name in there[:-1]:
        assert np.array_equal(read_image(tmp_path / "drawn" / name), read_image(tmp_path / "whole" / name))
    lost = read_image(tmp_path / "drawn" / "p1-0.png")
    assert isinstance(lost, Unreadable)
    assert str(lost) == "p1-0.png: its values are not finite (NaN or infinite)"
    assert list(detect([lost.path])) == [str(lost)]
    noted = noted_images(tmp_path / "drawn" / name for name in FILES)
    assert list(noted) == ["p1-0.png", "p4-0.png"]
    assert noted["p4-0.png"] == ImageNote(flat=True)
    assert not list((tmp_path / "whole").glob("*.json"))


def test_what_half_precision_breaks_is_drawn_in_float32(tmp_path: Path) -> None:
    half, exact = Sketch(broken=(0, 1, 4), shift=0.1), Sketch(broken=(4,))
    draw(tmp_path / "drawn", half, exact)
    assert half.batches == [[0, 1, 2], [3, 4]]
    assert exact.batches == [[0, 1], [4]]
    draw(tmp_path / "float32", Sketch())
    draw(tmp_path / "half", Sketch(shift=0.1))
    for k, other in enumerate(("float32", "float32", "half", "half")):
        drawn = read_image(tmp_path / "drawn" / FILES[k])
        assert np.array_equal(drawn, read_image(tmp_path / other / FILES[k])), FILES[k]
    noted = noted_images(tmp_path / "drawn" / name for name in FILES)
    assert noted.pop("p4-0.png").unscored
    assert noted == dict.fromkeys(FILES[:2], ImageNote(in_float32=True))
    assert str(read_image(tmp_path / "drawn" / FILES[4])).endswith("not finite (NaN or infinite), in float32 too")


def test_what_is_known_to_have_no_pixels_is_not_drawn_again(tmp_path: Path) -> None:
    draw(tmp_path, Sketch(broken=(1, 3)))
    again = Sketch(broken=(1, 3))
    assert draw(tmp_path, again) == 0
    assert again.batches == []
    (tmp_path / FILES[2]).unlink()  # its batch is drawn again as a whole, and ends as before
    assert draw(tmp_path, again) == 1
    assert again.batches == [[0, 1, 2]]
    assert not (tmp_path / FILES[1]).exists()
    assert is_drawn(tmp_path / FILES[1])


def test_a_damaged_note_makes_its_image_again(tmp_path: Path) -> None:
    draw(tmp_path, Sketch(broken=(1,), flat=(4,)))
    for k in (1, 4):
        note = note_file(tmp_path / FILES[k])
        note.write_text(note.read_text().replace("true", "false").replace("NaN", "fine"))
    remove_damaged(tmp_path / name for name in FILES)
    assert not any(is_drawn(tmp_path / FILES[k]) for k in (1, 4))
    draw(tmp_path, Sketch(broken=(1,), flat=(4,)))
    assert read_note(tmp_path / FILES[4]) == ImageNote(flat=True)
    assert "NaN" in read_note(tmp_path / FILES[1]).unscored


def test_features_name_what_has_no_pixels(tmp_path: Path) -> None:
    draw(tmp_path, Sketch(broken=(3,)))
    images = ImageSet("esd", "concept", tmp_path, JOBS, "key")
    features = np.array([[1.0], [1.0], [1.0], [NAN], [1.0]])
    assert images.unreadable(features) == ["p3-0.png: its values are not finite (NaN or infinite)"]


@pytest.mark.parametrize("value", [NAN, float("inf"), -float("inf")])
def test_a_patch_that_is_not_finite_is_not_drawn_with(tmp_path: Path, value: float) -> None:
    save_patch(tmp_path / "a.safetensors", {"fine": torch.ones(2), "conv.weight": torch.tensor([0.0, value])})
    with pytest.raises(BenchError, match=r"not finite in conv\.weight\. Delete it"):
        load_patch(tmp_path / "a.safetensors")


PLAN = Plan(
    methods=["esd"],
    metrics=["concept_rate", "nudenet_rate", "ssim"],
    concept="garbage truck",
    images=4,
    train_steps=2,
    generation=Generation(steps=2, batch_size=4, precision="fp32"),
    settings={"esd": {"sampler_steps": 2, "batch": 1}},
)


@pytest.mark.slow
def test_a_diverged_training_is_never_the_best(tmp_path: Path) -> None:
    """ESD at a learning rate of 1e18 draws nothing: without images there is no rate of 0.000."""
    plan = PLAN.model_copy(update={"settings": {"esd": {**PLAN.settings["esd"], "lr": 1e18}}, "train_steps": 1})
    folder = RunFolder(tmp_path / "run")
    failures = run(plan, folder, "cpu")
    assert {failure.row for failure in failures} == {"esd"}
    line = next(line for line in folder.table("md").read_text().splitlines() if line.startswith("| ESD"))
    assert "failed" in line
    assert "0.00" not in line
    scores = [read_json(folder.score("esd", metric)) or {} for metric in PLAN.metrics]
    assert all(score.get("value") is None for score in scores)


@pytest.mark.slow
def test_some_lost_images_are_named_and_less_memory_halves_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the erased model's images one is NaN, one is flat, and four at a time do not fit into memory."""
    decode = TextToImage.decode_checked
    sizes: list[int] = []

    def limited(self: TextToImage, z: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        images, finite = decode(self, z)
        if (self.unet.state_dict()[trained] != original).any():
            sizes.append(len(z))
            if len(z) > 2:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore.")
            finite[0], images[1] = False, 7
        return images, finite

    unet = load_model(find_model("mini"), "cpu").unet
    trained = next(name for name, _ in select(unet, "xattn").items() if name.endswith("to_k.weight"))
    original = unet.state_dict()[trained].clone()
    monkeypatch.setattr(TextToImage, "decode_checked", limited)
    folder = RunFolder(tmp_path / "run")
    assert run(PLAN, folder, "cpu") == ()
    assert sizes[:3] == [4, 2, 2]
    record = read_record(folder)
    assert record is not None
    assert [(s.row, s.batch_size, s.planned, len(s.unscored), len(s.flat)) for s in record.drawn] == [
        ("esd", 2, 4, 2, 2)
    ] * len(record.prompts)
    table = folder.table("md").read_text()
    assert "2 of 4 images are unscored, as their values are not finite" in table
    assert "2 of 4 images are flat (all pixels equal), such as" in table
    assert "drawn 2 at a time, as 4 do not fit into memory" in table
    for metric in PLAN.metrics:
        score = read_json(folder.score("esd", metric)) or {}
        assert (score["n"], len(score["unscored"])) == (2, 2), metric
        assert "not finite" in score["unscored"][0]
    assert (read_json(folder.score("original", "concept_rate")) or {})["n"] == 4
    sizes.clear()  # the same command finds all as it is
    folder.status.unlink()
    assert run(PLAN, folder, "cpu") == ()
    assert sizes == []
    assert read_record(folder).drawn == record.drawn  # type: ignore[union-attr]


def planned(folder: Path, batch: int) -> ImageSet:
    """Five images of the original, to be drawn so many at a time."""
    shards = shards_of(cuts_of(JOBS, batch), {"model": "a sketch"})
    return ImageSet("original", "concept", folder / "images", JOBS, "", Store(folder / "store"), drawn=shards)


def test_one_image_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    images, told = planned(tmp_path, 4), list[int]()

    class Large(Sketch):
        def noise(self, seeds: list[int], size: Any) -> torch.Tensor:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore.")

    with pytest.raises(BenchError, match=r"one image alone does not fit into memory \(CUDA.*2 GiB\.\): choose"):
        draw_shard(images.store, images, images.drawn[0], Large(), Generation(), done=told.append)  # type: ignore[arg-type]
    assert not images.is_drawn
    assert sum(told) == 0


def test_only_memory_makes_a_smaller_batch_do(tmp_path: Path) -> None:
    """A set that was planned with another batch is another, unless memory made it smaller."""

    class Small(Sketch):
        def truncated(self, texts: list[str]) -> list[str]:
            return []

        def noise(self, seeds: list[int], size: Any) -> torch.Tensor:
            if len(seeds) > 2:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
            return super().noise(seeds, size)

    images = planned(tmp_path, 4)
    (shard,) = images.drawn
    before = images.key
    assert (before, tuple(shard.keys)) == (images.planned_key, (4, 2, 1))
    draw_shard(images.store, images, shard, Small(), Generation())  # type: ignore[arg-type]
    assert images.batch_of(shard) == 2
    assert images.key != before
    again = planned(tmp_path, 4)
    assert (again.is_drawn, again.batch_of(again.drawn[0]), again.key) == (True, 2, images.key)
    assert not planned(tmp_path, 2).is_drawn
    assert not planned(tmp_path, 3).is_drawn


def test_a_training_without_images_leaves_the_others(tmp_path: Path) -> None:
    sees = SimpleNamespace(name="x", revision="1", image_features=lambda images: np.ones((len(images), 3), np.float32))
    draw(tmp_path / "a", Sketch())
    draw(tmp_path / "b", Sketch(broken=(0, 1, 2, 3, 4)))
    parts = [ImageSet("esd", "concept", tmp_path / name, JOBS, name) for name in "ab"]
    features = ImageSet.joined(parts).features(sees)  # type: ignore[arg-type]
    assert np.isfinite(features).all(1).tolist() == [True] * 5 + [False] * 5
    with pytest.raises(NotScored, match=r"none of 5 images can be read; p0-0\.png: its values are not finite"):
        ImageSet.joined([parts[1], parts[1]]).features(sees)  # type: ignore[arg-type]
