"""A model card: what was erased, how, what it scored, and under which licence, with the hub's front matter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from ..models.catalog import HUB_MODELS, LICENCES
from ..registry import METHODS
from ..report.formats import markdown_text
from ..report.headings import ARROWS, footnotes, headings
from ..runs.folder import RunFolder
from ..runs.plan import Plan
from ..runs.private import without_paths
from ..runs.record import RunRecord
from ..runs.rows import ORIGINAL
from ..runs.scores import ScoreRecord, Scores, read_scores

USE = (
    "Erased is not gone: other words, attacks or further training can bring the concept back (`bench attack` measures "
    "how often), and other concepts may have changed. Do not rely on this model alone to keep content out."
)


@dataclass(frozen=True)
class ErasedModel:
    """One training of a row of a run.

    Attributes:
        folder: the run's.
        plan: the run's.
        record: the run's.
        row: which row.
        seed: which training.
        facts: what was kept of the training.
        parts: which parts of the model differ from the original.
    """

    folder: RunFolder
    plan: Plan
    record: RunRecord
    row: str
    seed: int
    facts: dict[str, Any]
    parts: frozenset[str]

    @property
    def title(self) -> str:
        """What it is in a line."""
        return f"{named(self.plan)} without “{self.plan.subject}”, by {self.record.labels.get(self.row, self.row)}"

    @property
    def scores(self) -> Scores:
        """Its own and the original's."""
        return read_scores(self.folder, [ORIGINAL, self.row], self.plan.metrics)

    @property
    def results(self) -> Iterator[ScoreRecord]:
        """Its scores that have a value, without what the erasure cost."""
        found = self.scores
        for name in self.plan.metrics:
            score = found.get((self.row, name))
            if score is not None and score.value is not None and not score.is_cost:
                yield score


def named(plan: Plan) -> str:
    """The base model's name; of a folder its last part alone."""
    return without_paths(plan.model, plan)


def base_of(plan: Plan) -> str | None:
    """The base model's id on the hub; None where it is not from there."""
    if plan.model in HUB_MODELS:
        return HUB_MODELS[plan.model][0]
    repository = plan.model.partition("@")[0]
    return repository if plan.model == named(plan) and repository.count("/") == 1 else None


def model_card(model: ErasedModel, licence: str | None = None, repository: str = "", scores_in: str = "") -> str:
    """Markdown with the hub's front matter.

    Args:
        model: what it is of.
        licence: the hub's name of its licence; that of a model in the catalogue by default, and none where that says
            nothing.
        repository: where it will lie on the hub; "" for a folder.
        scores_in: the data set on the hub that the scores belong to; "" for none.
    """
    plan, record = model.plan, model.record
    licence = licence or LICENCES.get(plan.model)
    place = repository or "FOLDER"
    label = markdown_text(record.labels.get(model.row, model.row))
    known = METHODS.entries().get(str(model.facts["method"]))
    source = f" ({known.facts['paper']})" if known is not None and known.facts.get("paper") else ""
    trial = ["", "**A mere trial (`--quick`): too few steps and images to say anything.**"] if plan.quick else []
    beside = [f"All rows: [{scores_in}](https://huggingface.co/datasets/{scores_in}).", ""] if scores_in else []
    text = "\n".join(
        [
            "---",
            _front_matter(model, licence, scores_in),
            "---",
            f"# {markdown_text(model.title)}",
            *trial,
            "",
            model.facts.get("remark")
            or f"“{markdown_text(plan.subject)}” was erased from the model {plan.model} ({record.model.revision}) with "
            f"{label}, {record.methods.get(model.row, '')}{source}, training seed {model.seed}.",
            f"Written by erasebench {version('erasebench')}; what differs from the original: "
            f'{", ".join(sorted(model.parts))}. Load it with `DiffusionPipeline.from_pretrained("{place}")`.',
            "",
            "## Licence and use",
            "",
            f"The weights keep their base's licence{f', {licence}' if licence else ''}, with its limits of use. {USE}",
            "",
            "## Scores",
            "",
            "| | Original | This model | 95 % interval |",
            "|---|---:|---:|---:|",
            *_lines(model),
            "",
            *beside,
            *(f"- {note}" for note in footnotes(model.scores, plan, record)),
            "",
            "## Configuration",
            "",
            "```json",
            json.dumps({"method": model.facts["method"], **model.facts["config"]}, indent=1),
            "```",
            "",
        ]
    )
    return without_paths(text, plan)


def _lines(model: ErasedModel) -> Iterator[str]:
    """A metric a line."""
    scores = model.scores
    for name, head in headings(scores, model.plan.metrics).items():
        original, mine = (scores.get((row, name)) for row in (ORIGINAL, model.row))
        interval = "—"
        if mine is not None and mine.low is not None and mine.high is not None:
            interval = f"{head.shown(mine.low)} to {head.shown(mine.high)}"
        values = [head.shown(score.value if score else None) for score in (original, mine)]
        yield f"| {head.label} {ARROWS[head.better]} | {' | '.join(values)} | {interval} |"


def _front_matter(model: ErasedModel, licence: str | None, scores_in: str) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="text-to-image",
            task_name=f"erasing “{model.plan.subject}”",
            dataset_type=scores_in,
            dataset_name=scores_in,
            metric_type=score.metric,
            metric_name=score.label,
            metric_value=score.value,
        )
        for score in model.results
        if scores_in
    ]
    data = ModelCardData(
        license=licence,
        library_name="diffusers",
        pipeline_tag="text-to-image",
        tags=["concept-erasure", "erasebench"],
        base_model=base_of(model.plan),
        model_name=model.title if results else None,
        eval_results=results or None,
    )
    return str(data.to_yaml()).strip()


def hub_results(model: ErasedModel, scores_in: str) -> str:
    """The scores as a file below `.eval_results`, which the hub reads; YAML."""
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = [
        EvalResultEntry(
            dataset_id=scores_in,
            task_id=score.metric,
            value=score.value,
            source_url=f"https://huggingface.co/datasets/{scores_in}",
            source_name=f"erasebench {version('erasebench')}",
            notes=_notes(score),
        )
        for score in model.results
    ]
    return str(yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True))


def _notes(score: ScoreRecord) -> str:
    """What the value is worth, in a line."""
    parts: Sequence[str] = [f"{score.better} is better", f"n = {score.n}"]
    if score.low is not None and score.high is not None:
        parts = [*parts, f"95 % interval {score.low:.4g} to {score.high:.4g} ({score.covers})"]
    return "; ".join(parts)


def scores_card(plan: Plan, table: str, models: Iterable[str], sets: Sequence[str], unsafe: bool) -> str:
    """The card of the data set with a run's numbers.

    Args:
        plan: the run's.
        table: its leaderboard in Markdown.
        models: the erased models on the hub.
        sets: prompt sets whose images lie beside it.
        unsafe: whether some of them may be unsafe.
    """
    import yaml

    front: dict[str, Any] = {
        "pretty_name": f"Erasing {plan.subject} from {named(plan)}: scores",
        "tags": ["concept-erasure", "erasebench", *(["not-for-all-audiences"] if unsafe else [])],
    }
    if sets:
        front["configs"] = [{"config_name": name, "data_files": f"images/{name}/*.parquet"} for name in sets]
    trial = ["**A mere trial (`--quick`): its numbers say nothing.**", ""] if plan.quick else []
    return "\n".join(
        [
            "---",
            yaml.safe_dump(front, sort_keys=False, allow_unicode=True).strip(),
            "---",
            f"# Erasing “{markdown_text(plan.subject)}” from {named(plan)}",
            "",
            *trial,
            "A run of erasebench. `entry.json` has every value with its interval, n, and what has to be equal for "
            "others to stand beside it; `bench leaderboard entry.json yours.json` compares.",
            "",
            *(f"- [{name}](https://huggingface.co/{name})" for name in models),
            "",
            without_paths(table, plan),
        ]
    )
