"""One star or several: sources of many frames put together by place."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from app.services.cone import Found
from app.services.star_groups import REACH_ARCSEC, stars_in

RA, DEC = 359.9999, 60.0


def found(*frames: list[tuple[float, float]], error: float = 0.1) -> Found:
    """Sources of frames, each at some arcseconds to the east and north of the middle."""
    places = np.array([place for frame in frames for place in frame], float).reshape(-1, 2)
    frame_of = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
    columns: dict[str, Any] = {
        "ra_deg": (RA + places[:, 0] / 3600 / np.cos(np.radians(DEC))) % 360,
        "dec_deg": DEC + places[:, 1] / 3600,
        "error_arcsec": np.full(len(places), error),
    }
    return Found([], [], frame_of, columns, None)


def test_nothing_is_no_star() -> None:
    assert stars_in(found([]), RA, DEC) == []


def test_star_that_is_missing_on_a_frame_is_not_replaced_by_its_neighbour() -> None:
    star, neighbour = (0.3, 0.0), (2.2, 0.4)

    one, other = stars_in(found([star, neighbour], [neighbour], [star, neighbour]), RA, DEC)

    assert one.rows == [0, 3]
    assert other.rows == [1, 2, 4]
    assert one.sep_arcsec == pytest.approx(0.3, abs=1e-6)
    assert other.sep_arcsec == pytest.approx(np.hypot(*neighbour), abs=1e-6)


def test_place_of_a_star_is_given_across_the_zero_of_right_ascension() -> None:
    (star,) = stars_in(found([(2.0, 1.0)], [(2.2, 1.2)]), RA, DEC)

    assert star.ra_deg == pytest.approx((RA + 2.1 / 3600 / 0.5) % 360, abs=1e-7)
    assert star.ra_deg < 1
    assert star.dec_deg == pytest.approx(DEC + 1.1 / 3600, abs=1e-9)


def test_scatter_of_a_star_makes_no_second_one() -> None:
    rng = np.random.default_rng(20261122)
    frames = [[(float(x), float(y))] for x, y in rng.normal(0, 0.2, (50, 2))]

    (star,) = stars_in(found(*frames, error=0.2), RA, DEC)

    assert star.n_frames == 50


def test_two_sources_of_one_frame_are_two_stars_however_near() -> None:
    one, other = stars_in(found([(0.0, 0.0), (0.4, 0.0)], [(0.05, 0.0), (0.45, 0.0)]), RA, DEC)

    assert one.rows == [0, 2]
    assert other.rows == [1, 3]


def test_faint_sources_may_lie_farther_apart() -> None:
    far = REACH_ARCSEC + 0.5
    places = [(0.0, 0.0)], [(far, 0.0)]

    assert len(stars_in(found(*places, error=0.01), RA, DEC)) == 2
    assert len(stars_in(found(*places, error=0.5), RA, DEC)) == 1
    assert len(stars_in(found(*places, error=np.nan), RA, DEC)) == 1


def test_noise_that_is_a_little_nearer_is_not_what_is_meant() -> None:
    star, noise = (1.2, 0.0), (-0.3, 0.6)

    meant, other = stars_in(found([star], [star, noise], [star]), RA, DEC)

    assert meant.n_frames == 3
    assert other.n_frames == 1


def test_stars_come_by_distance() -> None:
    stars = stars_in(found([(9.0, 0), (0.0, 0), (-6.0, 0), (0, 3.0)]), RA, DEC)

    assert [round(star.sep_arcsec) for star in stars] == [0, 3, 6, 9]
    assert all(a.sep_arcsec <= b.sep_arcsec for a, b in pairwise(stars))
