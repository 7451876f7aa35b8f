"""What leaves the house names no places of this machine."""

from __future__ import annotations

from pathlib import Path

from .plan import Plan


def without_paths(text: str, plan: Plan) -> str:
    """The text with each file and folder that the plan names by its last part alone."""
    for path in sorted(_paths(plan), key=len, reverse=True):
        text = text.replace(path, Path(path).name)
    return text


def _paths(plan: Plan) -> set[str]:
    """As the plan has them, and from the root."""
    given = [plan.model, plan.reference or "", plan.scoring.clip.removeprefix("local-dir:")]
    given += [prompts.source for prompts in plan.prompts.values()]
    given += [variant.path or "" for variant in plan.variants.values()]
    found = {path for path in given if "/" in path and _is_local(path)}
    return found | {str(Path(path).expanduser().absolute()) for path in found}


def _is_local(path: str) -> bool:
    return path.startswith(("/", ".", "~")) or Path(path).exists()
