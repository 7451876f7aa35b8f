"""Shards: images of a set that are drawn and kept together, whole batches of one size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..storage.keys import content_key
from .jobs import Job

SHARD = 64  # images, about: few enough to be lost when a process is killed, enough to be worth an entry


@dataclass(frozen=True)
class Shard:
    """Some of a set's images.

    Attributes:
        places: their numbers in the set.
        batch: how many are planned to be drawn together; 0 where none are drawn.
        made_from: everything that they depend on but the size of the batches.
    """

    places: tuple[int, ...]
    batch: int
    made_from: Mapping[str, Any]

    @cached_property
    def keys(self) -> Mapping[int, str]:
        """The key by batch size, the planned one first and then its halves: a batch moves pixels by a grey level.

        What memory made smaller is not what was planned so.
        """
        planned, *smaller = list(halves(min(self.batch, len(self.places)))) or [0]
        key = content_key(**self.made_from, batch=planned)
        return {planned: key} | {batch: content_key(planned=key, batch=batch) for batch in smaller}

    @property
    def key(self) -> str:
        """The key of the planned batch size."""
        return next(iter(self.keys.values()))

    @property
    def device(self) -> str | None:
        """The name of the device that they are planned on; None where that is not known."""
        return self.made_from.get("made_on", {}).get("device")

    def on(self, device: str | None) -> Shard:
        """The same images made on another device, and under its keys; on the planned one where none is named."""
        if device is None:
            return self
        return replace(self, made_from={**self.made_from, "made_on": {**self.made_from["made_on"], "device": device}})


@dataclass(frozen=True)
class Cut:
    """Images of a set that make a shard, whichever weights draw them.

    Attributes:
        places: their numbers in the set.
        batch: how many are planned to be drawn together.
        content: a hash of their texts, seeds, guidance and sizes.
    """

    places: tuple[int, ...]
    batch: int
    content: str


def cuts_of(jobs: Sequence[Job], batch: int) -> tuple[Cut, ...]:
    """Where a set is cut into shards of whole batches, each of one size; once for all rows that draw it.

    Prompts' ids and names of sets are no part of the content, so that the same image has one key in all runs.
    """
    images = max(1, SHARD // batch) * batch
    by_size: dict[tuple[int, int] | None, list[int]] = {}
    for place, job in enumerate(jobs):
        by_size.setdefault(job.size, []).append(place)
    found = []
    for size in sorted(by_size, key=str):
        for start in range(0, len(by_size[size]), images):
            places = tuple(by_size[size][start : start + images])
            own = [(jobs[k].text, jobs[k].seed, jobs[k].guidance, jobs[k].size) for k in places]
            found.append(Cut(places, batch, content_key(images=own)))
    return tuple(found)


def shards_of(cuts: Sequence[Cut], made_from: Mapping[str, Any]) -> tuple[Shard, ...]:
    """The shards of a set whose images are made from their jobs and from `made_from`."""
    return tuple(Shard(cut.places, cut.batch, {**made_from, "images": cut.content}) for cut in cuts)


def pieces_of(key: str, count: int, size: int) -> tuple[Shard, ...]:
    """Shards of `count` images that are not drawn, of at most `size` each."""
    starts = range(0, count, size)
    return tuple(
        Shard(tuple(range(start, min(start + size, count))), 0, {"images of": key, "from": start, "size": size})
        for start in starts
    )


def halves(batch: int) -> Iterator[int]:
    """A batch size, its half, and so on to 1.

    >>> list(halves(12))
    [12, 6, 3, 1]
    """
    while batch:
        yield batch
        batch //= 2
