"""Which masters a frame gets, and the reasons."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask

from app.models import Camera, Frame, Level
from app.services import calibrations, settings
from app.services.calibrations import CalibrationChoice, MasterChoice
from reduction.pedestal import needless_dark
from tests.factories import make_block, make_camera, make_frame

NIGHT = date(2026, 11, 20)


@pytest.fixture
def camera(app: Flask) -> Camera:
    return make_camera()


def make_master(kind: str, camera: Camera, days: int = 0, **values: Any) -> Frame:
    defaults = {"level": Level.MASTER, "camera_id": camera.id, "temp_c": -10.0}
    night = NIGHT - timedelta(days=days)
    return make_frame(kind, night=night, **(defaults | values))


def make_science(camera: Camera, **values: Any) -> Frame:
    return make_frame(**({"camera_id": camera.id, "temp_c": -10.0, "exptime_s": 60.0} | values))


def choose(frame: Frame) -> CalibrationChoice:
    return calibrations.choose(frame, settings.snapshot())


def test_the_nearest_in_time_is_taken_before_or_after(camera: Camera) -> None:
    make_master("bias", camera, days=5)
    nearest = make_master("bias", camera, days=-2)
    make_master("bias", camera, days=3)

    bias = choose(make_science(camera)).bias

    assert (bias.frame_id, bias.age_days) == (nearest.id, -2.0)
    assert bias.reason == "nearest bias, 2 days younger (night 2026-11-22)"


def test_one_that_is_too_old_is_named_but_not_used(camera: Camera) -> None:
    make_master("bias", camera, days=45)

    bias = choose(make_science(camera)).bias

    assert bias.frame_id is None
    assert bias.reason == (
        "no bias of this camera and setting within 30 days; "
        "the nearest is 45 days older (night 2026-10-06)"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"readout_key": "gain 100"},
        {"binning_x": 2, "binning_y": 2},
        {"nx": 32},
        {"is_valid": False},
        {"kind_doubt": "it may be a dark"},
        {"unusable": "a colour cube"},
        {"level": Level.RAW},
    ],
)
def test_a_bias_of_another_setting_or_without_standing_is_not_used(
    camera: Camera, other: dict[str, Any]
) -> None:
    make_master("bias", camera, **other)

    bias = choose(make_science(camera)).bias

    assert (bias.frame_id, bias.reason) == (None, "no bias of this camera and setting")


def test_a_bias_of_another_camera_is_not_used(camera: Camera) -> None:
    make_master("bias", make_camera("Other"))

    assert choose(make_science(camera)).bias.frame_id is None


def test_the_master_of_an_invalid_block_is_not_used(camera: Camera) -> None:
    older = make_master("bias", camera, days=4)
    master = make_master("bias", camera)
    make_block("bias", [], master_id=master.id, is_valid=False)

    assert choose(make_science(camera)).bias.frame_id == older.id


def test_a_dark_of_the_same_exposure_goes_before_a_younger_one_that_must_be_scaled(
    camera: Camera,
) -> None:
    make_master("bias", camera)
    make_master("dark", camera, exptime_s=300.0, steps_done=["bias"])
    exact = make_master("dark", camera, days=9, exptime_s=60.9, steps_done=["bias"])

    assert choose(make_science(camera)).dark.frame_id == exact.id


def test_a_dark_is_scaled_only_for_a_frame_that_has_a_bias(camera: Camera) -> None:
    ours = make_master("dark", camera, days=1, exptime_s=300.0, fingerprint="made here")
    assert choose(make_science(camera)).dark.frame_id is None

    make_master("bias", camera)
    dark = choose(make_science(camera)).dark

    assert dark.frame_id == ours.id
    assert dark.reason == "nearest dark of 300 s for 60 s, 1 day older (night 2026-11-19)"


def test_a_dark_of_another_program_that_may_hold_its_bias_is_not_scaled(camera: Camera) -> None:
    make_master("bias", camera)
    make_master("dark", camera, exptime_s=300.0)
    same_exposure = make_master("dark", camera, exptime_s=30.0)

    assert choose(make_science(camera)).dark.frame_id is None
    assert choose(make_science(camera, exptime_s=30.0)).dark.frame_id == same_exposure.id


def test_of_darks_of_one_night_a_longer_one_is_scaled_rather_than_a_shorter(
    camera: Camera,
) -> None:
    make_master("bias", camera)
    long = make_master("dark", camera, exptime_s=300.0, steps_done=["bias"])
    make_master("dark", camera, exptime_s=10.0, steps_done=["bias"])

    assert choose(make_science(camera)).dark.frame_id == long.id


def test_a_dark_of_another_temperature_is_not_used(camera: Camera) -> None:
    make_master("dark", camera, exptime_s=60.0, temp_c=-12.1)
    make_master("dark", camera, exptime_s=60.0, temp_c=None)

    dark = choose(make_science(camera)).dark

    assert dark.frame_id is None
    assert dark.reason == "no dark of 60 s at -10.0 ± 2 C of this camera and setting"


def test_many_other_exposures_do_not_hide_the_one_that_fits(camera: Camera) -> None:
    exact = make_master("dark", camera, days=20, exptime_s=60.0)
    for number in range(30):
        make_master("dark", camera, exptime_s=100.0 + number)

    assert choose(make_science(camera)).dark.frame_id == exact.id


def test_a_flat_is_of_the_band_and_of_one_night_the_sky_flat_is_taken(camera: Camera) -> None:
    make_master("flat", camera, band="B", flat_source="sky")
    dome = make_master("flat", camera, band="r", flat_source="dome")
    sky = make_master("flat", camera, band="r", flat_source="twilight")
    later = make_master("flat", camera, band="r", flat_source="dome")

    assert choose(make_science(camera)).flat.frame_id == sky.id
    assert dome.id < later.id


def test_a_flat_through_another_grating_is_not_used(camera: Camera) -> None:
    make_master("flat", camera, technique="spectroscopy", extras={"grating": "SYZY_400"})
    frame = make_science(camera, technique="spectroscopy", extras={"grating": "RALC_1200"})

    assert choose(frame).flat.frame_id is None


def test_a_thin_master_is_used_and_called_so(camera: Camera) -> None:
    thin = make_master("flat", camera, is_thin=True)

    flat = choose(make_science(camera)).flat

    assert flat.frame_id == thin.id
    assert "thin" in flat.reason


def test_what_the_file_had_taken_out_already_is_not_asked_for(camera: Camera) -> None:
    make_master("flat", camera)

    flat = choose(make_science(camera, steps_done=["flat"])).flat

    assert flat.frame_id is None
    assert flat.reason == "no flat needed: the file had it taken out already"
    assert not flat.is_lacking


def test_a_frame_without_a_date_gets_nothing_and_says_why(camera: Camera) -> None:
    make_master("bias", camera)

    bias = choose(make_science(camera, night=None)).bias

    assert (bias.frame_id, bias.is_found) == (None, False)
    assert "no date" in bias.reason


def test_a_detector_so_cold_that_it_needs_no_dark_says_so_in_the_words_of_the_reduction(
    camera: Camera,
) -> None:
    make_master("bias", camera)
    cold = make_science(camera, temp_c=-110.0)

    choice = choose(cold).dark

    assert choice.reason == needless_dark(-110.0) != ""
    assert not choice.is_found
    assert choose(make_science(camera, temp_c=None)).dark.reason.startswith("no dark of 60 s")


def test_a_dark_there_is_serves_a_cold_detector_too(camera: Camera) -> None:
    make_master("bias", camera)
    dark = make_master("dark", camera, temp_c=-110.0, exptime_s=60.0)

    assert choose(make_science(camera, temp_c=-110.0)).dark.frame_id == dark.id


def test_master_that_is_not_needed_is_not_lacking() -> None:
    none = MasterChoice(None, None, "no bias needed: the file had it taken out already")

    assert none.is_lacking
    assert not replace(none, is_needed=False).is_lacking
    assert not replace(none, frame_id=7).is_lacking
