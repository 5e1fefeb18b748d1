import hashlib
from pathlib import Path

import numpy as np
import pytest

from reduction.refcat.ask import column_map, pairs_of, preset_of
from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.load import Loading, load
from reduction.refcat.meta import Meta
from reduction.refcat.store import Catalogue
from reduction.refcat.systems import System
from tests.realdata import needs_shared, shared


def loaded(
    folder: Path, *files: Path, columns: str = "", preset: str = "", system: str = ""
) -> tuple[Meta, Catalogue]:
    what = column_map(
        pairs_of(columns, "columns"),
        units={},
        system=system,
        preset=preset_of(preset) if preset else None,
    )
    meta = load(folder, files, Loading("test", "a test", 2000.0, what), lambda _stage, _done: None)
    return meta, Catalogue.newest(folder)


def test_several_files_make_one_catalogue_and_overlaps_count_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,ra,dec,V\n1,10,1,15\n2,11,1,16\n")
    (tmp_path / "b.csv").write_text("V,dec,ra,id\n16,1,11,2\n17,1,12,3\nx,,13,4\n")

    meta, catalogue = loaded(
        tmp_path / "store",
        tmp_path / "a.csv",
        tmp_path / "b.csv",
        columns="id=id,ra=ra,dec=dec,V=V",
        system="Johnson",
    )

    stars = catalogue.cone(11.0, 1.0, 5.0)
    assert stars.star_id is not None
    assert sorted(stars.star_id.tolist()) == [1, 2, 3]
    assert [(source.file, source.rows) for source in meta.sources] == [("a.csv", 2), ("b.csv", 3)]
    assert meta.sources[0].sha256 == hashlib.sha256((tmp_path / "a.csv").read_bytes()).hexdigest()
    assert list(meta.left_out) == [
        "1 row without a position",
        "1 row already there",
        "1 value unfit for a magnitude or an error, taken as missing",
    ]


def test_rows_of_sexagesimal_positions_are_explained(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ra,dec,V\n10:20:30,1:2:3,15\n11:20:30,1:2:3,15\n")

    with pytest.raises(BadCatalogueError, match="minutes and seconds .'10:20:30'.*decimal degrees"):
        loaded(tmp_path / "store", tmp_path / "a.csv", columns="ra=ra,dec=dec,V=V")


def test_file_of_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ra,dec,V\n")

    with pytest.raises(BadCatalogueError, match=r"a\.csv has no rows"):
        loaded(tmp_path / "store", tmp_path / "a.csv", columns="ra=ra,dec=dec,V=V")


def test_files_of_different_columns_do_not_go_together(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("RA_ICRS,DE_ICRS,Gmag,BPmag\n1,2,15,16\n")
    (tmp_path / "b.csv").write_text("RA_ICRS,DE_ICRS,Gmag\n1,2,15\n")

    with pytest.raises(BadCatalogueError, match="same columns: BP"):
        loaded(tmp_path / "store", tmp_path / "a.csv", tmp_path / "b.csv", preset="vizier-gaiadr3")


def test_preset_knows_a_download_of_apass(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(
        "#\nrecno\tRAJ2000\tDEJ2000\tVmag\te_Vmag\tBmag\te_Bmag\tg'mag\te_g'mag\n"
        "\tdeg\tdeg\tmag\tmag\tmag\tmag\tmag\tmag\n-----\t---\t---\t---\t---\t---\t---\t---\t---\n"
        "1\t123.456\t-12.5\t14.5\t0.03\t15.1\t0.04\t14.8\t0.05\n"
    )

    _, catalogue = loaded(tmp_path / "store", tmp_path / "a.tsv", preset="vizier-apass9")

    stars = catalogue.cone(123.456, -12.5, 0.01)
    assert {band.name: band.system for band in stars.bands} == {
        "B": System.JOHNSON,
        "V": System.JOHNSON,
        "g": System.SDSS,
    }
    assert stars.error["g"][0] == pytest.approx(0.05)


@needs_shared
def test_stars_of_sdss_around_ngc_2420_are_found_with_their_magnitudes(tmp_path: Path) -> None:
    path = shared("data", "truth", "ngc2420", "sdss_dr18_ngc2420.csv")
    table = np.genfromtxt(path, delimiter=",", names=True)

    meta, catalogue = loaded(
        tmp_path,
        path,
        columns="ra=ra_deg,dec=dec_deg,g=g,r=r,V=V_lupton05",
        system="g=SDSS,r=SDSS,V=Johnson",
    )

    stars = catalogue.cone(114.6016, 21.5726, 0.1)
    assert (meta.rows, meta.left_out) == (table.size, ())
    assert stars.coverage > 0.9
    lupton = stars.magnitudes("V").mag
    ours = Catalogue.newest(tmp_path).cone(114.6016, 21.5726, 0.1, bands=["g", "r"])
    converted = ours.magnitudes("V", System.JOHNSON).mag
    good = np.isfinite(converted)
    assert good.mean() > 0.95
    assert np.abs(converted[good] - lupton[good]).max() < 0.002  # the file rounds


@needs_shared
def test_catalogue_of_tycho_and_one_without_a_header_load(tmp_path: Path) -> None:
    tycho = shared("data", "truth", "hatp32", "tycho2_in_field.csv")
    bare = shared("data", "reference_fields", "SN2015bn_SDSS_r", "SN2015bn_SDSS_r_SDSS_r.cat")

    hatp32, _ = loaded(tmp_path / "a", tycho, columns="ra=ra_deg,dec=dec_deg,VT=VT_mag")
    sn2015bn, catalogue = loaded(
        tmp_path / "b", bare, columns="ra=1,dec=2,r=3,r_err=4", system="SDSS"
    )

    assert (hatp32.rows, sn2015bn.rows) == (25, 548)
    stars = catalogue.cone(173.460684, 0.565263, 0.0001)
    assert (stars.mag["r"][0], stars.error["r"][0]) == pytest.approx((20.467, 0.029))


def test_stars_kept_without_errors_stay_when_some_with_errors_come(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ra,dec,V\n10,1,15\n")
    (tmp_path / "b.csv").write_text("ra,dec,V,e\n10.1,1,16,0.02\n")
    folder = tmp_path / "store"
    loaded(folder, tmp_path / "a.csv", columns="ra=ra,dec=dec,V=V")
    what = column_map(pairs_of("ra=ra,dec=dec,V=V,V_err=e", "columns"), units={}, system="")

    load(
        folder,
        [tmp_path / "b.csv"],
        Loading("test", "a test", 2000.0, what),
        lambda _stage, _done: None,
        kept=Catalogue.newest(folder),
    )

    stars = Catalogue.newest(folder).cone(10.0, 1.0, 1.0)
    order = np.argsort(stars.mag["V"])
    assert np.isnan(stars.error["V"][order][0])
    assert stars.error["V"][order][1] == pytest.approx(0.02)
