"""The reference catalogues of this site: loaded, listed, dropped, opened for reading."""

import fcntl
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app import paths
from app.errors import AppError, ConflictError, InvalidRequestError, NotFoundError, UnavailableError
from reduction.refcat.ask import column_map, coverage_of, pairs_of, preset_of
from reduction.refcat.colours import reachable
from reduction.refcat.errors import BadCatalogueError, NotCoveredError
from reduction.refcat.known import BHTOM, KNOWN, bhtom_bands, bhtom_survey
from reduction.refcat.meta import Meta, read_meta
from reduction.refcat.stars import Stars
from reduction.refcat.store import Catalogue, newest_generation
from reduction.refcat.systems import System

if TYPE_CHECKING:
    from reduction.astrometry.quads import QuadTables
    from reduction.refcat.load import Loading

Progress = Callable[[str, float], None]

DEFAULT_EPOCH: Final = 2000.0
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_LOCK: Final = ".lock"
_DROPPED: Final = ".dropped-"
_POLL_S: Final = 0.2
FETCHED: Final = "-online"  # behind a catalogue's name: its stars that were fetched for gaps in it
_WHOLE: Final = 0.999  # of what is asked for: the rest is the rounding of cells
QUADS: Final = "quads"  # the last stage of a load
_OPEN: Final = 16  # catalogues kept open by a process


@dataclass(frozen=True, slots=True)
class Request:
    """What a keeper asks to be loaded, as they write it; empty means the preset's or the usual.

    `covers` are pieces of sky; `epoch` a Julian year; see `reduction.refcat.ask`.
    """

    name: str
    files: Sequence[Path]
    columns: str = ""
    preset: str = ""
    system: str = ""
    units: str = ""
    covers: Sequence[str] = field(default_factory=tuple)
    epoch: float | None = None
    title: str = ""


def load_files(request: Request, progress: Progress = lambda _stage, _done: None) -> Meta:
    """Load files as a catalogue, in place of one of the same name; readers notice nothing.

    Raises
    ------
    InvalidRequestError
        If the files or what is said of them cannot be used; the old catalogue stays.
    ConflictError
        If it is being loaded already.
    UnavailableError
        If the disk cannot take it.
    """
    # Imported here: who only asks for stars does without the readers of files.
    from reduction.refcat.load import load

    name = stored_name(request.name)
    if name.endswith(FETCHED):
        raise InvalidRequestError(
            f"a name that ends in {FETCHED} is kept for stars that are fetched from VizieR: "
            f"take another, such as {name.removesuffix(FETCHED) or 'mine'}"
        )
    try:
        what = _understood(name, request)
        with alone(name):
            meta = load(folder_of(name), request.files, what, progress)
            progress(QUADS, 0.0)
            _make_quads(Catalogue.newest(folder_of(name)))
            progress(QUADS, 1.0)
            return meta
    except BadCatalogueError as error:
        raise InvalidRequestError(str(error)) from error
    except OSError as error:
        why = error.strerror or error
        raise UnavailableError(f"The catalogue {name} could not be made: {why}.") from error


def make_quads(name: str) -> Path:
    """Make the quads anew by which frames without a pointing are recognised; others go on reading.

    Raises
    ------
    NotFoundError
        If there is no such catalogue.
    ConflictError
        If it is being loaded just now.
    UnavailableError
        If the disk cannot take it.
    """
    catalogue = open_catalogue(name)
    with alone(stored_name(name)):
        return _make_quads(catalogue)


def _make_quads(catalogue: Catalogue) -> Path:
    from reduction.refcat.quadindex import build_quads

    try:
        return build_quads(catalogue)
    except OSError as error:
        raise UnavailableError(
            f"The catalogue {catalogue.meta.name} is loaded, but the quads that recognise frames "
            f"without a pointing could not be made: {error.strerror or error}. Make room, then: "
            f"flask refcat quads {catalogue.meta.name}"
        ) from error


def quads() -> list["QuadTables"]:
    """Return the quads of every catalogue that has some, of the one with most stars first."""
    # Imported here: who only asks for stars does without the kernels.
    from reduction.refcat.quadindex import quads_stamp

    found = []
    for meta in sorted(catalogues(), key=lambda meta: -meta.rows):
        try:
            folder = open_catalogue(meta.name).folder
            found.append(_opened_quads(folder, quads_stamp(folder)))
        except (FileNotFoundError, BadCatalogueError, AppError):  # none made, damaged, or gone
            continue
    return found


def catalogues() -> list[Meta]:
    """Return the facts of every catalogue that is loaded, by name."""
    found = [_facts_in(path) for path in sorted(_root().glob("*")) if _is_loaded(path)]
    return [meta for meta in found if meta is not None]


def facts(name: str) -> Meta | None:
    """Return the facts of a catalogue, None where there is none or it cannot be read."""
    return _facts_in(folder_of(stored_name(name)))


def _facts_in(folder: Path) -> Meta | None:
    try:
        generation = newest_generation(folder)
        return read_meta(folder / generation) if generation else None
    except (FileNotFoundError, BadCatalogueError):
        return None


def drop(name: str) -> None:
    """Remove a catalogue; who has it open keeps it until they let go.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    name = stored_name(name)
    if not folder_of(name).is_dir():  # what is damaged too
        raise NotFoundError(_not_loaded(name))
    with alone(name):
        gone = _root() / f"{_DROPPED}{secrets.token_hex(4)}"
        folder_of(name).rename(gone)
    for path in _root().glob(f"{_DROPPED}*"):  # and what a killed one left
        shutil.rmtree(path, ignore_errors=True)


def open_catalogue(name: str) -> Catalogue:
    """Return a catalogue as it is now; cheap to call for every request.

    Raises
    ------
    NotFoundError
        If it is not loaded.
    UnavailableError
        If what is stored is damaged.
    """
    name = stored_name(name)
    folder = folder_of(name)
    try:
        generation = newest_generation(folder)
        if generation is not None:
            return _opened(folder / generation)
        raise NotFoundError(_not_loaded(name))
    except FileNotFoundError:
        return _reopened(name)
    except BadCatalogueError as error:
        raise UnavailableError(str(error)) from error


def folders() -> list[str]:
    """Return the names of all that lies where catalogues do, also of what cannot be read."""
    found = (path for path in sorted(_root().glob("[!.]*")) if path.is_dir())
    return [path.name for path in found if any(path.glob("[!.]*"))]  # else a load has not ended


def damage(name: str) -> list[str]:
    """Return what of a catalogue is not as it was stored, with what to do; every byte is read.

    Raises
    ------
    NotFoundError
        If nothing is stored under this name.
    """
    if name not in folders():
        raise NotFoundError(_not_loaded(name))
    generation = newest_generation(folder_of(name))
    found = _damage_of(name, generation)
    if found and newest_generation(folder_of(name)) != generation:  # it was loaded meanwhile
        return damage(name)
    return found


def _damage_of(name: str, generation: str | None) -> list[str]:
    # Imported here: who only asks for stars does without it.
    from reduction.refcat.damage import damage_of, quads_damage

    if generation is None:
        return [f"nothing of it can be recognised; {_cure(name)}"]
    if found := damage_of(folder_of(name) / generation):
        return [*found[:-1], f"{found[-1]}; {_cure(name)}"]
    quads_wrong = quads_damage(folder_of(name) / generation)
    return [f"{quads_wrong}; make it anew: flask refcat quads {name}"] if quads_wrong else []


def _cure(name: str) -> str:
    if name.endswith(FETCHED):
        return f"drop it: flask refcat drop {name}. Its stars are fetched again when needed"
    return f"load it again: flask refcat load FILE... --name {name}"


def cone(
    name: str,
    ra_deg: float,
    dec_deg: float,
    radius_deg: float,
    *,
    epoch: float | None = None,
    bands: Sequence[str] | None = None,
) -> Stars:
    """Return the stars of a catalogue around a point; see `Catalogue.search`.

    Where what was loaded does not cover all of it, and what was fetched covers more, it is those.
    """
    best: Stars | None = None
    trouble: NotCoveredError | NotFoundError | None = None
    stored = stored_name(name)
    for part in (stored, f"{stored}{FETCHED}") if stored in KNOWN else (stored,):
        try:
            found = open_catalogue(part).cone(ra_deg, dec_deg, radius_deg, epoch=epoch, bands=bands)
        except (NotCoveredError, NotFoundError) as error:
            trouble = error if isinstance(error, NotCoveredError) else trouble or error
            continue
        if found.coverage >= _WHOLE:
            return found
        best = max(best or found, found, key=lambda stars: stars.coverage)
    if best is None:
        assert trouble is not None  # noqa: S101 - neither gave stars
        raise trouble
    return best


def stored_name(name: str) -> str:
    """Return a catalogue's name here, for its own, STDWeb's, or BHTOM's: ``GaiaSP``, ``GaiaSP/V``.

    Raises
    ------
    InvalidRequestError
        If it cannot be one, or BHTOM's survey has no such band.
    """
    if (named := bhtom_survey(name)) is not None:
        survey, band = named
        if "/" in name and not bhtom_bands(survey, band):
            has = ", ".join(BHTOM[survey].bands)
            raise InvalidRequestError(f"{survey} has no band {band[:32]!r}: it has {has}, or any")
        return BHTOM[survey].catalogue
    lower = name.strip().lower()
    if not _NAME.fullmatch(lower):
        raise InvalidRequestError(
            f"{name!r} cannot be the name of a catalogue: letters, digits, - and _, at most 32"
        )
    return lower


def bands_named(name: str) -> Sequence[str]:
    """Return the bands a catalogue's name speaks of, as BHTOM's ``GaiaSP/V`` does; else none."""
    named = bhtom_survey(name)
    return bhtom_bands(*named) if named is not None and named[1] else ()


def leading_to(band: str, system: System) -> list[Meta]:
    """Return the loaded catalogues that give a band, those that have it before the others."""
    able = [meta for meta in catalogues() if (band, system) in reachable(meta.bands)]
    return sorted(able, key=lambda meta: not _has(meta, band, system))


def _has(meta: Meta, band: str, system: System) -> bool:
    own = meta.band(band)
    return own is not None and own.system == system


def _understood(name: str, request: Request) -> "Loading":
    from reduction.refcat.load import Loading

    preset = preset_of(request.preset) if request.preset else None
    columns = column_map(
        pairs_of(request.columns, "columns"),
        units=pairs_of(request.units, "units"),
        system=request.system,
        preset=preset,
    )
    usual_title = preset.title if preset else KNOWN[name].title if name in KNOWN else name
    epoch = request.epoch or (preset.epoch if preset else DEFAULT_EPOCH)
    if not 1800.0 <= epoch <= 2200.0:
        raise BadCatalogueError(f"an epoch is a year, such as 2016.0, not {epoch}")
    return Loading(name, request.title or usual_title, epoch, columns, coverage_of(request.covers))


@lru_cache(maxsize=_OPEN)
def _opened_quads(generation: Path, _stamp: int) -> "QuadTables":
    from reduction.refcat.quadindex import open_quads

    return open_quads(generation)


@lru_cache(maxsize=_OPEN)
def _opened(generation: Path) -> Catalogue:
    return Catalogue(generation)


def _reopened(name: str) -> Catalogue:
    """Open a catalogue that was swapped in the moment between looking and opening."""
    try:
        return Catalogue.newest(folder_of(name))
    except FileNotFoundError:
        raise NotFoundError(_not_loaded(name)) from None


def _root() -> Path:
    return paths.current().catalogues


def folder_of(name: str) -> Path:
    """Return where a catalogue of a stored name lies, or would."""
    return _root() / name


def _is_loaded(folder: Path) -> bool:
    return not folder.name.startswith(".") and newest_generation(folder) is not None


def _not_loaded(name: str) -> str:
    have = ", ".join(meta.name for meta in catalogues())
    return f"the catalogue {name} is not loaded; " + (f"there are {have}" if have else "none is")


@contextmanager
def alone(name: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Let one process at a time change a catalogue; the lock goes with the process.

    Raises
    ------
    ConflictError
        If another changes it for longer than `wait_s` seconds.
    """
    _root().mkdir(parents=True, exist_ok=True)
    with (_root() / f".{name}{_LOCK}").open("w") as lock:
        until = time.monotonic() + wait_s
        while not _is_locked(lock.fileno()):
            if time.monotonic() >= until:
                raise ConflictError(f"the catalogue {name} is being loaded just now")
            time.sleep(_POLL_S)
        yield


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
