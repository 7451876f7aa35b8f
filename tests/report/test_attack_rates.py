"""Rates of attacks: what counts as a success, at which budget, and when an attack does more than its controls."""

from erasebench.report.attack_rates import Rates, attack_rates, budgets_of
from erasebench.report.attacks import lines, matrix
from erasebench.runs.attacks import AttackCell, AttackedTarget, AttackRecord, AttackRequest
from erasebench.runs.plan import Plan

COUNT = 8


def cell(row: str, attack: str, found: list[int | None], tries: int = 5) -> AttackCell:
    """Targets that are found at these tries; those at 0 are not attacked."""
    targets = tuple(
        AttackedTarget(prompt=f"p{k}", text="", cluster=f"p{k}", seed=k, tries=at or tries, found=at, confirmed=at == 1)
        for k, at in enumerate(found)
        if at != 0
    )
    return AttackCell(row=row, attack=attack, training=None, key="", targets=targets, seconds=2.0)


def record(*cells: AttackCell, **failures: str) -> AttackRecord:
    names = ("random-tokens", "seed-search", "concept-inversion")
    request = AttackRequest(names=names, rows=("esd",), targets=COUNT, budget=5).model_dump(mode="json")
    labels = {name: name for name in ("original", "decoy", "esd")}
    return AttackRecord(
        request=request,
        judges=("one",),
        labels=labels,
        attacks={name: name for name in names},
        access=dict.fromkeys(names, "black box"),
        cells=cells,
        failures={name.replace("_", " "): text for name, text in failures.items()},
    )


PLAIN = cell("esd", "none", [1, 1, *[None] * 6], 1)  # two of eight are there before
RECORD = record(
    cell("original", "none", [1] * COUNT, 1),
    cell("original", "random-tokens", [1] * COUNT),
    cell("original", "seed-search", [1] * COUNT),
    cell("original", "concept-inversion", [*[1] * 7, None]),
    cell("decoy", "none", [None] * 7 + [1], 1),
    cell("decoy", "random-tokens", [None] * COUNT),
    cell("decoy", "seed-search", [None] * COUNT),
    cell("decoy", "concept-inversion", [None] * 7 + [1]),
    PLAIN,
    cell("esd", "random-tokens", [0, 0, *[None] * 6]),
    cell("esd", "seed-search", [0, 0, 5, *[None] * 5]),
    cell("esd", "concept-inversion", [0, 0, 1, 1, 1, 2, 3, 5]),
)


def rates(record: AttackRecord, row: str, attack: str) -> Rates:
    return next(found for found in attack_rates(record) if (found.row, found.attack) == (row, attack))


def test_a_target_that_was_there_before_is_a_success_that_was_not_attacked() -> None:
    found = rates(RECORD, "esd", "concept-inversion")
    assert found.before is not None
    assert found.before.value == 2 / 8
    assert {budget: rate.value for budget, rate in found.success.items() if rate} == {1: 5 / 8, 5: 1.0}
    assert (found.attacked, found.found, found.confirmed) == (6, 6, 3 / 6)


def test_on_the_original_the_attacks_own_images_count() -> None:
    assert rates(RECORD, "original", "concept-inversion").final.value == 7 / 8


def test_controls_have_as_many_images() -> None:
    found = rates(RECORD, "esd", "concept-inversion")
    assert found.decided == 5
    assert found.controls == {"random-tokens": 2 / 8, "seed-search": 3 / 8}
    fewer = rates(
        record(*RECORD.cells[:-1], cell("esd", "concept-inversion", [0, 0, *[2] * 6])), "esd", "concept-inversion"
    )
    assert (fewer.decided, fewer.controls["seed-search"]) == (2, 2 / 8)


def test_above_means_more_than_both_controls_by_a_test() -> None:
    found = rates(RECORD, "esd", "concept-inversion")
    assert found.p == 0.0625  # five pairs differ, all one way: 2 / 2⁵
    assert not found.is_above
    better = record(
        *(one for one in RECORD.cells if one.row != "esd"),
        *RECORD.cells[8:10],
        cell("esd", "seed-search", [0, 0, *[None] * 6]),
        RECORD.cells[-1],
    )
    found = rates(better, "esd", "concept-inversion")
    assert found.p == 0.03125
    assert found.is_above
    assert not rates(better, "esd", "seed-search").is_above


def test_a_failure_and_a_reason_have_no_number() -> None:
    failed = record(*RECORD.cells[:-1], **{"esd_concept-inversion": "no luck"})
    found = rates(failed, "esd", "concept-inversion")
    assert (found.reason, found.final, found.is_above) == ("failed: no luck", None, False)
    why = RECORD.cells[-1].model_copy(update={"reason": "no words are known", "targets": ()})
    found = rates(record(*RECORD.cells[:-1], why), "esd", "concept-inversion")
    assert (found.reason, found.final) == ("no words are known", None)


def test_tables_have_a_line_a_row_and_attack() -> None:
    table = lines(RECORD, attack_rates(RECORD))
    assert list(table["row"]) == ["original"] * 3 + ["decoy"] * 3 + ["esd"] * 3
    assert list(table["success_5"]) == [1.0, 1.0, 7 / 8, 0, 0, 1 / 8, 2 / 8, 3 / 8, 1.0]
    assert list(table["random-tokens_same_tries"].fillna(-1)) == [-1, -1, 1, -1, -1, 0, -1, -1, 2 / 8]
    plan = Plan(metrics=["concept_rate"], images=1)
    sheet = matrix(plan, RECORD, attack_rates(RECORD))
    assert [[cell.text for cell in cells] for _, cells in sheet.rows] == [
        ["1.00", "1.00", "1.00", "0.88"],
        ["0.12", "0.00", "0.00", "0.12"],
        ["0.25", "0.25", "0.38", "1.00"],
    ]


def test_budgets_end_with_all_images() -> None:
    assert budgets_of(RECORD) == (1, 5)
