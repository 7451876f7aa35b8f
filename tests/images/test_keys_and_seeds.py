"""Property tests: keys depend on content alone, seeds on nothing but run, prompt and sample."""

from collections import Counter
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from erasebench.images.jobs import image_seed, plan_jobs
from erasebench.prompts.prompt import Prompt
from erasebench.prompts.sets import sampled
from erasebench.scoring.encoders import weights_hash
from erasebench.storage.files import read_json, write_json
from erasebench.storage.keys import content_key, folder_hash

VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(st.dictionaries(st.text(min_size=1), VALUES, min_size=1, max_size=6))
def test_keys_ignore_order(parts: dict[str, object]) -> None:
    reversed_parts = dict(reversed(list(parts.items())))
    assert content_key(parts=parts) == content_key(parts=reversed_parts)


@given(st.dictionaries(st.text(min_size=1), st.integers(), min_size=1), st.data())
def test_keys_change_with_any_value(parts: dict[str, int], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(parts)))
    assert content_key(parts=parts) != content_key(parts={**parts, name: parts[name] + 1})


@given(st.integers(0, 2**31), st.text(), st.integers(0, 1000))
def test_a_seed_is_a_function_of_run_prompt_and_sample(run: int, prompt: str, sample: int) -> None:
    seed = image_seed(run, prompt, sample)
    assert 0 <= seed < 2**63
    assert seed == image_seed(run, prompt, sample)
    assert seed != image_seed(run, prompt, sample + 1)
    assert seed != image_seed(run + 1, prompt, sample)


@given(st.integers(1, 20), st.integers(1, 60), st.integers(0, 99))
def test_every_prompt_has_the_same_number_of_jobs_and_each_is_unique(prompts: int, images: int, noise: int) -> None:
    jobs = plan_jobs([Prompt(f"p{k}", f"text {k}") for k in range(prompts)], images, noise)
    assert len(jobs) == max(1, images // prompts) * prompts
    assert len({job.file_name for job in jobs}) == len(jobs)
    assert len({job.seed for job in jobs}) == len(jobs)


@given(st.integers(1, 20), st.integers(1, 30))
def test_fewer_images_are_the_first_of_more(prompts: int, images: int) -> None:
    texts = [Prompt(f"p{k}", "x") for k in range(prompts)]
    fewer = plan_jobs(texts, images)
    assert fewer == plan_jobs(texts, images + 7)[: len(fewer)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 40))
def test_a_sample_is_balanced_over_clusters_and_holds_every_shorter_one(sizes: list[int], count: int) -> None:
    prompts = [Prompt(f"{c}-{k}", "x", template=str(c)) for c, size in enumerate(sizes) for k in range(size)]
    chosen = sampled(prompts)
    assert sorted(p.id for p in chosen) == sorted(p.id for p in prompts)
    taken = Counter(p.cluster for p in chosen[:count])
    short = [c for c, size in enumerate(sizes) if taken[str(c)] < size]  # clusters that have prompts left
    assert all(max(taken.values()) - taken[str(c)] <= 1 for c in short)
    assert sampled(list(reversed(prompts))) == chosen
    assert [p for p in chosen if p.template == "0"] == sampled([p for p in prompts if p.template == "0"])


def test_json_survives_and_a_torn_file_reads_as_absent(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "value.json"
    write_json(path, {"a": [1, 2.5, None]})
    assert read_json(path) == {"a": [1, 2.5, None]}
    path.write_text(path.read_text()[:-5])
    assert read_json(path) is None
    assert read_json(tmp_path / "absent.json") is None
    assert [entry.name for entry in path.parent.iterdir()] == ["value.json"]


def test_weights_are_known_by_their_content() -> None:
    model = torch.nn.BatchNorm1d(3)  # has a scalar among its tensors
    before = weights_hash(model)
    assert weights_hash(model) == before
    model.weight.data[1] += 1e-6
    assert weights_hash(model) != before


def test_hidden_files_are_no_part_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    before = folder_hash(tmp_path)
    (tmp_path / ".DS_Store").write_bytes(b"2")
    assert folder_hash(tmp_path) == before
    (tmp_path / "a.png").write_bytes(b"3")
    assert folder_hash(tmp_path) != before
