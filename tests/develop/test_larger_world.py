"""The larger world: enough things of every kind, each with a name of its own, and people who can be told apart."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from erasebench.develop.mini.larger_world.figures import FIGURES, draw_figure
from erasebench.develop.mini.larger_world.icons import icon_things, read_icons, tags
from erasebench.errors import BenchError
from erasebench.mini.world import COLOURS, CONCEPTS
from erasebench.mini.world.canvas import Canvas, downsample


def test_there_are_hundreds_of_things_with_names_of_their_own() -> None:
    names = [name for things in icon_things().values() for name in things]
    every = [*names, *FIGURES, *CONCEPTS]
    assert [name for name, count in Counter(every).items() if count > 1] == []
    assert len(every) >= 600
    kinds = Counter(kind.partition("/")[0] for kind, things in icon_things().items() for _ in things)
    least = {"animal": 100, "food": 80, "object": 150, "vehicle": 30, "building": 20, "plant": 20, "sky": 20}
    assert all(kinds[kind] >= count for kind, count in least.items()), kinds
    assert kinds["person"] + len(FIGURES) >= 60
    assert set(tags()) <= set(names)


def test_names_and_tags_are_two_thousand_words() -> None:
    texts = [text for things in icon_things().values() for name, (_, *more) in things.items() for text in (name, *more)]
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
