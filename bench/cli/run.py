"""`bench run`: the main job."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BenchError
from .shared import (
    DeviceOption,
    exit_with,
    integers_of,
    names_of,
    pairs_of,
    print_table,
    print_views,
    settings_of,
    with_resume_hint,
)
from .working import ExclusiveOption, RayOption, ShareOption, StoreOption, WorkersOption, Working

if TYPE_CHECKING:
    from ..runs.folder import RunFolder
    from ..runs.plan import Plan
    from ..runs.record import Failure


def run(
    plan: Annotated[str, typer.Argument(help="A YAML file or a built-in plan's name.")] = "main",
    methods: Annotated[
        str | None, typer.Option(help="all (the papers' six), every (all there are), or names with commas.")
    ] = None,
    concept: Annotated[
        str | None, typer.Option(help="What to erase: see `bench list concepts`, or any text with --kind.")
    ] = None,
    concepts: Annotated[
        str | None, typer.Option(help="Several that one erasure takes away at once, with commas; see docs/several.md.")
    ] = None,
    concept_images: Annotated[
        Path | None, typer.Option(help="Pictures of the concept, for which a word is learned first: see `bench learn`.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Of a text of your own: object, style, person, …")] = None,
    replacement: Annotated[str | None, typer.Option(help="The text that takes the concept's place.")] = None,
    model: Annotated[
        str | None, typer.Option(help="mini, sd-v1-4, a diffusers folder, or a hub id (OWNER/NAME[@REVISION]).")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="A preset of prompts, detector, seeds and sampler: see `bench list protocols`.")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="all (the usual), papers (other numbers of papers), or names with commas.")
    ] = None,
    images: Annotated[int | None, typer.Option(help="Images per prompt set of each training.")] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option(help="ROLE=SOURCE, such as concept=i2p.csv or coco=coco_30k.csv; see `bench list prompts`."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Real images for FID and KID: a folder, or one that `bench reference` made.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Training seeds with commas.")] = None,
    image_seed: Annotated[
        int | None, typer.Option(help="Of the noise that all images are drawn from, the original's too.")
    ] = None,
    snapshots: Annotated[
        str | None, typer.Option(help="Training steps to score too, with commas: writes timeline.csv and .png.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="METHOD.KEY=VALUE, a method's setting; repeat for more.")
    ] = None,
    row: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=PATH, a row of weights that somebody made: a pipeline, UNet, text encoder, LoRA, checkpoint in "
            "the original layout, or patch; NAME+sld=PATH draws with it and a guide; repeat for more."
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images drawn at once; moves pixels by a grey level at most.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="Of generation: auto, fp32, fp16 or bf16.")] = None,
    own_settings: Annotated[
        bool | None,
        typer.Option("--own-settings/--no-own-settings", help="Draw prompts at their file's own guidance and size."),
    ] = None,
    keep_images: Annotated[
        str | None, typer.Option(help="Once they are scored: all (the default), sample (100 of a set) or none.")
    ] = None,
    device: DeviceOption = "auto",
    name: Annotated[str | None, typer.Option(help="What to call the run; the plan's name by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; results/runs/NAME-HASH by default.")] = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    exclusive_erase: ExclusiveOption = False,
    ray: RayOption = None,
    gpus_per_task: ShareOption = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few images and steps, to see that all works; the numbers mean little.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the resolved plan, and what it will cost on this machine.")
    ] = False,
) -> None:
    """Erase a concept with every method, draw, score, rank. Resumes.

    Example: bench run --methods esd,uce --concept "garbage truck" --images 64
    """
    from ..runs.plan_file import load_plan

    drawing = {"batch_size": batch_size, "precision": precision, "own_settings": own_settings}
    generation = {key: value for key, value in drawing.items() if value is not None}
    flags: dict[str, Any] = {
        "name": name,
        "methods": names_of(methods),
        "concept": concept,
        "concepts": names_of(concepts),
        "kind": kind,
        "replacement": replacement,
        "model": model,
        "protocol": protocol,
        "metrics": names_of(metrics),
        "images": images,
        "prompts": prompts_of(prompts or []) or None,
        "reference": None if reference is None else str(reference),
        "seeds": integers_of("--seeds", seeds),
        "image_seed": image_seed,
        "snapshots": integers_of("--snapshots", snapshots),
        "settings": settings_of(settings or []) or None,
        "variants": rows_of(row or []) or None,
        "generation": generation or None,
        "keep_images": keep_images,
    }
    resolved = load_plan(plan, with_quick(flags, quick))
    if concept_images is not None:
        flags["model"] = str(learned(resolved, concept_images, device))
        resolved = load_plan(plan, with_quick(flags, quick))
    working = Working(workers, store, exclusive_erase, ray, gpus_per_task)
    _, failures = execute(resolved, device, out, dry_run, working)
    exit_with(failures)


def with_quick(flags: dict[str, Any], quick: bool) -> dict[str, Any]:
    """The flags that were given, and what --quick means where they say nothing."""
    given = {key: value for key, value in flags.items() if value is not None}
    if not quick:
        return given
    return {
        "quick": True,
        "images": 8,
        "train_steps": 4,
        **given,
        "generation": {"steps": 10, **given.get("generation", {})},
    }


def learned(plan: Plan, images: Path, device: str) -> Path:
    """The folder of a model that has a word for the plan's concept, learned from pictures unless it is there."""
    from .learn import default_folder, learn_to

    if plan.concepts:
        raise BenchError("--concept-images: pictures show one concept. Give --concept.")
    folder = default_folder(plan.concept, plan.model, images)
    learn_to(folder, plan.concept, images, plan.kind, plan.model, None, device)
    return folder


def execute(
    plan: Plan, device: str, out: Path | None, dry_run: bool, working: Working = Working()
) -> tuple[RunFolder, tuple[Failure, ...]]:
    """Run a plan, or say what it would cost, and print its leaderboard; its folder and the failures by cell."""
    from erasebench.prompts.concepts import get_concepts

    from ..engine.finished import finished_tables
    from ..models.catalog import find_model
    from ..runs.folder import RunFolder, default_folder
    from ..runs.lock import check_usable

    get_concepts(plan.erased, plan.kind, plan.replacement)
    folder = RunFolder(out if out is not None else default_folder(plan))
    shown = None if dry_run else finished_tables(plan, folder, device, working.store)
    if shown is not None:
        typer.echo(f"{folder.root} is complete", err=True)
        print_views(folder, shown)
        return folder, ()
    find_model(plan.model)
    check_usable(folder, plan)
    if not dry_run:  # the imports below take seconds
        typer.echo(f"starting: “{plan.subject}” from {plan.model}, by {', '.join(plan.rows)}", err=True)
        working.begin()
    from ..models.devices import choose_device

    chosen = choose_device(device)
    if dry_run:
        from ..engine.estimate import estimate

        typer.echo(plan.to_yaml())
        for line in estimate(plan, folder, chosen, working.store, working.workers, working.cluster):
            typer.echo(f"# {line}")
        return folder, ()
    from ..engine.run import run as run_plan

    def begun(workers: int) -> None:
        together = "" if workers == 1 else f", {workers} workers"
        typer.echo(f"{folder.root} on {chosen}{together}", err=True)

    failures = with_resume_hint(
        lambda: run_plan(plan, folder, chosen, begun, working.workers, working.store, working.alone, working.cluster)
    )
    print_table(folder.root)
    if (held := memory_line(folder)) is not None:
        typer.echo(held, err=True)
    return folder, failures


def memory_line(folder: RunFolder) -> str | None:
    """How much memory the workers of the last session held at most; None where none did anything."""
    from ..runs.record import read_record

    record = read_record(folder)
    held = record.sessions[-1].workers if record is not None and record.sessions else {}
    if not held:
        return None
    worker = max(held, key=lambda worker: held[worker])
    return f"memory: {held[worker] / 1024:.1f} GiB at most, in {worker}; of {len(held)} in all"


def rows_of(given: list[str]) -> dict[str, dict[str, Any]]:
    """NAME=PATH flags as a plan's variants; NAME+GUIDE=PATH draws with these weights and a guide."""
    from ..registry import METHODS
    from ..runs.plan import ROW_NAME

    found = pairs_of("--row", given, "NAME=PATH", "mine=esd-x.safetensors")
    for name in found:
        if not re.match(ROW_NAME, name):
            raise BenchError(f"--row {name}=…: a row's name has lower-case letters, digits, dots, dashes and +.")
    rows: dict[str, dict[str, Any]] = {}
    for name, path in found.items():
        _, _, last = name.rpartition("+")
        guides = last != name and last in METHODS.entries() and METHODS.load(last).guide is not None
        rows[name] = {"path": path, **({"guide": last} if guides else {})}
    return rows


def prompts_of(given: list[str]) -> dict[str, dict[str, Any]]:
    """ROLE=SOURCE flags as a plan's prompt sets."""
    from erasebench.prompts import ROLES

    found = pairs_of("--prompts", given, "ROLE=SOURCE", "coco=coco_30k.csv")
    for role in found:
        if role not in ROLES:
            raise BenchError(f"--prompts {role}=…: a role is {', '.join(ROLES)}.")
    return {role: {"source": source} for role, source in found.items()}
