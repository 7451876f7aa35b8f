"""The first stage: train, check and store a patch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch

from ..erasure.trainer import Report, Trainer, Workspace
from ..models.patch import changed, check, difference, save_patch, snapshot
from ..models.text_to_image import TextToImage
from ..runs.folder import RunFolder
from ..runs.rows import SNAPSHOT
from ..storage.files import is_whole, read_json, write_json
from ..storage.keys import content_key
from ..storage.reasons import Again, say_why, warn
from .erasure import ERASE_VERSION, Erasure


def erase(
    folder: RunFolder,
    erasure: Erasure,
    made_from: Mapping[str, Any],
    model: Callable[[], TextToImage],
    report: Report,
    again: Again = warn,
) -> bool:
    """Train, check and store one patch with its cost; False if it was there already.

    An interrupted training goes on from its checkpoint; patches of snapshots are written as they come. `again` is told
    why a finished training is done again.
    """
    key = content_key(**made_from)
    row, seed = erasure.row, erasure.task.seed
    patch_file, facts_file, checkpoint = (
        folder.patch(row, seed),
        folder.erasure(row, seed),
        folder.checkpoint(row, seed),
    )
    missing = [k for k in erasure.snapshots if k and not is_whole(folder.patch(f"{row}{SNAPSHOT}{k}", seed))]
    stored = read_json(facts_file)
    if stored is not None and stored.get("key") == key and not missing and is_whole(patch_file):
        return False
    if stored is not None:
        say_why(f"{erasure.label}, seed {seed}: trained", stored, made_from, again)
    network = model()
    before = snapshot(network.unet)

    def keep(step: int, weights: Mapping[str, torch.Tensor]) -> None:
        if step:
            save_patch(folder.patch(f"{row}{SNAPSHOT}{step}", seed), changed(before, weights))

    version = f"{erasure.name} {erasure.method.version}, {ERASE_VERSION}"
    workspace = Workspace(checkpoint, folder.cache, key, version, resume_before=min(missing, default=math.inf))
    trainer = Trainer(
        network,
        erasure.config.parameters,
        seed,
        erasure.max_steps,
        erasure.precision,
        report,
        frozenset(erasure.snapshots),
        keep,
        workspace,
    )
    network.cut.clear()
    try:
        erasure.method.erase(network, erasure.task, erasure.config, trainer)
        cost = trainer.cost()
        patch = difference(before, network.unet)
        check(patch, set(trainer.parameters), erasure.label)
        save_patch(patch_file, patch)
    finally:
        network.unet.load_state_dict(before)
    write_json(
        facts_file,
        {
            "key": key,
            "made_from": made_from,
            "method": erasure.name,
            "config": erasure.config.model_dump(),
            "task": vars(erasure.task),
            "cost": asdict(cost),
            "history": trainer.history,
            "truncated": sorted(network.cut),
        },
    )
    checkpoint.unlink(missing_ok=True)
    return True
