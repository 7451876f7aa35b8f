"""A small run of stored scores and images for tests of pages: nothing is trained or drawn, torch is not needed."""

from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from erasebench.report.nudenet_sweep import has_detections
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Plan
from erasebench.runs.record import Failure, RunRecord, Session, write_record
from erasebench.runs.scores import ImageValue, ScoreRecord, write_score
from erasebench.storage.files import write_json, write_text

METRICS = ["concept_rate", "ssim", "train_steps"]
COLOURS = {"original": "red", "esd": "green", "uce": "blue", "sdd": "orange"}


def stored_run(
    root: Path, prompts: int = 6, hostile: str = "", model: str = "mini", side: int = 16, status: str = "complete"
) -> RunFolder:
    """A run of three methods over two prompt sets; `hostile` stands in every text that comes from outside."""
    folder = RunFolder(root)
    root.mkdir(parents=True)
    variants = {"sdd-strong": {"method": "sdd", "label": hostile or "SDD, strong", "settings": {}}}
    plan = Plan(model=model, methods=["esd", "uce"], variants=variants, metrics=METRICS, images=prompts, seeds=[0, 1])
    rows = ("original", *plan.rows)
    trainings: dict[str, tuple[int, ...]] = {"esd": (0, 1), "uce": (), "sdd-strong": (0, 1)}
    labels = {"original": "Original", "esd": "ESD", "uce": "UCE", "sdd-strong": hostile or "SDD, strong"}
    failure = Failure(
        stage="score", row="esd", item="kid", reason=hostile or "no memory", traceback=f"Traceback\n{hostile}"
    )
    record = RunRecord(
        status=status,
        rows=rows,
        labels=labels,
        trainings=trainings,
        plan=plan.model_dump(mode="json"),
        remarks=(hostile,) if hostile else (),
        failures=(failure,),
        sessions=(Session(started="2026-01-01T00:00:00+00:00", ended="2026-01-01", provenance={"command": ["bench"]}),),
    )
    write_text(folder.plan, plan.to_yaml())
    write_record(folder, record)
    for role, better in (("concept", "lower"), ("objects", "higher")):
        ids = [f"{role}-{k}" for k in range(prompts)]
        texts = {name: f"{hostile or 'a prompt'} {name}" for name in ids}
        seeds = {f"{name}-0.png": 2**62 + k for k, name in enumerate(ids)}
        write_json(folder.images_list("original", role), {"prompts": texts, "seeds": seeds})
        for place, row in enumerate(rows):
            own = trainings.get(row, ()) or (None,)
            for training in own:
                for name in ids:
                    file = folder.images(row, role, training) / f"{name}-0.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    Image.new("RGB", (side, side), list(COLOURS.values())[place]).save(file)
            metric = "concept_rate" if role == "concept" else "ssim"
            if (row, metric) != ("original", "ssim"):
                write_score(folder.score(row, metric), _score(row, metric, better, ids, own, place, role))
    for row in plan.rows:
        cost = {"label": "Steps", "better": "lower", "value": 50.0, "is_cost": True, "digits": 0, "n": 1}
        write_score(folder.score(row, "train_steps"), ScoreRecord(row=row, metric="train_steps", **cost))
    assert not has_detections(folder, "esd")
    return folder


def stored_spectrum(folder: RunFolder, words: list[str]) -> None:
    """A spectrum of two methods over these words, the first moved most; "nudity" is named."""
    for row in ("esd", "uce"):
        scores = [-1.0 / (k + 1) for k in range(len(words))]
        table = pd.DataFrame({"concept": words, "score": scores, "rank": range(1, len(words) + 1)})
        file = folder.root / "spectrum" / f"{row}.parquet"
        file.parent.mkdir(exist_ok=True)
        table.to_parquet(file, index=False)
        named = [{"concept": "nudity", "kind": "erased", "rank": 1, "score": -2.0}]
        write_json(file.with_suffix(".json"), {"named": named})


def _score(row: str, metric: str, better: Any, ids: list[str], trainings: Any, place: int, role: str) -> ScoreRecord:
    """Values that differ by row: the original always has the concept, the next rows less and less."""
    rate = metric == "concept_rate"
    values = tuple(
        ImageValue(
            prompt=name,
            cluster=name,
            sample=0,
            seed=seed,
            value=float(k >= place * len(ids) / 3) if rate else 0.5 + 0.1 * place + 0.01 * k,
        )
        for seed in trainings
        for k, name in enumerate(ids)
    )
    mean = sum(value.value or 0.0 for value in values) / len(values)
    label = "Concept rate" if rate else "SSIM"
    return ScoreRecord(
        row=row,
        metric=metric,
        label=label,
        better=better,
        prompts=role,
        is_rate=rate,
        value=mean,
        low=mean - 0.05,
        high=mean + 0.05,
        error=0.02,
        n=len(values),
        covers=f"{len(ids)} prompts",
        values=values,
    )
