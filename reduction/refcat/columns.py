"""From the columns of a file to those of a catalogue: names, units, and what is no star.

Roles: ``ra`` ``dec`` (degrees), ``id`` (a whole number), ``pmra`` ``pmdec`` (mas a year, RA times
cos Dec), ``epoch`` (Julian year); any other role is a band, and ``<band>_err`` its error.

``FV/e_FV`` is one column divided by another, as a flux by its error where magnitudes have none.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.systems import Band, System

Column = npt.NDArray[np.float64] | npt.NDArray[np.float32] | npt.NDArray[np.int64]
Chunk = Mapping[str, Column]

POSITION: Final = ("ra", "dec")
PLAIN_ROLES: Final = (*POSITION, "id", "pmra", "pmdec", "epoch")
ERROR: Final = "_err"
OVER: Final = "/"  # between two columns: one divided by the other
BRIGHTEST, FAINTEST = -30.0, 45.0  # magnitudes beyond are sentinels: 99.99, -999
LARGEST_ERROR: Final = 10.0
MJD_J2000: Final = 51544.5
NO_ID: Final = -1
_BAND: Final = re.compile(r"[A-Za-z][A-Za-z0-9']{0,15}")
_RESERVED: Final = frozenset({"key", "meta", "offset", "coverage"})  # other files of a store
_POGSON: Final = 2.5 / np.log(10.0)
_FACTORS: Final[Mapping[str, Mapping[str, float]]] = {
    "ra": {"deg": 1.0, "hour": 15.0, "rad": float(np.degrees(1.0))},
    "dec": {"deg": 1.0, "rad": float(np.degrees(1.0))},
    "pmra": {"mas/yr": 1.0, "arcsec/yr": 1000.0},
    "pmdec": {"mas/yr": 1.0, "arcsec/yr": 1000.0},
    "epoch": {"jyear": 1.0, "mjd": 1.0},
    "id": {"": 1.0},
    "mag": {"mag": 1.0, "mmag": 0.001},
    "err": {"mag": 1.0, "mmag": 0.001, "snr": 1.0},
}
_SPELT: Final = {
    "degree": "deg",
    "degrees": "deg",
    "h": "hour",
    "hours": "hour",
    "hourangle": "hour",
    "radian": "rad",
    "radians": "rad",
    "mas.yr-1": "mas/yr",
    "mas.yr**-1": "mas/yr",
    "mas/year": "mas/yr",
    "arcsec.yr-1": "arcsec/yr",
    "arcsec/year": "arcsec/yr",
    "yr": "jyear",
    "year": "jyear",
    "d": "mjd",
}


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Which columns of a file are what.

    Attributes
    ----------
    columns : mapping of str to tuple of str
        By role, the names the column may have; the first that the file has is taken.
    units : mapping of str to str
        By role, as the user states them.
    systems : mapping of str to System
        By band; bands without one are of `System.OTHER`.
    is_strict : bool
        Whether a file must have all of them, as one the user spelt out must; a download by a
        preset must have the position and one band.
    """

    columns: Mapping[str, tuple[str, ...]]
    units: Mapping[str, str] = field(default_factory=dict)
    systems: Mapping[str, System] = field(default_factory=dict)
    is_strict: bool = True

    def __post_init__(self) -> None:
        for role in POSITION:
            if role not in self.columns:
                raise BadCatalogueError(f"say which column is the {role}: {role}=NAME")
        bands = [role for role in self.columns if is_band(role)]
        if not bands:
            raise BadCatalogueError("name a magnitude at least: V=Vmag, V_err=e_Vmag")
        for role in self.columns:
            _check_role(role, bands)
        for role, unit in self.units.items():
            if role not in self.columns:
                raise BadCatalogueError(f"a unit is given for {role}, but no column")
            _factor(role, unit)

    def found_in(self, names: Sequence[str], where: str) -> dict[str, str]:
        """Return by role the column of a file with these columns.

        Raises
        ------
        BadCatalogueError
            If a column that must be there is not; the message names those that are.
        """
        found = {role: _one_of(wanted, names) for role, wanted in self.columns.items()}
        missing = [role for role, name in found.items() if not name]
        needed = [role for role in missing if self.is_strict or role in POSITION]
        if needed:
            raise BadCatalogueError(_missing(self.columns[needed[0]], names, where))
        there = {role: name for role, name in found.items() if name}
        bands = [role for role in there if is_band(role)]
        if not bands:
            raise BadCatalogueError(_missing(self.columns[self._bands()[0]], names, where))
        orphans = {f"{band}{ERROR}" for band in self._bands() if band not in bands}
        return {role: name for role, name in there.items() if role not in orphans}

    def bands_of(self, found: Mapping[str, str]) -> tuple[Band, ...]:
        """Return the bands a file with these columns has."""
        return tuple(
            Band(role, self.systems.get(role, System.OTHER), f"{role}{ERROR}" in found)
            for role in found
            if is_band(role)
        )

    def _bands(self) -> list[str]:
        return [role for role in self.columns if is_band(role)]


@dataclass(slots=True)
class Counts:
    """What became of the rows of a file."""

    read: int = 0
    kept: int = 0
    ragged: int = 0  # with more or fewer cells than the header
    no_position: int = 0  # blank or NaN
    text_position: int = 0  # with letters in it
    off_sky: int = 0
    odd_magnitudes: int = 0  # cells, not rows: sentinels and text
    duplicates: int = 0
    example: str = ""  # of a position that is no number

    @property
    def skipped(self) -> int:
        """Rows that did not become stars."""
        return self.ragged + self.no_position + self.text_position + self.off_sky + self.duplicates

    def sentences(self) -> list[str]:
        """Return what was left out, in words."""
        told = (
            (self.ragged, "rows with more or fewer cells than the header"),
            (self.no_position, "rows without a position"),
            (self.text_position, f"rows whose position is no number ({self.example!r})"),
            (self.off_sky, "rows with a position that is not on the sky"),
            (self.duplicates, "rows already there"),
            (self.odd_magnitudes, "values unfit for a magnitude or an error, taken as missing"),
        )
        return [
            f"{number:,} {_one(what) if number == 1 else what}" for number, what in told if number
        ]


@dataclass(frozen=True, slots=True)
class RawChunk:
    """Some rows of a file as its reader gives them.

    Attributes
    ----------
    columns : mapping of str to array, ``(n,)``
        By the file's names; float64, int64 for identifiers. Blanks and text are NaN (`NO_ID`).
    ragged : int
        Rows left out between these.
    text : mapping of str to (int, str)
        By column, how many cells were text, and one of them.
    done : float
        How much of the file has been read, 0 to 1.
    """

    columns: Mapping[str, Column]
    ragged: int = 0
    text: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    done: float = 0.0


class Cleaner:
    """Turns the rows of one file into stars, and counts what it leaves out."""

    def __init__(
        self, columns: ColumnMap, found: Mapping[str, str], file_units: Mapping[str, str], name: str
    ) -> None:
        self.counts = Counts()
        self._found, self._name = found, name
        self._units = {role: _unit(role, found[role], columns, file_units) for role in found}
        self._ra = [np.inf, -np.inf]
        self._dec = [np.inf, -np.inf]

    def clean(self, raw: RawChunk) -> Chunk:
        """Return the stars of some rows: degrees, magnitudes, mas a year, Julian years."""
        values = {
            role: raw.columns[name] if role == "id" else self._scaled(role, _column(raw, name))
            for role, name in self._found.items()
        }
        self._count_text(raw)
        ra, dec = values["ra"], values["dec"]
        known = np.isfinite(ra) & np.isfinite(dec)
        on_sky = known & (ra >= -180.0) & (ra <= 360.0) & (np.abs(dec) <= 90.0)
        self.counts.read += ra.size + raw.ragged
        self.counts.no_position += int(ra.size - known.sum())
        self.counts.off_sky += int(known.sum() - on_sky.sum())
        self.counts.kept += int(on_sky.sum())
        self._widen(ra[on_sky], dec[on_sky])
        clean = {role: self._typed(role, column[on_sky]) for role, column in values.items()}
        clean["ra"] = np.where(clean["ra"] < 0, clean["ra"] + 360.0, clean["ra"]) % 360.0
        return clean

    def finish(self) -> Counts:
        """Return the counts, once the file is read.

        Raises
        ------
        BadCatalogueError
            If it had no star, or if its positions are plainly in another unit.
        """
        # A text cell was given as NaN, and one row may have two.
        self.counts.no_position = max(0, self.counts.no_position - self.counts.text_position)
        if not self.counts.kept:
            raise BadCatalogueError(self._why_empty())
        if self.counts.off_sky > self.counts.kept:
            raise BadCatalogueError(
                f"{self._name}: most positions are not on the sky (RA {self._found['ra']}, "
                f"Dec {self._found['dec']}): are these the columns, and degrees their unit?"
            )
        self._refuse_other_units()
        return self.counts

    def _scaled(self, role: str, column: Column) -> npt.NDArray[np.float64]:
        unit = self._units[role]
        values = column.astype(np.float64)
        if unit == "mjd":
            return 2000.0 + (values - MJD_J2000) / 365.25
        if unit == "snr":
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray(_POGSON / values)
        return np.asarray(values * _factor(role, unit))

    def _typed(self, role: str, column: Column) -> Column:
        if role in (*POSITION, "id"):
            return column
        single = column.astype(np.float32)
        if role in PLAIN_ROLES:
            return single
        low, high = (0.0, LARGEST_ERROR) if role.endswith(ERROR) else (BRIGHTEST, FAINTEST)
        odd = (single <= low) | (single >= high)
        self.counts.odd_magnitudes += int(odd.sum())
        single[odd] = np.nan
        return single

    def _count_text(self, raw: RawChunk) -> None:
        self.counts.ragged += raw.ragged
        names = [self._found[role] for role in POSITION]
        positions = [raw.text[name] for name in names if name in raw.text]
        if positions:
            self.counts.text_position += max(number for number, _ in positions)
            self.counts.example = positions[0][1]
        for role, name in self._found.items():
            if role not in PLAIN_ROLES and name in raw.text:
                self.counts.odd_magnitudes += raw.text[name][0]

    def _widen(self, ra: Column, dec: Column) -> None:
        for limits, column in ((self._ra, ra), (self._dec, dec)):
            if column.size:
                limits[:] = [
                    min(limits[0], float(column.min())),
                    max(limits[1], float(column.max())),
                ]

    def _why_empty(self) -> str:
        counts, ra = self.counts, self._found["ra"]
        if not counts.read:
            return f"{self._name} has no rows"
        if counts.text_position and re.match(r"\s*[+-]?\d+[: ]\d+[: ]", counts.example):
            return (
                f"{self._name}: {ra} holds hours or degrees with minutes and seconds "
                f"({counts.example!r}); take the columns in decimal degrees"
            )
        return f"{self._name} has no usable row: {'; '.join(counts.sentences())}"

    def _refuse_other_units(self) -> None:
        """Refuse a catalogue of wide sky whose RA are those of hours, or all of radians."""
        if self._units["ra"] != "deg" or self.counts.kept < 100:
            return
        (ra0, ra1), (dec0, dec1) = self._ra, self._dec
        if ra0 < 0.1 and 6.2 < ra1 <= 2 * np.pi and dec0 < -1.4 and 1.4 < dec1 <= np.pi / 2:
            raise BadCatalogueError(
                f"{self._name}: positions look like radians; give --units ra=rad,dec=rad"
            )
        if ra1 <= 24.0 and dec1 - dec0 > 30.0:
            raise BadCatalogueError(
                f"{self._name}: no {self._found['ra']} is above 24, though declinations reach from "
                f"{dec0:.1f} to {dec1:+.1f}: they look like hours; give --units ra=hour"
            )


def columns_of(names: Iterable[str], there: Collection[str]) -> list[str]:
    """Return the columns of a file some names stand for, of a quotient both."""
    parts = ([name] if name in there else name.split(OVER) for name in names)
    return list(dict.fromkeys(part for both in parts for part in both))


def _column(raw: RawChunk, name: str) -> Column:
    """Return a column of some rows, or one divided by another."""
    if name in raw.columns:
        return raw.columns[name]
    above, below = (raw.columns[part].astype(np.float64) for part in name.split(OVER))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(above / below)


def _one(what: str) -> str:
    """Return words that begin with a plural for one of it."""
    noun, rest = what.split(" ", 1)
    return f"{noun.removesuffix('s')} {rest}"


def is_band(role: str) -> bool:
    """Tell whether a role is a magnitude."""
    return role not in PLAIN_ROLES and not role.endswith(ERROR)


def _check_role(role: str, bands: Sequence[str]) -> None:
    if role in PLAIN_ROLES:
        return
    if role.endswith(ERROR):
        if role.removesuffix(ERROR) not in bands:
            raise BadCatalogueError(
                f"{role} is the error of a magnitude {role.removesuffix(ERROR)} that is not named"
            )
    elif not _BAND.fullmatch(role) or role in _RESERVED:
        raise BadCatalogueError(f"{role!r} cannot be the name of a band: letters and digits only")


def _kind(role: str) -> str:
    if role in PLAIN_ROLES:
        return role
    return "err" if role.endswith(ERROR) else "mag"


def _factor(role: str, unit: str) -> float:
    known = _FACTORS[_kind(role)]
    if unit not in known:
        raise BadCatalogueError(f"{role} cannot be in {unit!r}; known are {', '.join(known)}")
    return known[unit]


def _unit(role: str, column: str, columns: ColumnMap, file_units: Mapping[str, str]) -> str:
    """Return the unit the user states, else the file, else the usual one."""
    stated = columns.units.get(role)
    known = _FACTORS[_kind(role)]
    if stated:
        return stated
    spelt = file_units.get(column, "").strip().lower().replace(" ", ".")
    unit = _SPELT.get(spelt, spelt)
    return unit if unit in known else next(iter(known))


def _one_of(wanted: Sequence[str], names: Sequence[str]) -> str:
    """Return the first wanted column that is there, by its exact name, else by any case."""
    for name in wanted:
        if name in names:
            return name
    for name in wanted:
        same = [there for there in names if there.lower() == name.lower()]
        if len(same) == 1:
            return same[0]
    for name in wanted:
        parts = name.split(OVER)
        if len(parts) == 2 and all(part in names for part in parts):
            return name
    return ""


def _missing(wanted: Sequence[str], names: Sequence[str], where: str) -> str:
    near = difflib.get_close_matches(wanted[0], names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    shown = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return f"{where} has no column {' or '.join(map(repr, wanted))}; it has {shown}.{hint}"
