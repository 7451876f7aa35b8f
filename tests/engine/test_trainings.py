"""Trainings and noise are two things: every training draws the same images, the original and a closed form once."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from planned import setup_of, work_of
from skimage.metrics import structural_similarity

from erasebench.engine import score as score_stage
from erasebench.engine.contexts import Contexts
from erasebench.engine.run import run
from erasebench.engine.score import score_made_from
from erasebench.engine.work import Work
from erasebench.errors import BenchError
from erasebench.images.files import read_image
from erasebench.models.devices import resolve_precision
from erasebench.models.provenance import made_on
from erasebench.report.stored_scores import paired_rows
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan, Scoring
from erasebench.runs.record import RunRecord, read_record
from erasebench.runs.scores import ImageValue, ScoreRecord, read_score
from erasebench.scoring.clip_files import clip_revision
from erasebench.scoring.judge import Judge
from erasebench.storage.keys import content_key

PLAN = Plan(
    methods=["esd", "uce"],
    metrics=["concept_rate", "ssim"],
    concept="garbage truck",
    images=3,
    seeds=[4, 9],
    train_steps=2,
    generation=Generation(steps=2),
)


def cells(folder: Path, **changes: Any) -> Work:
    plan = PLAN.model_copy(update=changes)
    return work_of(plan, folder)


def by_file(found: Work) -> dict[Path, str]:
    """The key of every image to draw by its file."""
    return {
        images.files[place]: shard.key
        for images in found.drawn.values()
        for shard in images.drawn
        for place in shard.places
    }


def test_an_image_has_one_name_and_key_whatever_seeds_it_is_asked_with(tmp_path: Path) -> None:
    both = by_file(cells(tmp_path))
    for seeds in ([4], [9], [9, 4], [1, 9]):
        other = by_file(cells(tmp_path, seeds=seeds))
        shared = both.keys() & other.keys()
        assert len(shared) == 2 * (6 + 3 * len({4, 9} & set(seeds)))  # two prompt sets: original, UCE, ESD's trainings
        assert all(both[file] == other[file] for file in shared)


def test_the_noise_is_another_with_another_image_seed_and_with_nothing_else(tmp_path: Path) -> None:
    def noise(**changes: Any) -> list[int]:
        return [
            job.seed
            for images in cells(tmp_path, **changes).drawn.values()
            for job in images.jobs
            if images.row == "esd"
        ]

    usual = noise(seeds=[4])
    assert noise(seeds=[9]) == usual
    assert not set(noise(seeds=[4], image_seed=1)) & set(usual)
    assert by_file(cells(tmp_path, image_seed=1)).keys() == by_file(cells(tmp_path)).keys()
    assert not set(by_file(cells(tmp_path, image_seed=1)).values()) & set(by_file(cells(tmp_path)).values())


def test_the_original_and_a_closed_form_are_drawn_once(tmp_path: Path) -> None:
    found = cells(tmp_path)
    assert [(e.row, e.training) for e in found.erasures] == [("esd", 4), ("esd", 9), ("uce", None)]
    assert {row: len(images.jobs) for (row, name), images in found.images.items() if name == "objects"} == {
        "original": 3,
        "esd": 6,
        "uce": 3,
    }
    assert found.images["esd", "objects"].trainings == [4] * 3 + [9] * 3
    assert found.images["uce", "objects"].trainings == [None] * 3
    one = cells(tmp_path, methods=["uce"], seeds=[9])
    setup = setup_of(PLAN, tmp_path)
    assert one.erasures[0].key(setup) == found.erasures[-1].key(setup)


def stored(folder: RunFolder, row: str, metric: str) -> ScoreRecord:
    found = read_score(folder.score(row, metric))
    assert found is not None
    return found


@pytest.mark.slow
def test_scores_name_their_training_and_another_training_redraws_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert run(PLAN, folder, "cpu") == ()
    values = {row: stored(folder, row, "concept_rate").values for row in ("original", "esd", "uce")}
    assert {row: [value.seed for value in rows] for row, rows in values.items()} == {
        "original": [None] * 3,
        "esd": [4] * 3 + [9] * 3,
        "uce": [None] * 3,
    }
    drawn = values["esd"]
    assert [v.prompt for v in drawn[:3]] == [v.prompt for v in drawn[3:]]
    assert all(value.sample == 0 and value.cluster for value in drawn)
    record = read_record(folder)
    assert record is not None
    assert record.trainings == {"esd": (4, 9), "uce": ()}

    similarity = stored(folder, "esd", "ssim").values
    assert len(similarity) == 6
    for value in similarity:  # each training's image beside the one original
        name = f"{value.prompt}-{value.sample}.png"
        mine = read_image(folder.images("esd", "objects", value.seed) / name)
        original = read_image(folder.images("original", "objects") / name)
        assert isinstance(mine, np.ndarray)
        expected = structural_similarity(mine, original, win_size=25, channel_axis=-1, data_range=255)
        assert value.value == pytest.approx(expected)


def rows(seeds: Sequence[int | None], scale: float) -> list[ImageValue]:
    return [
        ImageValue(prompt=p, cluster=p, sample=0, seed=s, value=scale * (s or 1)) for s in seeds for p in ("a", "b")
    ]


def test_rows_are_paired_by_training_and_what_has_none_with_every_training() -> None:
    trained, once = rows([4, 9], 1.0), rows([None], 2.0)
    assert [(a.seed, b.seed) for a, b in paired_rows(trained, rows([9, 4], 3.0))] == [(4, 4)] * 2 + [(9, 9)] * 2
    assert [(a.value, b.value) for a, b in paired_rows(trained, once)] == [(4, 2)] * 2 + [(9, 2)] * 2
    assert [(a.value, b.value) for a, b in paired_rows(once, trained)] == [(2, 4)] * 2 + [(2, 9)] * 2
    assert len(paired_rows(once, once)) == 2
    assert paired_rows(trained, rows([5], 1.0)) == []


def test_weights_are_found_by_their_training() -> None:
    record = RunRecord(trainings={"esd": (4, 9), "uce": ()})
    assert [record.training_of("esd"), record.training_of("esd", 9), record.training_of("uce", 9)] == [4, 9, 0]
    with pytest.raises(BenchError, match="esd was trained with the seeds 4, 9"):
        record.training_of("esd", 3)


def _made_on(monkeypatch: pytest.MonkeyPatch, planted: Callable[[str], dict[str, str | None]]) -> None:
    """Let the keys of patches and images say that they were made elsewhere."""
    monkeypatch.setattr("erasebench.models.provenance.made_on", planted)


@pytest.mark.slow
def test_what_is_made_again_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plan, folder = PLAN.model_copy(update={"methods": ["uce"]}), RunFolder(tmp_path / "run")
    assert run(plan, folder, "cpu") == ()
    first = read_record(folder)
    assert first is not None
    assert first.remade == ()

    _made_on(monkeypatch, lambda device: made_on(device) | {"torch": "9.9"})
    assert run(plan, folder, "cpu") == ()
    record = read_record(folder)
    assert record is not None
    changed = f"torch {made_on('cpu')['torch']} → 9.9"
    assert f"UCE, seed 0: trained again because {changed}" in record.remade
    assert f"images of original, set concept: drawn again because {changed}" in record.remade
    assert all(text in caplog.text for text in record.remade)
    assert not any("computed again" in text for text in record.remade)  # scores of other images: told there

    monkeypatch.setattr(score_stage, "SCORE_VERSION", score_stage.SCORE_VERSION + 1)
    reason = f"version {score_stage.SCORE_VERSION - 1} → {score_stage.SCORE_VERSION}"
    monkeypatch.setattr("erasebench.engine.work.SCORE_VERSION", score_stage.SCORE_VERSION)
    assert run(plan, folder, "cpu") == ()
    again = read_record(folder)
    assert again is not None
    assert f"ssim of uce: computed again because {reason}" in again.remade


def test_precision_and_machine_are_part_of_what_is_drawn_and_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = resolve_precision("auto", "cpu")
    before = by_file(cells(tmp_path))
    same = PLAN.generation.model_copy(update={"precision": usual})
    assert by_file(cells(tmp_path, generation=same)) == before
    other = PLAN.generation.model_copy(update={"precision": "fp32" if usual == "bf16" else "bf16"})
    assert not set(by_file(cells(tmp_path, generation=other)).values()) & set(before.values())
    _made_on(monkeypatch, lambda device: {"device": "another"})
    assert not set(by_file(cells(tmp_path)).values()) & set(before.values())


def test_a_gpus_number_is_no_part_of_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"cuda": "H100", "cuda:0": "H100", "cuda:1": "H100", "cuda:2": "A100"}
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: names[str(device)])
    memory = SimpleNamespace(total_memory=80e9)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda device: memory)
    monkeypatch.setattr("erasebench.models.devices.has_bf16", lambda device: True)

    def keys(device: str) -> tuple[str, dict[Path, str]]:
        found = work_of(PLAN, tmp_path, device)
        return found.fingerprint, by_file(found)

    first = keys("cuda")
    assert keys("cuda:0") == keys("cuda:1") == first
    assert not set(keys("cuda:2")[1].values()) & set(first[1].values())
    made_on.cache_clear()


def test_a_score_knows_the_weights_of_the_clip_model_that_it_looks_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name such as ViT-B-32-quickgelu/openai may come to mean other weights: its files' content counts."""
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (blobs / ("a" * 64)).write_bytes(b"weights")
    link = tmp_path / "open_clip_model.safetensors"
    link.symlink_to(blobs / ("a" * 64))
    wanted = "ViT-B-32-quickgelu/openai"
    plan = PLAN.model_copy(update={"scoring": Scoring(clip=wanted), "metrics": ["concept_rate", "clip_score", "ssim"]})
    place = {"file": str(link)}
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache", lambda repo, name: place["file"] if name == link.name else None
    )

    def versions() -> dict[str, Any]:
        found = work_of(plan, tmp_path)
        contexts = Contexts(setup_of(plan, tmp_path), found, lambda: None)  # type: ignore[arg-type,return-value]
        made = {
            name: score_made_from(name, metric, contexts.of("esd", metric), None)["versions"]
            for name, metric in found.metrics.items()
        }
        return {"fingerprint": found.fingerprint, **made}

    first = versions()
    assert first["clip_score"]["clip"] == first["concept_rate"]["clip"] == "a" * 64
    assert "clip" not in first["ssim"]
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / link.name).write_bytes(b"other weights")  # a cache without links
    place["file"] = str(plain / link.name)
    other = versions()
    assert other["clip_score"]["clip"] == sha256(b"other weights").hexdigest()
    assert other["fingerprint"] != first["fingerprint"]
    assert other["ssim"] == first["ssim"]
    place["file"] = None  # type: ignore[assignment]
    assert "clip" not in versions()["clip_score"]
    found = work_of(plan, tmp_path)
    contexts = Contexts(setup_of(plan, tmp_path), found, lambda: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(BenchError, match=r"does not say so.*clip=True"):
        contexts.of("esd", found.metrics["ssim"]).clip()
    assert clip_revision("judge") == Judge("cpu").revision


def test_a_key_is_a_whole_hash_of_json_alone() -> None:
    assert len(content_key(a=1)) == 64
    with pytest.raises(TypeError):
        content_key(a=Path("x"))
