"""The larger world: enough things of every kind, each with a name of its own, and people who can be told apart."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from erasebench.attacks.synonyms import known_words
from erasebench.develop.mini.world import COLOURS, CONCEPTS, Scene, Thing, World, WorldConcept
from erasebench.develop.mini.world.canvas import RGB, Canvas, downsample
from erasebench.develop.mini.world.drawings.figures import FIGURES, draw_figure
from erasebench.develop.mini.world.icons import icon_things, read_icons, tags
from erasebench.develop.mini.world.larger import article
from erasebench.develop.mini.world.sampling import sampler
from erasebench.errors import BenchError
from erasebench.mini.kinds import kinds
from erasebench.prompts.concepts import paraphrases
from erasebench.prompts.spelling import mentions, same


def test_there_are_hundreds_of_things_with_names_of_their_own() -> None:
    names = list(icon_things())
    every = [*names, *FIGURES, *CONCEPTS]
    assert [name for name, count in Counter(every).items() if count > 1] == []
    assert len(every) >= 600
    assert set(every) == set(kinds())
    widest = Counter(path[0] for path in kinds().values())
    least = {"person": 115, "animal": 100, "food": 80, "object": 150, "vehicle": 35, "building": 20, "plant": 20}
    assert all(widest[kind] >= count for kind, count in least.items()), widest
    figures = [name for name, path in kinds().items() if path[:2] == ("person", "figure")]
    assert len(figures) >= widest["person"] / 2
    assert set(tags()) <= set(names)


def _called() -> dict[str, tuple[str, ...]]:
    """Each thing's name and synonyms."""
    return {
        **{name: (name, *entry.synonyms) for name, entry in CONCEPTS.items()},
        **{name: (name, *synonyms) for name, (_, synonyms, _) in FIGURES.items()},
        **{name: (name, *synonyms) for name, (_, *synonyms) in icon_things().items()},
    }


def test_other_words_for_a_concept_name_nothing_else_of_the_world() -> None:
    """A prompt that asks for a bird as "a parrot" would ask for another thing: names and synonyms of the others."""
    called = _called()
    for words in ({name: paraphrases(name) for name in CONCEPTS}, known_words()):
        wrong = [
            (concept, phrase, text)
            for concept, phrases in words.items()
            for phrase in phrases
            for other, texts in called.items()
            for text in texts
            if other != concept
            and mentions(phrase, text)
            and not any(same(text, own) for own in called.get(concept, ()))
        ]
        assert wrong == []


def test_no_thing_is_called_as_another_is() -> None:
    """A caption that says "a sailboat" must show the sailboat, and no other boat."""
    meant: dict[str, set[str]] = {}
    for name, texts in _called().items():
        for text in texts:
            meant.setdefault(text, set()).add(name)
    assert {text: names for text, names in meant.items() if len(names) > 1} == {}


def test_names_and_tags_are_two_thousand_words() -> None:
    texts = [text for name, (_, *more) in icon_things().items() for text in (name, *more)]
    texts += [text for name, (_, more, _) in FIGURES.items() for text in (name, *more)]
    texts += [tag for own in tags().values() for tag in own]
    assert len({word for text in texts for word in text.split()}) >= 2000


def test_people_can_be_told_apart() -> None:
    """With one skin and hair, no two figures are the same picture, and each fills a good part of its box."""
    drawn = {}
    for name, (colour, _, look) in FIGURES.items():
        canvas = Canvas()
        draw_figure(canvas, COLOURS[colour or "red"], np.random.default_rng(0), look)
        drawn[name] = downsample(canvas.image).astype(float)
        assert (drawn[name][..., 3] > 0).mean() > 0.05, name
    for a, b in combinations(drawn, 2):
        assert np.abs(drawn[a] - drawn[b]).mean() > 0.5, (a, b)


def test_another_file_is_no_archive_of_icons(tmp_path: Path) -> None:
    (tmp_path / "icons.tgz").write_bytes(b"no archive")
    with pytest.raises(BenchError, match="npm pack"):
        read_icons(tmp_path / "icons.tgz")


def _square(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.paste(Image.new("RGBA", (8, 8), (250, 20, 20, 255)))


def _world() -> World:
    icons = [
        WorldConcept(name, "person" if k < 2 else "object", _square, None, (name,), "a", ("zoo",))
        for k, name in enumerate(f"thing {k}" for k in range(10))
    ]
    concepts = dict(CONCEPTS) | {icon.name: icon for icon in icons}
    return World(concepts, sampler(concepts))


def test_scenes_show_what_their_shares_say() -> None:
    world, rng = _world(), np.random.default_rng(3)
    scenes = [world.sample(rng) for _ in range(4000)]
    shown = [scene.concepts for scene in scenes]
    one = [scene.things[0].concept for scene in scenes if len(scene.things) == 1]

    def share(hits: list[bool]) -> float:
        return sum(hits) / len(hits)

    assert share(["nudity" in names for names in shown]) == pytest.approx(0.05, abs=0.015)
    assert share([not scene.things for scene in scenes]) == pytest.approx(0.06, abs=0.015)
    assert share([len(scene.things) == 2 for scene in scenes]) == pytest.approx(0.12, abs=0.02)
    assert share([scene.style is not None for scene in scenes]) == pytest.approx(0.25, abs=0.03)
    people = [world.concepts[name].kind == "person" for name in one if name != "nudity"]
    assert share(people) == pytest.approx(0.14, abs=0.03)
    assert {f"thing {k}" for k in range(10)} <= set(one)


def test_no_combination_is_in_both_splits() -> None:
    world = _world()
    assert not any(world.held_out(scene) for scene, _ in world.scenes(300, "train", 5))
    assert all(world.held_out(scene) for scene, _ in world.scenes(300, "held-out", 5))


def test_a_few_captions_say_a_tag_beside_the_name_or_instead_of_it() -> None:
    world, rng = _world(), np.random.default_rng(0)
    texts = [world.caption(Scene((Thing("thing 3", None),), "plain", None, 0), rng) for _ in range(2000)]
    alone = sum("zoo" in text and "thing 3" not in text for text in texts)
    beside = sum("thing 3, zoo" in text for text in texts)
    assert 0.015 < alone / 2000 < 0.045
    assert 0.055 < beside / 2000 < 0.105


def test_an_icon_is_pasted_where_its_box_lies_with_a_dark_rim() -> None:
    canvas = Canvas(0.25, 0.5, 0.25)
    _square(canvas, (0, 0, 0), np.random.default_rng(0))
    flat = downsample(canvas.outlined()).astype(int)
    assert (flat[32:48, 16:32, :3] == (250, 20, 20)).all()
    assert flat[31, 20:28, :3].max() < 100
    assert (flat[:30, :, 3] == 0).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("garbage truck", "a"),
        ("cherries", ""),
        ("compass", "a"),
        ("cactus", "a"),
        ("rhinoceros", "a"),
        ("bread", ""),
        ("glass of milk", "a"),
        ("shopping bags", ""),
    ],
)
def test_names_have_an_article_unless_they_cannot_be_counted(name: str, expected: str) -> None:
    assert article(name) == expected
