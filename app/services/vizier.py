"""VizieR, asked over the internet by astroquery, which a site installs if it wants this."""

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
    Answer,
    Table,
    answer_of,
)

SERVER: Final = "catalogues.server"
WAIT: Final = "catalogues.timeout_s"
MOST_BYTES: Final = 256 << 20


class AwayError(UnavailableError):
    """The server does not answer as it should; to ask it again at once is of no use."""


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


def ask(table: Table, cone: Cone, depth_mag: float, path: Path) -> Answer:
    """Have the stars of a cone written as a VOTable: the bright ones only, where they are too many.

    Raises
    ------
    UnavailableError
        If astroquery is not installed, or the server is away.
    BadCatalogueError
        If there are too many even so.
    """
    depth = depth_mag
    while True:
        path.write_bytes(_sent(table, cone, depth))
        try:
            answer = answer_of(path)
        except BadCatalogueError as error:
            raise AwayError(str(error)) from error
        if not answer.is_cut and answer.n_rows < MOST_ROWS:
            return answer
        depth -= STEP_MAG
        if depth < BRIGHTEST_LIMIT:
            raise BadCatalogueError(f"more than {MOST_ROWS:,} stars lie there: it is too many")


def _sent(table: Table, cone: Cone, depth_mag: float) -> bytes:
    now = settings.snapshot()
    server, wait_s = now.text(SERVER), now.number(WAIT)
    astroquery, requests, coordinates, units = (
        _module(name)
        for name in ("astroquery.vizier", "requests", "astropy.coordinates", "astropy.units")
    )
    asked = astroquery.Vizier(
        columns=table.columns,
        column_filters={table.limit: f"<{depth_mag:g}", **table.filters},
        row_limit=MOST_ROWS,
        timeout=wait_s,
        vizier_server=server,
    )
    place = coordinates.SkyCoord(cone.ra_deg, cone.dec_deg, unit="deg", frame="icrs")
    radius = cone.radius_deg * units.deg
    try:
        response = asked.query_region_async(place, radius=radius, catalog=table.name, cache=False)
        response.raise_for_status()
        content = bytes(response.content)
    except requests.Timeout as error:
        raise AwayError(f"VizieR ({server}) did not answer within {wait_s:g} s") from error
    except requests.HTTPError as error:
        status = error.response.status_code
        raise AwayError(f"VizieR ({server}) answered with HTTP status {status}") from error
    except OSError as error:
        raise AwayError(f"VizieR ({server}) is out of reach: is the internet there?") from error
    if len(content) > MOST_BYTES:
        raise BadCatalogueError(f"VizieR's answer of {len(content) >> 20} MB is too large")
    return content


def _module(name: str) -> Any:  # noqa: ANN401 - a module that may not be there has no types
    try:
        return import_module(name)
    except ImportError as error:
        raise UnavailableError(
            "VizieR is asked by astroquery, which is not installed: install it beside the program "
            "(pip install astroquery), or set catalogues.online to false"
        ) from error
