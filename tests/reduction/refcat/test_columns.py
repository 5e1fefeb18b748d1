import numpy as np
import pytest

from reduction.refcat.columns import Cleaner, ColumnMap, RawChunk, columns_of
from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.systems import System

PLAIN = {"ra": ("RA",), "dec": ("DE",), "V": ("Vmag",), "V_err": ("e_V",)}
NAMES = ["RA", "DE", "Vmag", "e_V"]


def cleaned(
    columns: ColumnMap | None = None, units: dict[str, str] | None = None, **values: list[float]
) -> tuple[Cleaner, dict[str, np.ndarray]]:
    columns = columns or ColumnMap(PLAIN)
    cleaner = Cleaner(columns, columns.found_in(list(values), "a.csv"), units or {}, "a.csv")
    raw = RawChunk({name: np.array(column, float) for name, column in values.items()})
    return cleaner, dict(cleaner.clean(raw))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"dec": ("DE",), "V": ("V",)}, "say which column is the ra"),
        ({"ra": ("RA",), "V": ("V",)}, "say which column is the dec"),
        ({"ra": ("RA",), "dec": ("DE",)}, "name a magnitude"),
        ({**PLAIN, "B_err": ("e_B",)}, "error of a magnitude B that is not named"),
        ({**PLAIN, "offset": ("o",)}, "cannot be the name of a band"),
        ({**PLAIN, "../x": ("o",)}, "cannot be the name of a band"),
    ],
)
def test_maps_that_are_none_are_refused_in_words(
    columns: dict[str, tuple[str, ...]], words: str
) -> None:
    with pytest.raises(BadCatalogueError, match=words):
        ColumnMap(columns)


def test_unit_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadCatalogueError, match="ra cannot be in 'parsec'; known are deg, hour"):
        ColumnMap(PLAIN, {"ra": "parsec"})
    with pytest.raises(BadCatalogueError, match="a unit is given for pmra"):
        ColumnMap(PLAIN, {"pmra": "mas/yr"})


def test_missing_column_is_named_with_what_there_is() -> None:
    with pytest.raises(BadCatalogueError, match=r"b\.csv has no column 'Vmag'; it has RA, DE, vmg"):
        ColumnMap(PLAIN).found_in(["RA", "DE", "vmg", "e_V"], "b.csv")


def test_column_is_found_by_any_case_and_by_its_other_names() -> None:
    columns = ColumnMap(PLAIN | {"ra": ("RA_ICRS", "RAJ2000")})

    found = columns.found_in(["raj2000", "de", "VMAG", "e_v"], "a.csv")

    assert found == {"ra": "raj2000", "dec": "de", "V": "VMAG", "V_err": "e_v"}


def test_preset_does_without_what_a_download_left_out() -> None:
    columns = ColumnMap(PLAIN | {"B": ("Bmag",), "B_err": ("e_B",)}, is_strict=False)

    found = columns.found_in([*NAMES, "e_B"], "a.csv")

    assert sorted(found) == ["V", "V_err", "dec", "ra"]
    assert [band.name for band in columns.bands_of(found)] == ["V"]
    with pytest.raises(BadCatalogueError):
        columns.found_in(["RA", "DE"], "a.csv")


def test_units_become_degrees_magnitudes_and_julian_years() -> None:
    roles = {**PLAIN, "pmra": ("pm",), "epoch": ("t",), "B": ("B",), "B_err": ("sn",)}
    units = {"ra": "hour", "pmra": "arcsec/yr", "epoch": "mjd", "V": "mmag", "B_err": "snr"}
    columns = ColumnMap(roles, units, {"V": System.JOHNSON})

    _, stars = cleaned(
        columns,
        RA=[12.0],
        DE=[5.0],
        Vmag=[15500.0],
        e_V=[0.1],
        pm=[0.5],
        t=[51544.5],
        B=[16.0],
        sn=[10.857],
    )

    assert stars["ra"][0] == 180.0
    assert stars["V"][0] == pytest.approx(15.5)
    assert stars["pmra"][0] == pytest.approx(500.0)
    assert stars["epoch"][0] == pytest.approx(2000.0)
    assert stars["B_err"][0] == pytest.approx(0.1, abs=1e-4)


def test_unit_a_file_states_is_believed_and_the_users_goes_before_it() -> None:
    def ra_of(columns: ColumnMap) -> float:
        _, stars = cleaned(columns, {"RA": "h"}, RA=[12.0], DE=[5.0], Vmag=[15.0], e_V=[0.1])
        return float(stars["ra"][0])

    assert ra_of(ColumnMap(PLAIN)) == 180.0
    assert ra_of(ColumnMap(PLAIN, {"ra": "deg"})) == 12.0


def test_rows_without_a_place_on_the_sky_are_counted_and_left_out() -> None:
    cleaner, stars = cleaned(
        RA=[10.0, np.nan, 20.0, 400.0, -170.0],
        DE=[1.0, 2.0, np.nan, 4.0, 5.0],
        Vmag=[15.0] * 5,
        e_V=[0.1] * 5,
    )

    counts = cleaner.finish()

    assert stars["ra"].tolist() == [10.0, 190.0]
    assert (counts.read, counts.kept, counts.no_position, counts.off_sky) == (5, 2, 2, 1)
    assert counts.sentences() == [
        "2 rows without a position",
        "1 row with a position that is not on the sky",
    ]


def test_sentinels_are_no_magnitudes() -> None:
    cleaner, stars = cleaned(
        RA=[1.0] * 4, DE=[1.0] * 4, Vmag=[99.99, -999.0, 15.0, np.nan], e_V=[0.1, 0.1, 0.0, -1.0]
    )

    assert np.isnan(stars["V"]).tolist() == [True, True, False, True]
    assert np.isnan(stars["V_err"]).tolist() == [False, False, True, True]
    assert cleaner.finish().odd_magnitudes == 4


def test_right_ascensions_in_hours_are_suspected() -> None:
    rng = np.random.default_rng(1)
    n = 1000
    cleaner, _ = cleaned(
        RA=list(rng.uniform(0, 24, n)),
        DE=list(rng.uniform(-60, 60, n)),
        Vmag=[15.0] * n,
        e_V=[0.1] * n,
    )

    with pytest.raises(BadCatalogueError, match=r"look like hours; give --units ra=hour"):
        cleaner.finish()


def test_field_near_right_ascension_zero_is_not_suspected() -> None:
    rng = np.random.default_rng(1)
    n = 1000
    cleaner, _ = cleaned(
        RA=list(rng.uniform(0, 24, n)),
        DE=list(rng.uniform(-10, 10, n)),
        Vmag=[15.0] * n,
        e_V=[0.1] * n,
    )

    assert cleaner.finish().kept == n


def test_radians_are_suspected() -> None:
    rng = np.random.default_rng(1)
    n = 1000
    cleaner, _ = cleaned(
        RA=list(rng.uniform(0, 2 * np.pi, n)),
        DE=list(np.arcsin(rng.uniform(-1, 1, n))),
        Vmag=[15.0] * n,
        e_V=[0.1] * n,
    )

    with pytest.raises(BadCatalogueError, match="radians"):
        cleaner.finish()


def test_columns_that_are_no_positions_are_suspected() -> None:
    cleaner, _ = cleaned(RA=[1e5, 2e5, 3.0], DE=[1.0] * 3, Vmag=[15.0] * 3, e_V=[0.1] * 3)

    with pytest.raises(BadCatalogueError, match="most positions are not on the sky"):
        cleaner.finish()


def test_an_error_may_be_a_flux_by_its_error() -> None:
    columns = ColumnMap(
        {"ra": ("RA",), "dec": ("DE",), "V": ("Vmag",), "V_err": ("FV/e_FV",)}, {"V_err": "snr"}
    )

    cleaner, stars = cleaned(
        columns, RA=[1.0, 2.0, 3.0], DE=[1.0, 2.0, 3.0], Vmag=[15.0, 16.0, 17.0],
        FV=[100.0, 5.0, 5.0], e_FV=[1.0, 0.0, np.nan],
    )  # fmt: skip

    assert stars["V_err"][0] == pytest.approx(0.010857, rel=1e-3)
    assert np.isnan(stars["V_err"][1:]).all()
    assert cleaner.counts.kept == 3


def test_a_quotient_lacks_a_column_where_one_of_both_does() -> None:
    columns = ColumnMap(PLAIN | {"V_err": ("FV/e_FV",)})

    with pytest.raises(BadCatalogueError, match="no column 'FV/e_FV'"):
        columns.found_in(["RA", "DE", "Vmag", "FV"], "a.csv")
    assert columns_of(["RA", "FV/e_FV", "a/b"], ["a/b"]) == ["RA", "FV", "e_FV", "a/b"]
