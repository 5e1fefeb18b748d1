"""Places on the sky that headers give, in whatever projection, against astropy."""

import warnings
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from reduction.cards import ProductCard
from reduction.headers.known_wcs import header_wcs
from reduction.headers.sky import wcs_cards

SHAPE = (800, 1000)
BASE: dict[str, Any] = {
    "CRVAL1": 173.4, "CRVAL2": 60.7, "CRPIX1": 300.0, "CRPIX2": 500.0,
    "CUNIT1": "deg", "CUNIT2": "deg",
}  # fmt: skip
MATRIX: dict[str, Any] = {"CD1_1": -1.1e-4, "CD1_2": 2e-6, "CD2_1": 3e-6, "CD2_2": 1.1e-4}
KINDS: dict[str, dict[str, Any]] = {
    "tan": {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", **MATRIX},
    "tpv": {
        "CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", **MATRIX, "PV1_1": 1.0, "PV2_1": 1.0,
        "PV1_4": 2e-4, "PV1_7": 0.05, "PV2_5": 1e-3,
    },
    "sip without its name": {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", **MATRIX, "A_ORDER": 2, "B_ORDER": 2,
        "A_2_0": 3e-6, "B_1_1": -2e-6,
    },
    "zenithal equal area, old matrix": {
        "CTYPE1": "RA---ZEA", "CTYPE2": "DEC--ZEA", "CDELT1": -1.1e-4, "CDELT2": 1.1e-4,
        "CROTA2": 12.0,
    },
    "galactic": {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN", **MATRIX},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_projections_are_followed_to_a_hundredth_of_a_pixel(kind: str) -> None:
    values = BASE | KINDS[kind]
    cards: list[ProductCard] = [(key, value, "") for key, value in values.items()]

    found = header_wcs(cards, SHAPE)

    assert found is not None
    header = fits.Header(list(values.items()))
    if "A_ORDER" in values:
        header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    x, y = np.array([5.0, 990.0, 500.0, 20.0]), np.array([5.0, 780.0, 400.0, 790.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        true = WCS(header).pixel_to_world(x, y).icrs
    back_x, back_y = found.pixel(true.ra.deg, true.dec.deg)
    assert np.hypot(back_x - x, back_y - y).max() < 0.02


@pytest.mark.parametrize("broken", [
    {"CTYPE1": "PIXEL"},
    {"CD1_1": 0.0, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.0},
    {"CRVAL1": "here"},
    {"CTYPE1": "RA---TAN", "CTYPE2": "RA---TAN"},
    {"CD1_1": 1e300, "CD2_2": 1e300},
])  # fmt: skip
def test_headers_that_place_nothing_give_none(broken: dict[str, Any]) -> None:
    values = BASE | KINDS["tan"] | broken

    assert header_wcs([(key, value, "") for key, value in values.items()], SHAPE) is None


def test_our_own_cards_come_back_the_same() -> None:
    first = header_wcs([(k, v, "") for k, v in (BASE | KINDS["tpv"]).items()], SHAPE)
    assert first is not None

    again = header_wcs(wcs_cards(first, SHAPE), SHAPE)

    assert again is not None
    ra, dec = first.sky(np.array([3.0, 900.0]), np.array([700.0, 10.0]))
    x, y = again.pixel(ra, dec)
    assert np.hypot(x - [3.0, 900.0], y - [700.0, 10.0]).max() < 0.02
