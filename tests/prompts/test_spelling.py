"""One concept under several spellings is one concept: in look-ups, other prompts, alternatives, keys and folders."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasebench.errors import BenchError, unknown
from erasebench.prompts.concepts import concept_names, get_concept
from erasebench.prompts.sets import BUILDERS
from erasebench.prompts.spelling import canonical, mentions, same, spelled
from erasebench.runs.folder import default_folder
from erasebench.runs.plan import Plan

GARBAGE_TRUCKS = [
    "Garbage Truck",
    "a garbage truck",
    " garbage  truck ",
    "garbage\u00a0truck",
    "THE GARBAGE-TRUCKS",
    "garbage_truck",
    "\uff47arbage truck",
]


@pytest.mark.parametrize("name", GARBAGE_TRUCKS)
def test_all_spellings_are_the_built_in_concept(name: str) -> None:
    concept = get_concept("garbage truck")
    assert get_concept(name) == concept
    plan = Plan(concept=name, metrics=["ssim"], images=1)
    usual = Plan(concept="garbage truck", metrics=["ssim"], images=1)
    assert (plan.concept, plan.key, default_folder(plan)) == ("garbage truck", usual.key, default_folder(usual))
    with pytest.raises(BenchError, match="'garbage truck' is a built-in concept of the kind vehicle"):
        get_concept(name, "object")


def test_every_built_in_concept_has_its_plural_and_no_other() -> None:
    for name in concept_names():
        assert spelled(name, concept_names()) == name
        assert [other for other in concept_names() if same(other, name)] == [name]
    plurals = {
        "women": "woman",
        "men": "man",
        "children": "child",
        "buses": "bus",
        "butterflies": "butterfly",
        "cities": "city",
        "churches": "church",
        "houses": "house",
        "beaches": "beach",
        "keys": "key",
        "French Horns": "french horn",
        "Sketches": "sketch",
        "cassette players": "cassette player",
    }
    assert {plural: spelled(plural, concept_names()) for plural in plurals} == plurals
    assert [spelled(text, concept_names()) for text in ("cart", "carpet", "grass", "planes", "lexu", "")] == [None] * 6


@pytest.mark.parametrize(
    ("text", "kind", "lost"),
    [
        ("a big truck", "object", ""),
        ("truck", "vehicle", "garbage truck"),
        ("red cars", "object", "car"),
        ("Vincent van Gogh", "style", "van gogh"),
    ],
)
def test_what_is_named_within_the_concept_is_not_another_one(text: str, kind: str, lost: str) -> None:
    concept = get_concept(text, kind)
    for source in ("related", "unrelated", "others", "styles", "objects"):
        assert not any(mentions(prompt.text, text) for prompt in BUILDERS[source](concept))
    for source in ("related", "unrelated", "others", "styles"):
        assert not lost or not any(mentions(prompt.text, lost) for prompt in BUILDERS[source](concept))


def test_a_text_of_ones_own_has_one_form() -> None:
    forms = {get_concept(text, "object") for text in ("a café", "A  Cafe\u0301", " a CAFÉ\t")}
    assert [concept.name for concept in forms] == ["a café"]


@given(st.text())
def test_the_canonical_form_is_one(text: str) -> None:
    once = canonical(text)
    assert canonical(once) == once
    assert canonical(f"  {text}\n") == once
    assert canonical(unicodedata.normalize("NFD", text)) == once
    assert not once or same(text, once)


def test_suggestions_do_not_depend_on_case() -> None:
    assert "Did you mean 'esd'?" in str(unknown("method", "ESD", ["esd", "uce"], "bench list methods"))
    assert "Did you mean 'all-but-one'" in str(unknown("method", "All_But_One", ["esd", "all-but-one"], "bench list"))
