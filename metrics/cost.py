"""What the erasure cost."""

from dataclasses import replace

import numpy as np

from erasebench import NotApplicable, ScoringContext, SetScore, metric


def _mean(context: ScoringContext, key: str) -> SetScore:
    if not context.costs:
        raise NotApplicable("nothing was trained")
    if any(cost is None for cost in context.costs):
        raise NotApplicable("not known: the weights were not made here")
    return SetScore(
        float(np.mean([cost[key] for cost in context.costs if cost is not None])),
        len(context.costs),
        note="mean over trainings",
    )


@metric(label="Steps", better="lower", prompts=None, digits=0)
def train_steps(images: None, context: ScoringContext) -> SetScore:
    """Optimiser updates; 0 for a closed form."""
    return _mean(context, "train_steps")


@metric(label="Seconds", better="lower", prompts=None, digits=1)
def train_seconds(images: None, context: ScoringContext) -> SetScore:
    """Wall-clock seconds of the erasure on the device that the run names, beside as many workers as the note says."""
    found = _mean(context, "train_seconds")
    others = sorted({cost["workers"] - 1 for cost in context.costs if cost is not None})
    return replace(found, note=f"trained beside {' or '.join(map(str, others))} other workers")


@metric(label="UNet forwards", better="lower", prompts=None, digits=0)
def unet_forwards(images: None, context: ScoringContext) -> SetScore:
    """UNet forwards without gradient, in images; a guided prediction counts 2."""
    return _mean(context, "forwards")


@metric(label="With gradient", better="lower", prompts=None, digits=0)
def unet_forwards_with_gradient(images: None, context: ScoringContext) -> SetScore:
    """UNet forwards with gradient, in images."""
    return _mean(context, "forwards_with_gradient")


@metric(label="Peak MiB", better="lower", prompts=None, digits=0)
def peak_memory_mb(images: None, context: ScoringContext) -> SetScore:
    """The highest memory in use while erasing, in MiB: of the GPU, or of the whole process on a CPU."""
    return _mean(context, "peak_memory_mb")
