"""Files that another machine puts into a shared folder: found once they are there, and missed where they are not."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erasebench.engine import executor
from erasebench.engine.journal import NOT_HERE
from erasebench.engine.run import run
from erasebench.images.files import read_image, write_png
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.runs.record import read_run
from erasebench.runs.scores import read_scores
from erasebench.storage.store import Store

PLAN = Plan(
    methods=["uce"], metrics=["ssim"], concept="garbage truck", images=2, generation=Generation(steps=2, batch_size=2)
)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names that are taken for absent until the folder above is opened, as NFS does."""
    absent: set[str] = set()
    stat, opened = os.stat, os.open

    def looked_at(path: Any, *arguments: Any, **more: Any) -> os.stat_result:
        if str(path) in absent:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return stat(path, *arguments, **more)

    def open_folder(path: Any, *arguments: Any, **more: Any) -> int:
        absent.difference_update([name for name in absent if str(Path(name).parent) == str(path)])
        return opened(path, *arguments, **more)

    monkeypatch.setattr(os, "stat", looked_at)
    monkeypatch.setattr(os, "open", open_folder)
    return absent


@pytest.mark.parametrize("level", range(3))
def test_an_entry_that_another_machine_has_just_put_is_found(level: int, forgetful: set[str], tmp_path: Path) -> None:
    here, there = Store(tmp_path), Store(tmp_path)
    key = "ab" * 16
    assert here.find("images", key) is None
    with there.making("images", key):
        place = there.put("images", key, {"batch": 4}).folder
    forgetful.add(str([place, *place.parents][level]))
    found = here.find("images", key)
    assert found is not None
    assert found.facts == {"batch": 4}


def test_an_image_that_another_machine_has_just_shown_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    file = tmp_path / "image.png"
    opened = os.open

    def open_folder(path: Any, *arguments: Any, **more: Any) -> int:
        if Path(path) == tmp_path and not file.exists():
            monkeypatch.undo()
            write_png(file, image)
        return opened(path, *arguments, **more)

    monkeypatch.setattr(os, "open", open_folder)
    assert np.array_equal(read_image(file), image)  # type: ignore[arg-type]


def test_a_score_whose_file_is_not_there_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as where a worker writes into a folder that this process does not see; nothing is made again then."""
    folder = RunFolder(tmp_path / "run")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(executor, "write_score", lambda file, record: None)
        failures = run(PLAN, folder, "cpu")
    assert {(failure.row, failure.item, failure.reason) for failure in failures} == {
        ("original", "ssim", NOT_HERE),
        ("uce", "ssim", NOT_HERE),
    }
    assert read_run(folder)[1].status == "failed"
    monkeypatch.setattr(executor.Executor, "do", None)
    assert run(PLAN, folder, "cpu") == ()
    assert len(read_scores(folder, ["original", "uce"], ["ssim"])) == 2
