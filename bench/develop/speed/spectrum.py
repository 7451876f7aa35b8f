"""How fast a spectrum is: against the usual loop over concepts, and against what the machine can do at most."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...models.catalog import find_model
from ...models.loading import load_model
from ...models.patch import Patch, attached
from ...models.text_to_image import TextToImage
from ...models.timing import matrix_gflops, synchronize
from ...spectrum.blocks import ErasedModel
from ...spectrum.draws import Draw, Latents, shared_draws
from ...spectrum.forward import gflop_a_text
from ...spectrum.scan import scan
from ...spectrum.vocabulary import Vocabulary, read_vocabulary

METHODS = (1, 6)  # erased models that share one original
RELATIVE = 1e-4  # how closely both ways' scores must agree, to the largest


def measure_spectrum(
    model_name: str, device: str, concepts: int, draws: int, batch_size: int, rounds: int
) -> Iterator[str]:
    """Lines: both ways' concepts a second for one and six erased models, their ratio, and the share of the limit.

    The usual loop takes one concept at a time: its text encoding, then both models' predictions of every draw, for each
    erased model anew. It is timed on a quarter of the concepts. Erased models are stand-ins with changed keys.
    """
    model = load_model(find_model(model_name), device)
    words = read_vocabulary("words", model.tokenizer, concepts)
    few = words.sample(max(1, concepts // 4))
    latents = shared_draws(model, Latents(draws, 1))
    gflop = gflop_a_text(model, latents[0].z, latents[0].t, model.encode(["a word"] * batch_size))
    yield f"{model_name} on {device}, {concepts} words, {draws} draws, batches of {batch_size}, {rounds} rounds"
    for count in METHODS:
        erased = [_stand_in(model, k) for k in range(count)]
        times: dict[str, list[float]] = {"scan": [], "loop": [], "rate": []}
        agreement = 0.0
        for _ in range(rounds):
            times["rate"].append(matrix_gflops(device))
            seconds, ours = _timed(partial(_scan, model, erased, words, draws, batch_size), device)
            times["scan"].append(seconds / len(words))
            seconds, theirs = _timed(partial(_loop, model, erased, few, latents), device)
            times["loop"].append(seconds / len(few))
            agreement = max(agreement, _disagreement(ours[:, : len(few)], theirs))
        scan_time, loop_time = (statistics.median(times[name]) for name in ("scan", "loop"))
        limit = gflop * draws * (1 + count) / statistics.median(times["rate"])
        yield (
            f"{count} erased: {1 / scan_time:7.1f} concepts a second, {limit / scan_time:.0%} of the limit; "
            f"one by one {1 / loop_time:6.1f}; {loop_time / scan_time:.1f} times as fast; "
            f"scores agree to {agreement:.0e}"
        )


def _scan(model: TextToImage, erased: Sequence[ErasedModel], words: Vocabulary, draws: int, batch: int) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        found = scan(model, erased, words, Path(folder), Latents(draws, 1), batch)
    return np.stack([found.differences[one.name][:, :, 0] for one in erased])


@torch.no_grad()
def _loop(model: TextToImage, erased: Sequence[ErasedModel], words: Vocabulary, draws: Sequence[Draw]) -> np.ndarray:
    """Both models in turn for each concept, batch 1, as evaluation scripts do it; two networks stay in memory."""
    found = np.empty((len(erased), len(words), len(draws)))
    for k, one in enumerate(erased):
        other = copy.copy(model)
        other.unet = model.frozen_copy()
        with attached(other, one.patch()):
            for j, text in enumerate(words.texts):
                context = model.encode([text])
                for i, draw in enumerate(draws):
                    before = model.unet(draw.z, draw.t, context).sample
                    after = other.unet(draw.z, draw.t, context).sample
                    found[k, j, i] = float(((after - before) ** 2).mean())
    return found


def _disagreement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest relative difference of scores."""
    a, b = ours.mean(-1), theirs.mean(-1)
    return float((np.abs(a - b) / b).max())


def _stand_in(model: TextToImage, seed: int) -> ErasedModel:
    """An erased model that nobody trained: cross-attention's keys and values, changed by a tenth of their size."""
    state = {
        name: value for name, value in model.unet.state_dict().items() if "attn2.to_k" in name or "attn2.to_v" in name
    }

    def patch() -> Patch:
        generator = torch.Generator().manual_seed(seed)
        return {
            name: value + 0.1 * value.std() * torch.randn(value.shape, generator=generator).to(value)
            for name, value in state.items()
        }

    fixed = patch()
    return ErasedModel(f"stand-in-{seed}", str(seed), lambda: fixed)


def _timed(work: Callable[[], np.ndarray], device: str) -> tuple[float, np.ndarray]:
    began = time.perf_counter()
    found = work()
    synchronize(device)
    return time.perf_counter() - began, found
