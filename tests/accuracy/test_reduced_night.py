"""The demo's night, reduced from its raw frames, against what is true of it."""

from functools import reduce
from operator import add

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import binary_dilation

from reduction.exposure import Calibrated, Exposure, Master
from reduction.fitsio import open_exposure, read_headers
from reduction.flags import PixelFlag
from reduction.headers import translate
from reduction.recipes import Calibrations, DarkFrame, calibrate, make_bias, make_dark, make_flat
from reduction.simulate import (
    Detector,
    FrameTruth,
    NightParams,
    Truth,
    build_detector,
    simulate_night,
)
from tests.accuracy.photometry import (
    Photometry,
    Planes,
    measure,
    planes_of,
    score_cosmics,
    sky_ratio,
    starlight,
    together,
)

pytestmark = pytest.mark.slow

PLAIN_BANDS = ("g", "r")  # the third has fringes, which only a super-flat removes
MIN_SIGNAL_TO_NOISE = 20.0
HOT_E_PER_S = 3.0  # ten times the noise of a master dark: nobody may miss it


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    folder = tmp_path_factory.mktemp("night")
    return simulate_night(folder / "raw", folder / "truth", params=NightParams())


@pytest.fixture(scope="module")
def detector(truth: Truth) -> Detector:
    return build_detector(truth.params)


def opened(truth: Truth, frames: list[FrameTruth]) -> list[Exposure]:
    exposures = []
    for frame in frames:
        path = truth.path(frame)
        (info,) = translate(read_headers(path), file_name=path.name)
        exposures.append(open_exposure(path, info))
    return exposures


def frame_of(dark: Master) -> DarkFrame:
    assert dark.exptime_s is not None
    return DarkFrame(dark.image, dark.exptime_s, dark.temp_c, dark.bias_removed)


@pytest.fixture(scope="module")
def bias(truth: Truth) -> Master:
    return make_bias(opened(truth, truth.of("bias")))


@pytest.fixture(scope="module")
def dark(truth: Truth, bias: Master) -> Master:
    long = max(truth.params.dark_exptimes_s)
    darks = [frame for frame in truth.of("dark") if frame.exptime_s == long]
    return make_dark(opened(truth, darks), bias=bias.image)


@pytest.fixture(scope="module")
def flats(truth: Truth, bias: Master, dark: Master) -> dict[str, Master]:
    return {
        band.name: make_flat(
            opened(truth, truth.of("flat", band.name, whole=False)),
            calibrations=Calibrations(bias=bias.image, dark=frame_of(dark)),
        )
        for band in truth.params.bands
    }


@pytest.fixture(scope="module")
def reduced(
    truth: Truth, bias: Master, dark: Master, flats: dict[str, Master]
) -> dict[str, Calibrated]:
    return {
        frame.file: calibrate(
            *opened(truth, [frame]),
            calibrations=Calibrations(
                bias=bias.image,
                dark=frame_of(dark),
                flat=flats[frame.band].image,
                bias_frames=len(bias.used),
            ),
        )
        for frame in truth.of("science")
    }


@pytest.fixture(scope="module")
def planes(reduced: dict[str, Calibrated]) -> dict[str, Planes]:
    return {file: planes_of(result.image) for file, result in reduced.items()}


@pytest.fixture(scope="module")
def stars(truth: Truth, planes: dict[str, Planes]) -> dict[str, Photometry]:
    return {
        band.name: together(
            measure(planes[frame.file], frame, truth.sources[frame.file])
            for frame in truth.of("science", band.name)
        )
        for band in truth.params.bands
    }


def test_no_calibration_is_missing(reduced: dict[str, Calibrated]) -> None:
    for result in reduced.values():
        assert list(result.missing) == []
        assert result.image.unit == "electron"


@pytest.mark.parametrize("band", PLAIN_BANDS)
def test_stars_have_their_true_fluxes(stars: dict[str, Photometry], band: str) -> None:
    bias, error = stars[band].bias(MIN_SIGNAL_TO_NOISE)

    assert error < 0.0005
    assert abs(bias) < 0.005


@pytest.mark.parametrize("band", PLAIN_BANDS)
def test_pulls_of_the_fluxes_are_normal(stars: dict[str, Photometry], band: str) -> None:
    pulls = stars[band].pulls

    assert pulls.size > 1500
    assert abs(pulls.mean()) < 0.1
    assert pulls.std() == pytest.approx(1.0, abs=0.05)
    assert np.mean(np.abs(pulls) < 1) == pytest.approx(0.683, abs=0.03)
    assert np.mean(np.abs(pulls) > 3) < 0.01


def test_bright_stars_of_the_fringed_band_have_their_true_fluxes(
    stars: dict[str, Photometry],
) -> None:
    bias, _ = stars["i"].bias(100.0)

    assert abs(bias) < 0.005


def test_variance_is_what_the_blank_sky_scatters(truth: Truth, planes: dict[str, Planes]) -> None:
    ratios = [
        sky_ratio(planes[frame.file], frame, truth.sources[frame.file])
        for frame in truth.of("science")
    ]

    assert np.mean(ratios) == pytest.approx(1.0, abs=0.015)
    assert np.allclose(ratios, 1.0, atol=0.03)


def test_plain_sky_is_flat(truth: Truth, planes: dict[str, Planes]) -> None:
    for frame in truth.of("science", "r"):
        plane = planes[frame.file]
        sky = np.where(plane.usable, plane.data, np.nan)
        tiles = sky.reshape(8, sky.shape[0] // 8, 8, -1)

        levels = np.nanmedian(tiles, axis=(1, 3))

        assert np.ptp(levels) < 0.02 * frame.sky_e
        assert levels.mean() == pytest.approx(frame.sky_e, rel=0.01)


def test_cosmic_rays_are_found_and_stars_are_spared(
    truth: Truth, planes: dict[str, Planes]
) -> None:
    scores = [
        score_cosmics(planes[f.file], f, truth.sources[f.file], truth.hits[f.file])
        for f in truth.of("science")
    ]

    total = reduce(add, scores)

    assert total.recall > 0.95, total
    assert total.precision > 0.93, total
    assert total.cores > 2000
    assert total.cores_eaten <= total.cores / 1000, total


def test_saturated_stars_and_their_bleeds_are_flagged(
    truth: Truth, planes: dict[str, Planes]
) -> None:
    for frame in truth.of("science"):
        raw = fits.getdata(truth.path(frame), memmap=False)[:, : truth.params.shape[1]]
        full = raw >= truth.params.saturation_adu
        sources = truth.sources[frame.file]
        bright = sources.peak_e > 2 * truth.params.full_well_e
        inside = (np.abs(sources.x - 511.5) < 511) & (np.abs(sources.y - 511.5) < 511)

        flagged = (planes[frame.file].mask & PixelFlag.SATURATED) != 0

        x, y = (np.rint(c[bright & inside]).astype(int) for c in (sources.x, sources.y))
        assert bright.sum() >= 2
        assert flagged[y, x].all()
        assert flagged[full].all()
        assert not (flagged & ~binary_dilation(full, np.ones((17, 3)))).any()


def test_partly_filled_ends_of_bleeds_are_flagged(truth: Truth, planes: dict[str, Planes]) -> None:
    for frame in truth.of("science"):
        plane = planes[frame.file]
        sources = truth.sources[frame.file]
        expected = frame.sky_e + starlight(truth.params.shape, frame, sources)

        excess = (plane.data - expected) / np.sqrt(plane.variance + 0.01 * expected**2)

        flagged = (plane.mask & PixelFlag.SATURATED) != 0
        beside = binary_dilation(flagged, np.ones((5, 1))) & plane.usable
        hits = truth.hits[frame.file]
        beside[hits.y, hits.x] = False  # how well those are found is another test's question
        assert np.all(excess[beside] < 8), frame.name


def test_bad_pixels_are_flagged_and_few_others(truth: Truth, planes: dict[str, Planes]) -> None:
    bad = truth.bad
    hot = (bad.kind == "hot") & (bad.value > HOT_E_PER_S)
    cold = (bad.kind == "cold") & (bad.value < 0.5)
    listed = np.zeros(truth.params.shape, dtype=bool)
    listed[bad.y, bad.x] = True
    for frame in truth.of("science"):
        flagged = (planes[frame.file].mask & PixelFlag.BAD) != 0

        assert flagged[bad.y[hot], bad.x[hot]].mean() > 0.99
        assert flagged[bad.y[cold], bad.x[cold]].mean() > 0.99
        assert (flagged & ~binary_dilation(listed, np.ones((3, 3)))).mean() < 0.001


def test_left_out_flats_are_the_faulty_ones(truth: Truth, flats: dict[str, Master]) -> None:
    left_out = {frame.name for master in flats.values() for frame in master.left_out}

    faulty = {frame.name for frame in truth.of("flat", whole=False) if frame.fault}
    assert left_out == faulty


def test_master_flats_are_the_true_response(
    truth: Truth, detector: Detector, flats: dict[str, Master]
) -> None:
    for band, master in flats.items():
        good = master.image.mask == 0

        pull = (master.image.data - detector.response[band])[good]

        sigma = np.sqrt(master.image.variance[good])
        assert np.median(master.image.data[good] / detector.response[band][good]) == pytest.approx(
            1.0, abs=0.002
        )
        assert np.percentile(np.abs(pull - np.median(pull)) / sigma, 68.3) == pytest.approx(
            1.0, abs=0.05
        )


def test_master_bias_is_the_true_structure(truth: Truth, detector: Detector, bias: Master) -> None:
    good = bias.image.mask == 0

    pull = ((bias.image.data - detector.bias_adu) / np.sqrt(bias.image.variance))[good]

    assert np.percentile(np.abs(pull - np.median(pull)), 68.3) == pytest.approx(1.0, abs=0.05)
    expected = truth.params.read_noise_e / truth.params.gain_e_per_adu / np.sqrt(9)
    assert np.sqrt(np.median(bias.image.variance[good])) == pytest.approx(expected, rel=0.05)


def test_master_dark_is_the_true_dark_current(
    truth: Truth, detector: Detector, dark: Master
) -> None:
    good = dark.image.mask == 0
    true = detector.dark_e_per_s * (dark.exptime_s or 0) / truth.params.gain_e_per_adu

    pull = ((dark.image.data - true) / np.sqrt(dark.image.variance))[good]

    assert abs(np.median(dark.image.data[good] - true[good])) < 0.2
    assert np.percentile(np.abs(pull - np.median(pull)), 68.3) == pytest.approx(1.0, abs=0.05)
