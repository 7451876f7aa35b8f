"""`bench learn`: a concept from pictures."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .shared import DeviceOption

if TYPE_CHECKING:
    from ..models.words import LearnedWord


def learn(
    name: Annotated[str, typer.Argument(help="What the pictures show, in plain words: a built-in concept, or any.")],
    images: Annotated[Path, typer.Option(help="A folder of pictures of it; some 5 to 30.")],
    kind: Annotated[str | None, typer.Option(help="Of a text of your own: object, style, person, …")] = None,
    model: Annotated[str, typer.Option(help="The original model: mini, sd-v1-4, a folder, or a hub id.")] = "mini",
    to: Annotated[Path | None, typer.Option(help="Where the model goes; results/models/NAME by default.")] = None,
    steps: Annotated[int | None, typer.Option(help="Updates; by default what suits the model.", min=1)] = None,
    device: DeviceOption = "auto",
) -> None:
    """Learn a word for what pictures show; write a model that has it.

    Textual inversion on the original model; `bench run --model FOLDER` then erases the concept by that word.

    Example: bench learn "my cup" --kind object --images cups/
    """
    folder = to if to is not None else default_folder(name, model, images)
    word = learn_to(folder, name, images, kind, model, steps, device)
    kinds = f" --kind {kind}" if kind else ""
    typer.echo(f"use it with: bench run --model {folder} --concept {shlex.quote(word.name)}{kinds}")


def default_folder(name: str, model: str, images: Path) -> Path:
    """Where a model with a learned word goes: another for another name, base or folder of pictures."""
    from ..models.words import token_of
    from ..storage.keys import content_key

    key = content_key(name=name, model=model, images=str(images.absolute()))[:8]
    return Path("results") / "models" / f"{token_of(name).strip('<>')}-{key}"


def learn_to(
    folder: Path, name: str, images: Path, kind: str | None, model: str, steps: int | None, device: str
) -> LearnedWord:
    """Learn a word with a progress bar, and say what came of it."""
    from ..engine.learn import learn_word
    from ..models.devices import choose_device
    from ..runs.progress import StageBar

    with StageBar("word", 0, "steps") as bar:
        word = learn_word(name, kind, images, model, folder, choose_device(device), bar.reach, steps)
    typer.echo(f"{word.token} stands for {word.count} pictures of {word.name!r}, loss {word.loss}; {folder}", err=True)
    return word
