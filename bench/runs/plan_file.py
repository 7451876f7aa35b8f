"""Reading a plan: strict YAML in layers, and errors that name the line."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from erasebench.prompts.bands import has_bands
from erasebench.prompts.concepts import get_concepts

from ..errors import BenchError, unknown
from ..models.families import EMBEDDED_MODEL, Family, family_of
from ..registry import METHODS, METRICS, Registry, every_method
from .attacks import PlannedAttacks, by_names, requested
from .plan import (
    RESERVED,
    Generation,
    Plan,
    Prompts,
    Role,
    Scoring,
    SpectrumSettings,
    Training,
    Variant,
    _by_name,
    _check_keys,
    _usual_metrics,
)
from .protocols import get_protocol

PLANS = files("erasebench") / "plans"
ON_MINI = "on_mini"  # a plan file's section for the embedded model
LONGEST = 1_000_000  # characters of a plan
MOST_NODES = 100_000  # values of a plan, once YAML's aliases are written out


def plan_names() -> list[str]:
    """The built-in plans."""
    return sorted(Path(str(entry)).stem for entry in PLANS.iterdir() if entry.name.endswith(".yaml"))


def load_plan(source: str, overrides: dict[str, Any]) -> Plan:
    """Read a YAML file or a built-in plan by name, put flags on top, check and resolve it.

    Raises:
        BenchError: with the line of the offending key and what is allowed there.
    """
    text, where = _read(source)
    if len(text) > LONGEST:
        raise BenchError(f"{where} has {len(text):,} characters; a plan has at most {LONGEST:,}.")
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        if tree is not None and _nodes(tree, {}) > MOST_NODES:
            raise BenchError(f"{where}: its aliases stand for more than {MOST_NODES:,} values. Write a smaller plan.")
        if tree is not None:
            _check_keys(tree, where)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BenchError(f"{where} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise BenchError(f"{where}: a plan is a mapping with the keys {', '.join(Plan.model_fields)}.")
    merged = _layered(content, overrides)
    merged.setdefault("name", Path(source).stem)
    try:
        plan = Plan(**merged)
    except ValidationError as error:
        raise BenchError("\n".join(_explain(detail, where, tree, overrides) for detail in error.errors())) from None
    return _resolve(plan)


def _read(source: str) -> tuple[str, str]:
    """A plan's text and how errors call it."""
    path = Path(source)
    if source in plan_names():
        return (PLANS / f"{source}.yaml").read_text(encoding="utf-8"), f"plan {source}"
    if path.is_file():
        return path.read_text(encoding="utf-8"), source
    if path.suffix in (".yaml", ".yml"):
        raise BenchError(f"there is no plan file {source}. Built-in plans: {', '.join(plan_names())}.")
    raise unknown("plan", source, plan_names(), "bench list plans")


def _nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a YAML node holds once its aliases are written out."""
    if id(node) not in known:
        known[id(node)] = 1  # a node within itself
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        known[id(node)] = 1 + sum(_nodes(part, known) for part in inner)
    return known[id(node)]


def _layered(content: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    """The protocol, on it the plan file, on it what the file says of the embedded model, and flags on top.

    A protocol that is asked for by a flag stands above the file: who asks for it wants its settings.
    """
    file = {str(key): value for key, value in content.items() if key != ON_MINI}
    own, named = content.get("protocol"), flags.get("protocol")
    layers = [file]
    if own is not None and named is None:
        layers.insert(0, deepcopy(get_protocol(str(own)).plan))
    if named is not None:
        layers.append(deepcopy(get_protocol(named).plan))
    family = family_of(str(flags.get("model", content.get("model", EMBEDDED_MODEL))))
    if family.has_world:
        smaller = content.get(ON_MINI) or {}
        if not isinstance(smaller, dict):
            raise BenchError(f"{ON_MINI}: a mapping with a plan's keys, not {smaller!r}.")
        layers.append(smaller)
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merged(merged, _spelled_out(layer))
    if "images" in flags:  # one count for all prompt sets
        prompts = merged.get("prompts", {})
        if isinstance(prompts, dict):
            merged["prompts"] = {
                role: {**given, "images": None} if isinstance(given, dict) else given for role, given in prompts.items()
            }
    for role, given in flags.get("prompts", {}).items():  # another source has other categories, in another order
        own = merged.get("prompts", {}).get(role, {})
        if isinstance(own, dict) and own.get("source") != given["source"]:
            own.pop("category", None)
            own.pop("order", None)
    return _with_sampler(_merged(merged, _spelled_out(flags)), family)


def _with_sampler(merged: dict[str, Any], family: Family) -> dict[str, Any]:
    """The family's own sampler where neither scheduler nor steps are given: one without the other means another."""
    drawn = merged.get("generation", {})
    if not isinstance(drawn, dict) or drawn.keys() & family.sampler.keys():
        return merged
    return {**merged, "generation": {**family.sampler, **drawn}}


def _spelled_out(layer: dict[str, Any]) -> dict[str, Any]:
    """A layer with prompt sets and attacks as mappings, and both of `concept` and `concepts`, so that layers merge."""
    several = layer.get("concepts", [])
    if isinstance(several, list) and (several or "concept" in layer):
        layer = {"concepts": several, **({"concept": several[0]} if several else {}), **layer}
    prompts, attacks = layer.get("prompts"), layer.get("attacks")
    if isinstance(prompts, dict):
        layer = {**layer, "prompts": {role: _by_name(value) for role, value in prompts.items()}}
    return layer if attacks is None else {**layer, "attacks": by_names(attacks)}


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two mappings as one, their inner mappings too."""
    both = {
        key: _merged(below[key], above[key])
        for key in above
        if isinstance(below.get(key), dict) and isinstance(above[key], dict)
    }
    return {**below, **above, **both}


def _explain(detail: Any, where: str, tree: yaml.Node | None, overrides: dict[str, Any]) -> str:
    location = [part for part in detail["loc"]]
    key = ".".join(str(part) for part in location)
    if not location:  # about several keys at once, which it names
        return f"{where}: {detail['msg'].removeprefix('Value error, ')}."
    given = overrides.get(str(location[0]), {})
    if location[0] in overrides and (len(location) == 1 or not isinstance(given, dict)):
        return f"--{str(location[0]).replace('_', '-')}: {_reason(detail)}."
    if isinstance(given, dict) and location[-1] in given:
        return f"--{str(location[-1]).replace('_', '-')}: {_reason(detail)}."
    line = _line(tree, location)
    place = f"{where}, line {line}" if line else where
    if detail["type"] == "extra_forbidden":
        inner: dict[str, type[BaseModel]] = {
            "generation": Generation,
            "training": Training,
            "variants": Variant,
            "scoring": Scoring,
            "prompts": Prompts,
            "spectrum": SpectrumSettings,
            "attacks": PlannedAttacks,
        }
        fields = inner.get(str(location[0]) if len(location) > 1 else "", Plan).model_fields
        return f"{place}: {unknown('key', str(location[-1]), fields, 'bench list plans')} Allowed: {', '.join(fields)}."
    return f"{place}: {key}: {_reason(detail)}."


def _reason(detail: Any) -> str:
    value, message = detail.get("input"), detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":  # its input is all that is around it
        return "it has to be given"
    return f"{message[0].lower()}{message[1:]}, not {value!r} ({type(value).__name__})"


def _line(node: yaml.Node | None, location: list[Any]) -> int | None:
    """The line, from 1, where the key at `location` stands."""
    if not location or node is None:
        return None
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(location[0]):
                return _line(value, location[1:]) or int(key.start_mark.line) + 1
    elif isinstance(node, yaml.SequenceNode) and isinstance(location[0], int) and location[0] < len(node.value):
        return int(node.value[location[0]].start_mark.line) + 1
    return None


def _resolve(plan: Plan) -> Plan:
    """Replace `all`, `every`, `papers` and aliases, and check every name."""
    pairs = {name: tuple(map(METHODS.check, name.split("+", 1))) for name in plan.methods if "+" in name}
    methods = resolve_methods([name for name in plan.methods if name not in pairs])
    usual = {"all": _usual_metrics(plan)} if "all" in plan.metrics else {}
    metrics = _expand(plan.metrics, {**METRICS.groups, **usual}, METRICS)
    if not methods and not pairs and not plan.variants:
        raise BenchError("methods: none is named, and there are no variants. `bench list methods` shows them all.")
    variants = {}
    for name, variant in plan.variants.items():
        if name in METHODS.entries() or name in RESERVED:
            raise BenchError(f"variants: {name!r} is taken. Choose another name for this row.")
        method = None if variant.method is None else METHODS.check(variant.method)
        guide = None if variant.guide is None else METHODS.check(variant.guide)
        changed = {"method": method, "path": _absolute(variant.path), "guide": guide}
        variants[name] = variant.model_copy(update=changed)
    beside = {variant.guide for variant in variants.values() if variant.path is not None}
    settings: dict[str, dict[str, Any]] = {}
    for name, values in plan.settings.items():
        if METHODS.check(name) not in (*methods, *chain.from_iterable(pairs.values()), *beside):
            raise BenchError(f"settings: {name!r} is not among the plan's methods ({', '.join(methods)}).")
        settings.setdefault(METHODS.check(name), {}).update(values)
    for method, guide in pairs.values():
        own, more = settings.get(method, {}), settings.get(guide, {})
        variants[f"{method}+{guide}"] = Variant(method=method, settings=own, guide=guide, guide_settings=more)
    for name, variant in variants.items():
        if variant.path is not None and variant.guide is not None:
            more = {**settings.get(variant.guide, {}), **variant.guide_settings}
            variants[name] = variant.model_copy(update={"guide_settings": more})
    settings = {name: values for name, values in settings.items() if name in methods}
    resolved = {
        "prompts": _with_roles(plan, metrics),
        "methods": methods,
        "metrics": metrics,
        "variants": variants,
        "settings": settings,
        "seeds": list(dict.fromkeys(plan.seeds)),
        "snapshots": sorted(set(plan.snapshots)),
    }
    found = plan.model_copy(update=resolved)
    if plan.attacks is not None:
        requested(plan.attacks, list(found.rows), found.family.name)  # whether all that it names is there
    return found


def _with_roles(plan: Plan, metrics: Iterable[str]) -> dict[Role, Prompts]:
    """The plan's prompt sets, and the usual ones of further roles that its metrics ask for."""
    facts = [METRICS.entries()[name].facts for name in metrics]
    asked = {role for one in facts for role in (one.get("prompts"), *one.get("beside", ()))}
    found = dict(plan.prompts)
    if "styles" in asked:
        found.setdefault("styles", Prompts(source="styles"))
    if "pairs" in asked:
        found.setdefault("pairs", Prompts(source="pairs"))
    if "related" in asked:
        known = has_bands(get_concepts(plan.erased, plan.kind))
        found.setdefault("related", Prompts(source="bands" if known else "related"))
    return found


def _absolute(path: str | None) -> str | None:
    """A path that means the same from everywhere."""
    return None if path is None else str(Path(path).expanduser().absolute())


def resolve_methods(names: list[str]) -> list[str]:
    """Registered names for names, aliases, `all` and `every`."""
    return _expand(names, {"all": list(METHODS.first), "every": every_method()}, METHODS)


def _expand(names: list[str], groups: Mapping[str, Sequence[str]], registry: Registry) -> list[str]:
    return list(dict.fromkeys(registry.check(item) for name in names for item in groups.get(name, [name])))
