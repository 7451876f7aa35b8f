"""Models by name, and where each comes from; no torch, so that a wrong name fails at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..errors import BenchError, unknown
from ..storage.keys import files_hash
from .families import EMBEDDED, EMBEDDED_MODEL, STABLE_DIFFUSION, Family, family_of
from .hub import cached_snapshot, fetch, resolve_commit
from .known import KNOWN
from .pipeline_folder import CONVERT, open_pipeline

# Pinned, so that a number always means the same weights.
HUB_MODELS = {known.name: (known.repository, known.revision) for known in KNOWN if known.revision is not None}
# By the hub's names; erased weights keep them.
LICENCES = {"mini": "apache-2.0"} | {known.name: known.licence for known in KNOWN if known.licence is not None}
RANDOM_MODEL = "sd-v1-4-random"
MODELS = {
    "mini": "the embedded model: 64×64 pictograms, in the package, for any CPU",
    "sd-v1-4": "Stable Diffusion v1.4 from the Hugging Face hub, pinned; for a GPU",
    RANDOM_MODEL: "Stable Diffusion v1.4's architecture with random weights: nothing to fetch; for timing only",
}
SINGLE_FILES = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")
MINI_WEIGHTS = Path(__file__).parents[1] / "mini" / "weights"
SECOND_JUDGE = ("config.json", "convnext.safetensors", "heads.safetensors", "labels.json")
JUDGE = ("heads.safetensors", "labels.json", "open_clip_config.json", "open_clip_model.safetensors")
STABLE_DIFFUSION_SIZE, STABLE_DIFFUSION_BYTES = 512, 4_265_000_000


@dataclass(frozen=True)
class ModelSource:
    """A model that was asked for by name.

    Attributes:
        name: as the user gave it.
        family: what it has in common with others.
        source: a folder, a hub id that has yet to be fetched, or the random model's name.
        hub_revision: the hub's commit, for a model that has yet to be fetched; None otherwise.
        revision: a hash of the files that are loaded, or hub id and commit; part of every cache key.
    """

    name: str
    family: Family
    source: str
    hub_revision: str | None
    revision: str

    @property
    def image_size(self) -> int:
        """Height and width of its images in pixels; for a model that has yet to be fetched, Stable Diffusion v1's."""
        folder = Path(self.source)
        return open_pipeline(folder).image_size if folder.is_dir() else STABLE_DIFFUSION_SIZE

    @property
    def text_encoders(self) -> int:
        """How many it has."""
        folder = Path(self.source)
        return len(open_pipeline(folder).layout.tokenizers) if folder.is_dir() else 1

    @property
    def weight_bytes(self) -> int:
        """The size of its weights' files; for a model that has none here, Stable Diffusion v1's in float32."""
        folder = Path(self.source)
        files = open_pipeline(folder).files if folder.is_dir() else ()
        return sum((folder / file).stat().st_size for file in files) or STABLE_DIFFUSION_BYTES

    def fetched(self) -> ModelSource:
        """Itself, with its files on this machine: a model on the hub is fetched, and its revision is then final.

        Raises:
            BenchError: it can't be fetched, or it is no pipeline that the bench can use.
        """
        if self.hub_revision is None:
            return self
        return _at(self.name, self.source, self.hub_revision, fetch(self.source, self.hub_revision))


@cache
def find_model(name: str) -> ModelSource:
    """Resolve "mini", a named hub model, a local diffusers folder, or a hub id ("owner/name[@revision]").

    A name of the catalogue is never a folder's. A hub id's branch or tag, "main" by default, becomes a commit: the one
    that the local cache has, else the hub's. Hashing a folder of gigabytes takes long, so that each name is resolved
    once in a process.

    Raises:
        BenchError: there is no such model, or it is no pipeline that the bench can use.
    """
    folder = Path(name)
    if name == EMBEDDED_MODEL:
        # The judge is part of the embedded model: the hash covers both.
        files = [f"pipeline/{file}" for file in open_pipeline(MINI_WEIGHTS / "pipeline").files]
        revision = files_hash(MINI_WEIGHTS, [*files, *(f"judge/{file}" for file in JUDGE)])
        return ModelSource(name, EMBEDDED, str(MINI_WEIGHTS / "pipeline"), None, revision)
    if name == RANDOM_MODEL:
        return ModelSource(name, STABLE_DIFFUSION, name, None, "random weights, seed 0")
    if name in HUB_MODELS:
        return _on_the_hub(name, *HUB_MODELS[name])
    if folder.is_file() or folder.suffix in SINGLE_FILES:
        raise BenchError(
            f"--model {name}: a single file, where a folder in diffusers' layout is needed; a .ckpt, .pt or .bin file "
            f"is a pickle besides, which can run any code and is never loaded. {CONVERT}"
        )
    if folder.is_dir():
        found = open_pipeline(folder)
        return ModelSource(name, family_of(name), name, None, files_hash(folder, found.files))
    if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", name) and not name.startswith("."):
        hub_id, _, wanted = name.partition("@")
        return _on_the_hub(name, hub_id, wanted or "main")
    if folder.is_symlink():
        raise BenchError(f"--model {name}: a link to {folder.readlink()}, which is not there.")
    if "/" in name or name.startswith("~"):
        raise BenchError(f"--model {name}: there is no such folder.")
    raise unknown("model", name, MODELS, "bench list models")


def _on_the_hub(name: str, hub_id: str, wanted: str) -> ModelSource:
    """A hub model at a commit; where the local cache has its files, they are looked at."""
    commit = resolve_commit(name, hub_id, wanted)
    snapshot = cached_snapshot(hub_id, commit)
    if snapshot is None:
        return ModelSource(name, STABLE_DIFFUSION, hub_id, commit, f"{hub_id}@{commit}")
    return _at(name, hub_id, commit, snapshot)


def _at(name: str, hub_id: str, commit: str, snapshot: Path) -> ModelSource:
    """A hub model whose files are here; other weights than the plain ones are named in its revision."""
    variants = {variant for variant in open_pipeline(snapshot).variants.values() if variant}
    return ModelSource(name, STABLE_DIFFUSION, str(snapshot), None, " ".join([f"{hub_id}@{commit}", *sorted(variants)]))
