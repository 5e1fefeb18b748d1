"""Stars from VizieR where this site's catalogues have none, if it may ask the internet.

What comes is kept: it becomes part of a catalogue of its own beside the one that was loaded, named
after it, and the same sky is never asked for twice. Nothing here fails: what could not be had is
said, and work goes on with the catalogues there are.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from app import paths
from app.errors import AppError, InvalidRequestError
from app.services import placing, refcats, settings, vizier
from reduction.errors import ReductionError
from reduction.refcat.errors import NotCoveredError
from reduction.refcat.geometry import separations_deg
from reduction.refcat.known import STDWEB
from reduction.refcat.load import Loading, load
from reduction.refcat.regions import Cone
from reduction.refcat.systems import usual_system
from reduction.refcat.vizier import LARGEST_DEG, TABLES, Answer, Table, depth_of

Say = Callable[[str], None]
Fill = Callable[[float, float, float], None]  # with a cone: right ascension, declination, radius

ONLINE: Final = "catalogues.online"
PAD, LEAST_PAD_DEG = 1.2, 0.05  # asked for around a cone: the next frame is a little beside
MOST_A_FILLER: Final = 4
WHOLE: Final = 0.999  # of a cone: the rest is the rounding of cells
REST_S: Final = 600.0  # a server that is away is not asked again for so long
FORGET_S: Final = 86_400.0  # an answer without stars is believed for so long
_ASKED: Final = "asked.json"
_AWAY: Final = ".online-away"
_ROOM: Final = ".fetched"
# Of a frame whose catalogue nobody names: with proper motions, over the whole sky, in all of griz.
_FIRST: Final = "atlas"
_OF_PLACES: Final = "gaiaedr3"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A cone VizieR was asked for: how deep, when, and how many stars came."""

    ra_deg: float
    dec_deg: float
    radius_deg: float
    depth_mag: float
    when_s: float
    n_stars: int

    def holds(self, cone: Cone, depth_mag: float) -> bool:
        """Tell whether a cone needs not be asked for again."""
        if self.n_stars == 0 and time.time() - self.when_s > FORGET_S:
            return False
        at = np.array([cone.ra_deg]), np.array([cone.dec_deg])
        apart = float(separations_deg(*at, self.ra_deg, self.dec_deg)[0])
        return depth_mag <= self.depth_mag and apart + cone.radius_deg <= self.radius_deg


def is_on() -> bool:
    """Tell whether this site lets the program ask VizieR."""
    return settings.snapshot().flag(ONLINE)


def can_have(name: str) -> bool:
    """Tell whether a catalogue that is not loaded would be asked for."""
    with suppress(AppError):
        return is_on() and refcats.stored_name(name) in TABLES
    return False


@dataclass(slots=True)
class Filler:
    """Brings the stars around places: of a named catalogue, else of one that fits a band.

    It does nothing where the site does not ask the internet, and asks a few times only: who looks
    for an image all over the sky would ask for all of it. `say` is told what came, and why not.
    """

    band: str | None
    say: Say
    name: str | None = None
    n_left: int = MOST_A_FILLER

    def __call__(self, ra_deg: float, dec_deg: float, radius_deg: float) -> None:
        """Bring the stars of a cone, degrees, if no catalogue here has them."""
        if not self.n_left or not is_on():
            return
        cone = Cone(ra_deg % 360.0, dec_deg, radius_deg)
        with suppress(InvalidRequestError):  # a name that is none: who asks the catalogue is told
            wanted = refcats.stored_name(self.name) if self.name else _fitting(self.band, cone)
            if wanted in TABLES and not _is_covered(wanted, cone):
                self.n_left -= 1
                self._bring(wanted, cone)

    def _bring(self, name: str, cone: Cone) -> None:
        try:
            self.say(fetch(name, cone))
        except (AppError, ReductionError, OSError) as error:
            self.say(f"Stars of {name} could not be fetched: {error}")


def fetch(name: str, cone: Cone) -> str:
    """Bring a catalogue's stars of a cone, unless VizieR gave them before; say what came.

    Raises
    ------
    NotFoundError
        If VizieR has no such catalogue.
    InvalidRequestError
        If the cone is too large, or out of a survey's reach.
    UnavailableError
        If VizieR does not answer, or there is nothing to ask it with.
    """
    table = vizier.table_of(name)
    if not table.reaches(cone):
        raise InvalidRequestError(
            f"it reaches from declination {table.south_deg:+.0f} to {table.north_deg:+.0f} only"
        )
    if cone.radius_deg > LARGEST_DEG:
        raise InvalidRequestError(
            f"a circle of {cone.radius_deg:.1f} degrees is too large, {LARGEST_DEG:g} is the most: "
            "load the catalogue (flask refcat load)"
        )
    wait_s = 2 * settings.snapshot().number(vizier.WAIT)
    with refcats.alone(name + refcats.FETCHED, wait_s=wait_s):
        return _fetched(name, table, cone)


def _fetched(name: str, table: Table, cone: Cone) -> str:
    """Ask, with the catalogue locked: whoever waited for another finds what that one brought."""
    depth = depth_of(cone.radius_deg)
    folder = refcats.folder_of(name + refcats.FETCHED)
    asked = _asked(folder)
    known = next((one for one in asked if one.holds(cone, depth)), None)
    if known is not None:
        return _told(name, table, known, "VizieR was asked before and gave")
    _check_is_there()
    wide = Cone(cone.ra_deg, cone.dec_deg, PAD * cone.radius_deg + LEAST_PAD_DEG)
    folder.mkdir(parents=True, exist_ok=True)
    room = folder / _ROOM  # what a killed one left there goes first
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir()
    try:
        path = room / f"{table.name.replace('/', '_')} {wide.ra_deg:.4f}{wide.dec_deg:+.4f}.vot"
        answer = _answered(table, wide, depth, path)
        if answer.n_rows:
            _keep(name, table, wide, path)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    new = _Asked(wide.ra_deg, wide.dec_deg, wide.radius_deg, depth, time.time(), answer.n_rows)
    _note(folder, [*(one for one in asked if not _is_old(one)), new])
    return _told(name, table, new, "VizieR gave")


def _answered(table: Table, cone: Cone, depth: float, path: Path) -> Answer:
    """Have VizieR's answer in a file; a server that is away is left alone for a while."""
    try:
        return vizier.ask(table, cone, depth, path)
    except vizier.AwayError as error:
        _write(_away(), str(error))
        raise


def _check_is_there() -> None:
    try:
        since, why = _away().stat().st_mtime, _away().read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    until = since + REST_S
    if time.time() < until:
        at = datetime.fromtimestamp(until, UTC)
        raise vizier.AwayError(f"{why}; it is not asked again before {at:%H:%M} UTC")


def _keep(name: str, table: Table, cone: Cone, path: Path) -> None:
    """Make an answer part of what was fetched of a catalogue before."""
    stored = name + refcats.FETCHED
    kept = refcats.open_catalogue(stored) if refcats.facts(stored) else None
    preset, title = table.preset, f"{table.preset.title}, fetched"
    what = Loading(stored, title, preset.epoch, table.column_map, table.covered(path, cone))
    load(refcats.folder_of(stored), [path], what, lambda _stage, _done: None, kept=kept)


def _told(name: str, table: Table, asked: _Asked, how: str) -> str:
    where = f"within {asked.radius_deg:.2f} degrees of {asked.ra_deg:.4f} {asked.dec_deg:+.4f}"
    if asked.n_stars:
        return f"{how} {asked.n_stars:,} stars of {name} {where}"
    why = "" if table.is_whole else ": that survey does not cover it"
    return f"{how} no stars of {name} {where}{why}"


def _asked(folder: Path) -> Sequence[_Asked]:
    try:
        return [_Asked(**one) for one in json.loads((folder / _ASKED).read_text("utf-8"))]
    except (FileNotFoundError, ValueError, TypeError):
        return ()


def _note(folder: Path, asked: Sequence[_Asked]) -> None:
    _write(folder / _ASKED, json.dumps([asdict(one) for one in asked]))


def _is_old(one: _Asked) -> bool:
    return one.n_stars == 0 and time.time() - one.when_s > FORGET_S


def suggested(band: str, place: tuple[float, float] | None) -> str | None:
    """Return the catalogue that would be asked for a band; None where this site asks none."""
    return _of_band(band, None if place is None else Cone(*place, 0.0)) if is_on() else None


def _fitting(band: str | None, cone: Cone) -> str:
    """Return the catalogue to ask for where nobody names one, empty where one here covers it."""
    able = refcats.leading_to(band, usual_system(band)) if band else refcats.catalogues()
    if any(_is_covered(meta.name, cone) for meta in able):
        return ""
    return (_of_band(band, cone) if band else None) or _OF_PLACES


def _of_band(band: str, cone: Cone | None) -> str | None:
    fitting = [known.name for known in STDWEB if band in known.filters and known.name in TABLES]
    fitting.sort(key=lambda name: name != _FIRST)
    reaching = (one for one in fitting if cone is None or TABLES[one].reaches(cone))
    return next(reaching, None)


def _is_covered(name: str, cone: Cone) -> bool:
    """Tell whether what was loaded as a catalogue covers a cone; what was fetched does not count.

    How deep that goes is known from what was asked, not from its map.
    """
    if name.endswith(refcats.FETCHED):
        return False
    try:
        catalogue = refcats.open_catalogue(name)
        found = catalogue.cone(cone.ra_deg, cone.dec_deg, cone.radius_deg, bands=())
    except (AppError, NotCoveredError):
        return False
    return found.coverage >= WHOLE


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(text, encoding="utf-8")
    placing.replace(aside, path)


def _away() -> Path:
    return paths.current().catalogues / _AWAY
