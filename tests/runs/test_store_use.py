"""What of a store is used by runs that are there, gone, moved, running or unknown; and what pruning leaves."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from filelock import FileLock

from erasebench.errors import BenchError
from erasebench.runs.folder import RunFolder
from erasebench.runs.references import refer, references
from erasebench.runs.store_use import look, prune
from erasebench.storage.links import show
from erasebench.storage.store import LOCK, Store

OLD = time.time() - 3600


def put(store: Store, kind: str, key: str, of: tuple[str, ...] = (), **facts: object) -> Path:
    with store.making(kind, key) as folder:
        (folder / "0.txt").write_text(f"{kind} {key}")
        return store.put(kind, key, facts, of).file("0.txt")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Of two runs: one of training t1 and images i1, another of i1 and i2; features and a score of each; t9 of none."""
    store = Store(tmp_path / "store")
    put(store, "training", "t1", tensors=["shared"])
    put(store, "training", "t9", tensors=["alone"])
    put(store, "snapshot", "t1-step", of=("t1",))
    for key in ("i1", "i2", "i9"):
        put(store, "images", key)
        put(store, "features", f"of-{key}", of=(key,))
    put(store, "score", "of-both", of=("i1", "i2"))
    put(store, "score", "of-i1", of=("i1",))
    put(store, "score", "of-i1-and-i9", of=("i1", "i9"))
    for name in ("shared", "alone"):
        (store.root / "tensors").mkdir(exist_ok=True)
        (store.root / "tensors" / f"{name}.safetensors").write_text(name)
    for name in ("original", "texts", "t1", "t9"):
        (store.root / "spectrum" / name).mkdir(parents=True)
        (store.root / "spectrum" / name / "block.safetensors").write_text(name)
    refer(RunFolder(tmp_path / "one"), store, [("training", "t1"), ("images", "i1")])
    refer(RunFolder(tmp_path / "two"), store, [("images", "i1"), ("images", "i2")])
    return store


def names(items: object) -> set[str]:
    return {f"{item.kind} {item.key}" for item in items}  # type: ignore[attr-defined]


UNUSED = {"training t9", "images i9", "features of-i9", "score of-i1-and-i9", "tensors alone", "spectrum t9"}


def test_what_was_made_from_used_entries_is_used(store: Store, tmp_path: Path) -> None:
    use = look(store)
    assert names(use.unused) == UNUSED
    one, two = sorted(use.references.runs, key=lambda run: run.folder)
    assert names(use.used_by(one)) == {
        "training t1",
        "snapshot t1-step",
        "images i1",
        "features of-i1",
        "score of-i1",
        "tensors shared",
        "spectrum t1",
        "spectrum original",
        "spectrum texts",
    }
    assert names(use.used_by(two)) == {
        "images i1",
        "images i2",
        "features of-i1",
        "features of-i2",
        "score of-i1",
        "score of-both",
    }


def test_pruning_removes_what_no_run_uses_and_nothing_else(store: Store) -> None:
    before = names(look(store).items)
    assert names(prune(store)) == UNUSED
    assert names(look(store).items) == before - UNUSED
    assert not list((store.root / "partial").iterdir())
    assert prune(store) == []


def test_a_deleted_run_no_longer_counts(store: Store, tmp_path: Path) -> None:
    (tmp_path / "two" / "more.txt").touch()
    shutil.rmtree(tmp_path / "two")
    use = look(store)
    assert use.references.gone == [tmp_path / "two"]
    assert names(use.unused) == UNUSED | {"images i2", "features of-i2", "score of-both"}
    prune(store)
    assert look(store).references.gone == []
    assert len(list((store.root / "runs").iterdir())) == 1


def test_a_run_with_another_store_no_longer_counts(store: Store, tmp_path: Path) -> None:
    refer(RunFolder(tmp_path / "two"), Store(tmp_path / "other"), [("images", "i1")])
    assert "images i2" in names(look(store).unused)


def test_runs_and_store_may_move_together(store: Store, tmp_path: Path) -> None:
    place = tmp_path / "moved"
    place.mkdir()
    for name in ("store", "one", "two"):
        (tmp_path / name).rename(place / name)
    moved = Store(place / "store")
    assert {run.folder for run in references(moved).runs} == {place / "one", place / "two"}
    assert names(look(moved).unused) == UNUSED


def test_a_store_that_moved_alone_is_still_used(store: Store, tmp_path: Path) -> None:
    store.root.rename(tmp_path / "elsewhere")
    assert names(look(Store(tmp_path / "elsewhere")).unused) == UNUSED


def test_what_a_moved_run_shows_is_kept_with_what_was_made_from_it(store: Store, tmp_path: Path) -> None:
    show(store.find("images", "i2").file("0.txt"), tmp_path / "two" / "images" / "0.png")  # type: ignore[union-attr]
    (tmp_path / "two").rename(tmp_path / "away")
    use = look(store)
    assert names(use.shown_elsewhere) == {"images i2", "features of-i2"}
    assert not names(use.unused) & {"images i2", "features of-i2"}
    refer(RunFolder(tmp_path / "away"), store, [("images", "i1"), ("images", "i2")])
    assert look(store).shown_elsewhere == []
    assert names(look(store).unused) == UNUSED


def age(folder: Path) -> None:
    os.utime(folder, (OLD, OLD))


def test_what_was_left_unfinished_goes_unless_a_run_goes_on_with_it_or_a_process_holds_it(store: Store) -> None:
    for key in ("t1", "left", "young"):
        with store.making("training", key) as folder:
            (folder / "half").write_text("half")
        if key != "young":
            age(folder)
    held = store.partial("training", "held")
    held.mkdir()
    with FileLock(held / LOCK):
        age(held)
        use = look(store)
        assert names(use.unfinished) == {f"partial training-{key}" for key in ("t1", "left", "young", "held")}
        assert names(use.unused) - UNUSED == {"partial training-left"}
        prune(store)
        assert {path.name for path in (store.root / "partial").iterdir()} == {
            "training-t1",
            "training-young",
            "training-held",
        }


def test_a_training_that_was_begun_keeps_what_trainings_share(store: Store) -> None:
    with store.making("training", "t1") as folder:
        age(folder)
    assert "tensors alone" not in names(look(store).unused)


def test_what_an_attack_learned_is_kept_as_long_as_the_attack(store: Store, tmp_path: Path) -> None:
    for key, of in (("shared", ()), ("own", ("t1",)), ("spare", ()), ("of-t9", ("t9",))):
        put(store, "learned", key, of)
    put(store, "attack", "of-t1", of=("t1",), learned=["shared", "own"])
    assert {name for name in names(look(store).unused) if "learned" in name} == {"learned spare", "learned of-t9"}
    refer(RunFolder(tmp_path / "three"), store, [("attack", "begun")])
    with store.making("attack", "begun") as folder:
        age(folder)
    assert {name for name in names(look(store).unused) if "learned" in name} == {"learned of-t9"}


@pytest.mark.parametrize("harm", ["torn", "gone", "turned over"])
def test_damaged_files_are_named(harm: str, store: Store) -> None:
    file = store.find("images", "i1").file("0.txt")  # type: ignore[union-attr]
    file.chmod(0o644)
    text = file.read_text()
    file.unlink() if harm == "gone" else file.write_text({"torn": text[:-1], "turned over": text[:-1] + "?"}[harm])
    assert look(store).damaged == [file]


def test_a_damaged_description_is_named_and_its_entry_kept(store: Store) -> None:
    (store.root / "images" / "i1" / "i1" / "entry.json").write_text("{")
    use = look(store)
    assert use.damaged == [store.root / "images" / "i1" / "i1" / "entry.json"]
    assert names(use.unused) == UNUSED


@pytest.mark.parametrize("where", ["the run's", "the store's"])
def test_where_it_can_not_be_told_what_a_run_uses_nothing_is_removed(where: str, store: Store, tmp_path: Path) -> None:
    file = tmp_path / "two" / "store.json" if where == "the run's" else min((store.root / "runs").iterdir())
    file.write_text("{")
    before = sorted(store.root.rglob("*"))
    with pytest.raises(BenchError, match="is damaged"):
        prune(store)
    assert [path for path in before if not path.exists()] == []


def test_a_run_that_begins_waits_for_pruning(store: Store, tmp_path: Path) -> None:
    from threading import Thread

    begins = Thread(target=refer, args=(RunFolder(tmp_path / "new"), Store(store.root), [("images", "i9")]))
    with store.settled():
        begins.start()
        begins.join(0.3)
        assert begins.is_alive()
        assert not (tmp_path / "new").exists()
    begins.join(10)
    assert "images i9" not in names(look(store).unused)
