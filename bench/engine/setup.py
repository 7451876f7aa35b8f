"""What a run is made from, resolved once: plan, model, folder, store, device and precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..models.catalog import ModelSource, find_model
from ..runs.attacks import AttackRequest
from ..runs.folder import RunFolder
from ..runs.plan import Generation, Plan
from ..runs.record import devices_of
from ..storage.store import Store


@dataclass(frozen=True)
class Setup:
    """One plan in one folder on one device.

    Attributes:
        plan: what to run.
        source: the model that the plan names, fetched.
        folder: where everything of the run is shown.
        store: where everything is kept, shared with other runs.
        device: "cpu", "cuda" or "cuda:N".
        precision: "fp32", "fp16" or "bf16", of "training" and of "generation".
        drawing: how images are drawn, with the batch size that suits the device where the plan leaves that open.
        made_on: the libraries and the device's name that trainings and images are planned on: of the process that was
            started, whichever does a task.
        attacks: what is attacked with what; None where nothing is.
        here: the name of this process's device where it is another one: of a worker on a cluster of several kinds.
        elsewhere: the names of other devices that images were drawn on, or may be; more become known as machines come.
    """

    plan: Plan
    source: ModelSource
    folder: RunFolder
    store: Store
    device: str
    precision: dict[str, str]
    drawing: Generation
    made_on: Mapping[str, str | None]
    attacks: AttackRequest | None = None
    here: str | None = None
    elsewhere: list[str] = field(default_factory=list)


def resolve(plan: Plan, folder: RunFolder, device: str, store: Path | None = None) -> Setup:
    """Find the model and what "auto" means on the device; float32 is exact from here on (TF32 off).

    Args:
        plan: what to run.
        folder: the run's.
        device: "cpu", "cuda" or "cuda:N".
        store: a folder; None for the one that the run used before, or that lies beside it.

    Raises:
        BenchError: the model is unknown or no model that can be used, the CLIP model is none, or the device lacks a
            precision.
        ModelUnavailable: the model can't be fetched.
    """
    source = find_model(plan.model).fetched()
    from ..models.devices import switch_off_tf32
    from ..registry import METRICS
    from ..scoring.clip_files import fetch_clip

    if any(METRICS.load(name).clip for name in plan.metrics):
        fetch_clip(plan.scoring.clip)
    switch_off_tf32()  # before the record says so: models are loaded later
    return set_up(plan, source, folder, device, store)


def set_up(plan: Plan, source: ModelSource, folder: RunFolder, device: str, store: Path | None = None) -> Setup:
    """The same for a model that is known, which is not fetched."""
    from ..models.devices import resolve_batch_size, resolve_precision, resolve_training_precision
    from ..models.provenance import made_on

    precision = {
        "training": resolve_training_precision(plan.training.precision, device),
        "generation": resolve_precision(plan.generation.precision, device),
    }
    batch_size = resolve_batch_size(plan.generation.batch_size, device, plan.generation.size or source.image_size)
    drawing = plan.generation.model_copy(update={"batch_size": batch_size})
    return Setup(
        plan,
        source,
        folder,
        Store((store or folder.store).resolve()),
        device,
        precision,
        drawing,
        made_on(device),
        elsewhere=[name for name in devices_of(folder) if name != made_on(device)["device"]],
    )
