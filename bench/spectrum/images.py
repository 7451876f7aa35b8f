"""The spectrum's second reading: images of the same seed by both models, compared in CLIP space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from ..errors import BenchError
from ..images.image_set import ImageSet
from ..images.jobs import plan_jobs
from ..images.set_folder import prepare_images
from ..images.shard_drawing import draw_shard
from ..images.shards import cuts_of, shards_of
from ..models.devices import resolve_precision
from ..models.patch import Patch, attached
from ..models.provenance import made_on
from ..models.text_to_image import TextToImage
from ..runs.folder import RunFolder
from ..runs.plan import Plan
from ..scoring.encoders import clip_of
from ..scoring.statistics import estimate
from ..storage.store import Store
from .blocks import ErasedModel
from .request import SpectrumRequest
from .vocabulary import Vocabulary

MOST = 500  # concepts: images are dear
SET = "concepts"  # what the set of images is called in the folder


def image_space(
    model: TextToImage,
    erased: Sequence[ErasedModel],
    vocabulary: Vocabulary,
    run: RunFolder,
    request: SpectrumRequest,
    plan: Plan,
    done: Callable[[int], None],
) -> Iterator[tuple[str, pd.DataFrame]]:
    """A table for each erased model, one line a concept: score, low, high, n and rank.

    The score is the mean cosine in [-1, 1] of its images and the original's of the same seed in CLIP space, with the
    interval over samples. The original's images are drawn and read once; what is drawn already is kept.

    Args:
        model: the original; it is cast to the plan's precision.
        erased: the models to compare it with.
        vocabulary: the concepts.
        run: whose store keeps images and features, and below whose `spectrum` the images are seen.
        request: how many images of a concept, from which seed, how many at once.
        plan: sampler, guidance, precision and the CLIP model.
        done: told how many images more are there.

    Raises:
        BenchError: there are more than MOST concepts.
    """
    from erasebench.prompts.prompt import Prompt

    if len(vocabulary) > MOST:
        raise BenchError(
            f"--space image draws {request.draws} images a concept with every model: at most {MOST} concepts, not "
            f"{len(vocabulary)}. Give --limit or a file."
        )
    prompts = [Prompt(f"concept-{k:04d}", text) for k, text in enumerate(vocabulary.texts)]
    jobs = plan_jobs(prompts, len(prompts) * request.draws, request.seed)
    place, store = RunFolder(run.root / "spectrum"), Store(run.store)
    settings = plan.generation.model_copy(update={"batch_size": request.batch_size})
    precision = resolve_precision(settings.precision, model.device)
    model.set_precision(precision)
    encoder = clip_of(plan.scoring.clip, model.device)

    def features(name: str, key: str, patch: Patch) -> np.ndarray:
        """Embeddings of a model's images, of length 1: (jobs, width); NaN where one can't be read."""
        made_from = {
            "model": model.revision,
            "erased": key,
            "settings": settings.model_dump(exclude={"batch_size", "precision"}),
            "precision": precision,
            "made_on": made_on(model.device),
        }
        shards = shards_of(cuts_of(jobs, settings.batch_size), made_from)
        images = ImageSet(name, SET, place.images(name, SET), jobs, "", store, drawn=shards, made_from=made_from)
        prepare_images(place, images)
        with attached(model, patch):
            for shard in shards:
                draw_shard(store, images, shard, model, settings, done=done)
        found = images.features(encoder)
        unit: np.ndarray = found / np.linalg.norm(found, axis=1, keepdims=True)
        return unit

    original = features("original", "original", {})
    for one in erased:
        yield one.name, _table(vocabulary, (original * features(one.name, one.key, one.patch())).sum(1))


def _table(vocabulary: Vocabulary, cosines: np.ndarray) -> pd.DataFrame:
    """A line a concept from the cosines of all images, which lie sample by sample."""
    lines = []
    for k, text in enumerate(vocabulary.texts):
        own = cosines[k :: len(vocabulary)]
        values = [float(value) if np.isfinite(value) else None for value in own]
        mean = estimate(values, [str(j) for j in range(len(own))], [None] * len(own), of="samples")
        score, low, high, n = (mean.value, mean.low, mean.high, mean.n) if mean else (None, None, None, 0)
        lines.append({"concept": text, "token_id": vocabulary.ids[k], "score": score, "low": low, "high": high, "n": n})
    table = pd.DataFrame(lines).astype({"score": float, "low": float, "high": float})  # none is NaN
    table["rank"] = table["score"].rank(method="min")
    return table
