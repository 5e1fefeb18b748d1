"""``flask refcat``: the reference catalogues of this site."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from flask.cli import AppGroup

from app.errors import AppError
from app.wording import counted
from reduction.errors import ReductionError
from reduction.refcat.known import PRESETS
from reduction.refcat.meta import Meta

if TYPE_CHECKING:
    from reduction.refcat.regions import Cone
    from reduction.refcat.store import Catalogue

refcat = AppGroup("refcat", help="Reference catalogues of stars.")
_TELL_EVERY_S: Final = 2.0
_WHOLE_SKY: Final = 41252.96  # square degrees
_PRESETS: Final = "; ".join(f"{preset.name}: {preset.title}" for preset in PRESETS.values())


@contextmanager
def _refusals() -> Iterator[None]:
    """Say in a line what was refused, instead of with a traceback."""
    try:
        yield
    except (AppError, ReductionError) as error:
        raise click.ClickException(str(error)) from error


class _Teller:
    """Tells how far a load has come: a line that changes at a terminal, one now and then else."""

    def __init__(self) -> None:
        self._next, self._is_terminal = 0.0, sys.stderr.isatty()

    def __call__(self, stage: str, done: float) -> None:
        now = time.monotonic()
        if now < self._next and done < 1.0:
            return
        self._next = now + (0.2 if self._is_terminal else _TELL_EVERY_S)
        click.echo(f"{stage}: {done:.0%}", err=True, nl=not self._is_terminal)
        if self._is_terminal:
            click.echo("\r", err=True, nl=done >= 1.0)


@refcat.command("load", epilog=f"Presets: {_PRESETS}.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Its name: gaiaedr3, ps1, atlas, ... or your own.")
@click.option("--columns", default="", help="ra=RAJ2000,dec=DEJ2000,V=Vmag,V_err=e_Vmag,...")
@click.option("--preset", default="", help="The columns of a well-known download; see below.")
@click.option("--system", default="", help="Of the magnitudes: SDSS, or V=Johnson,g=SDSS.")
@click.option("--units", default="", help="Where not degrees, mas/yr and magnitudes: ra=hour.")
@click.option("--epoch", type=float, help="Julian year of the positions (2000, or the preset's).")
@click.option("--covers", multiple=True, help="The sky it has: sky, dec>-30, RA,DEC,RADIUS.")
@click.option("--title", default="", help="What it is, for people.")
def load(files: tuple[Path, ...], name: str, **said: str) -> None:
    """Make a catalogue of FILES: CSV, FITS tables, VOTables or Parquet.

    It takes the place of one of the same name at once and whole; nobody who reads it notices.
    """
    # Imported here and below: other starts of the program do without the readers of catalogues.
    from app.services import refcats

    with _refusals():
        request = refcats.Request(name, files, **said)  # type: ignore[arg-type]
        meta = refcats.load_files(request, _Teller())
    for sentence in meta.left_out:
        click.echo(f"left out: {sentence}")
    click.echo(_summary(meta))


@refcat.command("quads")
@click.argument("names", nargs=-1)
def quads(names: tuple[str, ...]) -> None:
    """Make the quads of catalogues anew; of all of them where none is named.

    By its quads a frame is recognised that does not say where it points. A load makes them by
    itself; catalogues loaded by an earlier version have none.
    """
    from app.services import refcats

    with _refusals():
        for name in names or [meta.name for meta in refcats.catalogues()]:
            made = refcats.make_quads(name)
            click.echo(f"{name}: quads of {made.stat().st_size / 1e6:.1f} MB")


@refcat.command("list")
def list_catalogues() -> None:
    """Show the catalogues that are loaded."""
    from app.services import refcats

    metas = refcats.catalogues()
    for meta in metas:
        click.echo(_summary(meta))
    if not metas:
        click.echo("no catalogue is loaded")


@refcat.command("check")
@click.argument("names", nargs=-1)
def check(names: tuple[str, ...]) -> None:
    """Read catalogues whole and tell whether they are what was loaded; all if none is named.

    For after a disk has failed: a changed byte is a star at a wrong place. It ends with an error
    where one is damaged.
    """
    from app.services import refcats

    damaged: list[str] = []
    with _refusals():
        for name in [refcats.stored_name(name) for name in names] or refcats.folders():
            wrong = refcats.damage(name)
            click.echo(f"{name}: {'damaged: ' + ', '.join(wrong) if wrong else 'whole'}")
            damaged += [name] if wrong else []
    if damaged:
        said = counted(len(damaged), "catalogue is", "catalogues are")
        raise click.ClickException(f"{said} damaged: {', '.join(damaged)}")


@refcat.command("drop")
@click.argument("name")
def drop(name: str) -> None:
    """Remove the catalogue NAME."""
    from app.services import refcats

    with _refusals():
        refcats.drop(name)
    click.echo(f"{name} is gone")


@refcat.command("fetch")
@click.argument("name")
@click.option("--at", "place", required=True, help="RA,DEC,RADIUS in degrees.")
def fetch(name: str, place: str) -> None:
    """Bring the stars of the catalogue NAME around a place from VizieR, for a night without it.

    They are kept beside what is loaded. It needs astroquery; catalogues.online may be off.
    """
    from app.services import online_catalogues, refcats

    with _refusals():
        click.echo(online_catalogues.fetch(refcats.stored_name(name), _cone_of(place)))


@refcat.command("coverage")
@click.argument("name")
@click.option("--at", "place", help="RA,DEC,RADIUS in degrees: how much of that is loaded?")
def coverage(name: str, place: str | None) -> None:
    """Tell which sky the catalogue NAME is loaded for."""
    from app.services import refcats

    with _refusals():
        catalogue = refcats.open_catalogue(name)
        if place:
            click.echo(_told_at(catalogue, place))
            return
    how = "as declared" if catalogue.coverage.is_declared else "as its stars show"
    area = catalogue.coverage.square_degrees
    share = f", {area / _WHOLE_SKY:.1%} of the sky" if area > _WHOLE_SKY / 1000 else ""
    click.echo(f"{name}: {_area(area)}{share}, {how}")


def _told_at(catalogue: "Catalogue", place: str) -> str:
    from reduction.refcat.errors import NotCoveredError

    try:
        stars = catalogue.search(_cone_of(place), bands=())
    except NotCoveredError as error:
        return str(error)
    return f"{stars.coverage:.0%} of it is loaded, with {counted(len(stars), 'star')}"


def _cone_of(place: str) -> "Cone":
    from reduction.refcat.regions import Cone

    try:
        return Cone(*(float(number) for number in place.split(",")))
    except (TypeError, ValueError) as error:
        raise click.ClickException("--at takes RA,DEC,RADIUS in degrees") from error


def _area(square_degrees: float) -> str:
    return f"{square_degrees:.{0 if square_degrees > 10 else 3}f} square degrees"


def _summary(meta: Meta) -> str:
    bands = ", ".join(f"{band.name} ({band.system})" for band in meta.bands)
    motion = " with proper motions" if meta.has_motions else ""
    return (
        f"{meta.name}: {meta.title}; {meta.rows:,} stars, epoch {meta.epoch:g}{motion}; {bands}; "
        f"loaded {meta.built_utc[:10]} from {', '.join(source.file for source in meta.sources)}"
    )
