import numpy as np
import pytest

from reduction.refcat.coverage import Coverage, declared, joined, of_stars, whole_sky
from reduction.refcat.errors import BadRegionError
from reduction.refcat.pixels import cover, nested_of, order_for
from reduction.refcat.regions import Cone

FIELD = Cone(40.0, -30.0, 2.0)


def fraction(coverage: Coverage, cone: Cone, finest: int = 9) -> float:
    return coverage.fraction(cone, cover(cone, order_for(cone.radius_deg, finest)))


@pytest.mark.parametrize("finest", [3, 5, 9])
def test_fraction_of_a_cone_is_what_of_it_is_loaded(finest: int) -> None:
    coverage = declared(FIELD)

    assert fraction(coverage, Cone(40.0, -30.0, 1.8), finest) == 1.0
    assert fraction(coverage, Cone(40.0, -30.0, 1e-6), finest) == 1.0
    assert fraction(coverage, Cone(44.0, -30.0, 1.0), finest) == 0.0
    assert fraction(coverage, Cone(40.0, -30.0, 4.0), finest) == pytest.approx(0.25, abs=0.01)


def test_area_is_that_of_what_was_declared() -> None:
    assert whole_sky().square_degrees == pytest.approx(41252.96, abs=0.01)
    assert declared(FIELD).square_degrees == pytest.approx(np.pi * 4, rel=0.01)
    north = declared(Cone(0, 90, 120))
    assert north.square_degrees == pytest.approx(0.75 * 41252.96, rel=0.01)


def test_positions_are_told_apart() -> None:
    found = declared(FIELD).contains(np.array([40.0, 39.0, 50.0]), np.array([-30.0, -30.5, -30.0]))

    assert found.tolist() == [True, True, False]


def test_joined_pieces_count_once_where_they_overlap() -> None:
    apart = declared(Cone(200.0, 10.0, 1.0))

    both = joined([declared(FIELD), apart, declared(Cone(40.0, -30.0, 1.0))])

    area = declared(FIELD).square_degrees + apart.square_degrees
    assert both.square_degrees == pytest.approx(area, rel=0.005)
    assert fraction(both, Cone(200.0, 10.0, 0.5)) == 1.0


def test_gap_between_stars_is_loaded_and_the_outside_is_not() -> None:
    rng = np.random.default_rng(5)
    ra, dec = rng.uniform(98, 102, 3000), rng.uniform(-2, 2, 3000)
    pixels = np.unique(nested_of(ra, dec, 7))
    hole = int(nested_of(np.array([100.0]), np.array([0.0]), 7)[0])

    coverage = of_stars(pixels[pixels != hole], 7)

    assert coverage.contains(np.array([100.0, 104.0]), np.array([0.0, 0.0])).tolist() == [
        True,
        False,
    ]


def test_piece_of_no_size_is_refused() -> None:
    with pytest.raises(BadRegionError):
        declared(Cone(10.0, 10.0, 0.0))
