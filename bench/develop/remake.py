"""All committed results again, by one command that goes on where it stopped: `bench remake`.

Every step is the commands that anyone would type; what they share lies in one store. What a step took, over all its
sessions, is written beside the results, so that the next one knows.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import BenchError, unknown
from ..registry import METHODS
from ..storage.files import read_json, write_csv, write_json
from .findings import BANDED, SEVERAL, SIMILARITIES, banded_run, write_findings

SEEDS = "0,1,2,3,4"
ATTACKED = ("nudity", "garbage truck")
TIMES, FINDINGS = "times.csv", "findings"


@dataclass(frozen=True)
class Step:
    """One part of the results.

    Attributes:
        name: as `--only` takes it.
        about: what it makes, in a line.
        commands: of `bench`, in order.
        files: what is taken over from the runs' folder, by the place in the checkout.
    """

    name: str
    about: str
    commands: tuple[tuple[str, ...], ...]
    files: dict[str, str] = field(default_factory=dict)


def steps(runs: Path, root: Path) -> list[Step]:
    """All steps in order; a later one may need those before.

    Args:
        runs: where runs' folders lie.
        root: the checkout, whose results/ and docs/ are written.
    """

    def run(plan: str, name: str, *more: str) -> tuple[str, ...]:
        return ("run", plan, "--out", str(runs / name), *more)

    seeds = ("--seeds", SEEDS)
    tables = {f"results/table1-mini.{suffix}": f"table1/table1.{suffix}" for suffix in ("csv", "md", "tex", "html")}
    return [
        Step(
            "tuning",
            "every method's grid on two concepts that are not reported; then the presets have to be the winners",
            (("tune", "--runs", str(runs), "--out", str(root / "results" / "tuning.csv")),),
        ),
        Step(
            "overview",
            "the picture of the README's first command",
            (run("main", "first", "--methods", "all", "--concept", "nudity"),),
            {"docs/overview.png": "first/overview.png"},
        ),
        Step(
            "methods",
            "the README's table: every method on “nudity”",
            (run("main", "nudity", "--methods", "every", "--images", "64", *seeds),),
            {"results/nudity-mini.csv": "nudity/leaderboard.csv"},
        ),
        Step(
            "table1",
            "Table 1 of All but One",
            (("table1", "--out", str(runs / "table1"), *seeds),),
            {**tables, "results/table1-mini.json": "table1/run.json"},
        ),
        Step(
            "lambda",
            "Fig. 6 of All but One: λ, with cross-attention and with all parameters",
            (run("lambda-sweep", "lambda-sweep", *seeds),),
            {
                "results/lambda-sweep.csv": "lambda-sweep/timeline.csv",
                "docs/lambda-sweep.png": "lambda-sweep/timeline.png",
            },
        ),
        Step(
            "preserve",
            "which concept to preserve, erasing “garbage truck”",
            (run("preserve", "preserve", *seeds),),
            {"results/preserve-mini.csv": "preserve/leaderboard.csv"},
        ),
        Step(
            "bands",
            f"related and unrelated things: every method on {', '.join(BANDED)}",
            tuple(run("bands", banded_run(concept), "--concept", concept) for concept in BANDED),
            {f"results/{name}.csv": f"{name}/bands.csv" for name in map(banded_run, BANDED)},
        ),
        Step(
            SEVERAL,
            "several concepts erased at once: do they become one?",
            (run("several", SEVERAL, *seeds),),
            {"results/several.csv": f"{SEVERAL}/concepts.csv"},
        ),
        Step(
            "impact",
            "what erasing each thing does to every other, and how well that is foretold",
            (("impact", "measure", "--out", str(runs / "impact")), ("impact", "fit", "--out", str(runs / "impact"))),
            {f"results/impact-function.{suffix}": f"impact/impact-function.{suffix}" for suffix in ("csv", "md")},
        ),
        Step(
            "spectrum",
            "the whole vocabulary, all methods on “nudity”",
            (("spectrum", str(runs / "nudity"), "--levels", "2"),),
            {
                "docs/spectrum.png": "nudity/spectrum/spectrum.png",
                "results/spectrum-correlations.csv": "nudity/spectrum/correlations.csv",
            },
        ),
        Step(
            "baseline",
            "what CI compares with",
            (
                ("run", "ci", "--out", str(runs / "ci"), "--workers", "1"),
                ("baseline", str(runs / "ci"), "--to", str(root / "results" / "baselines" / "ci.json")),
            ),
        ),
        Step(
            "attacks",
            f"all methods against all attacks, on {' and '.join(ATTACKED)}",
            tuple(run("attacks", attacked_run(concept), "--concept", concept) for concept in ATTACKED),
            {f"results/{name}.csv": f"{name}/attacks.csv" for name in map(attacked_run, ATTACKED)},
        ),
        Step(FINDINGS, "what all of this says of the papers' findings: docs/findings.md", ()),
    ]


def attacked_run(concept: str) -> str:
    """What the run of all attacks on a concept is called."""
    return f"attacks-{concept.replace(' ', '-')}"


def remake(chosen: Sequence[str], runs: Path, root: Path, say: Callable[[str], None]) -> None:
    """Make the chosen steps' results, all of them where none is chosen.

    Raises:
        BenchError: there is no such step, `root` is no checkout, a command failed, or after the grid a preset of the
            embedded model is not the winner's.
    """
    if not (root / "results" / "tuning.csv").parent.is_dir() or not (root / "docs").is_dir():
        raise BenchError(f"{root}: no checkout of erasebench: it has no results and docs. Run this in one.")
    every = steps(runs, root)
    names = [step.name for step in every]
    for name in chosen:
        if name not in names:
            raise unknown("step", name, names, "bench remake --list")
    for step in every:
        if chosen and step.name not in chosen:
            continue
        say(f"{step.name}: {step.about}; it took {took(root, step.name)}")
        _timed(step, runs, root)
        for target, source in step.files.items():
            shutil.copyfile(runs / source, root / target)
        if step.name == "tuning":
            check_presets(root / "results" / "tuning.csv")
        if step.name == FINDINGS:
            if not (runs / SIMILARITIES).exists():
                from .similarity import write_similarities

                write_similarities(BANDED[0], runs / SIMILARITIES, "cpu")
            write_findings(runs, root / "docs" / "findings.md")
    say("done: results/times.csv says how long each step took; `git diff --stat` shows what changed")


def took(root: Path, name: str) -> str:
    """What a step took when it was last made in full, in words."""
    file = root / "results" / TIMES
    known = pd.read_csv(file).set_index("step")["seconds"].to_dict() if file.exists() else {}
    return f"{known[name] / 3600:.1f} h the last time" if name in known else "a time that was never measured"


def _timed(step: Step, runs: Path, root: Path) -> None:
    """Run a step's commands and add up its time over sessions, interrupted ones too."""
    notes = runs / "remake.json"
    began = time.monotonic()
    try:
        for command in step.commands:
            done = subprocess.run([sys.executable, "-c", "from erasebench.cli.app import main; main()", *command])
            if done.returncode:
                raise BenchError(f"`bench {' '.join(command)}` failed; `bench remake` goes on from there.")
    finally:
        runs.mkdir(parents=True, exist_ok=True)
        spent = read_json(notes) or {}
        spent[step.name] = spent.get(step.name, 0.0) + time.monotonic() - began
        write_json(notes, spent)
    file = root / "results" / TIMES
    known = pd.read_csv(file).set_index("step")["seconds"].to_dict() if file.exists() else {}
    known[step.name] = round(max(spent[step.name], 1.0))
    write_csv(file, pd.DataFrame({"step": list(known), "seconds": list(known.values())}))


def check_presets(table: Path) -> None:
    """Later steps take the presets: they have to be what the grid found.

    Raises:
        BenchError: one is not; says which and what it should be.
    """
    grid = pd.read_csv(table, keep_default_na=False)
    wrong = []
    for line in grid[grid["chosen"].astype(str) == "True"].to_dict("records"):
        wanted: dict[str, Any] = {str(line["setting"]): line["value"]}
        wanted |= {"steps": line["steps"]} if line["setting"] == "lr" else {}
        wanted |= dict(part.split("=") for part in str(line.get("open", "")).split())
        config = METHODS.load(line["method"]).configure("mini", "object", {})
        if any(getattr(config, key) != type(getattr(config, key))(value) for key, value in wanted.items()):
            wrong.append(f"{line['method']}: {wanted}")
    if wrong:
        raise BenchError(
            "the grid's winners are not the methods' presets for the embedded model. Write these into the files in "
            "methods/, then `bench remake` goes on:\n  " + "\n  ".join(wrong)
        )
