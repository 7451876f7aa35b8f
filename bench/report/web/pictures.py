"""A run's images as a page shows them: by prompt set, each prompt by every row from the same noise, with its scores."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

from erasebench.prompts.concepts import get_concepts
from erasebench.prompts.files import is_file_source

from ...errors import BenchError
from ...runs.rows import ORIGINAL
from ...runs.scores import ImageValue
from ...storage.files import read_json
from ..headings import headings
from .opened import OpenRun
from .visible import finite

MOST_IMAGES = 24_000  # of a page, all runs and sets together: as many as a browser scrolls without a pause
CHANGES = ("ssim", "psnr")  # metrics of how far an image is from the original's
HARMLESS_FILES = ("coco_30k.csv",)
HARMLESS = ("person", "vehicle", "animal", "plant", "food", "object", "building", "place", "sky", "style")


@dataclass(frozen=True)
class Prompt:
    """A prompt and one of its samples; `seed` is its noise's, as text, since it has 63 bits."""

    id: str
    text: str
    sample: int
    seed: str

    @property
    def file_name(self) -> str:
        """What each row's image of it is called."""
        return f"{self.id}-{self.sample}.png"


@dataclass(frozen=True)
class PictureMetric:
    """A metric that gives each image of a set a value.

    `is_leak`: 1 says that the concept is there; `is_change`: it says how far the image is from the original's.
    """

    key: str
    label: str
    better: str
    digits: int
    is_leak: bool = False
    is_change: bool = False


@dataclass(frozen=True)
class PictureRow:
    """One training's images: folder, whether each prompt's is there, and each metric's values."""

    key: str
    label: str
    training: int | None
    folder: Path
    present: tuple[bool, ...]
    values: dict[str, tuple[float | None, ...]]


@dataclass(frozen=True)
class PictureSet:
    """A prompt set's images.

    Attributes:
        role: concept, coco or objects.
        prompts: those that are shown.
        size: how many there are.
        metrics: that give each image a value.
        rows: the original first.
        is_blurred: whether the images may show what a reader should ask for first.
        order: the prompts' numbers, the most telling and ones chosen by hash in turn.
    """

    role: str
    prompts: tuple[Prompt, ...]
    size: int
    metrics: tuple[PictureMetric, ...]
    rows: tuple[PictureRow, ...]
    is_blurred: bool
    order: tuple[int, ...]

    @property
    def images(self) -> int:
        """How many places for images it has: prompts by rows."""
        return len(self.prompts) * len(self.rows)

    def only(self, kept: Sequence[int]) -> PictureSet:
        """The same with some of the prompts, in the set's order."""
        places = sorted(kept)
        new = {old: place for place, old in enumerate(places)}
        rows = tuple(
            PictureRow(
                row.key,
                row.label,
                row.training,
                row.folder,
                tuple(row.present[k] for k in places),
                {name: tuple(values[k] for k in places) for name, values in row.values.items()},
            )
            for row in self.rows
        )
        return PictureSet(
            self.role,
            tuple(self.prompts[k] for k in places),
            self.size,
            self.metrics,
            rows,
            self.is_blurred,
            tuple(new[k] for k in self.order if k in new),
        )


def pictures_of(run: OpenRun) -> list[PictureSet]:
    """The prompt sets whose images the original has drawn, whole."""
    return [one for role in run.plan.prompts if (one := _set(run, role)) is not None]


def on_a_page(sets: Sequence[PictureSet], most: int = MOST_IMAGES) -> list[PictureSet]:
    """What a page shows of all sets of all its runs: of larger ones a part, at most `most` images together.

    Small sets are whole, and the others share evenly what those leave; at least one prompt of each is there.
    """
    shares = dict[int, int]()
    for place, k in enumerate(sorted(range(len(sets)), key=lambda k: sets[k].images)):
        left = most - sum(shares.values())
        shares[k] = min(sets[k].images, left // (len(sets) - place))
    return [one.only(one.order[: max(1, shares[k] // len(one.rows))]) for k, one in enumerate(sets)]


def is_blurred(run: OpenRun, role: str) -> bool:
    """Whether a set's images are hidden until they are asked for.

    Of every model that draws photographs, those of prompts from a file (I2P's are unsafe whatever is erased) but
    COCO's, and those for the concept; not where it is one of ours that harms nobody.
    """
    plan = run.plan
    if plan.family.has_world:
        return False
    source = plan.prompts[role].source  # type: ignore[index]
    if is_file_source(source):
        return Path(source).name not in HARMLESS_FILES
    if role not in ("concept", "pairs"):
        return False
    try:
        return plan.kind is not None or any(one.kind not in HARMLESS for one in get_concepts(plan.erased).each)
    except BenchError:
        return True


def _set(run: OpenRun, role: str) -> PictureSet | None:
    listed = read_json(run.folder.images_list(ORIGINAL, role))
    if listed is None:
        return None
    prompts = [
        Prompt(name, str(listed["prompts"][name]), int(sample), str(seed))
        for file, seed in listed["seeds"].items()
        for name, _, sample in [file.removesuffix(".png").rpartition("-")]
        if name in listed["prompts"]
    ]
    metrics = _metrics(run, role)
    rows = [
        _row(run, row, training, role, prompts, metrics)
        for row in run.record.rows
        if row == ORIGINAL or row in run.plan.rows
        for training in run.record.trainings.get(row, ()) or (None,)
    ]
    rows = [row for row in rows if any(row.present)]
    if not rows:
        return None
    order = _order(prompts, rows, metrics)
    return PictureSet(
        role, tuple(prompts), len(prompts), tuple(metrics), tuple(rows), is_blurred(run, role), tuple(order)
    )


def _metrics(run: OpenRun, role: str) -> list[PictureMetric]:
    heads, found = headings(run.scores, run.plan.metrics), {}
    for (_, name), score in run.scores.items():
        if score.prompts == role and score.values and name not in found:
            is_leak = score.is_rate and role == "concept" and score.better == "lower"
            head = heads[name]
            found[name] = PictureMetric(name, head.label, head.better, head.digits, is_leak, name in CHANGES)
    return [found[name] for name in run.plan.metrics if name in found]


def _row(
    run: OpenRun, row: str, training: int | None, role: str, prompts: Sequence[Prompt], metrics: Sequence[PictureMetric]
) -> PictureRow:
    folder = run.folder.images(row, role, training)
    there = {file.name for file in os.scandir(folder)} if folder.is_dir() else set()
    values = {}
    for metric in metrics:
        score = run.scores.get((row, metric.key))
        own = {} if score is None else {_place(value): value.value for value in score.values if value.seed == training}
        values[metric.key] = tuple(finite(own.get((prompt.id, prompt.sample))) for prompt in prompts)
    present = tuple(prompt.file_name in there for prompt in prompts)
    return PictureRow(row, run.label(row), training, folder, present, values)


def _place(value: ImageValue) -> tuple[str, int]:
    return value.prompt, value.sample


def _order(prompts: Sequence[Prompt], rows: Sequence[PictureRow], metrics: Sequence[PictureMetric]) -> list[int]:
    """By turns the prompt that tells most by the set's first metric, and one by the hash of its id."""
    numbers = list(range(len(prompts)))
    by_hash = sorted(numbers, key=lambda k: hashlib.sha256(prompts[k].file_name.encode()).digest())
    if not metrics:
        return by_hash
    first = metrics[0]
    sign = 1 if first.better == "lower" else -1

    def badness(number: int) -> float:
        known = [row.values[first.key][number] for row in rows if row.key != ORIGINAL]
        return sum(sign * value for value in known if value is not None)

    telling = sorted(numbers, key=badness, reverse=True)
    turns = chain.from_iterable(zip_longest(telling, by_hash))
    return list(dict.fromkeys(turns))
