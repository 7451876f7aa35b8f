"""`bench publish`: erased models and their scores on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shared import RunArgument, names_of


def publish(
    folder: RunArgument,
    to: Annotated[
        str, typer.Option(metavar="OWNER/NAME", help="Where the scores go; a model's has its row behind it.")
    ],
    methods: Annotated[
        str | None, typer.Option(help="Methods or variants, with commas; all that were trained here by default.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Which training's weights; the first's by default.")] = None,
    images: Annotated[
        str | None,
        typer.Option(help="Also send images of these prompt sets, with commas; all: of those that can't be unsafe."),
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="The base model's, by the hub's name, where it is not known.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="New repositories are for all to see.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write what would be sent to --folder; send nothing.")
    ] = False,
    to_folder: Annotated[Path, typer.Option("--folder", help="Of --dry-run: a new folder.")] = Path("publish"),
) -> None:
    """Send erased models with cards, and their numbers, to the hub.

    On the Hugging Face hub each model becomes OWNER/NAME-ROW, a pipeline for from_pretrained; OWNER/NAME is a data set
    with the run's entry and its leaderboard. No image is sent unless --images says so, and none that may be unsafe
    unless its set is named. New repositories are private.

    Example: bench publish results/runs/main-1a2b3c4d --to me/nudity-mini --methods esd --dry-run
    """
    from ..engine.hub_upload import check_token
    from ..engine.publish import held_back, requested, write_parcels
    from ..engine.publish import publish as send
    from ..report.web.opened import open_run

    request = requested(open_run(folder), to, names_of(methods), seed, licence, names_of(images) or ())
    if not dry_run:
        check_token()
    if images is not None and (back := held_back(request)):
        typer.echo(
            f"not sent, as they may be unsafe: images of {', '.join(back)}; --images NAME sends them all the same"
        )
    if dry_run:
        for written in write_parcels(request, to_folder):
            size = sum(file.stat().st_size for file in written.rglob("*") if file.is_file())
            typer.echo(f"{written} ({size / 1e6:.1f} MB)")
        typer.echo("nothing was sent")
    else:
        send(request, public, typer.echo)
