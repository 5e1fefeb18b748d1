import pytest

from reduction.refcat.ask import column_map, coverage_of, pairs_of, preset_of
from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.known import PRESETS
from reduction.refcat.systems import System, system_of


def test_pairs_are_read_with_blanks_around_them() -> None:
    assert pairs_of(" ra = RAJ2000 , dec=DE,", "columns") == {"ra": "RAJ2000", "dec": "DE"}


@pytest.mark.parametrize("text", ["ra", "ra=", "=RA", "ra=A,ra=B"])
def test_pairs_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadCatalogueError, match="columns"):
        pairs_of(text, "columns")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_map_with_a_system_for_each_band(name: str) -> None:
    columns = column_map({}, units={}, preset=preset_of(name))

    found = columns.found_in([names[0] for names in columns.columns.values()], "a.csv")
    bands = columns.bands_of(found)
    assert len(bands) >= 2
    assert all(band.system != System.OTHER for band in bands)


def test_what_the_user_says_goes_before_the_preset() -> None:
    columns = column_map(
        {"ra": "mine"}, units={"ra": "hour"}, system="g=PS1", preset=preset_of("vizier-apass9")
    )

    assert columns.columns["ra"] == ("mine",)
    assert columns.units == {"ra": "hour"}
    assert columns.systems["g"] == System.PS1
    assert columns.systems["V"] == System.JOHNSON


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (["sky"], 1.0),
        (["dec>-30"], 0.75),
        (["dec<0"], 0.5),
        (["dec > 30", "dec<-30"], 0.5),
        (["180, 10, 5"], 78.5 / 41252.96),
    ],
)
def test_sky_a_user_declares_is_understood(text: list[str], share: float) -> None:
    coverage = coverage_of(text)

    assert coverage is not None
    assert coverage.square_degrees / 41252.96 == pytest.approx(share, rel=0.01)


@pytest.mark.parametrize("text", ["all", "dec>x", "1,2", "1,2,3,4", "10,95,1", "10,10,0", "1,2,x"])
def test_sky_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadCatalogueError, match="no piece of sky"):
        coverage_of([text])


def test_nothing_declared_is_no_coverage() -> None:
    assert coverage_of([]) is None


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("Johnson", System.JOHNSON),
        ("johnson-cousins", System.JOHNSON),
        ("sloan", System.SDSS),
        ("PS1", System.PS1),
        ("Pan-STARRS", System.PS1),
        ("2mass", System.TWOMASS),
    ],
)
def test_systems_are_understood_however_spelt(text: str, system: System) -> None:
    assert system_of(text) == system


def test_system_or_preset_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(BadCatalogueError, match="known are Johnson-Cousins, SDSS"):
        system_of("washington")
    with pytest.raises(BadCatalogueError, match="there are vizier-gaiadr3"):
        preset_of("gaia")
    with pytest.raises(BadCatalogueError, match="a system is given for B"):
        column_map({"ra": "a", "dec": "b", "V": "c"}, units={}, system="B=Johnson")
