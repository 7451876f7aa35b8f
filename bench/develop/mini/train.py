"""Make the embedded model from nothing: `bench mini train`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from transformers import CLIPTokenizer

from ...storage.tensors import load_tensors, save_tensors
from .export import export
from .token_table import token_table, write_tokenizer
from .train_data import Renders
from .train_judge import train_judge
from .train_unet import train_unet
from .train_vae import encode, train_vae

RECIPE = Path(__file__).with_name("recipe.yaml")


def read_recipe(path: Path = RECIPE) -> dict[str, Any]:
    """The recipe as a dictionary of its sections."""
    recipe: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return recipe


def train(work: Path, destination: Path, device: str, say: Callable[[str], None], recipe_path: Path = RECIPE) -> None:
    """Run every stage in `work` (each resumes where it stopped) and write the weights to `destination`."""
    recipe = read_recipe(recipe_path)
    seed: int = recipe["seed"]
    work.mkdir(parents=True, exist_ok=True)
    tokenizer_folder = work / "tokenizer"
    write_tokenizer(tokenizer_folder)
    tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
    table_file = work / "token_table.npy"
    if not table_file.exists():
        say("text: embedding the vocabulary")
        np.save(
            table_file, token_table(tokenizer_folder, ["nudity"], recipe["text"]["width"], recipe["text"]["row_scale"])
        )
    table = torch.from_numpy(np.load(table_file))
    say(f"data: {recipe['images']} renders")
    renders = Renders(recipe["images"], "train", seed, cache=work / "renders.npy")
    vae = train_vae(renders, recipe["vae"], seed, work, device, say)
    latent_file = work / "latents.safetensors"
    stored = load_tensors(latent_file)
    if stored is None:
        say("latents: encoding the renders")
        stored = {"latents": encode(vae, renders, device)}, {}
        save_tensors(latent_file, *stored)
    latents = stored[0]["latents"]
    judge = train_judge(renders, latents, vae, table, tokenizer, recipe["judge"], seed, work, device, say)
    denoiser = train_unet(renders, latents, table, tokenizer, tokenizer_folder, recipe["unet"], seed, work, device, say)
    export(destination, tokenizer_folder, vae, denoiser, judge)
    say(f"written to {destination}")
