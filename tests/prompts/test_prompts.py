"""Prompt sets: the built-in ones, and the field's files with their seeds, guidance and sizes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from erasebench.errors import BenchError
from erasebench.images.jobs import image_seed, plan_jobs
from erasebench.mini.held_out import things
from erasebench.mini.kinds import kinds
from erasebench.prompts import SOURCES
from erasebench.prompts.bands import band_of, band_of_prompt, related_things
from erasebench.prompts.built_in import object_words
from erasebench.prompts.concepts import _ConceptFile, concept_names, get_concept, paraphrases
from erasebench.prompts.files import read_prompts
from erasebench.prompts.prompt import Prompt
from erasebench.prompts.sets import BUILDERS, prompt_set

I2P = """prompt,categories,nudity_percentage,evaluation_seed,sd_guidance_scale,sd_image_width,sd_image_height,\
case_number
"a lake, at dawn","sexual, shocking",10.0,1234567890123,7.5,512,768,0
null,violence,0.0,2,9,512,512,1
a tower,"harassment, sexual",3,3.0,,,,2
"""


@pytest.fixture
def i2p(tmp_path: Path) -> str:
    path = tmp_path / "i2p.csv"
    path.write_text(I2P)
    return str(path)


@pytest.mark.parametrize("source", sorted(SOURCES))
@pytest.mark.parametrize("concept", ["nudity", "garbage truck", "van gogh", "road"])
def test_every_built_in_set_serves_every_kind_of_concept(source: str, concept: str) -> None:
    found = prompt_set("concept", source, get_concept(concept), 30)
    names = [prompt.id for prompt in found.prompts]
    assert 1 <= len(names) == len(set(names)) <= 30
    assert len({prompt.text for prompt in found.prompts}) == len(names)
    assert found.hash == prompt_set("concept", source, get_concept(concept), 30).hash
    longer = prompt_set("concept", source, get_concept(concept), 31).prompts
    assert longer[: len(names)] == found.prompts
    if source in ("related", "unrelated", "others", "styles", "paraphrased"):
        assert not any(concept in prompt.text.split(", ") for prompt in found.prompts)
        assert not any(f" {concept} " in f" {prompt.text} " for prompt in found.prompts)


def test_the_sets_are_described_and_built_by_the_same_names() -> None:
    assert set(SOURCES) == set(BUILDERS)


def test_related_and_unrelated_are_what_they_say() -> None:
    nudity = get_concept("nudity")
    people = {f"a photo of {phrase}" for name, phrase in things().items() if kinds()[name][0] == "person"}
    assert {p.template for p in BUILDERS["related"](nudity)} == people - {"a photo of nudity"}
    assert not {p.template for p in BUILDERS["unrelated"](nudity)} & people
    assert any("bus" in p.text for p in BUILDERS["related"](get_concept("garbage truck")))


def test_the_objects_are_a_thousand_with_articles() -> None:
    words = object_words()
    assert len(words) == len(set(words)) == 1000
    assert all(word.startswith(("a ", "an ")) and word == word.lower() for word in words)
    texts = [p.text for p in BUILDERS["objects"](get_concept("umbrella"))]
    assert len(texts) == 1000 - ("an umbrella" in words)


def test_every_concept_has_paraphrases_without_its_name() -> None:
    for name in concept_names():
        assert len(paraphrases(name)) == 4
        assert not any(f" {name} " in f" {text} " for text in paraphrases(name))
    with pytest.raises(BenchError, match="no paraphrases of 'a rubber duck' are known"):
        prompt_set("concept", "paraphrased", get_concept("a rubber duck", "object"), 3)


def test_bands_take_turns_and_ids_say_them() -> None:
    found = prompt_set("objects", "bands", get_concept("garbage truck"), 8).prompts
    order = list(related_things(get_concept("garbage truck")))
    assert order[-3:] == ["road", "vehicle", "thing"]
    assert [band_of_prompt(prompt.id) for prompt in found[: len(order) + 1]] == [*order, order[0]]
    assert all(band_of(get_concept("garbage truck"), name) == "road" for name in ("bus", "car"))
    styles = prompt_set("objects", "bands", get_concept("neon"), 9).prompts
    assert [band_of_prompt(prompt.id) for prompt in styles[:2]] == ["style", "thing"]
    assert "neon" not in " ".join(prompt.text for prompt in styles)
    with pytest.raises(BenchError, match="no thing 'a rubber duck' in the tree of kinds"):
        prompt_set("objects", "bands", get_concept("a rubber duck", "object"), 8)


def test_i2p_keeps_its_seeds_guidance_and_sizes(i2p: str) -> None:
    first, second, third = read_prompts(i2p, None)
    assert first == Prompt("prompt-0", "a lake, at dawn", 1234567890123, 7.5, (512, 768))
    assert second == Prompt("prompt-1", "null", 2, 9.0, (512, 512))
    assert third == Prompt("prompt-2", "a tower", 3)


def test_i2p_by_category(i2p: str) -> None:
    assert [p.id for p in read_prompts(i2p, None, "sexual")] == ["prompt-0", "prompt-2"]
    with pytest.raises(BenchError, match="there are harassment, sexual, shocking, violence"):
        read_prompts(i2p, None, "hate")


def test_jobs_honour_what_a_prompt_says(i2p: str) -> None:
    prompts = read_prompts(i2p, None)
    jobs = plan_jobs(prompts, 7, 7)
    assert len(jobs) == 6
    assert [job.seed for job in jobs[:3]] == [1234567890123, 2, 3]
    assert jobs[3].seed == image_seed(7, "prompt-0", 1)
    assert [(job.guidance, job.size) for job in jobs[:3]] == [(7.5, (512, 768)), (9.0, (512, 512)), (None, None)]
    assert plan_jobs(prompts, 6, 8)[3].seed == image_seed(8, "prompt-0", 1)
    assert plan_jobs(prompts, None, native=64)[0].size == (64, 96)
    assert len(plan_jobs(prompts, None)) == 3


def test_the_hash_covers_everything_that_images_depend_on(i2p: str) -> None:
    concept = get_concept("nudity")
    before = prompt_set("concept", i2p, concept, None).hash
    for old, new in (("1234567890123", "1"), (",7.5,", ",8.5,"), ("768", "512"), ("a tower", "the tower")):
        Path(i2p).write_text(I2P.replace(old, new))
        assert prompt_set("concept", i2p, concept, None).hash != before
    Path(i2p).write_text(I2P.replace("10.0", "20.0"))
    assert prompt_set("concept", i2p, concept, None).hash == before


def test_coco_captions_as_csv_and_as_the_official_json(tmp_path: Path) -> None:
    path = tmp_path / "coco.csv"
    path.write_text("image_id,source,prompt,evaluation_seed\n000000203564,coco-30k,A bicycle.,41337\n")
    assert read_prompts(str(path), 5) == (Prompt("prompt-000000203564", "A bicycle.", 41337, reference="000000203564"),)
    content = {
        "images": [{"id": 9, "file_name": "COCO_val2014_000000000009.jpg"}, {"id": 4, "file_name": "four.jpg"}],
        "annotations": [
            {"id": 12, "image_id": 9, "caption": "second "},
            {"id": 11, "image_id": 9, "caption": " first"},
            {"id": 13, "image_id": 4, "caption": "four"},
        ],
    }
    path = tmp_path / "captions_val2014.json"
    path.write_text(json.dumps(content))
    found = read_prompts(str(path), None)
    assert [(p.id, p.text, p.reference) for p in found] == [
        ("prompt-000000000009", "first", "COCO_val2014_000000000009.jpg"),
        ("prompt-000000000004", "four", "four.jpg"),
    ]
    path.write_text('{"images": []}')
    with pytest.raises(BenchError, match="is not COCO's captions JSON"):
        read_prompts(str(path), None)


def test_text_parquet_and_json_lines(tmp_path: Path) -> None:
    texts = ["a dog, running", "two cats", "a bus"]
    (tmp_path / "a.txt").write_text("\ufeffa dog, running\n\n two cats \na bus")
    pd.DataFrame({"prompt": texts}).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    for name in ("a.txt", "a.parquet", "a.jsonl"):
        assert [p.text for p in read_prompts(str(tmp_path / name), None)] == texts, name
        assert [p.text for p in read_prompts(str(tmp_path / name), 2)] == texts[:2]
        first = prompt_set("coco", str(tmp_path / name), get_concept("cat"), 2, order="first")
        assert [p.text for p in first.prompts] == texts[:2]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "id,caption\n1,x\n", "no column 'prompt'; its columns are id, caption"),
        ("a.csv", "id,prompt\n1,\n2, \n", "has no prompt"),
        ("a.csv", "prompt,seed\nx,one\n", "seed 'one' is no number"),
        ("a.csv", "prompt,seed\nx,1.5\n", "the seed 1.5 is no whole number"),
        ("a.csv", "prompt,seed\nx,-3\n", "seed '-3' is no number"),
        ("a.csv", "prompt,guidance\nx,1e9\n", "guidance '1e9' is no number from 0 to 1,000"),
        ("a.csv", "prompt,width,height\nx,100000,512\n", "width '100000' is no number from 64 to 4,096"),
        ("a.csv", "prompt,width,height\nx,513,512\n", "513×512 is no multiple of 8"),
        ("a.csv", "prompt,case_number\nx,../../etc\n", "the id '../../etc' is not made of"),
        ("a.json", "[1, 2", "is not COCO's captions JSON"),
        ("a.tsv", "prompt\nx\n", "none of .csv"),
        ("a.txt", "", "has no prompt"),
    ],
)
def test_a_wrong_file_says_what_is_wrong_and_where(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BenchError, match=message):
        prompt_set("concept", str(path), get_concept("nudity"), None)


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    concept = get_concept("nudity")
    with pytest.raises(BenchError, match="there is no file"):
        prompt_set("coco", str(tmp_path / "absent.csv"), concept, 9)
    with pytest.raises(BenchError, match="Did you mean 'paraphrased'"):
        prompt_set("concept", "paraphrase", concept, 9)
    with pytest.raises(BenchError, match="has no categories"):
        prompt_set("concept", "direct", concept, 9, "sexual")
    with pytest.raises(BenchError, match="write hub:OWNER/NAME"):
        prompt_set("concept", "hub:i2p", concept, 9)
    with pytest.raises(BenchError, match="AIML-TUDA/i2p is not in the local cache"):
        prompt_set("concept", "hub:AIML-TUDA/i2p", concept, 9)
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(BenchError, match="can't be read as UTF-8"):
        prompt_set("concept", str(tmp_path / "latin.txt"), concept, 9)


def test_an_index_without_a_name_odd_paths_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "mine [1].csv"
    path.write_text(",prompt,seed\n0,12,1e5\n1,a cat,9007199254740993\n")
    assert [(p.text, p.seed) for p in read_prompts(str(path), None)] == [("12", 100_000), ("a cat", 9007199254740993)]


def test_errors_name_the_files_record_whatever_the_category(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("prompt,categories,seed\nx,violence,1\ny,sexual,two\n")
    with pytest.raises(BenchError, match="line 3: seed 'two' is no number"):
        read_prompts(str(path), None, "sexual")


def test_two_captions_of_one_image_have_two_ids(tmp_path: Path) -> None:
    path = tmp_path / "coco.csv"
    path.write_text("image_id,prompt\n7,a dog\n7,a running dog\n")
    assert [prompt.id for prompt in read_prompts(str(path), None)] == ["prompt-7", "prompt-7-2"]


def test_the_concept_file_has_a_schema() -> None:
    content = {
        "kinds": {"animal": {"replacement": "an animal", "templates": ["{x}"]}},
        "settings": [""],
        "style_things": ["a cat"],
        "concepts": {"cat": {"kind": "animal"}},
    }
    assert _ConceptFile(**content).concepts["cat"].article == "a"
    for wrong in (
        {"concepts": {"cat": {"kind": "animol"}}},
        {"concepts": {"cat": {"kind": "animal", "artcle": "an"}}},
        {"settings": [3]},
        {"extra": 1},
    ):
        with pytest.raises(ValidationError):
            _ConceptFile(**{**content, **wrong})


def test_prompts_that_differ_by_their_setting_share_a_cluster() -> None:
    direct = prompt_set("concept", "direct", get_concept("garbage truck"), None).prompts
    assert len(direct) == 40
    assert len({prompt.cluster for prompt in direct}) == 5
    both = {
        p.cluster for p in direct if p.text in ("a photo of a garbage truck", "a photo of a garbage truck at night")
    }
    assert both == {"a photo of a garbage truck"}
    lone = prompt_set("objects", "objects", get_concept("nudity"), 3).prompts
    assert [prompt.cluster for prompt in lone] == [prompt.id for prompt in lone]
    assert [job.cluster for job in plan_jobs(direct[:2], 2)] == [prompt.cluster for prompt in direct[:2]]


def test_the_headline_set_asks_by_name_and_in_other_words() -> None:
    both = prompt_set("concept", "wordings", get_concept("nudity"), None)
    assert (len(both.prompts), both.available, both.described()["clusters"]) == (200, 200, 25)
    named, other = (prompt_set("concept", source, get_concept("nudity"), None) for source in ("direct", "paraphrased"))
    assert set(both.prompts) == {*named.prompts, *other.prompts}
    few = prompt_set("concept", "wordings", get_concept("nudity"), 25)
    assert len({prompt.cluster for prompt in few.prompts}) == 25
    assert len({prompt.text for prompt in few.prompts} & {prompt.text for prompt in named.prompts}) == 5
    duck = prompt_set("concept", "wordings", get_concept("a rubber duck", "object"), None)
    assert len(duck.prompts) == 40


def test_a_sample_of_a_file_is_not_its_beginning_and_grows(tmp_path: Path) -> None:
    path = tmp_path / "coco.csv"
    path.write_text("image_id,prompt\n" + "".join(f"{k},caption {k}\n" for k in range(300)))
    numbers = [int(p.text.split()[1]) for p in prompt_set("coco", str(path), get_concept("cat"), 100).prompts]
    assert abs(np.mean(numbers) - 149.5) < 3 * 300 / 12**0.5 / 10  # three standard errors
    assert [int(p.text.split()[1]) for p in prompt_set("coco", str(path), get_concept("cat"), 40).prompts] == numbers[
        :40
    ]


def test_files_of_the_field_say_where_they_are_had() -> None:
    with pytest.raises(BenchError, match=r"no file coco_30k\.csv\. It is had from https://github\.com/rohitgandikota"):
        prompt_set("coco", "coco_30k.csv", get_concept("nudity"), 9)
    with pytest.raises(BenchError, match="AIML-TUDA/i2p"):
        prompt_set("concept", "i2p.csv", get_concept("nudity"), 9)
