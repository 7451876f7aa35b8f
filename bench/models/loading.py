"""Reading a model's weights."""

from __future__ import annotations

from pathlib import Path

from .catalog import RANDOM_MODEL, ModelSource
from .devices import switch_off_tf32
from .pipeline_folder import open_pipeline
from .read_pipeline import read_pipeline
from .text_to_image import TextToImage, check_finite


def load_model(source: ModelSource, device: str) -> TextToImage:
    """Read a model's weights in float32, which TF32 is no part of.

    Raises:
        BenchError: it is no model that the bench can use.
        ModelUnavailable: the weights can't be read or fetched, or are not finite.
    """
    switch_off_tf32()
    if source.source == RANDOM_MODEL:
        from .random_weights import random_pipeline

        pipeline = random_pipeline()
    else:
        source = source.fetched()
        pipeline = read_pipeline(open_pipeline(Path(source.source)))
    check_finite(pipeline, source.name)
    return TextToImage(pipeline, source.name, source.family.name, source.revision, device)
