"""The simulated night: its truth against formulas that are not its own."""

import hashlib
import time
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import erfa  # type: ignore[import-untyped]
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from reduction.errors import BadFileError
from reduction.fitsio import read_headers
from reduction.flags import PixelFlag
from reduction.headers import translate
from reduction.simulate import (
    Detector,
    FrameTruth,
    Moffat,
    NightParams,
    Truth,
    build_detector,
    expose,
    finish_growing,
    plan_night,
    read_out,
    read_truth,
    reference_catalogue,
    simulate_night,
    star_fields,
)
from reduction.simulate.cosmics import particle_hits
from reduction.simulate.sky import airmass_at, draw_stars
from reduction.simulate.truth import read_table
from tests.accuracy import ideal
from tests.accuracy.photometry import measure, sky_ratio, together

SMALL = NightParams.small()


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    folder = tmp_path_factory.mktemp("night")
    return simulate_night(folder / "raw", folder / "truth", params=SMALL)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return build_detector(SMALL)


def pixels(truth: Truth, frame: FrameTruth) -> np.ndarray:
    return np.asarray(fits.getdata(truth.path(frame), memmap=False)).astype(float)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_gives_the_same_bytes(truth: Truth, tmp_path: Path) -> None:
    again = simulate_night(tmp_path / "raw", tmp_path / "truth", params=SMALL)

    assert digests(again.raw_folder) == digests(truth.raw_folder)
    assert digests(again.folder) | {"night.json": ""} == digests(truth.folder) | {"night.json": ""}


def test_another_seed_gives_another_sky_and_another_camera() -> None:
    other = replace(SMALL, seed=SMALL.seed + 1)

    assert not np.array_equal(star_fields(other)[0].ra_deg, star_fields(SMALL)[0].ra_deg)
    assert not np.array_equal(build_detector(other).bias_adu, build_detector(SMALL).bias_adu)


def test_a_frame_does_not_depend_on_what_was_exposed_before(detector: Detector) -> None:
    plan, skies = plan_night(SMALL), star_fields(SMALL)

    def take(index: int) -> np.ndarray:
        return expose(plan[index], index, params=SMALL, detector=detector, skies=skies).raw

    alone = take(5)
    take(4)

    assert np.array_equal(take(5), alone)


def test_truth_reads_back_as_it_was_written(truth: Truth) -> None:
    back = read_truth(truth.folder)

    assert back.params == truth.params
    assert [repr(frame) for frame in back.frames] == [repr(frame) for frame in truth.frames]
    assert back.raw_folder == truth.raw_folder.resolve()
    for tables, others in ((back.sources, truth.sources), (back.hits, truth.hits)):
        for file, table in tables.items():
            for column in fields(table):
                mine, theirs = (getattr(t, column.name) for t in (table, others[file]))
                assert np.array_equal(mine, theirs), (file, column.name)
    assert np.array_equal(back.bad.value, truth.bad.value)


def test_every_file_of_the_night_is_in_the_truth(truth: Truth) -> None:
    written = {str(p.relative_to(truth.raw_folder)) for p in truth.raw_folder.rglob("*.*")}

    assert written == {frame.file for frame in truth.frames}


def test_header_says_what_the_camera_is(truth: Truth) -> None:
    frame = truth.of("science", "r")[0]

    header = fits.getheader(truth.path(frame))

    assert (header["BITPIX"], header["BZERO"], header["BSCALE"]) == (16, 32768, 1)
    assert (header["NAXIS1"], header["NAXIS2"]) == (256 + 32, 256)
    assert (header["BIASSEC"], header["TRIMSEC"]) == ("[257:288,1:256]", "[1:256,1:256]")
    assert (header["IMAGETYP"], header["FILTER"], header["EXPTIME"]) == ("LIGHT", "r", 120.0)
    assert header["DATE-OBS"] == frame.start.strftime("%Y-%m-%dT%H:%M:%S.000")
    assert (header["EGAIN"], header["RDNOISE"], header["SATURATE"]) == (1.5, 5.0, 60000.0)
    assert header["PROPID"] == SMALL.proposals[0].code == read_table(truth.proposals)["code"][0]


def test_header_translation_understands_every_whole_frame_without_doubt(truth: Truth) -> None:
    for frame in truth.frames:
        if frame.fault in {"text", "truncated", "growing"}:
            continue

        (info,) = translate(read_headers(truth.path(frame)), file_name=frame.name)

        assert (str(info.kind), info.band or "", info.doubts) == (frame.kind, frame.band, {})
        assert (info.exptime_s, info.start_utc) == (frame.exptime_s, frame.start)
        assert (info.night, info.proposal_code or "") == (SMALL.night, frame.proposal)
        assert (info.nx, info.ny) == SMALL.shape


def test_unusable_files_are_refused_by_the_reader(truth: Truth) -> None:
    for frame in truth.frames:
        if frame.fault in {"text", "truncated", "growing"}:
            with pytest.raises(BadFileError):
                read_headers(truth.path(frame))


def test_mount_is_near_where_the_detector_looks(truth: Truth) -> None:
    frame = truth.of("science", "g")[0]
    header = fits.getheader(truth.path(frame))

    hours, degrees = ([abs(float(part)) for part in header[k].split(":")] for k in ("RA", "DEC"))

    ra_deg = 15 * sum(part / 60**i for i, part in enumerate(hours))
    dec_deg = -sum(part / 60**i for i, part in enumerate(degrees))
    assert header["DEC"].startswith("-")
    assert 0.1 < 3600 * abs(ra_deg - frame.crval_ra_deg) < 40
    assert 0.1 < 3600 * abs(dec_deg - frame.crval_dec_deg) < 40


def test_night_is_in_order_and_within_one_noon_to_noon(truth: Truth) -> None:
    starts = [frame.start for frame in truth.frames if frame.start_utc]
    noon = datetime(2025, 11, 20, 12, tzinfo=UTC) - timedelta(hours=SMALL.longitude_deg / 15)

    assert starts == sorted(starts)
    assert noon < starts[0] < starts[-1] < noon + timedelta(days=1)


def test_stars_lie_where_an_independent_projection_puts_them(truth: Truth) -> None:
    frame = truth.of("science", "i")[2]
    sources = truth.sources[frame.file]
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [frame.crval_ra_deg, frame.crval_dec_deg]
    wcs.wcs.crpix = [frame.crpix_x + 1, frame.crpix_y + 1]
    wcs.wcs.cd = [[frame.cd11, frame.cd12], [frame.cd21, frame.cd22]]
    rows = np.searchsorted(truth.stars["star_id"], sources.star_id)

    x, y = wcs.all_world2pix(truth.stars["ra_deg"][rows], truth.stars["dec_deg"][rows], 0)

    assert np.allclose(x, sources.x, atol=1e-6)
    assert np.allclose(y, sources.y, atol=1e-6)


def test_airmass_is_the_secant_of_the_zenith_distance_high_up() -> None:
    when = datetime(2025, 11, 21, 1, 30, tzinfo=UTC)
    jd = 2451545.0 + (when - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400
    sidereal_deg = np.degrees(erfa.gmst06(jd, 0.0, jd, 0.0)) + SMALL.longitude_deg

    airmass = airmass_at(sidereal_deg, SMALL.latitude_deg + 40, when, SMALL)

    assert airmass == pytest.approx(1 / np.cos(np.radians(40)), rel=2e-3)


def test_electrons_follow_from_the_magnitudes(truth: Truth) -> None:
    frame = truth.of("science", "g")[1]
    sources, band = truth.sources[frame.file], SMALL.band("g")
    rows = np.searchsorted(truth.stars["star_id"], sources.star_id)
    mag_g, mag_r = truth.stars["mag_g"][rows], truth.stars["mag_r"][rows]

    instrumental = -2.5 * np.log10(sources.electrons / frame.exptime_s) + band.zero_point

    expected = mag_g + 0.18 * frame.airmass + 0.03 * (mag_g - mag_r)
    assert np.allclose(instrumental, expected, atol=1e-9)


def test_a_star_is_drawn_with_all_its_light_and_its_width() -> None:
    psf = Moffat(2.8, 3.5)

    star = draw_stars((101, 101), np.array([50.0]), np.array([50.0]), np.array([1e5]), psf)

    assert star.sum() == pytest.approx(1e5, rel=2e-4)
    assert float(psf.density(np.array([1.4**2]))[0]) == pytest.approx(star[50, 50] / 2e5)
    y, x = np.indices(star.shape)
    inside = star[np.hypot(x - 50, y - 50) <= 20].sum()
    assert inside / 1e5 == pytest.approx(psf.enclosed(20.0), abs=2e-4)


def test_stars_outside_the_frame_are_drawn_only_where_their_wings_reach() -> None:
    psf = Moffat(2.8, 3.5)
    x, y = np.array([-3.2, 900.0]), np.array([20.0, 20.0])

    wings = draw_stars((41, 41), x, y, np.array([1e5, 1e5]), psf)

    assert wings.argmax() == 20 * 41
    assert wings[20, 0] == pytest.approx(1e5 * float(psf.density(np.array([3.2**2]))[0]))


def test_bias_frames_have_the_read_noise_and_nothing_else(truth: Truth) -> None:
    first, second = (pixels(truth, frame) for frame in truth.of("bias")[:2])
    difference = first - second
    drift = difference.mean(axis=1, keepdims=True)

    rows = difference - drift
    hit = np.abs(rows) > 30  # a particle

    n = rows.size
    sigma_adu = rows[~hit].std() / np.sqrt(2)
    expected = np.hypot(SMALL.read_noise_e / SMALL.gain_e_per_adu, 1 / np.sqrt(12))
    assert sigma_adu == pytest.approx(expected, rel=4 / np.sqrt(2 * n) + 0.002)
    assert hit.sum() < 20


def test_overscan_follows_the_drift_of_the_image(truth: Truth, detector: Detector) -> None:
    nx = SMALL.shape[1]
    frames = [pixels(truth, frame) for frame in truth.of("bias")]

    levels = [(np.median(f[:, :nx] - detector.bias_adu), np.median(f[:, nx:])) for f in frames]

    image, overscan = np.array(levels).T
    assert np.ptp(overscan) > 1.0
    assert np.allclose(image, overscan, atol=0.75)  # medians of whole numbers


def test_flats_of_equal_light_give_the_gain(detector: Detector) -> None:
    level_e = 40000.0
    expected = np.full(SMALL.shape, level_e)
    pair = [
        read_out(
            expected, None, detector=detector, params=SMALL, rng=np.random.default_rng(seed)
        ).astype(float)[:, : SMALL.shape[1]]
        for seed in (1, 2)
    ]

    noise2 = (pair[0] - pair[1]).var() / 2 - (SMALL.read_noise_e / SMALL.gain_e_per_adu) ** 2
    signal = pair[0].mean() - SMALL.bias_adu - detector.bias_adu.mean()

    tolerance = 4 * np.sqrt(2 / expected.size) + 0.002
    assert signal / noise2 == pytest.approx(SMALL.gain_e_per_adu, rel=tolerance)


def test_full_wells_bleed_along_their_column_and_lose_nothing(detector: Detector) -> None:
    expected = np.zeros(SMALL.shape)
    expected[100, 120] = 10 * SMALL.full_well_e
    rng = np.random.default_rng(3)

    raw = read_out(expected, None, detector=detector, params=SMALL, rng=rng).astype(float)

    electrons = (raw[:, :256] - SMALL.bias_adu - detector.bias_adu) * SMALL.gain_e_per_adu
    column = electrons[:, 120]
    full = np.flatnonzero(raw[:, 120] >= SMALL.saturation_adu)
    assert np.array_equal(full, np.arange(full[0], full[-1] + 1))
    assert full.size in {9, 10}
    assert abs(full.mean() - 100) <= 1
    assert column[90:111].sum() == pytest.approx(10 * SMALL.full_well_e, rel=0.005)
    assert np.abs(electrons[:, 119]).max() < 100


def test_nothing_passes_the_converter(detector: Detector) -> None:
    deep = replace(SMALL, full_well_e=1e6)
    expected = np.full(SMALL.shape, 2e5)
    rng = np.random.default_rng(4)

    raw = read_out(expected, None, detector=detector, params=deep, rng=rng)

    assert (raw[:, :256] == 65535).all()


def test_particles_leave_what_the_truth_says(truth: Truth) -> None:
    frame = truth.of("dark")[-2]
    hits = truth.hits[frame.file]
    strong = hits.electrons > 100

    signal = pixels(truth, frame)[hits.y, hits.x] - SMALL.bias_adu

    excess = signal[strong] * SMALL.gain_e_per_adu - hits.electrons[strong]
    sure = hits.electrons[strong] < 50000
    assert sure.sum() > 3
    assert np.median(np.abs(excess[sure])) < 120  # shot noise, bias structure, dark current


def test_particles_come_at_their_rate(rng: np.random.Generator) -> None:
    planes = [particle_hits((512, 512), 0.5, rng) for _ in range(400)]

    empty = np.mean([not plane.any() for plane in planes])

    expected = np.exp(-0.5)
    assert empty == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 400))


def test_flats_fall_in_level_with_one_saturated_and_one_too_faint(truth: Truth) -> None:
    levels = {
        band.name: [
            np.median(pixels(truth, f)[:, :256]) for f in truth.of("flat", band.name, whole=False)
        ]
        for band in SMALL.bands
    }

    assert all(np.all(np.diff(level) < 0) for level in levels.values())
    assert levels["g"][0] > SMALL.saturation_adu
    assert levels["g"][1] < 0.8 * SMALL.saturation_adu
    assert levels["i"][-1] < SMALL.bias_adu + 300
    faults = [(f.band, f.fault) for f in truth.of("flat", whole=False) if f.fault]
    assert faults == [("g", "saturated"), ("i", "faint")]


def test_response_has_mode_one_and_falls_to_the_corners(detector: Detector) -> None:
    for plane in detector.response.values():
        counts, edges = np.histogram(plane, bins=60, range=(0.85, 1.15))

        assert edges[counts.argmax()] == pytest.approx(0.9975, abs=0.0075)
        assert np.median(plane[:10, :10]) < 0.9


def test_only_the_reddest_band_has_fringes_and_dithers_enough_for_a_super_flat() -> None:
    *blue, red = NightParams().bands

    assert [band.fringe for band in blue] == [0, 0]
    assert red.fringe >= 0.02
    assert red.n_dithers >= 7


def test_dithers_are_wider_than_a_star() -> None:
    plan = [p for p in plan_night(NightParams()) if p.kind == "science" and p.band == "i"]
    mounts = np.array([p.mount for p in plan[:7]])
    centres = mounts * [np.cos(np.radians(mounts[0, 1])), 1]

    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2) * 3600 / 0.55

    assert apart[~np.eye(7, dtype=bool)].min() > 15


def test_bad_pixels_are_listed_once_and_are_what_they_say(truth: Truth, detector: Detector) -> None:
    bad = truth.bad
    hot, cold = bad.kind == "hot", bad.kind == "cold"

    assert len({*zip(bad.x.tolist(), bad.y.tolist(), strict=True)}) == bad.x.size
    assert hot.sum() > 10
    assert (detector.dark_e_per_s[bad.y[hot], bad.x[hot]] >= bad.value[hot]).all()
    assert (detector.response["r"][bad.y[cold], bad.x[cold]] < 0.6).all()


def test_a_text_named_fits_lies_among_the_frames(truth: Truth) -> None:
    (junk,) = truth.of("junk", whole=False)

    assert truth.path(junk).suffix == ".fits"
    assert not truth.path(junk).read_bytes().startswith(b"SIMPLE")


def test_truncated_file_is_shorter_than_its_header_says(truth: Truth) -> None:
    frame = next(f for f in truth.frames if f.fault == "truncated")
    header = fits.Header.fromfile(truth.path(frame))

    size = truth.path(frame).stat().st_size

    assert size < header["NAXIS1"] * header["NAXIS2"] * 2
    assert size % 2880


def test_settled_files_are_old_and_the_growing_one_is_new(truth: Truth) -> None:
    now = time.time()

    ages = {f.fault: now - truth.path(f).stat().st_mtime for f in truth.frames}

    assert ages["growing"] < 300
    assert min(age for fault, age in ages.items() if fault != "growing") > 3000


def test_growing_file_grows_to_a_whole_frame_once(tmp_path: Path, detector: Detector) -> None:
    truth = simulate_night(tmp_path / "raw", tmp_path / "truth", params=SMALL)
    plan, skies = plan_night(SMALL), star_fields(SMALL)
    index = next(i for i, p in enumerate(plan) if p.fault == "growing")
    whole = expose(plan[index], index, params=SMALL, detector=detector, skies=skies)

    path = finish_growing(read_truth(truth.folder))
    finish_growing(truth)

    assert np.array_equal(fits.getdata(path, memmap=False), whole.raw)
    assert path.stat().st_size % 2880 == 0


def test_night_without_faults_has_nothing_to_finish(tmp_path: Path) -> None:
    sound = replace(SMALL, faults=False, n_bias=1, n_dark=1, n_flat=2)

    truth = simulate_night(tmp_path / "raw", tmp_path / "truth", params=sound)

    assert {f.fault for f in truth.frames} <= {"", "saturated", "faint"}
    with pytest.raises(FileNotFoundError, match="no file that is still growing"):
        finish_growing(truth)


def test_there_is_no_truth_where_no_night_was_simulated(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_truth(tmp_path)


def test_catalogue_moves_to_the_night_by_its_proper_motions(truth: Truth) -> None:
    catalogue = read_table(truth.refcat)
    years = 2025 + 324 / 365.25 - catalogue["epoch"]

    dec = catalogue["dec_deg"] + years * catalogue["pmdec_mas_yr"] / 3.6e6
    ra_shift = years * catalogue["pmra_mas_yr"] / 3.6e6 / np.cos(np.radians(dec))

    assert np.array_equal(catalogue["star_id"], truth.stars["star_id"])
    assert np.allclose(dec, truth.stars["dec_deg"], atol=1e-9)
    assert np.allclose(catalogue["ra_deg"] + ra_shift, truth.stars["ra_deg"], atol=1e-9)


def test_catalogue_magnitudes_scatter_by_their_errors() -> None:
    params = replace(SMALL, n_stars=2000)
    skies = star_fields(params)

    catalogue = reference_catalogue(skies, params)

    pulls = (catalogue["mag_r"] - skies[0].mag["r"]) / catalogue["mag_r_err"]
    assert pulls.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * pulls.size) + 0.005)
    assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size)


def test_ideal_calibration_gives_back_the_true_fluxes(truth: Truth, detector: Detector) -> None:
    frames = truth.of("science", "g") + truth.of("science", "r")
    planes = [ideal.calibrate(truth, frame, detector) for frame in frames]

    stars = together(
        measure(p, f, truth.sources[f.file]) for p, f in zip(planes, frames, strict=True)
    )

    pulls = stars.pulls
    bias, error = stars.bias(20)
    assert pulls.size > 60
    assert abs(bias) < 4 * error < 0.01
    assert pulls.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * pulls.size))


def test_ideal_calibration_leaves_a_sky_with_the_predicted_noise(
    truth: Truth, detector: Detector
) -> None:
    frame = truth.of("science", "r")[0]
    planes = ideal.calibrate(truth, frame, detector)

    ratio = sky_ratio(planes, frame, truth.sources[frame.file])

    n = (planes.mask == 0).sum() / 2
    assert ratio == pytest.approx(1.0, abs=4 * 1.17 / np.sqrt(n))


def test_brightest_star_saturates(truth: Truth, detector: Detector) -> None:
    frame = truth.of("science", "i")[0]
    sources = truth.sources[frame.file]
    planes = ideal.calibrate(truth, frame, detector)

    brightest = sources.peak_e.argmax()

    x, y = round(sources.x[brightest]), round(sources.y[brightest])
    assert sources.peak_e[brightest] > 2 * SMALL.full_well_e
    assert planes.mask[y, x] & PixelFlag.SATURATED
