"""Which concept of a pair wins when both are asked for: drawn by the original and by erased models, and judged.

Pairs, judge and scores are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import numpy as np

from erasebench.prompts.concepts import Concept, get_concept

from ..errors import BenchError
from ..images.files import write_png
from ..models.patch import Patch, attached
from ..models.provenance import made_on
from ..report.dominance import image_of, pair_file, write_dominance
from ..report.web.page import write_own_page
from ..runs.dominance import DominanceCell, DominanceRecord, DominanceRequest, Duel
from ..runs.folder import RunFolder
from ..runs.lock import locked
from ..runs.progress import StageBar
from ..runs.record import read_run
from ..runs.rows import ORIGINAL
from ..storage.files import read_json, write_json
from ..storage.keys import content_key
from ..storage.links import show
from .erase import check_unguided, check_weights, training_key, weights_of
from .executor import Executor
from .prepare import register
from .setup import Setup, resolve
from .work import unfold

DOMINANCE_VERSION = 1
CELL = "duels.json"
TEMPLATE = "a photo of {} and {}"
THRESHOLD = 0.5  # of the judge's probabilities
Told = Callable[[int, str], None]
See = Callable[[np.ndarray, Concept, Concept], np.ndarray]  # uint8 images: whether each is seen, bool (images, 2)


def dominance_run(
    folder: RunFolder, request: DominanceRequest, device: str, begun: Callable[[int], None] = lambda images: None
) -> DominanceRecord:
    """Set concepts against each other by the original and by rows of a finished run, and write tables and a picture.

    Args:
        folder: of the run.
        request: what is set against what.
        device: "cpu", "cuda" or "cuda:N".
        begun: called with how many images there are to draw when the work begins.

    Raises:
        BenchError: the folder holds no finished run, or a concept is unknown or no thing.
    """
    plan, _ = read_run(folder)
    setup = resolve(plan, folder, device)
    work = unfold(setup)
    executor = Executor(setup, work)
    concepts = [thing(name, work.concept, setup.source.family.name) for name in request.concepts]
    trainings = [(ORIGINAL, None), *(key for key in work.trained if key[0] in request.rows)]
    check_unguided(work.trained[key] for key in trainings[1:])
    check_weights(setup, (work.trained[key] for key in trainings[1:]))
    duels = _Duels(executor, request, concepts)
    with locked(folder, plan):
        keys = [("dominance", duels.key(row, training)) for row, training in trainings]
        register(setup, work, executor.contexts, scored=True, beside=keys)
        count = len(list(duels.pairs())) * request.images
        begun(count * len(trainings))
        with StageBar("dominance", count * len(trainings), "images") as bar:
            cells = tuple(duels.cell(row, training, bar.advance) for row, training in trainings)
        found = DominanceRecord(
            concepts=tuple(concept.name for concept in concepts),
            images=request.images,
            judge=duels.judge,
            labels={row: work.labels[row] for row in dict.fromkeys(row for row, _ in trainings)},
            cells=cells,
        )
        write_json(folder.root / "dominance.json", found.model_dump(mode="json"))
        write_dominance(folder, plan, found)
        write_own_page(folder)
    return found


def thing(name: str, own: Concept, family: str) -> Concept:
    """A concept that can stand beside another: what the run erases, asked for as it asks for it, or a built-in one.

    Args:
        name: in its canonical spelling.
        own: what the run erases; it may have a word that was learned from pictures.
        family: of the model, which decides what takes a built-in concept's place.

    Raises:
        BenchError: it is unknown, or a style or a place.
    """
    mine = {one.name: one for one in own.each}
    found = mine[name] if name in mine else get_concept(name, family=family)
    if found.kind in ("style", "place"):
        raise BenchError(f"--concepts {name}: a {found.kind} is no thing that stands beside another.")
    return found


class _Duels:
    def __init__(self, executor: Executor, request: DominanceRequest, concepts: list[Concept]) -> None:
        self.executor, self.request, self.concepts = executor, request, concepts
        self.setup: Setup = executor.setup
        self.see, self.judge = _judge(executor, concepts)

    def pairs(self) -> Iterator[tuple[Concept, Concept]]:
        """Every pair in both orders."""
        for a, b in combinations(self.concepts, 2):
            yield from ((a, b), (b, a))

    def key(self, row: str, training: int | None) -> str:
        """The key of all duels by one model."""
        plan = self.setup.plan
        return content_key(
            stage="dominance",
            version=DOMINANCE_VERSION,
            concepts=[vars(concept) for concept in self.concepts],
            images=self.request.images,
            seed=plan.image_seed,
            drawing=self.setup.drawing.model_dump(exclude={"precision", "own_settings"}),
            precision=self.setup.precision["generation"],
            judge=self.judge,
            weights=None if row == ORIGINAL else training_key(self.setup, self.executor.work.trained[row, training]),
            model=self.setup.source.revision,
            made_on=made_on(self.setup.device),
        )

    def cell(self, row: str, training: int | None, told: Told) -> DominanceCell:
        """Draw and judge what the store lacks of one model, and show its first image of every pair."""
        store, key = self.setup.store, self.key(row, training)
        entry = store.find("dominance", key)
        if entry is None:
            with store.making("dominance", key) as place:
                found = []
                with attached(self.executor.model.drawing(), self._patch(row, training)):
                    for a, b in self.pairs():
                        images, duels = self._drawn(a, b)
                        write_png(place / pair_file(a.name, b.name), images[0])
                        found += [duel.model_dump(mode="json") for duel in duels]
                        told(len(duels), f"{row}: {a.name} and {b.name}")
                write_json(place / CELL, {"duels": found})
                of = [] if row == ORIGINAL else [training_key(self.setup, self.executor.work.trained[row, training])]
                entry = store.put("dominance", key, {}, of=of)
        stored = read_json(entry.file(CELL)) or {}
        cell = DominanceCell(row=row, training=training, key=key, **stored)
        for a, b in self.pairs():
            show(entry.file(pair_file(a.name, b.name)), image_of(self.setup.folder, cell, a.name, b.name))
        return cell

    def _drawn(self, a: Concept, b: Concept) -> tuple[np.ndarray, list[Duel]]:
        """The images of a pair in one order, and what is seen in them; both orders begin from the same noise."""
        model, drawing = self.executor.model.drawing(), self.setup.drawing
        both, numbers = sorted((a.name, b.name)), range(self.request.images)
        seeds = [int(content_key(pair=both, number=k, seed=self.setup.plan.image_seed)[:15], 16) for k in numbers]
        context = model.encode([TEMPLATE.format(a.asked, b.asked)])
        size = None if drawing.size is None else (drawing.size,) * 2
        images, finite = [], []
        for begin in range(0, len(seeds), drawing.batch_size):
            noise = model.noise(seeds[begin : begin + drawing.batch_size], size)
            clean = model.denoise(
                noise,
                context,
                model.encode([""]),
                steps=drawing.steps,
                guidance=drawing.guidance,
                solver=drawing.scheduler,
            )
            drawn, fine = model.decode_checked(clean)
            images.append(drawn)
            finite.append(fine)
        pixels, known = np.concatenate(images), np.concatenate(finite)
        seen = self.see(pixels, a, b)
        return pixels, [
            Duel(first=a.name, second=b.name, number=k, seen=(bool(seen[k, 0]), bool(seen[k, 1])) if known[k] else None)
            for k in numbers
        ]

    def _patch(self, row: str, training: int | None) -> Patch:
        if row == ORIGINAL:
            return {}
        return weights_of(self.setup, self.executor.work.trained[row, training])


def _judge(executor: Executor, concepts: list[Concept]) -> tuple[See, str]:
    """Who tells whether each of two concepts is in an image, and what tables say of it."""
    encoder: Any = executor.contexts.encoder("judge")
    known = list(getattr(encoder, "concepts", ()))
    name = f"{encoder.name} {encoder.revision[:16]}"
    if all(concept.name in known for concept in concepts):

        def by_heads(images: np.ndarray, a: Concept, b: Concept) -> np.ndarray:
            probabilities: np.ndarray = encoder.concept_probabilities(encoder.image_features(list(images)))
            return probabilities[:, [known.index(one.name) for one in (a, b)]] >= THRESHOLD

        return by_heads, f"{name}, each with probability ≥ {THRESHOLD}"

    def nearest(images: np.ndarray, a: Concept, b: Concept) -> np.ndarray:
        features = encoder.image_features(list(images))
        texts = encoder.text_features([f"a photo of {one.shown}" for one in (a, b)])
        cosines = features @ (texts / np.linalg.norm(texts, axis=1, keepdims=True)).T
        found: np.ndarray = cosines == cosines.max(1, keepdims=True)
        return found

    return nearest, f"{name}, whichever of the two texts is nearer: never both"
