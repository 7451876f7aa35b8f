"""A prompt set's images as Parquet files, which the hub shows and `datasets` reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..report.web.pictures import PictureRow, PictureSet
from ..storage.files import write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

AT_ONCE = 200  # images that are in memory together


def write_image_tables(images: PictureSet, folder: Path) -> None:
    """Write a file for each row and training: image, prompt, sample, seed of the noise, and each metric's value.

    A metric without a value for an image has null there. Images that are not there are left out.
    """
    import pyarrow.parquet as pq

    schema = _schema(images)
    for row in images.rows:
        training = "" if row.training is None else f"-seed-{row.training}"

        def write(file: Path, row: PictureRow = row) -> None:
            with pq.ParquetWriter(file, schema) as writer:
                for batch in _batches(images, row):
                    writer.write_batch(_record_batch(batch, schema))

        write_atomically(folder / f"{row.key}{training}.parquet", write)


def _batches(images: PictureSet, row: PictureRow) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for number, prompt in enumerate(images.prompts):
        if not row.present[number]:
            continue
        values = {metric.key: row.values[metric.key][number] for metric in images.metrics}
        content = (row.folder / prompt.file_name).read_bytes()
        batch.append(
            {
                "image": {"bytes": content, "path": prompt.file_name},
                "row": row.key,
                "training": row.training,
                "prompt_id": prompt.id,
                "prompt": prompt.text,
                "sample": prompt.sample,
                "noise_seed": int(prompt.seed),
                **values,
            }
        )
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _record_batch(batch: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_pylist(batch, schema)


def _schema(images: PictureSet) -> pa.Schema:
    """With what tells `datasets` that a column holds images."""
    import pyarrow as pa

    known = {"info": {"features": {"image": {"_type": "Image"}}}}
    fields = [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("row", pa.string()),
        ("training", pa.int64()),
        ("prompt_id", pa.string()),
        ("prompt", pa.string()),
        ("sample", pa.int64()),
        ("noise_seed", pa.int64()),
        *((metric.key, pa.float64()) for metric in images.metrics),
    ]
    return pa.schema(fields, {"huggingface": json.dumps(known)})
