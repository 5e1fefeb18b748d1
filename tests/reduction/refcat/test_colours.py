import numpy as np
import pytest

from reduction.refcat.colours import (
    Transformation,
    gaia_relations,
    reachable,
    relation_to,
    transform,
    transformations,
)
from reduction.refcat.errors import NoMagnitudeError
from reduction.refcat.stars import Stars
from reduction.refcat.systems import Band, System

GAIA = tuple(Band(name, System.GAIA, has_error=True) for name in ("G", "BP", "RP"))
PS1 = tuple(Band(name, System.PS1, has_error=True) for name in "grizy")


def stars_of(bands: tuple[Band, ...], error: float = 0.01, **mags: list[float]) -> Stars:
    values = {name: np.array(column, np.float32) for name, column in mags.items()}
    n = len(next(iter(values.values())))
    errors = {name: np.full(n, error, np.float32) for name in values}
    return Stars(np.zeros(n), np.zeros(n), values, errors, bands, 2016.0, 1.0)


def named(source: System, target: System, band: str) -> Transformation:
    return next(
        t for t in transformations() if (t.source, t.target, t.band) == (source, target, band)
    )


def test_sun_has_the_magnitudes_of_the_sun_in_every_system() -> None:
    # Willmer 2018, ApJS 236, 47: absolute magnitudes; Gaia's of Casagrande & VandenBerg 2018.
    sun = stars_of(GAIA, G=[4.67], BP=[4.99], RP=[4.17])
    truth = {"B": 5.44, "V": 4.81, "R": 4.43, "I": 4.10}
    sdss = {"g": 5.11, "r": 4.65, "i": 4.53}

    for band, mag in truth.items():
        assert sun.magnitudes(band).mag[0] == pytest.approx(mag, abs=0.08)
    for band, mag in sdss.items():
        assert sun.magnitudes(band, System.SDSS).mag[0] == pytest.approx(mag, abs=0.08)
    assert sun.magnitudes("r").system == System.SDSS
    assert sun.magnitudes("Ks").mag[0] == pytest.approx(3.27, abs=0.12)


def test_v_of_gaia_is_the_printed_polynomial() -> None:
    found = stars_of(GAIA, G=[15.0], BP=[15.5], RP=[14.3]).magnitudes("V")

    x = 1.2
    printed = -0.02704 + 0.01424 * x - 0.2156 * x**2 + 0.01426 * x**3  # G - V
    assert found.mag[0] == pytest.approx(15.0 - printed, abs=1e-5)
    assert found.transformation is not None
    assert "Riello" in found.transformation.reference


def test_pan_starrs_to_sdss_and_back_is_where_it_began() -> None:
    there = stars_of(PS1, g=[16.0, 17.0], r=[15.8, 16.2], i=[15.7, 15.8], z=[15.6, 15.6])
    sdss = {b: there.magnitudes(b, System.SDSS).mag for b in "griz"}
    back = {b: transform(named(System.SDSS, System.PS1, b), sdss, {}).mag for b in "griz"}

    for band in "griz":
        assert np.allclose(back[band], there.mag[band], atol=0.006)


@pytest.mark.parametrize("relation", transformations(), ids=lambda t: f"{t.source}-{t.band}")
def test_error_of_a_transformed_magnitude_is_that_of_many_draws(relation: Transformation) -> None:
    rng = np.random.default_rng(1)
    middle = float(np.clip(0.6, *relation.valid))
    first, second = relation.colour
    truth = {first: 15.0 + middle, second: 15.0}
    truth.setdefault(relation.of, 15.2)
    n, sigma = 20_000, 0.003
    drawn = {b: (m + rng.normal(0, sigma, n)).astype(np.float32) for b, m in truth.items()}
    errors = {b: np.full(n, sigma, np.float32) for b in truth}

    found = transform(relation, drawn, errors)

    scatter = np.nan_to_num(relation.scatter_mag)
    expected = np.sqrt(found.mag.astype(np.float64).std() ** 2 + scatter**2)
    assert np.median(found.error) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("relation", transformations(), ids=lambda t: f"{t.source}-{t.band}")
def test_no_relation_is_taken_beyond_its_colours(relation: Transformation) -> None:
    low, high = relation.valid
    colours = np.array([low - 0.01, low + 0.01, high - 0.01, high + 0.01, np.nan])
    first, second = relation.colour
    mags = {first: (15 + colours).astype(np.float32), second: np.full(5, 15, np.float32)}
    mags.setdefault(relation.of, np.full(5, 15, np.float32))

    found = transform(relation, mags, {})

    assert np.isfinite(found.mag).tolist() == [False, True, True, False, False]
    assert np.array_equal(np.isfinite(found.error), np.isfinite(found.mag))


def test_every_relation_names_its_paper() -> None:
    assert all(len(relation.reference) > 10 for relation in transformations())
    assert len(gaia_relations()) == 10


def test_own_magnitudes_come_before_transformed_ones() -> None:
    bands = (*PS1, Band("V", System.JOHNSON, has_error=True))
    stars = stars_of(bands, g=[16.0], r=[15.5], i=[15.3], V=[15.71])

    assert stars.magnitudes("V").transformation is None
    assert stars.magnitudes("g").system == System.PS1
    assert stars.magnitudes("g", System.SDSS).transformation is not None


def test_tightest_relation_is_chosen() -> None:
    bands = tuple(Band(name, System.SDSS, has_error=True) for name in "ugriz")

    assert relation_to(bands, "R", System.JOHNSON).colour == ("r", "i")
    assert relation_to(bands[1:3], "R", System.JOHNSON).colour == ("g", "r")


def test_magnitude_nothing_leads_to_is_refused_with_what_there_is() -> None:
    with pytest.raises(NoMagnitudeError, match=r"U \(Johnson-Cousins\).*G \(Gaia\), BP"):
        stars_of(GAIA, G=[15.0], BP=[15.5], RP=[14.3]).magnitudes("U")


def test_reachable_bands_are_the_own_and_the_led_to() -> None:
    found = reachable(GAIA)

    assert found[0] == ("G", System.GAIA)
    assert ("V", System.JOHNSON) in found
    assert ("U", System.JOHNSON) not in found
