"""What a run was made from, in words, and what differs between two runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...runs.folder import RunFolder
from ...runs.plan import Plan
from ...runs.record import RunRecord, read_run
from ...storage.keys import dotted
from .baseline import environment
from .verdicts import changes

WITHOUT_MEANING = ("name",)


def show(folder: RunFolder) -> Iterator[str]:
    """A run's record as lines.

    Raises:
        BenchError: the folder holds no run.
    """
    plan, record = read_run(folder)
    last = record.sessions[-1].provenance if record.sessions else {}
    yield f"{folder.root}: {record.status}, plan {plan.name} ({plan.key[:8]}), fingerprint {record.fingerprint}"
    yield f"concept “{plan.subject}”, model {record.model.name} ({record.model.revision})"
    yield f"training seeds: {', '.join(map(str, plan.seeds))}; image seed: {plan.image_seed}"
    rows = (f"{row} ({record.methods[row]})" if row in record.methods else row for row in record.rows)
    yield "rows: " + ", ".join(rows)
    yield "metrics: " + ", ".join(f"{name} {version}" for name, version in record.metrics.items())
    for role, used in record.prompts.items():
        yield f"prompts {role}: {used['source']}, {used['size']}, hash {used['hash']}"
    yield from record.remarks
    drawn = plan.generation.model_dump(exclude={"batch_size"}, exclude_none=True)  # what it was stands below
    yield "generation: " + ", ".join(f"{key} {value}" for key, value in drawn.items())
    for key, value in environment(record).items():
        if value is not None:
            yield f"{key}: {value}"
    git = last.get("git")
    if git:
        yield f"git: {git['commit']}{', with changes' if git['dirty'] else ''}"
    for name, digest in record.weights.items():
        yield f"weights {name}: {digest}"
    for k, session in enumerate(record.sessions, 1):
        took = f"{session.seconds:.0f} s" if session.ended else "did not end by itself"
        yield f"session {k}: {session.started}, {took}: {' '.join(session.provenance.get('command', ()))}"
    yield f"time: {record.seconds:.0f} s in {len(record.sessions)} sessions"
    yield from (f"made again: {text}" for text in record.remade)
    for failure in record.failures:
        yield f"failed: {failure.cell}: {failure.reason}"
        yield from (f"    {line}" for line in failure.traceback.rstrip("\n").split("\n"))


def set_up_changes(first: RunFolder, second: RunFolder) -> list[str]:
    """What differs in two runs' set-up, as "key: old → new".

    Raises:
        BenchError: one of the folders holds no run.
    """
    before, after = (_set_up(*read_run(folder)) for folder in (first, second))
    return changes(before, after)


def _set_up(plan: Plan, record: RunRecord) -> dict[str, Any]:
    own = dotted({key: value for key, value in plan.model_dump(mode="json").items() if key not in WITHOUT_MEANING})
    git = (record.sessions[-1].provenance.get("git") or {}) if record.sessions else {}
    packages = record.sessions[-1].provenance.get("packages", {}) if record.sessions else {}
    return {
        **own,
        "model revision": record.model.revision,
        **{f"hash of prompts {role}": used["hash"] for role, used in record.prompts.items()},
        **{f"method of {row}": version for row, version in record.methods.items()},
        **{f"version of {name}": version for name, version in record.metrics.items()},
        **{f"weights {name}": digest for name, digest in record.weights.items()},
        **environment(record),
        "package erasebench": packages.get("erasebench"),
        "git commit": git.get("commit"),
        "git changes": git.get("dirty"),
    }
