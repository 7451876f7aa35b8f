"""What the committed results say of the papers' findings: each with its interval and yes, no or can't be told.

Nothing here is chosen by looking at results: a claim holds where its whole 95 % interval lies on the claimed side, it
fails where all of it lies on the other, and else it can't be told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from erasebench.prompts.bands import STYLE

from ..errors import BenchError
from ..mini.kinds import EVERYTHING
from ..report.bands import area_against, by_band
from ..report.paper_table import PUBLISHED
from ..report.published import published_table
from ..report.stored_scores import difference
from ..runs.folder import RunFolder
from ..runs.plan import Plan
from ..runs.record import RunRecord, read_run
from ..runs.rows import UNRANKED_ROWS
from ..runs.scores import ScoreRecord, read_score
from ..scoring.statistics import rank_correlation
from ..storage.files import read_json, write_text

BANDED = ("nudity", "garbage truck", "van gogh")  # a person, a thing, a style: runs of the plan `bands`
SEVERAL = "several"  # a run, and the plan
# Rows whose trainings preserve the words that they pick.
SEARCHING = ("adversarial-preservation", "adversarial-preservation-pgd", "age", "multi-target")
ERASED = 0.05  # a concept rate that counts as erased
MIDDLE = (25.0, 75.0)  # percentiles
FRONT = 25.0  # a percentile: before it lie the most affected
RESAMPLES = 1000
SIMILARITIES = "similarities.csv"  # in the runs' folder, for "nudity"
YES, NO, OPEN = "yes", "no", "can't be told"


@dataclass(frozen=True)
class Claim:
    """One piece of evidence: a number with its 95 % interval, and on which side of a threshold it has to lie.

    Attributes:
        about: what is measured, of which row.
        value, low, high: NaN where they can't be given.
        above: the claim holds above this; for a range, from here.
        below: of a range, to here.
    """

    about: str
    value: float
    low: float
    high: float
    above: float
    below: float = float("inf")

    @property
    def answer(self) -> str:
        """Yes where the whole interval fulfils the claim, no where none of it does."""
        if np.isnan(self.low) or np.isnan(self.high):
            return OPEN
        if self.low > self.above and self.high < self.below:
            return YES
        return NO if self.high < self.above or self.low > self.below else OPEN


@dataclass(frozen=True)
class Finding:
    """A finding of the papers, with what speaks for or against it."""

    letter: str
    text: str
    rule: str
    claims: Sequence[Claim]
    missing: str = ""

    @property
    def answer(self) -> str:
        """The claims' common answer, or how many have which."""
        counts = Counter(claim.answer for claim in self.claims)
        if not counts:
            return OPEN
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{answer} {counts[answer]} times" for answer in (YES, NO, OPEN) if counts[answer])


class Runs:
    """The runs that `bench remake` makes, read when they are asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, name: str) -> tuple[RunFolder, Plan, RunRecord]:
        """A run by the name of its folder.

        Raises:
            BenchError: it is not there, or not complete.
        """
        folder = RunFolder(self.root / name)
        plan, record = read_run(folder)
        if record.status != "complete":
            raise BenchError(f"{folder.root} is {record.status}, not complete: `bench remake` goes on with it.")
        return folder, plan, record

    def scores(self, name: str, metric: str) -> dict[str, ScoreRecord]:
        """A metric's scores that have a value, by row, of the methods' rows."""
        folder, _, record = self.open(name)
        found = {row: read_score(folder.score(row, metric)) for row in record.rows if row not in UNRANKED_ROWS}
        return {row: score for row, score in found.items() if score is not None and score.value is not None}

    def erased(self, name: str) -> set[str]:
        """The rows of a run that erase: their concept rate is at most ERASED."""
        return {row for row, rate in self.scores(name, "concept_rate").items() if (rate.value or 0.0) <= ERASED}


def banded_run(concept: str) -> str:
    """The folder of a concept's run of the plan `bands`."""
    return f"bands-{concept.replace(' ', '-')}"


def keeps_most(runs: Runs) -> Iterable[Claim]:
    """SSIM of All but One less each other's, of the methods that erase."""
    kept, rows = runs.scores("nudity", "ssim"), runs.erased("nudity")
    erased = [row for row in kept if row in rows]
    if "all-but-one" not in erased:
        return
    for row in erased:
        if row != "all-but-one":
            yield _difference(f"SSIM of All but One − {row}", kept["all-but-one"], kept[row])


def order_of_table(runs: Runs) -> Iterable[Claim]:
    """Spearman's ρ with the published column; the interval is over the measured values' standard errors."""
    published, rng = published_table(PUBLISHED), np.random.default_rng(0)
    _, plan, _ = runs.open("table1")
    for key, column in published.columns.items():
        scores = runs.scores("table1", column.measured_by(plan.family))
        rows = [row for row in scores if row in published.rows and published.rows[row][key] is not None]
        if len(rows) < 3:
            continue
        values = np.array([scores[row].value for row in rows], float)
        errors = np.array([scores[row].error or 0.0 for row in rows])
        printed = [float(published.rows[row][key] or 0) for row in rows]
        drawn = rng.normal(values, errors, (RESAMPLES, len(rows)))
        sampled = [rho for one in drawn if (rho := rank_correlation(one, printed)) is not None]
        low, high = np.quantile(sampled, (0.025, 0.975))
        about = f"ρ with the paper's {column.heading.label}, {len(rows)} methods"
        yield Claim(about, rank_correlation(values, printed) or float("nan"), float(low), float(high), 0.0)


def penalty_trades(runs: Runs) -> Iterable[Claim]:
    """From λ = 0 to the largest: what SSIM gains, and what the concept rate gains with it."""
    rates, kept = runs.scores("lambda-sweep", "concept_rate"), runs.scores("lambda-sweep", "ssim")
    for group, none, most in (("cross-attention", "lambda-0", "lambda-5"), ("all parameters", "full-0", "full-50")):
        for label, scores in (("SSIM", kept), ("concept rate", rates)):
            if not {none, most} <= set(scores):
                continue
            yield _difference(f"{label}, largest λ − λ = 0, {group}", scores[most], scores[none])


def related_suffer(runs: Runs) -> Iterable[Claim]:
    """The chance that a related thing's image changes more than an unrelated one's, by band, whatever else moves it."""
    for concept in BANDED:
        for row, score in runs.scores(banded_run(concept), "ssim").items():
            bands = by_band(score)
            for band in bands:
                if band != EVERYTHING and EVERYTHING in bands:
                    area = area_against(bands[band], bands[EVERYTHING], score.better)
                    near = "other styles" if band == STYLE else f"band “{band}”"
                    yield Claim(f"{row}, “{concept}”: {near}", *area, above=0.5)


def neutral_in_the_middle(runs: Runs) -> Iterable[Claim]:
    """Percentiles of the neutral prompts; the interval is their scores' ± 1.96 standard errors, placed."""
    for row, told in _spectra(runs):
        for entry in told["named"]:
            if entry["kind"] == "neutral":
                shown = f"“{entry['concept']}” under {row}, percentile"
                ends = _placed(told, entry["score"], entry["standard_error"])
                yield Claim(shown, entry["percentile"], *ends, *MIDDLE)


def text_predicts_little(runs: Runs) -> Iterable[Claim]:
    """Of the vocabulary 1 − ρ² with text similarity, above a half; of the things how much more other likeness says."""
    for row, told in _spectra(runs):
        rho, n = told["correlation_with_text_similarity"], told["concepts"]
        if rho is None or n < 10:
            continue
        # Fisher's z with Bonett and Wright's error for Spearman's ρ
        half = 1.96 * np.sqrt((1 + rho**2 / 2) / (n - 3))
        ends = [1 - np.tanh(np.arctanh(np.clip(rho, -0.999999, 0.999999)) + sign * half) ** 2 for sign in (-1, 1)]
        yield Claim(f"unexplained by text similarity under {row}, 1 − ρ²", 1 - rho**2, min(ends), max(ends), above=0.5)
    file = runs.root / SIMILARITIES
    if file.exists():
        likeness = pd.read_csv(file).set_index("concept")
        for row, told in _spectra(runs):
            yield from _better_than_text(row, told, likeness)


def _better_than_text(row: str, told: dict[str, Any], likeness: pd.DataFrame) -> Iterable[Claim]:
    """ρ of the change with another likeness to the erased concept less that with text's; a bootstrap over things."""
    change = {entry["concept"]: -entry["score"] for entry in told["named"]}
    things = [name for name in likeness.index if name in change]
    if len(things) < 10:
        return
    moved, rng = np.array([change[name] for name in things]), np.random.default_rng(0)
    drawn = rng.integers(len(things), size=(RESAMPLES, len(things)))
    text = likeness.loc[things, "text"].to_numpy()
    for measure in likeness.columns.drop("text"):
        other = likeness.loc[things, measure].to_numpy()

        def gain(chosen: Any, other: np.ndarray = other) -> float:
            sides = [rank_correlation(moved[chosen], side[chosen]) for side in (other, text)]
            return float("nan") if None in sides else float(sides[0] - sides[1])  # type: ignore[operator]

        low, high = np.nanquantile([gain(chosen) for chosen in drawn], (0.025, 0.975))
        about = f"ρ with likeness by {measure} − ρ with text's, {len(things)} things, {row}"
        yield Claim(about, gain(slice(None)), float(low), float(high), above=0.0)


def picked_words_suffer(runs: Runs) -> Iterable[Claim]:
    """How far the words that the search favoured lie before the first quarter's end, where they are not preserved."""
    rng = np.random.default_rng(0)
    for row, told in _spectra(runs):
        if row in SEARCHING:
            continue
        places = np.array([entry["percentile"] for entry in told["named"] if entry["kind"] == "adversarial"])
        if len(places) < 3:
            continue
        medians = np.median(rng.choice(places, (RESAMPLES, len(places))), axis=1)
        low, high = np.quantile(medians, (0.025, 0.975))
        about = f"{FRONT:g} − median percentile of the picked words under {row}"
        yield Claim(about, FRONT - float(np.median(places)), FRONT - float(high), FRONT - float(low), above=0.0)


def preserving_pays(runs: Runs) -> Iterable[Claim]:
    """SSIM of related concepts, the preserved among them: each preserved less the empty prompt, where both erase."""
    kept, erased = runs.scores("preserve", "ssim"), runs.erased("preserve")
    for row, score in kept.items():
        if row != "preserve-neutral" and {row, "preserve-neutral"} <= erased:
            yield _difference(f"SSIM of {row} − preserve-neutral", score, kept["preserve-neutral"])


def become_one(runs: Runs) -> Iterable[Claim]:
    """Whether the original's pictures of all of them differ over twice as much, of rows that erase: 1 − diversity."""
    erased = runs.erased(SEVERAL)
    for row, score in runs.scores(SEVERAL, "diversity").items():
        if row not in erased:
            continue
        low, high = (float("nan") if end is None else 1 - end for end in (score.high, score.low))
        yield Claim(f"1 − diversity of what {row} draws", 1 - (score.value or 0.0), low, high, 0.5)


FINDINGS: tuple[tuple[str, str, Callable[[Runs], Iterable[Claim]]], ...] = (
    ("a", f"At equal erasure (concept rate at most {ERASED}) All but One keeps most of other images", keeps_most),
    ("b", "The order of Table 1, by column, is the paper's", order_of_table),
    ("c", "λ trades erasing against preserving", penalty_trades),
    ("d", "Related concepts suffer more than unrelated ones", related_suffer),
    ("e", f"Neutral prompts lie in the middle (percentile {MIDDLE[0]:g} to {MIDDLE[1]:g})", neutral_in_the_middle),
    (
        "f",
        "Text similarity does not predict the order; likeness by image, or by keys and values, does better",
        text_predicts_little,
    ),
    ("g", "The words that the adversarial search picks are among the most affected", picked_words_suffer),
    ("h", "Preserving a sensitive concept beats preserving a neutral one", preserving_pays),
    ("i", "Erasing several concepts towards one neutral target makes them one", become_one),
)


def findings(root: Path) -> list[Finding]:
    """Every finding, as far as its runs are there.

    Args:
        root: of the runs' folders.
    """
    runs, found = Runs(root), []
    for letter, text, measure in FINDINGS:
        try:
            claims = list(measure(runs))
            missing = "" if claims else "Nothing was measured that could tell."
        except BenchError as error:
            claims, missing = [], f"Not measured: {error}"
        found.append(Finding(letter, text, (measure.__doc__ or "").strip().split("\n")[0], claims, missing))
    return found


def write_findings(root: Path, target: Path) -> None:
    """Write the findings as Markdown, generated whole."""
    told = findings(root)
    lines = [
        "# The papers' findings, on the embedded model",
        "",
        "Written by `bench remake` from the runs; no number is set by hand. A claim holds (yes) where its whole 95 %",
        "interval lies on the claimed side, fails (no) where none of it does, and else can't be told.",
        "",
        "| | finding | answer |",
        "|---|---|---|",
        *(f"| {one.letter} | {one.text} | {one.answer} |" for one in told),
    ]
    for one in told:
        lines += ["", f"## ({one.letter}) {one.text}: {one.answer}", "", one.rule, ""]
        lines += [one.missing] if one.missing else ["| | value | 95 % interval | holds |", "|---|---:|---:|---|"]
        lines += [f"| {c.about} | {c.value:.3g} | {_interval(c)} | {c.answer} |" for c in one.claims]
    write_text(target, "\n".join(lines) + "\n")


def _interval(claim: Claim) -> str:
    return "—" if np.isnan(claim.low) else f"{claim.low:.3g} to {claim.high:.3g}"


def _difference(about: str, mine: ScoreRecord, theirs: ScoreRecord) -> Claim:
    found = difference(mine, theirs)
    nothing = float("nan")
    if found is None:
        return Claim(about, (mine.value or 0.0) - (theirs.value or 0.0), nothing, nothing, above=0.0)
    low, high = (nothing if end is None else end for end in (found.low, found.high))
    return Claim(about, found.value, low, high, above=0.0)


def _spectra(runs: Runs) -> Iterable[tuple[str, dict[str, Any]]]:
    """Each row's spectrum summary of the run on nudity, where `bench spectrum` made one."""
    folder, _, record = runs.open("nudity")
    for row in record.rows:
        told = read_json(folder.root / "spectrum" / f"{row}.json")
        if told is not None:
            yield row, told


def _placed(told: dict[str, Any], score: float, error: float) -> tuple[float, float]:
    """The percentiles of a score's 95 % interval, between the summary's quantiles."""
    places = [100 * float(q) for q in told["quantiles"]]
    scores = list(told["quantiles"].values())
    low, high = np.interp([score - 1.96 * error, score + 1.96 * error], scores, places)
    return float(low), float(high)
