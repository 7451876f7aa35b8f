"""Models on the Hugging Face hub: a name becomes a commit, and a commit a folder with the files that are loaded."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import BenchError, ModelUnavailable
from .layouts import INDEX, XL, layout_of
from .pipeline_folder import SCHEDULER, check_configurations, wanted_files
from .weight_files import read_object

COMMIT = r"[0-9a-f]{40}"
PATTERNS = ("*.json", "*.txt", "*.safetensors")


def resolve_commit(name: str, hub_id: str, wanted: str) -> str:
    """The commit of a branch, a tag or a shortened commit: the one that the local cache has, else the hub's.

    Raises:
        BenchError: the cache has none and the hub can't be asked, or knows no such model or revision.
    """
    if re.fullmatch(COMMIT, wanted):
        return wanted
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    cached = try_to_load_from_cache(hub_id, INDEX, revision=wanted)
    if isinstance(cached, str):
        return Path(cached).parent.name
    try:
        return str(HfApi().model_info(hub_id, revision=wanted).sha)
    except RevisionNotFoundError:
        raise BenchError(
            f"--model {name}: {hub_id} has no revision {wanted!r}. Choose a branch, tag or commit."
        ) from None
    except RepositoryNotFoundError:
        raise BenchError(
            f"--model {name}: the hub shows no model {hub_id}. If it is private or asks for a licence, accept it on "
            "its page and log in with `hf auth login`. Was a folder meant? There is none of that name here."
        ) from None
    except network_errors() as error:
        raise ModelUnavailable(
            f"--model {name}: there is no such folder, the local Hugging Face cache has no {hub_id} at {wanted!r}, and "
            f"the hub can't be asked ({type(error).__name__}). {_remedy(hub_id, wanted)}"
        ) from None


def cached_snapshot(hub_id: str, commit: str) -> Path | None:
    """The cache's folder of a commit, if all files that are loaded lie in it."""
    from huggingface_hub import try_to_load_from_cache

    index = try_to_load_from_cache(hub_id, INDEX, revision=commit)
    if not isinstance(index, str):
        return None
    folder = Path(index).parent
    try:
        layout = layout_of(read_object(folder / INDEX))
    except BenchError as error:
        raise BenchError(f"--model {hub_id}: {error}") from None
    try:
        wanted = wanted_files([file.relative_to(folder).as_posix() for file in folder.glob("**/*")], layout)
    except BenchError:  # part of it was fetched
        return None
    return folder if all((folder / file).exists() for file in wanted) else None


def fetch(hub_id: str, commit: str) -> Path:
    """Fetch what is loaded of a commit, configurations first: a pipeline of another kind is refused before its weights.

    Raises:
        BenchError: it is no pipeline that the bench can use.
        ModelUnavailable: it can't be fetched.
    """
    from huggingface_hub import HfApi, snapshot_download

    try:
        names = HfApi().list_repo_files(hub_id, revision=commit)
        if INDEX not in names:
            raise BenchError(f"--model {hub_id}: no {INDEX} at {commit}: no diffusers pipeline. Choose another model.")
        small = {INDEX, SCHEDULER, *(f"{part}/config.json" for part in XL.weights)} & set(names)
        folder = Path(snapshot_download(hub_id, revision=commit, allow_patterns=sorted(small)))
        check_configurations(folder)
        try:
            wanted = wanted_files(names, layout_of(read_object(folder / INDEX)))
        except BenchError as error:
            raise BenchError(f"--model {hub_id}: {error}") from None
        return Path(snapshot_download(hub_id, revision=commit, allow_patterns=wanted))
    except network_errors() as error:
        raise ModelUnavailable(
            f"--model {hub_id} (revision {commit}) is not in the local Hugging Face cache and could not be fetched "
            f"({type(error).__name__}). {_remedy(hub_id, commit)}"
        ) from None


def network_errors() -> tuple[type[Exception], ...]:
    """No network, no such repository, and a disk that takes no more (which the message's error names)."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    # Whose HTTP library it is depends on the version of huggingface_hub: its own error is a kind of that one's.
    http_error = HfHubHTTPError.__mro__[1]
    return OfflineModeIsEnabled, LocalEntryNotFoundError, HfHubHTTPError, ConnectionError, http_error


def _remedy(hub_id: str, revision: str) -> str:
    include = " ".join(f'--include "{pattern}"' for pattern in PATTERNS)
    return (
        f"With network: `hf download {hub_id} --revision {revision} {include}`, then run the same command. "
        "Without: copy the pipeline's folder to this machine and pass --model FOLDER, or use the embedded model with "
        "--model mini."
    )
