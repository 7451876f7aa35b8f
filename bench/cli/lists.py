"""`bench list`: what can be named in a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import unknown

if TYPE_CHECKING:
    from ..registry import Entry


def list_(
    what: Annotated[
        str,
        typer.Argument(help="runs, methods, metrics, attacks, models, concepts, kinds, prompts, protocols or plans."),
    ],
) -> None:
    """List what can be named in a plan, or the runs in results/runs.

    Example: bench list methods
    """
    kinds = {
        "methods": _list_methods,
        "metrics": _list_metrics,
        "attacks": _list_attacks,
        "models": _list_models,
        "concepts": _list_concepts,
        "kinds": _list_kinds,
        "prompts": _list_prompts,
        "protocols": _list_protocols,
        "plans": _list_plans,
    }
    if what == "runs":
        from ..runs.listing import list_runs

        table = list_runs()
        if len(table) == 1:
            typer.echo("no runs in results/runs: `bench run` makes one there")
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for line in table[len(table) == 1 :]:
            typer.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
        return
    if what not in kinds:
        raise unknown("list", what, [*kinds, "runs"], "bench list --help")
    from ..report.terminal import entries

    typer.echo(entries(kinds[what]()))


def _list_methods() -> list[tuple[str, str]]:
    from ..registry import METHODS

    def text(name: str) -> str:
        entry = METHODS.entries()[name]
        return _told(entry, entry.facts.get("label", "")) + (
            f" Also: {', '.join(entry.aliases)}." if entry.aliases else ""
        )

    return [(name, text(name)) for name in METHODS.names()]


def _list_metrics() -> list[tuple[str, str]]:
    from ..registry import METRICS

    def text(name: str) -> str:
        entry = METRICS.entries()[name]
        facts = entry.facts
        arrow = {"lower": " ↓", "higher": " ↑"}.get(facts.get("better", ""), "")
        role = f" ({facts['prompts']})" if facts.get("prompts") else ""
        return _told(entry, f"{facts.get('label', '')}{arrow}{role}")

    return [(name, text(name)) for name in METRICS.names()]


def _list_attacks() -> list[tuple[str, str]]:
    from ..registry import ATTACKS

    def text(name: str) -> str:
        entry = ATTACKS.entries()[name]
        access = ", a control" if entry.facts.get("control") else ""
        return _told(entry, f"{entry.facts.get('label', '')} ({entry.facts.get('access', '')}{access})")

    return [(name, text(name)) for name in ATTACKS.names()]


def _told(entry: Entry, heading: str) -> str:
    """An entry's heading, summary and package."""
    parts = [f"{heading}:" if heading else "", entry.summary, f"(from {entry.package})" if entry.package else ""]
    return " ".join(filter(None, parts))


def _list_models() -> list[tuple[str, str]]:
    from ..models.catalog import MODELS
    from ..models.known import FAMILY_NOTES, KNOWN

    lines = [
        *MODELS.items(),
        ("FOLDER", "a Stable Diffusion pipeline in diffusers' layout"),
        ("OWNER/NAME[@REVISION]", "a pipeline on the Hugging Face hub"),
    ]
    for family, note in FAMILY_NOTES.items():
        lines += [("", ""), (family, note)]
        lines += [(known.name, known.told) for known in KNOWN if known.family == family]
    return lines


def _list_concepts() -> list[tuple[str, str]]:
    from erasebench.prompts.concepts import concept_names, get_concept, kinds, nameable

    names = concept_names()
    further = [get_concept(name) for name in nameable() if name not in names]
    by_kind = {kind: ", ".join(one.name for one in further if one.kind == kind) for kind in kinds()}
    more = [("", ""), ("OF THE KIND", "what else the embedded model draws")] if further else []
    return [*((name, get_concept(name).kind) for name in names), *more, *((k, t) for k, t in by_kind.items() if t)]


def _list_kinds() -> list[tuple[str, str]]:
    from erasebench.prompts.concepts import kinds

    return [(kind, "") for kind in kinds()]


def _list_prompts() -> list[tuple[str, str]]:
    from erasebench.prompts import FILES, ROLES, SOURCES
    from erasebench.prompts.concepts import get_concept
    from erasebench.prompts.sets import prompt_set

    shown, concept = [], get_concept("nudity")
    for name, text in SOURCES.items():
        found = prompt_set("any", name, concept, None)
        shown.append((name, f"{len(found.prompts):>5}  {found.hash}  {found.source}: {text}"))
    head = [("SOURCE", "SIZE  HASH              of all prompts; for sets about the concept, those about nudity")]
    roles = [("", ""), ("ROLE", "what metrics ask for; --prompts ROLE=SOURCE"), *ROLES.items()]
    return [*head, *shown, *FILES.items(), *roles]


def _list_protocols() -> list[tuple[str, str]]:
    from ..runs.protocols import get_protocol, protocol_names, shown

    lines: list[tuple[str, str]] = []
    for name in protocol_names():
        protocol = get_protocol(name)
        lines.append((name, protocol.source))
        for key, value in protocol.pinned.items():
            whose = "  (ours: the source leaves it open)" if key in protocol.ours else ""
            lines.append(("", f"{key} = {shown(value)}{whose}"))
        lines += [("", f"note: {remark}") for remark in protocol.remarks]
    return lines


def _list_plans() -> list[tuple[str, str]]:
    from ..runs.plan_file import PLANS, plan_names

    texts = {name: (PLANS / f"{name}.yaml").read_text(encoding="utf-8") for name in plan_names()}
    return [(name, text.split("\n", 1)[0].lstrip("# ")) for name, text in texts.items()]
