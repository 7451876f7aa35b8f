"""A run's spectrum for a page's search field: every word's score by method, and the named and neutral ones."""

from __future__ import annotations

from typing import Any

from ...storage.files import read_json
from .opened import OpenRun

MOST_WORDS = 60_000


def words_of(run: OpenRun) -> dict[str, Any] | None:
    """By method the words' scores and the named concepts' places; None where the run has no spectrum.

    The words are those of all methods' files, in the first one's order; scores have four significant digits.
    """
    import pandas as pd

    folder, methods = run.folder.root / "spectrum", []
    words: list[str] = []
    for row in run.methods:
        file = folder / f"{row}.parquet"
        if not file.is_file():
            continue
        try:
            table = pd.read_parquet(file, columns=["concept", "score", "rank"])
        except (OSError, ValueError):  # damaged: the others are shown
            continue
        words = words or [str(word) for word in table["concept"][:MOST_WORDS]]
        own = table.drop_duplicates("concept").set_index("concept")
        own = own.reindex(words)
        told = read_json(folder / f"{row}.json") or {}
        named = [
            {"word": str(one["concept"]), "kind": str(one["kind"]), "rank": int(one["rank"]), "score": one["score"]}
            for one in told.get("named", ())
        ]
        methods.append(
            {
                "label": run.label(row),
                "scores": [None if score != score else float(f"{score:.4g}") for score in own["score"]],
                "ranks": [None if rank != rank else int(rank) for rank in own["rank"]],
                "named": named,
            }
        )
    return {"words": words, "methods": methods} if methods else None
