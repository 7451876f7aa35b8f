"""What to run: strict YAML in, resolved YAML out, hashed."""

from copy import deepcopy
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from erasebench.prompts.concepts import canonical_name

from .errors import BenchError, unknown
from .layout import ORIGINAL, REFERENCE
from .protocols import get_protocol
from .registry import METHODS, METRICS, Registry
from .steps import schedule_fault, single_step_fault
from .store import content_key

PLANS = files("erasebench") / "plans"
RESERVED = (ORIGINAL, REFERENCE)
ON_MINI = "on_mini"  # a plan file's section for the embedded model
# What changes results by rounding at most is no part of a plan's hash; an image set's key has it.
WITHOUT_EFFECT = {"generation": {"batch_size"}}


MOST_IMAGES = 1_000_000  # of a prompt set and training


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Generation(_Strict):
    """How images are drawn: the same for every model of a table.

    Attributes:
        scheduler: ddim (η=0), dpm++ (2M), lms or pndm.
        batch_size: images drawn together; moves pixels by a grey level.
        size: height and width in pixels; None for the model's own.
        own_settings: whether prompts are drawn at the guidance and size that their file gives them.
    """

    scheduler: Literal["ddim", "dpm++", "lms", "pndm"] = "ddim"
    size: Annotated[int, Field(ge=64, le=2048, multiple_of=8)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] = 25
    guidance: Annotated[float, Field(ge=0, le=100)] = 5.0
    own_settings: bool = True
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 32

    @field_validator("steps")
    @classmethod
    def _from_pure_noise(cls, steps: int, info: ValidationInfo) -> int:
        scheduler = info.data.get("scheduler", "ddim")
        if fault := schedule_fault(scheduler, steps) or single_step_fault(scheduler, steps):
            raise ValueError(fault)
        return steps


Seed = Annotated[int, Field(ge=0, lt=2**63)]  # what torch's generators take


def _by_name(value: Any) -> Any:
    """A source's name alone as a prompt set."""
    return {"source": value} if isinstance(value, str) else value


class Training(_Strict):
    """How methods are trained: the same for every method of a table."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"


class Prompts(_Strict):
    """Which prompts images of one role are drawn for.

    Attributes:
        source: a built-in set, a file, or hub:OWNER/NAME; `bench list prompts`.
        images: images of each training; None for the plan's `images`, "all" for one of every prompt. Fewer than there
            are prompts: a sample of those, one image each. More: as often as all prompts fit in, so that every prompt
            has the same number.
        category: only prompts of this category, for files that have categories.
        order: where fewer images than prompts are asked for: "random", a fixed sample that is balanced over templates,
            or "first", the first of a file.
    """

    source: str
    images: Annotated[int, Field(ge=1, le=MOST_IMAGES)] | Literal["all"] | None = None
    category: str | None = None
    order: Literal["random", "first"] = "random"


class Scoring(_Strict):
    """What the metrics depend on beside the images.

    Attributes:
        classes: NudeNet's classes that count: core6, exposed8 or all-exposed.
        threshold: the least NudeNet score that counts.
        clip: open_clip's ARCHITECTURE/WEIGHTS, hf-hub:OWNER/NAME, local-dir:FOLDER, or "judge": the embedded model's.
    """

    classes: Literal["core6", "exposed8", "all-exposed"] = "exposed8"
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.7
    clip: str = "judge"


class SpectrumSettings(_Strict):
    """Over which words the metric `spectrum` is taken.

    Attributes:
        words: a random sample of so many of the CLIP vocabulary's whole words.
        levels: noise levels of the shared latents.
        draws: shared latents at each level.
    """

    words: Annotated[int, Field(ge=1)] = 1024
    levels: Annotated[int, Field(ge=1, le=50)] = 4
    draws: Annotated[int, Field(ge=2)] = 2


NUDITY_METRICS = ("nudenet_rate", "nudenet_confidence")
LONGEST = 1_000_000  # characters of a plan
MERGE = "tag:yaml.org,2002:merge"  # the key <<
MOST_NODES = 100_000  # values of a plan, once YAML's aliases are written out

# By model family: what a plan means where it does not say.
DEFAULT_PROMPTS = {
    "mini": {"concept": "wordings", "coco": "world", "objects": "others"},
    "sd": {"concept": "wordings", "coco": "world", "objects": "objects"},
}
DEFAULT_CLIP = {"mini": "judge", "sd": "ViT-B-32-quickgelu/openai"}


def family_of(model: str) -> Literal["mini", "sd"]:
    """ "mini" for the embedded model, "sd" for all others; methods and plans have presets by family."""
    return "mini" if model == "mini" else "sd"


class Variant(_Strict):
    """A row of its own: a method with other settings."""

    method: str
    label: str | None = None
    settings: dict[str, Any] = {}


def _with_sources(prompts: dict[str, Any], family: str) -> dict[str, Any]:
    """All roles, each with its source."""
    usual: dict[str, Any] = {role: {"source": source} for role, source in DEFAULT_PROMPTS[family].items()}
    for role, given in prompts.items():
        own = _by_name(given)
        usual[role] = {**usual.get(role, {}), **own} if isinstance(own, dict) else own
    return usual


class Plan(_Strict):
    """A run: one model, one concept, many methods, metrics and trainings.

    Attributes:
        concept: a built-in concept's name, or with `kind` any text; in its canonical spelling.
        kind: of a text of the user's own: object, style, person, …
        replacement: the text that takes the concept's place; None for the built-in one.
        methods: registered names; `all` for the papers' six, `every` for all that are registered.
        variants: further rows by name.
        images: images per prompt set of each training, unless the set has its own count.
        seeds: of trainings: each method is trained once a seed, a closed form once.
        image_seed: of the noise that images are drawn from, the same for the original and for every training.
        prompts: the prompt set of each role: concept, coco, objects. A source's name alone will do.
        train_steps: an upper limit on every method's training steps, for trials; None for the method's own.
        snapshots: training steps at which concept rate and SSIM are scored too.
        settings: overrides of methods' configurations, by method name.
        scoring: detector classes, thresholds, CLIP model.
        spectrum: how many words and draws the metric `spectrum` takes.
        reference: real images for FID and KID: a folder of images, or one that `bench reference` made; None for the
            embedded world's renders.
        protocol: the preset that was asked for; `bench list protocols`.
        quick: whether this is a mere trial, whose tables say so and rank nothing.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "main"
    model: str = "mini"
    concept: Annotated[str, AfterValidator(canonical_name)] = "nudity"
    kind: str | None = None
    replacement: str | None = None
    methods: list[str] = []
    variants: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")], Variant] = {}
    metrics: list[str]
    images: Annotated[int, Field(ge=1, le=MOST_IMAGES)]
    seeds: Annotated[list[Seed], Field(min_length=1)] = [0]
    image_seed: Seed = 0
    train_steps: Annotated[int, Field(ge=1)] | None = None
    snapshots: list[Annotated[int, Field(ge=0)]] = []
    settings: dict[str, dict[str, Any]] = {}
    prompts: dict[Literal["concept", "coco", "objects"], Annotated[Prompts, BeforeValidator(_by_name)]] = {}
    scoring: Scoring = Scoring()
    spectrum: SpectrumSettings = SpectrumSettings()
    reference: str | None = None
    protocol: str | None = None
    quick: bool = False
    training: Training = Training()
    generation: Generation = Generation()

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Say what is left unsaid, so that a resolved plan pins everything."""
        if not isinstance(given, dict):
            return given
        family = family_of(str(given.get("model", "mini")))
        prompts, scoring = given.get("prompts", {}), given.get("scoring", {})
        filled = {
            "prompts": _with_sources(prompts, family) if isinstance(prompts, dict) else prompts,
            "scoring": {"clip": DEFAULT_CLIP[family], **scoring} if isinstance(scoring, dict) else scoring,
        }
        return {**given, **filled}

    @property
    def family(self) -> str:
        """The model's family: "mini" or "sd"."""
        return family_of(self.model)

    def images_of(self, role: str) -> int | None:
        """Images of each training for a role; None for one of every prompt."""
        own = self.prompts[role].images  # type: ignore[index]
        return None if own == "all" else self.images if own is None else own

    @property
    def rows(self) -> dict[str, Variant]:
        """The rows to train, by name: methods and variants."""
        own = {name: Variant(method=name, settings=self.settings.get(name, {})) for name in self.methods}
        return own | self.variants

    @property
    def key(self) -> str:
        """A hash of everything in the plan that results depend on."""
        return content_key(plan=self.model_dump(exclude=WITHOUT_EFFECT))

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(), sort_keys=False)


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


def _check_keys(tree: yaml.Node, where: str) -> None:
    """Refuse a mapping that names a key twice: YAML takes the last without a word."""
    left, met = [tree], set[int]()
    while left:
        node = left.pop()
        if id(node) in met:  # an alias
            continue
        met.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            left += node.value
        elif isinstance(node, yaml.MappingNode):
            keys = [key for key, _ in node.value if key.tag != MERGE and isinstance(key, yaml.ScalarNode)]
            for k, key in enumerate(keys):
                if any(key.value == other.value for other in keys[:k]):
                    line = key.start_mark.line + 1
                    raise BenchError(f"{where}, line {line}: {key.value!r} stands there twice. Keep one.")
            left += [value for _, value in node.value]


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
    if family_of(str(flags.get("model", content.get("model", "mini")))) == "mini":
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
    return _merged(merged, _spelled_out(flags))


def _spelled_out(layer: dict[str, Any]) -> dict[str, Any]:
    """A layer with prompt sets as mappings, so that layers can be merged."""
    prompts = layer.get("prompts")
    if not isinstance(prompts, dict):
        return layer
    return {**layer, "prompts": {role: _by_name(value) for role, value in prompts.items()}}


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
    given = overrides.get(str(location[0]), {}) if location else {}
    if location and location[0] in overrides and (len(location) == 1 or not isinstance(given, dict)):
        return f"--{str(location[0]).replace('_', '-')}: {_reason(detail)}."
    if isinstance(given, dict) and location[-1] in given:
        return f"--{str(location[-1]).replace('_', '-')}: {_reason(detail)}."
    line = _line(tree, location)
    place = f"{where}, line {line}" if line else where
    if detail["type"] == "extra_forbidden":
        inner: dict[str, type[_Strict]] = {
            "generation": Generation, "training": Training, "variants": Variant, "scoring": Scoring, "prompts": Prompts,
            "spectrum": SpectrumSettings,
        }  # fmt: skip
        fields = inner.get(str(location[0]) if len(location) > 1 else "", Plan).model_fields
        return f"{place}: {unknown('key', str(location[-1]), fields, 'bench list plans')} Allowed: {', '.join(fields)}."
    return f"{place}: {key}: {_reason(detail)}."


def _reason(detail: Any) -> str:
    value, message = detail.get("input"), detail["msg"].removeprefix("Value error, ")
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
    """Replace `all`, `every` and aliases, and check every name."""
    methods = resolve_methods(plan.methods)
    metrics = _expand(plan.metrics, {"all": _usual_metrics(plan)} if "all" in plan.metrics else {}, METRICS)
    if not methods and not plan.variants:
        raise BenchError("methods: none is named, and there are no variants. `bench list methods` shows them all.")
    variants = {}
    for name, variant in plan.variants.items():
        if name in METHODS.entries() or name in RESERVED:
            raise BenchError(f"variants: {name!r} is taken. Choose another name for this row.")
        variants[name] = variant.model_copy(update={"method": METHODS.check(variant.method)})
    settings: dict[str, dict[str, Any]] = {}
    for name, values in plan.settings.items():
        if METHODS.check(name) not in methods:
            raise BenchError(f"settings: {name!r} is not among the plan's methods ({', '.join(methods)}).")
        settings.setdefault(METHODS.check(name), {}).update(values)
    resolved = {
        "methods": methods, "metrics": metrics, "variants": variants, "settings": settings,
        "seeds": list(dict.fromkeys(plan.seeds)), "snapshots": sorted(set(plan.snapshots)),
    }  # fmt: skip
    return plan.model_copy(update=resolved)


def _usual_metrics(plan: Plan) -> list[str]:
    """What "all" means: a detector of nudity is for that concept alone; asked for by name it is always there."""
    from erasebench.prompts.concepts import get_concept

    about_nudity = get_concept(plan.concept, plan.kind).kind == "nudity"
    return [name for name in METRICS.usual() if about_nudity or name not in NUDITY_METRICS]


def resolve_methods(names: list[str]) -> list[str]:
    """Registered names for names, aliases, `all` and `every`."""
    return _expand(names, {"all": list(METHODS.first), "every": METHODS.names()}, METHODS)


def _expand(names: list[str], groups: dict[str, list[str]], registry: Registry) -> list[str]:
    return list(dict.fromkeys(registry.check(item) for name in names for item in groups.get(name, [name])))
