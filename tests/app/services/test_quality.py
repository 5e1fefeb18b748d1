"""Marks on frames by thresholds: each by what it is for, nothing else, and again on a change."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.db import db, transaction
from app.jobs import runner
from app.models import Event, Frame, Job, Level, User
from app.services import frames, listing, quality, settings
from app.services.quality import MARKS, Thresholds
from tests.app.services.skyframes import NIGHT, make_night, make_sky_frame
from tests.factories import make_camera, make_frame


def mark(first: date = NIGHT, last: date | None = None) -> int:
    found = quality.judge_nights(first, last or first, Thresholds.of(settings.snapshot()))
    with transaction():
        return quality.store(found)


def marks(frame: Frame) -> list[str]:
    db.session.refresh(frame)
    return list(frame.quality)


def test_a_good_frame_among_its_like_has_no_mark(app: Flask) -> None:
    night = make_night()

    assert mark() == 0
    assert [marks(frame) for frame in night] == [[]] * len(night)


BAD: dict[str, dict[str, Any]] = {
    "unsolved": {
        "sky_state": "unsolved",
        **dict.fromkeys(("scale_arcsec", "wcs_rms_arcsec", "zero_point_mag", "limit_mag")),
    },
    "bad_astrometry": {"wcs_rms_arcsec": 0.3},
    "no_zero_point": {"zero_point_mag": None, "limit_mag": None},
    "clouds": {"zero_point_mag": 23.5},
    "shallow": {"limit_mag": 19.8},
    "bright_sky": {"sky_level": 40_000.0},
    "trailed": {"trail": 4.0, "ellipticity": 0.5},
    "elongated": {"ellipticity": 0.5},
    "wide": {"fwhm_pix": 7.0},
}


@pytest.mark.parametrize("expected", MARKS)
def test_each_mark_is_set_by_what_it_is_for_and_by_nothing_else(app: Flask, expected: str) -> None:
    good = make_night()
    bad = make_sky_frame(**BAD[expected])

    assert mark() == 1

    assert marks(bad) == [expected]
    assert all(marks(frame) == [] for frame in good)
    assert bad.is_valid  # marked, not deleted and not set invalid


def test_several_marks_stand_in_one_order(app: Flask) -> None:
    make_night()
    bad = make_sky_frame(fwhm_pix=7.0, zero_point_mag=22.0, ellipticity=0.4)

    mark()

    assert marks(bad) == ["clouds", "elongated", "wide"]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("astrometry_pix", "bad_astrometry"),
        ("clouds_mag", "clouds"),
        ("depth_mag", "shallow"),
        ("trail_fwhm", "trailed"),
        ("fwhm_times", "wide"),
    ],
)
def test_a_threshold_of_zero_asks_for_no_such_mark(
    app: Flask, staff: User, item: str, expected: str
) -> None:
    make_night()
    bad = make_sky_frame(**{**BAD[expected], "ellipticity": 0.05})
    mark()
    assert marks(bad) == [expected]

    settings.change("quality", item, 0, by=staff)
    mark()

    assert marks(bad) == []


def test_stars_are_wide_by_the_sky_and_by_what_is_usual_of_the_night(app: Flask) -> None:
    poor = make_night(fwhm_pix=11.0)  # 5.5 arcseconds, all night: not wider than is usual
    wide = make_sky_frame(fwhm_pix=13.0)  # 6.5 arcseconds

    mark()

    assert marks(wide) == ["wide"]
    assert all(marks(frame) == [] for frame in poor)


def test_airmass_is_no_cloud(app: Flask) -> None:
    clear = [
        make_sky_frame(airmass=x, zero_point_mag=24 - 0.2 * (x - 1))
        for x in (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.4, 2.8)
    ]
    cloudy = make_sky_frame(airmass=1.1, zero_point_mag=23.64)  # as high up as the last

    mark()

    assert marks(cloudy) == ["clouds"]
    assert all(marks(frame) == [] for frame in clear)


def test_where_the_header_tells_no_airmass_the_site_does(app: Flask, staff: User) -> None:
    settings.change("site", "latitude_deg", -30.17, by=staff)
    settings.change("site", "longitude_deg", -70.8, by=staff)
    make_night()
    low = make_sky_frame(  # 11 degrees up: five airmasses of 0.15 mag
        airmass=None,
        ra_deg=227.0,
        dec_deg=-30.0,
        mid_utc=datetime(2026, 11, 20, 22, 10, tzinfo=UTC),
        zero_point_mag=23.4,
    )

    mark()

    assert marks(low) == []
    settings.change("site", "latitude_deg", 0, by=staff)
    settings.change("site", "longitude_deg", 0, by=staff)
    mark()
    assert marks(low) == ["clouds"]


def test_a_wholly_overcast_night_is_told_by_the_nights_before(app: Flask) -> None:
    for day in (2, 5, 9):
        make_night(4, NIGHT - timedelta(days=day))
    overcast = make_night(5, zero_point_mag=23.2)
    long_ago = make_night(5, NIGHT - timedelta(days=400), zero_point_mag=23.2)

    mark(NIGHT - timedelta(days=500), NIGHT)

    assert all(marks(frame) == ["clouds"] for frame in overcast)
    assert all(marks(frame) == [] for frame in long_ago)


def test_depth_is_compared_at_the_same_exposure_time(app: Flask) -> None:
    make_night()
    short = make_sky_frame(exptime_s=1.0, limit_mag=18.5, sky_level=2.0)  # limited by the sky

    mark()

    assert marks(short) == []


def test_frames_of_another_camera_band_or_unit_are_not_compared(app: Flask) -> None:
    make_night()
    others = [
        *make_night(3, zero_point_mag=21.0, camera_id=make_camera().id),
        *make_night(3, zero_point_mag=21.0, band="B"),
        *make_night(3, zero_point_mag=21.0, unit="adu"),
    ]

    mark()

    assert all(marks(frame) == [] for frame in others)


def test_invalid_frames_and_frames_without_their_calibrations_say_nothing_of_the_sky(
    app: Flask,
) -> None:
    good = make_night(4)
    make_night(6, zero_point_mag=25.0, is_valid=False)
    make_night(6, zero_point_mag=25.0, missing=["no flat"])

    mark()

    assert all(marks(frame) == [] for frame in good)


def test_raw_frames_and_frames_not_looked_at_have_no_marks(app: Flask) -> None:
    raw = make_frame()
    reduced = make_frame(level=Level.REDUCED)

    assert mark() == 0
    assert (marks(raw), marks(reduced)) == ([], [])


def test_a_frame_of_no_night_is_marked_by_itself(app: Flask) -> None:
    lost = make_sky_frame(None, fwhm_pix=20.0, start_utc=None)
    dated = make_sky_frame(fwhm_pix=20.0)

    found = quality.judge_frames([lost.id, dated.id], Thresholds.of(settings.snapshot()))

    assert {one.frame_id: one.marks for one in found} == {lost.id: ["wide"], dated.id: ["wide"]}


def test_judging_writes_nothing(app: Flask) -> None:
    bad = make_sky_frame(fwhm_pix=20.0)

    (verdict,) = quality.judge_nights(NIGHT, NIGHT, Thresholds.of(settings.snapshot()))

    assert (verdict.frame_id, verdict.marks, marks(bad)) == (bad.id, ["wide"], [])


def test_a_mark_is_told_to_open_pages_and_is_no_change_of_the_frame(app: Flask) -> None:
    make_night()
    bad = make_sky_frame(fwhm_pix=20.0)
    modified = bad.modified_at

    mark()

    db.session.refresh(bad)
    assert bad.modified_at == modified
    told = db.session.scalars(select(Event).where(Event.topic == "frames")).all()
    assert [event.subject for event in told] == [{"night": "2026-11-20"}]


def test_a_changed_threshold_has_all_frames_marked_anew_once(app: Flask, staff: User) -> None:
    frame = make_sky_frame(fwhm_pix=7.0)
    undated = make_sky_frame(None, fwhm_pix=7.0, start_utc=None)
    quality.mark_anew_if_due()
    runner.work_off()
    assert quality.mark_anew_if_due() is None

    settings.change("quality", "fwhm_arcsec", 2.0, by=staff)
    first, second = quality.mark_anew_if_due(), quality.mark_anew_if_due()
    runner.work_off()

    assert first is not None
    assert second is not None
    assert first.id == second.id
    assert (marks(frame), marks(undated)) == (["wide"], ["wide"])
    assert quality.mark_anew_if_due() is None
    assert "the marks of 2 frames changed" in str(first.result)


def test_thresholds_that_change_while_frames_are_marked_hold_in_the_end(
    app: Flask, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = make_sky_frame(fwhm_pix=7.0)
    settings.change("quality", "fwhm_arcsec", 2.0, by=staff)
    job = quality.mark_anew_if_due()
    assert job is not None
    told = quality.nights_to_mark

    def nights_after_a_change() -> Any:
        monkeypatch.setattr(quality, "nights_to_mark", told)
        found = told()
        settings.change("quality", "fwhm_arcsec", 5.0, by=staff)
        return found

    monkeypatch.setattr(quality, "nights_to_mark", nights_after_a_change)
    runner.work_off()

    assert marks(frame) == []
    assert quality.mark_anew_if_due() is None


def test_a_new_site_has_nothing_to_mark_and_queues_nothing(app: Flask) -> None:
    make_frame()

    assert quality.mark_anew_if_due() is None
    assert db.session.scalars(select(Job)).all() == []
    assert quality.marked_with() != ""


def test_frames_are_found_by_their_mark_and_by_no_other(app: Flask, staff: User) -> None:
    make_night()
    wide = make_sky_frame(fwhm_pix=20.0)
    both = make_sky_frame(fwhm_pix=20.0, ellipticity=0.5)
    mark()

    found = db.session.scalars(select(Frame.id).where(quality.is_marked("wide"))).all()

    assert set(found) == {wide.id, both.id}
    page = listing.page_of(staff, listing.Wanted())
    told = {record["id"]: record["quality"] for record in page.records()}
    assert {frame_id: marks for frame_id, marks in told.items() if marks} == {
        wide.id: ["wide"],
        both.id: ["elongated", "wide"],
    }
    assert frames.get(staff, wide.id).is_valid
