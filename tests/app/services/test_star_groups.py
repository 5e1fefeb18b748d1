"""One star or several: sources of many frames put together by place."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from app.services import star_groups
from app.services.cone import Found
from app.services.star_groups import REACH_ARCSEC, star_at, stars_in
from reduction.refcat.geometry import separations_deg

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


def found_at(ra: Any, dec: Any, frame_of: Any, error: float = 0.1) -> Found:
    """Sources at places on the sky."""
    columns = {"ra_deg": np.asarray(ra) % 360, "dec_deg": np.asarray(dec)}
    columns["error_arcsec"] = np.full(len(columns["ra_deg"]), error)
    return Found([], [], np.asarray(frame_of), columns, None)


def test_nothing_is_no_star() -> None:
    assert stars_in(found([]), RA, DEC) == []


def test_star_that_is_missing_on_a_frame_is_not_replaced_by_its_neighbour() -> None:
    star, neighbour = (0.3, 0.0), (2.2, 0.4)

    one, other = stars_in(found([star, neighbour], [neighbour], [star, neighbour]), RA, DEC)

    assert one.rows == [0, 3]
    assert other.rows == [1, 2, 4]
    assert one.sep_arcsec == pytest.approx(0.3, abs=1e-6)
    assert other.sep_arcsec == pytest.approx(np.hypot(*neighbour), abs=1e-5)


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


@pytest.mark.parametrize("dec", [89.9, 90.0, -89.9])
def test_beside_the_pole_places_and_distances_are_those_on_the_sky(dec: float) -> None:
    rng = np.random.default_rng(3)
    ra, away = rng.uniform(0, 360, 40), rng.uniform(0.01, 0.3, 40)
    latitude = np.copysign(90 - away, dec)
    true = 3600 * separations_deg(ra, latitude, 25.0, dec)

    stars = stars_in(found_at(ra, latitude, np.zeros(40, int)), 25.0, dec)

    stars.sort(key=lambda star: star.rows[0])
    assert [star.sep_arcsec for star in stars] == pytest.approx(true.tolist(), abs=1e-5)
    assert [star.ra_deg for star in stars] == pytest.approx(ra.tolist(), abs=1e-6)
    assert [star.dec_deg for star in stars] == pytest.approx(latitude.tolist(), abs=1e-8)


def test_beside_the_pole_stars_are_told_apart_by_what_is_between_them_on_the_sky() -> None:
    # 100 arcseconds nearer to the pole than the middle, a degree is a smaller step.
    latitude, step = 90 - 100 / 3600, 2.0 / 3600 / np.sin(np.radians(100 / 3600))
    apart = found_at([10, 10 + step], [latitude] * 2, [0, 1], error=0.01)
    near = found_at([10, 10 + step * 0.35], [latitude] * 2, [0, 1], error=0.01)

    assert len(stars_in(apart, 10.0, 90 - 200 / 3600)) == 2
    assert len(stars_in(near, 10.0, 90 - 200 / 3600)) == 1


def test_in_a_crowd_every_source_goes_to_the_nearest_star_in_reach() -> None:
    rng = np.random.default_rng(20261122)
    truth = rng.uniform(-40, 40, (300, 2))
    frames = [
        [(float(x), float(y)) for x, y in truth + rng.normal(0, 0.2, truth.shape)] for _ in range(4)
    ]
    sources = found(*frames, error=0.2)

    stars = stars_in(sources, RA, DEC)

    assert sorted(sorted(star.rows) for star in stars) == by_trying_all(np.vstack(frames), 300)


def by_trying_all(places: Any, n_frame: int) -> list[list[int]]:
    """Put together sources of equal errors of 0.2 arcseconds, each looked at with every star."""
    groups: list[list[int]] = []
    for row, place in enumerate(places):
        away = [
            np.hypot(*(places[group].mean(axis=0) - place))
            if row // n_frame not in {other // n_frame for other in group}
            else np.inf
            for group in groups
        ]
        if away and min(away) <= REACH_ARCSEC + 3 * 0.2:
            groups[int(np.argmin(away))].append(row)
        else:
            groups.append([row])
    return sorted(groups)


def test_of_very_many_sources_only_the_nearest_are_put_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(star_groups, "_MOST_ROWS", 21)
    line = [(5.0 * n, 0.0) for n in range(40, -1, -1)]

    stars = stars_in(found(line, line), RA, DEC)

    assert [star.n_frames for star in stars] == [2] * 10  # the eleventh lacks a source, maybe
    assert [round(star.sep_arcsec) for star in stars] == [5 * n for n in range(10)]
    assert stars[1].rows == [39, 80]


def test_a_star_is_found_again_on_other_frames_by_its_place_or_not_at_all() -> None:
    star, neighbour = (4.0, 0.0), (6.5, 0.0)
    (before,) = stars_in(found([star]), RA, DEC)
    again = stars_in(found([(0.0, 0.0), neighbour, (4.2, 0.1)]), RA, DEC)
    gone = stars_in(found([(0.0, 0.0), neighbour]), RA, DEC)

    same = star_at(again, before.ra_deg, before.dec_deg)

    assert same is not None
    assert same.rows == [2]
    assert star_at(gone, before.ra_deg, before.dec_deg) is None
    assert star_at([], before.ra_deg, before.dec_deg) is None
    assert star_at(again, before.ra_deg - 180, -before.dec_deg) is None
