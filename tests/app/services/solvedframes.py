"""Reduced frames whose place and sources are known, as a job would have left them."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from app.db import db, transaction
from app.models import Frame, FrameParent, Level
from app.services import cone, source_files
from reduction.astrometry.footprint import cells_of
from reduction.astrometry.wcs import TanSip
from reduction.photometry.sourcetable import SourceTable
from tests.factories import make_frame
from tests.numbering import number
from tests.reduction.photometry.sourcefiles import SHAPE, table_of, write

FIRST = datetime(2026, 11, 20, 22, tzinfo=UTC)


def make_solved(wcs: TanSip, table: SourceTable | None, **values: Any) -> Frame:
    """Store a reduced frame at a place, with its sources where a table is given."""
    n = number("solved frame")
    name = f"science_f{n}_proc.fits"
    defaults: dict[str, Any] = {
        "path": f"PROCESSED/r/2026-11-20/{name}",
        "file_name": name,
        "level": Level.REDUCED,
        "nx": SHAPE[1],
        "ny": SHAPE[0],
        "content_sha256": hashlib.sha256(name.encode()).hexdigest(),
        "mid_utc": FIRST + timedelta(minutes=n),
        "sky_state": "solved",
        "n_sources": 0 if table is None else len(table),
        "on_sky": {"wcs": wcs.as_lists()},
    }
    frame = make_frame(**(defaults | values))
    with transaction():
        cone.place(frame, cells_of(wcs, SHAPE).tolist())
    if table is not None:
        write(source_files.path_of(frame), table)
    return frame


def make_showing(ra_deg: float, dec_deg: float, wcs: TanSip, **values: Any) -> Frame:
    """Store a frame with one source, at a place of the sky."""
    x, y = wcs.pixel(np.array([ra_deg]), np.array([dec_deg]))
    return make_solved(wcs, table_of(wcs, x, y), **values)


def add_raw(product: Frame, **values: Any) -> Frame:
    """Store the raw frame a product was reduced from."""
    raw = make_frame(**values)
    with transaction():
        db.session.add(FrameParent(child_id=product.id, parent_id=raw.id, role="raw"))
    return raw
