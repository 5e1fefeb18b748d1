"""Stars from VizieR where this site's catalogues have none, if it may ask the internet.

What comes is kept: it becomes part of a catalogue of its own beside the one that was loaded, named
after it, and the same sky is never asked for twice. Nothing here fails: what could not be had is
said, and work goes on with the catalogues there are.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from app import paths
from app.errors import AppError, InvalidRequestError
from app.services import placing, refcats, settings, vizier
from app.services.catalogue_choice import is_on
from app.services.staging import MEGABYTE
from reduction import wholefiles
from reduction.errors import ReductionError
from reduction.refcat.errors import BadCatalogueError, NotCoveredError
from reduction.refcat.geometry import separations_deg
from reduction.refcat.known import STDWEB
from reduction.refcat.load import Loading, load
from reduction.refcat.regions import Cone
from reduction.refcat.store import Catalogue
from reduction.refcat.systems import usual_system
from reduction.refcat.vizier import LARGEST_DEG, TABLES, Table, depth_of
from reduction.refcat.vizieranswers import covered

Say = Callable[[str], None]

PAD, LEAST_PAD_DEG = 1.2, 0.05  # asked for around a cone: the next frame is a little beside
MOST_A_FILLER: Final = 4
WHOLE: Final = 0.999  # of a cone: the rest is the rounding of cells
REST_S: Final = 600.0  # a server that is away, or a table it cannot give, is left alone for so long
FORGET_S: Final = 86_400.0  # an answer without stars is believed for so long
MOST_STARS: Final = 20_000_000  # of a fetched catalogue: each answer has it written anew, whole
MERGE_WAIT_S: Final = 600.0  # for others who add to the same catalogue: seconds each
ABANDONED_S: Final = 3600.0  # longer than a question and that wait: what is older was left behind
_ASKED: Final = ".asked.json"  # hidden: without stars beside it there is no catalogue
_AWAY: Final = ".online-away"
_ROOM: Final = ".fetched-"
_BEFORE: Final = "VizieR was asked before and gave"
# What astroquery and readers of tables raise at an answer that is none.
_NONSENSE: Final = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError),
    *(RecursionError, AssertionError),
)
# Of a frame whose catalogue nobody names: with proper motions, over the whole sky, in all of griz.
_FIRST: Final = "atlas"
_OF_PLACES: Final = "gaiaedr3"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A cone VizieR was asked for: how deep, how deep it went, when, and how many stars came."""

    ra_deg: float
    dec_deg: float
    radius_deg: float
    depth_mag: float
    reached_mag: float
    when_s: float
    n_stars: int

    @classmethod
    def of(cls, said: dict[str, Any]) -> "_Asked":
        """Return what a file says of a question; raise where it is damaged."""
        numbers: dict[str, Any] = {name: float(value) for name, value in said.items()}
        return cls(**numbers | {"n_stars": int(numbers["n_stars"])})

    @property
    def is_bright_only(self) -> bool:
        """Whether there were too many stars to have all that were asked for."""
        return self.reached_mag < self.depth_mag

    def holds(self, cone: Cone, depth_mag: float) -> bool:
        """Tell whether a cone needs not be asked for again."""
        if self.n_stars == 0 and time.time() - self.when_s > FORGET_S:
            return False
        # A part of a crowded sky can be had deeper than the whole.
        if self.is_bright_only and cone.radius_deg < (self.radius_deg - LEAST_PAD_DEG) / PAD / 2:
            return False
        at = np.array([cone.ra_deg]), np.array([cone.dec_deg])
        apart = float(separations_deg(*at, self.ra_deg, self.dec_deg)[0])
        return depth_mag <= self.depth_mag and apart + cone.radius_deg <= self.radius_deg


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
        If the cone is too large, or out of a survey's reach, or too much was fetched already.
    UnavailableError
        If VizieR does not answer, or there is nothing to ask it with, or no room.
    BadCatalogueError
        If what it answers cannot be used.
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
    known = _known(name, cone)
    if known is not None:
        return _told(name, table, known, _BEFORE)
    _check_is_there(name)
    with _trouble_noted(name):
        return _fetched(name, table, cone)


def _fetched(name: str, table: Table, cone: Cone) -> str:
    """Ask, and add what came; only to add it needs the catalogue locked, for a moment."""
    stored = name + refcats.FETCHED
    _kept(stored)  # what is damaged is said before anybody is asked
    _check_room(stored)
    wide = Cone(cone.ra_deg, cone.dec_deg, PAD * cone.radius_deg + LEAST_PAD_DEG)
    with _room() as room:
        path = room / f"{table.name.replace('/', '_')} {wide.ra_deg:.4f}{wide.dec_deg:+.4f}.vot"
        depth = depth_of(cone.radius_deg)
        given = vizier.ask(table, wide, depth, path)
        at = wide.ra_deg, wide.dec_deg, wide.radius_deg
        new = _Asked(*at, depth, given.depth_mag, time.time(), given.n_rows)
        with refcats.alone(stored, wait_s=MERGE_WAIT_S):
            known = _known(name, cone)
            if known is not None:  # another fetched the same sky meanwhile
                return _told(name, table, known, _BEFORE)
            _add(stored, table, new, path)
    return _told(name, table, new, "VizieR gave")


def _add(stored: str, table: Table, new: _Asked, path: Path) -> None:
    """Make an answer part of what was fetched of a catalogue before."""
    if new.n_stars:
        _check_room(stored, path, new.n_stars)
        cone = Cone(new.ra_deg, new.dec_deg, new.radius_deg)
        preset, title = table.preset, f"{table.preset.title}, fetched"
        what = Loading(stored, title, preset.epoch, table.column_map, covered(table, path, cone))
        folder, kept = refcats.folder_of(stored), _kept(stored)
        load(folder, [path], what, lambda _stage, _done: None, kept=kept)
    _note(stored, new)


@contextmanager
def _room() -> Iterator[Path]:
    """Give a folder for an answer; what killed ones left there goes first."""
    root = _root()
    root.mkdir(parents=True, exist_ok=True)
    for left in root.glob(f"{_ROOM}*"):
        with suppress(FileNotFoundError):
            if left.stat().st_mtime < time.time() - ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_ROOM, dir=root) as room:
        yield Path(room)


@contextmanager
def _trouble_noted(name: str) -> Iterator[None]:
    """Have a server that is away, or a table whose answers cannot be used, left alone a while."""
    try:
        yield
    except vizier.AwayError as error:
        _write(_trouble(), str(error))
        raise
    except BadCatalogueError as error:
        _write(_trouble(name), str(error))
        raise
    except _NONSENSE as error:
        why = f"what VizieR answered cannot be used ({type(error).__name__}: {error})"[:300]
        _write(_trouble(name), why)
        raise BadCatalogueError(why) from error


def _check_is_there(name: str) -> None:
    """Refuse to ask a server, or for a table, that was in trouble a few minutes ago."""
    for path in (_trouble(), _trouble(name)):
        try:
            since, why = path.stat().st_mtime, path.read_text("utf-8", errors="replace")
        except FileNotFoundError:
            continue
        if 0.0 <= time.time() - since < REST_S:
            at = datetime.fromtimestamp(since + REST_S, UTC)
            raise vizier.AwayError(f"{why}; it is not asked again before {at:%H:%M} UTC")


def _check_room(stored: str, answer: Path | None = None, n_rows: int = 0) -> None:
    """Refuse to add to what was fetched where that would be too much, or fill the disk."""
    facts = refcats.facts(stored)
    has = facts.rows if facts else 0
    if has + max(n_rows, 1) > MOST_STARS:
        raise InvalidRequestError(
            f"{has:,} of its stars were fetched already, and {MOST_STARS:,} are the most that are "
            "kept: load the catalogue itself (flask refcat load), or begin anew "
            f"(flask refcat drop {stored})"
        )
    folder = refcats.folder_of(stored)
    there = [*folder.rglob("*"), *([answer] if answer else [])]
    # Written whole beside the old one, and once more on the way there.
    n_bytes = 2 * sum(path.stat().st_size for path in there if path.is_file())
    reserve_bytes = settings.snapshot().integer("disk.reserve_mb") * MEGABYTE
    placing.check_room(folder, n_bytes, reserve_bytes)


def _kept(stored: str) -> Catalogue | None:
    return refcats.open_catalogue(stored) if refcats.facts(stored) else None


def _told(name: str, table: Table, asked: _Asked, how: str) -> str:
    where = f"within {asked.radius_deg:.2f} degrees of {asked.ra_deg:.4f} {asked.dec_deg:+.4f}"
    to = f", to mag {asked.reached_mag:g}," if asked.is_bright_only else ""
    if asked.n_stars:
        which = f"the {asked.n_stars:,} brightest" if to else f"{asked.n_stars:,}"
        return f"{how} {which} stars of {name}{to} {where}"
    why = "" if table.is_whole else ": that survey does not cover it"
    return f"{how} no stars of {name}{to} {where}{why}"


def _known(name: str, cone: Cone) -> _Asked | None:
    """Return the question that had the stars of a cone before."""
    depth = depth_of(cone.radius_deg)
    asked = _asked(refcats.folder_of(name + refcats.FETCHED))
    return next((one for one in asked if one.holds(cone, depth)), None)


def _asked(folder: Path) -> Sequence[_Asked]:
    """Return what was asked for before; of a damaged file, nothing."""
    try:
        return [_Asked.of(one) for one in json.loads((folder / _ASKED).read_text("utf-8"))]
    except (OSError, *_NONSENSE):
        return ()


def _note(stored: str, new: _Asked) -> None:
    folder = refcats.folder_of(stored)
    folder.mkdir(parents=True, exist_ok=True)
    asked = [*(one for one in _asked(folder) if not _is_old(one)), new]
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
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text.encode("utf-8", errors="replace")
    wholefiles.stage(path, [memoryview(content)], size=len(content)).put()


def _trouble(name: str = "") -> Path:
    """Return where a server's trouble is noted, or that of a table of it."""
    return _root() / (f"{_AWAY}-{name}" if name else _AWAY)


def _root() -> Path:
    return paths.current().catalogues
