"""How a run was made: plan, protocol, versions, device, seeds, failures, hashes, the command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...registry import METHODS
from ...runs.protocols import deviations, get_protocol, shown
from ..headings import first_line, headings
from .opened import OpenRun


@dataclass(frozen=True)
class Fact:
    """One line: what it is, and what it says; `code` is set as it stands."""

    term: str
    texts: tuple[str, ...] = ()
    code: str = ""


@dataclass(frozen=True)
class Chapter:
    """Facts under a heading."""

    title: str
    facts: tuple[Fact, ...]


def how_it_was_made(run: OpenRun) -> list[Chapter]:
    """All that a reader needs to judge a run's numbers, or to make them again."""
    parts = (
        ("The run", _run(run)),
        ("What was compared", _set_up(run)),
        ("Protocol", _protocol(run)),
        ("Methods", _methods(run)),
        ("Metrics", _metrics(run)),
        ("To be known", _to_be_known(run)),
        ("Machine and packages", _environment(run)),
        ("Plan", iter([Fact("plan.yaml", code=run.plan.to_yaml())])),
    )
    chapters = [Chapter(title, tuple(facts)) for title, facts in parts]
    return [chapter for chapter in chapters if chapter.facts]


def command_of(run: OpenRun) -> str:
    """The last command that worked on the run; "" where that is not known."""
    sessions = run.record.sessions
    return shlex.join(sessions[-1].provenance.get("command", ())) if sessions else ""


def _run(run: OpenRun) -> Iterator[Fact]:
    record = run.record
    yield Fact("Status", (run.status,))
    yield Fact("Folder", (run.folder.root.resolve().as_posix(),))
    if record.fingerprint:
        yield Fact("Fingerprint", (record.fingerprint,))
    yield Fact("Plan", (f"{run.plan.name}, hash {run.plan.key}",))
    sessions = [
        f"{session.started}, " + (f"{session.seconds:.0f} s" if session.ended else "did not end by itself")
        for session in record.sessions
    ]
    if sessions:
        yield Fact("Worked on", tuple(sessions))
    if command := command_of(run):
        yield Fact("Command", code=command)
    if record.remade:
        yield Fact("Made again", record.remade)


def _set_up(run: OpenRun) -> Iterator[Fact]:
    plan, record = run.plan, run.record
    revision = f", revision {record.model.revision}" if record.model.revision else ""
    yield Fact("Model", (f"{plan.model}{revision}",))
    kind = f" ({plan.kind})" if plan.kind else ""
    yield Fact("Erased", (f"{plan.subject}{kind}" + (f" → {plan.replacement}" if plan.replacement else ""),))
    for role, used in sorted(record.prompts.items()):
        size = f"{used['size']} of {used['available']} prompts, from {used['clusters']} templates or single prompts"
        yield Fact(f"Prompts “{role}”", (f"{used['source']}: {size}", f"hash {used['hash']}"))
    drawn = plan.generation.model_dump(exclude_none=True)
    if record.batch_size:  # the plan's may be 0: what suits the device
        drawn["batch_size"] = record.batch_size
    yield Fact("Drawing", (", ".join(f"{key} {value}" for key, value in drawn.items()),))
    yield Fact("Seeds", (f"trainings {', '.join(map(str, plan.seeds))}; image noise {plan.image_seed}",))
    if record.precision:
        yield Fact("Precision", tuple(f"{what}: {precision}" for what, precision in record.precision.items()))
    if record.reference:
        yield Fact("Real images", (f"hash {record.reference}",))


def _protocol(run: OpenRun) -> Iterator[Fact]:
    plan = run.plan
    if plan.protocol is None:
        yield Fact("Protocol", ("none: the plan’s own settings",))
        return
    protocol = get_protocol(plan.protocol)
    yield Fact("Protocol", (f"{plan.protocol}: {protocol.source}",))
    differs = deviations(plan.protocol, plan.model_dump())
    yield Fact("Left at", tuple(differs) or ("nowhere: as it stands",))
    if protocol.ours:
        yield Fact("Open in the source", tuple(f"{key}: {shown(protocol.pinned.get(key))}" for key in protocol.ours))
    if protocol.remarks:
        yield Fact("Remarks", protocol.remarks)


def _methods(run: OpenRun) -> Iterator[Fact]:
    facts = {name: entry.facts for name, entry in METHODS.entries().items()}
    for row, variant in run.plan.rows.items():
        source = variant.method or f"weights of {Path(str(variant.path)).name}"
        method, paper = run.record.methods.get(row, source), facts.get(source, {}).get("paper")
        texts = [f"{method}, {paper}" if paper else method]
        seeds = run.record.trainings.get(row)
        if seeds is not None:
            unseeded = "guides sampling" if facts.get(source, {}).get("guides") else "closed form"
            texts.append(f"training seeds {', '.join(map(str, seeds))}" if seeds else f"{unseeded}, no seed changes it")
        if seeds is not None and (config := run.configuration(row)):
            texts.append(", ".join(f"{key} {value}" for key, value in sorted(config.items())))
        texts += [
            f"weights {name}: SHA-256 {digest}"
            for name, digest in run.record.weights.items()
            if name.rpartition("/")[0] == row
        ]
        yield Fact(run.label(row), tuple(texts))


def _metrics(run: OpenRun) -> Iterator[Fact]:
    for name, head in headings(run.scores, run.plan.metrics).items():
        scores = [score for (_, metric), score in run.scores.items() if metric == name]
        version = run.record.metrics.get(name)
        texts = [name if version is None else f"{name}, version {version}", f"{head.better} is better"]
        texts += dict.fromkeys(score.note for score in scores if score.note)
        yield Fact(head.label, tuple(texts))


def _to_be_known(run: OpenRun) -> Iterator[Fact]:
    record = run.record
    if run.problems:
        yield Fact("Can’t be read", run.problems)
    if record.remarks:
        yield Fact("Remarks", record.remarks)
    if record.drawn:
        yield Fact("Images", tuple(images.described(run.label(images.row)) for images in record.drawn))
    for row, texts in record.truncated.items():
        yield Fact(f"Cut at 77 tokens in {run.label(row)}", tuple(texts[:3]))
    unscored = [f"{run.label(row)}, {score.label}: {text}" for (row, _), score in run.scores.items()
                for text in score.unscored]  # fmt: skip
    if unscored:
        more = (f"and {len(unscored) - 20} more",) if len(unscored) > 20 else ()
        yield Fact("Unscored images", (*unscored[:20], *more))
    empty = [
        f"{run.label(row)}, {score.label}: {first_line(score.reason)}"
        for (row, _), score in run.scores.items()
        if score.reason
    ]
    if empty:
        yield Fact("Without a value", tuple(dict.fromkeys(empty)))


def _environment(run: OpenRun) -> Iterator[Fact]:
    if not run.record.sessions:
        return
    made = run.record.sessions[-1].provenance
    for key, term in (("device", "Device"), ("driver", "Driver"), ("python", "Python"), ("platform", "Platform")):
        if made.get(key):
            yield Fact(term, (str(made[key]),))
    if git := made.get("git"):
        yield Fact("Commit", (f"{git['commit']}{', with changes' if git['dirty'] else ''}",))
    for key, term in (("packages", "Packages"), ("determinism", "Determinism")):
        if made.get(key):
            yield Fact(term, (", ".join(f"{name} {value}" for name, value in made[key].items() if value is not None),))
