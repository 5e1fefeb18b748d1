"""Growth curves of stars beside others nobody sees, and of stars as narrow as pixels."""

import numpy as np
import pytest

from reduction.photometry.growth import BEST, Growth, growth_of, phases

TRUE = np.array([0.58, 0.78, 0.92, 0.97, 0.995, 1.0])
RADII = np.array([0.7, 1.0, 1.5, 2.0, 3.0, 4.0])
WIDE_PIX = 5.0


def stars(
    n: int, seed: int = 1, shared: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return fluxes in circles, the noise of rings, places and all light of some stars.

    A share of them has another star somewhere in the largest circle.
    """
    rng = np.random.default_rng(seed)
    total = np.exp(rng.uniform(np.log(1e4), np.log(1e6), n))
    variance = np.diff(np.append(0, TRUE)) * total[:, None] + 500 * np.diff(np.append(0, RADII**2))
    rings = rng.normal(np.diff(np.append(0, TRUE)) * total[:, None], np.sqrt(variance))
    beside = np.sqrt(rng.uniform(0, 1, n)) * RADII[-1]
    other = np.where(rng.uniform(size=n) < shared, rng.uniform(0.01, 0.2, n) * total, 0.0)
    np.add.at(rings, (np.arange(n), np.searchsorted(RADII, beside)), other)
    return np.cumsum(rings, axis=1), np.sqrt(variance), rng.uniform(0, 100, (n, 2)), total


def test_growth_is_told_within_its_error() -> None:
    flux, error, places, _ = stars(300)

    told = growth_of(flux, error, places, WIDE_PIX)

    assert told.shares[-1] == 1
    assert told.errors[-1] == 0
    assert (told.errors[:-1] < 0.002).all()
    assert (np.abs(told.shares - TRUE)[:-1] < 3 * told.errors[:-1]).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_unseen_stars_beside_most_of_the_stars_do_not_bend_the_curve(seed: int) -> None:
    flux, error, places, _ = stars(400, seed, shared=0.6)
    plain = np.median(flux / flux[:, -1:], axis=0)

    told = growth_of(flux, error, places, WIDE_PIX)

    assert plain[BEST] < TRUE[BEST] - 0.005
    assert told.shares[BEST] == pytest.approx(TRUE[BEST], abs=0.0005)


@pytest.mark.parametrize("uneven", [0.0, 0.02])
def test_what_differs_from_star_to_star_is_told(uneven: float) -> None:
    flux, error, places, _ = stars(600)
    more = np.random.default_rng(7).normal(0, uneven, len(flux)) * flux[:, BEST]
    flux[:, BEST + 1 :] += more[:, None]

    told = growth_of(flux, error, places, WIDE_PIX)

    assert told.scatter == pytest.approx(uneven, abs=0.003)


def test_the_error_says_how_much_unseen_light_there_is() -> None:
    alone, beside = (
        growth_of(*stars(400, shared=shared)[:3], WIDE_PIX).errors[BEST] for shared in (0.0, 0.6)
    )

    assert beside > 3 * alone


@pytest.mark.parametrize("n", [3, 8])
def test_a_few_stars_tell_by_their_median(n: int) -> None:
    flux, error, places, _ = stars(n)

    told = growth_of(flux, error, places, 1.5)

    assert told.shares == pytest.approx(TRUE, abs=0.02)
    assert told.errors[BEST] > 0
    assert len(told.phase) == 0


def test_too_few_stars_tell_nothing() -> None:
    flux, error, places, _ = stars(4)
    flux[:2, 0] = -1.0

    told = growth_of(flux, error, places, WIDE_PIX)

    assert told.shares.tolist() == [1.0] * len(RADII)
    assert told.errors.tolist() == [0.0] * len(RADII)
    assert told.caught(places).tolist() == [1.0] * 4


def test_light_that_a_circle_misses_by_the_place_in_a_pixel_is_told() -> None:
    flux, error, places, total = stars(400)
    missed = 0.01 * phases(places)[:, 1] * flux[:, BEST]
    flux[:, BEST] -= missed

    narrow = growth_of(flux, error, places, 1.8)
    wide = growth_of(flux, error, places, WIDE_PIX)

    true = (TRUE[BEST] * total - missed) / total
    ring = (TRUE[BEST + 1] * total - true * total) / (true * total)
    assert narrow.caught(places) == pytest.approx(true, abs=0.002)
    assert narrow.beyond(places) == pytest.approx(ring, abs=0.003)
    assert wide.beyond(places) == pytest.approx(TRUE[BEST + 1] / TRUE[BEST] - 1, abs=0.003)
    assert np.ptp(wide.caught(places)) == 0
    assert np.ptp(true) > 0.02


def test_what_the_next_circle_misses_of_a_narrow_star_is_told_too() -> None:
    flux, error, places, total = stars(400)
    share = 0.01 * phases(places)[:, 1]
    missed = share * flux[:, BEST]
    flux[:, BEST] -= missed
    flux[:, BEST + 1] -= 0.4 * missed

    told = growth_of(flux, error, places, 1.8)

    true = (TRUE[BEST] * total - missed) / total
    ring = (TRUE[BEST + 1] * total - 0.4 * missed - true * total) / (true * total)
    assert told.caught(places) == pytest.approx(true, abs=0.002)
    assert told.beyond(places) == pytest.approx(ring, abs=0.003)


def test_phases_add_nothing_in_the_mean_and_repeat_with_the_pixels() -> None:
    at = (np.arange(10) + 0.5) / 10
    places = np.column_stack([one.ravel() for one in np.meshgrid(at, at)])

    assert phases(places)[:, 1:].mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    assert phases(places + [3.0, -2.0]) == pytest.approx(phases(places), abs=1e-9)


def test_without_phase_every_star_has_the_same_share() -> None:
    told = Growth(TRUE, np.full(6, 0.001), np.empty(0), np.empty(0))

    assert told.caught(np.array([[1.3, 2.0], [7.7, 0.5]])).tolist() == [TRUE[BEST]] * 2
