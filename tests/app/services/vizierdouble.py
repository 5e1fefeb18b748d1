"""Stands in for astroquery and the internet behind it: what VizieR answers, or that it does not."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import requests
import urllib3
from astropy import units
from astropy.coordinates import SkyCoord

Sky = list[dict[str, float]]
_COLOURS = {"g": 0.5, "r": 0.0, "i": -0.2, "z": -0.3}
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
    "<DESCRIPTION>VizieR Astronomical Server</DESCRIPTION>\n"
)
NOTHING = _HEAD + '<INFO name="-out.max" value="200000"/>\n</VOTABLE>\n'
# As it was answered when VizieR's own database was away.
NO_DATABASE = _HEAD + (
    '<INFO ID="Error" name="Error" value="The database is not currently reachable." />\n'
    '<INFO name="QUERY_STATUS" value="ERROR">\n -- no connection\n</INFO>\n'
    "<RESOURCE>\n</RESOURCE>\n</VOTABLE>\n"
)


@dataclass
class VizierDouble:
    """A VizieR that knows some stars; `asked` has what it was asked for."""

    sky: Sky = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[], str] | None = None  # in place of the stars; it may raise
    status: int = 200

    def respond(self, query: dict[str, Any]) -> requests.Response:
        self.asked.append(query)
        response = requests.Response()
        response.status_code = self.status
        text = self.answer() if self.answer else votable(self._found(query), query["columns"])
        body = io.BytesIO(text.encode())
        response.raw = urllib3.HTTPResponse(body, status=self.status, preload_content=False)
        return response

    def _found(self, query: dict[str, Any]) -> Sky:
        place, radius = query["place"], query["radius_deg"]
        (column, limit), *_ = query["filters"].items()
        at = SkyCoord([[star["RA_ICRS"], star["DE_ICRS"]] for star in self.sky], unit="deg")
        is_near = at.separation(place).deg <= radius
        faintest = float(limit.lstrip("<"))
        near = [star for star, ok in zip(self.sky, is_near, strict=True) if ok]
        return [star for star in near if star[column] < faintest][: query["rows"]]


def votable(stars: Sky, columns: list[str]) -> str:
    """Return stars as VizieR does; columns it does not have are left out without a word."""
    names = [name for name in columns if not stars or name in stars[0]]
    fields = "".join(f'<FIELD name="{name}" datatype="double"/>\n' for name in names)
    cells = ("".join(f"<TD>{star[name]!r}</TD>" for name in names) for star in stars)
    rows = "".join(f"<TR>{row}</TR>\n" for row in cells)
    return (
        f'{_HEAD}<RESOURCE><TABLE name="one">\n{fields}<DATA><TABLEDATA>\n{rows}'
        "</TABLEDATA></DATA></TABLE></RESOURCE>\n</VOTABLE>\n"
    )


def stars_around(ra: float, dec: float, n: int = 60, *, reach: float = 0.3, seed: int = 1) -> Sky:
    """Return stars of ATLAS-REFCAT2 at random places in a square."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-reach, reach, (2, n))
    mags = rng.uniform(12, 18, n)
    return [
        {
            "RA_ICRS": float((ra + x[i] / np.cos(np.radians(dec))) % 360),
            "DE_ICRS": float(dec + y[i]),
            **{f"{band}mag": float(mags[i] + step) for band, step in _COLOURS.items()},
            **{f"e_{band}mag": 0.01 for band in _COLOURS},
            "pmRA": 0.0,
            "pmDE": 0.0,
        }
        for i in range(n)
    ]


def install(monkeypatch: pytest.MonkeyPatch, double: VizierDouble) -> None:
    """Put it where astroquery would be."""

    class Vizier:
        def __init__(self, **how: Any) -> None:
            self.how = how

        def query_region_async(
            self, place: SkyCoord, *, radius: units.Quantity, catalog: str, get_query_payload: bool
        ) -> dict[str, Any]:
            assert get_query_payload
            return {
                "place": place,
                "radius_deg": radius.to_value("deg"),
                "table": catalog,
                "columns": self.how["columns"],
                "filters": self.how["column_filters"],
                "rows": self.how["row_limit"],
            }

    def post(url: str, *, data: dict[str, Any], timeout: float, stream: bool) -> requests.Response:
        assert stream
        return double.respond(data | {"url": url, "timeout": timeout})

    package, module = ModuleType("astroquery"), ModuleType("astroquery.vizier")
    module.Vizier = Vizier  # type: ignore[attr-defined]
    package.vizier = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "astroquery", package)
    monkeypatch.setitem(sys.modules, "astroquery.vizier", module)
    monkeypatch.setattr(requests, "post", post)


def remove(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have astroquery not installed, be it or not."""
    monkeypatch.setitem(sys.modules, "astroquery", None)
    monkeypatch.setitem(sys.modules, "astroquery.vizier", None)
