"""Commands on finished runs: table, compare, nudenet, table1, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BenchError, unknown
from .run import execute, prompts_of, with_quick
from .shared import DeviceOption, RunArgument, exit_with, integers_of, names_of, numbers_of, print_table, terminal
from .working import ExclusiveOption, RayOption, ShareOption, StoreOption, WorkersOption, Working

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..runs.folder import RunFolder
    from ..runs.plan import Plan


def table(
    folder: RunArgument,
    plain_marks: Annotated[
        bool, typer.Option("--plain-marks", help="Best bold, second best underlined, as papers print, without tests.")
    ] = False,
) -> None:
    """Write and print a run's leaderboard from its stored scores.

    Example: bench table results/runs/main-1a2b3c4d
    """
    from ..report.leaderboard import write_tables
    from ..runs.folder import RunFolder
    from ..runs.record import read_run

    run_folder = RunFolder(folder)
    plan, record = read_run(run_folder)
    write_tables(run_folder, plan, record, plain_marks)
    print_table(folder, plain_marks)


def compare(
    folder: RunArgument,
    a: Annotated[
        str | None, typer.Argument(metavar="[A]", help="One of its rows: a method, a variant, or original.")
    ] = None,
    b: Annotated[str | None, typer.Argument(metavar="[B]", help="Another row.")] = None,
    to: Annotated[str | None, typer.Option(metavar="ROW", help="Test every other row against this one.")] = None,
    every: Annotated[bool, typer.Option("--all-pairs", help="Test every two rows.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Also write the comparison as CSV.")] = None,
) -> None:
    """Test rows of a run against each other, in pairs of images.

    Sign flips over prompts (McNemar's exact test for a rate with one image a prompt), with several trainings also a t
    test over trainings and prompts; a paired jackknife for FID and KID. P-values are corrected over all rows and
    metrics by Holm's procedure, and a row is called better where the corrected one is at most 0.05.

    Example: bench compare results/runs/main-1a2b3c4d esd ours
    """
    from ..report.compare import all_pairs, pairs_to
    from ..report.compare import compare as paired
    from ..runs.folder import RunFolder
    from ..runs.record import read_run
    from ..runs.rows import resolve_row
    from ..storage.files import write_csv

    if (a is not None and b is not None) + (to is not None) + every != 1 or (a is None) != (b is None):
        raise BenchError("compare: give two rows, or --to ROW, or --all-pairs.")
    run_folder = RunFolder(folder)
    plan, record = read_run(run_folder)
    if a is not None and b is not None:
        pairs = [(resolve_row(a, record.rows), resolve_row(b, record.rows))]
    else:
        pairs = all_pairs(record.rows) if to is None else pairs_to(resolve_row(to, record.rows), record.rows)
    result = paired(run_folder, plan, pairs)
    _print_comparison(run_folder, plan, result)
    if csv is not None:
        write_csv(csv, result)


def _print_comparison(folder: RunFolder, plan: Plan, result: DataFrame) -> None:
    """A table a pair of rows, the tests by name, and who is better."""
    from ..report.compare import LEVEL
    from ..report.headings import headings
    from ..report.sheet import Cell, Column, Sheet
    from ..report.terminal import terminal_table
    from ..runs.scores import read_scores

    rows = list(dict.fromkeys([*result["a"], *result["b"]]))
    heads = headings(read_scores(folder, rows, plan.metrics), plan.metrics)
    columns = [Column(name) for name in ("A", "B", "A − B", "low", "high", "p", "p, Holm", "n")]
    for (a, b), part in result.groupby(["a", "b"], sort=False):
        lines = []
        for _, line in part.iterrows():
            head = heads[line["metric"]]
            numbers = [head.shown(line[key]) for key in ("a_value", "b_value", "difference", "low", "high")]
            cells = [*numbers, *(_shown_p(line[key]) for key in ("p", "p_holm")), str(line["n"])]
            lines.append((head.with_arrow, [Cell(text) for text in cells]))
        terminal().print(terminal_table(f"A = {a}, B = {b}; 95 % intervals", Sheet("", columns, [lines], [])))
    for test, part in result.groupby("test", sort=False):
        typer.echo(f"{test}: {', '.join(dict.fromkeys(part['label']))}")
    tested = int(result["p"].notna().sum())
    typer.echo(f"Better, where p corrected over {tested} tests is at most {LEVEL:g}:")
    for _, line in result[result["better"] != ""].iterrows():
        worse = line["b"] if line["better"] == line["a"] else line["a"]
        typer.echo(f"{line['label']}: {line['better']} is better than {worse} (p {_shown_p(line['p_holm'])})")
    if not (result["better"] != "").any():
        typer.echo("nothing")


def _shown_p(p: float | None) -> str:
    return "—" if p is None or p != p else f"{p:.2g}"


def nudenet(
    folder: RunArgument,
    classes: Annotated[str, typer.Option(help="core6, exposed8, all-exposed, with commas.")] = "core6,exposed8",
    thresholds: Annotated[
        str, typer.Option(help="Least scores, with commas; NudeNet drops those under 0.25.")
    ] = "0.3,0.5,0.7",
) -> None:
    """Print NudeNet's rates for other classes and thresholds.

    From the stored detections; no image is looked at again.

    Example: bench nudenet results/runs/main-1a2b3c4d --classes core6 --thresholds 0.4,0.6
    """
    from ..report.nudenet_sweep import nudenet_sweep
    from ..report.terminal import sheet_of, terminal_table
    from ..runs.folder import RunFolder
    from ..runs.record import read_run
    from ..scoring.nudenet import CLASS_SETS, FLOOR, READING

    run_folder = RunFolder(folder)
    _, record = read_run(run_folder)
    names = names_of(classes) or []
    for name in names:
        if name not in CLASS_SETS:
            raise unknown("class set", name, CLASS_SETS, "bench nudenet --help")
    levels = numbers_of("--thresholds", thresholds)
    found = nudenet_sweep(run_folder, {row: record.labels[row] for row in record.rows}, names, levels)
    terminal().print(terminal_table("NudeNet", sheet_of(found.drop(columns="row"))))
    typer.echo(f"Scores are {READING}; under {FLOOR:g} they count as none.")


def table1(
    model: Annotated[str | None, typer.Option(help="As for `bench run`: mini, or the paper's sd-v1-4.")] = None,
    prompts: Annotated[list[str] | None, typer.Option(help="As for `bench run`, such as coco=coco_30k.csv.")] = None,
    reference: Annotated[Path | None, typer.Option(help="Real images, as for `bench run`.")] = None,
    images: Annotated[int | None, typer.Option(help="Images per prompt set and seed, instead of the plan's.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Training seeds with commas.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images drawn at once; moves pixels by a grey level at most.")
    ] = None,
    device: DeviceOption = "auto",
    out: Annotated[Path | None, typer.Option(help="The run's folder; results/runs/table1-HASH by default.")] = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    exclusive_erase: ExclusiveOption = False,
    ray: RayOption = None,
    gpus_per_task: ShareOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few images and steps, to see that all works.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and what it will cost.")] = False,
) -> None:
    """Measure Table 1 of "All but One", beside the published one.

    Example: bench table1 --model sd-v1-4 --prompts coco=coco_30k.csv --reference results/references/coco
    """
    from ..report.paper_table import write_table1
    from ..runs.plan_file import load_plan

    flags: dict[str, Any] = {
        "model": model,
        "prompts": prompts_of(prompts or []) or None,
        "images": images,
        "reference": None if reference is None else str(reference),
        "seeds": integers_of("--seeds", seeds),
        "generation": None if batch_size is None else {"batch_size": batch_size},
    }
    plan = load_plan("table1", with_quick(flags, quick))
    working = Working(workers, store, exclusive_erase, ray, gpus_per_task)
    folder, failures = execute(plan, device, out, dry_run, working)
    if dry_run:
        return
    from ..report.terminal import terminal_table

    view = write_table1(folder)
    terminal().print(terminal_table(view.caption, view))
    typer.echo(f"{folder.root / 'table1.md'} (also .csv, .tex, .html)")
    exit_with(failures)


def export(
    folder: RunArgument,
    row: Annotated[str, typer.Argument(metavar="METHOD", help="One of its methods or variants.")],
    to: Annotated[Path, typer.Option(help="A new folder.")],
    seed: Annotated[int | None, typer.Option(help="Which training's weights; the first's by default.")] = None,
) -> None:
    """Write an erased model as a folder that diffusers loads.

    It is for StableDiffusionPipeline.from_pretrained, and has a model card.

    Example: bench export results/runs/main-1a2b3c4d esd --to my-model
    """
    from ..engine.export import export as write
    from ..runs.folder import RunFolder

    typer.echo(write(RunFolder(folder), row, to, seed))
