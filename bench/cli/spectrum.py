"""`bench spectrum`: how much erasing hurt every other word."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import BenchError
from .shared import DeviceOption, RunArgument, names_of, with_resume_hint


def spectrum(
    folder: RunArgument,
    methods: Annotated[str | None, typer.Option(help="Rows of the run with commas; all by default.")] = None,
    vocabulary: Annotated[
        str, typer.Option(help="clip (49,406 entries), words (its whole words), or a file.")
    ] = "clip",
    levels: Annotated[int, typer.Option(help="Noise levels of the shared latents.", min=1, max=50)] = 4,
    draws: Annotated[
        int, typer.Option(help="Latents at each level, or images a concept with --space image.", min=2)
    ] = 2,
    limit: Annotated[
        int | None, typer.Option(help="Only a random sample of so many concepts; of clip, of its whole words.", min=1)
    ] = None,
    space: Annotated[str, typer.Option(help="noise: predictions; image: images compared by CLIP.")] = "noise",
    seed: Annotated[int, typer.Option(help="The seed of the training whose weights are taken.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Predictions at once; changes no score.", min=1)] = 32,
    csv: Annotated[bool, typer.Option("--csv", help="Also write each method's table as CSV.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Score every word of a vocabulary by how much erasing moved it.

    What moved is the noise that the model predicts for it. Resumes.

    Example: bench spectrum results/runs/main-1a2b3c4d --methods esd,ours --vocabulary words --limit 2000
    """
    from ..models.devices import choose_device
    from ..runs.folder import RunFolder
    from ..spectrum.command import run_image_spectrum, run_spectrum
    from ..spectrum.request import SpectrumRequest

    run, chosen = RunFolder(folder), choose_device(device)
    names = tuple(names_of(methods) or ())
    request = SpectrumRequest(names, vocabulary, limit, levels, draws, seed, batch_size, csv)
    if space not in ("noise", "image"):
        raise BenchError(f"--space {space}: noise or image.")
    if space == "noise":
        files, lines = with_resume_hint(lambda: run_spectrum(run, request, chosen))
        typer.echo("\n".join(lines))
    else:
        files = with_resume_hint(lambda: run_image_spectrum(run, request, chosen))
    for file in files:
        typer.echo(file)
