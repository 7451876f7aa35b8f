"""A concept that is no text: a word learned from pictures on the original model, and a model that knows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from erasebench.prompts.concepts import get_concept

from ..erasure.inversion import learn
from ..errors import BenchError
from ..images.files import Unreadable, read_image
from ..models.catalog import ModelSource, find_model
from ..models.loading import load_model
from ..models.pipeline_folder import open_pipeline
from ..models.read_pipeline import read_pipeline
from ..models.text_to_image import TextToImage
from ..models.words import WORD, LearnedWord, read_word, token_of
from ..storage.files import write_json
from ..storage.keys import content_key, file_hash
from ..storage.links import show

TEMPLATES = ("a photo of a {x}", "a picture of a {x}", "an image of a {x}", "there is a {x}", "a {x}")
STYLE_TEMPLATES = ("a painting, in the style of {x}", "a picture, in the style of {x}", "in the style of {x}")
# By family: updates, images a step, AdamW's rate, pull. Of Stable Diffusion diffusers' script for textual inversion.
SETTINGS = {"sd": (3000, 4, 2e-3, 0.0), "mini": (300, 4, 0.1, 0.02)}
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def learn_word(
    name: str,
    kind: str | None,
    images: Path,
    model: str,
    to: Path,
    device: str,
    report: Callable[[int, str, int], None],
    steps: int | None = None,
) -> LearnedWord:
    """Learn a word for what pictures show, and write a model that knows it, in diffusers' layout.

    It shares every file that is as before by hard links. What is there already is left as it is, if it is the same.

    Args:
        name: the concept's, in plain words.
        kind: of a name that is not built in: object, style, person, …
        images: a folder of pictures; the middle square of each is taken.
        model: the original, as --model takes it.
        to: the folder to write.
        device: "cpu", "cuda" or "cuda:N".
        report: told of every step: its number, a line, and the number of all.
        steps: updates of the vector; None for what suits the model's family.

    Raises:
        BenchError: no picture can be read, the model has two text encoders or a learned word already, the folder holds
            something else, or the loss is not finite.
    """
    concept, source = get_concept(name, kind), find_model(model).fetched()
    if source.text_encoders > 1:
        raise BenchError(f"--model {model}: words are learned for models with one text encoder; it has two.")
    if read_word(model) is not None:
        raise BenchError(f"--model {model}: it has a learned word already. Give the model that it was learned on.")
    files = pictures(images)
    usual, batch, lr, pull = SETTINGS[source.family.name]
    wanted = content_key(images=[file_hash(file) for file in files])
    known = read_word(str(to))
    updates = usual if steps is None else steps
    if known is not None:
        same = (known.name, known.images, known.base_revision, known.steps)
        if same == (concept.name, wanted, source.revision, updates):
            return known
    if to.exists() and any(to.iterdir()):
        raise BenchError(f"--to {to}: there is something else already. Name another folder, or remove it.")
    network = load_model(source, device)
    latents = torch.cat([network.encode_images(_squared(file, network.image_size)[None]) for file in files])
    losses: list[float] = []

    def note(step: int, text: str) -> None:
        losses.append(float(text.rpartition(" ")[2]))
        if not np.isfinite(losses[-1]):
            raise BenchError(f"the loss is {losses[-1]} at step {step}: look at the model's weights.")
        report(step, text, updates)

    vector = learn(
        network,
        latents,
        STYLE_TEMPLATES if concept.kind == "style" else TEMPLATES,
        concept.counterpart.split()[-1],
        count=1,
        steps=updates,
        batch=batch,
        lr=lr,
        weight_decay=0.01,
        pull=pull,
        generator=torch.Generator().manual_seed(0),
        report=note,
    )
    word = LearnedWord(
        token=token_of(concept.name),
        name=concept.name,
        base=source.name,
        base_revision=source.revision,
        family="mini" if source.family.has_world else "sd",
        images=wanted,
        count=len(files),
        steps=updates,
        loss=round(float(np.mean(losses[-max(1, len(losses) // 10) :])), 5),
    )
    _write(source, network, word, vector[0], to)
    return word


def pictures(folder: Path) -> list[Path]:
    """The folder's pictures in the order of their names.

    Raises:
        BenchError: there is no folder, or no picture in it.
    """
    if not folder.is_dir():
        raise BenchError(f"--images {folder}: there is no such folder.")
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not found:
        raise BenchError(f"--images {folder}: no pictures there; they end in {', '.join(SUFFIXES)}.")
    return found


def _squared(file: Path, side: int) -> np.ndarray:
    """The picture's middle square, (side, side, 3)."""
    image = read_image(file)
    if isinstance(image, Unreadable):
        raise BenchError(f"--images: {image}. Mend or remove it.")
    edge = min(image.shape[:2])
    top, left = ((length - edge) // 2 for length in image.shape[:2])
    square = Image.fromarray(image[top : top + edge, left : left + edge])
    return np.asarray(square if edge == side else square.resize((side, side), Image.Resampling.LANCZOS))


def _write(source: ModelSource, model: TextToImage, word: LearnedWord, vector: torch.Tensor, to: Path) -> None:
    """The base's files, but with one more token in its tokenizer and text encoder."""
    folder = open_pipeline(Path(source.source))
    pipeline = read_pipeline(folder)
    tokenizer, encoder = pipeline.tokenizer, pipeline.text_encoder
    if tokenizer.add_tokens([word.token]) != 1:
        raise BenchError(f"the model knows the word {word.token} already: give the concept another name.")
    encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        encoder.get_input_embeddings().weight[-1] = vector.to(encoder.dtype)
    for file in folder.files:
        if not file.startswith(("tokenizer/", "text_encoder/")):
            (to / file).parent.mkdir(parents=True, exist_ok=True)
            show(folder.root / file, to / file)
    tokenizer.save_pretrained(to / "tokenizer")
    encoder.save_pretrained(to / "text_encoder", safe_serialization=True)
    write_json(to / WORD, json.loads(word.model_dump_json()))
