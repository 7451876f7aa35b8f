"""Hostile files and names: no pickle is loaded, nothing is written outside, nothing blows up."""

import pickle
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from erasebench.errors import BenchError
from erasebench.models.catalog import MINI_WEIGHTS, find_model
from erasebench.prompts.columns import LONGEST, prompt_of
from erasebench.prompts.files import read_prompts
from erasebench.registry import Registry
from erasebench.runs.folder import RunFolder, safe_name
from erasebench.runs.plan import Plan
from erasebench.runs.plan_file import load_plan
from erasebench.scoring.clip_files import check_clip
from erasebench.storage.arrays import load_array, save_array
from erasebench.storage.files import read_json, write_json
from erasebench.storage.keys import content_key

HOSTILE = [
    "../../x",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "..",
    ".hidden",
    "",
    "a\0b",
    "a\nb",
    "x" * 101,
    "naïve",
    "a b",
    "C:",
]
LEAVES = st.none() | st.booleans() | st.integers() | st.text() | st.floats()


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickled_weights_are_refused_with_the_way_to_convert(tmp_path: Path) -> None:
    folder = shutil.copytree(MINI_WEIGHTS / "pipeline", tmp_path / "model")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    weights.with_suffix(".bin").write_bytes(pickle.dumps(Bomb(tmp_path / "boom")))
    with pytest.raises(BenchError, match=r"unet has no .*\.safetensors \(it holds .*bin\)\. Pickled .* never loaded"):
        find_model(str(folder))
    for name in ("model.ckpt", "model.pt", "pytorch_model.bin"):
        file = tmp_path / name
        torch.save({"a": Bomb(tmp_path / "boom")}, file)
        with pytest.raises(BenchError, match=r"never loaded.*safe_serialization=True"):
            find_model(str(file))
    clip = tmp_path / "clip"
    clip.mkdir()
    (clip / "open_clip_config.json").write_text("{}")
    torch.save({"a": Bomb(tmp_path / "boom")}, clip / "open_clip_pytorch_model.bin")
    with pytest.raises(BenchError, match="Pickled weights"):
        check_clip(f"local-dir:{clip}")
    assert not (tmp_path / "boom").exists()


def test_the_sources_never_unpickle() -> None:
    """The package itself asks for no unpickling; open_clip reads its own named weights with weights_only."""
    import erasebench

    files = Path(erasebench.__file__).parent.rglob("*.py")
    texts = {file: file.read_text() for file in files}
    weights_only = re.compile(r"torch\.load\([^\n]*weights_only=True")  # in a command that is shown, not run
    texts = {file: weights_only.sub("", text) for file, text in texts.items()}
    assert len(texts) > 50
    for word in (
        "torch.load(",
        "import pickle\n",  # pickletools only reads
        "yaml.load(",
        "allow_pickle=True",
        "trust_remote_code=True",
        "eval(repr",
    ):
        assert [file.name for file, text in texts.items() if word in text] == []


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leaves_the_folder(name: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    places = (
        lambda: folder.patch(name, 0),
        lambda: folder.erasure(name, 0),
        lambda: folder.images(name, "coco"),
        lambda: folder.images("esd", name),
        lambda: folder.score(name, "fid"),
        lambda: folder.score("esd", name),
    )
    for place in places:
        with pytest.raises(BenchError, match="can't name a file"):
            place()
    with pytest.raises(ValueError, match="pattern"):
        Plan(metrics=["ssim"], images=1, name=name)


@given(st.text())
def test_safe_names_stay_where_they_are(text: str) -> None:
    try:
        name = safe_name(text)
    except BenchError:
        return
    root = Path("/root/run")
    assert (root / name).resolve().parent == root
    assert (root / f"{name}.json").name == f"{name}.json"


@given(st.text(min_size=1))
def test_prompt_ids_from_files_are_safe_or_refused(name: str) -> None:
    try:
        prompt = prompt_of({"case_number": name, "prompt": "a cat"}, 0, "here")
    except BenchError:
        return
    assert safe_name(prompt.id) == prompt.id


def test_a_plug_ins_name_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    point = SimpleNamespace(name="../evil", dist=None, module="evil", attr="evil", group="erasebench.methods")
    monkeypatch.setattr("erasebench.registry.entry_points", lambda group: [point])
    with pytest.raises(BenchError, match=r"the method '\.\./evil' \(evil:evil\) has a name that can't name files"):
        Registry("method").entries()


def test_yaml_bombs_and_tags_are_refused(tmp_path: Path) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for one, two in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{two}: &{two} [{', '.join([f'*{one}'] * 10)}]\n"
    files = {
        "bomb.yaml": (bomb, "aliases stand for more than"),
        "code.yaml": ("name: !!python/object/apply:os.system ['touch boom']\n", "not valid YAML"),
        "long.yaml": ("# " + "x" * 1_000_000 + "\n", "a plan has at most"),
    }
    for name, (text, message) in files.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(BenchError, match=message):
            load_plan(str(tmp_path / name), {})
    assert not (tmp_path / "boom").exists()
    assert not Path("boom").exists()


def test_a_prompt_of_megabytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * (LONGEST + 1))
    with pytest.raises(BenchError, match="line 1: the prompt has 10,001 characters"):
        read_prompts(str(tmp_path / "a.txt"), None)


@given(st.dictionaries(st.text(), st.recursive(LEAVES, lambda i: st.lists(i) | st.dictionaries(st.text(), i))))
def test_any_object_survives_its_checksum(tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    value.pop("checksum", None)
    write_json(path, value)
    assert content_key(value=read_json(path)) == content_key(value=value)


@given(st.data())
def test_a_changed_byte_is_always_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    import numpy as np

    folder = tmp_path_factory.mktemp("flip")
    write_json(folder / "a.json", {"value": 0.123456, "name": "esd", "values": [1, 2, 3]})
    save_array(folder / "a.safetensors", np.arange(12.0), "key")
    for path in (folder / "a.json", folder / "a.safetensors"):
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
    stored = read_json(folder / "a.json")
    assert stored in (None, {"value": 0.123456, "name": "esd", "values": [1, 2, 3]})  # white space may change
    assert load_array(folder / "a.safetensors", "key") is None


def test_yaml_that_we_write_is_plain(tmp_path: Path) -> None:
    plan = Plan(metrics=["ssim"], images=1, concept="!!python/name:os.system", kind="object", replacement="&a *b %x")
    assert yaml.safe_load(plan.to_yaml())["concept"] == plan.concept
    assert Plan(**yaml.safe_load(plan.to_yaml())) == plan


def test_a_plug_in_is_listed_by_what_its_source_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "colour_module.py").write_text(
        "raise SystemExit\nDIGITS = 2\n@metric(label='Colour', better='higher', prompts='objects', digits=DIGITS)\n"
        "def colour(images, context):\n    '''How colourful images are.\n\n    More.'''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    dist = SimpleNamespace(name="a-package")
    points = [
        SimpleNamespace(name=name, dist=dist, module=module, attr="colour", group="erasebench.metrics")
        for name, module in (("colour", "colour_module"), ("lost", "no_such_module.inner"))
    ]
    monkeypatch.setattr("erasebench.registry.entry_points", lambda group: points)
    entries = Registry("metric").entries()
    assert entries["colour"].summary == "How colourful images are."
    assert entries["colour"].facts == {"label": "Colour", "better": "higher", "prompts": "objects"}
    assert (entries["lost"].summary, entries["lost"].package) == ("", "a-package")
