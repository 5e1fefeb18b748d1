"""Which frames may be reduced together."""

import pytest
from flask import Flask

from app.models import BlockKind, Camera
from app.services.block_members import shortcoming
from app.services.calibration_key import Tolerances, differences, group, mixture
from tests.factories import make_camera, make_frame

NEAR = Tolerances(temp_c=2.0, exptime=0.02)
DARK, FLAT, SCI = BlockKind.DARK, BlockKind.FLAT, BlockKind.SCI


@pytest.fixture
def camera(app: Flask) -> Camera:
    return make_camera()


def test_a_group_of_darks_never_spans_more_than_the_tolerance(camera: Camera) -> None:
    temps = (-10.0, -9.0, -8.0, -7.0, -6.0)
    darks = [make_frame("dark", camera_id=camera.id, temp_c=t, exptime_s=60.0) for t in temps]

    groups = group(darks, DARK, NEAR)

    spans = [max(f.temp_c or 0 for f in g) - min(f.temp_c or 0 for f in g) for g in groups]
    assert max(spans) <= NEAR.temp_c
    assert sum(len(g) for g in groups) == len(darks)
    assert all(mixture(g, DARK, NEAR) == "" for g in groups)


def test_the_measured_temperature_counts_before_the_one_that_was_set(camera: Camera) -> None:
    warm = make_frame("dark", camera_id=camera.id, temp_c=5.0, temp_set_c=-10.0)
    cold = make_frame("dark", camera_id=camera.id, temp_c=None, temp_set_c=-10.0)

    assert differences(cold, warm, DARK, NEAR) == ["temperature 5 C instead of -10 C"]


def test_a_flat_with_its_bias_taken_out_does_not_meet_one_that_has_it(camera: Camera) -> None:
    raw = make_frame("flat", camera_id=camera.id)
    clean = make_frame("flat", camera_id=camera.id, steps_done=["bias"])

    assert differences(raw, clean, FLAT, NEAR) == ["steps done bias instead of none"]


def test_science_frames_are_reduced_one_by_one_whatever_was_done_to_them(camera: Camera) -> None:
    raw = make_frame(camera_id=camera.id)
    clean = make_frame(camera_id=camera.id, steps_done=["bias"], exptime_s=900.0, temp_c=3.0)

    assert differences(raw, clean, SCI, NEAR) == []


def test_dome_and_sky_flats_are_not_combined(camera: Camera) -> None:
    dome = make_frame("flat", camera_id=camera.id, flat_source="dome")
    sky = make_frame("flat", camera_id=camera.id, flat_source="sky")

    assert len(group([dome, sky], FLAT, NEAR)) == 2


def test_a_flat_that_was_flat_fielded_is_of_no_use(camera: Camera) -> None:
    done = make_frame("flat", camera_id=camera.id, steps_done=["bias", "flat"])

    assert "its own flat was taken out of it" in shortcoming(done)


def test_a_mixture_names_what_differs_and_the_files_of_each_kind(camera: Camera) -> None:
    frames = [make_frame("bias", camera_id=camera.id) for _ in range(2)]
    frames += [
        make_frame("bias", camera_id=camera.id, binning_x=2, binning_y=2, file_name=f"b{i}.fits")
        for i in range(6)
    ]

    found = mixture(frames, BlockKind.BIAS, NEAR)

    assert found == ("b0.fits, b1.fits, b2.fits, b3.fits and 2 more: binning 2x2 instead of 1x1")
