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


# As printed, by source, target and band: the magnitude it starts from, its colour, and in powers
# of that colour what is to be *added*; the scatter; the colours it holds for.
# Gaia: Riello et al. 2021, A&A 649, A3, tables C.1 and C.2 (there as G - X, so with another sign),
# B and the scatters from the DR3 documentation, 5.5.1. Pan-STARRS: Tonry et al. 2012, table 6.
# SDSS: Lupton 2005. Tycho: ESA SP-1200, 1.3.
GAIA_OF = ("G", "BP-RP")
P = L = (-0.5, 1.6)  # neither paper says: stars of the main sequence
PRINTED = {
    "Gaia Johnson-Cousins B": (
        *GAIA_OF,
        (-0.01448, 0.6874, 0.3604, -0.06718, 0.006061),
        0.0633,
        (-0.5, 4.0),
    ),
    "Gaia Johnson-Cousins V": (
        *GAIA_OF,
        (0.02704, -0.01424, 0.2156, -0.01426),
        0.03017,
        (-0.5, 5.0),
    ),
    "Gaia Johnson-Cousins R": (
        *GAIA_OF,
        (0.02275, -0.3961, 0.1243, 0.01396, -0.003775),
        0.03167,
        (0, 4),
    ),
    "Gaia Johnson-Cousins I": (*GAIA_OF, (-0.01753, -0.76, 0.0991), 0.03765, (-0.5, 4.5)),
    "Gaia SDSS g": (*GAIA_OF, (-0.2199, 0.6365, 0.1548, -0.0064), 0.0745, (0.3, 3)),
    "Gaia SDSS r": (*GAIA_OF, (0.09837, -0.08592, -0.1907, 0.1701, -0.02263), 0.03776, (0, 3)),
    "Gaia SDSS i": (*GAIA_OF, (0.293, -0.6404, 0.09609, 0.002104), 0.04092, (0.5, 2)),
    "Gaia 2MASS J": (*GAIA_OF, (-0.01798, -1.389, 0.09338), 0.04762, (-0.5, 2.5)),
    "Gaia 2MASS H": (*GAIA_OF, (0.1048, -2.011, 0.1758), 0.07805, (-0.5, 2.5)),
    "Gaia 2MASS Ks": (*GAIA_OF, (0.0981, -2.089, 0.1579), 0.08553, (-0.5, 2.5)),
    "Pan-STARRS SDSS g": ("g", "g-r", (0.013, 0.145, 0.019), 0.008, P),
    "Pan-STARRS SDSS r": ("r", "g-r", (-0.001, 0.004, 0.007), 0.004, P),
    "Pan-STARRS SDSS i": ("i", "g-r", (-0.005, 0.011, 0.010), 0.004, P),
    "Pan-STARRS SDSS z": ("z", "g-r", (0.013, -0.039, -0.012), 0.010, P),
    "Pan-STARRS Johnson-Cousins B": ("g", "g-r", (0.212, 0.556, 0.034), 0.032, P),
    "Pan-STARRS Johnson-Cousins V": ("r", "g-r", (0.005, 0.462, 0.013), 0.012, P),
    "Pan-STARRS Johnson-Cousins R": ("r", "g-r", (-0.137, -0.108, -0.029), 0.015, P),
    "Pan-STARRS Johnson-Cousins I": ("i", "g-r", (-0.366, -0.136, -0.018), 0.017, P),
    "SDSS Pan-STARRS g": ("g", "g-r", (-0.011, -0.125, -0.015), 0.006, P),
    "SDSS Pan-STARRS r": ("r", "g-r", (0.001, -0.006, -0.002), 0.002, P),
    "SDSS Pan-STARRS i": ("i", "g-r", (0.004, -0.014, 0.001), 0.003, P),
    "SDSS Pan-STARRS z": ("z", "g-r", (-0.013, 0.040, -0.001), 0.009, P),
    "SDSS Johnson-Cousins B": ("g", "g-r", (0.2271, 0.3130), 0.0107, L),
    "SDSS Johnson-Cousins V": ("g", "g-r", (-0.0038, -0.5784), 0.0054, L),
    "SDSS Johnson-Cousins R": ("r", "r-i", (-0.1439, -0.2936), 0.0072, L),
    "SDSS Johnson-Cousins I": ("r", "r-i", (-0.3820, -1.2444), 0.0078, L),
    "SDSS Johnson-Cousins R g-r": ("r", "g-r", (-0.0971, -0.1837), 0.0106, L),
    "SDSS Johnson-Cousins I i-z": ("i", "i-z", (-0.3974, -0.3780), 0.0063, L),
    "Tycho-2 Johnson-Cousins V": ("VT", "BT-VT", (0.0, -0.090), np.nan, (-0.2, 1.8)),
    "Tycho-2 Johnson-Cousins B": ("VT", "BT-VT", (0.0, -0.090 + 0.850), np.nan, (-0.2, 1.8)),
}


def test_every_relation_is_the_printed_one() -> None:
    found: dict[str, tuple[object, ...]] = {}
    for one in transformations():
        name = f"{one.source} {one.target} {one.band}"
        colour = "-".join(one.colour)
        name += f" {colour}" if name in found else ""
        found[name] = one.of, colour, one.coefficients, one.scatter_mag, one.valid

    assert found.keys() == PRINTED.keys()
    for name, (of, colour, plus, scatter, valid) in PRINTED.items():
        start, by, coefficients, *rest = found[name]
        assert (start, by) == (of, colour), name
        assert coefficients == pytest.approx(plus, abs=1e-12), name
        assert rest[0] == pytest.approx(scatter, nan_ok=True), name
        assert rest[1] == valid, name


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
