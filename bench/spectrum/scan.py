"""The scan: every concept through the original and the erased models, block by block, resumable, memory flat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ..models import TextToImage
from ..patch import Patch, attached
from ..store import content_key, load_array, save_array
from .draws import Draw, draws_key, shared_draws
from .forward import predict_for_texts
from .vocabulary import Vocabulary

BLOCK = 512  # concepts that are stored at once: as much is lost at most
VERSION = 1

Report = Callable[[int, str], None]


@dataclass(frozen=True)
class Erased:
    """One erased model of a spectrum: its name, the key of its weights, and how to load what changed."""

    name: str
    key: str
    patch: Callable[[], Patch]


@dataclass(frozen=True)
class Spectrum:
    """What a scan gives.

    Attributes:
        vocabulary: the concepts.
        differences: by erased model, the mean squared difference of predictions, float64 of shape (concepts, draws).
        embeddings: the concepts' pooled text embeddings, float32 of shape (concepts, width).
    """

    vocabulary: Vocabulary
    differences: dict[str, np.ndarray]
    embeddings: np.ndarray


def scan(
    model: TextToImage,
    erased: Sequence[Erased],
    vocabulary: Vocabulary,
    folder: Path,
    draws: int = 4,
    seed: int = 0,
    batch_size: int = 32,
    report: Report = lambda count, text: None,
) -> Spectrum:
    """Scan a vocabulary; what `folder` holds already is not computed again.

    The original model's predictions and the text embeddings are kept in `folder`, so that another method costs one
    model's forwards and no more. `report` is given the number of predictions done so far, of
    len(vocabulary) · draws · (1 + len(erased)).

    Args:
        model: the original, in the precision to predict in.
        erased: the models to compare it with.
        vocabulary: the concepts.
        folder: where blocks are kept.
        draws: shared latents.
        seed: of the latents.
        batch_size: predictions at once; changes no score beyond rounding.
        report: progress.
    """
    shared = shared_draws(model, draws, seed)
    blocks = _Blocks(model, folder, shared, draws_key(model, draws, seed), batch_size)
    found: dict[str, list[np.ndarray]] = {one.name: [] for one in erased}
    pooled, done = [], 0
    for start in range(0, len(vocabulary), BLOCK):
        texts = vocabulary.texts[start : start + BLOCK]
        pooled.append(blocks.embeddings(texts))
        for one in erased:
            found[one.name].append(blocks.differences(texts, one))
        done += len(texts) * draws * (1 + len(erased))
        report(done, texts[-1])
    return Spectrum(vocabulary, {name: np.concatenate(parts) for name, parts in found.items()}, np.concatenate(pooled))


class _Blocks:
    """Blocks of texts: their embeddings, predictions and differences, each stored under a key of its content."""

    def __init__(self, model: TextToImage, folder: Path, draws: Sequence[Draw], key: str, batch_size: int) -> None:
        self.model, self.folder, self.draws, self.batch_size = model, folder, draws, batch_size
        self.common = {"version": VERSION, "draws": key, "dtype": str(model.unet.dtype)}
        self._contexts: tuple[str, torch.Tensor] = ("", torch.zeros(0))

    def embeddings(self, texts: Sequence[str]) -> np.ndarray:
        """Pooled text embeddings, (texts, width): the hidden state at the end token."""
        key = content_key(texts=texts, model=self.model.revision, what="pooled")
        found = load_array(self.folder / "texts" / f"{key}-pooled.safetensors", key)
        if found is None:
            self.contexts(texts, again=True)
            found = load_array(self.folder / "texts" / f"{key}-pooled.safetensors", key)
        if found is None:
            raise OSError(f"{self.folder} does not keep what is written to it")
        return found

    @torch.no_grad()
    def contexts(self, texts: Sequence[str], again: bool = False) -> torch.Tensor:
        """Text embeddings, (texts, 77, width), encoded once and kept."""
        key = content_key(texts=texts, model=self.model.revision, what="contexts")
        if self._contexts[0] == key:
            return self._contexts[1]
        path = self.folder / "texts" / f"{key}.safetensors"
        stored = None if again else load_array(path, key)
        if stored is None:
            parts, ends = [], []
            for k in range(0, len(texts), self.batch_size):
                few = list(texts[k : k + self.batch_size])
                parts.append(self.model.encode(few).float().cpu())
                counts = torch.tensor([self.model.token_count(text) for text in few])
                ends.append(parts[-1][torch.arange(len(few)), counts + 1])
            stored = torch.cat(parts).numpy()
            save_array(path, stored, key)
            pooled = content_key(texts=texts, model=self.model.revision, what="pooled")
            save_array(self.folder / "texts" / f"{pooled}-pooled.safetensors", torch.cat(ends).numpy(), pooled)
        self._contexts = key, torch.from_numpy(stored)
        return self._contexts[1]

    def original(self, texts: Sequence[str]) -> np.ndarray:
        """The original model's predictions, float32 of shape (draws, texts, channels, height, width)."""
        key = content_key(**self.common, texts=texts, what="original")
        path = self.folder / "original" / f"{key}.safetensors"
        found = load_array(path, key)
        if found is None:
            found = self._predict(texts)
            save_array(path, found, key)
        return found

    def differences(self, texts: Sequence[str], erased: Erased) -> np.ndarray:
        """The mean squared difference to the original's predictions, float64 of shape (texts, draws)."""
        key = content_key(**self.common, texts=texts, erased=erased.key)
        path = self.folder / erased.name / f"{key}.safetensors"
        found = load_array(path, key)
        if found is None:
            original = self.original(texts)
            with attached(self.model.unet, erased.patch()):
                own = self._predict(texts)
            found = ((own - original) ** 2).mean((2, 3, 4), dtype=np.float64).T
            save_array(path, found, key)
        return found

    def _predict(self, texts: Sequence[str]) -> np.ndarray:
        contexts = self.contexts(texts)
        found = np.empty((len(self.draws), len(texts), *self.model.latent_shape), np.float32)

        @torch.no_grad()
        def predict(k: int, start: int) -> None:
            few = contexts[start : start + self.batch_size].to(self.model.device)
            draw = self.draws[k]
            noise = predict_for_texts(self.model.unet, draw.z, draw.t, few)
            found[k, start : start + len(few)] = noise.float().cpu().numpy()

        parts = [(k, start) for k in range(len(self.draws)) for start in range(0, len(texts), self.batch_size)]
        with _workers(self.model.device) as workers:
            list(workers.map(lambda part: predict(*part), parts))
        self.model.forwards.without_gradient += len(self.draws) * len(texts)
        return found


@contextmanager
def _workers(device: str) -> Iterator[ThreadPoolExecutor]:
    """On a CPU a thread a core, each with a core of its own: faster than one batch at a time on all of them."""
    threads = torch.get_num_threads()
    count = threads if device == "cpu" else 1
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        alone = partial(torch.set_num_threads, 1) if device == "cpu" else None  # a new thread asks for all cores again
        with ThreadPoolExecutor(count, initializer=alone) as workers:
            yield workers
    finally:
        torch.set_num_threads(threads)


def scores_of(differences: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Scores, −the mean over draws, and their standard errors, each of shape (concepts,), by erased model."""
    return {
        name: (-values.mean(1), values.std(1, ddof=1) / np.sqrt(values.shape[1]) if values.shape[1] > 1
               else np.full(len(values), np.nan))
        for name, values in differences.items()
    }  # fmt: skip
