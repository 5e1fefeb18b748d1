"""What the frames of all nights show of a place on the sky: which cover it, and their sources.

A solved frame is in the table of cells with every cell of the sky it reaches into. Frames that a
user may not see take no part in any answer, nor in any number.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import ColumnElement, Row, delete, exists, func, select
from sqlalchemy.orm import Session, aliased

from app import paths
from app.db import db
from app.errors import InvalidRequestError
from app.models import Frame, FrameCell, FrameParent, Level, User
from app.services import access, source_files
from app.services.reference_data import FILTERS
from reduction.astrometry.footprint import cells_around, is_near
from reduction.astrometry.wcs import TanSip
from reduction.photometry import conesearch
from reduction.photometry.sourcetable import Column, SourceTable
from reduction.refcat.errors import BadRegionError
from reduction.refcat.regions import Cone

MOST_ARCSEC: Final = 3600.0
_NO_PAGE: Final = "is not where a page of this search ended: take it from the page before"
PAGE: Final = 10_000  # sources, after which no further frame is read
COLUMNS: Final = (
    *("number", "ra_deg", "dec_deg", "error_arcsec", "x_pix", "y_pix"),
    *("mag", "mag_error", "flux", "flux_error", "mag_psf", "mag_psf_error"),
    *("flux_psf", "flux_psf_error", "chi2_psf", "share_psf", "seen_psf"),
    *("kind", "snr", "fwhm_pix", "ellipticity", "flags", "is_clean", "cat_mag"),
)


@dataclass(frozen=True, slots=True)
class Looked:
    """A frame that shows a place."""

    id: int
    file_name: str
    night: date | None
    mid_utc: datetime | None
    band: str | None
    exptime_s: float | None
    limit_mag: float | None
    outdated: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """The sources in a circle: rows by time of their frame, then by distance from the middle."""

    looked: Sequence[Looked]  # frames that were read, with or without sources there
    unread: Sequence[int]  # ids of frames that cover the place and whose sources were not kept
    frame_of: Column  # for each row, which of `looked` it is on
    columns: Mapping[str, Column]  # of `COLUMNS`, and `sep_arcsec`; NaN where a table has it not
    next_after: str | None  # where a next page begins; None: that was all

    def __len__(self) -> int:
        return len(self.frame_of)


def frames_covering(
    user: User | None,
    ra_deg: float,
    dec_deg: float,
    *,
    band: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Sequence[Looked]:
    """Return the reduced frames that show a place, as far as `user` may see them, by time.

    Raises
    ------
    InvalidRequestError
        If there is no such place.
    """
    rows = _candidates(user, _cone(ra_deg, dec_deg, 0.0), _taken(band, start, end))
    return [_looked(row) for row in rows]


def sources_near(  # noqa: PLR0913 - a place, and what of it is wanted
    user: User | None,
    ra_deg: float,
    dec_deg: float,
    radius_arcsec: float,
    *,
    band: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    after: str | None = None,
    limit: int = PAGE,
) -> Found:
    """Return the sources of all frames `user` may see in a circle, frame by frame.

    Frames are read until there are `limit` sources; `after` is what the page before ended with.

    Raises
    ------
    InvalidRequestError
        If there is no such circle, or it is too large.
    """
    cone, begins = _cone(ra_deg, dec_deg, radius_arcsec), _place_of(after)
    rows = _candidates(user, cone, _taken(band, start, end))
    return _read([row for row in rows if _by_time(row) > begins], cone, limit)


def check_band(user: User | None, band: str) -> None:
    """Refuse a band that nobody knows: no filter's name, and no frame `user` may see is in it.

    Raises
    ------
    InvalidRequestError
        With the bands there are.
    """
    if band in FILTERS:
        return
    of_reduced = Frame.level == Level.REDUCED, access.may_see(user, Frame)
    bands = set(db.session.scalars(select(Frame.band).where(*of_reduced).distinct())) - {None}
    if band not in bands:
        known = ", ".join(sorted(str(one) for one in bands)) or "none yet"
        raise InvalidRequestError(
            band=f"{band[:40]!r} is no band that is known here; those of the frames here: {known}"
        )


def place(frame: Frame, cells: Collection[int]) -> None:
    """Note in the open transaction which cells a frame reaches into, in place of any before."""
    forget([frame.id])
    db.session.add_all(FrameCell(cell=cell, frame_id=frame.id) for cell in sorted(set(cells)))


def forget(frame_ids: Collection[int]) -> None:
    """Take frames out of the table of cells, in the open transaction."""
    db.session.execute(delete(FrameCell).where(FrameCell.frame_id.in_(frame_ids)))


def _cone(ra_deg: float, dec_deg: float, radius_arcsec: float) -> Cone:
    if not 0 <= radius_arcsec <= MOST_ARCSEC:
        raise InvalidRequestError(radius=f"must be from 0 to {MOST_ARCSEC:g} arcseconds")
    if not -360.0 <= ra_deg <= 360.0:
        raise InvalidRequestError(ra="must be degrees, from 0 to 360")
    try:
        return Cone(ra_deg % 360.0, dec_deg, radius_arcsec / 3600)
    except BadRegionError as error:
        raise InvalidRequestError(dec=str(error)) from error


# Frames


def _may_show(user: User | None, cone: Cone) -> list[ColumnElement[bool]]:
    """Return the conditions on frames that may show some of a cone, and that `user` may see."""
    cells = select(FrameCell.frame_id).where(FrameCell.cell.in_(cells_around(cone).tolist()))
    raw = aliased(Frame)
    of_refused = (
        exists()
        .where(FrameParent.child_id == Frame.id, FrameParent.role == "raw")
        .where(raw.id == FrameParent.parent_id, raw.is_valid.is_(False))
    )
    return [
        Frame.id.in_(cells),
        Frame.level == Level.REDUCED,
        Frame.is_valid.is_(True),
        ~of_refused,
        access.may_see(user, Frame),
    ]


def _taken(
    band: str | None, start: datetime | None, end: datetime | None
) -> list[ColumnElement[bool]]:
    """Return the conditions on band and time, both ends included."""
    found: list[ColumnElement[bool]] = []
    if band is not None:
        # The cells lead to few frames; an index of the band would be walked for all its frames.
        found.append(func.coalesce(Frame.band, "") == band)
    if start is not None:
        found.append(Frame.mid_utc >= start)
    if end is not None:
        found.append(Frame.mid_utc <= end)
    return found


_TOLD: Final = tuple(field.name for field in fields(Looked))
_LIGHT: Final = tuple(getattr(Frame, name) for name in _TOLD)


def _candidates(
    user: User | None, cone: Cone, conditions: Sequence[ColumnElement[bool]]
) -> list[Row[Any]]:
    """Return of the frames that may show some of a cone what is told of them, by time."""
    columns = (*_LIGHT, Frame.path, Frame.content_sha256, Frame.nx, Frame.ny, Frame.on_sky)
    query = select(*columns).where(*_may_show(user, cone), *conditions)
    found = [row for row in db.session.execute(query) if _shows(_wcs(row), row, cone)]
    return sorted(found, key=_by_time)


def _looked(row: Row[Any]) -> Looked:
    return Looked(*(getattr(row, name) for name in _TOLD))


def _wcs(row: Row[Any]) -> TanSip | None:
    kept = (row.on_sky or {}).get("wcs")
    return TanSip.of_lists(kept) if kept else None


def _shows(wcs: TanSip | None, frame: Any, cone: Cone) -> bool:  # noqa: ANN401 - a frame or a row
    return wcs is not None and is_near(wcs, (frame.ny, frame.nx), cone)


def _by_time(frame: Any) -> tuple[float, int]:  # noqa: ANN401 - a frame, or a row of one
    return frame.mid_utc.timestamp() if frame.mid_utc else -math.inf, frame.id


def _place_of(after: str | None) -> tuple[float, int]:
    """Return behind which moment and frame a page begins."""
    if after is None:
        return -math.inf, 0
    try:
        moment, _, frame_id = after.partition("~")
        begins = float(moment), int(frame_id)
    except ValueError as error:
        raise InvalidRequestError(after=_NO_PAGE) from error
    if math.isnan(begins[0]):
        raise InvalidRequestError(after=_NO_PAGE)
    return begins


# Sources


def _read(rows: Sequence[Row[Any]], cone: Cone, limit: int) -> Found:
    tables: list[SourceTable] = []
    looked: list[Looked] = []
    unread: list[int] = []
    n_found, last = 0, None
    for row, table in zip(rows, _tables(rows, cone), strict=False):
        last = row
        if table is None:
            unread.append(row.id)
            continue
        looked.append(_looked(row))
        tables.append(table)
        n_found += len(table)
        if n_found >= limit:
            break
    return Found(
        looked,
        unread,
        np.repeat(np.arange(len(tables)), [len(table) for table in tables]),
        conesearch.joined(tables, (*COLUMNS, conesearch.SEPARATION)),
        next_after=None if last is None or last is rows[-1] else "{!r}~{}".format(*_by_time(last)),
    )


def _tables(rows: Sequence[Row[Any]], cone: Cone) -> Iterator[SourceTable | None]:
    found = conesearch.search((_path(row.path, row.content_sha256) for row in rows), cone, COLUMNS)
    for row, table in zip(rows, found, strict=True):
        yield table if table is not None else _made_anew(row, cone)


def _made_anew(row: Row[Any], cone: Cone) -> SourceTable | None:
    """Return the sources of a frame that was made anew after its row was read."""
    with Session(db.engine) as fresh:  # sees what was committed since
        query = select(Frame.path, Frame.content_sha256).where(Frame.id == row.id)
        now = fresh.execute(query).one_or_none()
    if now is None or now.content_sha256 == row.content_sha256:
        return None
    return next(conesearch.search([_path(*now)], cone, COLUMNS))


def _path(product: str, sha256: str) -> Path:
    return paths.current().data / source_files.name_of(product, sha256)
