"""What is known of a simulated night, in memory and as tables beside the frames."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from reduction.simulate.detector import BadPixels
from reduction.simulate.params import Band, Field, NightParams, Proposal
from reduction.simulate.sky import Column, Moffat, Tangent

NIGHT_FILE = "night.json"
FRAMES_FILE = "frames.csv"
STARS_FILE = "stars.csv"
SOURCES_FILE = "truth.csv"
HITS_FILE = "cosmic_rays.csv"
BAD_FILE = "bad_pixels.csv"
REFCAT_FILE = "refcat.csv"
PROPOSALS_FILE = "proposals.csv"
REST_FILE = "growing.rest"

Table = Mapping[str, npt.NDArray[Any]]
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """One file of the night.

    `file` is its path below RAW; `kind` "bias", "dark", "flat", "science" or "junk"; `fault` ""
    or why it is no ordinary frame: "saturated", "faint" (flats to be left out), "truncated",
    "growing", "text". `sky_e` is the mean sky (or twilight) a pixel at unit response. The last
    eight place the detector: see `Tangent`. Numbers that do not apply are NaN.
    """

    file: str
    kind: str
    band: str = ""
    field: str = ""
    proposal: str = ""
    fault: str = ""
    start_utc: str = ""
    exptime_s: float = np.nan
    airmass: float = np.nan
    sky_e: float = np.nan
    fwhm_pix: float = np.nan
    moffat_beta: float = np.nan
    crval_ra_deg: float = np.nan
    crval_dec_deg: float = np.nan
    crpix_x: float = np.nan
    crpix_y: float = np.nan
    cd11: float = np.nan
    cd12: float = np.nan
    cd21: float = np.nan
    cd22: float = np.nan

    @property
    def name(self) -> str:
        """Its file name."""
        return Path(self.file).name

    @property
    def start(self) -> datetime:
        """Start of the exposure, aware UTC."""
        return datetime.fromisoformat(self.start_utc)

    @property
    def psf(self) -> Moffat:
        """The profile of its stars."""
        return Moffat(self.fwhm_pix, self.moffat_beta)

    @property
    def wcs(self) -> Tangent:
        """Where the detector looks."""
        cd = ((self.cd11, self.cd12), (self.cd21, self.cd22))
        return Tangent(self.crval_ra_deg, self.crval_dec_deg, self.crpix_x, self.crpix_y, cd)

    def placed(self, wcs: Tangent) -> Self:
        """Return the same frame with its place on the sky."""
        (cd11, cd12), (cd21, cd22) = wcs.cd
        return replace(
            self,
            crval_ra_deg=wcs.ra_deg,
            crval_dec_deg=wcs.dec_deg,
            crpix_x=wcs.x0,
            crpix_y=wcs.y0,
            cd11=cd11,
            cd12=cd12,
            cd21=cd21,
            cd22=cd22,
        )


@dataclass(frozen=True, slots=True)
class Sources:
    """The stars in one frame, and those so near outside that their wings reach in.

    `x`, `y` zero-based pixels of the trimmed frame; `electrons` the star's mean total at unit
    response; `peak_e` the most a pixel of it can hold on average, sky not counted.
    """

    star_id: npt.NDArray[np.int64]
    x: Column
    y: Column
    electrons: Column
    peak_e: Column


@dataclass(frozen=True, slots=True)
class Hits:
    """The pixels of one frame that particles hit, and the electrons they left."""

    x: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]
    electrons: Column


@dataclass(frozen=True, slots=True)
class Truth:
    """A simulated night and what is known of it.

    Attributes
    ----------
    folder : Path
        Where the tables lie: `frames.csv`, `stars.csv`, `truth.csv` (the stars of every science
        frame), `cosmic_rays.csv`, `bad_pixels.csv`, `refcat.csv`, `proposals.csv`, `night.json`.
    raw_folder : Path
        Below which the frames lie.
    params : NightParams
        What the night was made of.
    frames : tuple of FrameTruth
        Every file written.
    sources, hits : mapping of str to Sources, Hits
        By `FrameTruth.file`.
    stars : mapping of str to array
        Columns of `stars.csv`: star_id, field, ra_deg, dec_deg (at the night), mag_<band>.
    bad : BadPixels
        Of the detector.
    """

    folder: Path
    raw_folder: Path
    params: NightParams
    frames: tuple[FrameTruth, ...]
    sources: Mapping[str, Sources]
    hits: Mapping[str, Hits]
    stars: Table
    bad: BadPixels

    @property
    def refcat(self) -> Path:
        """Reference catalogue: star_id, ra_deg, dec_deg, pmra_mas_yr, ..., mag_g, mag_g_err, ..."""
        return self.folder / REFCAT_FILE

    @property
    def proposals(self) -> Path:
        """Proposals: code, title, pi."""
        return self.folder / PROPOSALS_FILE

    def of(self, kind: str, band: str = "", *, whole: bool = True) -> list[FrameTruth]:
        """Return the frames of a kind (and band); `whole` leaves out the faulty ones."""
        return [
            frame
            for frame in self.frames
            if frame.kind == kind and band in ("", frame.band) and not (whole and frame.fault)
        ]

    def path(self, frame: FrameTruth) -> Path:
        """Return where the frame lies."""
        return self.raw_folder / frame.file


def write_truth(truth: Truth) -> None:
    """Write the night's tables into its folder (the reference catalogue and proposals aside)."""
    truth.folder.mkdir(parents=True, exist_ok=True)
    night = {"raw_folder": str(truth.raw_folder.resolve()), "params": asdict(truth.params)}
    text = json.dumps(night, default=str, indent=1)
    (truth.folder / NIGHT_FILE).write_text(text + "\n", encoding="utf-8")
    names = [f.name for f in fields(FrameTruth)]
    columns = {n: np.array([getattr(frame, n) for frame in truth.frames]) for n in names}
    write_table(truth.folder / FRAMES_FILE, columns)
    write_table(truth.folder / STARS_FILE, truth.stars)
    write_table(truth.folder / SOURCES_FILE, _stacked(truth.sources, Sources))
    write_table(truth.folder / HITS_FILE, _stacked(truth.hits, Hits))
    write_table(truth.folder / BAD_FILE, _columns(truth.bad, BadPixels))


def read_truth(folder: Path) -> Truth:
    """Read back what `write_truth` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no simulated night in the folder.
    """
    night = json.loads((folder / NIGHT_FILE).read_text(encoding="utf-8"))
    rows = read_table(folder / FRAMES_FILE)
    frames = [
        FrameTruth(**{name: column[i].item() for name, column in rows.items()})
        for i in range(rows["file"].size)
    ]
    return Truth(
        folder=folder,
        raw_folder=Path(night["raw_folder"]),
        params=_params(night["params"]),
        frames=tuple(frames),
        sources=_by_file(
            read_table(folder / SOURCES_FILE), Sources, [f.file for f in frames if f.field]
        ),
        hits=_by_file(
            read_table(folder / HITS_FILE), Hits, [f.file for f in frames if f.start_utc]
        ),
        stars=read_table(folder / STARS_FILE),
        bad=BadPixels(**read_table(folder / BAD_FILE)),
    )


def write_table(path: Path, columns: Table) -> None:
    """Write columns of one length as CSV; floats are spelled so that they come back exactly."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def read_table(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read CSV columns as whole numbers where all are, else as floats, else as text."""
    with path.open(newline="", encoding="utf-8") as stream:
        names, *rows = csv.reader(stream)
    texts = zip(*rows, strict=True) if rows else ([] for _ in names)
    return {name: _typed(list(column)) for name, column in zip(names, texts, strict=True)}


def _typed(texts: list[str]) -> npt.NDArray[Any]:
    for kind in (np.int64, np.float64):
        try:
            return np.array(texts, dtype=kind)
        except ValueError:
            continue
    return np.array(texts)


def _columns(rows: object, kind: type) -> dict[str, npt.NDArray[Any]]:
    return {f.name: getattr(rows, f.name) for f in fields(kind)}


def _stacked(tables: Mapping[str, Any], kind: type) -> dict[str, npt.NDArray[Any]]:
    """Put the tables of all files under one another, the file's name first."""
    parts = [_columns(table, kind) for table in tables.values()]
    names = [f.name for f in fields(kind)]
    counts = [part[names[0]].size for part in parts]
    stacked = {"file": np.repeat(np.array(list(tables), dtype=np.str_), counts)}
    return stacked | {name: np.concatenate([part[name] for part in parts]) for name in names}


def _by_file(table: Table, kind: Callable[..., Row], files: Iterable[str]) -> dict[str, Row]:
    """Take the stacked tables apart again; a file without a row has an empty table."""
    columns = {name: column for name, column in table.items() if name != "file"}
    taken = {file: table["file"] == file for file in files}
    return {
        file: kind(**{name: column[rows] for name, column in columns.items()})
        for file, rows in taken.items()
    }


def _params(stored: dict[str, Any]) -> NightParams:
    """Build the parameters from their JSON."""
    built = stored | {
        "night": date.fromisoformat(stored["night"]),
        "shape": tuple(stored["shape"]),
        "dark_exptimes_s": tuple(stored["dark_exptimes_s"]),
        "bright_mags": tuple(stored["bright_mags"]),
        "bands": tuple(Band(**band) for band in stored["bands"]),
        "fields": tuple(Field(**target) for target in stored["fields"]),
        "proposals": tuple(Proposal(**proposal) for proposal in stored["proposals"]),
    }
    return NightParams(**built)
