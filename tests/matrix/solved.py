"""Sources at one place of the sky for the frames of the site, each with its word in the file."""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from app.models import Frame
from app.services import cone, source_files
from reduction.astrometry.footprint import cells_of
from reduction.astrometry.wcs import TanSip
from reduction.photometry.sourcetable import SourceTable
from tests.reduction.photometry.fulltable import full_table
from tests.reduction.photometry.sourcefiles import table_of, write

PLACE: Final = (114.6, 21.6)
ASKED: Final = {"ra": "114.6", "dec": "21.6", "radius": "60"}
_SHAPE: Final = (12, 16)
_WCS: Final = TanSip(PLACE, (7.5, 5.5), 0.1 / 16 * np.array([[-1.0, 0.0], [0.0, 1.0]]))


def columns(word: str) -> dict[str, Any]:
    """Return the columns of a frame at the place."""
    return {
        "content_sha256": word.encode().hex().ljust(64, "0"),
        "on_sky": {"wcs": _WCS.as_lists()},
        "n_sources": 2,
    }


def place(frame: Frame, word: str) -> str:
    """Give a frame its sources and its cells, and return where the sources lie."""
    cone.place(frame, cells_of(_WCS, _SHAPE).tolist())
    table = table_of(_WCS, np.array([7.5, 8.0]), np.array([5.5, 5.5]))
    every = {**full_table(_WCS, _SHAPE, n=2).columns, **table.columns}
    marked = SourceTable(every, replace(table.facts, catalogue=word))
    write(source_files.path_of(frame), marked)
    return source_files.name_beside(frame)
