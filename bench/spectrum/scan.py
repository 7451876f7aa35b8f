"""The scan: every concept through the original and the erased models, block by block, resumable, memory flat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..models.patch import attached, changes_text
from ..models.text_to_image import TextToImage
from ..scoring.statistics import error_of_mean
from .blocks import Blocks, ErasedModel
from .draws import Latents, draws_key, require_float32, shared_draws
from .vocabulary import Vocabulary

BLOCK = 128  # texts that are stored at once: as much is lost at most

Report = Callable[[int, str, int], None]


@dataclass(frozen=True)
class Spectrum:
    """What a scan gives.

    Attributes:
        vocabulary: the concepts.
        differences: by erased model, the mean squared difference of predictions, float64, (concepts, levels, draws).
        embeddings: the concepts' text embeddings at the end token, float32, (concepts, width).
        predictions: UNet predictions made now; what was stored is not counted.
        seconds: that they took.
    """

    vocabulary: Vocabulary
    differences: dict[str, np.ndarray]
    embeddings: np.ndarray
    predictions: int
    seconds: float


def scan(
    model: TextToImage,
    erased: Sequence[ErasedModel],
    vocabulary: Vocabulary,
    folder: Path,
    latents: Latents = Latents(),
    batch_size: int = 32,
    report: Report = lambda done, text, total: None,
) -> Spectrum:
    """Scan a vocabulary; what `folder` holds already is not computed again.

    Concepts that the tokenizer reads alike (a word and the same letters within a word) are computed once. The original
    model's predictions and the text embeddings are kept in `folder`, so that another method costs one model's forwards
    and no more. `report` is given the predictions done so far, the last text, and how many there are in all.

    Args:
        model: the original, in float32.
        erased: the models to compare it with.
        vocabulary: the concepts.
        folder: where blocks are kept.
        latents: that all models see; under two at a level scores have no standard error.
        batch_size: predictions at once; changes no score beyond rounding.
        report: progress.

    Raises:
        OSError: the disk does not keep what is written to it.
        ValueError: the model is in another precision.
    """
    require_float32(model)
    texts, ends, places = distinct(model, vocabulary.texts)
    cut = [slice(start, start + BLOCK) for start in range(0, len(texts), BLOCK)]
    parts = [texts[k] for k in cut]
    blocks = Blocks(model, folder, shared_draws(model, latents), draws_key(model, latents), batch_size)
    done, total = 0, len(texts) * latents.count * (1 + len(erased))

    def count(part: Sequence[str]) -> None:
        nonlocal done
        done += len(part) * latents.count
        report(done, part[-1], total)

    found = {one.name: [blocks.stored_differences(part, one) for part in parts] for one in erased}
    for k, part in enumerate(parts):
        if any(found[one.name][k] is None for one in erased):
            blocks.predict_original(part)
        count(part)
    for one in erased:
        patch = one.patch() if any(each is None for each in found[one.name]) else {}
        with attached(model, patch):
            for k, part in enumerate(parts):
                if found[one.name][k] is None:
                    found[one.name][k] = blocks.compare(part, one, changes_text(patch))
                count(part)
    pooled = [
        blocks.contexts(part)[torch.arange(len(part)), ends[k]].numpy() for part, k in zip(parts, cut, strict=True)
    ]
    differences = {
        name: np.concatenate([part for part in values if part is not None])[places].reshape(
            -1, latents.levels, latents.draws
        )
        for name, values in found.items()
    }
    return Spectrum(vocabulary, differences, np.concatenate(pooled)[places], blocks.predictions, blocks.seconds)


def distinct(model: TextToImage, texts: Sequence[str]) -> tuple[list[str], torch.Tensor, np.ndarray]:
    """Texts without those that the tokenizer reads as an earlier one.

    Returns:
        The texts that are left; the position of each one's end token, (texts left,); and the place of every text of
        `texts` among them, (texts,).
    """
    tokens = [tuple(ids) for ids in model.tokenizer(list(texts), truncation=True).input_ids]
    left: dict[tuple[int, ...], str] = {}
    for ids, text in zip(tokens, texts, strict=True):
        left.setdefault(ids, text)
    place = {ids: k for k, ids in enumerate(left)}
    return list(left.values()), torch.tensor([len(ids) - 1 for ids in left]), np.array([place[ids] for ids in tokens])


def scores_of(differences: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Scores, −the mean over draws, and their standard errors, each of shape (concepts,), by erased model.

    The levels are strata: they are the same for all, and how far they lie apart is no error. The standard error is
    that of a stratified mean, √(mean over levels of the variance within / number of draws); NaN under two a level.
    """
    return {name: (-values.mean((1, 2)), np.sqrt(error_of_mean(values))) for name, values in differences.items()}
