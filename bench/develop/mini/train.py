"""Make the embedded model from nothing: `bench mini train`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from transformers import CLIPTokenizer

from ...errors import BenchError
from ...scoring.judge import Judge
from ...storage.files import write_text
from ...storage.tensors import load_tensors, save_tensors
from .export import replacing, write_judge, write_pipeline, write_second_judge
from .networks import judge_config
from .token_table import token_table, write_tokenizer
from .train_data import Renders, save_npy
from .train_judge import decode, train_judge, train_second_judge
from .train_unet import train_unet
from .train_vae import encode, train_vae
from .world import DRAWN, World
from .world.icons import PACKAGE
from .world.larger import larger_world
from .world_data import write_world

RECIPE = Path(__file__).with_name("recipe.yaml")


def read_recipe(path: Path = RECIPE) -> dict[str, Any]:
    """The recipe as a dictionary of its sections."""
    recipe: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return recipe


def read_world(name: str, icons: Path | None) -> World:
    """A world by the name that a recipe has for it: "drawn" or "larger".

    Raises:
        BenchError: the larger world has no archive of icons, or another.
    """
    if name == "drawn":
        return DRAWN
    if icons is None:
        raise BenchError(
            f"this recipe draws icons. Fetch them with: npm pack {PACKAGE}; then pass the file as --icons."
        )
    return larger_world(icons)


def claim(work: Path, recipe_path: Path) -> None:
    """Note in a work folder which recipe it follows; a recipe may gain parts, which are then made beside the others.

    Raises:
        BenchError: it follows another.
    """
    kept, text = work / "recipe.yaml", recipe_path.read_text(encoding="utf-8")
    known = yaml.safe_load(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if known != {part: value for part, value in yaml.safe_load(text).items() if part in known}:
        raise BenchError(
            f"{work} was begun with another recipe, {kept}. Go on with `--recipe {kept}`, or begin in another --work."
        )
    work.mkdir(parents=True, exist_ok=True)
    write_text(kept, text)


def train(
    work: Path,
    destination: Path,
    device: str,
    say: Callable[[str], None],
    recipe_path: Path = RECIPE,
    icons: Path | None = None,
) -> None:
    """Run every stage in `work` (each resumes where it stopped) and write the weights to `destination`.

    Args:
        icons: the archive that the larger world's icons come from (see `read_icons`).

    Raises:
        BenchError: `work` follows another recipe, or the recipe's world lacks its icons.
    """
    recipe = read_recipe(recipe_path)
    seed: int = recipe["seed"]
    world = read_world(recipe["world"], icons)
    claim(work, recipe_path)
    tokenizer_folder = work / "tokenizer"
    write_tokenizer(tokenizer_folder)
    tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
    table_file = work / "token_table.npy"
    if not table_file.exists():
        say("text: embedding the vocabulary")
        words = sorted(world.words())
        save_npy(table_file, token_table(tokenizer_folder, words, recipe["text"]["width"], recipe["text"]["row_scale"]))
    table = torch.from_numpy(np.load(table_file))
    say(f"data: {recipe['images']} renders")
    renders = Renders(world, recipe["images"], "train", seed, cache=work / "renders.npy")
    vae = train_vae(renders, recipe["vae"], seed, work, device, say)
    latent_file = work / "latents.safetensors"
    stored = load_tensors(latent_file)
    if stored is None:
        say("latents: encoding the renders")
        stored = {"latents": encode(vae, renders, device)}, {}
        save_tensors(latent_file, *stored)
    latents = stored[0]["latents"]
    denoiser = train_unet(renders, latents, table, tokenizer, tokenizer_folder, recipe["unet"], seed, work, device, say)
    say("judges: decoding their share of images from latents")
    decoded = decode(vae, latents[: recipe["judge"]["decoded_images"]], device, work / "decoded.npy")
    judge = train_judge(renders, decoded, table, tokenizer, recipe["judge"], seed, work, device, say)
    second = train_second_judge(renders, decoded, recipe["second_judge"], seed, work, device, say)
    with replacing(destination) as folder:
        write_pipeline(folder / "pipeline", tokenizer_folder, vae, denoiser)
        write_judge(folder / "judge", judge, judge_config(recipe["judge"], table.shape[1]), renders.names)
        write_second_judge(folder / "second_judge", second, recipe["second_judge"], renders.names)
        say("world: rendering its real images, for the judge to look at")
        write_world(folder / "world", world, Judge(device, folder))
    say(f"written to {destination}")
