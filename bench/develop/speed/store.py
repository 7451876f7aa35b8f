"""What a large store costs: looking an entry up, keeping one, looking through it, opening a run of many images."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...images.image_set import ImageSet
from ...images.jobs import Job
from ...images.set_folder import prepare_images, stored_name
from ...images.shards import cuts_of, shards_of
from ...runs.folder import RunFolder
from ...runs.store_use import look
from ...storage.files import write_json
from ...storage.keys import content_key
from ...storage.store import ENTRY, Store

KIND = "features"
TRIED = 1000  # look-ups
PUT = 100
LINKS = 30_000  # names of one file: file systems allow a few ten thousand
BATCH = 32


def measure_store(entries: int, images: int) -> Iterator[str]:
    """Lines of what a store with so many synthetic entries costs, and a run of so many (empty) images."""
    with tempfile.TemporaryDirectory() as place:
        yield from _of_entries(Path(place) / "entries", entries)
        yield from _of_images(Path(place) / "images", images)


def _of_entries(root: Path, count: int) -> Iterator[str]:
    keys = [content_key(entry=number) for number in range(count)]
    _make(root, keys)
    some = keys[:: max(1, count // TRIED)][:TRIED]
    found = _each(Store(root).find, some)
    absent = _each(Store(root).find, [content_key(absent=number) for number in range(TRIED)])
    put = _each(_putting(Store(root)), [content_key(put=number) for number in range(PUT)])
    yield f"{count:,} entries: found in {found:.2f} ms, known to be absent in {absent:.2f} ms, put in {put:.1f} ms each"
    began = time.perf_counter()
    look(Store(root))
    yield f"{count:,} entries: looked through in {time.perf_counter() - began:.1f} s"


def _make(root: Path, keys: Sequence[str]) -> None:
    """Entries without files; their descriptions are links to one, which is quick to make."""
    for number, key in enumerate(keys):
        place = root / KIND / key[:3] / key
        place.mkdir(parents=True)
        if number % LINKS == 0:
            described = place / ENTRY
            write_json(described, {"kind": KIND, "key": key, "of": [], "facts": {}, "files": {}})
        else:
            os.link(described, place / ENTRY)


def _putting(store: Store) -> Callable[[str, str], None]:
    def put(kind: str, key: str) -> None:
        with store.making(kind, key) as folder:
            (folder / kind).write_bytes(b"")
            store.put(kind, key, {})

    return put


def _each(work: Callable[[str, str], object], keys: Sequence[str]) -> float:
    """Milliseconds of one call."""
    began = time.perf_counter()
    for key in keys:
        work(KIND, key)
    return (time.perf_counter() - began) / len(keys) * 1000


def _of_images(root: Path, count: int) -> Iterator[str]:
    jobs = [Job(f"{number:06d}", f"a caption {number}", 0, number) for number in range(count)]
    shards = shards_of(cuts_of(jobs, BATCH), {"model": "none"})
    folder = RunFolder(root / "run")

    def opened() -> ImageSet:
        place = folder.images("original", "coco")
        return ImageSet("original", "coco", place, jobs, "", Store(root / "store"), drawn=shards)

    store = Store(root / "store")
    for shard in shards:
        with store.making("images", shard.key) as place:
            for number in range(len(shard.places)):
                (place / stored_name(number)).touch()
            store.put("images", shard.key, {"batch": BATCH, "truncated": []}, of=[shard.key])
    prepare_images(folder, opened())
    images, began = opened(), time.perf_counter()
    images.key  # noqa: B018  (looks at every image)
    checked = time.perf_counter() - began
    began = time.perf_counter()
    prepare_images(folder, images)
    shown = time.perf_counter() - began
    yield f"{count:,} images: compared with their lists in {checked:.2f} s, with the run's folder in {shown:.2f} s"
