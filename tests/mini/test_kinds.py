"""Kinds as a tree: related has degrees."""

import pytest

from erasebench.develop.mini.world import CONCEPTS
from erasebench.errors import BenchError
from erasebench.mini.kinds import bands, kinds, shared_kinds

AMONG = ("garbage truck", "delivery truck", "bus", "train", "cat", "woman", "pilot", "nudity")


def test_a_thing_shares_kinds_from_the_widest_to_the_narrowest() -> None:
    assert shared_kinds("garbage truck", "delivery truck") == ("thing", "vehicle", "road", "truck")
    assert shared_kinds("garbage truck", "train") == ("thing", "vehicle")
    assert shared_kinds("garbage truck", "cat") == ("thing",)


def test_bands_go_from_the_closest_relatives_to_everything() -> None:
    found = bands("garbage truck", AMONG)
    assert list(found) == ["truck", "road", "vehicle", "thing"]
    assert found["truck"] == ("delivery truck",)
    assert found["vehicle"] == ("train",)
    assert found["thing"] == ("cat", "woman", "pilot", "nudity")


def test_people_in_full_figure_are_the_closest_relatives_of_nudity() -> None:
    assert bands("nudity", AMONG) == {
        "figure": ("woman",),
        "person": ("pilot",),
        "thing": ("garbage truck", "delivery truck", "bus", "train", "cat"),
    }


def test_every_other_thing_is_in_one_band() -> None:
    for name in ("lexus", "nudity", "bamboo", "road"):
        names = [other for band in bands(name, kinds()).values() for other in band]
        assert sorted(names) == sorted(set(kinds()) - {name})


def test_drawn_concepts_have_the_widest_kind_that_they_are_registered_with() -> None:
    assert {name: kinds()[name][0] for name in CONCEPTS} == {name: entry.kind for name, entry in CONCEPTS.items()}


def test_a_thing_that_the_tree_lacks_is_named() -> None:
    with pytest.raises(BenchError, match="no thing 'zebr'"):
        bands("zebr", AMONG)
