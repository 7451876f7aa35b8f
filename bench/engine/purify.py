"""Purifying real images: inverted by one model, denoised by another, judged and compared with what they were.

"All but One" (arXiv 2312.12807), "Concept Purification" and Fig. 1a. The paper gives no numbers: the original inverts
by DDIM at guidance 1 without a prompt, the erased model denoises at guidance 1 without one and with the concept's;
strengths, steps and controls are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ..errors import BenchError, NotApplicable
from ..images.files import Unreadable, image_files, read_image, write_png
from ..models.patch import Patch, attached
from ..models.provenance import made_on
from ..models.text_to_image import TextToImage
from ..report.purification import image_of, write_purification
from ..report.web.page import write_own_page
from ..runs.folder import RunFolder
from ..runs.lock import locked
from ..runs.progress import StageBar
from ..runs.purification import Asked, Purified, PurifyCell, PurifyRecord, PurifyRequest
from ..runs.record import read_run
from ..runs.rows import ORIGINAL
from ..storage.files import read_json, write_json
from ..storage.keys import content_key, file_hash
from ..storage.links import show
from ..storage.store import Entry
from .erase import check_unguided, check_weights, training_key, weights_of
from .executor import Executor
from .judges import Judges
from .prepare import register
from .setup import Setup, resolve
from .work import unfold

PURIFY_VERSION = 1
CELLS = "cells.json"
WINDOW = 25  # of SSIM, as the metric's


@dataclass(frozen=True)
class Way:
    """Whose weights invert and whose denoise, which images, and what is asked.

    Attributes:
        row: whose weights denoise.
        training: its seed.
        inverter: "original", or the row.
        source: "concept" or "others".
        asked: the conditions of denoising.
    """

    row: str
    training: int | None
    inverter: str
    source: str
    asked: tuple[Asked, ...]


@dataclass(frozen=True)
class Pictures:
    """Images of a folder at the model's size, uint8 of shape (images, side, side, 3), and their names and hashes."""

    pixels: np.ndarray
    names: tuple[str, ...]
    digests: tuple[str, ...]
    unreadable: tuple[str, ...] = ()


def purify_run(
    folder: RunFolder, request: PurifyRequest, device: str, begun: Callable[[int], None] = lambda images: None
) -> PurifyRecord:
    """Purify a folder of images with rows of a finished run, beside controls, and write the tables and pictures.

    Args:
        folder: of the run.
        request: what is purified by what.
        device: "cpu", "cuda" or "cuda:N".
        begun: called with how many images there are to draw when the work begins.

    Raises:
        BenchError: the folder holds no finished run, or there is no image to purify.
    """
    begins = request.begins()
    plan, _ = read_run(folder)
    setup = resolve(plan, folder, device)
    work = unfold(setup)
    executor = Executor(setup, work)
    trainings = [key for key in work.trained if key[0] in request.rows]
    check_unguided(work.trained[key] for key in trainings)
    check_weights(setup, (work.trained[key] for key in trainings))
    sources = {"concept": read_pictures(request.images, setup.source.image_size, "--images")}
    if request.others is not None:
        sources["others"] = read_pictures(request.others, setup.source.image_size, "--others")
    judges = Judges(executor.contexts)
    unjudged = ""
    try:
        before = judges.first(sources["concept"].pixels)
    except NotApplicable as reason:
        unjudged, before = str(reason), [None] * len(sources["concept"].names)
    with locked(folder, plan):
        purifier = _Purifier(executor, request, begins, sources, judges, bool(unjudged))
        ways = list(_ways(trainings, list(sources)))
        register(setup, work, executor.contexts, scored=True, beside=[("purified", purifier.key(way)) for way in ways])
        begun(sum(len(sources[way.source].names) * len(way.asked) * len(begins) for way in ways))
        cells: list[PurifyCell] = []
        with StageBar("purify", len(ways), "models") as bar:
            for way in ways:
                cells += purifier.purified(way)
                bar.advance(1, way.row)
        found = PurifyRecord(
            images=str(request.images),
            others=None if request.others is None else str(request.others),
            strengths=request.strengths,
            steps=request.steps,
            judge=judges.names[0],
            unjudged=unjudged,
            labels={row: work.labels[row] for row in (ORIGINAL, *dict.fromkeys(row for row, _ in trainings))},
            before=tuple(
                Purified(name=name, seen=seen, ssim=None, psnr=None)
                for name, seen in zip(sources["concept"].names, before, strict=True)
            ),
            unreadable=tuple(text for pictures in sources.values() for text in pictures.unreadable),
            cells=tuple(cells),
        )
        write_json(folder.root / "purify.json", found.model_dump(mode="json"))
        write_purification(folder, plan, found)
        write_own_page(folder)
    return found


def _ways(trainings: Sequence[tuple[str, int | None]], sources: Sequence[str]) -> Iterator[Way]:
    """The controls, original → original and row → row, beside original → row."""
    for row, training in [(ORIGINAL, None), *trainings]:
        for source in sources:
            asked: tuple[Asked, ...] = ("nothing", "concept") if source == "concept" else ("nothing",)
            yield Way(row, training, ORIGINAL, source, asked)
        if row != ORIGINAL:
            yield Way(row, training, row, "concept", ("nothing",))


def read_pictures(folder: Path, side: int, option: str) -> Pictures:
    """A folder's images, cut to squares from their middle and scaled; what can't be read is named.

    Raises:
        BenchError: there is no such folder, or no readable image in it.
    """
    files = image_files(folder) if folder.is_dir() else []
    images = [read_image(file) for file in files]
    known = [(f, i) for f, i in zip(files, images, strict=True) if not isinstance(i, Unreadable)]
    if not known:
        raise BenchError(f"{option} {folder}: no folder with an image that can be read.")
    scaled = [
        np.asarray(ImageOps.fit(Image.fromarray(image), (side, side), Image.Resampling.LANCZOS)) for _, image in known
    ]
    return Pictures(
        np.stack(scaled),
        tuple(file.relative_to(folder).as_posix() for file, _ in known),
        tuple(file_hash(file) for file, _ in known),
        tuple(str(image) for image in images if isinstance(image, Unreadable)),
    )


class _Purifier:
    def __init__(
        self,
        executor: Executor,
        request: PurifyRequest,
        begins: Mapping[float, int],
        sources: Mapping[str, Pictures],
        judges: Judges,
        is_blind: bool,
    ) -> None:
        self.executor, self.request, self.begins, self.sources = executor, request, begins, sources
        self.judges, self.is_blind = judges, is_blind
        self.setup: Setup = executor.setup

    def key(self, way: Way) -> str:
        """The key of all that one way makes."""
        concept = self.executor.work.concept
        return content_key(
            stage="purify",
            version=PURIFY_VERSION,
            denoiser=self._weights(way.row, way.training),
            inverter=self._weights(way.inverter, way.training),
            images=self.sources[way.source].digests,
            names=self.sources[way.source].names,
            side=self.setup.source.image_size,
            asked=way.asked,
            strengths=self.request.strengths,
            steps=self.request.steps,
            phrase=concept.phrase,
            judge=None if self.is_blind else self.judges.key,
            model=self.setup.source.revision,
            made_on=made_on(self.setup.device),
        )

    def purified(self, way: Way) -> list[PurifyCell]:
        """Make what the store lacks of a way and show its images; a cell for each condition and strength."""
        store, key = self.setup.store, self.key(way)
        entry = store.find("purified", key)
        if entry is None:
            with store.making("purified", key) as place:
                write_json(place / CELLS, {"cells": self._made(way, place)})
                weights = self._weights(way.row, way.training)
                entry = store.put("purified", key, {}, of=[] if weights is None else [weights])
        stored: Sequence[dict[str, Any]] = (read_json(entry.file(CELLS)) or {})["cells"]
        own = {"row": way.row, "training": way.training, "source": way.source, "key": key}
        own["inverter"] = ORIGINAL if way.inverter == ORIGINAL else way.row
        cells = [PurifyCell(**{**cell, **own}) for cell in stored]
        for cell in cells:
            self._show(entry, cell)
        return cells

    def _show(self, entry: Entry, cell: PurifyCell) -> None:
        for k, image in enumerate(cell.images):
            stored = _file(cell.asked, cell.strength, k)
            if stored in entry.names:
                show(entry.file(stored), image_of(self.setup.folder, cell, image.name))

    def _made(self, way: Way, place: Path) -> list[dict[str, Any]]:
        pictures, model = self.sources[way.source], self.executor.model.full()
        batch = self.setup.drawing.batch_size
        latents = (
            model.encode_images(pictures.pixels)
            if len(pictures.names) <= batch
            else torch.cat(
                [model.encode_images(pictures.pixels[k : k + batch]) for k in range(0, len(pictures.names), batch)]
            )
        )
        patch = self._patch(way.row, way.training)
        with attached(model, patch if way.inverter != ORIGINAL else {}):
            starts = self._inverted(model, latents, batch)
        cells = []
        with attached(model, patch):
            texts = {"nothing": "", "concept": self.executor.work.concept.phrase}
            for asked in way.asked:
                context = model.encode([texts[asked]])
                for strength, begin in self.begins.items():
                    clean = torch.cat([self._denoised(model, z, context, begin) for z in starts[begin].split(batch)])
                    images, finite = model.decode_checked(clean)
                    for k, image in enumerate(images):
                        write_png(place / _file(asked, strength, k), image)
                    seen = [None] * len(images) if self.is_blind else self.judges.first(images)
                    compared = [
                        _compared(name, before, image, verdict, bool(fine))
                        for name, before, image, verdict, fine in zip(
                            pictures.names, pictures.pixels, images, seen, finite, strict=True
                        )
                    ]
                    own = {"asked": asked, "strength": strength}
                    cells.append({**own, "images": [one.model_dump(mode="json") for one in compared]})
        return cells

    def _inverted(self, model: TextToImage, latents: torch.Tensor, batch: int) -> dict[int, torch.Tensor]:
        empty, levels = model.encode([""]), tuple(self.begins.values())
        parts = [model.invert(some, empty, steps=self.request.steps, until=levels) for some in latents.split(batch)]
        return {level: torch.cat([part[level] for part in parts]) for level in levels}

    def _denoised(self, model: TextToImage, z: torch.Tensor, context: torch.Tensor, begin: int) -> torch.Tensor:
        return model.denoise(z, context, context, steps=self.request.steps, guidance=1, begin=begin)

    def _patch(self, row: str, training: int | None) -> Patch:
        if row == ORIGINAL:
            return {}
        return weights_of(self.setup, self.executor.work.trained[row, training])

    def _weights(self, row: str, training: int | None) -> str | None:
        """The key of a row's weights; None for the original's."""
        return None if row == ORIGINAL else training_key(self.setup, self.executor.work.trained[row, training])


def _file(asked: str, strength: float, number: int) -> str:
    return f"{asked}-{strength:g}-{number:04d}.png"


def _compared(name: str, before: np.ndarray, after: np.ndarray, seen: float | None, is_finite: bool) -> Purified:
    """One result beside its input; nothing of an image that is not finite."""
    if not is_finite:
        return Purified(name=name, seen=None, ssim=None, psnr=None)
    side = min(before.shape[:2])
    window = min(WINDOW, side - 1 + side % 2)
    return Purified(
        name=name,
        seen=seen,
        ssim=float(structural_similarity(before, after, win_size=window, channel_axis=-1, data_range=255)),
        psnr=None if np.array_equal(before, after) else float(peak_signal_noise_ratio(before, after, data_range=255)),
    )
