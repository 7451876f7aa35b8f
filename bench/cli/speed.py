"""`bench speed`: how fast generation, training, scoring, spectrum and the engine are on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import BenchError
from .options import BenchApp
from .shared import DeviceOption, integers_of, names_of

app = BenchApp(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="How fast drawing, training and scoring are on this machine.\n\nExample: bench speed generation",
)


@app.command("scale")
def speed_scale(
    workers: Annotated[str, typer.Option(help="How many, with commas.")] = "1,2,4,8,16,32,64",
    methods: Annotated[int, typer.Option(help="Rows beside the original.", min=1)] = 12,
    image: Annotated[float, typer.Option(help="Seconds to draw an image.", min=0)] = 0.28,
    step: Annotated[float, typer.Option(help="Seconds of a training step.", min=0)] = 1.5,
    look: Annotated[float, typer.Option(help="Seconds of an encoder's look at an image.", min=0)] = 0.01,
    score: Annotated[float, typer.Option(help="Seconds of a score once all is seen.", min=0)] = 60.0,
    slower: Annotated[float, typer.Option(help="How many times as long the last of them takes.", min=1)] = 1.0,
) -> None:
    """Simulate a paper-size run on many workers; nothing is drawn.

    The tasks go through the real scheduler; `bench run --dry-run` measures the durations of your machine.

    Example: bench speed scale --image 0.5 --workers 8,16
    """
    from ..develop.scale import Durations, scale_lines

    counts = integers_of("--workers", workers) or []
    if min(counts) < 1:
        raise BenchError(f"--workers {workers}: give one or more.")
    for line in scale_lines(counts, Durations(image, look, step, score), methods, slower):
        typer.echo(line)


@app.command("generation")
def speed_generation(
    model: Annotated[str, typer.Option(help="As for `bench run`.")] = "mini",
    images: Annotated[int, typer.Option(help="Images to draw in each way.", min=2)] = 64,
    batch_size: Annotated[int, typer.Option(help="Images drawn at once.", min=1)] = 32,
    rounds: Annotated[int, typer.Option(help="Repetitions, interleaved.", min=1)] = 3,
    device: DeviceOption = "auto",
) -> None:
    """Compare drawing with the usual script and the machine's limit.

    Example: bench speed generation --images 64
    """
    from ..develop.speed.generation import measure_generation
    from ..models.devices import choose_device

    for line in measure_generation(model, choose_device(device), images, batch_size, rounds):
        typer.echo(line)


@app.command("training")
def speed_training(
    methods: Annotated[str, typer.Option(help="all, every, or names with commas.")] = "every",
    model: Annotated[str, typer.Option(help="As for `bench run`; sd-v1-4-random needs no weights.")] = "mini",
    steps: Annotated[int, typer.Option(help="Training steps to time.", min=1)] = 16,
    rounds: Annotated[int, typer.Option(help="Repetitions, interleaved.", min=1)] = 3,
    device: DeviceOption = "auto",
) -> None:
    """Compare training steps with the bare UNet calls in them.

    The bare calls are the forwards and backwards that a step consists of.

    Example: bench speed training --methods esd,ours --model sd-v1-4-random --steps 1 --rounds 1
    """
    from ..develop.speed.training import measure_overheads
    from ..models.devices import choose_device
    from ..runs.plan_file import resolve_methods

    chosen = choose_device(device)
    for line in measure_overheads(resolve_methods(names_of(methods) or []), model, chosen, steps, rounds):
        typer.echo(line)


@app.command("scoring")
def speed_scoring(
    model: Annotated[str, typer.Option(help="As for `bench run`.")] = "mini",
    images: Annotated[int, typer.Option(help="Images to draw and score.", min=2)] = 256,
    device: DeviceOption = "auto",
) -> None:
    """Measure images a second of every stage of an evaluation.

    Drawing, reading, encoders, detector, metrics.

    Example: bench speed scoring --images 256
    """
    from ..develop.speed.scoring import measure_scoring
    from ..models.devices import choose_device

    for line in measure_scoring(model, choose_device(device), images):
        typer.echo(line)


@app.command("spectrum")
def speed_spectrum(
    model: Annotated[str, typer.Option(help="As for `bench run`; sd-v1-4-random needs no weights.")] = "mini",
    concepts: Annotated[int, typer.Option(help="Words to scan.", min=4)] = 512,
    draws: Annotated[int, typer.Option(help="Shared latents.", min=1)] = 4,
    batch_size: Annotated[int, typer.Option(help="Predictions at once.", min=1)] = 32,
    rounds: Annotated[int, typer.Option(help="Repetitions, interleaved.", min=1)] = 3,
    device: DeviceOption = "auto",
) -> None:
    """Compare `bench spectrum` with a loop and the machine's limit.

    The loop is the usual one over concepts.

    Example: bench speed spectrum --concepts 256
    """
    from ..develop.speed.spectrum import measure_spectrum
    from ..models.devices import choose_device

    for line in measure_spectrum(model, choose_device(device), concepts, draws, batch_size, rounds):
        typer.echo(line)


@app.command("ray")
def speed_ray(
    address: Annotated[str, typer.Option("--ray", help="The cluster: auto, or HOST:PORT of its head.")] = "auto",
    workers: Annotated[int, typer.Option(help="Of this machine, and then of the cluster.", min=1)] = 2,
    images: Annotated[int, typer.Option(help="Of each prompt set.", min=2)] = 32,
    steps: Annotated[int, typer.Option(help="Of the training.", min=1)] = 40,
    rounds: Annotated[int, typer.Option(help="Repetitions, interleaved.", min=1)] = 2,
    device: DeviceOption = "auto",
) -> None:
    """Compare workers of a Ray cluster with as many of this machine.

    The same small run, start-up told apart.

    Example: bench speed ray --workers 2
    """
    from ..develop.speed.cluster import measure_cluster
    from ..models.devices import choose_device

    for line in measure_cluster(workers, address, choose_device(device), images, steps, rounds):
        typer.echo(line)


@app.command("engine")
def speed_engine(
    cells: Annotated[str, typer.Option(help="Numbers of cells, with commas.")] = "1000,2500,5000,10000",
) -> None:
    """Measure what the engine itself costs a cell.

    With a method and a metric that do next to nothing.

    Example: bench speed engine --cells 100,1000
    """
    from ..develop.speed.engine import measure_engine

    for line in measure_engine(integers_of("--cells", cells) or []):
        typer.echo(line)


@app.command("store")
def speed_store(
    entries: Annotated[int, typer.Option(help="Synthetic entries; a million take minutes to make.", min=1)] = 20_000,
    images: Annotated[int, typer.Option(help="Empty images of a run that is opened.", min=1)] = 12_800,
) -> None:
    """Measure a large store: one entry of many, and opening a run.

    Example: bench speed store --entries 1000000
    """
    from ..develop.speed.store import measure_store

    for line in measure_store(entries, images):
        typer.echo(line)
