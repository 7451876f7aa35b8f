"""The embedded world: complete, deterministic, split without overlap."""

import numpy as np
import pytest

from erasebench.develop.mini.world import BACKGROUNDS, COLOURS, CONCEPTS, DRAWN, STYLES, Scene, Thing, render
from erasebench.errors import BenchError
from erasebench.prompts.concepts import canonical_name, concept_names, get_concept, nameable
from erasebench.prompts.sets import BUILDERS


def test_world_has_the_concepts_that_the_papers_talk_about() -> None:
    asked = {
        "nudity",
        "woman",
        "man",
        "garbage truck",
        "bus",
        "road",
        "lexus",
        "bamboo",
        "notebook",
        "church",
        "parachute",
        "french horn",
    }
    assert asked <= set(CONCEPTS)
    assert len(CONCEPTS) >= 40
    assert len(STYLES) >= 4
    assert len(COLOURS) >= 8


@pytest.mark.parametrize("name", list(CONCEPTS))
@pytest.mark.parametrize("style", [None, *STYLES])
def test_every_concept_renders_in_every_style(name: str, style: str | None) -> None:
    place = CONCEPTS[name].kind == "place"
    scene = Scene((), name, style, 1) if place else Scene((Thing(name, CONCEPTS[name].usual),), "plain", style, 1)
    image = render(scene)
    assert image.shape == (64, 64, 3)
    assert image.dtype == np.uint8
    assert image.std() > 5


@pytest.mark.parametrize("background", list(BACKGROUNDS))
def test_rendering_is_deterministic(background: str) -> None:
    scene = Scene((Thing("cat", "red"), Thing("bus", "blue")), background, "picasso", 3)
    assert np.array_equal(render(scene), render(scene))


def test_splits_are_seeded_and_share_no_combination() -> None:
    train, held = DRAWN.scenes(300, "train", 5), DRAWN.scenes(300, "held-out", 5)
    assert train == DRAWN.scenes(300, "train", 5)
    assert train != DRAWN.scenes(300, "train", 6)
    assert not any(DRAWN.held_out(scene) for scene, _ in train)
    assert all(DRAWN.held_out(scene) for scene, _ in held)


def test_an_unknown_split_is_an_error() -> None:
    with pytest.raises(ValueError, match="'train' or 'held-out'"):
        DRAWN.scenes(1, "test", 0)


def test_captions_name_what_is_shown() -> None:
    for scene, text in DRAWN.scenes(300, "train", 9):
        for thing in scene.things:
            entry = CONCEPTS[thing.concept]
            if thing.concept != "nudity":
                assert any(word in text for word in (entry.name, *entry.synonyms))
                assert thing.colour in (None, entry.usual) or thing.colour in text


def test_every_concept_of_the_world_can_be_erased_by_name() -> None:
    assert set(concept_names()) == {*CONCEPTS, *STYLES}
    for name in CONCEPTS:
        assert get_concept(name).kind == ("nudity" if name == "nudity" else CONCEPTS[name].kind)


def test_what_else_a_world_shows_can_be_erased_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {name: f"a {name}" for name in CONCEPTS} | {
        "violin": "a violin",
        "cherries": "cherries",
        "full moon": "a full moon",
    }
    monkeypatch.setattr("erasebench.prompts.concepts.things", lambda: shown)
    canonical_name.cache_clear()
    try:
        assert nameable()[-3:] == ["violin", "cherries", "full moon"]
        violin = get_concept("Violins")
        assert (violin.name, violin.kind, violin.phrase, violin.replacement) == (
            "violin",
            "object",
            "a violin",
            "an object",
        )
        assert get_concept("a cherries").phrase == "cherries"
        assert {prompt.text for prompt in BUILDERS["related"](violin)} >= {
            "a photo of a guitar",
            "a photo of a clock at night",
        }
        others = [prompt.text for prompt in BUILDERS["others"](get_concept("garbage truck"))]
        assert {"a photo of a violin in the snow", "a photo of cherries", "a photo of a full moon"} <= set(others)
        assert "a photo of a full moon at night" not in others  # the sky stands nowhere else
        with pytest.raises(BenchError, match="Did you mean 'violin'"):
            get_concept("violn")
    finally:
        canonical_name.cache_clear()
