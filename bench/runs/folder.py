"""Where everything of a run lies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BenchError
from ..storage.files import read_json
from .rows import SNAPSHOT

if TYPE_CHECKING:
    from .plan import Plan

DEFAULT_PARENT = Path("results") / "runs"
USED, LOCK = "store.json", ".lock"
UNSEEDED = 0  # in the place of a training seed where none changes anything


def safe_name(name: str) -> str:
    """The name, where it can name a file within a folder and nothing else.

    Raises:
        BenchError: it is empty or too long, begins with a dot, or holds a separator or a control character.

    >>> safe_name("all-but-one@20")
    'all-but-one@20'
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,99}", name):
        raise BenchError(
            f"{name!r} can't name a file: up to 100 letters, digits and any of . - _ @ +, not first a dot."
        )
    return name


def default_folder(plan: Plan) -> Path:
    """Where a plan's run lies unless --out says otherwise."""
    return DEFAULT_PARENT / f"{'quick-' if plan.quick else ''}{plan.name}-{plan.key[:8]}"


@dataclass(frozen=True)
class RunFolder:
    """The paths below a run's folder."""

    root: Path

    @property
    def plan(self) -> Path:
        return self.root / "plan.yaml"

    @property
    def status(self) -> Path:
        return self.root / "run.json"

    @property
    def lock(self) -> Path:
        """Held by the process that works in the folder."""
        return self.root / LOCK

    @property
    def finished(self) -> Path:
        """What a complete run was made in, and what it holds."""
        return self.root / "finished.json"

    def patch(self, row: str, seed: int) -> Path:
        """The changed weights; for the row "esd@20" those after 20 steps of "esd"."""
        method, _, step = row.partition(SNAPSHOT)
        return self.root / "patches" / safe_name(method) / f"seed-{seed}{f'-step-{step}' if step else ''}.safetensors"

    def erasure(self, row: str, seed: int) -> Path:
        """What was trained and what it cost."""
        return self.root / "patches" / safe_name(row) / f"seed-{seed}.json"

    def searched(self, row: str, seed: int) -> Path:
        """Pictures of what a training searched, by its snapshots: STEP-NAME-NUMBER.png."""
        return self.root / "searched" / safe_name(row) / f"seed-{seed}"

    @property
    def store(self) -> Path:
        """The store that the run uses; of a new one, beside the folder of all runs, or beside the run."""
        stored = read_json(self.root / USED)
        if stored is not None:
            return self.root / stored["store"]
        above = self.root.absolute().parent
        return (above.parent if above.name == DEFAULT_PARENT.name else above) / "store"

    @property
    def used(self) -> Path:
        """Which entries of which store the run is made of."""
        return self.root / USED

    def images(self, row: str, prompt_set: str, training: int | None = None) -> Path:
        """The images of one training; without a training seed, those of a row that has none."""
        folder = self.root / "images" / safe_name(row) / safe_name(prompt_set)
        return folder if training is None else folder / f"seed-{training}"

    def images_key(self, row: str, prompt_set: str, training: int | None = None) -> Path:
        folder = self.images(row, prompt_set, training)
        return folder.with_name(f"{folder.name}.json")

    def images_list(self, row: str, prompt_set: str) -> Path:
        """The prompts and seeds of a set's images."""
        return self.images(row, prompt_set).with_name(f"{prompt_set}.prompts.json")

    def score(self, row: str, metric: str) -> Path:
        return self.root / "scores" / f"{safe_name(row)}.{safe_name(metric)}.json"

    @property
    def page(self) -> Path:
        """The page that people open."""
        return self.root / "report.html"

    def table(self, suffix: str) -> Path:
        return self.root / f"leaderboard.{suffix}"
