"""The core loop: a plan's rows through erase → generate → score, then the tables."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BenchError, ModelUnavailable
from ..images.notes import ImageNote, noted_images
from ..models.catalog import find_model
from ..models.loading import load_model
from ..report.leaderboard import FORMATS, write_tables
from ..report.nudenet_sweep import has_detections, nudenet_sweep
from ..report.overview import write_overview
from ..report.timeline import write_timeline
from ..runs.folder import DEFAULT_PARENT, RunFolder
from ..runs.lock import claimed, make_room
from ..runs.plan import Plan
from ..runs.record import DrawnSet, Failure, ModelRecord, RunRecord, Session, read_record, write_record
from ..runs.rows import ORIGINAL, REFERENCE, SNAPSHOT
from ..storage.files import now, read_json, write_csv
from ..storage.keys import file_hash
from ..storage.reasons import warn

if TYPE_CHECKING:
    from ..images.image_set import ImageSet
    from ..models.catalog import ModelSource
    from ..models.text_to_image import TextToImage
    from ..runs.progress import StageBar
    from .erasure import Erasure
    from .work import Cells

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; says how far the run was."""


class _DiskFailed(Exception):
    """Nothing more can be written: no cell can go on."""


def default_folder(plan: Plan) -> Path:
    """Where a plan's run lies unless --out says otherwise."""
    return DEFAULT_PARENT / f"{'quick-' if plan.quick else ''}{plan.name}-{plan.key[:8]}"


def run(plan: Plan, folder: RunFolder, device: str, begun: Callable[[], None] = lambda: None) -> tuple[Failure, ...]:
    """Run what is missing and write the tables; a run that is complete is left as it is.

    Returns the cells that failed: the others are complete.

    Args:
        plan: what to run.
        folder: where; it is made once nothing is known to be wrong with the plan and the model.
        device: "cpu", "cuda" or "cuda:N".
        begun: called when the folder is there and held.

    Raises:
        BenchError: the folder belongs to another plan, is in use, or can't be written.
        ModelUnavailable: the model can't be fetched or loaded; a new run leaves no folder.
        Interrupted: on Ctrl-C; what is done is kept.
    """
    source = find_model(plan.model).fetched()
    from ..models.devices import resolve_precision, resolve_training_precision, switch_off_tf32
    from ..registry import METRICS
    from ..scoring.clip_files import check_clip, fetch_clip

    check_clip(plan.scoring.clip)
    if any(METRICS.load(name).clip for name in plan.metrics):
        fetch_clip(plan.scoring.clip)
    switch_off_tf32()  # before the record says so: models are loaded later
    precision = {
        "training": resolve_training_precision(plan.training.precision, device),
        "generation": resolve_precision(plan.generation.precision, device),
    }
    work = _Run(plan, source, folder, device, precision)  # what is wrong with the plan shows before anything is written
    if not folder.plan.exists():
        work._training_model()
    with claimed(folder, plan):
        begun()
        return work.go()


class _Run:
    """One plan in one folder on one device."""

    def __init__(
        self, plan: Plan, source: ModelSource, folder: RunFolder, device: str, precision: dict[str, str]
    ) -> None:
        from .contexts import Contexts
        from .work import unfold

        self.plan, self.source, self.folder, self.device = plan, source, folder, device
        self.cells: Cells = unfold(plan, source, folder, device)
        self.precisions, self.precision = precision, precision["generation"]
        self.contexts = Contexts(plan, self.cells, folder, source, device, self._exact_model)
        self.failures: list[Failure] = []
        self.lost: set[str] = set()  # rows without weights or images
        self.bars: list[StageBar] = []
        self._model: TextToImage | None = None
        self._exact: TextToImage | None = None
        self._generating = False

    def go(self) -> tuple[Failure, ...]:
        before = read_record(self.folder)
        if before is not None and self._is_complete(before):
            return ()
        for remark in self.cells.remarks:
            warn(remark)
        self.record = self._new_record(before)
        self.began = time.monotonic()
        write_record(self.folder, self.record)
        try:
            self._stages()
            self._finish("failed" if self.failures else "complete")
        except KeyboardInterrupt:
            self._finish("interrupted")
            raise Interrupted(self._progress()) from None
        except BaseException:
            self._finish("failed")
            raise
        return tuple(self.failures)

    def _stages(self) -> None:
        try:
            self._erase()
            self._generate()
            self._score()
        except _DiskFailed:
            pass
        self._update(failures=tuple(self.failures))
        self._write_tables()

    def _write_tables(self) -> None:
        write_tables(self.folder, self.plan, self.record)
        detected = {row: self.cells.labels[row] for row in self.cells.rows if has_detections(self.folder, row)}
        if detected:
            write_csv(self.folder.root / "nudenet.csv", nudenet_sweep(self.folder, detected))
        write_overview(self.folder, self.cells.images, self.cells.labels)
        if self.cells.timeline:
            write_timeline(self.folder, self.cells.timeline, self.cells.followed, self.cells.labels)

    # The record

    def _is_complete(self, record: RunRecord) -> bool:
        """Whether all is there, and scores and tables are as they were written."""
        if record.status != "complete" or record.fingerprint != self.cells.fingerprint:
            return False
        if set(record.tables) != {"csv", *FORMATS}:
            return False
        tables = ((self.folder.table(suffix), digest) for suffix, digest in record.tables.items())
        if not all(file.exists() and file_hash(file) == digest for file, digest in tables):
            return False
        patches = (self.folder.patch(erasure.row, erasure.task.seed) for erasure in self.cells.erasures)
        scores = (self.folder.score(row, name) for row in self.cells.rows for name in self.cells.metrics)
        return all(file.exists() for file in patches) and all(read_json(file) is not None for file in scores)

    def _new_record(self, before: RunRecord | None) -> RunRecord:
        from ..models.provenance import provenance
        from .work import by_row

        sessions = before.sessions if before is not None else ()
        return RunRecord(
            fingerprint=self.cells.fingerprint,
            plan=self.plan.model_dump(mode="json"),
            model=ModelRecord(name=self.source.name, family=self.source.family, revision=self.source.revision),
            precision=self.precisions,
            prompts={name: s.described() for name, s in self.cells.prompt_sets.items()},
            reference=real.key if (real := self.cells.images.get((REFERENCE, "coco"))) else "",
            methods={e.row: f"{e.name} {e.method.version}" for e in self.cells.erasures},
            trainings={
                row: tuple(e.task.seed for e in own if e.training is not None)
                for row, own in by_row(self.cells.erasures).items()
            },
            metrics={name: metric.version for name, metric in self.cells.metrics.items()},
            weights=before.weights if before is not None else {},
            rows=self.cells.rows,
            timeline=self.cells.timeline,
            labels=self.cells.labels,
            remarks=self.cells.remarks,
            remade=before.remade if before is not None else (),
            sessions=(*sessions, Session(started=now(), provenance=provenance(self.device))),
        )

    def _update(self, **changes: Any) -> None:
        self.record = self.record.model_copy(update=changes)
        write_record(self.folder, self.record)

    def _finish(self, status: str) -> None:
        """Write how the session ended; a disk that takes nothing must not hide why."""
        *earlier, session = self.record.sessions
        ended = session.model_copy(update={"ended": now(), "seconds": round(time.monotonic() - self.began, 1)})
        tables = {suffix: self.folder.table(suffix) for suffix in ("csv", *FORMATS)} if status != "interrupted" else {}
        try:
            self._update(
                status=status, failures=tuple(self.failures), sessions=(*earlier, ended),
                tables={suffix: file_hash(file) for suffix, file in tables.items() if file.exists()},
            )  # fmt: skip
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise

    def _progress(self) -> str:
        """How far each stage is."""
        return ", ".join(f"{bar.stage} {bar.count}/{bar.total} {bar.unit}" for bar in self.bars)

    def _failed(self, stage: str, row: str, item: str, error: Exception) -> None:
        """Record a cell's failure; the other cells go on.

        Raises:
            _DiskFailed: nothing more can be written.
        """
        disk = isinstance(error, OSError) and error.errno in NO_SPACE
        reason = f"{error}" if not disk else f"{error}. Make room, then run the same command again."
        trace = "" if isinstance(error, BenchError) else traceback.format_exc()
        self.failures.append(
            Failure(stage="disk" if disk else stage, row=row, item=item, reason=reason or repr(error), traceback=trace)  # type: ignore[arg-type]
        )
        if stage in ("erase", "generate"):
            self.lost.add(row.partition(SNAPSHOT)[0])
        if disk:
            make_room(self.folder)
            raise _DiskFailed from error

    def _again(self, text: str) -> None:
        """Log and record what is made again, and why."""
        warn(text)
        self._update(remade=(*self.record.remade, text))

    def _bar(self, stage: str, total: int, unit: str) -> StageBar:
        from ..runs.progress import StageBar

        self.bars.append(StageBar(stage, total, unit))
        return self.bars[-1]

    # The model

    def _training_model(self) -> TextToImage:
        """The model in full precision."""
        if self._model is None:
            self._model = load_model(self.source, self.device)
        return self._model

    def _generation_model(self) -> TextToImage:
        """The model in the plan's generation precision."""
        if not self._generating:
            if self.device != "cpu":
                self._model = None  # cast weights would not be the full-precision ones again
            self._training_model().set_precision(self.precision)
            self._generating = True
        return self._training_model()

    def _exact_model(self) -> TextToImage:
        """The model in full precision, beside one that was made to draw in another."""
        if not self._generating or self.precision == "fp32":
            return self._training_model()
        if self._exact is None:
            self._exact = load_model(self.source, self.device)
        return self._exact

    # The stages

    def _erase(self) -> None:
        from .erase import erase

        total = sum(erasure.steps or 1 for erasure in self.cells.erasures)
        before = 0
        with self._bar("erase", total, "steps") as bar:
            for erasure in self.cells.erasures:

                def report(step: int, text: str, erasure: Erasure = erasure, before: int = before) -> None:
                    bar.reach(before + step, f"{erasure.label}: {text}")

                bar.say(erasure.label)
                try:
                    made_from = erasure.made_from(self.source.revision, self.device)
                    erase(self.folder, erasure, made_from, self._training_model, report, self._again)
                except ModelUnavailable:
                    raise
                except Exception as error:  # noqa: BLE001  (recorded; the other rows go on)
                    self._failed("erase", erasure.row, f"seed {erasure.task.seed}", error)
                before += erasure.steps or 1
                bar.reach(before, erasure.label)
        weights = {f"{e.row}/{e.task.seed}": self.folder.patch(e.row, e.task.seed) for e in self.cells.erasures}
        self._update(
            weights={name: file_hash(file) for name, file in weights.items() if file.exists()},
            truncated=self._truncated(),
        )

    def _truncated(self) -> dict[str, list[str]]:
        """By row, the texts of its trainings that were cut."""
        found: dict[str, set[str]] = {}
        for erasure in self.cells.erasures:
            facts = read_json(self.folder.erasure(erasure.row, erasure.task.seed)) or {}
            found.setdefault(erasure.row, set()).update(facts.get("truncated", ()))
        return {row: sorted(texts) for row, texts in found.items() if texts}

    def _healthy(self, row: str) -> bool:
        return row.partition(SNAPSHOT)[0] not in self.lost

    def _generate(self) -> None:
        from ..images.set_folder import prepare_images
        from .draw import draw, store_reference

        sets = [images for images in self.cells.drawn if self._healthy(images.row)]
        reference = self.cells.images.get((REFERENCE, "coco"))
        if reference is not None and reference.paths is None:
            sets.append(reference)
        exact = None if self.precision == "fp32" else self._exact_model
        with self._bar("generate", sum(len(images.jobs) for images in sets), "images") as bar:
            for images in sets:
                seed = "" if images.training is None else f", seed {images.training}"
                bar.say(f"{images.row}, {images.name}{seed}")
                try:
                    prepare_images(self.folder, images, self._again)
                    if images.row == REFERENCE:
                        store_reference(images, _world_images)
                        bar.advance(len(images.jobs))
                        continue
                    draw(self.folder, images, self._generation_model, exact, self.plan.generation, bar.advance)
                except ModelUnavailable:
                    raise
                except Exception as error:  # noqa: BLE001  (recorded; the other rows go on)
                    self._failed("generate", images.row, f"{images.name}{seed}", error)
        drawn = {name: read_json(self.folder.images_key(ORIGINAL, name)) or {} for name in self.cells.prompt_sets}
        counts = {name: len(facts.get("truncated", ())) for name, facts in drawn.items()}
        self._update(prompts={n: used | {"truncated": counts[n]} for n, used in self.record.prompts.items()})
        noted = [_noted(images) for images in self.cells.drawn if self._healthy(images.row)]
        self._update(drawn=tuple(images for images in noted if not images.is_ordinary))

    def _score(self) -> None:
        from .score import score

        cells = [(row, name, metric) for row in self.cells.rows for name, metric in self.cells.metrics.items()]
        cells += [(row, name, metric) for row in self.cells.timeline for name, metric in self.cells.followed.items()]
        for row, name, _ in cells:
            if not self._healthy(row):
                self.folder.score(row, name).unlink(missing_ok=True)  # of earlier weights or images
        cells = [cell for cell in cells if self._healthy(cell[0])]
        before = ORIGINAL
        with self._bar("score", len(cells), "scores") as bar:
            for row, name, metric in cells:
                bar.say(f"{row}: {metric.label}")
                if row != before:
                    self._forget(before)
                before = row
                images = self.cells.images.get((row, metric.prompts or ""))
                try:
                    record = score(self.folder, name, metric, self.contexts.of(row, metric), images, self._again)
                    if record["failure"]:
                        self._failed("score", row, name, BenchError(record["failure"]))
                except Exception as error:  # noqa: BLE001  (recorded; the other scores go on)
                    self._failed("score", row, name, error)
                bar.advance(1)

    def _forget(self, row: str) -> None:
        """Let go of the features of a row that is scored; the real images' serve every row."""
        for name in self.cells.prompt_sets:
            images: ImageSet | None = self.cells.images.get((row, name))
            if images is not None and images.row != REFERENCE:
                images.forget()


def _noted(images: ImageSet) -> DrawnSet:
    """What the notes beside one training's images say."""
    notes = noted_images(images.files)

    def names(told: Callable[[ImageNote], object]) -> tuple[str, ...]:
        return tuple(name for name, note in notes.items() if told(note))

    return DrawnSet(
        row=images.row, name=images.name, training=images.training, images=len(images.jobs),
        unscored=names(lambda note: note.unscored), flat=names(lambda note: note.flat),
        in_float32=names(lambda note: note.in_float32 and not note.unscored),
        batch_size=images.batch_size, planned=images.planned_batch,
    )  # fmt: skip


def _world_images() -> list[Any]:
    """The embedded world's real images."""
    from erasebench.prompts.sets import world_reference

    from ..mini.world import render

    return [render(scene) for _, scene in world_reference()]
