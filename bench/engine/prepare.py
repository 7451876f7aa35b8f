"""A run's folder before and after the work: what is older goes, with the reason; what the store has is shown."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence

from ..images.image_set import ImageSet
from ..images.notes import ImageNote, noted_images
from ..images.set_folder import prepare_images
from ..runs.record import DrawnSet
from ..runs.references import entries_beside, refer
from ..runs.rows import ORIGINAL, UNRANKED_ROWS
from ..runs.scores import write_score
from ..storage.files import read_json
from ..storage.keys import content_key, file_hash
from ..storage.reasons import Again, say_why
from .contexts import Contexts
from .erase import facts_of, show_training, training_key
from .graph import Graph
from .score import score_made_from, stored_score
from .setup import Setup
from .tasks import Task
from .work import Work

# Why these changed is told where they are made.
UPSTREAM = ("images", "original", "others", "reference", "costs", "beside")


def prepare(setup: Setup, work: Work, contexts: Contexts, graph: Graph, again: Again) -> None:
    """Show what the store has, and take away what is of other weights, images or settings, telling why."""
    for erasure in work.erasures:
        facts, key = setup.folder.erasure(erasure.row, erasure.task.seed), training_key(setup, erasure)
        stored = read_json(facts)
        if stored is not None and stored.get("key") != key:
            made_from = erasure.made_from(setup)
            say_why(f"{erasure.label}, seed {erasure.task.seed}: trained", stored, made_from, again)
            for file in (facts, setup.folder.patch(erasure.row, erasure.task.seed)):
                file.unlink(missing_ok=True)
            shutil.rmtree(setup.folder.searched(erasure.row, erasure.task.seed), ignore_errors=True)
        show_training(setup, erasure)
    _draw_again(setup, work, graph, again)
    for images in work.drawn.values():
        prepare_images(setup.folder, images, again)
    for row, name, metric in work.cells:
        file, own = setup.folder.score(row, name), work.images.get((row, metric.prompts or ""))
        stored = read_json(file)
        if Task("score", row, name) not in graph.needs:
            known = stored_score(setup.store, name, metric, contexts.of(row, metric), own)
            if known is not None and known.model_dump(mode="json") != stored:
                write_score(file, known)
        elif stored is not None:
            made_from = score_made_from(name, metric, contexts.of(row, metric), own)
            say_why(f"{name} of {row}: computed", stored, made_from, again, UPSTREAM)
            file.unlink()


def _draw_again(setup: Setup, work: Work, graph: Graph, again: Again) -> None:
    """Let go of what is left of images that were removed and are needed again."""
    for (row, name, training), metric in graph.again.items():
        seed = "" if training is None else f", seed {training}"
        again(f"images of {row}{seed}, set {name}: drawn again because they were removed and {metric} needs them")
        images = work.drawn[row, name, training]
        for shard in images.drawn:
            if (entry := images.entry(images.key_of(shard))) is not None and entry.removed:
                setup.store.drop("images", images.key_of(shard))


def register(
    setup: Setup, work: Work, contexts: Contexts, scored: bool = False, beside: Sequence[tuple[str, str]] = ()
) -> None:
    """Write down which entries the run is made of, so that the store keeps them, and what is computed from them.

    Once all is `scored`, the run needs no other images than those that its plan keeps. What was done to it
    `beside`, such as attacks, takes the place of what was done of the same kind before.
    """
    used = [("training", training_key(setup, erasure)) for erasure in work.erasures]
    sets = {id(images): images for joined in work.images.values() for images in joined.each}
    used += [("images", shard.key) for images in sets.values() for shard in images.shards]
    for row, name, metric in work.cells:
        if metric.prompts is None and row in UNRANKED_ROWS:  # of no training and no images
            used.append(("score", content_key(**score_made_from(name, metric, contexts.of(row, metric), None))))
    keeps = setup.plan.keep_images if scored else "all"
    kinds = {kind for kind, _ in beside}
    kept = [(kind, key) for kind, key in entries_beside(setup.folder) if kind not in kinds]
    refer(setup.folder, setup.store, [*used, *kept, *beside], keeps)


def weights_of(setup: Setup, work: Work) -> dict[str, str]:
    """By ROW/SEED, the hash of the file of changed weights."""
    files = {f"{e.row}/{e.task.seed}": setup.folder.patch(e.row, e.task.seed) for e in work.erasures}
    return {name: file_hash(file) for name, file in files.items() if file.exists()}


def cut_texts(setup: Setup, work: Work) -> dict[str, list[str]]:
    """By row, the texts of its trainings that the text encoder cut."""
    found: dict[str, set[str]] = {}
    for erasure in work.erasures:
        facts = facts_of(setup.store, training_key(setup, erasure))
        found.setdefault(erasure.row, set()).update(facts.get("truncated", ()))
    return {row: sorted(texts) for row, texts in found.items() if texts}


def cut_prompts(work: Work) -> dict[str, int]:
    """By prompt set, how many of its prompts the text encoder cut."""
    found = {}
    for name in work.prompt_sets:
        images = work.images[ORIGINAL, name]
        entries = [images.entry(images.key_of(shard)) for shard in images.drawn]
        found[name] = len({text for entry in entries if entry is not None for text in entry.facts["truncated"]})
    return found


def noted_sets(work: Work) -> tuple[DrawnSet, ...]:
    """What is out of the ordinary in images, by set and training."""
    found = []
    for images in work.drawn.values():
        notes = noted_images(images.files)
        planned = max(shard.batch for shard in images.drawn)
        smaller = [images.batch_of(shard) for shard in images.drawn if images.batch_of(shard) != shard.batch]
        found.append(
            DrawnSet(
                row=images.row,
                name=images.name,
                training=images.training,
                images=len(images.jobs),
                unscored=_names(notes, "unscored"),
                flat=_names(notes, "flat"),
                in_float32=tuple(name for name in _names(notes, "in_float32") if not notes[name].unscored),
                elsewhere=_elsewhere(images),
                batch_size=min(smaller, default=planned),
                planned=planned,
            )
        )
    return tuple(drawn for drawn in found if not drawn.is_ordinary)


def _elsewhere(images: ImageSet) -> dict[str, int]:
    """How many of a set were drawn on which other device."""
    found: Counter[str] = Counter()
    for shard in images.drawn:
        if (device := images.device_of(shard)) is not None:
            found[device] += len(shard.places)
    return dict(found)


def _names(notes: dict[str, ImageNote], what: str) -> tuple[str, ...]:
    return tuple(name for name, note in notes.items() if getattr(note, what))
