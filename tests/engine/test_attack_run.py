"""Attacks on a finished run: beside controls and the original, kept, resumed, and one that fails loses nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from erasebench import BenchError, read_image
from erasebench.attacking import attempt as room
from erasebench.engine.attack_run import attack_run
from erasebench.engine.finished import finished_tables
from erasebench.engine.ray_request import RayRequest
from erasebench.engine.run import run
from erasebench.registry import ATTACKS
from erasebench.report.terminal import SheetView
from erasebench.runs.attacks import AttackRequest, PlannedAttacks, read_attacks
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.runs.store_use import look
from erasebench.storage.store import Store

pytestmark = pytest.mark.slow

PLAN = Plan(
    methods=["uce", "esd"],
    metrics=["concept_rate"],
    concept="garbage truck",
    images=2,
    train_steps=1,
    generation=Generation(scheduler="dpm++", steps=8, batch_size=4),
)
REQUEST = AttackRequest(
    names=("concept-inversion",),
    rows=("uce",),
    targets=2,
    budget=2,
    settings={"concept-inversion": {"steps": 2, "batch": 1, "images": 2}},
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("attacked") / "run")
    assert run(PLAN, folder, "cpu") == ()
    return folder


def drop(folder: RunFolder, rows: tuple[str, ...]) -> None:
    """Take concept inversion of these rows out of the store."""
    for cell in attack_run(folder, REQUEST, "cpu").cells:
        if cell.row in rows and cell.attack == "concept-inversion":
            Store(folder.store).drop("attack", cell.key)


def contents(folder: RunFolder) -> dict[str, bytes]:
    files = [file for file in folder.root.glob("attacks*/**/*") if file.is_file()]
    return {file.name: file.read_bytes() for file in [*folder.root.glob("attacks.*"), *files]}


def test_everything_is_made_once(finished: RunFolder) -> None:
    begun: list[int] = []
    record = attack_run(finished, REQUEST, "cpu", begun.append)
    made = [(cell.row, cell.attack) for cell in record.cells]
    assert made == [
        (row, name)
        for row in ("original", "decoy", "uce")
        for name in ("none", "random-tokens", "seed-search", "concept-inversion")
    ]
    assert begun == [1]
    assert not any(cell.reason for cell in record.cells)
    first = contents(finished)
    picture = read_image(finished.root / "attacks" / "uce.png")
    assert isinstance(picture, np.ndarray)
    assert picture.shape[0] > 5 * 80  # the original, erased, three attacks
    assert len(list((finished.root / "attacks").glob("original/*/concept-*.png"))) == 4 * 2
    assert {"attacks.csv", "attacks.md", "attacks.tex", "attacks.html", "attacks.json"} <= set(first)
    use = look(Store(finished.store))
    assert {item.kind for item in use.items} >= {"attack", "learned"}
    assert use.unused == []
    assert attack_run(finished, REQUEST, "cpu", begun.append) == record == read_attacks(finished)
    assert contents(finished) == first
    assert begun == [1]


def test_what_was_interrupted_goes_on_to_the_same(finished: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = attack_run(finished, REQUEST, "cpu")
    other = REQUEST.model_copy(update={"seed": 5})
    undisturbed = {(cell.row, cell.attack): cell.targets for cell in attack_run(finished, other, "cpu").cells}
    calls, store = 0, Store(finished.store)
    for cell in attack_run(finished, other, "cpu").cells:
        store.drop("attack", cell.key)
    drawn = room.draw

    def stopped(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise KeyboardInterrupt
        return drawn(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "draw", stopped)
    with pytest.raises(KeyboardInterrupt):
        attack_run(finished, other, "cpu")
    monkeypatch.setattr(room, "draw", drawn)
    again = attack_run(finished, other, "cpu")
    assert {(cell.row, cell.attack): cell.targets for cell in again.cells} == undisturbed
    assert attack_run(finished, REQUEST, "cpu").cells == wanted.cells


def break_inversion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let concept inversion raise."""

    def broken(attempt: object, config: object) -> None:
        raise BenchError("no such luck")

    from erasebench.attacks import concept_inversion

    broken_one = replace(ATTACKS.load("concept-inversion"), run=broken)
    monkeypatch.setattr(concept_inversion, "concept_inversion", broken_one)


def test_an_attack_that_fails_is_counted_and_the_others_go_on(
    finished: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_inversion(monkeypatch)
    request = REQUEST.model_copy(update={"seed": 9})
    record = attack_run(finished, request, "cpu")
    assert record.failures == dict.fromkeys(
        [f"{row} concept-inversion" for row in ("original", "decoy", "uce")], "no such luck"
    )
    assert {cell.attack for cell in record.cells} == {"none", "random-tokens", "seed-search"}
    assert "| failed |" in (finished.root / "attacks.md").read_text()


def test_a_plan_says_what_its_rows_are_attacked_with(finished: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(finished, ("uce",))
    planned = {**REQUEST.model_dump(), "names": ["concept-inversion"], "rows": ["uce"]}
    plan = PLAN.model_copy(update={"attacks": PlannedAttacks(**planned)})
    assert plan.key == PLAN.key
    assert run(plan, finished, "cpu") == ()
    record = read_attacks(finished)
    assert record is not None
    assert ("uce", "concept-inversion") in {(cell.row, cell.attack) for cell in record.cells}
    shown = finished_tables(plan, finished, "cpu")
    assert shown is not None
    assert "Attacks on erasing" in " ".join(view.title for view in shown if isinstance(view, SheetView))
    wrong = {"settings": {"concept-inversion": {"step": 1}}}
    with pytest.raises(BenchError, match="setting 'step' is wrong"):
        run(PLAN.model_copy(update={"attacks": PlannedAttacks(**wrong)}), finished, "cpu")


def test_a_plans_attack_that_fails_is_a_failure_of_the_run(
    finished: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_inversion(monkeypatch)
    drop(finished, ("decoy", "uce"))
    planned = {**REQUEST.model_dump(), "names": ["concept-inversion"], "rows": ["uce"]}
    failures = run(PLAN.model_copy(update={"attacks": PlannedAttacks(**planned)}), finished, "cpu")
    assert {failure.cell for failure in failures} == {f"attack {row} concept-inversion" for row in ("decoy", "uce")}


def test_a_cluster_is_asked_only_where_there_is_something_to_do(finished: RunFolder) -> None:
    attack_run(finished, REQUEST, "cpu")
    wrong = RayRequest(share=2.0)
    assert attack_run(finished, REQUEST, "cpu", ray=wrong).failures == {}
    with pytest.raises(BenchError, match="--gpus-per-task"):
        attack_run(finished, REQUEST.model_copy(update={"seed": 77}), "cpu", ray=wrong)
    assert read_attacks(finished).request["seed"] == 0  # type: ignore[union-attr]


def test_what_is_wrong_is_said(finished: RunFolder, tmp_path: Path) -> None:
    wrong = REQUEST.model_copy(update={"settings": {"concept-inversion": {"step": 1}}})
    with pytest.raises(BenchError, match="setting 'step' is wrong"):
        attack_run(finished, wrong, "cpu")
    with pytest.raises(BenchError, match="is no run's folder"):
        attack_run(RunFolder(tmp_path), REQUEST, "cpu")
