"""`bench impact`: which concepts does erasing one change, measured and foretold?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import BenchError
from .options import BenchApp
from .shared import DeviceOption, names_of, terminal, with_resume_hint

app = BenchApp(no_args_is_help=True, help="Measure and foretell what an erasure does to other concepts.")
FolderOption = Annotated[Path, typer.Option("--out", help="The grid's folder.")]
FOLDER = Path("results") / "impact"


@app.command()
def measure(
    plan: Annotated[str, typer.Argument(help="A plan file, or a built-in plan's name.")] = "impact",
    concepts: Annotated[str, typer.Option(help="What to erase in turn: all, or names with commas.")] = "all",
    out: FolderOption = FOLDER,
    device: DeviceOption = "auto",
) -> None:
    """Erase concepts one by one, and measure how much each changes every other.

    In noise, in images, and in what the judge sees in them. Writes impact.csv. Resumes.

    Example: bench impact measure --concepts "bus,cat,house"
    """
    from erasebench.prompts.concepts import get_concept

    from ..runs.folder import RunFolder
    from ..runs.plan_file import load_plan

    resolved = load_plan(plan, {})
    named = names_of(concepts) or []
    if not named:
        raise BenchError("--concepts: name a concept, or all. `bench list concepts` shows them.")
    erased = [get_concept(name).name for name in named if name != "all"]
    from ..engine.impact import all_things, measure_impact
    from ..models.devices import choose_device

    if "all" in named:
        erased = all_things(resolved.family.name)

    def begun(trainings: int) -> None:
        typer.echo(f"{out}: {trainings} trainings, each against every thing", err=True)

    unique, chosen = list(dict.fromkeys(erased)), choose_device(device)
    with_resume_hint(lambda: measure_impact(resolved, RunFolder(out), unique, chosen, begun=begun))
    typer.echo(f"{out / 'impact.csv'}; now `bench impact fit --out {out}`")


@app.command()
def fit(out: FolderOption = FOLDER) -> None:
    """Learn the impact function, and score it on erased concepts that it has not seen.

    Beside it: similarity of texts, of keys and values, and of images. Writes impact-function.csv and .md.

    Example: bench impact fit
    """
    from ..impact.grid import read_grid
    from ..impact.held_out import grid_scores
    from ..report.impact import write_impact
    from ..report.terminal import terminal_table

    table = write_impact(out, *grid_scores(*read_grid(out)))
    terminal().print(terminal_table(table.caption, table))
    typer.echo(f"{out / 'impact-function.md'} (also .csv, .tex, .html)")


@app.command()
def predict(
    concept: Annotated[str, typer.Argument(help="Any text.")],
    out: FolderOption = FOLDER,
    space: Annotated[str, typer.Option(help="noise, image or judge: whose δ is foretold.")] = "noise",
    count: Annotated[int, typer.Option(help="Words to name.", min=1)] = 10,
    device: DeviceOption = "auto",
) -> None:
    """Say which words to preserve when a concept is erased: those that f_φ expects to change most.

    Example: bench impact predict "garbage truck"
    """
    from ..impact.foretell import foretell

    for name, rank in foretell(out, concept, space, count, device):
        typer.echo(f"{rank:3d}  {name}")
