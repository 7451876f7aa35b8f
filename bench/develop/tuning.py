"""Fair settings: one procedure with the same budget for every method.

Every method is tried on one concept (not the one that is reported) at GRID_POINTS settings: learning rate × steps, or
for a closed form its regularisation. The criterion is the harmonic mean of 1 − concept rate and SSIM; ties go to fewer
steps, then to the smaller value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..erasure.method import Method
from ..registry import METHODS
from ..runs.folder import RunFolder
from ..runs.plan import Generation, Plan, Variant
from ..runs.rows import SNAPSHOT
from ..runs.scores import read_score

CONCEPT = "garbage truck"
LEARNING_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
STEPS = (25, 50, 100)
GRID_POINTS = len(LEARNING_RATES) * len(STEPS)
REGULARISATIONS = tuple(float(f"{value:.2g}") for value in np.geomspace(0.01, 100, GRID_POINTS))
IMAGES, SAMPLER_STEPS = 24, 12


def tuning_plan(methods: Sequence[str], concept: str, model: str = "mini") -> Plan:
    """The grid as a plan: a variant for each learning rate, with snapshots for the steps."""
    variants = {}
    for name in methods:
        method: Method = METHODS.load(name)
        if "lr" in method.config.model_fields:
            settings: list[tuple[str, float, dict[str, Any]]] = [
                ("lr", lr, {"lr": lr, "steps": STEPS[-1]}) for lr in LEARNING_RATES
            ]
        else:
            settings = [("regularisation", value, {"regularisation": value}) for value in REGULARISATIONS]
        for key, value, values in settings:
            row = f"{name}-{key}-{value:g}".replace("+", "")
            variants[row] = Variant(method=name, label=f"{method.label}, {key} {value:g}", settings=values)
    trains = any("lr" in variant.settings for variant in variants.values())
    return Plan(
        name="tuning",
        model=model,
        concept=concept,
        variants=variants,
        metrics=["concept_rate", "ssim"],
        images=IMAGES,
        snapshots=list(STEPS) if trains else [],
        generation=Generation(steps=SAMPLER_STEPS, precision="bf16"),
    )


def criterion(concept_rate: float, ssim: float) -> float:
    """The harmonic mean of 1 − concept rate and SSIM; 0 where either is 0.

    >>> criterion(0.0, 0.5)
    0.6666666666666666
    """
    erased, kept = 1 - concept_rate, max(0.0, ssim)
    return 2 * erased * kept / (erased + kept) if erased + kept > 0 else 0.0


def grid_results(plan: Plan, folder: RunFolder) -> pd.DataFrame:
    """Every grid point with its scores; `chosen` marks each method's best."""
    lines = []
    for row, variant in plan.variants.items():
        key = next(key for key in variant.settings if key != "steps")
        places = [(step, f"{row}{SNAPSHOT}{step}") for step in STEPS] if key == "lr" else [(0, row)]
        for steps, scored in places:
            rate, ssim = (read_score(folder.score(scored, name)) for name in ("concept_rate", "ssim"))
            line = {"method": variant.method, "setting": key, "value": variant.settings[key], "steps": steps}
            if rate and ssim and rate.value is not None and ssim.value is not None:
                line |= {
                    "concept_rate": rate.value,
                    "concept_rate_low": rate.low,
                    "concept_rate_high": rate.high,
                    "ssim": ssim.value,
                    "ssim_low": ssim.low,
                    "ssim_high": ssim.high,
                    "n": ssim.n,
                    "criterion": round(criterion(rate.value, ssim.value), 6),
                }
            lines.append(line)
    table = pd.DataFrame(lines)
    ranked = table.sort_values(["criterion", "steps", "value"], ascending=[False, True, True], kind="stable")
    best = ranked.dropna(subset=["criterion"]).groupby("method", sort=False).head(1).index
    table["chosen"] = table.index.isin(best)
    return table
