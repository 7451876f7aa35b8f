"""The first stage: train, check and store a patch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from ..erasure import several
from ..erasure.trainer import BEGIN, Pictures, Report, Tensors, Trainer
from ..erasure.workspace import Workspace
from ..errors import BenchError
from ..images.files import write_png
from ..models.patch import Patch, changed, check, difference, load_patch, restored, save_patch
from ..models.text_to_image import TextToImage
from ..runs.rows import SNAPSHOT
from ..storage.files import read_json, write_json
from ..storage.keys import content_key
from ..storage.links import show
from ..storage.store import Busy, Entry, Store
from .erasure import ERASE_VERSION, Erasure
from .own_weights import OwnRow, bring, remark_on
from .setup import Setup

PATCH, FACTS, CHECKPOINT = "patch.safetensors", "facts.json", ".checkpoint"


def training_key(setup: Setup, erasure: Erasure) -> str:
    """The key of a training's weights."""
    return erasure.key(setup)


def snapshot_key(setup: Setup, erasure: Erasure, step: int) -> str:
    """The key of the weights after a step of a training."""
    return content_key(training=training_key(setup, erasure), step=step)


def is_trained(setup: Setup, erasure: Erasure) -> bool:
    """Whether the store has a training's weights, and those of its snapshots."""
    steps = [step for step in erasure.snapshots if step]
    return all(
        setup.store.find(kind, key)
        for kind, key in [
            ("training", training_key(setup, erasure)),
            *(("snapshot", snapshot_key(setup, erasure, step)) for step in steps),
        ]
    )


def patch_of(setup: Setup, erasure: Erasure, step: int | None = None) -> Path | None:
    """The file of a training's weights, at its end or after a step; None where the store has none."""
    kind, key = (
        ("training", training_key(setup, erasure)) if step is None else ("snapshot", snapshot_key(setup, erasure, step))
    )
    entry = setup.store.find(kind, key)
    return None if entry is None else entry.file(PATCH)


def weights_of(setup: Setup, erasure: Erasure) -> Patch:
    """A training's weights.

    Raises:
        BenchError: the store has none.
    """
    check_weights(setup, [erasure])
    return load_patch(cast(Path, patch_of(setup, erasure)))


def check_unguided(erasures: Iterable[Erasure]) -> None:
    """Raise where a row guides sampling, which shows in a run's own images and in attacks alone.

    Raises:
        BenchError: names these rows.
    """
    if guides := dict.fromkeys(erasure.row for erasure in erasures if erasure.guide is not None):
        raise BenchError(
            f"{', '.join(guides)}: images are sampled in another way, which a run's own images and attacks alone show "
            "so far. Name the other rows with --methods."
        )


def check_weights(setup: Setup, erasures: Iterable[Erasure]) -> None:
    """Raise unless the store has the weights of all of them.

    Raises:
        BenchError: it lacks those of a row, or several concepts are erased.
    """
    erasures = list(erasures)
    if setup.plan.concepts:
        raise BenchError(
            f"{setup.plan.subject}: attacks, purification and duels are about one erased concept. Erase one for them."
        )
    if lacking := dict.fromkeys(erasure.row for erasure in erasures if patch_of(setup, erasure) is None):
        raise BenchError(f"the store has no weights of {', '.join(lacking)}: finish the run first.")


def show_training(setup: Setup, erasure: Erasure) -> None:
    """Show a training's weights and facts in the run's folder."""
    row, seed, folder = erasure.row, erasure.task.seed, setup.folder
    entry = setup.store.find("training", training_key(setup, erasure))
    if entry is not None:
        show(entry.file(PATCH), folder.patch(row, seed))
        show(entry.file(FACTS), folder.erasure(row, seed))
    for step in erasure.snapshots:
        if step and (entry := setup.store.find("snapshot", snapshot_key(setup, erasure, step))):
            show(entry.file(PATCH), folder.patch(f"{row}{SNAPSHOT}{step}", seed))
            for name in entry.names:
                if name.startswith(BEGIN) and 0 in erasure.snapshots:
                    show(entry.file(name), folder.searched(row, seed) / f"0-{name.removeprefix(BEGIN)}")
                elif name.endswith(".png") and not name.startswith(BEGIN):
                    show(entry.file(name), folder.searched(row, seed) / f"{step}-{name}")


def erase(setup: Setup, erasure: Erasure, model: Callable[[], TextToImage], report: Report, workers: int = 1) -> None:
    """Train, check and store one patch with its cost, unless the store has it, and show it in the run's folder.

    An interrupted training goes on from its checkpoint; patches of snapshots are written as they come.

    Args:
        setup: the run's.
        erasure: what to train.
        model: the original model in full precision.
        report: told of every step.
        workers: how many processes work at the same time, this one among them: beside others a training takes longer.

    Raises:
        BenchError: the method's settings lead nowhere: no weight changed, or one is not finite.
        Busy: another process trains it.
    """
    if not is_trained(setup, erasure):
        with setup.store.making("training", training_key(setup, erasure)) as place:
            if isinstance(erasure, OwnRow):
                _bring(setup, erasure, place, model)
            elif not erasure.changes_weights:
                _note(setup, erasure, place)
            else:
                _train(setup, erasure, place, model(), report, workers)
    show_training(setup, erasure)


def bring_all(setup: Setup, erasures: Iterable[Erasure], model: Callable[[], TextToImage]) -> tuple[str, ...]:
    """Compare somebody's weights with the base and store what differs, before anything is drawn; a remark on each row.

    Raises:
        BenchError: a file does not fit the base.
    """
    remarks = []
    for row in erasures:
        if not isinstance(row, OwnRow):
            continue
        if not is_trained(setup, row):
            with suppress(Busy), setup.store.making("training", training_key(setup, row)) as place:
                _bring(setup, row, place, model)
        remarks.append(remark_on(row, facts_of(setup.store, training_key(setup, row)).get("remark", "")))
    return tuple(filter(None, remarks))


def _bring(setup: Setup, row: OwnRow, place: Path, model: Callable[[], TextToImage]) -> None:
    """Store somebody's weights as a patch of the base."""
    patch, facts = bring(row, model)
    save_patch(place / PATCH, patch)
    key = training_key(setup, row)
    write_json(place / FACTS, {"key": key, "made_from": row.made_from(setup), **facts})
    setup.store.put("training", key, {})


def _made_by(setup: Setup, erasure: Erasure) -> dict[str, Any]:
    """What the facts of every row of a method begin with."""
    return {
        "key": training_key(setup, erasure),
        "made_from": erasure.made_from(setup),
        "method": erasure.name,
        "config": erasure.config.model_dump(),
        "task": erasure.task.facts,
    }


def _note(setup: Setup, erasure: Erasure, place: Path) -> None:
    """Store that a row changes no weights: an empty patch."""
    key = training_key(setup, erasure)
    save_patch(place / PATCH, {})
    none: dict[str, Any] = {"guides": True, "cost": None, "history": [], "truncated": []}
    write_json(place / FACTS, {**_made_by(setup, erasure), **none})
    setup.store.put("training", key, {})


def _train(setup: Setup, erasure: Erasure, place: Path, network: TextToImage, report: Report, workers: int) -> None:
    key, store = training_key(setup, erasure), setup.store
    network.cut.clear()
    with restored(network) as before:
        trainer = _trainer(setup, erasure, place, network, report, before)
        several.erase(erasure.method, network, erasure.task, erasure.config, trainer)
        cost = trainer.cost()
        patch = difference(before, network)
        check(patch, set(trainer.parameters), erasure.label)
        save_patch(place / PATCH, patch)
    facts = {
        **_made_by(setup, erasure),
        "cost": {**asdict(cost), "workers": workers},
        "history": trainer.history,
        "truncated": sorted(network.cut),
    }
    write_json(place / FACTS, facts)
    (place / CHECKPOINT).unlink(missing_ok=True)
    store.put("training", key, {"tensors": sorted(trainer.shared.charged)})


def _trainer(
    setup: Setup, erasure: Erasure, place: Path, network: TextToImage, report: Report, before: Patch
) -> Trainer:
    """What a method trains with; `before` are the original's weights, from which snapshots tell what changed."""
    key, store = training_key(setup, erasure), setup.store
    steps = [step for step in erasure.snapshots if step]
    missing = [step for step in steps if patch_of(setup, erasure, step) is None]

    def keep(step: int, weights: Tensors, pictures: Pictures) -> None:
        if step:
            with suppress(Busy), store.making("snapshot", snapshot_key(setup, erasure, step)) as folder:
                save_patch(folder / PATCH, changed(before, weights))
                for name, picture in pictures.items():
                    write_png(folder / f"{name}.png", picture)
                store.put("snapshot", snapshot_key(setup, erasure, step), {"step": step}, of=[key])

    version = f"{erasure.name} {erasure.method.version}, {ERASE_VERSION}"
    tensors = store.root / "tensors"
    workspace = Workspace(place / CHECKPOINT, tensors, key, version, resume_before=min(missing, default=math.inf))
    return Trainer(
        network,
        erasure.config.parameters,
        erasure.task.seed,
        erasure.max_steps,
        erasure.precision,
        report,
        frozenset(erasure.snapshots),
        keep,
        workspace,
    )


def facts_of(store: Store, key: str) -> dict[str, Any]:
    """What is known of a training: its cost among it; {} where the store has none."""
    entry: Entry | None = store.find("training", key)
    return {} if entry is None else read_json(entry.file(FACTS)) or {}
