"""What a spectrum says: tables by concept, named and neutral concepts' ranks, correlations between methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..scoring.statistics import rank_correlation
from .scan import Spectrum, scores_of

NEUTRAL = ("", "a photo")
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
EXTREMES = 30
SHOWN = 10  # of them that are printed


def concept_table(spectrum: Spectrum, name: str) -> pd.DataFrame:
    """One line a concept: concept, token_id, is_word, score, standard_error and rank (1: the most affected)."""
    scores, errors = scores_of({name: spectrum.differences[name]})[name]
    words = spectrum.vocabulary
    table = pd.DataFrame(
        {
            "concept": words.texts,
            "token_id": words.ids,
            "is_word": words.is_word,
            "score": scores,
            "standard_error": errors,
        }
    )
    table["rank"] = table["score"].rank(method="min").astype(int)
    return table


def named_table(
    spectrum: Spectrum, named: Spectrum, name: str, kinds: Mapping[str, str], bands: Mapping[str, str]
) -> pd.DataFrame:
    """Concepts outside the vocabulary placed in it: concept, kind, band, score, standard_error, rank and percentile.

    A band is how closely a thing is related to what is erased, "" for what is in none. A percentile of 0 means more
    affected than every word of the vocabulary, 100 less than every one.
    """
    words = np.sort(scores_of({name: spectrum.differences[name]})[name][0])
    scores, errors = scores_of({name: named.differences[name]})[name]
    below = np.searchsorted(words, scores)
    table = pd.DataFrame(
        {
            "concept": named.vocabulary.texts,
            "kind": [kinds[text] for text in named.vocabulary.texts],
            "band": [bands.get(text, "") for text in named.vocabulary.texts],
            "score": scores,
            "standard_error": errors,
            "rank": below + 1,
            "percentile": 100 * below / len(words),
        }
    )
    return table.sort_values("score", kind="stable", ignore_index=True)


def summary(
    spectrum: Spectrum,
    named: Spectrum,
    name: str,
    kinds: Mapping[str, str],
    bands: Mapping[str, str],
    erased: np.ndarray,
) -> dict[str, Any]:
    """Quantiles, extremes, named and neutral concepts, and Spearman's ρ with text similarity to the erased concept.

    Args:
        spectrum: of the vocabulary.
        named: of the run's own concepts and the neutral prompts.
        name: the erased model.
        kinds: of the named concepts: related, unrelated, erased, neutral or adversarial.
        bands: of the named concepts that are things of the embedded world.
        erased: the erased concept's pooled text embedding, (width,).
    """
    table = concept_table(spectrum, name)
    ordered = table.sort_values("score", kind="stable")
    words = ordered[ordered["is_word"]] if ordered["is_word"].any() else ordered
    similarity = cosine(spectrum.embeddings, erased)
    extremes = {
        side: [{"concept": text, "score": score} for text, score in zip(part["concept"], part["score"], strict=True)]
        for side, part in (("most_affected", words.head(EXTREMES)), ("least_affected", words.tail(EXTREMES)[::-1]))
    }
    places = named_table(spectrum, named, name, kinds, bands)
    by_kind, by_band = (places.groupby(column)["percentile"].median() for column in ("kind", "band"))
    return {
        "concepts": len(table),
        "words": int(table["is_word"].sum()),
        "quantiles": {str(q): float(np.quantile(table["score"], q)) for q in QUANTILES},
        **extremes,
        "named": places.to_dict("records"),
        "median_percentile_by_kind": {str(kind): float(value) for kind, value in by_kind.items()},
        "median_percentile_by_band": {str(band): float(value) for band, value in by_band.items() if band},
        "correlation_with_text_similarity": rank_correlation(-table["score"].to_numpy(), similarity),
    }


def extremes_line(label: str, told: Mapping[str, Any]) -> str:
    """A summary's most and least affected words, as a terminal prints them."""
    shown = min(SHOWN, told["concepts"] // 2)
    sides = [
        f"{text} affected: {', '.join(entry['concept'] for entry in told[side][:shown])}"
        for side, text in (("most_affected", "most"), ("least_affected", "least"))
    ]
    return f"{label}\n  " + "\n  ".join(sides)


def error_covers(levels: int, draws: int) -> str:
    """What a score's standard error is of, in words."""
    return (
        f"Standard errors are of a mean over {levels} noise levels with {draws} latents each, from the spread within "
        "levels: they cover which latents were drawn, and neither the choice of levels nor another training."
    )


def cosine(embeddings: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Cosine of each row with a vector."""
    return (embeddings @ one) / (np.linalg.norm(embeddings, axis=1) * np.linalg.norm(one))


def correlations(spectrum: Spectrum, names: Sequence[str]) -> pd.DataFrame:
    """Spearman's ρ between the erased models' scores over the vocabulary, a row and a column for each."""
    scores = {name: values for name, (values, _) in scores_of(spectrum.differences).items()}
    lines = [{"row": a, **{b: 1.0 if a == b else rank_correlation(scores[a], scores[b]) for b in names}} for a in names]
    return pd.DataFrame(lines)
