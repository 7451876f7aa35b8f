"""Pictures of what a training searched: drawn at its snapshots, kept in the store, shown by every run that has it."""

from pathlib import Path

import numpy as np
import pytest

from erasebench import TextToImage, read_image
from erasebench.engine import erase
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


def test_the_embedding_is_drawn_by_the_original_at_every_snapshot(
    mini: TextToImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "runs" / "first")
    assert run(PLAN, folder, "cpu") == ()
    found = {file.name: read_image(file) for file in folder.searched(ROW, 0).iterdir()}
    assert sorted(found) == [f"{step}-what-is-preserved-{k}.png" for step in (0, 2) for k in (0, 1)]
    begun = erase._pictures(mini, mini.unet, mini.encode(["garbage truck"]))
    for k in (0, 1):
        assert (found[f"0-what-is-preserved-{k}.png"] == begun[k]).all()
        assert (found[f"2-what-is-preserved-{k}.png"] != begun[k]).any()
    assert isinstance(read_image(folder.root / "searched.png"), np.ndarray)
    monkeypatch.setattr(erase, "_pictures", None)  # nothing is drawn again
    again = RunFolder(tmp_path / "runs" / "again")
    assert run(PLAN.model_copy(update={"name": "again"}), again, "cpu") == ()
    assert sorted(file.name for file in again.searched(ROW, 0).iterdir()) == sorted(found)
    assert "What trainings searched" in again.page.read_text(encoding="utf-8")


def test_a_run_that_searched_nothing_has_no_such_picture(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert run(PLAN.model_copy(update={"methods": ["uce"], "snapshots": (), "settings": {}}), folder, "cpu") == ()
    assert not (folder.root / "searched.png").exists()
