"""The store: entries that are whole or absent, shared by processes, and what damages or interrupts them."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from erasebench.storage.files import remove_leftovers, temporary_name
from erasebench.storage.links import show
from erasebench.storage.locks import is_held
from erasebench.storage.store import ENTRY, LOCK, Busy, Store

KEY = "ab" * 32


def put(store: Store, key: str = KEY, text: str = "what was made", **facts: object) -> Path:
    with store.making("images", key) as folder:
        (folder / "0.txt").write_text(text)
        (folder / "1.txt").write_text(text)
        return store.put("images", key, facts).folder


def test_an_entry_is_there_as_a_whole_with_its_facts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.find("images", KEY) is None
    put(store, seconds=3)
    found = Store(tmp_path).find("images", KEY)
    assert found is not None
    assert found.facts == {"seconds": 3}
    assert found.names == ("0.txt", "1.txt")
    assert found.file("0.txt").read_text() == "what was made"
    assert [(kind, key) for kind, key, _ in store.entries()] == [("images", KEY)]
    assert not store.partial("images", KEY).exists()


def test_the_first_stays(tmp_path: Path) -> None:
    first, second = Store(tmp_path), Store(tmp_path)
    put(first, text="first")
    assert put(second, text="second") == first.find("images", KEY).folder  # type: ignore[union-attr]
    assert first.find("images", KEY).file("0.txt").read_text() == "first"  # type: ignore[union-attr]


def test_what_an_interruption_left_is_there_again(tmp_path: Path) -> None:
    with Store(tmp_path).making("images", KEY) as folder:
        (folder / "0.txt").write_text("half")
    store = Store(tmp_path)
    assert store.find("images", KEY) is None
    with store.making("images", KEY) as folder:
        assert (folder / "0.txt").read_text() == "half"


@pytest.mark.parametrize("damage", ["torn", "turned over", "gone", "longer"])
def test_a_damaged_file_is_taken_away_and_the_others_wait(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = put(Store(tmp_path)) / "1.txt"
    file.chmod(0o644)
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes({"torn": content[:3], "turned over": content[:-1] + b"!", "longer": content * 2}[damage])
    store = Store(tmp_path)
    assert store.find("images", KEY) is None
    assert "1.txt is damaged" in caplog.text
    with store.making("images", KEY) as folder:
        assert [path.name for path in folder.iterdir() if path.suffix == ".txt"] == ["0.txt"]
    put(store)
    assert store.find("images", KEY) is not None


def test_a_damaged_list_of_files_makes_all_of_them_missing(tmp_path: Path) -> None:
    (put(Store(tmp_path)) / ENTRY).write_text("{")
    assert Store(tmp_path).find("images", KEY) is None


def test_a_copy_with_other_times_is_the_same(tmp_path: Path) -> None:
    folder = put(Store(tmp_path))
    os.utime(folder / "0.txt", (1, 1))
    assert Store(tmp_path).find("images", KEY) is not None


def _put_all(root: Path, keys: list[str]) -> None:
    store = Store(root)
    for key in keys:
        try:
            put(store, key)
        except Busy:
            while Store(root).find("images", key) is None:
                time.sleep(0.01)


def test_processes_that_put_the_same_at_once_end_with_one_entry_each(tmp_path: Path) -> None:
    keys = [f"{k:064x}" for k in range(40)]
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_put_all, args=(tmp_path, keys)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    assert sorted(key for _, key, _ in Store(tmp_path).entries()) == keys
    assert not list((tmp_path / "partial").iterdir())


def test_another_process_that_makes_it_is_told_of(tmp_path: Path) -> None:
    with Store(tmp_path).making("images", KEY), pytest.raises(Busy), Store(tmp_path).making("images", KEY):
        pass


def test_what_a_slow_process_holds_is_made_beside_it(tmp_path: Path) -> None:
    slow, other = Store(tmp_path), Store(tmp_path)
    with slow.making("images", KEY) as folder:
        (folder / "0.txt").write_text("slow")
        with other.aside():
            made = put(other, text="first")
        assert made == tmp_path / "images" / KEY[:3] / KEY
        slow.put("images", KEY, {})
    assert slow.find("images", KEY).file("0.txt").read_text() == "first"  # type: ignore[union-attr]
    assert not list((tmp_path / "partial").iterdir())
    with other.making("training", KEY) as shared:
        assert shared == slow.partial("training", KEY)


def test_without_locks_the_first_stays_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some file systems of clusters: a marker of a worker that was killed would be in the way for ever."""

    def without(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", without)
    store = Store(tmp_path)
    with store.making("images", KEY), Store(tmp_path).making("images", KEY):
        put(store, text="first")
    with store.settled(), store.settled():
        assert store.find("images", KEY).file("0.txt").read_text() == "first"  # type: ignore[union-attr]
    assert is_held(tmp_path / LOCK)


def test_a_dropped_entry_leaves_what_a_run_shows(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    source = put(store) / "0.txt"
    show(source, tmp_path / "run" / "a.txt")
    assert (tmp_path / "run" / "a.txt").samefile(source)
    store.drop("images", KEY)
    assert store.find("images", KEY) is None
    assert (tmp_path / "run" / "a.txt").read_text() == "what was made"


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_there_are_no_links_a_copy_is_shown(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    source = put(Store(tmp_path / "store")) / "0.txt"
    show(source, tmp_path / "shown.txt")
    assert (tmp_path / "shown.txt").read_text() == "what was made"
    assert not (tmp_path / "shown.txt").samefile(source)


def test_no_host_deletes_anothers_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, left, gone = temporary_name(tmp_path / "a"), tmp_path / ".b.elsewhere.1.abc.tmp", tmp_path / ".c.x.2.abc.tmp"
    assert mine != temporary_name(tmp_path / "a")
    for file in (mine, left, gone):
        file.touch()
    os.utime(gone, (1, 1))
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([mine, left])


@pytest.mark.slow
def test_a_million_entries_are_looked_up_at_once(tmp_path: Path) -> None:
    """By the number of entries in a folder: 250 of a million; the look-up is one path, whatever their number."""
    store = Store(tmp_path)
    keys = [f"{k:064x}"[::-1] for k in range(2000)]
    for key in keys:
        put(store, key)
    folders = {folder.parent for _, _, folder in store.entries()}
    assert len(folders) > 1000
    assert all(store.find("images", key) is not None for key in keys)
