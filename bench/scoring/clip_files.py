"""The files of a plan's CLIP model: whether they can exist, and what weights they are; nothing is loaded."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import BenchError, unknown
from ..models.catalog import JUDGE, MINI_WEIGHTS
from ..storage.keys import file_hash, files_hash

HUB, LOCAL = "hf-hub:", "local-dir:"
CONFIG, NAMES = "open_clip_config.json", ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def check_clip(wanted: str) -> None:
    """Raise unless a plan's CLIP model can exist: known architecture and weights, or a folder that is there."""
    if wanted == "judge" or wanted.startswith(HUB):
        return
    if wanted.startswith(LOCAL):
        place = wanted.removeprefix(LOCAL)
        if not (Path(place) / CONFIG).exists():
            raise BenchError(f"scoring.clip: {place} holds no {CONFIG}.")
        if not any(Path(place).glob("*.safetensors")):
            raise BenchError(
                f"scoring.clip: {place} holds no .safetensors file. Pickled weights can run any code and are not "
                "loaded: convert them: safetensors.torch.save_file(model.state_dict(), 'open_clip_model.safetensors')."
            )
        return
    import open_clip

    known = [f"{architecture}/{weights}" for architecture, weights in open_clip.list_pretrained()]
    if wanted not in known:
        raise unknown("CLIP model", wanted, known, "python -c 'import open_clip; print(open_clip.list_pretrained())'")


def clip_revision(wanted: str) -> str | None:
    """A hash over the content of the files that open_clip would load; None where they are not on this machine yet.

    Args:
        wanted: as a plan's `scoring.clip`.
    """
    if wanted == "judge":
        return files_hash(MINI_WEIGHTS / "judge", JUDGE)
    if wanted.startswith(LOCAL):
        place = Path(wanted.removeprefix(LOCAL))
        loaded = [file.name for file in place.iterdir() if file.suffix in (".json", ".txt", ".safetensors")]
        return files_hash(place, loaded)
    weights = cached_weights(*clip_origin(wanted))
    if weights is None:
        return None
    config = weights.with_name(CONFIG)
    return _content(weights) + (f" {_content(config)}" if wanted.startswith(HUB) and config.exists() else "")


def fetch_clip(wanted: str) -> None:
    """Bring the files here, so that keys can name their content; where that fails, the scores that need them say so.

    Raises:
        BenchError: the model can't exist.
    """
    import open_clip

    check_clip(wanted)
    if clip_revision(wanted) is not None:
        return
    try:
        if wanted.startswith(HUB):
            open_clip.pretrained.download_pretrained_from_hf(wanted.removeprefix(HUB))
        else:
            open_clip.download_pretrained(open_clip.get_pretrained_cfg(*wanted.split("/", 1)))
    except (OSError, RuntimeError, ValueError) as error:
        logging.getLogger("erasebench").debug("CLIP weights of %s: %s", wanted, error)


def clip_origin(wanted: str) -> tuple[str, tuple[str, ...]]:
    """Where open_clip has a model's weights from: a repository of the hub and file names there, or "" and a file.

    The judge's and a folder's are where `clip_revision` says.
    """
    if wanted == "judge" or wanted.startswith(LOCAL):
        return "", ()
    if wanted.startswith(HUB):
        return wanted.removeprefix(HUB), NAMES
    import open_clip

    facts = open_clip.get_pretrained_cfg(*wanted.split("/", 1))
    if not facts.get("hf_hub"):
        return "", (str(Path("~/.cache/clip").expanduser() / facts.get("url", "none").rpartition("/")[2]),)
    repository, _, name = facts["hf_hub"].rpartition("/")
    return repository, NAMES if name in ("", NAMES[1]) else (str(Path(name).with_suffix(".safetensors")), name)


def cached_weights(repository: str, names: Sequence[str]) -> Path | None:
    """The first of these files that this machine has; `repository` and `names` as of `clip_origin`."""
    if not repository:
        return next((Path(name) for name in names if Path(name).is_file()), None)
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(repository, name) for name in names)
    return next((Path(file) for file in found if isinstance(file, str)), None)


def _content(file: Path) -> str:
    """The SHA-256, which is the name that the hub's cache gives to a large file."""
    name = file.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else file_hash(file)
