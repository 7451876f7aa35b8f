"""Pictures of what a training searched: drawn at its snapshots, kept in the store, shown by every run that has it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erasebench import TextToImage, Trainer, read_image
from erasebench.engine.run import run
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan

ROW = "adversarial-preservation-pgd"
PLAN = Plan(
    methods=[ROW],
    variants={},
    metrics=["ssim"],
    concept="garbage truck",
    images=1,
    train_steps=2,
    snapshots=[0, 2],
    settings={ROW: {"sampler_steps": 3, "ascents": 2, "search_lr": 0.2}},
    generation=Generation(scheduler="dpm++", steps=2),
)


def trained(folder: RunFolder) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(folder.erasure(ROW, 0).read_text())
    return facts


def test_the_embedding_is_drawn_at_every_snapshot_and_kept(
    mini: TextToImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "runs" / "first")
    assert run(PLAN, folder, "cpu") == ()
    found = {file.name: read_image(file) for file in folder.searched(ROW, 0).iterdir()}
    assert sorted(found) == [f"{step}-what-is-preserved-{k}.png" for step in (0, 2) for k in (0, 1)]
    z = mini.denoise(mini.noise([1, 2]), mini.encode(["garbage truck"]), mini.encode([""]), steps=20, guidance=5.0)
    for k, begun in enumerate(mini.decode(z)):
        assert (found[f"0-what-is-preserved-{k}.png"] == begun).all()
        assert (found[f"2-what-is-preserved-{k}.png"] != begun).any()
    assert isinstance(read_image(folder.root / "searched.png"), np.ndarray)
    monkeypatch.setattr(Trainer, "_pictures", None)  # nothing is drawn again
    again = RunFolder(tmp_path / "runs" / "again")
    assert run(PLAN.model_copy(update={"name": "again", "snapshots": (2,)}), again, "cpu") == ()
    assert sorted(file.name for file in again.searched(ROW, 0).iterdir()) == sorted(found)[2:]
    assert "What trainings searched" in again.page.read_text(encoding="utf-8")


def test_the_original_draws_it_and_no_cost_counts_it(tmp_path: Path) -> None:
    """An embedding that stays where it is draws the same at all steps, whatever was trained."""
    still = PLAN.model_copy(update={"settings": {ROW: {**PLAN.settings[ROW], "search_lr": 0.0, "lr": 0.1}}})
    folder, without = RunFolder(tmp_path / "a" / "run"), RunFolder(tmp_path / "b" / "run")
    assert run(still, folder, "cpu") == ()
    place = folder.searched(ROW, 0)
    for k in (0, 1):
        begun, ended = (read_image(place / f"{step}-what-is-preserved-{k}.png") for step in (0, 2))
        assert np.abs(np.asarray(begun, int) - np.asarray(ended, int)).max() == 0
    assert run(still.model_copy(update={"snapshots": ()}), without, "cpu") == ()
    assert trained(folder)["cost"]["forwards"] == trained(without)["cost"]["forwards"]


def test_a_run_that_searched_nothing_has_no_such_picture(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert run(PLAN.model_copy(update={"methods": ["uce"], "snapshots": (), "settings": {}}), folder, "cpu") == ()
    assert not (folder.root / "searched.png").exists()
