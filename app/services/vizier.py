"""VizieR, asked over the internet by astroquery, which a site installs if it wants this."""

import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from app.errors import NotFoundError, UnavailableError
from app.services import settings
from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.regions import Cone
from reduction.refcat.vizier import (
    BRIGHTEST_LIMIT,
    MOST_ROWS,
    STEP_MAG,
    TABLES,
    Table,
)
from reduction.refcat.vizieranswers import answer_of

SERVER: Final = "catalogues.server"
WAIT: Final = "catalogues.timeout_s"
MOST_BYTES: Final = 256 << 20
MOST_S: Final = 300.0  # for the whole of a question, however its answer dribbles in
_READ_BYTES: Final = 1 << 10  # at a time: few, so that the time is looked at often
_TOO_MANY_REQUESTS: Final = 429


class AwayError(UnavailableError):
    """The server does not answer as it should; to ask it again at once is of no use."""


@dataclass(frozen=True, slots=True)
class Given:
    """What VizieR gave: so many stars, up to a magnitude."""

    n_rows: int
    depth_mag: float


def table_of(name: str) -> Table:
    """Return VizieR's table of a catalogue.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    if name not in TABLES:
        known = ", ".join(TABLES)
        raise NotFoundError(f"VizieR is asked for {known}, and not for {name}")
    return TABLES[name]


def ask(table: Table, cone: Cone, depth_mag: float, path: Path) -> Given:
    """Have the stars of a cone written as a VOTable: the bright ones only, where they are too many.

    Raises
    ------
    UnavailableError
        If astroquery is not installed, or the server is away.
    BadCatalogueError
        If the answer is none, or there are too many stars even so.
    """
    depth, until = depth_mag, time.monotonic() + MOST_S
    while True:
        _bring(table, cone, depth, path, until)
        answer = answer_of(path)
        if not answer.is_cut and answer.n_rows < MOST_ROWS:
            return Given(answer.n_rows, depth)
        depth -= STEP_MAG
        if depth < BRIGHTEST_LIMIT:
            raise BadCatalogueError(f"more than {MOST_ROWS:,} stars lie there: it is too many")


def _bring(table: Table, cone: Cone, depth_mag: float, path: Path, until: float) -> None:
    """Write what VizieR sends to a file, as it comes."""
    now, requests = settings.snapshot(), _module("requests")
    server, wait_s = now.text(SERVER), now.number(WAIT)
    question = _question(table, cone, depth_mag)
    url = f"https://{server}/viz-bin/votable"
    try:
        with requests.post(url, data=question, timeout=wait_s, stream=True) as response:
            response.raise_for_status()
            _write(response, path, until)
    except requests.Timeout as error:
        raise AwayError(f"VizieR ({server}) did not answer within {wait_s:g} s") from error
    except requests.HTTPError as error:
        status = error.response.status_code
        kind = AwayError if status >= 500 or status == _TOO_MANY_REQUESTS else BadCatalogueError
        raise kind(f"VizieR ({server}) answered with HTTP status {status}") from error
    except requests.RequestException as error:
        raise AwayError(f"VizieR ({server}) is out of reach: is the internet there?") from error


def _question(table: Table, cone: Cone, depth_mag: float) -> Any:  # noqa: ANN401 - astroquery's own
    """Return what VizieR is sent, as astroquery words it."""
    astroquery, coordinates, units = (
        _module(name) for name in ("astroquery.vizier", "astropy.coordinates", "astropy.units")
    )
    asked = astroquery.Vizier(
        columns=table.columns,
        column_filters={table.limit: f"<{depth_mag:g}", **table.filters},
        row_limit=MOST_ROWS,
    )
    place = coordinates.SkyCoord(cone.ra_deg, cone.dec_deg, unit="deg", frame="icrs")
    radius = cone.radius_deg * units.deg
    return asked.query_region_async(
        place, radius=radius, catalog=table.name, get_query_payload=True
    )


def _write(response: Any, path: Path, until: float) -> None:  # noqa: ANN401 - of requests
    n_bytes = 0
    with path.open("wb") as file:
        for piece in response.iter_content(_READ_BYTES):
            n_bytes += file.write(piece)
            if n_bytes > MOST_BYTES:
                raise BadCatalogueError(
                    f"VizieR's answer of over {MOST_BYTES >> 20} MB is too large"
                )
            if time.monotonic() > until:
                raise AwayError(f"VizieR's answer was not whole after {MOST_S:g} s")


def _module(name: str) -> Any:  # noqa: ANN401 - a module that may not be there has no types
    try:
        return import_module(name)
    except ImportError as error:
        raise UnavailableError(
            "VizieR is asked by astroquery, which is not installed: install it beside the program "
            "(pip install astroquery), or set catalogues.online to false"
        ) from error
