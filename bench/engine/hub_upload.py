"""Sending a folder to the Hugging Face hub, and what can go wrong there in words that help."""

from __future__ import annotations

from pathlib import Path

from ..errors import BenchError
from ..models.hub import network_errors

REFUSED = (401, 403)


def check_repository(name: str) -> None:
    """Raise unless a name can be a repository's, as OWNER/NAME.

    Raises:
        BenchError: it can't; says what is allowed.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        if name.count("/") != 1:
            raise HFValidationError
        validate_repo_id(name)
    except HFValidationError:
        raise BenchError(
            f"{name!r} can't be a repository of the hub. Write --to OWNER/NAME: letters, digits, dots, dashes and "
            "underscores, no two dots or dashes in a row, 96 characters at most with the row's name behind it."
        ) from None


def check_token() -> None:
    """Raise unless somebody is logged in, before anything is made.

    Raises:
        BenchError: nobody is.
    """
    from huggingface_hub import get_token

    if get_token() is None:
        raise BenchError(
            "Nobody is logged in to the hub: `hf auth login`, or set HF_TOKEN to a token that may write. "
            "--dry-run needs neither token nor network."
        )


def send(folder: Path, repository: str, kind: str, public: bool, name: str) -> str:
    """Send a folder as a repository's newest commit, and return its address.

    Args:
        folder: what is sent.
        repository: OWNER/NAME; made where it is not there, private unless `public`. One that is there stays as visible
            as it is.
        kind: "model" or "dataset".
        public: see above.
        name: of the run, for the commit's message.

    Raises:
        BenchError: there is no network, or the hub refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    hub = HfApi()
    try:
        address = hub.create_repo(repository, repo_type=kind, private=not public, exist_ok=True)
        hub.upload_folder(repo_id=repository, repo_type=kind, folder_path=folder, commit_message=f"erasebench: {name}")
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in REFUSED:
            raise BenchError(
                f"The hub refuses {repository} (status {status}): the token must be one that may write there. "
                "`hf auth whoami` says whose it is; https://huggingface.co/settings/tokens makes another."
            ) from None
        raise BenchError(f"The hub refuses {repository} (status {status}): {str(error).strip()}") from None
    except (ValueError, RuntimeError) as error:  # a card, or a large file, that it does not take
        raise BenchError(f"The hub does not take {repository}: {error}") from None
    except network_errors() as error:
        raise BenchError(
            f"{repository}: the hub can't be reached ({type(error).__name__}). Try again with network, and without "
            "HF_HUB_OFFLINE; --dry-run writes what would be sent to a folder."
        ) from None
    return str(address)
