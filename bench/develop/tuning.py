"""Fair settings: one procedure with the same budget for every method.

Every method is tried on two concepts that are never reported, from two trainings each, at BUDGET settings. A learning
rate is tried with the steps STEPS as snapshots; where a paper leaves more open (which weights are trained, how strong a
penalty is), learning rates are fewer, so that the trainings are as many. A closed form is tried at as many values of
its regularisation as others have points. The criterion is the harmonic mean of 1 − concept rate and SSIM, averaged over
the concepts; ties go to fewer steps, then to the smaller value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from ..erasure.method import Method
from ..errors import BenchError
from ..registry import METHODS
from ..runs.folder import RunFolder
from ..runs.plan import Generation, Plan, Variant
from ..runs.rows import SNAPSHOT
from ..runs.scores import read_score

CONCEPTS = ("cat", "french horn")
SEEDS = (0, 1)
STEPS = (25, 50, 100)
BUDGET = 12  # trainings of a method, for each concept and seed
LEARNING_RATES = (1e-4, 1e-2)  # from, to
REGULARISATIONS = (0.01, 100.0)  # likewise
# What papers leave open beside the learning rate and the steps.
OPEN: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "all-but-one": {"parameters": ("xattn", "full"), "penalty": (5.0, 50.0)},
    "all-but-one-implicit": {"parameters": ("xattn", "full")},
    "naive-preserve": {"parameters": ("xattn", "full")},
}
# Their presets are from a few trials on another concept than any that is reported, or those of AGE and several
# targets from none; the next `bench tune` has them too.
NOT_YET = ("advunlearn", "age", "defended", "multi-target", "race", "rece", "salun", "spm")
IMAGES, SAMPLER_STEPS = 24, 12


def grid(method: Method, name: str) -> list[dict[str, Any]]:
    """The settings at which a method is tried, BUDGET trainings or closed forms for every point of those."""
    if "lr" not in method.config.model_fields:
        return [{"regularisation": value} for value in _spread(*REGULARISATIONS, BUDGET * len(STEPS))]
    opened = OPEN.get(name, {})
    choices = [dict(zip(opened, values, strict=True)) for values in product(*opened.values())]
    rates = _spread(*LEARNING_RATES, BUDGET // len(choices))
    return [{"lr": lr, **choice, "steps": STEPS[-1]} for choice in choices for lr in rates]


def _spread(low: float, high: float, count: int) -> list[float]:
    """Evenly spread in the logarithm, to two digits."""
    return [float(f"{value:.2g}") for value in np.geomspace(low, high, count)]


def tuning_plan(methods: Sequence[str], concept: str, model: str = "mini") -> Plan:
    """The grid on one concept as a plan: a variant for each training, with snapshots for the steps.

    Methods that guide sampling have no grid, as nothing is trained, and are left out.

    Raises:
        BenchError: no other is named.
    """
    variants = {}
    for name in methods:
        method: Method = METHODS.load(name)
        if method.guide is not None:
            continue
        for settings in grid(method, name):
            told = {key: value for key, value in settings.items() if key != "steps"}
            text = ", ".join(f"{key} {_short(value)}" for key, value in told.items())
            row = "-".join([name, *(_short(value) for value in told.values())]).replace("+", "")
            variants[row] = Variant(method=name, label=f"{method.label}, {text}", settings=settings)
    if not variants:
        raise BenchError(f"{', '.join(methods)}: they guide sampling and train nothing: there is no grid for them.")
    trains = any("lr" in variant.settings for variant in variants.values())
    return Plan(
        name="tuning",
        model=model,
        concept=concept,
        variants=variants,
        metrics=["concept_rate", "ssim"],
        images=IMAGES,
        seeds=list(SEEDS),
        snapshots=list(STEPS) if trains else [],
        generation=Generation(steps=SAMPLER_STEPS, precision="bf16"),
    )


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def criterion(concept_rate: float, ssim: float) -> float:
    """The harmonic mean of 1 − concept rate and SSIM; 0 where either is 0.

    >>> criterion(0.0, 0.5)
    0.6666666666666666
    """
    erased, kept = 1 - concept_rate, max(0.0, ssim)
    return 2 * erased * kept / (erased + kept) if erased + kept > 0 else 0.0


def grid_results(plans: Sequence[tuple[Plan, RunFolder]]) -> pd.DataFrame:
    """Every grid point with its scores; `chosen` marks each method's best.

    Args:
        plans: the grid's runs, one a concept. Scores are means over them; a point that lacks one has none.
    """
    lines = []
    for row, variant in plans[0][0].variants.items():
        trained = "lr" in variant.settings
        key = "lr" if trained else "regularisation"
        opened = {k: v for k, v in variant.settings.items() if k not in (key, "steps")}
        for steps in STEPS if trained else (0,):
            line = {
                "method": variant.method,
                "setting": key,
                "value": variant.settings[key],
                "steps": steps,
                "open": " ".join(f"{k}={_short(v)}" for k, v in opened.items()),
            }
            found = [_scores(folder, f"{row}{SNAPSHOT}{steps}" if trained else row) for _, folder in plans]
            if all(known is not None for known in found):
                means = pd.DataFrame(found).mean()
                line |= {name: round(float(means[name]), 6) for name in ("concept_rate", "ssim", "criterion")}
                line["n"] = int(means["n"] * len(found))
            lines.append(line)
    table = pd.DataFrame(lines)
    ranked = table.sort_values(["criterion", "steps", "value"], ascending=[False, True, True], kind="stable")
    best = ranked.dropna(subset=["criterion"]).groupby("method", sort=False).head(1).index
    table["chosen"] = table.index.isin(best)
    return table


def _scores(folder: RunFolder, row: str) -> dict[str, float] | None:
    """A row's scores on one concept; None where one is missing."""
    rate, ssim = (read_score(folder.score(row, name)) for name in ("concept_rate", "ssim"))
    if rate is None or ssim is None or rate.value is None or ssim.value is None:
        return None
    both = {"concept_rate": rate.value, "ssim": ssim.value, "criterion": criterion(rate.value, ssim.value)}
    return both | {"n": ssim.n}
