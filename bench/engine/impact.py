"""The grid of the impact function: every concept erased in turn, and what that changed in every other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from erasebench.prompts.concepts import concept_names, get_concept

from ..errors import BenchError
from ..impact.grid import GRID, VECTORS
from ..impact.likeness import vectors_of
from ..impact.measure import Drawn, draw_concepts, image_change, judged_change
from ..models.patch import attached, load_patch
from ..models.provenance import made_on
from ..registry import METHODS
from ..runs.folder import RunFolder
from ..runs.lock import locked
from ..runs.plan import Plan
from ..runs.progress import StageBar
from ..runs.references import refer
from ..scoring.statistics import error_of_mean
from ..spectrum.blocks import ErasedModel
from ..spectrum.draws import Latents
from ..spectrum.scan import scan
from ..spectrum.vocabulary import Vocabulary
from ..storage.files import read_json, write_csv, write_json
from ..storage.keys import content_key
from ..storage.tensors import load_tensors, save_tensors
from .contexts import Contexts
from .erase import erase, patch_of, training_key
from .erasure import Erasure
from .loaded_model import LoadedModel
from .own_weights import OwnRow
from .setup import Setup, resolve
from .work import unfold

IMPACT_VERSION = 1
PAIRS = "pairs.json"


def all_things(family: str) -> list[str]:
    """The built-in concepts that a prompt can ask for by "a photo of": all but styles."""
    return [name for name in concept_names() if get_concept(name, family=family).kind != "style"]


def measure_impact(
    plan: Plan,
    folder: RunFolder,
    erased: Sequence[str],
    device: str,
    store: Path | None = None,
    begun: Callable[[int], None] = lambda trainings: None,
) -> pd.DataFrame:
    """Erase concepts one by one and write how much each training changed every built-in thing; resumes.

    Args:
        plan: rows, seeds, sampler, images of each thing, and levels and draws of noise; its concept is replaced.
        folder: gets the grid and the things' vectors.
        erased: built-in concepts.
        device: "cpu", "cuda" or "cuda:N".
        store: a folder; None for the one beside the folder.
        begun: called with how many trainings there are to look at.

    Raises:
        BenchError: a concept is unknown, or a row of the plan is weights that somebody made, or changes none.
    """
    if any(variant.path for variant in plan.rows.values()):
        raise BenchError("variants: weights that somebody made erase one concept; the grid needs a method for each.")
    if guides := [
        row
        for row, one in plan.rows.items()
        if one.guide or (one.method and METHODS.load(one.method).guide is not None)
    ]:
        raise BenchError(
            f"{', '.join(guides)}: no weights change, or a guide stands beside them; nothing can be measured in noise. "
            "Leave it out."
        )
    setup = resolve(plan, folder, device, store)
    with locked(folder, plan):
        grid = _Grid(setup, erased)
        refer(folder, setup.store, [("training", training_key(own, one)) for own, one in grid.trainings])
        begun(len(grid.trainings))
        with StageBar("impact", len(grid.trainings), "trainings") as bar:
            parts = [grid.pairs(own, one, bar) for own, one in grid.trainings]
        pairs = pd.concat(parts, ignore_index=True)
        grid.write_vectors(folder.root / VECTORS)
        write_csv(folder.root / GRID, pairs)
    return pairs


class _Grid:
    def __init__(self, setup: Setup, erased: Sequence[str]) -> None:
        self.setup, self.plan = setup, setup.plan
        family = setup.source.family.name
        self.names = all_things(family)
        self.phrases = [get_concept(name, family=family).phrase for name in self.names]
        self.model = LoadedModel(setup)
        self.trainings = [pair for name in erased for pair in self._trainings(name)]
        self.contexts = Contexts(setup, unfold(setup), self.model.full)
        spectrum = setup.plan.spectrum
        self.latents = Latents(spectrum.levels, spectrum.draws, setup.plan.image_seed)

    def _trainings(self, name: str) -> Iterator[tuple[Setup, Erasure]]:
        """Every row and seed that erases one concept."""
        place = RunFolder(self.setup.folder.root / "erased" / name.replace(" ", "-"))
        own = replace(self.setup, plan=self.plan.model_copy(update={"concept": name}), folder=place)
        yield from ((own, one) for one in unfold(own).erasures if not isinstance(one, OwnRow) and one.guide is None)

    def pairs(self, own: Setup, erasure: Erasure, bar: StageBar) -> pd.DataFrame:
        """What one training changed, one line a thing; made unless the store has it."""
        store, key = self.setup.store, self.key(own, erasure)
        entry = store.find("impact", key)
        if entry is None:
            erase(own, erasure, self.model.full, lambda step, text: bar.say(f"{erasure.task.concept}: {text}"))
            with store.making("impact", key) as place:
                write_json(place / PAIRS, {"pairs": self._measured(own, erasure).to_dict("records")})
                entry = store.put("impact", key, {}, of=[training_key(own, erasure)])
        bar.advance(1, erasure.task.concept)
        table = pd.DataFrame((read_json(entry.file(PAIRS)) or {})["pairs"]).astype({"judge": float})
        names = {"row": erasure.row, "training": erasure.task.seed, "erased": erasure.task.concept}
        return pd.concat([pd.DataFrame([names] * len(table)), table], axis=1)

    def key(self, own: Setup, erasure: Erasure) -> str:
        """Of all that a training's line of the grid depends on."""
        return content_key(
            stage="impact",
            version=IMPACT_VERSION,
            training=training_key(own, erasure),
            things=self.phrases,
            latents=vars(self.latents),
            images=self.plan.images,
            seed=self.plan.image_seed,
            drawing=self.setup.drawing.model_dump(exclude={"precision", "own_settings"}),
            precision=self.setup.precision["generation"],
            judge=self.judge.revision,
            made_on=made_on(self.setup.device),
        )

    def _measured(self, own: Setup, erasure: Erasure) -> pd.DataFrame:
        file = patch_of(own, erasure)
        if file is None:
            raise BenchError(f"the store lost the weights of {erasure.row}. The same command makes them again.")
        patch = load_patch(file)
        key = training_key(own, erasure)
        noise = self._noise(key, patch)
        with attached(self.model.drawing(), patch):
            drawn = self._drawn()
        return pd.DataFrame(
            {
                "other": self.names,
                "noise": noise.mean((1, 2)),
                "noise_error": np.sqrt(error_of_mean(noise)),
                "image": _mean(image_change(drawn, self.original)),
                "judge": _mean(judged_change(drawn, self.original)),
            }
        ).replace({np.nan: None})

    def _noise(self, key: str, patch: Any) -> np.ndarray:
        """Mean squared differences of predictions, (things, levels, draws)."""
        words = Vocabulary("things", tuple(self.names), tuple(range(len(self.names))), (True,) * len(self.names))
        one, folder = ErasedModel(key, key, lambda: patch), self.setup.store.root / "spectrum"
        return scan(self.model.full(), [one], words, folder, self.latents).differences[key]

    def _drawn(self) -> Drawn:
        """Images of all things by the model as it is now."""
        return draw_concepts(
            self.model.drawing(),
            self.judge,
            self.names,
            self.phrases,
            self.plan.images,
            self.plan.image_seed,
            self.setup.drawing,
        )

    @cached_property
    def original(self) -> Drawn:
        """Images of all things by the original."""
        return self._drawn()

    @property
    def judge(self) -> Any:
        """The embedded model's judge, or the plan's CLIP model, which tells nothing of single concepts."""
        return self.contexts.encoder("judge")

    def write_vectors(self, file: Path) -> None:
        """The things by likeness' measures, unless the file has them."""
        model, looked_with = self.setup.source.revision, self.judge.revision
        key = content_key(model=model, encoder=looked_with, things=self.phrases, made_on=made_on(self.setup.device))
        stored = load_tensors(file)
        if stored is None or stored[1].get("key") != key:
            found = vectors_of(self.model.full(), self.judge, self.names, self.phrases)
            tensors = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in found.items()}
            save_tensors(file, tensors, {"names": self.names, "key": key})


def _mean(values: np.ndarray) -> np.ndarray:
    """Over images, NaN where none is known."""
    known = np.isfinite(values)
    found: np.ndarray = np.where(known, values, 0).sum(1) / np.where(known.any(1), known.sum(1), np.nan)
    return found
