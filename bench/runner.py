"""The core loop: a plan's rows through erase → generate → score, then the tables."""

from __future__ import annotations

import datetime
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from filelock import FileLock, Timeout

from .errors import BenchError, ModelUnavailable
from .layout import ORIGINAL, REFERENCE, SNAPSHOT, RunFolder
from .nudenet_sweep import has_detections, nudenet_sweep
from .pictures import write_overview
from .plan import Plan
from .sources import find_model
from .store import read_json, write_json, write_text
from .tables import FORMATS, write_tables
from .timeline import write_timeline

if TYPE_CHECKING:
    import numpy as np

    from .cells import Cells
    from .image_sets import ImageSet, Vision
    from .models import TextToImage
    from .scoring import ScoringContext
    from .sources import ModelSource
    from .stages import Erasure

DEFAULT_PARENT = Path("results") / "runs"


def default_folder(plan: Plan) -> Path:
    """Where a plan's run lies unless --out says otherwise."""
    return DEFAULT_PARENT / f"{plan.name}-{plan.key[:8]}"


def run(plan: Plan, folder: RunFolder, device: str) -> dict[str, str]:
    """Run what is missing and write the tables; a run that is complete is left as it is.

    Returns the failures by cell: the other cells are complete.

    Raises:
        BenchError: the folder belongs to another plan, is in use, or can't be written.
    """
    source = find_model(plan.model)
    from .models import resolve_precision

    precision = resolve_precision(plan.generation.precision, device)
    work = _Run(plan, source, folder, device, precision)  # what is wrong with the plan shows before anything is written
    with _claimed(folder, plan):
        return work.go()


@contextmanager
def _claimed(folder: RunFolder, plan: Plan) -> Iterator[None]:
    """Hold the folder's lock, after checking that it is writable and belongs to this plan."""
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
        others = [entry.name for entry in folder.root.iterdir() if entry.name not in (".lock", "plan.yaml")]
        lock = FileLock(folder.root / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise BenchError(
            f"{folder.root} is in use by another `bench run`. Wait for it or choose another --out."
        ) from None
    except OSError as error:
        raise BenchError(f"--out {folder.root} can't be written: {error.strerror}. Choose another folder.") from None
    with lock:
        if folder.plan.exists():
            _check_same_plan(folder, plan)
        elif others:
            lock.release()
            (folder.root / ".lock").unlink(missing_ok=True)
            raise BenchError(f"--out {folder.root} holds files that are no run. Choose an empty or a new folder.")
        else:
            write_text(folder.plan, plan.to_yaml())
        yield


def _check_same_plan(folder: RunFolder, plan: Plan) -> None:
    try:
        stored = Plan(**yaml.safe_load(folder.plan.read_text(encoding="utf-8")))
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise BenchError(f"{folder.plan} can't be read: {error}. Choose another --out.") from None
    if stored.key != plan.key:
        mine, theirs = plan.model_dump(), stored.model_dump()
        different = [key for key in mine if mine[key] != theirs[key]]
        raise BenchError(
            f"--out {folder.root} belongs to another plan: it differs in {', '.join(different)}. Nothing was changed. "
            f"Choose another folder, or go on with that one: `bench run {folder.plan} --out {folder.root}`."
        )


class _Run:
    """One plan in one folder on one device."""

    def __init__(self, plan: Plan, source: ModelSource, folder: RunFolder, device: str, precision: str) -> None:
        from .cells import unfold
        from .vision import check_clip

        self.plan, self.source, self.folder, self.device = plan, source, folder, device
        self.cells: Cells = unfold(plan, source, folder, device)
        check_clip(plan.scoring.clip)
        self.precision = precision
        self.failures: dict[str, str] = {}
        self._model: TextToImage | None = None
        self._generating = False

    def go(self) -> dict[str, str]:
        if self._is_complete():
            return {}
        self._write_status("running")
        try:
            self._erase()
            self._generate()
            self._score()
            self._write_tables()
        except KeyboardInterrupt:
            self._write_status("interrupted")
            raise
        except BaseException:
            self._write_status("failed")
            raise
        self._write_status("failed" if self.failures else "complete")
        return self.failures

    def _write_tables(self) -> None:
        write_tables(self.folder, self.plan, self.cells.rows, self.cells.labels)
        detected = {row: self.cells.labels[row] for row in self.cells.rows if has_detections(self.folder, row)}
        if detected:
            write_text(self.folder.root / "nudenet.csv", nudenet_sweep(self.folder, detected).to_csv(index=False))
        write_overview(self.folder, self.cells.images, self.cells.labels)
        if self.cells.timeline:
            write_timeline(self.folder, self.cells.timeline, self.cells.followed, self.cells.labels)

    def _is_complete(self) -> bool:
        status = read_json(self.folder.status) or {}
        tables = all(self.folder.table(suffix).exists() for suffix in ("csv", *FORMATS))
        return status.get("status") == "complete" and status["fingerprint"] == self.cells.fingerprint and tables

    def _write_status(self, status: str) -> None:
        from .provenance import provenance

        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        before = read_json(self.folder.status) or {}
        write_json(self.folder.status, {
            "status": status,
            "fingerprint": self.cells.fingerprint,
            "started": before.get("started", now),
            "changed": now,
            "model": self.source.revision,
            "precision": self.precision,
            "prompts": {name: s.described() for name, s in self.cells.prompt_sets.items()},
            "rows": list(self.cells.rows),
            "timeline": {snapshot: list(place) for snapshot, place in self.cells.timeline.items()},
            "labels": self.cells.labels,
            "failures": self.failures,
            "provenance": provenance(self.device),
        })  # fmt: skip

    def _failed(self, cell: str, error: Exception) -> None:
        """Record a cell's failure; the other cells go on."""
        self.failures[cell] = str(error) or repr(error)
        if not isinstance(error, BenchError):
            write_text(self.folder.root / "errors" / f"{cell.replace(' ', '-')}.txt", traceback.format_exc())

    def _training_model(self) -> TextToImage:
        """The model in full precision."""
        if self._model is None:
            self._model = self.source.load(self.device)
        return self._model

    def _generation_model(self) -> TextToImage:
        """The model in the plan's generation precision."""
        if not self._generating:
            if self.device != "cpu":
                self._model = None  # cast weights would not be the full-precision ones again
            self._training_model().set_precision(self.precision)
            self._generating = True
        return self._training_model()

    def _erase(self) -> None:
        from .progress import StageBar
        from .stages import erase

        total = sum(erasure.steps or 1 for erasure in self.cells.erasures)
        before = 0
        with StageBar("erase", total, "steps") as bar:
            for erasure in self.cells.erasures:

                def report(step: int, text: str, erasure: Erasure = erasure, before: int = before) -> None:
                    bar.reach(before + step, f"{erasure.label}: {text}")

                bar.say(erasure.label)
                try:
                    key = erasure.key(self.source.revision, self.device)
                    erase(self.folder, erasure, key, self._training_model, report)
                except ModelUnavailable:
                    raise
                except Exception as error:  # noqa: BLE001  (recorded; the other rows go on)
                    self._failed(f"erase {erasure.row} seed {erasure.task.seed}", error)
                before += erasure.steps or 1
                bar.reach(before, erasure.label)

    def _healthy(self, row: str) -> bool:
        return row.partition(SNAPSHOT)[0] not in {cell.split()[1] for cell in self.failures}

    def _generate(self) -> None:
        from .progress import StageBar
        from .stages import draw, prepare_images, store_reference

        sets = [
            images
            for (row, _), images in self.cells.images.items()
            if self._healthy(row) and images.row == row and images.paths is None
        ]
        with StageBar("generate", sum(len(images.jobs) for images in sets), "images") as bar:
            for images in sets:
                bar.say(f"{images.row}, {images.name}")
                try:
                    prepare_images(self.folder, images)
                    if images.row == REFERENCE:
                        store_reference(images, _world_images)
                        bar.advance(len(images.jobs))
                        continue
                    for seed in self.plan.seeds:
                        jobs = [job for job in images.jobs if job.run_seed == seed]
                        draw(self.folder, images, jobs, seed, self._generation_model, self.plan.generation, bar.advance)
                except BenchError:
                    raise
                except Exception as error:  # noqa: BLE001  (recorded; the other rows go on)
                    self._failed(f"generate {images.row} {images.name}", error)

    def _score(self) -> None:
        from .progress import StageBar
        from .stages import score

        cells = [(row, name, metric) for row in self.cells.rows for name, metric in self.cells.metrics.items()]
        cells += [(row, name, metric) for row in self.cells.timeline for name, metric in self.cells.followed.items()]
        for row, name, _ in cells:
            if not self._healthy(row):
                self.folder.score(row, name).unlink(missing_ok=True)  # of earlier weights or images
        cells = [cell for cell in cells if self._healthy(cell[0])]
        before = ORIGINAL
        with StageBar("score", len(cells), "scores") as bar:
            for row, name, metric in cells:
                bar.say(f"{row}: {metric.label}")
                if row != before:
                    self._forget(before)
                before = row
                images = self.cells.images.get((row, metric.prompts or ""))
                try:
                    record = score(self.folder, name, metric, self._context(row, metric.prompts), images)
                    if record["failure"]:
                        self._failed(f"score {row} {name}", BenchError(record["failure"]))
                except Exception as error:  # noqa: BLE001  (recorded; the other scores go on)
                    self._failed(f"score {row} {name}", error)
                bar.advance(1)

    def _forget(self, row: str) -> None:
        """Let go of the features of a row that is scored; the real images' serve every row."""
        for (other, _), images in self.cells.images.items():
            if other == row and images.row != REFERENCE:
                images.forget()

    def _context(self, row: str, prompts: str | None) -> ScoringContext:
        from .scoring import ScoringContext

        costs: list[dict[str, Any]] = []
        if row in self.plan.rows:
            stored = [read_json(self.folder.erasure(row, seed)) or {} for seed in self.plan.seeds]
            costs = [record["cost"] for record in stored]
        images: dict[tuple[str, str], ImageSet] = self.cells.images
        return ScoringContext(
            concept=self.cells.concept,
            row=row,
            original=images.get((ORIGINAL, prompts or "")),
            reference=images.get((REFERENCE, prompts or "")),
            judge=self._judge() if self.source.family == "mini" else None,
            clip=self._clip,
            distance=self._distance,
            costs=costs,
            scoring=self.plan.scoring,
            versions=self.cells.versions | (self._weights(row) if prompts is None else {}),
            spectrum=partial(self._spectrum, row) if row in self.plan.rows else None,
        )

    def _weights(self, row: str) -> dict[str, str]:
        """What a metric that looks at the weights themselves depends on."""
        keys = [e.key(self.source.revision, self.device) for e in self.cells.erasures if e.row == row]
        return {"weights": " ".join(keys), "spectrum": str(self.plan.spectrum), "precision": self.precision}

    def _spectrum(self, row: str) -> np.ndarray:
        """What a row's first erasure changed in the predictions for words, (words, draws)."""
        from .patch import load_patch
        from .spectrum.blocks import Erased
        from .spectrum.scan import scan
        from .spectrum.vocabulary import read_vocabulary

        model, wanted = self._generation_model(), self.plan.spectrum
        erasure = next(erasure for erasure in self.cells.erasures if erasure.row == row)
        seed = erasure.task.seed
        key = erasure.key(self.source.revision, self.device)
        erased = Erased(row, key, partial(load_patch, self.folder.patch(row, seed)))
        words = read_vocabulary("words", model.tokenizer).first(wanted.words)
        batch = self.plan.generation.batch_size
        return scan(model, [erased], words, self.folder.spectrum, wanted.draws, seed, batch).differences[row]

    @cache  # noqa: B019  (one run an object)
    def _judge(self) -> Any:
        from .mini.judge import Judge

        return Judge(self.device)

    @cache  # noqa: B019
    def _clip(self) -> Vision:
        from .vision import OpenClip

        return self._judge() if self.plan.scoring.clip == "judge" else OpenClip(self.plan.scoring.clip, self.device)

    @cache  # noqa: B019
    def _distance(self) -> Vision:
        from .vision import CleanFidInception

        return self._judge() if self.source.family == "mini" else CleanFidInception(self.device)


def _world_images() -> list[Any]:
    """The embedded world's real images."""
    from erasebench.mini.world import render
    from erasebench.prompts.sets import world_reference

    return [render(scene) for _, scene in world_reference()]
