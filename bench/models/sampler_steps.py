"""How many steps a sampler can take: those that go through a model's noise levels from pure noise on."""

from __future__ import annotations

LEVELS = 1000  # noise levels of Stable Diffusion, 0 … 999
SKIPPED = 0.1  # the share of the noisiest levels that a sampler may leave out


def first_level(solver: str, steps: int, levels: int = LEVELS) -> tuple[int, int]:
    """The level that a sampler starts at, and how many levels a step is wide.

    "Leading" timesteps are whole multiples of a width rounded down: many steps that don't divide the levels begin far
    below the noisiest one. DPM-Solver++ counts one step more; LMS has "linspace" ones.

    >>> first_level("ddim", 50), first_level("ddim", 600), first_level("dpm++", 500)
    ((981, 20), (600, 1), (501, 1))
    """
    if solver == "lms":
        return (levels - 1 if steps > 1 else 0), levels // steps
    more = solver == "dpm++"
    width = levels // (steps + more)
    return (steps - 1 + more) * width + 1, width


def schedule_fault(solver: str, steps: int, levels: int = LEVELS) -> str | None:
    """What is wrong with so many steps; None where they go through all levels but at most SKIPPED.

    A sampler starts from pure noise, which a model takes for an image with noise at a level far below the last.
    """
    if _fits(solver, steps, levels):
        return None
    below = next((k for k in range(steps, 0, -1) if _fits(solver, k, levels)), None)
    above = next((k for k in range(steps, levels + 1) if _fits(solver, k, levels)), None)
    near = " or ".join(str(k) for k in (below, above) if k is not None)
    first, _ = first_level(solver, steps, levels)
    return (
        f"{steps} steps of {solver} would start at level {first} of 0 … {levels - 1}, not from pure noise: take {near}"
    )


def _fits(solver: str, steps: int, levels: int) -> bool:
    first, width = first_level(solver, steps, levels)
    return first < levels and width > 0 and first + width >= (1 - SKIPPED) * levels


def single_step_fault(solver: str, steps: int) -> str | None:
    """What is wrong with a single step at the last level, where hardly any noise is due; None for others."""
    if first_level(solver, steps)[0] > 1:
        return None
    return f"a single step of {solver} is at the last level, where it leaves noise as it is: take 2 or more"
