"""The spectrum's second reading: images of the same seed by both models, compared in CLIP space."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import BenchError
from ..images.image_set import Encoder, ImageSet
from ..images.jobs import plan_jobs
from ..images.set_folder import prepare_images
from ..images.shard_drawing import draw_shard
from ..images.shards import cuts_of, shards_of
from ..models.devices import resolve_precision
from ..models.patch import attached
from ..models.provenance import made_on
from ..models.text_to_image import TextToImage
from ..runs.folder import RunFolder
from ..runs.plan import Generation
from ..scoring.statistics import estimate
from ..storage.store import Store
from .blocks import ErasedModel
from .vocabulary import Vocabulary

MOST = 500  # concepts: images are dear
SET = "concepts"  # what the set of images is called in the folder


def image_space(
    model: TextToImage,
    erased: ErasedModel,
    vocabulary: Vocabulary,
    folder: Path,
    samples: int,
    seed: int,
    settings: Generation,
    store: Store,
    encoder: Encoder,
    done: Callable[[int], None],
) -> pd.DataFrame:
    """One line a concept: the mean cosine of the two models' images with its interval over samples, n and rank.

    Both models draw `samples` images of every concept from the same seeds; what is drawn already is kept.

    Raises:
        BenchError: there are more than MOST concepts.
    """
    from erasebench.prompts.prompt import Prompt

    if len(vocabulary) > MOST:
        raise BenchError(
            f"--space image draws {samples} images a concept with every model: at most {MOST} concepts, not "
            f"{len(vocabulary)}. Give --limit or a file."
        )
    prompts = [Prompt(f"concept-{k:04d}", text) for k, text in enumerate(vocabulary.texts)]
    jobs = plan_jobs(prompts, len(prompts) * samples, seed)
    place, features = RunFolder(folder), list[np.ndarray]()
    for name, key, patch in (("original", "original", dict), (erased.name, erased.key, erased.patch)):
        made_from = {
            "model": model.revision,
            "erased": key,
            "settings": settings.model_dump(exclude={"batch_size", "precision"}),
            "precision": resolve_precision(settings.precision, model.device),
            "made_on": made_on(model.device),
        }
        shards = shards_of(cuts_of(jobs, settings.batch_size), made_from)
        images = ImageSet(name, SET, place.images(name, SET), jobs, "", store, drawn=shards, made_from=made_from)
        prepare_images(place, images)
        with attached(model, patch()):
            for shard in shards:
                draw_shard(store, images, shard, model, settings, done=done)
        found = images.features(encoder)
        features.append(found / np.linalg.norm(found, axis=1, keepdims=True))
    cosines = (features[0] * features[1]).sum(1)
    lines = []
    for k, text in enumerate(vocabulary.texts):
        own = cosines[k :: len(prompts)]
        values = [float(value) if np.isfinite(value) else None for value in own]
        mean = estimate(values, [str(j) for j in range(len(own))], [None] * len(own), of="samples")
        score, low, high, n = (mean.value, mean.low, mean.high, mean.n) if mean else (None, None, None, 0)
        lines.append({"concept": text, "token_id": vocabulary.ids[k], "score": score, "low": low, "high": high, "n": n})
    table = pd.DataFrame(lines).astype({"score": float, "low": float, "high": float})  # none is NaN
    table["rank"] = table["score"].rank(method="min")
    return table
