"""Diffusers' samplers as papers and scripts configure them, to compare with."""

from typing import Any

from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, LMSDiscreteScheduler, PNDMScheduler

from erasebench.models.text_to_image import TextToImage

OWN: dict[str, tuple[Any, dict[str, Any]]] = {
    "ddim": (
        DDIMScheduler,
        {"timestep_spacing": "leading", "steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False},
    ),
    "dpm++": (DPMSolverMultistepScheduler, {"timestep_spacing": "leading", "steps_offset": 1}),
    "lms": (LMSDiscreteScheduler, {"timestep_spacing": "linspace", "steps_offset": 1}),
    "pndm": (PNDMScheduler, {"timestep_spacing": "leading", "steps_offset": 1, "skip_prk_steps": True}),
}


def theirs(solver: str, model: TextToImage) -> Any:
    """A diffusers sampler on a model's noise levels."""
    kind, own = OWN[solver]
    return kind(**model.levels, **own)
