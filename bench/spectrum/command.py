"""A spectrum of a finished run: which models, which concepts, and the files that it writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from erasebench.prompts.bands import in_turn, related_things
from erasebench.prompts.concepts import Concept, concept_names, get_concept, get_concepts

from ..errors import BenchError
from ..mini.kinds import EVERYTHING
from ..mini.kinds import kinds as kinds_of_things
from ..models.catalog import find_model
from ..models.loading import load_model
from ..models.patch import load_patch
from ..models.text_to_image import TextToImage
from ..models.timing import matrix_gflops
from ..registry import METHODS
from ..runs.folder import RunFolder
from ..runs.plan import Plan, Variant
from ..runs.progress import StageBar
from ..runs.record import RunRecord, read_run
from ..storage.files import read_json, write_atomically, write_csv, write_json
from .blocks import ErasedModel
from .draws import Latents, shared_draws
from .forward import gflop_a_text
from .images import image_space
from .picture import write_bars, write_picture
from .request import SpectrumRequest
from .scan import Spectrum, scan
from .summary import NEUTRAL, concept_table, correlations, error_covers, extremes_line, named_table, summary
from .vocabulary import Vocabulary, read_vocabulary

PICKED = 10  # words of an adversarial search


def run_spectrum(folder: RunFolder, request: SpectrumRequest, device: str) -> tuple[list[Path], list[str]]:
    """Scan a vocabulary for rows of a finished run and write tables, summaries and a picture into RUN/spectrum.

    Returns the files written and lines to print: the words most and least affected, what errors cover, the speed.

    Raises:
        BenchError: the run lacks a row or its weights, or the vocabulary can't be read.
    """
    plan, record, model, erased = _open(folder, request, device)
    words = read_vocabulary(request.vocabulary, model.tokenizer, request.limit)
    concept = get_concepts(plan.erased, plan.kind, plan.replacement, model.family)
    related, picked = bands(concept), picked_words(folder, list(plan.rows), request.seed)
    named, kinds = named_concepts(concept, picked, bands(concept, request.limit))
    latents, batch, store = request.latents(plan.image_seed), request.batch_size, folder.store / "spectrum"
    with StageBar("named concepts", 0, "predictions") as bar:
        first = scan(model, erased, named, store, latents, batch, bar.reach)
    with StageBar("vocabulary", 0, "predictions") as bar:
        spectrum = scan(model, erased, words, store, latents, batch, bar.reach)
    target = folder.root / "spectrum"
    files, lines = [], []
    tables, places = {}, {}
    covers = error_covers(request.levels, request.draws)
    prompt = first.embeddings[named.texts.index(plan.concept)]
    for one in erased:
        tables[one.name] = concept_table(spectrum, one.name)
        places[one.name] = named_table(spectrum, first, one.name, kinds, related)
        files.append(_write_parquet(target / f"{one.name}.parquet", tables[one.name]))
        if request.csv:
            write_csv(target / f"{one.name}.csv", tables[one.name])
            files.append(target / f"{one.name}.csv")
        told = {
            "method": one.name,
            "concept": plan.subject,
            "vocabulary": words.name,
            "remark": words.remark,
            "levels": request.levels,
            "draws": request.draws,
            "seed": request.seed,
            "standard_error": covers,
            **summary(spectrum, first, one.name, kinds, related, prompt),
        }
        write_json(target / f"{one.name}.json", told)
        files.append(target / f"{one.name}.json")
        lines.append(extremes_line(record.labels[one.name], told))
    names = [one.name for one in erased]
    write_csv(target / "correlations.csv", correlations(spectrum, names))
    write_picture(target / "spectrum.png", tables, places, record.labels)
    files += [target / "correlations.csv", target / "spectrum.png"]
    about = f"{len(words):,} entries of {words.name}{f': {words.remark}' if words.remark else ''}."
    return files, [*lines, about, covers, _speed(model, spectrum, latents.count, batch)]


def _speed(model: TextToImage, spectrum: Spectrum, draws: int, batch_size: int) -> str:
    """Concepts a second and the share of what the machine's matrix product would allow."""
    if not spectrum.predictions:
        return "every prediction was stored already"
    draw = shared_draws(model, Latents(1, 1))[0]
    gflop = gflop_a_text(model, draw.z, draw.t, model.encode(["a word"] * batch_size))
    share = spectrum.predictions * gflop / matrix_gflops(model.device, model.unet.dtype) / spectrum.seconds
    return (
        f"{spectrum.predictions} predictions in {spectrum.seconds:.0f} s: "
        f"{spectrum.predictions / draws / spectrum.seconds:.1f} concepts a second through one model, "
        f"{share:.0%} of the machine's limit"
    )


def run_image_spectrum(folder: RunFolder, request: SpectrumRequest, device: str) -> list[Path]:
    """The second reading, in image space: a CSV and a bar chart a method in RUN/spectrum.

    Raises:
        BenchError: as for `run_spectrum`, or there are too many concepts to draw.
    """
    plan, record, model, erased = _open(folder, request, device)
    words = read_vocabulary(request.vocabulary, model.tokenizer, request.limit)
    target, files = folder.root / "spectrum", []
    with StageBar("spectrum", len(words) * request.draws * (1 + len(erased)), "images") as bar:
        for name, table in image_space(model, erased, words, folder, request, plan, bar.advance):
            write_csv(target / f"{name}.images.csv", table)
            write_bars(target / f"{name}.images.png", table, f"{record.labels[name]}: images of the same seed")
            files += [target / f"{name}.images.csv", target / f"{name}.images.png"]
    return files


def named_concepts(
    concept: Concept, picked: Sequence[str] = (), related: Mapping[str, str] | None = None
) -> tuple[Vocabulary, dict[str, str]]:
    """The erased concept, the neutral prompts, all concepts and things, with what each is to the erased.

    Args:
        picked: words that an adversarial search held, where one was among the run's methods; that they are such words
            is said of them before how they are related.
        related: things with their bands that are named beside the concepts; all by default.
    """
    near = "person" if concept.kind == "nudity" else concept.kind
    kinds = dict.fromkeys((one.name for one in concept.each), "erased") | dict.fromkeys(NEUTRAL, "neutral")
    for name in concept_names():
        kinds.setdefault(name, "related" if get_concept(name).kind == near else "unrelated")
    for name, band in (bands(concept) if related is None else related).items():
        kinds.setdefault(name, "unrelated" if band == EVERYTHING else "related")
    kinds |= {word: "adversarial" for word in picked if kinds.get(word) not in ("erased", "neutral")}
    texts = tuple(kinds)
    return Vocabulary("named", texts, tuple(range(len(texts))), tuple(text.isalpha() for text in texts)), kinds


def bands(concept: Concept, most: int | None = None) -> dict[str, str]:
    """Each thing of the embedded world, or so many, with its band of relation; none for a concept not in the tree."""
    if concept.besides or concept.kind == "style" or concept.name not in kinds_of_things():
        return {}
    return dict(in_turn([(name, band) for name in names] for band, names in related_things(concept).items())[:most])


def picked_words(folder: RunFolder, rows: Sequence[str], seed: int) -> list[str]:
    """The words that trainings with a search held to be best most often, from what they logged."""
    counts: Counter[str] = Counter()
    for row in rows:
        history = (read_json(folder.erasure(row, seed)) or {}).get("history", ())
        held = (step.get("favourite", step.get("sampled")) for step in history if step.get("role") == "update")
        counts.update(word for word in held if word is not None)
    return [word for word, _ in counts.most_common(PICKED)]


def _open(
    folder: RunFolder, request: SpectrumRequest, device: str
) -> tuple[Plan, RunRecord, TextToImage, list[ErasedModel]]:
    from ..runs.rows import resolve_row

    plan, record = read_run(folder)
    rows = list(dict.fromkeys(resolve_row(name, list(plan.rows)) for name in request.methods or plan.rows))
    erased = []
    for row in rows:
        training = record.training_of(row, request.seed)
        facts = read_json(folder.erasure(row, training))
        if facts is None or not folder.patch(row, training).exists():
            raise BenchError(f"{folder.root} has no weights of {row}, seed {request.seed}: finish the run first.")
        if reason := _without_spectrum(plan.rows[row], facts):
            if request.methods:
                raise BenchError(f"{row} {reason}: no spectrum. Leave it out.")
            continue
        erased.append(ErasedModel(row, facts["key"], partial(load_patch, folder.patch(row, training))))
    return plan, record, load_model(find_model(plan.model), device), erased


def _without_spectrum(variant: Variant, facts: Mapping[str, Any]) -> str:
    """Why no weights of a row say what its prompts are drawn with; "" for all others."""
    if facts.get("guides"):
        return "changes no weights, only how it samples"
    if variant.guide is not None and METHODS.load(variant.guide).beside_weights:
        return "draws each prompt with weights of its own"
    return ""


def _write_parquet(path: Path, table: pd.DataFrame) -> Path:
    write_atomically(path, lambda temporary: table.to_parquet(temporary, index=False))
    return path
