"""Files on their way in: names that cannot do harm, limits, and nothing left behind."""

import os
import unicodedata
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from app import paths
from app.errors import InvalidRequestError, UnavailableError
from app.services import settings, staging
from app.services.filewalk import is_image_name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("0001_GHTS_B_400m1_2x2_18-02-2021.fits", "0001_GHTS_B_400m1_2x2_18-02-2021.fits"),
        ("M 31_Light_001.FITS", "M 31_Light_001.FITS"),
        ("../../etc/passwd.fits", "passwd.fits"),
        ("/etc/cron.d/x.fits", "x.fits"),
        ("C:\\Users\\Dome\\x.fit.gz", "x.fit.gz"),
        ("..\\..\\x.fts", "x.fts"),
        (".hidden.fits", "hidden.fits"),
        ("a\0b.fits", "ab.fits"),
        ("a\nb\r\tc.fits", "a b c.fits"),
        ("x.fits\0.txt/../y.fits.fz", "y.fits.fz"),
        ("．．／．．／ｘ.fits", "x.fits"),  # full-width, which normalises to dots and slashes
        ("a\u202efits.exe.fits", "a_fits.exe.fits"),  # turns the reading direction round
        ("\u200b\ufeffx\u2028.fits", "_x.fits"),  # what cannot be seen
        ("<script>alert(1)<script>.fits", "_script_alert(1)_script_.fits"),
        ("$(rm -rf)`;|&'\".fits", "_(rm -rf)_.fits"),
        ("étoile.fits", "étoile.fits"),
        ("e\u0301toile.fits", "étoile.fits"),
        ("\udcff\ud800.fits", "_.fits"),
        ("x" * 5000 + ".fits.gz", "x" * 192 + ".fits.gz"),
        ("é" * 5000 + ".fits", "é" * 97 + ".fits"),
    ],
)
def test_name_from_outside_is_made_safe(sent: str, kept: str) -> None:
    assert staging.clean_name(sent) == kept


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "x.txt",
        "x.fits.exe",
        "x.fits/",
        "x.fits/..",
        "fits",
        "x.fits.bz2",
        "x.fz",
        "\0",
        ".fits",
        "..fits",
        " .fits ",
    ],
)
def test_name_that_is_none_of_a_fits_file_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="not the name of a FITS file"):
        staging.clean_name(name)


@given(st.text(st.characters(), max_size=300), st.sampled_from(staging.SUFFIXES))
def test_any_name_stays_in_its_folder_and_is_seen_by_a_scan(text: str, suffix: str) -> None:
    try:
        name = staging.clean_name(text + suffix)
    except InvalidRequestError:
        return

    assert os.sep not in name
    assert "\\" not in name
    assert not name.startswith(".")
    assert name.isprintable()
    assert len(name.encode()) <= staging.LONGEST_NAME
    assert is_image_name(name)
    assert staging.clean_name(name) == name
    assert unicodedata.is_normalized("NFC", name)


def test_what_is_not_taken_is_gone_afterwards_also_after_an_error(app: Flask) -> None:
    with pytest.raises(ZeroDivisionError), staging.staging(settings.snapshot()) as room:
        room.open("a.fits").write(b"half")
        place = room.folder
        assert place.is_dir()
        raise ZeroDivisionError

    assert not place.exists()


def test_disk_that_fills_up_on_the_way_stops_the_file(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with staging.staging(settings.snapshot()) as room:
        incoming = room.open("a.fits")
        incoming.write(b"x" * 1000)
        room.reserve_bytes = 1 << 60
        with pytest.raises(UnavailableError, match=r"disk\.reserve_mb"):
            incoming.write(b"x" * (17 * staging.MEGABYTE))


def test_only_what_is_long_abandoned_is_swept(app: Flask) -> None:
    root = paths.current().data / ".incoming"
    for name, age_s in (("old", staging.ABANDONED_S + 60), ("new", 0.0)):
        _folder(root / name, age_s)

    assert staging.sweep() == 1

    assert [path.name for path in root.iterdir()] == ["new"]


def _folder(path: Path, age_s: float) -> None:
    path.mkdir(parents=True)
    (path / "a.fits").write_bytes(b"")
    then = path.stat().st_mtime - age_s
    os.utime(path, (then, then))
