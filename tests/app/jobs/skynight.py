"""Raw frames of stars, and a catalogue of this site that knows them."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from app.services import ingest, refcats
from reduction.astrometry.wcs import TanSip
from tests.app.jobs.simnight import BIAS_ADU, GAIN_E_PER_ADU, write_raw
from tests.reduction.photometry.stars import Sky, make_sky

SHAPE: Final = (300, 400)
SCALE_ARCSEC: Final = 1.5
PLACE: Final = (114.6, 21.57)
ZERO_POINT_MAG: Final = 23.0
EXPTIME_S: Final = 10.0
CATALOGUE: Final = "test"
_CD: Final = SCALE_ARCSEC / 3600 * np.array([[-1.0, 0.05], [0.05, 1.0]])
TRUTH: Final = TanSip(PLACE, ((SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2), _CD)


def stars(seed: int = 1) -> Sky:
    """The same stars with other noise: how many electrons each sends is known."""
    return make_sky(np.random.default_rng(seed), 70, shape=SHAPE, flux=(4e3, 2e5))


def load_catalogue(sky: Sky, folder: Path, *, fainter_mag: float = 0.0) -> None:
    """Load the stars of a frame as a catalogue with a band r."""
    ra, dec = TRUTH.sky(sky.x, sky.y)
    mag = ZERO_POINT_MAG - 2.5 * np.log10(sky.flux / EXPTIME_S) + fainter_mag
    lines = [f"{a:.8f},{d:.8f},{m:.4f},0.005" for a, d, m in zip(ra, dec, mag, strict=True)]
    file = folder / "stars.csv"
    file.write_text("\n".join(["ra,dec,r,r_err", *lines]) + "\n")
    covers = (f"{PLACE[0]},{PLACE[1]},1.5",)
    columns = "ra=ra,dec=dec,r=r,r_err=r_err"
    refcats.load_files(
        refcats.Request(CATALOGUE, [file], columns=columns, system="SDSS", covers=covers)
    )


def expose(sky: Sky, **values: Any) -> None:
    """Write a raw science frame of some stars and register it."""
    cards = {
        "RA": PLACE[0] + 0.01,
        "DEC": PLACE[1] - 0.01,
        "FOCALLEN": round(206.26480625 * 10.0 / SCALE_ARCSEC, 3),
        "XPIXSZ": 10.0,
        "YPIXSZ": 10.0,
        "SATURATE": 65_000.0,
    }
    data = sky.image.data / GAIN_E_PER_ADU + BIAS_ADU
    write_raw("science", data=data, exptime_s=EXPTIME_S, cards=cards, **values)
    ingest.scan(again=True)
