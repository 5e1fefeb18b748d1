"""Headers as bad as people have reported: each is read, doubted or refused, none raises."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reduction.errors import BadFileError
from reduction.fitsio import read_headers
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.headers import translate
from tests.reduction.headers.texts import card, header_bytes, image_lines, write_image

NOW = datetime(2026, 6, 1, tzinfo=UTC)
START = card("DATE-OBS", "2024-05-01T02:03:04.5")


def read(path: Path) -> FrameInfo:
    (info,) = translate(read_headers(path), file_name=path.name, now=NOW)
    return info


def info_of(tmp_path: Path, *cards: str, shape: tuple[int, ...] = (20, 30)) -> FrameInfo:
    return read(write_image(tmp_path / "frame.fits", *cards, shape=shape))


Check = Callable[[FrameInfo], Any]

# Reported somewhere, each of them, and what must come of it.
CORPUS: dict[str, tuple[list[str], Check]] = {
    "string over CONTINUE cards": (
        ["OBJECT  = 'NGC &'", "CONTINUE  '1566'"],
        lambda i: i.object_name == "NGC 1566",
    ),
    "BLANK in a header of floats": ([card("BLANK", -32768)], lambda i: i.nx == 30),
    "RADECSYS": ([card("RADECSYS", "FK5")], lambda i: i.nx == 30),
    "DEC---TAN": (
        [
            card("CTYPE1", "RA---TAN"),
            card("CTYPE2", "DEC---TAN"),
            card("CRVAL1", 10.0),
            card("CRVAL2", 20.0),
            card("CRPIX1", 15.5),
            card("CRPIX2", 10.5),
            card("CD1_1", -0.0001),
            card("CD2_2", 0.0001),
        ],
        lambda i: [i.ra_deg, i.dec_deg] == pytest.approx([10.0, 20.0]),
    ),
    "empty CRVAL": (
        [card("CTYPE1", "RA---TAN"), "CRVAL1  =", "CRVAL2  =", card("CD1_1", 0.0001)],
        lambda i: i.ra_deg is None,
    ),
    "CD matrix of zeros": (
        [
            card("CTYPE1", "RA---TAN"),
            card("CRVAL1", 10.0),
            card("CRVAL2", 20.0),
            *(card(f"CD{ij}", 0.0) for ij in ("1_1", "1_2", "2_1", "2_2")),
        ],
        lambda i: i.ra_deg is None and i.pixel_scale_arcsec is None,
    ),
    "swapped axes": (
        [
            card("CTYPE1", "DEC--TAN"),
            card("CTYPE2", "RA---TAN"),
            card("CRVAL1", 20.0),
            card("CRVAL2", 110.0),
            card("CD1_1", 0.0001),
            card("CD2_2", 0.0001),
        ],
        lambda i: [i.ra_deg, i.dec_deg] == pytest.approx([110.0, 20.0]),
    ),
    "bytes that are not ASCII": (
        [card("OBJECT", "étoile"), card("OBSERVER", "Bánffy")],
        lambda i: (i.object_name, i.observer) == ("étoile", "Bánffy"),
    ),
    "keyword of more than eight letters": (["EXPOSURETIME= 5"], lambda i: i.exptime_s is None),
    "value without quotes": (
        ["FILTER  = R", "IMAGETYP= LIGHT"],
        lambda i: (i.band, i.kind) == ("R", FrameKind.SCIENCE),
    ),
    "D exponents": (["EXPTIME = 1.0D+01"], lambda i: i.exptime_s == 10.0),
    "proposal that looks like a number": (
        ["PROPID  = 89113e6"],
        lambda i: i.proposal_code == "89113e6",
    ),
    "exposure with its unit": (["EXPTIME = '30.0 s'"], lambda i: i.exptime_s == 30.0),
    "exposure in milliseconds": (
        [card("EXPTIME", 1500, "[ms] exposure")],
        lambda i: i.exptime_s == 1.5,
    ),
    "repeated keywords": (
        [card("EXPTIME", 10.0), card("EXPTIME", 20.0)],
        lambda i: i.exptime_s == 10.0,
    ),
    "target that was not set": (
        [card("OBJCTRA", "00 00 00"), card("OBJCTDEC", "+00 00 00")],
        lambda i: i.ra_deg is None and "no target" in i.doubts["ra_deg"],
    ),
    "mount where the target was not set": (
        [
            card("OBJCTRA", "00 00 00"),
            card("OBJCTDEC", "+00 00 00"),
            card("RA", 83.6),
            card("DEC", -5.4),
        ],
        lambda i: (i.ra_deg, i.position_role) == (83.6, "mount"),
    ),
    "focal length of zero": (
        [card("FOCALLEN", 0), card("XPIXSZ", 9.0)],
        lambda i: i.pixel_scale_arcsec is None,
    ),
    "gain of 120 without EGAIN": (
        [card("GAIN", 120)],
        lambda i: i.gain_e_per_adu is None and i.gain_setting == 120,
    ),
    "gain that is an exposure time": (
        [card("GAIN", 14.4)],
        lambda i: i.gain_e_per_adu == 14.4 and "gain_e_per_adu" in i.doubts,
    ),
    "gain as code": (
        ["GAIN    = __import__('os').system('true')"],
        lambda i: i.gain_e_per_adu is None,
    ),
    "gain as a list": (["GAIN    = '[1.0, 1.1]'"], lambda i: i.gain_e_per_adu is None),
    "12 bits in 16": (
        [card("BITDEPTH", 12)],
        lambda i: i.saturation_adu == 4095 and "saturation_adu" in i.doubts,
    ),
    "longitude to the west by its comment": (
        [card("SITELAT", 19.8), card("SITELONG", 155.5, "[deg W]")],
        lambda i: i.longitude_deg == -155.5,
    ),
    "west by comment, east by sign": (
        [card("SITELAT", 19.8), card("SITELONG", -155.5, "degrees West")],
        lambda i: i.longitude_deg == -155.5 and "longitude_deg" in i.doubts,
    ),
    "longitude beyond 180": (
        [card("SITELAT", 19.8), card("SITELONG", 204.5)],
        lambda i: i.longitude_deg == -155.5,
    ),
    "date in the future": (
        [card("DATE-OBS", "2036-05-01T02:03:04")],
        lambda i: "future" in i.doubts["start_utc"],
    ),
    "negative exposure": (
        [card("EXPTIME", -1.0)],
        lambda i: i.exptime_s is None and "exptime_s" in i.doubts,
    ),
    "exposure that is no number": (["EXPTIME = NaN"], lambda i: i.exptime_s is None),
    "endless exposure": ([START, card("EXPTIME", 1e300)], lambda i: i.mid_utc is None),
    "second of 60": (
        [card("DATE-OBS", "2024-05-01T23:59:60.0")],
        lambda i: i.start_utc == datetime(2024, 5, 2, tzinfo=UTC),
    ),
    "date that is none": ([card("DATE-OBS", "2024-13-41T25:61:61")], lambda i: i.start_utc is None),
    "stamped when received": (
        [card("DATE-OBS", "2024-05-01T02:00:30", "System Clock: Frame Received"), "EXPTIME = 30."],
        lambda i: i.start_utc == datetime(2024, 5, 1, 2, tzinfo=UTC) and "start_utc" in i.doubts,
    ),
    "MJD-OBS that disagrees": (
        [START, card("MJD-OBS", 60431.5)],
        lambda i: "MJD-OBS" in i.doubts["start_utc"],
    ),
    "light by one word, flat by another": (
        [card("IMAGETYP", "Light Frame"), card("FRAME", "Flat"), card("OBJECT", "x")],
        lambda i: i.kind == FrameKind.FLAT and i.kind_doubt,
    ),
    "bare light": ([card("IMAGETYP", "Light Frame")], lambda i: i.kind_doubt is not None),
    "light that was not exposed": (
        [card("IMAGETYP", "LIGHT"), card("OBJECT", "M 1"), card("EXPTIME", 0.0)],
        lambda i: "not exposed" in str(i.kind_doubt),
    ),
    "words that say nothing": (
        [card("OBJECT", "N/A"), card("FILTER", "UNKNOWN"), card("PROPID", "none")],
        lambda i: (i.object_name, i.band, i.proposal_code) == (None, None, None),
    ),
    "sections of another frame": (
        [card("TRIMSEC", "[1:4096,1:4096]"), card("BIASSEC", "[4097:4120,1:4096]")],
        lambda i: (i.nx, i.ny) == (30, 20) and "amplifiers" in i.doubts,
    ),
    "path for a name": (
        [card("OBJECT", "../../etc/passwd")],
        lambda i: i.object_name == "../../etc/passwd",
    ),
    "markup for a name": (
        [card("OBJECT", "<script>alert(1)</script>")],
        lambda i: i.object_name == "<script>alert(1)</script>",
    ),
    "right ascension beyond a day": (
        [card("RA", "25:00:00"), card("DEC", "10:00:00")],
        lambda i: i.ra_deg is None,
    ),
    "declination in four fields": (
        [card("RA", "10:00:00"), card("DEC", "-22:57:08:99")],
        lambda i: i.dec_deg == pytest.approx(-(22 + 57 / 60 + 8.99 / 3600)),
    ),
}


@pytest.mark.parametrize("name", CORPUS)
def test_bad_header_comes_out_as_it_must(tmp_path: Path, name: str) -> None:
    cards, check = CORPUS[name]

    assert check(info_of(tmp_path, *cards))


def test_third_axis_of_one_is_an_image_and_of_three_is_no_frame(tmp_path: Path) -> None:
    flat = info_of(tmp_path, shape=(1, 20, 30))
    colour = info_of(tmp_path, card("IMAGETYP", "LIGHT"), shape=(3, 20, 30))

    assert (flat.nx, flat.ny, flat.unusable) == (30, 20, None)
    assert colour.kind == FrameKind.UNKNOWN
    assert "cube of 3 planes" in str(colour.unusable)


def test_time_zone_of_the_header_is_brought_to_utc(tmp_path: Path) -> None:
    info = info_of(tmp_path, card("DATE-OBS", "2024-05-01T22:00:00.5+0530"))

    assert info.start_utc == datetime(2024, 5, 1, 16, 30, 0, 500000, tzinfo=UTC)


@pytest.mark.parametrize(("system", "off_s"), [("UTC", 0.0), ("TAI", 37.0), ("TT", 69.184)])
def test_atomic_time_is_brought_to_utc(tmp_path: Path, system: str, off_s: float) -> None:
    info = info_of(tmp_path, START, card("TIMESYS", system))

    utc = datetime(2024, 5, 1, 2, 3, 4, 500000, tzinfo=UTC)
    assert info.start_utc == utc - timedelta(seconds=off_s)


KEYWORDS = [
    "IMAGETYP", "OBSTYPE", "EXPTIME", "DATE-OBS", "TIME-OBS", "UT", "MJD-OBS", "JD", "FILTER",
    "GAIN", "EGAIN", "RDNOISE", "SATURATE", "BITDEPTH", "CCD-TEMP", "XBINNING", "YBINNING",
    "CCDSUM", "RA", "DEC", "OBJCTRA", "OBJCTDEC", "CTYPE1", "CRVAL1", "CRVAL2", "CRPIX1", "CD1_1",
    "CD2_2", "CDELT1", "CDELT2", "SITELAT", "SITELONG", "TRIMSEC", "BIASSEC", "DATASEC", "DETSEC",
    "BAYERPAT", "PEDESTAL", "NCOMBINE", "INSTRUME", "TELESCOP", "SWCREATE", "ORIGIN", "OBJECT",
    "BZERO", "BSCALE", "BLANK", "EXTEND", "TIMESYS", "DATE-AVG", "MJD-AVG", "EQUINOX", "FOCALLEN",
    "XPIXSZ", "CALSTAT", "WAVMODE", "GRATING", "INSTCONF", "OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z",
]  # fmt: skip
NUMBERS = st.one_of(st.integers(), st.floats(width=64)).map(str)
WORDS = st.sampled_from(
    ["'N.I.N.A. 3'", "'LCOGT'", "'Goodman Spectro'", "'CAFOS 2.2'", "'SPRAT'", "'POCS'", "'DECam'"]
    + ["'[1:9,2:3]'", "'2021-02-30T99:99:99'", "'24:61:61'", "'LIGHT'", "'bias'", "T", "'1 0'"]
)
VALUES = st.one_of(NUMBERS, WORDS, st.text(max_size=60), st.text("0123456789:.-+eE ", max_size=30))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cards=st.lists(st.tuples(st.sampled_from(KEYWORDS), VALUES), max_size=25))
def test_any_values_under_real_keywords_translate_or_are_refused(
    tmp_path: Path, cards: list[tuple[str, str]]
) -> None:
    lines = [f"{keyword:<8}= {value}".replace("\n", " ") for keyword, value in cards]
    path = tmp_path / "fuzz.fits"
    path.write_bytes(header_bytes(image_lines(*lines)) + b"\0" * 2880)

    try:
        found = translate(read_headers(path), file_name="fuzz.fits", now=NOW)
    except BadFileError as error:
        assert error.code
    else:
        assert all(info.nx >= 1 and info.ny >= 1 and info.amplifiers for info in found)
        for info in found:
            assert info.ra_deg is None or 0 <= info.ra_deg <= 360
            assert info.dec_deg is None or -90 <= info.dec_deg <= 90
            assert info.start_utc is None or info.start_utc.tzinfo is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cards=st.lists(st.binary(min_size=80, max_size=80), max_size=20))
def test_any_cards_behind_a_sound_start_translate_or_are_refused(
    tmp_path: Path, cards: list[bytes]
) -> None:
    start = b"".join(line.encode().ljust(80) for line in image_lines(shape=(4, 5)))
    raw = start + b"".join(cards) + b"END".ljust(80)
    path = tmp_path / "fuzz.fits"
    path.write_bytes(raw.ljust(-(-len(raw) // 2880) * 2880) + b"\0" * 2880)

    try:
        found = translate(read_headers(path), file_name="fuzz.fits", now=NOW)
    except BadFileError as error:
        assert error.code
    else:
        assert found
