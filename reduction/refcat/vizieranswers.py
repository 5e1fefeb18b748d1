"""What VizieR answers: whether it can be used, and the sky it is of."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.parsers.expat import ExpatError

import numpy as np
from astropy.utils.xml.iterparser import get_xml_iterator

from reduction.refcat.build import FINEST_COVER, STARS_A_CELL
from reduction.refcat.coverage import Coverage, declared, of_stars
from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.pixels import Pixels, nested_of, order_for
from reduction.refcat.readers import open_file
from reduction.refcat.regions import Cone
from reduction.refcat.vizier import Table

# Of the map of where a survey with an edge has stars: cells fit some times into its radius.
_FINEST, _COARSEST = 24.0, 3.0
_ERRORS: Final = frozenset({"error", "errors"})


def covered(table: Table, answer: Path, cone: Cone) -> Coverage:
    """Return the sky an answer is of: the cone, of a survey with an edge where it has stars."""
    if table.is_whole and table.south_deg <= cone.dec_deg - cone.radius_deg:
        return declared(cone)
    order = order_for(cone.radius_deg / _FINEST, FINEST_COVER)
    pixels = _pixels(table, answer, order)
    coarsest = order_for(cone.radius_deg / _COARSEST, FINEST_COVER)
    while order > coarsest and _poor(pixels) < STARS_A_CELL:
        pixels, order = pixels >> 2, order - 1
    return of_stars(np.unique(pixels), order)


def _pixels(table: Table, answer: Path, order: int) -> Pixels:
    """Return the cell each star of an answer lies in."""
    opened = open_file(answer)
    found = table.column_map.found_in(opened.names, answer.name)
    pixels = [np.empty(0, np.int64)]
    for raw in opened.chunks([found["ra"], found["dec"]], frozenset()):
        ra, dec = (np.asarray(raw.columns[found[role]], np.float64) for role in ("ra", "dec"))
        good = np.isfinite(ra) & (np.abs(dec) <= 90.0)
        pixels.append(nested_of(ra[good] % 360.0, dec[good], order))
    return np.concatenate(pixels)


def _poor(pixels: Pixels) -> float:
    """Return how many stars the poorer cells hold that have some."""
    _, counts = np.unique(pixels, return_counts=True)
    return float(np.percentile(counts, 25)) if counts.size else 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer of VizieR holds: its rows, and whether it had more than it gave."""

    n_rows: int
    is_cut: bool


def answer_of(path: Path) -> Answer:
    """Return what VizieR answered, from the VOTable it sent.

    Parameters
    ----------
    path : Path
        Of the answer; one without a table is a sky without stars.

    Raises
    ------
    BadCatalogueError
        If it is none, is cut off, or tells of an error; the message says which.
    """
    rows, is_table, is_cut = 0, False, False
    try:
        with get_xml_iterator(str(path)) as events:
            for start, tag, data, _place in events:
                if not start:
                    continue
                is_table |= tag == "VOTABLE"
                rows += tag == "TR"
                if tag in ("BINARY", "BINARY2", "FITS"):
                    raise BadCatalogueError("VizieR answered with rows that are not plain text")
                is_cut |= tag == "INFO" and _checked(data)
    except (ExpatError, OSError, ValueError) as error:
        raise BadCatalogueError("VizieR's answer is no VOTable, or was cut off") from error
    if not is_table:
        raise BadCatalogueError("VizieR's answer is no VOTable")
    return Answer(rows, is_cut)


def _checked(info: Mapping[str, str]) -> bool:
    """Tell whether a line of an answer says that there is more; refuse it if it is an error."""
    name, value = info.get("name", "").lower(), info.get("value", "").strip()
    is_error = name in _ERRORS or (name == "query_status" and value.upper() == "ERROR")
    if is_error and value:
        raise BadCatalogueError(f"VizieR answered with an error: {value[:200]}")
    return name == "query_status" and value.upper() == "OVERFLOW"
