"""Fair settings: one procedure with the same budget for every method.

Every method is tried on two concepts that are never reported, at BUDGET settings: all on the first, the better half on
the second too, the best quarter once more on both from another seed (successive halving, arXiv 1502.07943). A learning
rate is tried with the steps STEPS as snapshots; where a paper leaves more open (which weights are trained, how strong a
penalty is), learning rates are fewer, so that the trainings are as many. A closed form is tried at as many values of
its regularisation as others have points. The concept is asked for by its name, so that the original draws it. The
criterion is the harmonic mean of 1 − concept rate and SSIM, averaged over the trainings; of those with most trainings
the best is chosen, and of equals the one with fewer steps, then the smaller value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..erasure.method import Method
from ..errors import BenchError
from ..registry import METHODS
from ..runs.folder import RunFolder
from ..runs.plan import Generation, Plan, Prompts, Variant
from ..runs.rows import SNAPSHOT
from ..runs.scores import read_score

CONCEPTS = ("cat", "french horn")
STEPS = (25, 50)
BUDGET = 12  # trainings of a method in the first round
LEARNING_RATES = (1e-4, 1e-2)  # from, to
REGULARISATIONS = (0.01, 100.0)  # likewise
# What papers leave open beside the learning rate and the steps. λ does nothing where cross-attention alone is trained.
OPEN: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "all-but-one": (
        {"parameters": "xattn"},
        {"parameters": "full", "penalty": 5.0},
        {"parameters": "full", "penalty": 50.0},
    ),
    "all-but-one-implicit": ({"parameters": "xattn"}, {"parameters": "full"}),
    "naive-preserve": ({"parameters": "xattn"}, {"parameters": "full"}),
}
# Trainings of which a part is no shorter training: the learning rate falls to the end, or the first half is another's.
WHOLE = ("advunlearn", "race", "spm")
PLAIN = {"advunlearn": 5, "race": 2}  # one of so many steps is without attacks, as their authors have it, about
# Their presets are from a few trials on another concept than any that is reported, or those of AGE and several
# targets from none; the next `bench tune` has them too.
NOT_YET = ("advunlearn", "age", "defended", "multi-target", "race", "rece", "salun", "spm")
IMAGES = 16


def grid(method: Method, name: str) -> list[dict[str, Any]]:
    """The settings at which a method is tried, BUDGET trainings or closed forms for every point of those."""
    fields = method.config.model_fields
    if "lr" not in fields:
        return [{"regularisation": value} for value in _spread(*REGULARISATIONS, BUDGET * len(STEPS))]
    opened, lengths = OPEN.get(name, ({},)), STEPS if name in WHOLE else STEPS[-1:]
    rates = _spread(*LEARNING_RATES, BUDGET // (len(opened) * len(lengths)))
    return [
        {"lr": lr, **choice, **({"plain_steps": steps // PLAIN[name]} if name in PLAIN else {}), "steps": steps}
        for choice in opened
        for steps in lengths
        for lr in rates
    ]


def _spread(low: float, high: float, count: int) -> list[float]:
    """Evenly spread in the logarithm, to two digits."""
    return [float(f"{value:.2g}") for value in np.geomspace(low, high, count)]


def rounds(concepts: Sequence[str]) -> list[tuple[Sequence[str], int, float]]:
    """Of each round the concepts, the trainings' seed, and the share of a method's settings that are still tried."""
    every = [(concepts[:1], 0, 1.0), (concepts[1:], 0, 0.5), (concepts, 1, 0.25)]
    return [(among, seed, share) for among, seed, share in every if among]


def tune(methods: Sequence[str], concepts: Sequence[str], run: Callable[[Plan, str], RunFolder]) -> pd.DataFrame:
    """Every grid point with its scores; `chosen` marks each method's best.

    Args:
        methods: their names; those that guide sampling train nothing and are left out.
        concepts: what to tune on, in the order of the rounds.
        run: runs a plan in the folder of this name; trainings that fail leave their points without scores.

    Raises:
        BenchError: no method has a grid, or no training of one gave scores.
    """
    done: list[tuple[Plan, RunFolder]] = []
    rows: Iterable[str] | None = None
    for number, (among, seed, share) in enumerate(rounds(concepts), 1):
        rows = best_rows(grid_results(done), share) if done else None
        for concept in among:
            plan = tuning_plan(methods, concept, seed, rows)
            done.append((plan, run(plan, f"tuning-{number}-{concept.replace(' ', '-')}-{plan.key[:8]}")))
    table = grid_results(done)
    chosen = table.loc[table["chosen"], "method"]
    if lost := sorted({*table["method"]} - {*chosen}):
        raise BenchError(
            f"{', '.join(lost)}: none of the settings that were tried last gave scores. The failures are in the "
            "run.json of the runs that begin with “tuning-”."
        )
    return table


def tuning_plan(
    methods: Sequence[str], concept: str, seed: int = 0, rows: Iterable[str] | None = None, model: str = "mini"
) -> Plan:
    """The grid on one concept as a plan: a variant for each training, with snapshots for the steps.

    Args:
        methods: their names; those that guide sampling have no grid, as nothing is trained, and are left out.
        concept: what to erase.
        seed: of the trainings.
        rows: those of the grid that are tried; None for all.
        model: the one that is tuned for.

    Raises:
        BenchError: no method with a grid is named.
    """
    variants = {}
    for name in methods:
        method: Method = METHODS.load(name)
        if method.guide is not None:
            continue
        for settings in grid(method, name):
            told = {key: value for key, value in settings.items() if name in WHOLE or key != "steps"}
            text = ", ".join(f"{key} {_short(value)}" for key, value in told.items())
            row = "-".join([name, *(_short(value) for value in told.values())]).replace("+", "")
            variants[row] = Variant(method=name, label=f"{method.label}, {text}", settings=settings)
    if not variants:
        raise BenchError(f"{', '.join(methods)}: they guide sampling and train nothing: there is no grid for them.")
    if rows is not None:
        kept = set(rows)
        variants = {row: variant for row, variant in variants.items() if row in kept}
    trains = any("lr" in variant.settings for variant in variants.values())
    return Plan(
        name="tuning",
        model=model,
        concept=concept,
        variants=variants,
        metrics=["concept_rate", "ssim"],
        images=IMAGES,
        seeds=[seed],
        snapshots=list(STEPS) if trains else [],
        prompts={"concept": Prompts(source="direct")},
        generation=Generation(scheduler="dpm++", steps=12, guidance=5.0),
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


def grid_results(runs: Sequence[tuple[Plan, RunFolder]]) -> pd.DataFrame:
    """Every grid point with its scores; `chosen` marks each method's best of those that were tried in all runs.

    Args:
        runs: the grid's runs; those of later rounds have fewer of its rows. Scores are means over the runs that tried a
            point; one that lacks a score in any of these has none.
    """
    lines = []
    for row, variant in runs[0][0].variants.items():
        tried = [folder for plan, folder in runs if row in plan.variants]
        key = "lr" if "lr" in variant.settings else "regularisation"
        opened = {k: v for k, v in variant.settings.items() if k not in (key, "steps")}
        for steps, scored_as in _points(row, variant):
            line = {
                "row": row,
                "method": variant.method,
                "setting": key,
                "value": variant.settings[key],
                "steps": steps,
                "open": " ".join(f"{k}={_short(v)}" for k, v in opened.items()),
            }
            found = [_scores(folder, scored_as) for folder in tried]
            scored = [known for known in found if known is not None]
            line |= {"trainings": len(found), **dict.fromkeys(("concept_rate", "ssim", "criterion", "n"))}
            if len(scored) == len(found):
                means = pd.DataFrame(scored).mean()
                line |= {name: round(float(means[name]), 6) for name in ("concept_rate", "ssim", "criterion")}
                line |= {"n": int(sum(known["n"] for known in scored))}
            lines.append(line)
    table = pd.DataFrame(lines)
    table["chosen"] = table.index.isin(_ranked(table).groupby("method").head(1).index)
    return table


def _points(row: str, variant: Variant) -> list[tuple[int, str]]:
    """The points of a training or closed form: its steps, 0 where there are none, and the row that has the scores."""
    if "lr" not in variant.settings:
        return [(0, row)]
    if variant.method in WHOLE:
        return [(variant.settings["steps"], row)]
    return [(steps, f"{row}{SNAPSHOT}{steps}") for steps in STEPS]


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    """Of each method the points that were tried in the last run of all and have scores, the best first."""
    last = table[table["trainings"] == table.groupby("method")["trainings"].transform("max")]
    ranked = last.sort_values(["criterion", "steps", "value"], ascending=[False, True, True], kind="stable")
    return ranked.dropna(subset=["criterion"])


def best_rows(table: pd.DataFrame, share: float) -> set[str]:
    """So many of each method's rows as are this share of all of them, by the best of their points."""
    found: set[str] = set()
    for name, own in _ranked(table).groupby("method", sort=False):
        count = math.ceil(share * table.loc[table["method"] == name, "row"].nunique())
        found |= {str(row) for row in own["row"].drop_duplicates().head(count)}
    return found


def _scores(folder: RunFolder, row: str) -> dict[str, float] | None:
    """A row's scores on one concept; None where one is missing."""
    rate, ssim = (read_score(folder.score(row, name)) for name in ("concept_rate", "ssim"))
    if rate is None or ssim is None or rate.value is None or ssim.value is None:
        return None
    both = {"concept_rate": rate.value, "ssim": ssim.value, "criterion": criterion(rate.value, ssim.value)}
    return both | {"n": ssim.n}
