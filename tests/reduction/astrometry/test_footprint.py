"""Cells a frame reaches into: none is missed, at the poles and at right ascension 0 too."""

import numpy as np
import pytest

from reduction.astrometry.footprint import (
    CELL_RADII,
    FINEST,
    cells_around,
    cells_of,
    is_near,
)
from reduction.astrometry.wcs import TanSip
from reduction.refcat.geometry import positions, separations_deg
from reduction.refcat.pixels import centres_of, nested_of, pixel_size_deg
from reduction.refcat.regions import Cone

SHAPE = (300, 400)
PLACES = [(10.0, 20.0), (0.0, 0.0), (359.99, -35.0), (123.0, 90.0), (45.0, -89.9), (200.0, 41.81)]
WIDTHS_DEG = [0.02, 0.4, 1.6, 12.0, 50.0]


def frame_at(place: tuple[float, float], width_deg: float, angle_deg: float = 30.0) -> TanSip:
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    cd = width_deg / SHAPE[1] * np.array([[-cos, sin], [sin, cos]])
    bend = np.zeros((3, 3))
    bend[2, 0] = bend[0, 2] = 0.01 / SHAPE[1]
    return TanSip(place, ((SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2), cd, bend, -bend)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("width_deg", WIDTHS_DEG)
def test_every_place_of_a_frame_is_in_one_of_its_cells(
    place: tuple[float, float], width_deg: float, rng: np.random.Generator
) -> None:
    wcs = frame_at(place, width_deg)
    edge = rng.uniform(0, 1, (4, 500))
    y, x = (
        np.concatenate([rng.uniform(-0.5, n - 0.5, 2000), *sides])
        for n, sides in (
            (
                SHAPE[0],
                [edge[0] * SHAPE[0] - 0.5, edge[1] * SHAPE[0] - 0.5, [-0.5, SHAPE[0] - 0.5]],
            ),
            (SHAPE[1], [np.full(500, -0.5), np.full(500, SHAPE[1] - 0.5), [-0.5, SHAPE[1] - 0.5]]),
        )
    )
    ra, dec = wcs.sky(x, y)

    cells = cells_of(wcs, SHAPE)

    order = int(np.log2(cells[0])) // 2 - 1
    found = np.isin(nested_of(ra, dec, order) + (4 << 2 * order), cells)
    assert found.all()
    assert len(cells) < 250


@pytest.mark.parametrize("width_deg", [0.4, 1.6])
def test_a_frame_is_in_few_cells_it_does_not_show(width_deg: float) -> None:
    cells = cells_of(frame_at((200.0, 30.0), width_deg), SHAPE)

    area = 0.75 * width_deg**2
    grown = area + 2 * 1.75 * width_deg * 1.5 * pixel_size_deg(FINEST) + 4 * 0.5
    assert len(cells) * pixel_size_deg(FINEST) ** 2 < grown


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("width_deg", WIDTHS_DEG)
def test_a_cone_that_meets_a_frame_shares_a_cell_with_it(
    place: tuple[float, float], width_deg: float, rng: np.random.Generator
) -> None:
    wcs = frame_at(place, width_deg)
    y, x = rng.uniform(-0.5, SHAPE[0] - 0.5, 6), np.full(6, -0.5)  # on an edge of it
    cells = set(cells_of(wcs, SHAPE).tolist())

    for ra, dec in zip(*wcs.sky(x, y), strict=True):
        cone = Cone(float(ra), float(dec), 1e-9)
        assert cells & set(cells_around(cone).tolist())
        assert is_near(wcs, SHAPE, Cone(float(ra), float(dec), 1e-6))


def test_a_cone_beside_a_frame_is_near_it_only_if_it_reaches_it() -> None:
    wcs = frame_at((10.0, 20.0), 0.4, angle_deg=0.0)
    corner_ra, corner_dec = wcs.sky(np.array([-0.5]), np.array([-0.5]))
    away_ra, away_dec = float(corner_ra[0]) + 0.2, float(corner_dec[0]) - 0.2
    away = float(separations_deg(corner_ra, corner_dec, away_ra, away_dec)[0])

    assert is_near(wcs, SHAPE, Cone(away_ra, away_dec, away * 1.001))
    assert not is_near(wcs, SHAPE, Cone(away_ra, away_dec, away * 0.8))
    assert not is_near(wcs, SHAPE, Cone(away_ra, away_dec, 0.0))
    assert not is_near(wcs, SHAPE, Cone(190.0, -20.0, 1.0))  # where the projection has no place


def test_no_corner_of_a_cell_is_further_from_its_middle_than_is_assumed(
    rng: np.random.Generator,
) -> None:
    ra, dec = positions(rng.normal(size=(3, 50_000)))

    for order in (0, 3, FINEST):
        cells = nested_of(ra, dec, order)
        middle_ra, middle_dec = centres_of(cells, order)
        away = np.degrees(
            2
            * np.arcsin(
                np.sqrt(
                    np.sin(np.radians(dec - middle_dec) / 2) ** 2
                    + np.cos(np.radians(dec))
                    * np.cos(np.radians(middle_dec))
                    * np.sin(np.radians(ra - middle_ra) / 2) ** 2
                )
            )
        )
        assert away.max() < CELL_RADII * pixel_size_deg(order)


def test_a_projection_survives_being_told_in_plain_numbers() -> None:
    wcs = frame_at((10.0, 20.0), 0.4)

    again = TanSip.of_lists(wcs.as_lists())

    assert (again.crval, again.crpix) == (wcs.crval, wcs.crpix)
    for name in ("cd", "a", "b"):
        assert np.array_equal(getattr(again, name), getattr(wcs, name))
