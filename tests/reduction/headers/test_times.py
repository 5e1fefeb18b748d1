"""Dates, times and nights."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from reduction.fitsio import read_headers
from reduction.frameinfo import FrameInfo
from reduction.headers import translate
from reduction.headers.times import parse_moment
from tests.reduction.headers.texts import card, write_image

SITE = (card("SITELAT", -30.0), card("SITELONG", -70.5))


def info_of(tmp_path: Path, *cards: str) -> FrameInfo:
    path = write_image(tmp_path / "frame.fits", *cards)
    (info,) = translate(
        read_headers(path), file_name=path.name, now=datetime(2026, 1, 1, tzinfo=UTC)
    )
    return info


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2024-05-01T02:03:04", utc(2024, 5, 1, 2, 3, 4)),
        ("2024-05-01T02:03:04.1234567Z", utc(2024, 5, 1, 2, 3, 4, 123457)),
        ("2024-05-01 02:03:04", utc(2024, 5, 1, 2, 3, 4)),
        ("2024-05-01T02:03", utc(2024, 5, 1, 2, 3)),
        ("2024-05-01T23:59:60.5", utc(2024, 5, 2, 0, 0, 0, 500000)),
        ("2017-12-19T18:33:43.317-0700", utc(2017, 12, 20, 1, 33, 43, 317000)),
        ("2024-05-01T02:00:00+02:00", utc(2024, 5, 1)),
        ("2024/05/01", utc(2024, 5, 1)),
        ("28/03/93", utc(1993, 3, 28)),
    ],
)
def test_date_is_parsed_in_every_form(text: str, when: datetime) -> None:
    moment = parse_moment(text)

    assert moment is not None
    assert moment.when == when


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2024-02-30", "2024-05-01T25:00:00", "0000-00-00"]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_moment(text) is None


@pytest.mark.parametrize(
    "cards",
    [
        (card("DATE-OBS", "2024-05-01"), card("TIME-OBS", "02:03:04.5")),
        (card("DATE-OBS", "2024-05-01"), card("UT", "02:03:04.5")),
        (card("DATE-OBS", "2024-05-01"), card("UT", "2024-05-01T02:03:04.5")),
        (card("DATE-OBS", "2024-05-01"), card("UTSTART", "02 03 04.5")),
        (card("DATE-OBS", "2024-05-01"), card("TIME", "02:03:04.5 to 02:04:04.5")),
        (card("DATE-OBS", "2024-05-01"), card("TM-START", 7384.5)),
        (card("DATE-OBS", "2024-05-01"), card("MJD-OBS", 60431.085468750)),
        (card("MJD-OBS", 60431.085468750),),
        (card("JD", "2460431.585468750"),),
        (card("DATE-BEG", "2024-05-01T02:03:04.5"), card("DATE-OBS", "2024-05-01T02:03:34.5")),
    ],
)
def test_start_is_found_however_it_is_split(tmp_path: Path, cards: tuple[str, ...]) -> None:
    start = info_of(tmp_path, *cards).start_utc

    assert start is not None
    assert abs((start - utc(2024, 5, 1, 2, 3, 4, 500000)).total_seconds()) < 0.002


def test_bare_date_is_midnight_with_a_doubt(tmp_path: Path) -> None:
    info = info_of(tmp_path, card("DATE-OBS", "2024-05-01"))

    assert info.start_utc == utc(2024, 5, 1)
    assert "without a time" in info.doubts["start_utc"]


def test_julian_date_with_too_few_digits_is_doubted(tmp_path: Path) -> None:
    assert "digits" in info_of(tmp_path, card("MJD-OBS", 60431.08)).doubts["start_utc"]


def test_middle_is_stated_or_half_an_exposure_on(tmp_path: Path) -> None:
    start = card("DATE-OBS", "2024-05-01T02:03:04"), card("EXPTIME", 30.0)
    stated = card("DATE-AVG", "2024-05-01T02:03:20")

    assert info_of(tmp_path, *start).mid_utc == utc(2024, 5, 1, 2, 3, 19)
    assert info_of(tmp_path, *start, stated).mid_utc == utc(2024, 5, 1, 2, 3, 20)


@pytest.mark.parametrize(
    ("start", "night"),
    [
        ("2024-05-01T16:41:00", "2024-04-30"),  # local noon at 70.5 W is 16:42 UTC
        ("2024-05-01T16:43:00", "2024-05-01"),
        ("2024-05-01T23:30:00", "2024-05-01"),
        ("2024-05-02T09:00:00", "2024-05-01"),
        ("2024-01-01T05:00:00", "2023-12-31"),
    ],
)
def test_night_is_from_local_noon_to_noon(tmp_path: Path, start: str, night: str) -> None:
    assert str(info_of(tmp_path, *SITE, card("DATE-OBS", start)).night) == night


def test_night_without_a_site_is_doubted(tmp_path: Path) -> None:
    assert "longitude" in info_of(tmp_path, card("DATE-OBS", "2024-05-01T02:00:00")).doubts["night"]
