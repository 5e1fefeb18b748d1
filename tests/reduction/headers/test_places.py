"""Sites and pointings."""

from pathlib import Path

import pytest
from astropy.coordinates import EarthLocation
from astropy.wcs import WCS

from reduction.fitsio import read_headers
from reduction.frameinfo import FrameInfo
from reduction.headers import translate
from reduction.headers.values import sexagesimal
from tests.reduction.headers.texts import card, write_image


def info_of(tmp_path: Path, *cards: str) -> FrameInfo:
    path = write_image(tmp_path / "frame.fits", *cards)
    (info,) = translate(read_headers(path), file_name=path.name)
    return info


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-25:17:06", -(25 + 17 / 60 + 6 / 3600)),
        ("09 02 22", 9 + 2 / 60 + 22 / 3600),
        ("18h20m48.1s", 18 + 20 / 60 + 48.1 / 3600),
        ("-00:00:04.698", -4.698 / 3600),
        ("17:23:60.000", 17 + 24 / 60),
        ("-22:57:08:99", -(22 + 57 / 60 + 8.99 / 3600)),
        (" 18:15:29", 18 + 15 / 60 + 29 / 3600),
        ("12.5", 12.5),
        ("north", None),
        ("1:2:3:4:5", None),
        ("10:75:00", None),
        ("", None),
    ],
)
def test_sexagesimal_text_is_read_in_every_form(text: str, value: float | None) -> None:
    assert sexagesimal(text) == (None if value is None else pytest.approx(value))


def test_geocentric_site_agrees_with_astropy(tmp_path: Path) -> None:
    place = EarthLocation.from_geodetic(lon=-104.0, lat=30.68, height=2030.0)
    cards = [card(f"OBSGEO-{axis}", getattr(place, axis.lower()).value) for axis in "XYZ"]

    info = info_of(tmp_path, *cards)

    assert info.latitude_deg == pytest.approx(30.68, abs=1e-8)
    assert info.longitude_deg == pytest.approx(-104.0, abs=1e-8)
    assert info.elevation_m == pytest.approx(2030.0, abs=0.01)


def test_centre_of_a_wcs_agrees_with_astropy(tmp_path: Path) -> None:
    values = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 313.984477301,
        "CRVAL2": 31.2768644876,
        "CRPIX1": -1198.0,
        "CRPIX2": -2948.0,
        "CD1_1": 1.52466644519e-4,
        "CD1_2": -3.48887131072e-5,
        "CD2_1": 3.4971305853e-5,
        "CD2_2": 1.52455197389e-4,
    }
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [values["CTYPE1"], values["CTYPE2"]]
    wcs.wcs.crval = [values["CRVAL1"], values["CRVAL2"]]
    wcs.wcs.crpix = [values["CRPIX1"], values["CRPIX2"]]
    wcs.wcs.cd = [[values["CD1_1"], values["CD1_2"]], [values["CD2_1"], values["CD2_2"]]]

    info = info_of(tmp_path, *(card(keyword, value) for keyword, value in values.items()))

    (truth,) = wcs.all_pix2world([[14.5, 9.5]], 0)
    assert [info.ra_deg, info.dec_deg] == pytest.approx(list(truth), abs=1e-9)
    assert info.position_role == "wcs"
    assert info.pixel_scale_arcsec == pytest.approx(0.56308, abs=1e-5)


@pytest.mark.parametrize(
    ("cards", "ra"),
    [
        ([card("RA", 240.1125, "Object Right Ascension in degrees"), card("DEC", 20.0)], 240.1125),
        ([card("RA", 16.0, "[h] right ascension"), card("DEC", 20.0)], 240.0),
        ([card("RA", "16:00:00"), card("DEC", "+20:00:00")], 240.0),
        ([card("OBJCTRA", "16 00 00"), card("OBJCTDEC", "20 00 00"), card("RA", 1.0)], 240.0),
    ],
)
def test_right_ascension_is_in_the_unit_its_form_says(
    tmp_path: Path, cards: list[str], ra: float
) -> None:
    assert info_of(tmp_path, *cards).ra_deg == pytest.approx(ra)


def test_position_of_another_equinox_is_doubted(tmp_path: Path) -> None:
    cards = card("RA", "14:44:58.833"), card("DEC", "+18:22:24.80"), card("EQUINOX", 2017.1)

    assert "2017.1" in info_of(tmp_path, *cards).doubts["ra_deg"]


def test_scale_is_pixel_size_over_focal_length(tmp_path: Path) -> None:
    cards = card("XPIXSZ", 9.0), card("FOCALLEN", 2000.0)

    assert info_of(tmp_path, *cards).pixel_scale_arcsec == pytest.approx(206.264806 * 9 / 2000)
    binned = info_of(tmp_path, *cards, card("XBINNING", 2), card("YBINNING", 2))
    assert "XPIXSZ" in binned.doubts["pixel_scale_arcsec"]
