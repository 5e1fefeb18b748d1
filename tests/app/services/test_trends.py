"""What is told of how nights went: values of frames, medians of nights, the extinction."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from flask import Flask

from app.errors import InvalidRequestError
from app.models import User
from app.services import settings, trends
from app.services.trends import MOST_NIGHTS, VALUES
from tests.app.services.skyframes import NIGHT, make_night, make_sky_frame
from tests.factories import make_camera, make_frame, make_user

AIRMASSES = np.linspace(1.0, 2.4, 12)


def make_extinction(slope: float, **values: Any) -> None:
    for x in AIRMASSES:
        make_sky_frame(airmass=float(x), zero_point_mag=float(24 - slope * (x - 1)), **values)


def test_the_frames_of_a_night_are_told_in_the_order_of_time(app: Flask, observer: User) -> None:
    second = make_sky_frame(start_utc=datetime(2026, 11, 21, 8, tzinfo=UTC))
    make_sky_frame()
    make_sky_frame(NIGHT - timedelta(days=1))
    make_frame()

    found = trends.of_night(observer, NIGHT)

    assert len(found) == 2
    assert found.columns["id"][-1] == second.id
    last = found.frames[-1]
    assert (last["fwhm_arcsec"], last["zero_point_mag"], last["airmass"]) == (1.5, 24.0, 1.0)
    # 200 counts of 100 s on pixels of half an arcsecond: 8 a second and square arcsecond
    assert last["sky_mag"] == pytest.approx(24 - 2.5 * np.log10(8), abs=1e-3)
    assert last["marks"] == []
    assert last["clear_zero_point_mag"] == pytest.approx(24.0)
    assert set(VALUES) <= set(last)


def test_the_extinction_is_told_by_camera_and_band(app: Flask, observer: User) -> None:
    make_extinction(0.12)
    make_extinction(0.31, band="B", camera_id=make_camera("Other").id)

    skies = trends.of_night(observer, NIGHT).skies

    assert [(sky.camera, sky.band) for sky in skies] == [("", "r"), ("Other", "B")]
    assert [sky.coefficient for sky in skies] == pytest.approx([0.12, 0.31], abs=1e-6)
    assert all(sky.is_fitted and sky.at_zenith == pytest.approx(24.0) for sky in skies)
    assert [(sky.frames, sky.clear) for sky in skies] == [(12, 12), (12, 12)]


def test_frames_of_one_airmass_take_the_usual_extinction_of_the_sites_height(
    app: Flask, observer: User, staff: User
) -> None:
    make_night()
    (low,) = trends.of_night(observer, NIGHT).skies

    settings.change("site", "elevation_m", 2500, by=staff)
    (high,) = trends.of_night(observer, NIGHT).skies

    assert not low.is_fitted
    assert low.coefficient_error == 0
    assert high.coefficient < low.coefficient


def test_unsolved_frames_are_told_with_what_is_known_of_them(app: Flask, observer: User) -> None:
    make_sky_frame(
        sky_state="unsolved", scale_arcsec=None, zero_point_mag=None, limit_mag=None, airmass=None
    )

    found = trends.of_night(observer, NIGHT)

    (frame,) = found.frames
    assert (frame["fwhm_arcsec"], frame["zero_point_mag"], frame["airmass"]) == (None, None, None)
    assert frame["ellipticity"] == 0.05
    assert found.skies == []


def test_medians_of_nights_are_told_by_camera_and_band(app: Flask, observer: User) -> None:
    make_sky_frame(fwhm_pix=3.0)
    make_sky_frame(fwhm_pix=4.0)
    make_sky_frame(fwhm_pix=9.0)
    make_sky_frame(fwhm_pix=50.0, is_valid=False)
    make_sky_frame(band="g")
    make_sky_frame(NIGHT - timedelta(days=3), limit_mag=None)

    columns, skies = trends.over_nights(observer, NIGHT - timedelta(days=5), NIGHT)

    assert columns["night"] == ["2026-11-17", "2026-11-20", "2026-11-20"]
    assert columns["band"] == ["r", "g", "r"]
    assert columns["frames"] == [1, 1, 3]
    assert columns["fwhm_arcsec"] == [1.5, 1.5, 2.0]
    assert columns["limit_mag"] == [None, 21.0, 21.0]
    assert len(skies) == 3


def test_too_many_nights_and_nights_the_wrong_way_round_are_refused(
    app: Flask, observer: User
) -> None:
    for start in (NIGHT - timedelta(days=MOST_NIGHTS), NIGHT + timedelta(days=1)):
        with pytest.raises(InvalidRequestError, match="400 nights at most"):
            trends.over_nights(observer, start, NIGHT)


def test_the_newest_nights_are_those_that_have_frames_on_the_sky(
    app: Flask, observer: User
) -> None:
    assert trends.newest_nights(observer) is None
    for days in (0, 2, 9):
        make_sky_frame(NIGHT - timedelta(days=days))
    make_frame(night=NIGHT + timedelta(days=1))

    assert trends.newest_nights(observer) == (NIGHT - timedelta(days=9), NIGHT)
    assert trends.newest_nights(observer, 2) == (NIGHT - timedelta(days=2), NIGHT)
    assert trends.has_any(observer, NIGHT)
    assert not trends.has_any(observer, NIGHT + timedelta(days=1))


def test_nobody_learns_of_frames_they_may_not_see(app: Flask, observer: User) -> None:
    make_extinction(0.12)

    assert len(trends.of_night(None, NIGHT)) == 0
    assert len(trends.of_night(make_user("gone", is_active=False), NIGHT)) == 0
    assert trends.over_nights(None, NIGHT, NIGHT)[0]["night"] == []
    assert trends.newest_nights(None) is None
    assert len(trends.of_night(observer, NIGHT)) == 12


def test_a_night_at_the_end_of_time_is_no_trouble(app: Flask, observer: User) -> None:
    make_sky_frame(date.max)

    assert trends.newest_nights(observer) == (date.max, date.max)
    assert trends.newest_nights(observer, 1) == (date.max, date.max)
