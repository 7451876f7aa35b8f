"""`bench reference`: real images, prepared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shared import DeviceOption


def reference(
    name: Annotated[str, typer.Argument(help="What to call it: it is written to results/references/NAME.")],
    images: Annotated[Path, typer.Option(help="The folder of real images, such as COCO's val2014.")],
    captions: Annotated[
        str, typer.Option(help="Their captions: a CSV with image_id or file_name, or COCO's captions JSON.")
    ],
    count: Annotated[int | None, typer.Option(help="Only so many, a fixed random sample of the captions.")] = None,
    clip: Annotated[str, typer.Option(help="The CLIP model for the CLIP score.")] = "ViT-B-32-quickgelu/openai",
    to: Annotated[Path | None, typer.Option(help="Another folder to write it to.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Prepare real images for FID, KID and CLIP score, once.

    Pairs captions with images by id, and extracts the features.

    Example: bench reference coco --images val2014 --captions coco_30k.csv
    """
    from ..images.reference import extract_all, prepare_reference
    from ..models.devices import choose_device
    from ..scoring.encoders import CleanFidInception, OpenClip

    folder = to if to is not None else Path("results") / "references" / name
    index = prepare_reference(images, captions, count, folder)
    typer.echo(f"{len(index['captions'])} images with captions, hash {index['hash']}")
    for what in ("missing", "unreadable", "further caption", "without a caption", "no image"):
        if lost := index[what]:
            typer.echo(f"{what}: {len(lost)}, such as {', '.join(lost[:3])}")
    chosen = choose_device(device)
    for line in extract_all(folder, [lambda: CleanFidInception(chosen), lambda: OpenClip(clip, chosen)]):
        typer.echo(line)
    typer.echo(f"use it with: bench run --reference {folder} --prompts coco={captions}")
