"""Every kernel of astrometry compiled, or loaded, before a frame needs it."""

from functools import partial
from typing import Final

import numpy as np

from reduction.astrometry.placing import Elsewhere, Hints, place
from reduction.astrometry.quads import QuadTables, quads_of
from reduction.astrometry.solution import Pointing, SkyList, StarList
from reduction.astrometry.solver import solve
from reduction.astrometry.wcs import Floats, TanSip

SIDE_PIX, SCALE_ARCSEC, N_STARS = 1024, 1.5, 60
PLACE: Final = (150.0, 20.0)


def warm() -> None:
    """Place the stars of one small piece of sky, with a pointing and without."""
    rng = np.random.default_rng(1)
    ra, dec = (centre + rng.uniform(-0.25, 0.25, N_STARS) for centre in PLACE)
    stars, catalogue = _stars(ra, dec), SkyList(ra, dec)
    solve(stars, catalogue, Pointing(*PLACE, SCALE_ARCSEC, 0.2))
    for quads in (quads_of(ra, dec), _as_mapped(quads_of(ra, dec))):
        elsewhere = Elsewhere(partial(_only, quads))
        place(stars, Hints(None, None, None), lambda *_: [catalogue], elsewhere)


def _only(quads: QuadTables) -> list[QuadTables]:
    return [quads]


def _stars(ra: Floats, dec: Floats) -> StarList:
    middle = (SIDE_PIX - 1) / 2
    cd = SCALE_ARCSEC / 3600 * np.diag([-1.0, 1.0])
    x, y = TanSip(PLACE, (middle, middle), cd).pixel(ra, dec)
    on = (x > 0) & (x < SIDE_PIX - 1) & (y > 0) & (y < SIDE_PIX - 1)
    return StarList(x[on], y[on], np.full(int(on.sum()), 0.1), (SIDE_PIX, SIDE_PIX))


def _as_mapped(tables: QuadTables) -> QuadTables:
    """Return quads as they come from a file: to a compiler, what cannot be written is another."""
    for part in (*tables.sky, *tables.quads):
        if isinstance(part, np.ndarray):
            part.flags.writeable = False
    return tables
