"""The three stages of a run over all of its cells: a cell that fails is recorded, the others go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import BenchError, ModelUnavailable
from ..images.notes import ImageNote, noted_images
from ..images.set_folder import prepare_images
from ..runs.record import DrawnSet
from ..runs.rows import ORIGINAL, REFERENCE
from ..storage.files import read_json
from ..storage.keys import file_hash
from .contexts import Contexts
from .draw import draw, store_reference
from .erase import erase
from .score import score

if TYPE_CHECKING:
    from ..images.image_set import ImageSet
    from .erasure import Erasure
    from .journal import Journal
    from .loaded_model import LoadedModel
    from .setup import Setup
    from .work import Cells


def erase_all(setup: Setup, cells: Cells, model: LoadedModel, journal: Journal) -> None:
    """Train what is not trained yet."""
    before = 0
    with journal.bar("erase", sum(erasure.steps or 1 for erasure in cells.erasures), "steps") as bar:
        for erasure in cells.erasures:

            def report(step: int, text: str, erasure: Erasure = erasure, before: int = before) -> None:
                bar.reach(before + step, f"{erasure.label}: {text}")

            bar.say(erasure.label)
            try:
                made_from = erasure.made_from(setup.source.revision, setup.device)
                erase(setup.folder, erasure, made_from, model.training, report, journal.again)
            except ModelUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  (recorded; the other rows go on)
                journal.failed("erase", erasure.row, f"seed {erasure.task.seed}", error)
            before += erasure.steps or 1
            bar.reach(before, erasure.label)
    weights = {f"{e.row}/{e.task.seed}": setup.folder.patch(e.row, e.task.seed) for e in cells.erasures}
    journal.update(
        weights={name: file_hash(file) for name, file in weights.items() if file.exists()},
        truncated=_truncated(setup, cells),
    )


def _truncated(setup: Setup, cells: Cells) -> dict[str, list[str]]:
    """By row, the texts of its trainings that were cut."""
    found: dict[str, set[str]] = {}
    for erasure in cells.erasures:
        facts = read_json(setup.folder.erasure(erasure.row, erasure.task.seed)) or {}
        found.setdefault(erasure.row, set()).update(facts.get("truncated", ()))
    return {row: sorted(texts) for row, texts in found.items() if texts}


def draw_all(setup: Setup, cells: Cells, model: LoadedModel, journal: Journal) -> None:
    """Draw what is not drawn yet, and write the embedded world's real images."""
    sets = [images for images in cells.drawn if journal.is_healthy(images.row)]
    reference = cells.images.get((REFERENCE, "coco"))
    if reference is not None and reference.paths is None:
        sets.append(reference)
    settings = setup.plan.generation
    exact = None if setup.precision["generation"] == "fp32" else model.exact
    with journal.bar("generate", sum(len(images.jobs) for images in sets), "images") as bar:
        for images in sets:
            seed = "" if images.training is None else f", seed {images.training}"
            bar.say(f"{images.row}, {images.name}{seed}")
            try:
                prepare_images(setup.folder, images, journal.again)
                if images.row == REFERENCE:
                    store_reference(images, _world_images)
                    bar.advance(len(images.jobs))
                    continue
                draw(setup.folder, images, model.generation, exact, settings, bar.advance)
            except ModelUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  (recorded; the other rows go on)
                journal.failed("generate", images.row, f"{images.name}{seed}", error)
    drawn = {name: read_json(setup.folder.images_key(ORIGINAL, name)) or {} for name in cells.prompt_sets}
    counts = {name: len(facts.get("truncated", ())) for name, facts in drawn.items()}
    noted = [_noted(images) for images in cells.drawn if journal.is_healthy(images.row)]
    journal.update(
        prompts={name: used | {"truncated": counts[name]} for name, used in journal.record.prompts.items()},
        drawn=tuple(images for images in noted if not images.is_ordinary),
    )


def _noted(images: ImageSet) -> DrawnSet:
    """What the notes beside one training's images say."""
    notes = noted_images(images.files)

    def names(told: Callable[[ImageNote], object]) -> tuple[str, ...]:
        return tuple(name for name, note in notes.items() if told(note))

    return DrawnSet(
        row=images.row,
        name=images.name,
        training=images.training,
        images=len(images.jobs),
        unscored=names(lambda note: note.unscored),
        flat=names(lambda note: note.flat),
        in_float32=names(lambda note: note.in_float32 and not note.unscored),
        batch_size=images.batch_size,
        planned=images.planned_batch,
    )


def _world_images() -> list[Any]:
    """The embedded world's real images."""
    from erasebench.prompts.sets import world_reference

    from ..mini.world import render

    return [render(scene) for _, scene in world_reference()]


def score_all(setup: Setup, cells: Cells, model: LoadedModel, journal: Journal) -> None:
    """Score every row that has weights and images; the others' earlier scores go."""
    contexts = Contexts(setup.plan, cells, setup.folder, setup.source, setup.device, model.exact)
    wanted = [(row, name, metric) for row in cells.rows for name, metric in cells.metrics.items()]
    wanted += [(row, name, metric) for row in cells.timeline for name, metric in cells.followed.items()]
    for row, name, _ in wanted:
        if not journal.is_healthy(row):
            setup.folder.score(row, name).unlink(missing_ok=True)  # of earlier weights or images
    wanted = [cell for cell in wanted if journal.is_healthy(cell[0])]
    before = ORIGINAL
    with journal.bar("score", len(wanted), "scores") as bar:
        for row, name, metric in wanted:
            bar.say(f"{row}: {metric.label}")
            if row != before:
                _forget(cells, before)
            before = row
            images = cells.images.get((row, metric.prompts or ""))
            try:
                record = score(setup.folder, name, metric, contexts.of(row, metric), images, journal.again)
                if record.failure:
                    journal.failed("score", row, name, BenchError(record.failure))
            except Exception as error:  # noqa: BLE001  (recorded; the other scores go on)
                journal.failed("score", row, name, error)
            bar.advance(1)


def _forget(cells: Cells, row: str) -> None:
    """Let go of the features of a row that is scored; the real images' serve every row."""
    for name in cells.prompt_sets:
        images = cells.images.get((row, name))
        if images is not None and images.row != REFERENCE:
            images.forget()
