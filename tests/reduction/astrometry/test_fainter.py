"""Frames whose own stars are too few to be matched, placed by fainter ones."""

import numpy as np
import pytest

from reduction.astrometry.fainter import FEW, place_by_fainter
from reduction.astrometry.placing import HINTS_ALONE, Hints
from reduction.astrometry.solution import SkyList, StarList
from reduction.astrometry.wcs import TanSip
from reduction.photometry.detection import detect
from tests.reduction.photometry.stars import Sky, make_sky

SHAPE = (512, 512)
CENTRE = (150.0, -20.0)
HINTS = Hints(150.02, -20.01, 1.0)


@pytest.fixture(params=[1.0, -1.0], ids=["mirrored", "not mirrored"])
def truth(request: pytest.FixtureRequest) -> TanSip:
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    return TanSip(CENTRE, (255.5, 255.5), turn @ np.diag([request.param, 1.0]) / 3600)


@pytest.fixture
def sky(rng: np.random.Generator) -> Sky:
    return make_sky(rng, 60, shape=SHAPE, flux=(8e2, 5e4))


def listed(sky: Sky, n: int) -> StarList:
    """Return the brightest sources of a frame."""
    found = detect(sky.image).sources
    return StarList(found.x[:n], found.y[:n], found.error_pix[:n], SHAPE)


def test_a_place_of_fainter_stars_is_told_by_the_frames_own(sky: Sky, truth: TanSip) -> None:
    stars, known = listed(sky, 14), SkyList(*truth.sky(sky.x, sky.y))

    found = place_by_fainter(sky.image, stars, HINTS, lambda *_: [known], HINTS_ALONE)

    assert found is not None
    assert set(found.solution.stars) <= set(range(14))
    assert len(found.solution.stars) >= 12
    x, y = found.solution.wcs.pixel(*truth.sky(np.array([60.0]), np.array([400.0])))
    assert np.hypot(x[0] - 60, y[0] - 400) < 0.5


def test_stars_that_do_not_lie_there_do_not_bear_it_out(
    sky: Sky, truth: TanSip, rng: np.random.Generator
) -> None:
    x, y = rng.uniform(0, 512, (2, 14))
    elsewhere = StarList(x, y, np.full(14, 0.1), SHAPE)
    known = SkyList(*truth.sky(sky.x, sky.y))

    assert place_by_fainter(sky.image, elsewhere, HINTS, lambda *_: [known], HINTS_ALONE) is None


def test_of_many_stars_no_fainter_ones_are_looked_for(sky: Sky, rng: np.random.Generator) -> None:
    x, y = rng.uniform(0, 512, (2, FEW + 1))
    many = StarList(x, y, np.full(FEW + 1, 0.1), SHAPE)

    def refuse(*_: float) -> list[SkyList]:
        pytest.fail("the catalogue was asked")

    assert place_by_fainter(sky.image, many, HINTS, refuse, HINTS_ALONE) is None
