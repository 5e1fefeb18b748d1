"""What a source is: stars, wider things, sharper things, lines."""

import numpy as np

from reduction.flags import PixelFlag
from reduction.photometry.apertures import measure
from reduction.photometry.detection import detect
from reduction.photometry.kinds import SourceKind
from reduction.photometry.sorting import sort_sources
from tests.reduction.photometry.stars import make_sky


def test_stars_galaxies_hits_and_trails_are_told_apart(rng: np.random.Generator) -> None:
    sky = make_sky(rng, 60, flux=(2e4, 2e5), shape=(700, 700))
    y, x = np.mgrid[:700, :700]
    places = np.array([(100, 600), (350, 350), (600, 120), (500, 560)], float)
    for y0, x0 in places:
        sky.image.data[:] += (900 * np.exp(-np.hypot(x - x0, y - y0) / 4)).astype(np.float32)
    sky.image.data[210, 300] += 30_000
    away = np.abs((y - 450) * 0.98 - (x - 200) * 0.2)
    sky.image.data[:] += np.where((x > 60) & (x < 300), 150 * np.exp(-(away**2) / 4), 0)
    found = detect(sky.image)

    kinds = sort_sources(found, measure(sky.image, found))

    def kind_at(y0: float, x0: float) -> SourceKind:
        k = int(np.argmin(np.hypot(found.sources.x - x0, found.sources.y - y0)))
        return SourceKind(kinds[k])

    assert all(kind_at(*place) == SourceKind.WIDE for place in places)
    assert kind_at(210, 300) == SourceKind.SHARP
    longest = int(np.argmax(found.sources.a_pix))
    assert kinds[longest] == SourceKind.TRAIL
    alone = found.sources.is_clean & (found.sources.snr > 100)
    assert np.mean(kinds[alone] == SourceKind.STAR) > 0.8


def test_without_a_growth_curve_nothing_is_said(rng: np.random.Generator) -> None:
    sky = make_sky(rng, 4, flux=(1e3, 1.5e3))
    found = detect(sky.image)

    assert not sort_sources(found, measure(sky.image, found)).any()


def test_a_saturated_star_and_one_beside_another_are_not_called_galaxies(
    rng: np.random.Generator,
) -> None:
    sky = make_sky(rng, 60, flux=(2e4, 2e5), shape=(700, 700))
    y, x = np.mgrid[:700, :700]
    for x0, flux in ((346.0, 1e5), (353.0, 8e4)):  # 2.3 FWHM apart
        sky.image.data[:] += star(x - x0, y - 350.0, flux)
    sky.image.data[:] += star(x - 120.0, y - 600.0, 1e6)
    full = np.abs(x - 120) + 0.1 * np.abs(y - 600) < 2.5  # and it bleeds along its column
    sky.image.data[full] = np.maximum(sky.image.data[full], 40_000)
    sky.image.mask[full & (np.abs(y - 600) < 25)] = PixelFlag.SATURATED
    found = detect(sky.image)

    kinds = sort_sources(found, measure(sky.image, found))

    near = np.hypot(found.sources.x - 349.5, found.sources.y - 350) < 6
    bled = np.hypot(found.sources.x - 120, found.sources.y - 600) < 6
    assert np.count_nonzero(near) == 2
    assert set(kinds[near | bled]) == {SourceKind.UNSURE}


def star(dx: np.ndarray, dy: np.ndarray, flux: float) -> np.ndarray:
    """Return the light of a star as wide as those of `make_sky`."""
    sigma = 3.0 / 2.354820045
    light = flux / (2 * np.pi * sigma**2) * np.exp(-(dx**2 + dy**2) / (2 * sigma**2))
    return np.asarray(light, np.float32)


def test_a_galaxy_seen_edge_on_is_no_trail(rng: np.random.Generator) -> None:
    sky = make_sky(rng, 40, flux=(2e4, 2e5), shape=(500, 500))
    y, x = np.mgrid[:500, :500]
    along, across = (x - 250) + (y - 250), (x - 250) - (y - 250)
    sky.image.data[:] += (1500 * np.exp(-(along**2 / 1100 + across**2 / 90))).astype(np.float32)
    found = detect(sky.image)

    kinds = sort_sources(found, measure(sky.image, found))

    k = int(np.argmin(np.hypot(found.sources.x - 250, found.sources.y - 250)))
    assert found.sources.b_pix[k] < 0.35 * found.sources.a_pix[k]
    assert kinds[k] == SourceKind.WIDE
