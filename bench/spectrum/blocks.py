"""Blocks of texts: embeddings, predictions and differences, computed once and stored under a key of their content."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ..models.patch import Patch
from ..models.provenance import made_on
from ..models.text_to_image import TextToImage
from ..storage.arrays import load_array, save_array
from ..storage.keys import content_key
from .draws import PRECISION, Draw
from .forward import predict_for_texts

VERSION = 3


@dataclass(frozen=True)
class ErasedModel:
    """One erased model of a spectrum: its name, the key of its weights, and how to load what changed."""

    name: str
    key: str
    patch: Callable[[], Patch]


class Blocks:
    """What a scan stores.

    Attributes:
        predictions: how many were computed so far, not found.
        seconds: that this took.
    """

    def __init__(self, model: TextToImage, folder: Path, draws: Sequence[Draw], key: str, batch_size: int) -> None:
        self.model, self.folder, self.draws, self.batch_size = model, folder, draws, batch_size
        self.common = {"version": VERSION, "draws": key, "precision": PRECISION, "made_on": made_on(model.device)}
        self.predictions, self.seconds = 0, 0.0

    @torch.no_grad()
    def contexts(self, texts: Sequence[str], encoder: str = "") -> torch.Tensor:
        """Text embeddings, (texts, 77, width); `encoder` is the key of its weights, "" for the original's."""
        key = content_key(
            texts=texts,
            encoder=encoder,
            model=self.model.revision,
            what="contexts",
            precision=PRECISION,
            made_on=made_on(self.model.device),
        )
        path = self.folder / "texts" / f"{key}.safetensors"
        stored = load_array(path, key)
        if stored is None:
            few = (texts[k : k + self.batch_size] for k in range(0, len(texts), self.batch_size))
            stored = torch.cat([self.model.encode(part).float().cpu() for part in few]).numpy()
            save_array(path, stored, key)
        return torch.from_numpy(stored)

    def predict_original(self, texts: Sequence[str]) -> None:
        """Store the original model's predictions, float32 of shape (draws, texts, channels, height, width)."""
        path, key = self._original(texts)
        if load_array(path, key) is None:
            save_array(path, self._predict(texts), key)

    def stored_differences(self, texts: Sequence[str], erased: ErasedModel) -> np.ndarray | None:
        """The mean squared differences to the original's predictions, float64 of shape (texts, draws), if stored."""
        return load_array(*self._differences(texts, erased))

    def compare(self, texts: Sequence[str], erased: ErasedModel, own_text: bool = False) -> np.ndarray:
        """The same differences, computed and stored; the model must have the erased one's weights.

        `own_text` says that the text encoder's are among them: each model then predicts with its own embeddings.

        Raises:
            OSError: the original's predictions are not there.
        """
        original = load_array(*self._original(texts))
        if original is None:
            raise OSError(f"{self.folder} did not keep the original model's predictions; run the same command again.")
        path, key = self._differences(texts, erased)
        found = (
            ((self._predict(texts, erased.key if own_text else "") - original) ** 2).mean((2, 3, 4), dtype=np.float64).T
        )
        save_array(path, found, key)
        return found

    def _original(self, texts: Sequence[str]) -> tuple[Path, str]:
        key = content_key(**self.common, texts=texts, what="original")
        return self.folder / "original" / f"{key}.safetensors", key

    def _differences(self, texts: Sequence[str], erased: ErasedModel) -> tuple[Path, str]:
        key = content_key(**self.common, texts=texts, erased=erased.key)
        return self.folder / erased.name / f"{key}.safetensors", key

    def _predict(self, texts: Sequence[str], encoder: str = "") -> np.ndarray:
        began = time.perf_counter()
        contexts = self.contexts(texts, encoder)
        found = np.empty((len(self.draws), len(texts), *self.model.latent_shape), np.float32)

        @torch.inference_mode()
        def predict(k: int, start: int) -> None:
            few = contexts[start : start + self.batch_size].to(self.model.device)
            draw = self.draws[k]
            predicted = predict_for_texts(self.model, draw.z, draw.t, few).float()
            found[k, start : start + len(few)] = self.model.as_noise(predicted, draw.z, draw.t).cpu().numpy()

        parts = [(k, start) for k in range(len(self.draws)) for start in range(0, len(texts), self.batch_size)]
        with _workers(self.model.device) as workers:
            list(workers.map(lambda part: predict(*part), parts))
        self.model.forwards.without_gradient += len(self.draws) * len(texts)
        self.predictions += len(self.draws) * len(texts)
        self.seconds += time.perf_counter() - began
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
