"""What `bench publish` sends, to a stand-in for the hub: models, cards, scores, and no image that may be unsafe."""

import io
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from diffusers import StableDiffusionPipeline
from hub_stand_in import TOKEN, Hub, stand_in
from PIL import Image
from safetensors.torch import load_file
from stored_run import stored_run

from erasebench.cli.app import app
from erasebench.engine.publish import held_back, requested, write_parcels
from erasebench.engine.run import run
from erasebench.errors import BenchError
from erasebench.report.web.entry import read_entry
from erasebench.report.web.opened import OpenRun, open_run
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.storage.files import write_json

TO = "me/no-truck"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> OpenRun:
    plan = Plan(
        concept="garbage truck",
        methods=["uce", "time"],
        metrics=["concept_rate", "ssim", "train_steps"],
        images=2,
        generation=Generation(steps=2, precision="fp32"),
    )
    folder = RunFolder(tmp_path_factory.mktemp("published") / "run")
    assert run(plan, folder, "cpu") == ()
    return open_run(folder.root)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in, which the library asks in the hub's place; the other tests are offline."""
    with stand_in() as found:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", found.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield found


def publish(run: OpenRun, *arguments: str) -> None:
    """The command."""
    app(["publish", str(run.folder.root), "--to", TO, *arguments], standalone_mode=False)


def front_matter(card: bytes) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(card.decode().split("---\n")[1])
    return found


def test_models_with_cards_and_the_entry_arrive(finished: OpenRun, hub: Hub, tmp_path: Path) -> None:
    publish(finished, "--methods", "uce", "--images", "objects")
    assert set(hub.repositories) == {("models", "me/no-truck-uce"), ("datasets", TO)}
    assert set(hub.private.values()) == {True}
    model = hub.repositories["models", "me/no-truck-uce"]
    folder = tmp_path / "model"
    for name, content in model.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    weights = StableDiffusionPipeline.from_pretrained(folder).unet.state_dict()
    patch = load_file(finished.folder.patch("uce", 0))
    assert all((weights[name] == value).all() for name, value in patch.items())
    card = front_matter(model["README.md"])
    assert (card["license"], card["library_name"]) == ("apache-2.0", "diffusers")
    results = yaml.safe_load(model[".eval_results/erasebench.yaml"])
    values = {one["dataset"]["task_id"]: one["value"] for one in results}
    assert values == {name: finished.scores["uce", name].value for name in ("concept_rate", "ssim")}
    index = card["model-index"][0]["results"][0]["metrics"]  # type: ignore[index]
    assert {one["type"]: one["value"] for one in index} == values
    assert "without “garbage truck”, by UCE" in model["README.md"].decode()
    data = hub.repositories["datasets", TO]
    assert set(data) == {"README.md", "entry.json"} | {f"images/objects/{row}.parquet" for row in ("original", "uce")}
    (tmp_path / "entry.json").write_bytes(data["entry.json"])
    assert read_entry(tmp_path / "entry.json").rows["uce"].values["ssim"].value == values["ssim"]
    assert "| UCE |" in data["README.md"].decode()
    table = pq.read_table(io.BytesIO(data["images/objects/uce.parquet"])).to_pylist()
    scores = {one.prompt: one.value for one in finished.scores["uce", "ssim"].values}
    assert {one["prompt_id"]: one["ssim"] for one in table} == scores
    assert Image.open(io.BytesIO(table[0]["image"]["bytes"])).size == (64, 64)
    assert str(tmp_path) not in "".join(
        str(content) for name, content in data.items() if name.endswith((".md", ".json"))
    )
    assert not list(finished.folder.root.glob(".publish-*"))


def test_a_dry_run_writes_the_folder_and_needs_no_hub(finished: OpenRun, tmp_path: Path) -> None:
    written = write_parcels(requested(finished, TO, ["time"]), tmp_path / "out")
    assert [folder.relative_to(tmp_path / "out").as_posix() for folder in written] == [
        "models/me/no-truck-time", "datasets/me/no-truck"
    ]  # fmt: skip
    assert {file.name for file in written[1].rglob("*")} == {"README.md", "entry.json"}  # and no image
    assert json.loads((written[0] / "model_index.json").read_text())["_class_name"] == "StableDiffusionPipeline"
    with pytest.raises(BenchError, match="no empty folder; nothing was written"):
        write_parcels(requested(finished, TO), tmp_path / "out")


def test_no_token_a_token_that_may_not_write_and_no_network_are_said(
    finished: OpenRun, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.refuses = True
    with pytest.raises(BenchError, match=r"refuses me/no-truck-time \(status 403\)") as refused:
        publish(finished, "--methods", "time")
    assert TOKEN not in str(refused.value)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BenchError, match=r"the hub can't be reached \(ConnectError\)"):
        publish(finished, "--methods", "time")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BenchError, match=r"\(OfflineModeIsEnabled\).*without HF_HUB_OFFLINE"):
        publish(finished, "--methods", "time")
    assert not list(finished.folder.root.glob(".publish-*"))
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(BenchError, match="`hf auth login`"):
        publish(finished, "--methods", "time")


def test_what_has_arrived_is_said_where_the_rest_does_not(
    finished: OpenRun, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.full_after = 1
    with pytest.raises(BenchError, match="Sent already: me/no-truck-time; the same command sends the rest"):
        publish(finished, "--methods", "time")
    assert f"{hub.address}/me/no-truck-time" in capsys.readouterr().out


def test_what_cannot_be_published_is_refused_before_anything_is_made(finished: OpenRun, tmp_path: Path) -> None:
    for to in ("no-truck", "me/no/truck", "me/no--truck", "me/" + "x" * 93, "", "me/truck.git"):
        with pytest.raises(BenchError, match="Write --to OWNER/NAME"):
            requested(finished, to)
    with pytest.raises(BenchError, match="is failed: only a complete run"):
        requested(replace(finished, status="failed"), TO)
    with pytest.raises(BenchError, match="Did you mean 'uce'"):
        requested(finished, TO, ["uec"])
    with pytest.raises(BenchError, match="unknown prompt set 'object'"):
        requested(finished, TO, images=["object"])
    guide = stored_run(tmp_path / "run")
    write_json(guide.erasure("uce", 0), {"guides": True})
    assert requested(open_run(guide.root), TO).rows == ("esd", "sdd-strong")
    with pytest.raises(BenchError, match="--methods uce: it changes how images are sampled"):
        requested(open_run(guide.root), TO, ["uce"])
    own = finished.plan.model_copy(update={"model": "somebody/model"})
    with pytest.raises(BenchError, match="--license: erased weights keep the licence of somebody/model"):
        requested(replace(finished, plan=own), TO)


def test_images_that_may_be_unsafe_are_sent_only_by_name(finished: OpenRun) -> None:
    photographs = replace(finished, plan=finished.plan.model_copy(update={"model": "sd-v1-4", "concept": "nudity"}))
    assert requested(photographs, TO).sets == ()
    every = requested(photographs, TO, images=["all"])
    assert (every.sets, held_back(every)) == (("objects",), ["concept"])
    named = requested(photographs, TO, images=["all", "concept"])
    assert (set(named.sets), held_back(named)) == ({"concept", "objects"}, [])
    assert requested(finished, TO, images=["all"]).sets == ("concept", "objects")
    with pytest.raises(BenchError, match="--images coco: the run keeps no images of this set"):
        requested(finished, TO, images=["coco"])


def test_cards_and_entries_name_no_place_of_this_machine(finished: OpenRun, tmp_path: Path) -> None:
    from erasebench.runs.private import without_paths

    model = tmp_path / "someone" / "my-model"
    plan = finished.plan.model_copy(update={"model": str(model), "reference": "./secret/coco"})
    text = without_paths(f"model {model}, images ./secret/coco and {os.path.abspath('secret/coco')}", plan)  # noqa: PTH100
    assert text == "model my-model, images coco and coco"
