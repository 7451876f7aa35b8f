"""Prompt files as they are found: read as they stand, or refused with the line and the remedy; never something else."""

import csv
import io
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from erasebench.errors import BenchError
from erasebench.prompts.columns import prompt_of
from erasebench.prompts.concepts import get_concept
from erasebench.prompts.files import _warn_once, read_prompts
from erasebench.prompts.prompt import Prompt
from erasebench.prompts.records import csv_records, json_records
from erasebench.prompts.sets import prompt_set
from erasebench.runs.protocols import get_protocol
from erasebench.storage.text_files import lines, read_text


def read(folder: Path, content: str | bytes, name: str = "a.csv") -> tuple[Prompt, ...]:
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    return read_prompts(str(folder / name), None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("prompt,evaluation_seed\na garbage truck, on the grass,42\n", r"line 2: 3 cells where .* 2.*quotes"),
        ("prompt,evaluation_seed\na,1\nb,2,\n", "line 3: 3 cells where the header has 2: b,2,"),
        ("prompt,evaluation_seed\na,1\nb\n", "line 3: 1 cell where the header has 2"),
        ("prompt,\na garbage truck, on the grass\n", "line 2: ' on the grass' stands in a column without a name"),
        ("prompt,category\na garbage truck, on the grass\n", "line 2: ' on the grass' after an unquoted comma"),
        ('prompt,seed\n"a, b,1\nc,2\n', "line 2: a quote opens and is never closed"),
        ('prompt,seed\n"a" b,1\n', "line 2: ' b,1' after a closing quote"),
        ('prompt,seed\n"a\nb" c,1\n', "line 3: ' c,1' after a closing quote"),
        ('seed,prompt\n1, "a b"\n', "line 2: a quote after a space"),
        ("prompt;seed\na;1\n", "the header 'prompt;seed' has semicolons between columns"),
        ("prompt\tseed\na\t1\n", "has tabs between columns"),
        ("prompt,seed,seed\na,1,2\n", "two columns are called 'seed'"),
        ("prompt,Seed,seed\na,1,2\n", "the columns 'seed' and 'Seed' are both read as seed"),
        ("a dog\na cat\n", "no column 'prompt'; its columns are a dog. The first line must name the columns"),
        ("prompt,seed\ra,1\rb,2\r", "line 1: a carriage return within the line"),
        ("prompt,seed\na\rb,1\n", "line 2: a carriage return within the line"),
        ("prompt,seed\na,1\nb\0c,2\n", "line 3 holds a NUL"),
        ("prompt\nok\ncaf\u00e9\n".encode("latin-1"), "line 3 has the byte 0xe9. Save it as UTF-8"),
        ("prompt\na\n".encode("utf-16"), "is UTF-16 text"),
        ("prompt,seed\na,nan\n", "line 2: seed 'nan' is no number"),
        ("prompt,seed\na,inf\n", "line 2: seed 'inf' is no number"),
        ("prompt,seed\na,1_000\n", "line 2: seed '1_000' is no number"),
        ("prompt,seed\na,9223372036854775808\n", "is no number from 0 to 9,223,372,036,854,775,807"),
        ("prompt,seed\na,1.2345678901234568e+18\n", "went through a float"),
        ("prompt,seed,sd_seed\na,1,2\n", "line 2: sd_seed '2' and seed '1' disagree"),
        ("prompt,width\na,512\n", "a width without a height"),
        ("prompt,width,height\na,512.5,512\n", "the width 512.5 is no whole number"),
    ],
)
def test_what_can_not_be_read_as_it_stands_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("\ufeffprompt,seed\r\na,1\r\n\r\nb,2", ["a", "b"]),
        ('prompt,seed\n"a ""big"" dog, running",1\n', ['a "big" dog, running']),
        ('prompt,seed\na 5" disk,1\n', ['a 5" disk']),
        ('prompt,seed\n"two\nlines",1\nb,2\n', ["two\nlines", "b"]),
        ("prompt , seed\na, 1\n", ["a"]),
        (",prompt\n0,a\n1,b\n", ["a", "b"]),
        ("prompt,\na,\n", ["a"]),
        ("prompt\na\u2028b\x0cc\x85d\n", ["a\u2028b\x0cc\x85d"]),
        ("prompt\n=1+1\n'b\n", ["=1+1", "'b"]),
        ("prompt,lexica_url\na," + "x" * 200_000 + "\n", ["a"]),
    ],
)
def test_odd_files_that_say_what_they_mean(tmp_path: Path, content: str, texts: list[str]) -> None:
    assert [prompt.text for prompt in read(tmp_path, content)] == texts


def test_an_edited_file_is_read_whatever_its_time_says(tmp_path: Path) -> None:
    assert read(tmp_path, "prompt\nold\n")[0].text == "old"
    before = (tmp_path / "a.csv").stat()
    (tmp_path / "a.csv").write_text("prompt\nnew\n")
    os.utime(tmp_path / "a.csv", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_prompts(str(tmp_path / "a.csv"), None)[0].text == "new"


def test_local_files_need_no_cache(tmp_path: Path) -> None:
    """Neither `datasets` nor a home folder that can be written."""
    (tmp_path / "a.csv").write_text("prompt\na\n")
    pd.DataFrame({"prompt": ["a"]}).to_parquet(tmp_path / "a.parquet")
    code = (
        "import sys; from erasebench.prompts.files import read_prompts\n"
        f"for kind in ('csv', 'parquet'): assert read_prompts(r'{tmp_path}/a.' + kind, None)[0].text == 'a'\n"
        "assert 'datasets' not in sys.modules\n"
    )
    environment = {**os.environ, "HOME": "/proc/nowhere", "HF_HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Columns


@pytest.mark.parametrize(
    ("header", "row", "wanted"),
    [  # of ESD, UCE, UnlearnDiffAtk; I2P on the hub; MACE and UCE; ESD's captions
        ("case_number,evaluation_seed,evaluation_guidance", "7,3,9.5", ("prompt-7", 3, 9.5, None)),
        ("sd_seed,sd_guidance_scale", "3,9", ("prompt-00000", 3, 9.0, None)),
        ("case_number,source,evaluation_seed,coco_id", "7,coco-30k,3,203564", ("prompt-7", 3, None, "000000203564")),
        ("image_id,seed,guidance_scale", "203564.0,3.0,7", ("prompt-203564", 3, 7.0, "000000203564")),
        ("Evaluation-Seed,CASE NUMBER", "3,7", ("prompt-7", 3, None, None)),
    ],
)
def test_the_spellings_of_published_files(tmp_path: Path, header: str, row: str, wanted: tuple[Any, ...]) -> None:
    (prompt,) = read(tmp_path, f"prompt,{header}\na cat,{row}\n")
    assert (prompt.id, prompt.seed, prompt.guidance, prompt.reference) == wanted


def test_columns_near_a_known_one_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _warn_once.cache_clear()
    text = "prompt,Seed,evaluaton_seed,my_guidance,negative_prompt,prompt_toxicity,sd_model\na,1,2,3,4,5,6\n"
    assert read(tmp_path, text)[0].seed == 1
    read_prompts(str(tmp_path / "a.csv"), None)
    told = [message.partition(": ")[2] for message in caplog.messages]
    assert sorted(told) == [
        "the column 'Seed' is read as seed",
        "the column 'evaluaton_seed' is not read; if it is what evaluation_seed means, call it so",
        "the column 'my_guidance' is not read; if it is what evaluation_guidance means, call it so",
        "the column 'negative_prompt' is not read; what it says can stand in the plan alone",
    ]


def test_records_without_a_prompt_are_left_out_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """I2P has one; the others keep their ids."""
    _warn_once.cache_clear()
    assert [p.id for p in read(tmp_path, "prompt,seed\na,1\n,2\nc,3\n")] == ["prompt-00000", "prompt-00002"]
    assert caplog.messages[0].endswith("records without a prompt are left out: 1, such as line 3")


def test_ids_that_stand_there_twice_depend_on_nothing_that_follows(tmp_path: Path) -> None:
    path = str(tmp_path / "a.csv")
    whole = read(tmp_path, "image_id,prompt\n7,a\n8,b\n7,c\n7,d\n")
    assert [(p.id, p.cluster) for p in whole] == [
        ("prompt-7", "prompt-7"),
        ("prompt-8", "prompt-8"),
        ("prompt-7-2", "prompt-7"),
        ("prompt-7-3", "prompt-7"),
    ]
    assert [read_prompts(path, count) for count in range(1, 5)] == [whole[:count] for count in range(1, 5)]
    with pytest.raises(BenchError, match="the id '7' stands there twice"):
        read(tmp_path, "image_id,prompt\n7,a\n7-2,b\n7,c\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('["a"]', "line 2: .* is no JSON object"),
        ('{"prompt": "a", "prompt": "b"}', "line 2: no JSON: the key 'prompt' stands there twice"),
        ('{"prompt": "a", "seed": NaN}', "line 2: no JSON: NaN is no JSON number"),
        ('{"prompt": "a"', "line 2: no JSON"),
        ('{"prompt": 12}', "line 2: the prompt 12 is no text"),
        ('{"prompt": ["a"]}', "is no text"),
        ('{"prompt": "a", "seed": true}', "seed True is no number"),
        ('{"prompt": "a", "seed": [1]}', "is no number"),
        ('{"prompt": "a", "seed": 1e300}', "is no number"),
    ],
)
def test_json_lines_that_are_not_what_they_should_be(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        read(tmp_path, '{"prompt": "x", "seed": "1"}\n' + line + "\n", "a.jsonl")


def test_json_lines_and_parquet_of_mixed_kinds(tmp_path: Path) -> None:
    texts = ['{"prompt": "a", "seed": "1", "id": "x"}', '{"seed": 2, "prompt": "b\\u2028"}', "", '{"prompt": "c"}']
    assert [(p.text, p.seed) for p in read(tmp_path, "\r\n".join(texts), "a.jsonl")] == [
        ("a", 1),
        ("b", 2),
        ("c", None),
    ]
    path = tmp_path / "a.parquet"
    columns = {
        "prompt": pd.Categorical(["a", "b", None]),
        "seed": [1.0, float("nan"), 3.0],
        "image_id": [9.0, 8.0, 7.0],
        "guidance": [7.5, None, 2],
        "categories": [["x", "y"], ["y"], []],
    }
    pd.DataFrame(columns).to_parquet(path)
    assert read_prompts(str(path), None) == (
        Prompt("prompt-9", "a", 1, 7.5, reference="000000000009"),
        Prompt("prompt-8", "b", reference="000000000008"),
    )
    assert [p.id for p in read_prompts(str(path), None, "x")] == ["prompt-9"]
    pd.DataFrame({"prompt": ["a"], "seed": [1.5e18]}).to_parquet(path)
    with pytest.raises(BenchError, match=r"row 1: the seed 1\.5e\+18 went through a float"):
        read_prompts(str(path), None)
    path.write_bytes(b"PAR1 no")
    with pytest.raises(BenchError, match="can't be read as Parquet"):
        read_prompts(str(path), None)


def test_coco_files_that_do_not_add_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _warn_once.cache_clear()
    images = [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "2.jpg"}]
    captions = [{"id": 5, "image_id": 1, "caption": "a"}, {"id": 6, "image_id": 9, "caption": "b"}]
    (prompt,) = read(tmp_path, json.dumps({"images": images, "annotations": captions}), "a.json")
    assert (prompt.text, prompt.reference) == ("a", "1.jpg")
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        "1 captions of images that `images` does not name, such as 9, are left out",
        "1 images without a caption, such as 2, are left out",
    ]
    with pytest.raises(BenchError, match="two of its images have the id 1"):
        read(tmp_path, json.dumps({"images": images + images[:1], "annotations": captions}), "a.json")


def test_a_hub_set_is_read_by_its_known_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"prompt": ["a", ""], "sd_seed": [7, 8], "lexica_url": ["x", "y"], "categories": ["p, q", "q"]}
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: datasets.Dataset.from_dict(content))
    assert read_prompts("hub:OWNER/NAME@main:train", None, "q") == (Prompt("prompt-00000", "a", 7),)


# Whatever a file holds


def plain_reading(text: str) -> list[list[str]] | None:
    """RFC 4180 as Python's csv module has it; None where it does not read the text."""
    try:
        return [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error:
        return None


@given(st.text(alphabet='ab1,"\n\r ;\t\u2028\x85', max_size=30))
@example('prompt,seed\n"a"\r\n')
def test_no_csv_is_read_as_something_else(tmp_path_factory: pytest.TempPathFactory, body: str) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    for header in ("prompt\n", "prompt,x\n", ",prompt\r\n"):
        path.write_bytes((header + body).encode())
        try:
            records = csv_records(path, "prompt")
        except BenchError:
            continue
        rows = plain_reading(header + body)
        assert rows is not None
        place = rows[0].index("prompt")
        assert [record.cells["prompt"] for record in records] == [row[place] for row in rows[1:]]
        assert all(len(row) == len(rows[0]) for row in rows)


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)


@given(st.lists(st.tuples(TEXTS, st.integers(0, 2**63 - 1)), min_size=1, max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]], end: str
) -> None:
    folder = tmp_path_factory.mktemp("files")
    wanted = [(text.strip(), seed) for text, seed in rows if text.strip()]
    with (folder / "a.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerows([("prompt", "seed"), *rows])
    objects = [json.dumps({"prompt": text, "seed": seed}, ensure_ascii=False) for text, seed in rows]
    (folder / "a.jsonl").write_bytes(end.join(objects).encode())
    pd.DataFrame(rows, columns=["prompt", "seed"]).to_parquet(folder / "a.parquet")
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        assert [(p.text, p.seed) for p in read_prompts(str(folder / name), None)] == wanted, name


@given(TEXTS)
def test_a_line_ends_at_a_newline_and_nowhere_else(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(text.encode())
    assert len(lines(read_text(path))) == text.removeprefix("\ufeff").removesuffix("\n").count("\n") + bool(
        text.removeprefix("\ufeff")
    )
    wanted = [part.strip() for part in text.removeprefix("\ufeff").split("\n") if part.strip()]
    assert [prompt.text for prompt in read_prompts(str(path), None)] == wanted


NUMBERS = st.one_of(
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.from_regex(r"[0-9+\-._eE]{1,6}", fullmatch=True),
    st.booleans(),
    st.integers(2**53, 2**63).map(str),
    st.text(max_size=4),
)


@given(NUMBERS)
def test_a_seed_is_exactly_the_number_that_is_written(value: Any) -> None:
    try:
        seed = prompt_of({"prompt": "a", "seed": value}, 0, "here").seed
    except BenchError:
        return
    if seed is None:
        assert isinstance(value, str)
        assert not value.strip()
    else:
        assert Fraction(value.strip() if isinstance(value, str) else value) == seed
        assert 0 <= seed < 2**63


@given(st.dictionaries(st.sampled_from(["prompt", "seed", "id", "width", "x"]), st.none() | st.integers() | TEXTS))
def test_a_json_object_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, cells: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("json") / "a.jsonl"
    path.write_text(json.dumps(cells) + "\n")
    assert json_records(path)[0].cells == cells
    try:
        prompts = read_prompts(str(path), None)
    except BenchError:
        return
    assert [prompt.text for prompt in prompts] == [text.strip() for text in [cells["prompt"] or ""] if text.strip()]


def test_a_files_own_guidance_and_size_can_be_ignored(tmp_path: Path) -> None:
    """As ESD's and Adversarial Preservation's authors do; the seeds stay."""
    path = tmp_path / "i2p.csv"
    path.write_text("prompt,sd_seed,sd_guidance_scale,sd_image_width,sd_image_height\na,7,9,512,768\n")
    own = prompt_set("concept", str(path), get_concept("nudity"), None)
    plain = own.without_settings()
    (prompt,) = plain.prompts
    assert (prompt.seed, prompt.guidance, prompt.size) == (7, None, None)
    assert own.hash != plain.hash
    assert plain.described()["source"] == f"{path} without its own guidance and sizes"
    assert plain.without_settings() == plain
    for name in ("esd", "adversarial-preservation"):
        assert get_protocol(name).pinned["generation.own_settings"] is False
