"""A run on the hub: a repository for each erased model, and one for the run's numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import BenchError, unknown
from ..models.catalog import LICENCES
from ..report.formats import markdown
from ..report.leaderboard import leaderboard, sheet
from ..report.web.entry import entry_of, write_entry
from ..report.web.opened import OpenRun
from ..report.web.pictures import is_blurred, pictures_of
from ..runs.rows import ORIGINAL, resolve_row
from ..storage.files import read_json, write_text
from .card import hub_results, model_card, named, scores_card
from .export import export_pipeline
from .hub_upload import check_repository, send
from .image_tables import write_image_tables

EVERY_SAFE = "all"


@dataclass(frozen=True)
class Parcel:
    """One repository: what kind the hub calls it, its name, and what fills its folder."""

    kind: str
    repository: str
    fill: Callable[[Path], None]


@dataclass(frozen=True)
class Request:
    """What is to be published, all of it checked.

    Attributes:
        run: a complete run.
        to: the repository of its numbers; a model's has its row's name behind it.
        rows: whose weights.
        seed: which training's weights; the first's where None.
        licence: by the hub's name.
        sets: prompt sets whose images are sent.
    """

    run: OpenRun
    to: str
    rows: tuple[str, ...]
    seed: int | None
    licence: str
    sets: tuple[str, ...]

    def model_repository(self, row: str) -> str:
        """Where a row's model goes."""
        return f"{self.to}-{row}"


def requested(
    run: OpenRun,
    to: str,
    rows: Sequence[str] | None = None,
    seed: int | None = None,
    licence: str | None = None,
    images: Sequence[str] = (),
) -> Request:
    """What to publish; nothing is written or sent.

    Args:
        run: which run.
        to: OWNER/NAME on the hub.
        rows: methods and variants; None for all that were trained here, not weights that somebody else made.
        seed: which training's weights.
        licence: of the base's weights, by the hub's name; known for models of the catalogue.
        images: prompt sets whose images are sent; "all" for those that can't be unsafe.

    Raises:
        BenchError: the run is not complete, or something asked for is not there or not allowed.
    """
    if run.status != "complete":
        raise BenchError(
            f"{run.folder.root} is {run.status}: only a complete run is published. `bench run` completes it."
        )
    mine = [row for row, variant in run.plan.rows.items() if variant.path is None and not _guides(run, row)]
    chosen = tuple(dict.fromkeys(resolve_row(row, list(run.plan.rows)) for row in (mine if rows is None else rows)))
    if not chosen:
        raise BenchError(f"{run.folder.root} has no row that was trained here. Name weights by --methods.")
    for row in chosen:
        run.record.training_of(row, seed)
        if _guides(run, row):
            raise BenchError(
                f"--methods {row}: it changes how images are sampled, which no weights show: nothing to publish."
            )
    licence = licence or LICENCES.get(run.plan.model)
    if licence is None:
        raise BenchError(
            f"--license: erased weights keep the licence of {named(run.plan)}, and nobody here knows it. Look at the "
            "model's page and give the hub's name of it, such as --license creativeml-openrail-m."
        )
    request = Request(run, to, chosen, seed, licence, _sets(run, images))
    for repository in (to, *(request.model_repository(row) for row in chosen)):
        check_repository(repository)
    return request


def _guides(run: OpenRun, row: str) -> bool:
    """Whether a row changes how images are sampled, which no weights show."""
    if run.plan.rows[row].guide is not None:
        return True
    facts = read_json(run.folder.erasure(row, run.record.training_of(row)))
    return bool((facts or {}).get("guides"))


def held_back(request: Request) -> list[str]:
    """Prompt sets whose images may be unsafe and were not asked for by name."""
    return [role for role in request.run.plan.prompts if is_blurred(request.run, role) and role not in request.sets]


def _sets(run: OpenRun, images: Sequence[str]) -> tuple[str, ...]:
    roles = list(run.plan.prompts)
    for name in images:
        if name not in (*roles, EVERY_SAFE):
            raise unknown("prompt set", name, [*roles, EVERY_SAFE], "bench publish --help")
    drawn = [one.role for one in pictures_of(run)] if images else []
    if missing := [name for name in images if name not in (*drawn, EVERY_SAFE)]:
        raise BenchError(f"--images {missing[0]}: the run keeps no images of this set. Leave it out.")
    return tuple(role for role in drawn if role in images or (EVERY_SAFE in images and not is_blurred(run, role)))


def parcels(request: Request) -> Iterator[Parcel]:
    """The models' repositories and the scores', in the order in which they are sent."""
    for row in request.rows:
        yield Parcel("model", request.model_repository(row), lambda folder, row=row: _fill_model(request, row, folder))  # type: ignore[misc]
    yield Parcel("dataset", request.to, lambda folder: _fill_scores(request, folder))


def _fill_model(request: Request, row: str, folder: Path) -> None:
    model = export_pipeline(request.run.folder, row, folder, request.seed)
    write_text(folder / "README.md", model_card(model, request.licence, request.model_repository(row), request.to))
    write_text(folder / ".eval_results" / "erasebench.yaml", hub_results(model, request.to))


def _fill_scores(request: Request, folder: Path) -> None:
    run = request.run
    write_entry(entry_of(run), folder / "entry.json")
    unsafe = any(is_blurred(run, role) for role in request.sets)
    models = [request.model_repository(row) for row in request.rows]
    table = sheet(run.tabled, leaderboard(run.tabled, run.plan, run.record), run.plan, run.record)
    write_text(folder / "README.md", scores_card(run.plan, markdown(table), models, request.sets, unsafe))
    for one in pictures_of(run) if request.sets else []:
        if one.role in request.sets:
            sent = tuple(row for row in one.rows if row.key in (ORIGINAL, *request.rows))
            write_image_tables(replace(one, rows=sent), folder / "images" / one.role)


def write_parcels(request: Request, to: Path) -> list[Path]:
    """Write what would be sent below a new folder: models/OWNER/NAME-ROW and datasets/OWNER/NAME.

    Raises:
        BenchError: the folder is there already and not empty.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise BenchError(f"--folder {to} is there already and no empty folder; nothing was written. Choose a new one.")
    written = []
    for parcel in parcels(request):
        folder = to / f"{parcel.kind}s" / parcel.repository
        folder.mkdir(parents=True)
        parcel.fill(folder)
        written.append(folder)
    return written


def publish(request: Request, public: bool, told: Callable[[str], None]) -> None:
    """Send it, one repository after the other, each through a folder that is gone afterwards.

    Raises:
        BenchError: there is no token, no network, or the hub refuses; says what has arrived.
    """
    arrived: list[str] = []
    for parcel in parcels(request):
        with TemporaryDirectory(prefix=".publish-", dir=request.run.folder.root) as place:
            parcel.fill(Path(place))
            try:
                told(send(Path(place), parcel.repository, parcel.kind, public, request.run.name))
            except BenchError as error:
                done = f" Sent already: {', '.join(arrived)}; the same command sends the rest." if arrived else ""
                raise BenchError(f"{error}{done}") from None
        arrived.append(parcel.repository)
