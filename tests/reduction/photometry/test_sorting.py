"""What a source is: stars, wider things, sharper things, lines."""

import numpy as np

from reduction.photometry.apertures import measure
from reduction.photometry.detection import detect
from reduction.photometry.sorting import SourceKind, sort_sources
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
