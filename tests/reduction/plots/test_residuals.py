import numpy as np
import pytest

from reduction.astrometry.wcs import TanSip
from reduction.plots.residuals import MOST_ARROWS, MOST_DOTS, Offsets, offsets, quiver, target
from tests.reduction.plots.svg import numbers, of_class, starts, steps, words_of

SHAPE = (1000, 1500)
SCALE = 0.5
ANGLE = np.radians(25.0)
WCS = TanSip(  # turned, and not mirrored
    crval=(35.6, -62.4),
    crpix=(750.0, 500.0),
    cd=SCALE / 3600 * np.array([[-np.cos(ANGLE), np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]]),
)
MIRRORED = TanSip(WCS.crval, WCS.crpix, WCS.cd * np.array([[-1.0], [1.0]]))


def moved(wcs: TanSip, n: int, dx: float, dy: float, sigma: float = 0.0) -> Offsets:
    """Stars that were found off their catalogue places by a step in pixels."""
    rng = np.random.default_rng(n)
    x, y = rng.uniform(0, SHAPE[1], n), rng.uniform(0, SHAPE[0], n)
    true_x, true_y = x - dx - rng.normal(0, sigma, n), y - dy - rng.normal(0, sigma, n)
    return offsets((x, y), wcs.sky(x, y), wcs.sky(true_x, true_y), np.arange(n))


@pytest.mark.parametrize("wcs", [WCS, MIRRORED])
def test_offset_in_pixels_is_found_back_however_the_frame_is_turned(wcs: TanSip) -> None:
    found = moved(wcs, 50, 0.8, -0.3)

    assert found.dx == pytest.approx(0.8, abs=0.001)
    assert found.dy == pytest.approx(-0.3, abs=0.001)
    assert np.hypot(found.east, found.north) == pytest.approx(np.hypot(0.8, 0.3) * SCALE, abs=1e-3)


def test_offset_on_the_sky_is_found_less_catalogue() -> None:
    ra, dec = np.full(4, 120.0), np.full(4, 60.0)
    x, y = np.array([0.0, 10, 0, 10]), np.array([0.0, 0, 10, 10])
    ra_found = ra + x * 1e-4
    dec_found = dec + y * 1e-4
    known = ra_found - 1 / 3600, dec_found + 2 / 3600

    found = offsets((x, y), (ra_found, dec_found), known, np.arange(4))

    assert found.east == pytest.approx(np.cos(np.radians(60)), rel=1e-3)
    assert found.north == pytest.approx(-2.0, rel=1e-3)


def test_sources_that_are_no_star_of_the_catalogue_are_left_out() -> None:
    x, y = np.random.default_rng(1).uniform(0, 1000, (2, 20))
    ra, dec = WCS.sky(x, y)
    known_ra = np.where(np.arange(20) % 4 == 0, np.nan, ra)

    found = offsets((x, y), (ra, dec), (known_ra, dec), np.arange(100, 120))

    assert len(found) == 15
    assert found.number.tolist() == [100 + k for k in range(20) if k % 4]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_stars_have_no_offsets(n: int) -> None:
    x = np.arange(float(n))

    found = offsets((x, x), WCS.sky(x, x), WCS.sky(x, x), np.arange(n))

    assert len(found) == 0


def test_field_across_the_meridian_of_no_right_ascension_is_no_wider_for_it() -> None:
    wcs = TanSip((0.0, 10.0), WCS.crpix, WCS.cd)

    found = moved(wcs, 60, 0.5, 0.5)

    assert np.abs(found.east).max() < 1
    assert found.dx == pytest.approx(0.5, abs=0.001)


def test_scatter_is_that_of_most_stars_not_of_wrong_matches() -> None:
    rng = np.random.default_rng(3)
    east, north = rng.normal(0, 0.1, (2, 2000))
    east[:60] = 5.0
    zero = np.zeros(2000)

    found = Offsets(np.arange(2000), zero, zero, zero, zero, east, north)

    assert found.rms_arcsec == pytest.approx(0.1, rel=0.08)


def test_arrows_point_from_the_catalogue_to_the_frame_and_the_key_says_how_long() -> None:
    drawn = quiver(moved(WCS, 80, 0.4, 0.2), SHAPE, SCALE)

    arrow = of_class(drawn, "arrow")[0]
    longer = np.hypot(0.4, 0.2)
    lengths = np.hypot(*steps(arrow).T)
    assert steps(arrow)[:, 0] / lengths == pytest.approx(0.4 / longer, abs=0.01)
    assert steps(arrow)[:, 1] / lengths == pytest.approx(-0.2 / longer, abs=0.01)  # y is down
    key = of_class(drawn, "key")[0]
    said = float(next(text for text in words_of(drawn) if text.endswith("″"))[:-1])
    arcsec_a_unit = longer * SCALE / lengths.mean()
    assert np.hypot(*steps(key)[0]) * arcsec_a_unit == pytest.approx(said, rel=0.02)


def test_of_few_stars_each_has_an_arrow_from_its_place() -> None:
    stars = moved(WCS, 30, 0.1, 0.1, sigma=0.2)

    drawn = quiver(stars, SHAPE, SCALE)

    (dots,) = of_class(drawn, "small")
    assert numbers(dots) == list(range(30))
    assert starts(of_class(drawn, "arrow")[0]) == pytest.approx(starts(dots), abs=0.11)


def test_of_many_stars_the_means_of_cells_stand_out_where_they_are_no_chance() -> None:
    n = 4 * MOST_ARROWS
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0, SHAPE[1], n), rng.uniform(0, SHAPE[0], n)
    dx = np.where(x > SHAPE[1] / 2, 0.5, 0.0) + rng.normal(0, 0.1, n)
    dy = rng.normal(0, 0.1, n)
    stars = Offsets(np.arange(n), x, y, dx, dy, dx * SCALE, dy * SCALE)

    drawn = quiver(stars, SHAPE, SCALE)

    middle, cell = (58 + 440 - 14) / 2, 31.0  # of those across the middle half the stars moved
    strong = starts(of_class(drawn, "strong")[0])[:, 0]
    soft = starts(of_class(drawn, "soft")[0])[:, 0]
    assert np.mean(strong > middle - cell / 2) > 0.98
    assert np.mean(soft < middle + cell / 2) > 0.98
    assert len(strong) > 30


def test_target_has_east_to_the_left_and_north_up() -> None:
    rng = np.random.default_rng(7)
    east, north = rng.normal(0, 0.05, (2, 100))
    east[0], north[0] = 0.15, 0.12
    zero = np.zeros(100)

    drawn = target(Offsets(np.arange(100), zero, zero, zero, zero, east, north))

    first, *rings = starts(of_class(drawn, "small")[0])[0], *of_class(drawn, "ring")
    x, y = float(rings[0].get("cx", "")), float(rings[0].get("cy", ""))
    assert first[0] < x
    assert first[1] < y
    assert float(rings[1].get("r", "")) == pytest.approx(3 * float(rings[0].get("r", "")), rel=0.01)


def test_drawing_of_very_many_stars_stays_small() -> None:
    stars = moved(WCS, 5 * MOST_DOTS, 0.1, 0.0, sigma=0.1)

    assert len(quiver(stars, SHAPE, SCALE)) < 150_000
    assert len(target(stars)) < 150_000


@pytest.mark.parametrize("step", [0.0, 1e-9])
def test_stars_found_just_where_they_should_be_can_be_drawn(step: float) -> None:
    stars = moved(WCS, 20, step, 0.0)

    assert "nan" not in quiver(stars, SHAPE, SCALE)
    assert "nan" not in target(stars)
