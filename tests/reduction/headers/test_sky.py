"""The place of a solved frame is read back from its header as it was written."""

import numpy as np
import pytest
from astropy.io import fits

from reduction.astrometry.wcs import TanSip
from reduction.cards import Cards
from reduction.headers.sky import solved_wcs, wcs_cards

SHAPE = (600, 800)


def bent(order: int) -> TanSip:
    rng = np.random.default_rng(3)
    a, b = (np.zeros((order + 1, order + 1)) for _ in "ab")
    for square in (a, b):
        for p in range(order + 1):
            for q in range(order + 1 - p):
                if 2 <= p + q <= order:
                    square[p, q] = rng.normal() * 10.0 ** (-3 * (p + q) + 2)
    cd = 1e-4 * np.array([[-1.0, 0.2], [0.2, 1.0]])
    return TanSip((359.99, -72.0), (400.25, 299.5), cd, *((a, b) if order > 1 else ()))


def cards_of(wcs: TanSip, said: object = True) -> Cards:
    header = fits.Header(wcs_cards(wcs, SHAPE))
    if said is not None:
        header["WCSSOLVE"] = said
    return Cards.from_text(header.tostring(sep="\n", endcard=False, padding=False).splitlines())


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_a_projection_is_read_back_as_it_was_written(order: int) -> None:
    wcs = bent(order)

    again = solved_wcs(cards_of(wcs))

    assert again is not None
    assert again.order == order
    x, y = np.meshgrid(np.linspace(0, 799, 9), np.linspace(0, 599, 9))
    for one, other in zip(
        again.sky(x.ravel(), y.ravel()), wcs.sky(x.ravel(), y.ravel()), strict=True
    ):
        assert np.allclose(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("said", [False, None, "T"])
def test_a_place_that_was_not_proved_is_none(said: object) -> None:
    assert solved_wcs(cards_of(bent(1), said)) is None
