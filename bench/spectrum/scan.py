"""The scan: every concept through the original and the erased models, block by block, resumable, memory flat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..models import TextToImage
from ..patch import attached
from .blocks import Blocks, Erased
from .draws import draws_key, shared_draws
from .vocabulary import Vocabulary

BLOCK = 128  # texts that are stored at once: as much is lost at most

Report = Callable[[int, str, int], None]


@dataclass(frozen=True)
class Spectrum:
    """What a scan gives.

    Attributes:
        vocabulary: the concepts.
        differences: by erased model, the mean squared difference of predictions, float64 of shape (concepts, draws).
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
    erased: Sequence[Erased],
    vocabulary: Vocabulary,
    folder: Path,
    draws: int = 4,
    seed: int = 0,
    batch_size: int = 32,
    report: Report = lambda done, text, total: None,
) -> Spectrum:
    """Scan a vocabulary; what `folder` holds already is not computed again.

    Concepts that the tokenizer reads alike (a word and the same letters within a word) are computed once. The original
    model's predictions and the text embeddings are kept in `folder`, so that another method costs one model's forwards
    and no more. `report` is given the predictions done so far, the last text, and how many there are in all.

    Args:
        model: the original, in the precision to predict in.
        erased: the models to compare it with.
        vocabulary: the concepts.
        folder: where blocks are kept.
        draws: shared latents.
        seed: of the latents.
        batch_size: predictions at once; changes no score beyond rounding.
        report: progress.

    Raises:
        OSError: the disk does not keep what is written to it.
    """
    texts, ends, places = distinct(model, vocabulary.texts)
    cut = [slice(start, start + BLOCK) for start in range(0, len(texts), BLOCK)]
    parts = [texts[k] for k in cut]
    blocks = Blocks(model, folder, shared_draws(model, draws, seed), draws_key(model, draws, seed), batch_size)
    done, total = 0, len(texts) * draws * (1 + len(erased))

    def count(part: Sequence[str]) -> None:
        nonlocal done
        done += len(part) * draws
        report(done, part[-1], total)

    found = {one.name: [blocks.stored_differences(part, one) for part in parts] for one in erased}
    for k, part in enumerate(parts):
        if any(found[one.name][k] is None for one in erased):
            blocks.predict_original(part)
        count(part)
    for one in erased:
        with attached(model.unet, one.patch() if any(each is None for each in found[one.name]) else {}):
            for k, part in enumerate(parts):
                if found[one.name][k] is None:
                    found[one.name][k] = blocks.compare(part, one)
                count(part)
    pooled = [
        blocks.contexts(part)[torch.arange(len(part)), ends[k]].numpy() for part, k in zip(parts, cut, strict=True)
    ]
    differences = {
        name: np.concatenate([part for part in values if part is not None])[places] for name, values in found.items()
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
    """Scores, −the mean over draws, and their standard errors, each of shape (concepts,), by erased model."""
    return {
        name: (-values.mean(1), values.std(1, ddof=1) / np.sqrt(values.shape[1]) if values.shape[1] > 1
               else np.full(len(values), np.nan))
        for name, values in differences.items()
    }  # fmt: skip
