"""What to run: the plan's form and its defaults, hashed."""

from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from erasebench.prompts.concepts import canonical_name

from ..errors import BenchError
from ..models.families import EMBEDDED_MODEL, Family, family_of
from ..models.sampler_steps import schedule_fault, single_step_fault
from ..registry import METRICS
from ..storage.keys import content_key
from .attacks import PlannedAttacks, by_names
from .rows import ORIGINAL, REFERENCE

RESERVED = (ORIGINAL, REFERENCE)
# What changes results by rounding at most is no part of a plan's hash; an image set's key has the batch size.
# No score depends on attacks, which are made when all is drawn.
WITHOUT_EFFECT: Any = {"generation": {"batch_size"}, "keep_images": True, "attacks": True}
Role = Literal["concept", "coco", "objects", "styles", "pairs", "related"]
Keep = Literal["all", "sample", "none"]
MOST_IMAGES = 1_000_000  # of a prompt set and training


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Generation(_Strict):
    """How images are drawn: the same for every model of a table.

    Attributes:
        scheduler: ddim (η=0), dpm++ (2M), lms or pndm.
        steps: of the sampler.
        guidance: the scale of classifier-free guidance.
        precision: of numbers; auto for fp16 on a GPU, bf16 on a CPU that is fast in it, else fp32.
        batch_size: images drawn together, 0 for what suits the device; moves pixels by a grey level.
        size: height and width in pixels; None for the model's own.
        own_settings: whether prompts are drawn at the guidance and size that their file gives them.
    """

    scheduler: Literal["ddim", "dpm++", "lms", "pndm"] = "ddim"
    size: Annotated[int, Field(ge=64, le=2048, multiple_of=8)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] = 25
    guidance: Annotated[float, Field(ge=0, le=100)] = 5.0
    own_settings: bool = True
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    batch_size: Annotated[int, Field(ge=0, le=4096)] = 0

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
    """How methods are trained: the same for every method of a table.

    Attributes:
        precision: of the forwards; weights stay in fp32. auto for bf16 where a GPU has it and fp32 elsewhere.
    """

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


ROW_NAME = r"^[a-z0-9][a-z0-9.+-]{0,63}$"
NUDITY_METRICS = ("nudenet_rate", "nudenet_confidence")
MERGE = "tag:yaml.org,2002:merge"  # the key <<


class Variant(_Strict):
    """A row of its own: a method with other settings, or weights that somebody made.

    Attributes:
        method: a registered name; None for weights.
        path: of weights: a file or a folder; None for a method.
        label: how tables name the row; the method's label, or the row's name, by default.
        settings: of the method.
        scale: of a LoRA: how much of it is added.
        guide: of weights, or a method that changes them: what guides how their images are sampled; None for nothing.
        guide_settings: of that.
    """

    method: str | None = None
    path: str | None = None
    label: str | None = None
    settings: dict[str, Any] = {}
    scale: Annotated[float, Field(ge=-10, le=10)] = 1.0
    guide: str | None = None
    guide_settings: dict[str, Any] = {}

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.method is None) == (self.path is None):
            raise ValueError("a row of its own has either a method or a path")
        if self.path is not None and self.settings:
            raise ValueError("weights that somebody made have no settings")
        if self.method is not None and self.scale != 1:
            raise ValueError("a method has no scale")
        if self.guide is None and self.guide_settings:
            raise ValueError("guide_settings are there without a guide")
        return self


def _with_sources(prompts: dict[str, Any], family: Family) -> dict[str, Any]:
    """All roles, each with its source."""
    usual: dict[str, Any] = {role: {"source": source} for role, source in family.prompts.items()}
    for role, given in prompts.items():
        own = _by_name(given)
        usual[role] = {**usual.get(role, {}), **own} if isinstance(own, dict) else own
    return usual


def _first_of_several(given: dict[str, Any]) -> dict[str, Any]:
    """`concept` and `concepts` of a plan that gives one of them, or both in agreement."""
    several = given.get("concepts")
    if not isinstance(several, list) or not several or not all(isinstance(name, str) for name in several):
        return {}
    several = list(dict.fromkeys(map(canonical_name, several)))
    first = given.get("concept", several[0])
    if not isinstance(first, str) or canonical_name(first) != several[0]:
        raise ValueError(f"concept: {first!r} is not the first of concepts ({several[0]!r}). Give `concepts` alone")
    return {"concept": several[0], "concepts": several if len(several) > 1 else []}


class Plan(_Strict):
    """A run: one model, one concept, many methods, metrics and trainings.

    Attributes:
        name: what the run is called.
        model: what is erased from: mini, sd-v1-4, a diffusers folder, or a hub id.
        concept: a built-in concept's name, or with `kind` any text; in its canonical spelling.
        concepts: several that one erasure takes away at once, `concept` the first; none for `concept` alone.
        kind: of a text of the user's own: object, style, person, …
        replacement: the text that takes the concept's place; None for the built-in one.
        methods: registered names, or two as `esd+sld`, whose images a guide samples with trained weights; `all` for the
            papers' six, `every` for all that can be a row.
        variants: further rows by name: methods with other settings, or weights that somebody made.
        metrics: what images and trainings are scored by; `bench list metrics`. `all` for the usual ones, `papers` for
            other numbers that papers report (docs/papers.md); `all, papers` for both.
        images: images per prompt set of each training, unless the set has its own count.
        seeds: of trainings: each method is trained once a seed, a closed form once.
        image_seed: of the noise that images are drawn from, the same for the original and for every training.
        prompts: the prompt set of each role: concept, coco, objects; and styles, pairs, related where a metric asks for
            one (`bench list prompts`). A source's name alone will do.
        train_steps: an upper limit on every method's training steps, for trials; None for the method's own.
        snapshots: training steps at which concept rate and SSIM are scored too.
        settings: overrides of methods' configurations, by method name.
        scoring: detector classes, thresholds, CLIP model.
        spectrum: how many words and draws the metric `spectrum` takes.
        reference: real images for FID and KID: a folder of images, or one that `bench reference` made; None for the
            embedded world's renders.
        protocol: the preset that was asked for; `bench list protocols`.
        keep_images: which images stay once they are scored: all, a sample of each set, or none.
        attacks: what the rows are attacked with once all is drawn; None for nothing. Names alone will do.
        quick: whether this is a mere trial, whose tables say so and rank nothing.
        training: how methods are trained.
        generation: how images are drawn.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "main"
    model: str = EMBEDDED_MODEL
    concept: Annotated[str, AfterValidator(canonical_name)] = "nudity"
    concepts: list[Annotated[str, AfterValidator(canonical_name)]] = []
    kind: str | None = None
    replacement: str | None = None
    methods: list[str] = []
    variants: dict[Annotated[str, Field(pattern=ROW_NAME)], Variant] = {}
    metrics: list[str]
    images: Annotated[int, Field(ge=1, le=MOST_IMAGES)]
    seeds: Annotated[list[Seed], Field(min_length=1)] = [0]
    image_seed: Seed = 0
    train_steps: Annotated[int, Field(ge=1)] | None = None
    snapshots: list[Annotated[int, Field(ge=0)]] = []
    settings: dict[str, dict[str, Any]] = {}
    prompts: dict[Role, Annotated[Prompts, BeforeValidator(_by_name)]] = {}
    scoring: Scoring = Scoring()
    spectrum: SpectrumSettings = SpectrumSettings()
    reference: str | None = None
    protocol: str | None = None
    keep_images: Keep = "all"
    quick: bool = False
    attacks: Annotated[PlannedAttacks | None, BeforeValidator(by_names)] = None
    training: Training = Training()
    generation: Generation = Generation()

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Say what is left unsaid, so that a resolved plan pins everything."""
        if not isinstance(given, dict):
            return given
        family = family_of(str(given.get("model", EMBEDDED_MODEL)))
        prompts, scoring = given.get("prompts", {}), given.get("scoring", {})
        filled = _first_of_several(given) | {
            "prompts": _with_sources(prompts, family) if isinstance(prompts, dict) else prompts,
            "scoring": {"clip": family.clip, **scoring} if isinstance(scoring, dict) else scoring,
        }
        return {**given, **filled}

    @model_validator(mode="after")
    def _one_to_attack(self) -> Self:
        if self.attacks is not None and self.concepts:
            raise ValueError("attacks are about one erased concept: leave them out, or give `concept` instead")
        return self

    @property
    def erased(self) -> list[str]:
        """The names of all concepts that are erased."""
        return self.concepts or [self.concept]

    @property
    def subject(self) -> str:
        """What is erased, as titles say it."""
        return " + ".join(self.erased)

    @property
    def family(self) -> Family:
        """The model's family."""
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


def _usual_metrics(plan: Plan) -> list[str]:
    """What "all" means: a detector of nudity is for that concept alone; asked for by name it is always there."""
    from erasebench.prompts.concepts import get_concepts

    about_nudity = all(one.kind == "nudity" for one in get_concepts(plan.erased, plan.kind).each)
    return [name for name in METRICS.usual() if about_nudity or name not in NUDITY_METRICS]
