"""What a stored catalogue says of itself: ``meta.json`` beside its columns."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.systems import Band, System

META_FILE: Final = "meta.json"
FORMAT: Final = 1  # of the folder; a store of another is not read


@dataclass(frozen=True, slots=True)
class Source:
    """A file a catalogue was made of."""

    file: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class ColumnFact:
    """A stored column: its type, as numpy spells it, and the SHA-256 of its values."""

    dtype: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Meta:
    """The facts of a stored catalogue.

    Attributes
    ----------
    name, title : str
        What it is called, and what it is.
    epoch : float
        Julian year of the positions, where rows have none of their own.
    bands : tuple of Band
        Its magnitudes.
    rows : int
        Its stars.
    order : int
        HEALPix order of the table of offsets.
    cover_order : int
        Of the map of loaded sky.
    is_declared : bool
        Whether whoever loaded it said which sky that is.
    max_motion_mas_yr : float
        The largest proper motion in it.
    first_epoch, last_epoch : float
        Between which the epochs of its rows lie.
    columns : mapping of str to ColumnFact
        Stored files, without ``.npy``.
    sources : tuple of Source
        What it was made of.
    left_out : tuple of str
        What was not taken from those, in words.
    built_utc : str
        When, ISO 8601.
    """

    name: str
    title: str
    epoch: float
    bands: tuple[Band, ...]
    rows: int
    order: int
    cover_order: int
    is_declared: bool
    max_motion_mas_yr: float
    first_epoch: float
    last_epoch: float
    columns: Mapping[str, ColumnFact]
    sources: Sequence[Source] = ()
    left_out: Sequence[str] = ()
    built_utc: str = ""

    @property
    def has_ids(self) -> bool:
        """Whether its stars have identifiers."""
        return "id" in self.columns

    @property
    def has_motions(self) -> bool:
        """Whether its stars have proper motions."""
        return "pmra" in self.columns and "pmdec" in self.columns

    def band(self, name: str) -> Band | None:
        """Return the band of this name."""
        return next((band for band in self.bands if band.name == name), None)

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps({"format": FORMAT} | asdict(self), indent=1) + "\n"


def read_meta(folder: Path) -> Meta:
    """Read the facts of a stored catalogue.

    Raises
    ------
    FileNotFoundError
        If the folder is not there, or no longer.
    BadCatalogueError
        If it cannot be understood.
    """
    try:
        stored = json.loads((folder / META_FILE).read_text(encoding="utf-8"))
        if stored.pop("format") != FORMAT:
            raise BadCatalogueError(f"{folder} was made by another version: load it again")
        return _meta(stored)
    except (ValueError, KeyError, TypeError) as error:
        raise BadCatalogueError(f"{folder / META_FILE} is damaged: load it again") from error


def _meta(stored: dict[str, Any]) -> Meta:
    return Meta(
        **stored
        | {
            "bands": tuple(
                Band(b["name"], System(b["system"]), b["has_error"]) for b in stored["bands"]
            ),
            "columns": {name: ColumnFact(**fact) for name, fact in stored["columns"].items()},
            "sources": tuple(Source(**source) for source in stored["sources"]),
            "left_out": tuple(stored["left_out"]),
        }
    )
