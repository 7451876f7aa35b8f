"""What a run is made from, resolved once: plan, model, folder, device and precision."""

from __future__ import annotations

from dataclasses import dataclass

from ..models.catalog import ModelSource, find_model
from ..runs.folder import RunFolder
from ..runs.plan import Plan


@dataclass(frozen=True)
class Setup:
    """One plan in one folder on one device.

    Attributes:
        plan: what to run.
        source: the model that the plan names, fetched.
        folder: where everything of the run lies.
        device: "cpu", "cuda" or "cuda:N".
        precision: "fp32", "fp16" or "bf16", of "training" and of "generation".
    """

    plan: Plan
    source: ModelSource
    folder: RunFolder
    device: str
    precision: dict[str, str]


def resolve(plan: Plan, folder: RunFolder, device: str) -> Setup:
    """Find the model and what "auto" means on the device; float32 is exact from here on (TF32 off).

    Raises:
        BenchError: the model is unknown or no model that can be used, the CLIP model is none, or the device lacks a
            precision.
        ModelUnavailable: the model can't be fetched.
    """
    source = find_model(plan.model).fetched()
    from ..models.devices import resolve_precision, resolve_training_precision, switch_off_tf32
    from ..registry import METRICS
    from ..scoring.clip_files import fetch_clip

    if any(METRICS.load(name).clip for name in plan.metrics):
        fetch_clip(plan.scoring.clip)
    switch_off_tf32()  # before the record says so: models are loaded later
    precision = {
        "training": resolve_training_precision(plan.training.precision, device),
        "generation": resolve_precision(plan.generation.precision, device),
    }
    return Setup(plan, source, folder, device, precision)
