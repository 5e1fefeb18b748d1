"""A raw frame calibrated: values, variance, flags, and what is said of them."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from reduction.camera import Amplifier, Section
from reduction.errors import BadFrameError, ShapeMismatchError
from reduction.exposure import Exposure
from reduction.flags import PixelFlag
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.image import Image
from reduction.pedestal import needless_dark
from reduction.recipes import (
    CalibrateParams,
    Calibrations,
    DarkFrame,
    calibrate,
    make_bias,
    make_dark,
    make_flat,
)
from tests.reduction.detector import Detector, pixels, with_plane

NO_HITS = CalibrateParams(cosmic_rays=None)
Plane = npt.NDArray[np.float64]


def masters_of(camera: Detector, rng: np.random.Generator) -> Calibrations:
    bias = make_bias(camera.biases(20, rng, 2.0 if camera.overscan else 0.0)).image
    dark = make_dark(camera.darks(10, rng, 100.0), bias=bias).image
    dark_frame = DarkFrame(dark, 100.0, -20.0, bias_removed=True)
    flats = camera.flats([14000.0 * min(camera.gain, 2.0)] * 8, rng)
    flat = make_flat(flats, calibrations=Calibrations(bias, dark_frame)).image
    return Calibrations(bias, dark_frame, flat)


@pytest.mark.parametrize("overscan", [40, 0])
@pytest.mark.parametrize("gain", [0.5, 1.5, 4.0, 10.0])
@pytest.mark.parametrize("sky_e", [30.0, 400.0, 5000.0])
def test_pulls_are_those_of_unit_normal_noise(
    gain: float, overscan: int, sky_e: float, rng: np.random.Generator
) -> None:
    camera = Detector(
        ny=300,
        nx=300,
        gain=gain,
        overscan=overscan,
        read_noise_e=max(6, 1.5 * gain),
        dark_e_per_s=0.1,
    )
    masters = masters_of(camera, rng)
    assert masters.flat is not None
    norm = float(np.median(masters.flat.data / camera.response()))
    raw = camera.expose(FrameKind.SCIENCE, rng, sky_e, exptime_s=60.0)

    image = calibrate(raw, calibrations=masters, params=NO_HITS).image

    good = image.mask == 0
    pulls = ((image.data - sky_e / norm) / np.sqrt(image.variance))[good]
    assert image.unit == "electron"
    assert pulls.std() == pytest.approx(1, rel=0.03)
    assert image.data[good].mean() == pytest.approx(sky_e / norm, abs=0.5, rel=0.002)


def formula(
    raw: Plane, level: Plane, masters: Calibrations, k: float, gain: float, noise_adu: float
) -> tuple[Plane, Plane]:
    """Calibrate with a full bias, a bias-free dark k times, and a flat, in double precision."""
    bias, dark, flat = masters.bias, masters.dark, masters.flat
    assert bias is not None
    assert dark is not None
    assert flat is not None
    above = raw - level[:, None] - bias.data.astype(np.float64)
    variance = noise_adu**2 + np.maximum(above, 0) / gain
    variance += (1 - 2 * k) * bias.variance + k**2 * dark.image.variance.astype(np.float64)
    signal = (above - k * dark.image.data) * gain / flat.data
    relative = flat.variance.astype(np.float64) / flat.data.astype(np.float64) ** 2
    return signal, variance * gain**2 / flat.data.astype(np.float64) ** 2 + signal**2 * relative


@pytest.mark.parametrize("dtype", [">i2", "<u2", ">f4", ">f8", ">i4"])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_step_is_the_formula_written_out(
    dtype: str, threads: int, rng: np.random.Generator
) -> None:
    camera = Detector(dtype=dtype, dark_e_per_s=0.5, overscan=0)
    masters = masters_of(camera, rng)
    raw = camera.expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0)

    result = calibrate(raw, calibrations=masters, params=NO_HITS, threads=threads)

    adu = raw.planes[0].astype(np.float64) + raw.offset.get(0, 0.0)
    signal, variance = formula(
        adu, np.zeros(camera.ny), masters, 0.5, camera.gain, camera.read_noise_e / camera.gain
    )
    np.testing.assert_allclose(result.image.data, signal, rtol=1e-5, atol=2e-3)
    np.testing.assert_allclose(result.image.variance, variance, rtol=1e-5)
    assert list(result.done) == ["bias", "dark", "flat", "gain"]
    assert not result.missing
    assert list(result.notes) == ["dark scaled from 100 s to 50 s"]


def test_threads_and_repetition_change_no_byte(rng: np.random.Generator) -> None:
    camera = Detector()
    masters = masters_of(camera, rng)
    raw = camera.expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0)

    images = [calibrate(raw, calibrations=masters, threads=n).image for n in (1, 2, 2)]

    for other in images[1:]:
        assert other.data.tobytes() == images[0].data.tobytes()
        assert other.variance.tobytes() == images[0].variance.tobytes()
        assert other.mask.tobytes() == images[0].mask.tobytes()


@pytest.mark.parametrize("overscan", [40, 0])
def test_memory_of_a_frame_done_with_changes_no_byte(
    overscan: int, rng: np.random.Generator
) -> None:
    camera = Detector(overscan=overscan)
    masters = masters_of(camera, rng)
    raw = camera.expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0)
    fresh = calibrate(raw, calibrations=masters).image
    spare = calibrate(camera.expose(FrameKind.SCIENCE, rng, 9e4), calibrations=masters).image

    image = calibrate(raw, calibrations=masters, spare=spare).image

    assert image.data is spare.data
    assert image.data.tobytes() == fresh.data.tobytes()
    assert image.variance.tobytes() == fresh.variance.tobytes()
    assert image.mask.tobytes() == fresh.mask.tobytes()


def test_spare_of_another_size_or_order_is_left_alone(rng: np.random.Generator) -> None:
    camera = Detector()
    raw = camera.expose(FrameKind.SCIENCE, rng, 900.0)
    fresh = calibrate(raw, calibrations=Calibrations()).image
    small = np.zeros((3, 4), np.float32)
    swapped = np.zeros(fresh.shape, ">f4")
    for plane in (small, swapped):
        spare = Image(plane, plane, plane.astype(np.uint16), "adu")

        image = calibrate(raw, calibrations=Calibrations(), spare=spare).image

        assert image.data.tobytes() == fresh.data.tobytes()
        assert not plane.any()


def test_raw_frame_and_masters_stay_as_they_were(rng: np.random.Generator) -> None:
    camera = Detector()
    masters = masters_of(camera, rng)
    raw = camera.expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0)
    assert masters.bias is not None
    before = raw.planes[0].tobytes(), masters.bias.data.tobytes(), masters.bias.mask.tobytes()

    calibrate(raw, calibrations=masters)

    assert (
        raw.planes[0].tobytes(),
        masters.bias.data.tobytes(),
        masters.bias.mask.tobytes(),
    ) == before


def test_progress_reaches_one(rng: np.random.Generator) -> None:
    camera = Detector()
    raw = camera.expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0)
    told: list[float] = []

    calibrate(raw, calibrations=Calibrations(), progress=told.append)

    assert told == sorted(told)
    assert told[-1] == 1.0


def test_frame_without_masters_is_reduced_as_far_as_possible_and_says_so(
    rng: np.random.Generator,
) -> None:
    camera = Detector()
    raw = camera.expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0, band="V")

    result = calibrate(raw, calibrations=Calibrations(), params=NO_HITS)

    assert list(result.done) == ["overscan", "trim", "gain"]
    assert [sentence.split(":")[0] for sentence in result.missing] == [
        "no bias",
        "no dark",
        "no flat in band V",
    ]
    assert result.image.shape == (camera.ny, camera.nx)
    dimmed = 900 * np.median(camera.response())
    assert result.stats.median == pytest.approx(dimmed, rel=0.01)


def test_cold_detector_needs_no_dark(rng: np.random.Generator) -> None:
    camera = Detector()
    raw = camera.expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0)
    cold = replace(raw, info=replace(raw.info, temp_c=-100.0))

    result = calibrate(cold, calibrations=Calibrations(), params=NO_HITS)

    assert not any("no dark" in sentence for sentence in result.missing)
    assert "no dark needed: a detector at -100.0 C" in " ".join(result.notes)
    assert needless_dark(-69.0) == needless_dark(None) == ""


def test_steps_done_by_the_writer_are_not_done_twice(rng: np.random.Generator) -> None:
    camera = Detector()
    masters = masters_of(camera, rng)
    raw = camera.expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0)
    done = replace(raw, info=replace(raw.info, done=frozenset({"bias", "flat"})))

    result = calibrate(done, calibrations=masters, params=NO_HITS)

    assert list(result.done) == ["trim", "dark", "gain"]
    assert not result.missing
    assert "bias was applied before the file was written" in result.notes
    assert "flat was applied before the file was written" in result.notes
    assert np.median(result.image.data) > camera.level_adu  # the level is still in it


def test_bias_free_dark_is_scaled_and_one_with_its_bias_is_not(rng: np.random.Generator) -> None:
    camera = Detector(dark_e_per_s=3.0)
    bias = make_bias(camera.biases(20, rng)).image
    whole = DarkFrame(make_dark(camera.darks(10, rng, 100.0), bias=None).image, 100.0, -20.0, False)
    same = camera.expose(FrameKind.SCIENCE, rng, 500.0, exptime_s=101.0)
    other = camera.expose(FrameKind.SCIENCE, rng, 500.0, exptime_s=50.0)

    taken = calibrate(same, calibrations=Calibrations(dark=whole), params=NO_HITS)
    refused = calibrate(other, calibrations=Calibrations(dark=whole), params=NO_HITS)
    freed = calibrate(other, calibrations=Calibrations(bias, whole), params=NO_HITS)

    assert list(taken.done)[2:4] == ["bias", "dark"]
    assert any("one subtraction takes both off" in note for note in taken.notes)
    assert taken.stats.median == pytest.approx(500 * 0.95, rel=0.03)
    assert "dark" not in refused.done
    assert any("cannot be scaled to 50 s" in sentence for sentence in refused.missing)
    assert "dark scaled from 100 s to 50 s" in freed.notes
    assert freed.stats.median == pytest.approx(500 * 0.95, rel=0.03)


def test_noise_of_a_dark_with_its_bias_is_counted_once(rng: np.random.Generator) -> None:
    camera = Detector(ny=300, nx=300, read_noise_e=12.0)
    bias = make_bias(camera.biases(3, rng)).image
    whole = DarkFrame(make_dark(camera.darks(3, rng, 100.0), bias=None).image, 100.0, -20.0, False)
    freed = DarkFrame(make_dark(camera.darks(3, rng, 100.0), bias=bias).image, 100.0, -20.0, True)
    for dark in (whole, freed):
        for exptime_s in (30.0, 100.0):
            raw = camera.expose(FrameKind.SCIENCE, rng, 200.0, exptime_s=exptime_s)

            image = calibrate(raw, calibrations=Calibrations(bias, dark), params=NO_HITS).image

            pulls = (image.data - 200.0 * camera.response()) / np.sqrt(image.variance)
            assert pulls.std() == pytest.approx(1, rel=0.02)


def test_dark_of_another_temperature_is_noted(rng: np.random.Generator) -> None:
    camera = Detector()
    masters = masters_of(camera, rng)
    raw = camera.expose(FrameKind.SCIENCE, rng, 500.0, exptime_s=100.0)
    warm = replace(raw, info=replace(raw.info, temp_c=-12.5))

    result = calibrate(warm, calibrations=masters, params=NO_HITS)

    assert "the dark was taken at -20 C, the frame at -12.5 C" in result.notes


def test_unknown_gain_leaves_adu_with_a_measured_variance(rng: np.random.Generator) -> None:
    camera = Detector(stated=False)
    raw = camera.expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0)

    result = calibrate(raw, calibrations=Calibrations(), params=NO_HITS)

    assert result.image.unit == "adu"
    assert "gain" not in result.done
    assert any(note.startswith("gain unknown") for note in result.notes)
    noise = np.sqrt(np.median(result.image.variance))
    assert noise == pytest.approx(np.sqrt(900 + 36) / camera.gain, rel=0.05)


def test_unstated_read_noise_is_that_of_the_overscan_or_the_bias(rng: np.random.Generator) -> None:
    camera = Detector(overscan=0, read_noise_e=9.0)
    bias = make_bias(camera.biases(10, rng)).image
    raw = camera.expose(FrameKind.SCIENCE, rng, 50.0, exptime_s=10.0)
    silent = replace(
        raw,
        info=replace(raw.info, amplifiers=(replace(raw.info.amplifiers[0], read_noise_e=None),)),
    )

    image = calibrate(silent, calibrations=Calibrations(bias, bias_frames=10), params=NO_HITS).image

    pulls = (image.data - 50.0 * camera.response()) / np.sqrt(image.variance)
    assert pulls.std() == pytest.approx(1, rel=0.03)


def test_read_noise_that_the_overscan_contradicts_is_said_and_not_used(
    rng: np.random.Generator,
) -> None:
    camera = Detector(read_noise_e=12.0)
    bias = make_bias(camera.biases(10, rng)).image
    raw = camera.expose(FrameKind.SCIENCE, rng, 100.0, exptime_s=10.0)
    liar = replace(
        raw,
        info=replace(raw.info, amplifiers=(replace(raw.info.amplifiers[0], read_noise_e=3.0),)),
    )

    result = calibrate(liar, calibrations=Calibrations(bias), params=NO_HITS)

    pulls = (result.image.data - 100.0 * camera.response()) / np.sqrt(result.image.variance)
    assert pulls.std() == pytest.approx(1, rel=0.03)
    assert any("read noise stated as 2.00 ADU, measured as 8.0" in note for note in result.notes)


def test_nan_and_master_defects_are_flagged_and_counted(rng: np.random.Generator) -> None:
    camera = Detector(dtype=">f4", hot=[(30, 40)])
    masters = masters_of(camera, rng)
    raw = camera.expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0)
    plane = pixels(raw)
    plane[5, 6] = np.nan
    plane[7, 8] = np.inf

    result = calibrate(with_plane(raw, plane), calibrations=masters, params=NO_HITS)

    image = result.image
    assert image.mask[5, 6] == image.mask[7, 8] == PixelFlag.NO_DATA
    assert image.data[5, 6] == image.variance[5, 6] == 0
    assert image.mask[30, 40] & PixelFlag.BAD
    assert result.counts["no_data"] == 2
    assert result.counts["bad"] == np.count_nonzero(image.mask & PixelFlag.BAD)
    assert np.isfinite(image.data).all()
    assert np.isfinite(image.variance).all()


def test_pixel_the_flat_does_not_light_is_bad_and_not_blown_up(rng: np.random.Generator) -> None:
    camera = Detector()
    raw = camera.expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0)
    flat = np.ones((camera.ny, camera.nx), np.float32)
    flat[3, 4], flat[5, 6] = 0.0, np.nan
    master = Image(flat, np.zeros_like(flat), np.zeros(flat.shape, np.uint16), "1")

    image = calibrate(raw, calibrations=Calibrations(flat=master), params=NO_HITS).image

    assert image.mask[3, 4] & PixelFlag.BAD
    assert image.mask[5, 6] & PixelFlag.BAD
    assert image.data[3, 4] == pytest.approx(900, abs=300)
    assert np.isfinite(image.data).all()


def test_frame_of_another_shape_than_its_master_is_refused(rng: np.random.Generator) -> None:
    masters = masters_of(Detector(ny=100), rng)
    raw = Detector().expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0, name="x.fits")

    with pytest.raises(ShapeMismatchError, match=r"x\.fits is 240 x 200 pixels.*240 x 100"):
        calibrate(raw, calibrations=masters)


@pytest.mark.parametrize(("value", "flag"), [(np.nan, "no data"), (65535.0, "saturated")])
def test_frame_without_a_good_pixel_is_refused_with_the_reason(
    rng: np.random.Generator, value: float, flag: str
) -> None:
    camera = Detector(dtype=">f4", overscan=0, saturation_adu=60000.0)
    raw = camera.expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0, name="x.fits")
    lost = with_plane(raw, np.full_like(pixels(raw), value))

    with pytest.raises(
        BadFrameError, match=rf"x\.fits: none of its 48000 pixels is good: .*{flag}"
    ):
        calibrate(lost, calibrations=Calibrations())


def test_frame_below_the_bias_says_so(rng: np.random.Generator) -> None:
    camera = Detector(dtype="<u2", overscan=0)
    masters = masters_of(camera, rng)
    raw = camera.expose(FrameKind.SCIENCE, rng, exptime_s=1.0, name="x.fits")
    drifted = camera.expose(FrameKind.SCIENCE, rng, exptime_s=1.0, drift_adu=-8.0)

    (said,) = calibrate(
        with_plane(raw, np.zeros_like(pixels(raw))), calibrations=masters, params=NO_HITS
    ).missing

    assert said.startswith("no light: the frame lies ")
    assert calibrate(drifted, calibrations=masters, params=NO_HITS).missing == []
    assert calibrate(raw, calibrations=masters, params=NO_HITS).missing == []


GAINS = (2.0, 2.1, 1.9, 2.05)
LEVELS = (1000.0, 1300.0, 800.0, 1100.0)


def four_amplifiers(rng: np.random.Generator, *, overstated: float = 1.0) -> Exposure:
    """Return a frame of 160 x 180 read out at its four corners, in four HDUs, under 800 e sky."""
    ny, nx, over = 80, 90, 20  # seams are measured from 64 pixels on either side
    light = 800.0 + 2.0 * np.arange(2 * nx)[None, :] + np.zeros((2 * ny, 1))
    planes, amps = {}, []
    for k, (y, x) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        target = Section(y * ny, y * ny + ny, x * nx, x * nx + nx)
        electrons = rng.poisson(light[target.y0 : target.y1, target.x0 : target.x1])
        part = electrons[:: -1 if y else 1, :: -1 if x else 1] / GAINS[k]
        adu = np.pad(part, ((0, 0), (0, over))) + LEVELS[k]
        planes[k + 1] = np.rint(adu + rng.normal(0, 2, adu.shape)).astype(">u2")
        stated = GAINS[k] * (overstated if k == 2 else 1.0)
        overscan = Section(0, ny, nx, nx + over)
        data = Section(0, ny, 0, nx)
        amps.append(Amplifier(k + 1, data, overscan, target, x == 1, y == 1, stated, 4.0, 6e4))
    info = FrameInfo(
        "", FrameKind.SCIENCE, 2 * nx, 2 * ny, (1, 2, 3, 4), tuple(amps), exptime_s=5.0
    )
    return Exposure(info, planes, name="mosaic.fits")


def test_four_amplifiers_become_one_frame(rng: np.random.Generator) -> None:
    result = calibrate(four_amplifiers(rng), calibrations=Calibrations(), params=NO_HITS)

    light = 800.0 + 2.0 * np.arange(180)[None, :]
    pulls = (result.image.data - light) / np.sqrt(result.image.variance)
    assert result.image.shape == (160, 180)
    assert not result.image.mask.any()
    assert pulls.std() == pytest.approx(1, rel=0.03)
    for part in (pulls[:80, :90], pulls[:80, 90:], pulls[80:, :90], pulls[80:, 90:]):
        assert abs(part.mean()) < 5 / np.sqrt(part.size) + 0.05


def test_seam_of_a_wrong_gain_is_closed_where_there_is_no_flat(rng: np.random.Generator) -> None:
    raw = four_amplifiers(rng, overstated=1.03)
    flat = Image(
        np.ones((160, 180), np.float32),
        np.zeros((160, 180), np.float32),
        np.zeros((160, 180), np.uint16),
        "1",
    )

    closed = calibrate(raw, calibrations=Calibrations(), params=NO_HITS)
    left = calibrate(raw, calibrations=Calibrations(flat=flat), params=NO_HITS)

    assert seam(left.image) == pytest.approx(1.03, abs=0.006)
    assert seam(closed.image) == pytest.approx(1.0, abs=0.006)
    assert any("amplifiers matched at their seams" in note for note in closed.notes)
    assert not any("matched" in note for note in left.notes)


def seam(image: Image) -> float:
    """Return the sky left of the seam of the upper amplifiers over that to its right."""
    return float(np.mean(image.data[80:, 82:90]) / np.mean(image.data[80:, 90:98]) * 987 / 971)


def test_gap_between_amplifiers_has_no_data(rng: np.random.Generator) -> None:
    raw = four_amplifiers(rng)
    three = replace(raw, info=replace(raw.info, amplifiers=raw.info.amplifiers[:3]))

    image = calibrate(three, calibrations=Calibrations(), params=NO_HITS).image

    assert (image.mask[80:, 90:] == PixelFlag.NO_DATA).all()
    assert not image.data[80:, 90:].any()
    assert not image.mask[:80].any()


def test_spectra_are_not_searched_for_hits(rng: np.random.Generator) -> None:
    raw = Detector().expose(FrameKind.SCIENCE, rng, 900.0, exptime_s=50.0)
    spectrum = replace(raw, info=replace(raw.info, technique="spectroscopy"))

    result = calibrate(spectrum, calibrations=Calibrations())

    assert "cosmic rays" not in result.done
    assert any("cosmic rays not searched" in note for note in result.notes)


def test_hits_of_a_frame_are_flagged_and_left(rng: np.random.Generator) -> None:
    camera = Detector()
    masters = masters_of(camera, rng)
    raw = camera.expose(FrameKind.SCIENCE, rng, 400.0, exptime_s=10.0)
    plane = pixels(raw)
    plane[60, 70:76] += 1500

    result = calibrate(with_plane(raw, plane), calibrations=masters)

    assert result.done[-1] == "cosmic rays"
    assert (result.image.mask[60, 70:76] & PixelFlag.COSMIC_RAY).all()
    assert result.image.data[60, 72] == pytest.approx(400 + 1500 * camera.gain, rel=0.1)
    assert 6 <= result.counts["cosmic_ray"] <= 12
