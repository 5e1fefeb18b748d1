"""Master bias, dark and flat, and what is left out of them."""

from dataclasses import replace

import numpy as np
import pytest

from reduction.combine import CombineParams
from reduction.errors import NotEnoughFramesError, ShapeMismatchError
from reduction.exposure import Exposure, Master
from reduction.flags import PixelFlag
from reduction.frameinfo import FrameKind
from reduction.recipes import (
    BiasParams,
    Calibrations,
    DarkFrame,
    FlatParams,
    make_bias,
    make_dark,
    make_flat,
)
from tests.reduction.detector import Detector, pixels, with_plane

GAINS = [0.5, 1.5, 10.0]


def detector(
    gain: float = 1.5, overscan: int = 40, *, dark_e_per_s: float = 0.0, dtype: str = ">i2"
) -> Detector:
    return Detector(
        gain=gain,
        overscan=overscan,
        read_noise_e=max(6.0, 1.5 * gain),
        dark_e_per_s=dark_e_per_s,
        dtype=dtype,
    )


def bias_truth(camera: Detector) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    slope = np.linspace(0, 6, camera.ny)[:, None] + camera.level_adu
    return camera.pattern() + (0 if camera.overscan else slope)


def pulls(
    master: Master, truth: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    good = master.image.mask == 0
    return np.asarray(((master.image.data - truth) / np.sqrt(master.image.variance))[good])


@pytest.mark.parametrize("overscan", [40, 0])
@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("n", [3, 20])
def test_bias_is_the_pattern_with_the_noise_the_frames_predict(
    gain: float, overscan: int, n: int, rng: np.random.Generator
) -> None:
    camera = detector(gain, overscan)
    frames = camera.biases(n, rng, drift_adu=2.0 if overscan else 0.0)

    master = make_bias(frames)

    error = master.image.data - bias_truth(camera)
    noise = np.sqrt((camera.read_noise_e / gain) ** 2 + 1 / 12)
    assert error.std() == pytest.approx(noise / np.sqrt(n), rel=0.02)
    assert abs(error.mean()) < 5 * noise / np.sqrt(error.size * n) + (0.0 if overscan else 1e-3)
    assert pulls(master, bias_truth(camera)).std() == pytest.approx(1, rel=0.02)
    assert master.thin == (n < 5)
    assert len(master.used) == n
    assert not master.left_out


def test_drift_of_the_level_is_not_noise_of_the_pixels(rng: np.random.Generator) -> None:
    camera = detector(overscan=0)

    master = make_bias(camera.biases(8, rng, drift_adu=20.0))

    error = master.image.data - bias_truth(camera)
    assert error.std() == pytest.approx(np.sqrt(np.median(master.image.variance)), rel=0.02)


def test_hits_leave_no_trace_even_in_three_frames(rng: np.random.Generator) -> None:
    camera = detector()
    frames = camera.biases(3, rng)
    for k, frame in enumerate(frames):
        plane = pixels(frame)
        plane[20 + k, 30:60] += 900
        frames[k] = with_plane(frame, plane)

    master = make_bias(frames)

    error = (master.image.data - bias_truth(camera))[20:23, 30:60]
    assert np.abs(error).max() < 6 * camera.read_noise_e / camera.gain / np.sqrt(2)
    assert np.median(master.image.variance[20:23, 30:60]) == pytest.approx(
        1.5 * np.median(master.image.variance), rel=0.05
    )


def test_median_bias_knows_its_larger_noise(rng: np.random.Generator) -> None:
    camera = detector()

    master = make_bias(
        camera.biases(9, rng), params=BiasParams(combine=CombineParams(method="median"))
    )

    assert pulls(master, bias_truth(camera)).std() == pytest.approx(1, rel=0.02)


def test_single_bias_is_made_and_marked_thin(rng: np.random.Generator) -> None:
    camera = detector()

    master = make_bias(camera.biases(1, rng))

    assert master.thin
    assert pulls(master, bias_truth(camera)).std() == pytest.approx(1, rel=0.05)


def test_frames_that_do_not_belong_are_left_out_with_their_reason(
    rng: np.random.Generator,
) -> None:
    camera = detector(overscan=0)
    frames = camera.biases(6, rng)
    frames[1] = replace(frames[1], info=replace(frames[1].info, kind=FrameKind.DARK))
    frames[2] = replace(frames[2], info=replace(frames[2].info, kind_doubt="it has a filter"))
    frames[3] = camera.expose(FrameKind.BIAS, rng, drift_adu=400, name="bias3")
    frames.append(
        replace(frames[0], info=replace(frames[0].info, unusable="a colour cube"), name="cube")
    )

    master = make_bias(frames)

    reasons = {entry.name: entry.reason for entry in master.left_out}
    assert reasons["bias1"] == "its kind is dark, not bias"
    assert reasons["bias2"] == "its kind is in doubt: it has a filter"
    assert "its level is 14" in reasons["bias3"]
    assert reasons["cube"] == "a colour cube"
    assert list(master.used) == ["bias0", "bias4", "bias5"]


def test_no_good_frame_is_an_error_that_says_why(rng: np.random.Generator) -> None:
    frames = detector().darks(2, rng, 10.0)

    with pytest.raises(NotEnoughFramesError, match="dark0: its kind is dark, not bias"):
        make_bias(frames)
    with pytest.raises(NotEnoughFramesError):
        make_bias([])
    with pytest.raises(NotEnoughFramesError):
        make_flat([], calibrations=Calibrations())


def test_frames_of_nothing_but_nan_are_left_out(rng: np.random.Generator) -> None:
    camera = detector(dtype=">f4", overscan=0)
    frames = camera.biases(4, rng)
    frames[2] = with_plane(frames[2], np.full_like(frames[2].planes[0], np.nan))

    master = make_bias(frames)

    assert [(e.name, e.reason) for e in master.left_out] == [("bias2", "its pixels hold no number")]


def test_pixel_that_is_never_a_number_has_no_data(rng: np.random.Generator) -> None:
    camera = detector(dtype=">f4")
    frames = []
    for frame in camera.biases(5, rng):
        plane = pixels(frame)
        plane[7, 9] = np.nan
        frames.append(with_plane(frame, plane))

    image = make_bias(frames).image

    assert image.mask[7, 9] == PixelFlag.NO_DATA
    assert image.data[7, 9] == image.variance[7, 9] == 0
    assert np.count_nonzero(image.mask) == 1


def test_frames_of_two_cameras_are_refused(rng: np.random.Generator) -> None:
    frames = [*detector().biases(2, rng), *Detector(ny=100).biases(2, rng)]

    with pytest.raises(ShapeMismatchError, match="240 x 200.*240 x 100"):
        make_bias(frames)


@pytest.mark.parametrize("overscan", [40, 0])
@pytest.mark.parametrize("gain", GAINS)
def test_dark_is_the_dark_signal_with_the_noise_it_predicts(
    gain: float, overscan: int, rng: np.random.Generator
) -> None:
    camera = detector(gain, overscan, dark_e_per_s=0.4)
    bias = make_bias(camera.biases(20, rng, 0.0))

    master = make_dark(camera.darks(10, rng, 100.0), bias=bias.image)

    truth = camera.dark_rate() * 100 / gain
    found = pulls(master, truth)
    assert found.std() == pytest.approx(1, rel=0.02)
    assert abs(found.mean()) < 0.05
    assert (master.exptime_s, master.temp_c, master.bias_removed) == (100.0, -20.0, True)


def test_hot_pixels_of_a_dark_are_bad_and_keep_their_value(rng: np.random.Generator) -> None:
    hot = [(10, 20), (150, 200)]
    camera = Detector(dark_e_per_s=0.1, hot=hot)
    bias = make_bias(camera.biases(10, rng))

    image = make_dark(camera.darks(6, rng, 60.0), bias=bias.image).image

    assert {tuple(place) for place in np.argwhere(image.mask & PixelFlag.BAD)} == set(hot)
    expected = 400 * 60 / camera.gain
    assert image.data[10, 20] == pytest.approx(expected, abs=6 * np.sqrt(expected / camera.gain))


def test_darks_of_other_exposures_are_scaled_only_without_their_bias(
    rng: np.random.Generator,
) -> None:
    camera = Detector(dark_e_per_s=2.0)
    bias = make_bias(camera.biases(10, rng))
    darks = [*camera.darks(3, rng, 60.0), *camera.darks(1, rng, 120.0)]
    darks[3] = replace(darks[3], name="long")

    scaled = make_dark(darks, bias=bias.image)
    unscaled = make_dark(darks, bias=None)

    assert len(scaled.used) == 4
    assert scaled.exptime_s == 60
    assert np.median(scaled.image.data) == pytest.approx(120 / camera.gain, rel=0.02)
    assert [entry.name for entry in unscaled.left_out] == ["long"]
    assert "120 s, the others of 60 s" in unscaled.left_out[0].reason
    assert not unscaled.bias_removed
    assert any("contains it" in note for note in unscaled.notes)


def test_dark_of_another_temperature_or_without_exposure_is_left_out(
    rng: np.random.Generator,
) -> None:
    camera = Detector()
    darks = camera.darks(4, rng, 60.0)
    darks[1] = replace(darks[1], info=replace(darks[1].info, temp_c=-10.0))
    darks[2] = replace(darks[2], info=replace(darks[2].info, exptime_s=None))

    master = make_dark(darks, bias=None)

    reasons = {entry.name: entry.reason for entry in master.left_out}
    assert reasons == {
        "dark1": "its detector was at -10 C, the others' at -20 C",
        "dark2": "its header gives no exposure time",
    }


@pytest.mark.parametrize("overscan", [40, 0])
@pytest.mark.parametrize("gain", GAINS)
def test_flat_is_the_response_with_the_noise_it_predicts(
    gain: float, overscan: int, rng: np.random.Generator
) -> None:
    camera = detector(gain, overscan)
    bias = make_bias(camera.biases(20, rng, 0.0))
    levels = np.linspace(8000, 16000, 8) * min(gain, 2.0)

    master = make_flat(camera.flats(levels.tolist(), rng), calibrations=Calibrations(bias.image))

    scale = np.median(master.image.data / camera.response())
    assert pulls(master, camera.response() * scale).std() == pytest.approx(1, rel=0.02)
    assert master.stats.mode == pytest.approx(1, abs=0.01)
    assert master.image.unit == "1"
    assert not master.left_out


def test_flats_of_unknown_gain_know_their_noise_too(rng: np.random.Generator) -> None:
    camera = Detector(stated=False)
    bias = make_bias(camera.biases(20, rng))

    master = make_flat(
        camera.flats([9000.0, 12000.0, 15000.0, 18000.0], rng),
        calibrations=Calibrations(bias.image),
    )

    scale = np.median(master.image.data / camera.response())
    assert pulls(master, camera.response() * scale).std() == pytest.approx(1, rel=0.02)


def test_saturated_faint_odd_and_foreign_flats_are_left_out(rng: np.random.Generator) -> None:
    camera = Detector(saturation_adu=30000.0)
    bias = make_bias(camera.biases(10, rng))
    tilt = np.broadcast_to(np.linspace(0.8, 1.2, camera.nx), (camera.ny, camera.nx))
    flats = [
        *camera.flats([15000.0, 17000.0, 20000.0, 22000.0], rng),
        camera.expose(FrameKind.FLAT, rng, 300.0, exptime_s=1, name="faint", band="r"),
        camera.expose(FrameKind.FLAT, rng, 41500.0, exptime_s=1, name="bright", band="r"),
        camera.expose(FrameKind.FLAT, rng, 60000.0, exptime_s=1, name="full", band="r"),
        camera.expose(FrameKind.FLAT, rng, 16000.0 * tilt, exptime_s=1, name="tilted", band="r"),
        camera.expose(FrameKind.FLAT, rng, 16000.0, exptime_s=1, name="blue", band="B"),
    ]

    master = make_flat(flats, calibrations=Calibrations(bias.image))

    reasons = {entry.name: entry.reason for entry in master.left_out}
    assert list(master.used) == ["flat0", "flat1", "flat2", "flat3"]
    assert "it is faint" in reasons["faint"]
    assert "too near saturation at 30000 ADU" in reasons["bright"]
    assert "of its pixels are saturated" in reasons["full"]
    assert "its illumination differs" in reasons["tilted"]
    assert reasons["blue"] == "it is of band B, the others of r"


def test_only_saturated_flats_are_an_error(rng: np.random.Generator) -> None:
    camera = Detector(saturation_adu=9000.0)

    with pytest.raises(NotEnoughFramesError, match=r"flat0: 100\.0 % of its pixels are saturated"):
        make_flat(camera.flats([30000.0] * 2, rng), calibrations=Calibrations())


def dimmed(camera: Detector, rng: np.random.Generator, factor: float) -> list[Exposure]:
    light = np.full((camera.ny, camera.nx), 40000.0)
    light[40, 50] *= factor
    light[:, 120] *= 0.8
    return [
        camera.expose(FrameKind.FLAT, rng, light, exptime_s=1.0, name=f"f{k}", band="r")
        for k in range(6)
    ]


@pytest.mark.parametrize(("factor", "is_bad"), [(0.93, True), (1.08, True), (0.985, False)])
def test_pixels_unlike_those_around_them_are_bad(
    factor: float, is_bad: bool, rng: np.random.Generator
) -> None:
    camera = Detector(gain=2.0)
    bias = make_bias(camera.biases(10, rng))

    mask = make_flat(dimmed(camera, rng, factor), calibrations=Calibrations(bias.image)).image.mask

    assert bool(mask[40, 50] & PixelFlag.BAD) == is_bad
    assert (mask[:, 120] & PixelFlag.BAD).all()
    assert np.count_nonzero(mask) - camera.ny <= 3


def test_dead_part_of_a_flat_is_bad(rng: np.random.Generator) -> None:
    camera = Detector()
    light = np.full((camera.ny, camera.nx), 20000.0)
    light[:30] = 10.0
    flats = [
        camera.expose(FrameKind.FLAT, rng, light, exptime_s=1.0, name=f"f{k}", band="r")
        for k in range(5)
    ]
    bias = make_bias(camera.biases(10, rng))

    image = make_flat(flats, calibrations=Calibrations(bias.image)).image

    assert (image.mask[:30] & PixelFlag.BAD).all()
    assert np.isfinite(image.data).all()


def test_dark_is_taken_off_a_flat_for_its_exposure(rng: np.random.Generator) -> None:
    camera = Detector(dark_e_per_s=200.0)
    bias = make_bias(camera.biases(10, rng))
    dark = make_dark(camera.darks(10, rng, 10.0), bias=bias.image)
    light = 4000.0
    flats = [
        camera.expose(FrameKind.FLAT, rng, light, exptime_s=20.0, name=f"f{k}", band="r")
        for k in range(8)
    ]

    image = make_flat(
        flats,
        calibrations=Calibrations(bias.image, DarkFrame(dark.image, 10.0, -20.0, True)),
        params=FlatParams(cold_low=0.0, cold_high=9.0),
    ).image

    # With the dark left in, the corners would be brighter by half: 4000 e of 4000 e.
    corner = np.median(image.data[:20, :20]) / np.median(image.data[90:110, 110:130])
    response = camera.response()
    expected = np.median(response[:20, :20]) / np.median(response[90:110, 110:130])
    assert corner == pytest.approx(expected, rel=0.01)


def test_masters_of_another_camera_are_refused(rng: np.random.Generator) -> None:
    bias = make_bias(Detector(ny=100).biases(3, rng)).image

    with pytest.raises(ShapeMismatchError, match="not of one camera"):
        make_dark(Detector().darks(2, rng, 10.0), bias=bias)
    with pytest.raises(ShapeMismatchError, match="not of one camera"):
        make_flat(Detector().flats([9000.0], rng), calibrations=Calibrations(bias))
