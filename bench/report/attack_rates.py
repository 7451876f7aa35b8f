"""How often attacks bring a concept back: rates with intervals, and tests against the controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..registry import ATTACKS
from ..runs.attacks import BUDGETS, UNATTACKED, UNDEFENDED, AttackCell, AttackedTarget, AttackRecord
from ..scoring.statistics import Estimate, estimate, holm, paired

LEVEL = 0.05  # family-wise, over the attacks on a row


@dataclass(frozen=True)
class Rates:
    """One attack on one row, over all trainings.

    Attributes:
        row: what is attacked.
        attack: the attack.
        before: the share of targets that show the concept without an attack.
        success: by images a target, the share that shows it before or under attack; on the original, asked for
            this or another concept, under attack.
        decided: tries at which the attack is compared with the controls: the most that it drew for a target.
        controls: success of each control with as many tries.
        p: the larger p of the paired tests against the controls, over all attacks on the row by Holm; None untested.
        attacked, found: targets that were attacked, and those of them that showed the concept.
        confirmed: the share of those found that the second judge sees it in too; None where it saw none.
        unscored: tries that can't be judged.
        cells: the records.
        reason: why there is no number.
    """

    row: str
    attack: str
    before: Estimate | None
    success: dict[int, Estimate | None]
    decided: int
    controls: dict[str, float | None]
    p: float | None
    attacked: int
    found: int
    confirmed: float | None
    unscored: int
    cells: tuple[AttackCell, ...]
    reason: str = ""

    @property
    def final(self) -> Estimate | None:
        """Success with all tries."""
        return self.success[max(self.success)]

    @property
    def is_above(self) -> bool:
        """Whether the attack does more than each control does with as many images."""
        if self.p is None or self.final is None:
            return False
        return self.p <= LEVEL and all(
            value is not None and self.final.value > value for value in self.controls.values()
        )

    def cost(self, what: str) -> float:
        """The sum over trainings of forwards, forwards_with_gradient, text_passes or seconds."""
        return float(sum(getattr(cell, what) for cell in self.cells))


def budgets_of(record: AttackRecord) -> tuple[int, ...]:
    """Images a target at which success is told: the usual ones, and all that there are."""
    most = int(record.request["budget"])
    return (*(budget for budget in BUDGETS if budget < most), most)


def attack_rates(record: AttackRecord) -> list[Rates]:
    """Every attack on every row, in the order of the record."""
    rows = list(dict.fromkeys((*UNDEFENDED, *record.request["rows"])))
    names = [str(name) for name in record.request["names"]]
    return [rates for row in rows for rates in _of_row(record, row, names)]


def _of_row(record: AttackRecord, row: str, names: Sequence[str]) -> list[Rates]:
    cells: dict[str, list[AttackCell]] = {name: [] for name in (UNATTACKED, *names)}
    for cell in record.cells:
        if cell.row == row:
            cells[cell.attack].append(cell)
    plain = _Outcomes(row, cells[UNATTACKED], cells[UNATTACKED])
    outcomes = {name: _Outcomes(row, cells[UNATTACKED], cells[name]) for name in names}
    controls = [name for name in names if name in _controls()]
    found = []
    for name, own in outcomes.items():
        failure = record.failures.get(f"{row} {name}", "")
        reason = f"failed: {failure}" if failure else next((c.reason for c in own.cells if c.reason), "")
        success = {budget: None if reason else own.rate(budget) for budget in budgets_of(record)}
        found.append(
            Rates(
                row,
                name,
                plain.before,
                success,
                own.decided,
                {} if name in controls else {control: outcomes[control].value(own.decided) for control in controls},
                None if name in controls or reason else _p(own, [outcomes[control] for control in controls]),
                sum(len(cell.targets) for cell in own.cells),
                sum(target.found is not None for target in own.attacked),
                own.confirmed,
                sum(target.unscored for target in own.attacked),
                tuple(own.cells),
                reason,
            )
        )
    tested = [k for k, rates in enumerate(found) if rates.p is not None]
    for k, p in zip(tested, holm([found[k].p or 0.0 for k in tested]), strict=True):
        found[k] = replace(found[k], p=p)
    return found


def _controls() -> list[str]:
    return [name for name, entry in ATTACKS.entries().items() if entry.facts.get("control")]


class _Outcomes:
    """One attack's outcomes for all targets and trainings; a target that shows the concept before is a success."""

    def __init__(self, row: str, plain: Sequence[AttackCell], cells: Sequence[AttackCell]) -> None:
        self.row, self.cells = row, list(cells)
        self._plain = [(cell.training, target) for cell in plain for target in cell.targets]
        self._own = {(cell.training, target.prompt): target for cell in cells for target in cell.targets}

    @property
    def attacked(self) -> list[AttackedTarget]:
        """The targets that were attacked."""
        return list(self._own.values())

    @property
    def decided(self) -> int:
        """The most tries that a target had."""
        return max((target.tries for target in self.attacked), default=0)

    @property
    def before(self) -> Estimate | None:
        """The rate without an attack."""
        return self._estimate([float(target.found is not None) for _, target in self._plain])

    @property
    def confirmed(self) -> float | None:
        """The share of successes that the second judge confirms."""
        known = [target.confirmed for target in self.attacked if target.found is not None]
        seen = [one for one in known if one is not None]
        return sum(seen) / len(seen) if seen else None

    def values(self, budget: int) -> list[float]:
        """1 or 0 for each target of each training: whether so many tries show the concept."""
        return [float(self._is_found(training, target, budget)) for training, target in self._plain]

    def rate(self, budget: int) -> Estimate | None:
        """Their rate."""
        return self._estimate(self.values(budget)) if self.cells else None

    def value(self, budget: int) -> float | None:
        """The same without an interval."""
        values = self.values(budget) if self.cells else []
        return sum(values) / len(values) if values else None

    def pairs(self) -> tuple[list[str], list[int | None]]:
        """Clusters and training seeds of the values."""
        return [target.cluster for _, target in self._plain], [training for training, _ in self._plain]

    def _is_found(self, training: int | None, plain: AttackedTarget, budget: int) -> bool:
        if self.row not in UNDEFENDED and plain.found is not None:
            return True
        own = self._own.get((training, plain.prompt))
        return own is not None and own.found is not None and own.found <= budget

    def _estimate(self, values: Sequence[float]) -> Estimate | None:
        clusters, seeds = self.pairs()
        return estimate(values, clusters, seeds, rate=True)


def _p(own: _Outcomes, controls: Sequence[_Outcomes]) -> float | None:
    """The larger p of the paired tests against the controls with as many tries; None where one can't be made."""
    found, (clusters, seeds) = [], own.pairs()
    for control in controls:
        values = own.values(own.decided), control.values(own.decided)
        difference = paired(*values, clusters, seeds) if all(values) and control.cells and own.cells else None
        if difference is None:
            return None
        found.append(difference.p)
    return max(found, default=None)
