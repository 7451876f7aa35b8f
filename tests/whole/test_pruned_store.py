"""`bench store` after whole runs: what pruning leaves is all that they need."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from erasebench.cli.app import app
from erasebench.engine import executor
from erasebench.engine.run import run
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.runs.store_use import look, prune
from erasebench.storage.store import Store

PLAN = Plan(
    methods=["all-but-one", "uce"],
    metrics=["concept_rate", "kid", "ssim", "train_steps", "spectrum"],
    concept="garbage truck",
    images=5,
    train_steps=2,
    snapshots=[1],
    spectrum={"words": 3, "levels": 1},
    generation=Generation(steps=2, batch_size=2),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pruned")
    assert run(PLAN, RunFolder(folder / "run"), "cpu") == ()
    return folder


@pytest.fixture
def copy(place: Path, tmp_path: Path) -> Path:
    shutil.copytree(place, tmp_path / "copy")
    return tmp_path / "copy"


def test_nothing_of_a_run_is_removed_and_all_of_one_that_is_deleted(place: Path, copy: Path) -> None:
    store = Store(copy / "store")
    items = look(store).items
    assert {item.kind for item in items} == {
        "training",
        "snapshot",
        "images",
        "features",
        "score",
        "tensors",
        "spectrum",
    }
    assert look(store).unused == []
    shutil.rmtree(copy / "run")
    assert len(prune(store)) == len(items)
    assert not [file for file in store.root.rglob("*") if file.is_file() and not file.name.startswith(".")]
    assert look(Store(place / "store")).unused == []


def test_after_pruning_a_run_goes_on_without_any_work(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wider = PLAN.model_copy(update={"methods": ["all-but-one", "uce", "time"]})
    assert run(wider, RunFolder(copy / "wider"), "cpu", store=copy / "store") == ()
    shutil.rmtree(copy / "wider")
    assert {item.kind for item in prune(Store(copy / "store"))} >= {"training", "images", "features", "score"}
    done: list[str] = []
    monkeypatch.setattr(executor.Executor, "do", lambda self, task, *rest: done.append(task.text))
    RunFolder(copy / "run").table("csv").unlink()
    assert run(PLAN, RunFolder(copy / "run"), "cpu") == ()
    assert done == []


def told(*words: str) -> str:
    result = CliRunner().invoke(app, ["store", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_says_what_is_there_and_removes_when_told(copy: Path) -> None:
    store = str(copy / "store")
    shown = told(store)
    assert "complete" in shown
    assert all(kind in shown for kind in ("training", "images", "features", "score"))
    assert "nothing to remove" in told("prune", store)
    file = next((copy / "store" / "images").rglob("*.png"))
    file.chmod(0o644)
    file.write_bytes(b"torn")
    assert f"damaged: {file}" in told(store)
    shutil.rmtree(copy / "run")
    assert "no longer there" in told(store)
    before = len(list((copy / "store").rglob("*")))
    assert "would remove" in told("prune", store)
    assert len(list((copy / "store").rglob("*"))) == before
    assert "removed" in told("prune", store, "--yes")
    assert "nothing to remove" in told("prune", store)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "there is no store"),
        (["prune", "nowhere", "--yes"], "there is no store"),
        (["a", "b"], "then one folder"),
        (["prune", "a", "b"], "then one folder"),
        (["--yes"], "--yes goes with"),
        (["."], "that is no store"),
    ],
)
def test_wrong_arguments_are_told(words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["store", *words])
    assert says in str(result.exception)


def test_a_run_in_place_of_a_store_is_told_from_it(place: Path) -> None:
    result = CliRunner().invoke(app, ["store", str(place / "run")])
    assert f"bench store {place / 'store'}" in str(result.exception).replace("/run/..", "")
