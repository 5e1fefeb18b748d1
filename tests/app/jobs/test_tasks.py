"""Tasks run to their end: real and simulated images, what they find, and what they leave."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS as WCS_OF
from flask import Flask

from app import config, create_app, paths
from app.db import db, transaction
from app.jobs import runner
from app.models import User
from app.services import refcats, task_files, tasks
from app.services.task_parameters import unknown
from reduction.imagewrite import write_image
from tests.app.jobs.taskimages import load_stars, make_task, run, text_of, write_field
from tests.factories import make_frame, make_user
from tests.realdata import needs_shared, shared
from tests.reduction.oneimage.skies import (
    SHAPE,
    WCS,
    ZERO_POINT,
    Field,
    make_field,
    turned,
)

BN_FIELD = ("data", "reference_fields", "SN2015bn_SDSS_r")
BN_ZERO_POINT = 22.485  # published, all of a star's light (3 FWHM in radius)
BN_SCATTER_ARCSEC = 0.26
BN_HOST = "173.423126 +0.725972"


@pytest.fixture
def sdss_of_bn(app: Flask) -> None:
    path = paths.current().instance / "sdss.csv"
    rows = np.loadtxt(shared(*BN_FIELD, "SN2015bn_SDSS_r_SDSS_r.cat"))
    np.savetxt(path, rows, delimiter=",", header="ra,dec,r,r_err", comments="", fmt="%.6f")
    refcats.load_files(
        refcats.Request(
            "sdss",
            [path],
            columns="ra=ra,dec=dec,r=r,r_err=r_err",
            system="SDSS",
            covers=["173.42,0.726,0.3"],
        )
    )


@needs_shared
@pytest.mark.usefixtures("sdss_of_bn")
def test_mosaic_of_sn_2015bn_gives_the_published_zero_point(observer: User, tmp_path: Path) -> None:
    mosaic = shared(*BN_FIELD, "SN2015bn_SDSS_r_wcs.fits.fz")
    task = make_task(observer, mosaic, {"filter": "r", "target": BN_HOST}, tmp_path)

    job = run(task, "inspect", "photometry", by=observer)

    assert job.state == "done", text_of(task, "photometry.log")
    assert task.state == "photometry_done"
    assert task.job_id is None
    assert task.config["zp"] == pytest.approx(BN_ZERO_POINT, abs=0.02)
    assert task.config["zp_err"] < 0.03
    assert task.config["cat_name"] == "sdss"
    assert task.config["pixscale"] * 3600 == pytest.approx(0.3962, abs=0.0005)
    assert task.config["field_ra"] == pytest.approx(173.4231, abs=0.001)
    log = text_of(task, "photometry.log")
    scatter = float(log.split("fit scatter by ")[1].split()[0])
    assert scatter <= BN_SCATTER_ARCSEC
    target = Table.read(task_files.folder(task) / "target.vot")
    assert target["mag_calib"][0] == pytest.approx(22.85, abs=0.5)  # of its host galaxy


@pytest.fixture
def catalogue(app: Flask, field: Field) -> Field:
    load_stars(field)
    return field


@pytest.fixture
def image(catalogue: Field, tmp_path: Path, rng: np.random.Generator) -> Path:
    return write_field(catalogue, tmp_path / "image.fits", rng)


def target_at(field: Field, which: int) -> str:
    ra, dec = WCS.sky(field.x[which : which + 1], field.y[which : which + 1])
    return f"{ra[0]:.7f} {dec[0]:+.7f}"


@dataclass(frozen=True)
class Measured:
    """A task that ran to its end: its folder, its settings, its stars."""

    folder: Path
    config: dict[str, Any]
    field: Field


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """One task, run once for all that only look at what it left."""
    place = tmp_path_factory.mktemp("measured")
    rng = np.random.default_rng(20261121)
    field = make_field(rng, 100)
    application = create_app(config.load({"COELOSTAT_INSTANCE": str(place / "instance")}))
    with application.app_context():
        db.create_all()
        load_stars(field)
        image = write_field(field, place / "image.fits", rng)
        asked = {"target": target_at(field, 3), "zz": 1, "cutout_size": 20}
        observer = make_user()
        task = make_task(
            observer, image, asked | {"diagnose_color": True, "inspect_bg": True}, place
        )
        run(task, "inspect", "photometry", by=observer)
        yield Measured(task_files.folder(task), dict(task.config), field)
        db.session.remove()
        db.engine.dispose()


def test_a_task_leaves_every_product_and_its_settings_say_what_was_found(
    measured: Measured,
) -> None:
    folder = measured.folder
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    pictures = {
        f"photometry{kind}.png" for kind in ("", "_unmasked", "_zeropoint", "_model", "_residuals")
    }
    assert made - {".lock"} == pictures | {
        "image.fits", "inspect.log", "mask.fits", "image_target.fits", "photometry.log",
        "objects.png", "fwhm.png", "fwhm_mag.png", "prefilter.png", "segmentation.fits",
        "filtered.fits", "image_bg.fits", "image_rms.fits", "astrometry_dist.png",
        "objects.parquet", "objects.vot", "cat.parquet", "limit_hist.png", "limit_sn.png",
        "target.vot", "targets/target_0000.cutout", "image.wcs", "color_term.png", "image_bg.png",
    }  # fmt: skip
    found = measured.config
    assert found["zp"] == pytest.approx(ZERO_POINT, abs=0.01 + 3 * found["zp_err"])
    assert (found["zz"], found["sn"], found["minarea"], found["filter"]) == (1, 5, 5, "r")
    assert (found["cat_name"], found["cat_limit"]) == ("atlas", 20.0)
    assert (found["cat_col_mag"], found["cat_col_color_mag1"]) == ("rmag", "gmag")
    assert (found["subtraction_mode"], found["template"]) == ("target", "ps1")
    assert found["time"] == "2026-01-20 03:04:35.000"
    assert found["bg_size"] == 200
    assert found["pixscale"] == pytest.approx(0.6007 / 3600, rel=1e-3)
    assert found["field_sr"] == pytest.approx(0.6 / 3600 * np.hypot(*SHAPE) / 2, rel=0.01)
    assert found["mag_limit"] > 15


def test_names_no_step_knows_are_kept_and_told_in_each_log(measured: Measured) -> None:
    (doubt,) = unknown(measured.config)

    assert "'zz'" in doubt
    assert measured.config["zz"] == 1
    for name in ("inspect.log", "photometry.log"):
        assert f"Warning: {doubt}" in (measured.folder / name).read_text()


def test_tables_of_a_task_have_their_columns_and_true_magnitudes(measured: Measured) -> None:
    folder, field = measured.folder, measured.field
    objects, same = pq.read_table(folder / "objects.parquet"), Table.read(folder / "objects.vot")
    assert objects.column_names == [
        "mag", "magerr", "flux", "fluxerr", "x", "y", "xerr", "yerr", "a", "b", "theta",
        "FLUX_RADIUS", "fwhm", "flags", "bg", "NUMBER", "MAG_AUTO", "ISOAREA_IMAGE", "FLUX_MAX",
        "FLUX_AUTO", "ra", "dec", "bg_local", "npix_aper", "bg_fluxerr", "mag_calib",
        "mag_calib_err", "mag_filter_name", "mag_color_name", "mag_color_term",
    ]  # fmt: skip
    assert same.colnames == objects.column_names
    assert len(same) == len(objects)
    target = Table.read(folder / "target.vot")
    assert target.colnames == [
        "ra", "dec", "x", "y", "flags", "bg_local", "npix_aper", "bg_fluxerr", "flux", "fluxerr",
        "mag", "magerr", "mag_calib", "mag_calib_err", "mag_limit", "mag_filter_name",
        "mag_color_name", "mag_color_term",
    ]  # fmt: skip
    true = field.mag[3] - target["mag_color_term"][0] * field.colour[3]
    assert target["mag_calib"][0] == pytest.approx(true, abs=0.02 + 3 * target["mag_calib_err"][0])
    assert target["x"][0] == pytest.approx(field.x[3], abs=0.1)
    stars = pq.read_table(folder / "cat.parquet")
    assert {"RAJ2000", "DEJ2000", "rmag", "gmag"} <= set(stars.column_names)


def test_other_programs_read_the_images_of_a_task(measured: Measured) -> None:
    folder, field = measured.folder, measured.field
    for name in ("mask", "segmentation", "filtered", "image_bg", "image_rms"):
        with fits.open(folder / f"{name}.fits", checksum=True) as hdus:
            assert hdus[0].data.shape == SHAPE
    labels = fits.getdata(folder / "segmentation.fits")
    assert labels[round(field.y[0]), round(field.x[0])] == 1
    with fits.open(folder / "targets" / "target_0000.cutout", checksum=True) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "IMAGE", "MASK"]
        assert hdus["IMAGE"].data.shape == (41, 41)
        assert int(np.argmax(hdus["IMAGE"].data)) == 20 * 41 + 20
        x, y = WCS_OF(hdus["IMAGE"].header).all_world2pix(
            [[hdus[0].header["RA"], hdus[0].header["DEC"]]], 0
        )[0]
        assert (x, y) == pytest.approx((20, 20), abs=1)
    header = fits.Header.fromfile(folder / "image.wcs")
    del header["NAXIS"]  # of no image, which astropy warns of
    place = WCS_OF(header)
    ra, dec = place.all_pix2world([field.x[0]], [field.y[0]], 0)
    true_ra, true_dec = WCS.sky(field.x[:1], field.y[:1])
    assert (ra[0], dec[0]) == pytest.approx((true_ra[0], true_dec[0]), abs=3e-5)


def test_an_image_without_a_place_is_found_by_its_pointing_or_by_what_is_given(
    catalogue: Field, observer: User, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = write_field(catalogue, tmp_path / "bare.fits", rng, has_place=False, matrix=turned(50.0))
    blind = {"blind_match_wcs": True, "blind_match_center": "150.0 20.0", "blind_match_sr0": 0.4}
    tasks_made = [make_task(observer, path, config, tmp_path) for config in ({}, blind)]

    for task in tasks_made:
        run(task, "inspect", "photometry", by=observer)

        assert task.state == "photometry_done", text_of(task, "photometry.log")
        assert task.config["zp"] == pytest.approx(ZERO_POINT, abs=0.02)


def test_a_search_that_finds_nothing_says_what_was_searched_and_what_to_try(
    app: Flask, observer: User, tmp_path: Path, rng: np.random.Generator
) -> None:
    load_stars(make_field(rng, 30))
    path = write_field(make_field(rng, 30), tmp_path / "bare.fits", rng, has_place=False)
    blind = {"blind_match_wcs": True, "blind_match_center": "150 20", "blind_match_sr0": 0.3}
    scales = {"blind_match_ps_lo": 0.5, "blind_match_ps_up": 0.7}
    task = make_task(observer, path, blind | scales, tmp_path)

    run(task, "photometry", by=observer)

    assert task.state == "photometry_failed"
    log = text_of(task, "photometry.log")
    assert "within 0.3 degrees of 150.0000 +20.0000 at 0.5 to 0.7 arcsec a pixel" in log
    assert "206.265 times a pixel's micrometres" in log


def test_without_inspection_photometry_believes_the_header(
    image: Path, observer: User, tmp_path: Path
) -> None:
    task = make_task(observer, image, {}, tmp_path)

    run(task, "photometry", by=observer)

    assert task.state == "photometry_done"
    assert "as its header says, not refined" in text_of(task, "photometry.log")
    assert task.config["zp"] == pytest.approx(ZERO_POINT, abs=0.02)
    assert "sn" not in task.config


def test_targets_are_measured_without_an_inspection_too(
    catalogue: Field, image: Path, observer: User, tmp_path: Path
) -> None:
    lines = f"{target_at(catalogue, 3)}\nnobody's star"
    task = make_task(observer, image, {"target": lines}, tmp_path)

    run(task, "photometry", by=observer)

    measured = Table.read(task_files.folder(task) / "target.vot")
    assert measured["mag_calib"][0] == pytest.approx(catalogue.mag[3], abs=0.05)
    (target,) = task.config["targets"]
    assert f"{target['ra']:.7f} {target['dec']:+.7f}" == target_at(catalogue, 3)
    assert 'target left out: "nobody\'s star" is no object' in text_of(task, "photometry.log")


def test_a_failing_step_says_why_and_is_the_last(
    image: Path, observer: User, tmp_path: Path
) -> None:
    task = make_task(observer, image, {"cat_name": "vhs"}, tmp_path)

    job = run(task, "inspect", "photometry", "cleanup", by=observer)

    assert (job.state, task.state, task.job_id) == ("failed", "photometry_failed", None)
    last = text_of(task, "photometry.log").splitlines()[-1]
    assert last == "Error: cat_name: the catalogue vhs is not loaded; there are atlas"
    assert job.error == last.removeprefix("Error: ")
    folder = task_files.folder(task)
    assert (folder / "objects.parquet").is_file()
    assert (folder / "image.wcs").is_file()
    assert task.config["gain"] == 1.0
    assert task.completed_at is not None


@pytest.mark.parametrize(("config", "said"), [
    ({"filter": "J"}, "cannot calibrate J"),
    ({"filter": "r", "cat_name": "GaiaSP/V"}, "it takes GaiaSP/r or GaiaSP/any where the filter"),
    ({"cat_name": "2MASS/V"}, "2MASS has no band 'V'"),
])  # fmt: skip
def test_settings_that_cannot_be_used_are_named_in_the_log(
    image: Path, observer: User, tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    task = make_task(observer, image, {"cat_name": "atlas", **config}, tmp_path)

    run(task, "photometry", by=observer)

    assert task.state == "photometry_failed"
    assert said in text_of(task, "photometry.log")


def test_filter_that_was_changed_while_the_job_waited_is_named_in_the_log(
    image: Path, observer: User, tmp_path: Path
) -> None:
    task = make_task(observer, image, {"cat_name": "atlas"}, tmp_path)
    tasks.process(task, ["photometry"], by=observer)
    tasks.change(task, by=observer, config={"cat_name": "atlas", "filter": "Banana"})

    runner.work_off()

    log = text_of(task, "photometry.log")
    assert "filter: 'Banana' is none that is known here; it is one of U B V" in log


def test_what_photometry_will_lack_is_said_when_the_image_is_looked_over(
    image: Path, observer: User, tmp_path: Path
) -> None:
    task = make_task(observer, image, {"cat_name": "vhs"}, tmp_path)

    run(task, "inspect", by=observer)

    assert task.state == "inspect_done"
    assert "Warning: the catalogue vhs is not loaded" in text_of(task, "inspect.log")


def test_filter_of_the_header_that_nothing_is_calibrated_in_is_doubted_and_not_taken_over(
    image: Path, observer: User, tmp_path: Path
) -> None:
    with fits.open(image, mode="update") as hdus:
        hdus[0].header["FILTER"] = "L"
    task = make_task(observer, image, {"cat_name": "atlas"}, tmp_path)

    run(task, "inspect", by=observer)

    assert (task.state, task.config.get("filter")) == ("inspect_done", None)
    doubt = "Warning: nothing is calibrated in the filter 'L': give one as filter"
    assert doubt in text_of(task, "inspect.log")
    tasks.process(task, ["inspect"], by=observer)
    assert task.state == "running"


@needs_shared
def test_a_spectrum_is_said_to_be_one(observer: User, tmp_path: Path) -> None:
    path = next(shared("data", "RAW").rglob("v_w_20180803_7_1_0_1.fits*"))
    task = make_task(observer, path, {}, tmp_path)

    run(task, "inspect", by=observer)

    assert task.state == "inspect_failed"
    assert "image.fits is a spectrum" in text_of(task, "inspect.log")


def test_a_saturated_target_is_said_to_be_brighter(
    image: Path, field: Field, observer: User, tmp_path: Path
) -> None:
    brightest = int(np.argmin(field.mag))
    config = {"target": target_at(field, brightest), "saturation": 20_000.0}
    task = make_task(observer, image, config, tmp_path)

    run(task, "inspect", "photometry", by=observer)

    assert "is saturated: it is brighter than that" in text_of(task, "photometry.log")


def test_names_are_known_from_headers_of_this_site_or_said_to_be_unknown(
    image: Path, field: Field, observer: User, tmp_path: Path
) -> None:
    with transaction():
        db.session.add(
            make_frame(object_name="SN2026-ABC", ra_deg=150.001, dec_deg=20.002,
                       position_role="target")
        )  # fmt: skip
        db.session.add(make_frame(object_name="NGC-2420", ra_deg=114.6, dec_deg=21.6))
    task = make_task(observer, image, {"target": "SN 2026abc\nM 31\nNGC 2420"}, tmp_path)

    run(task, "inspect", by=observer)

    assert task.config["targets"] == [{"name": "SN 2026abc", "ra": 150.001, "dec": 20.002}]
    assert "'M 31' is no object of this site's frames" in text_of(task, "inspect.log")
    assert "give its coordinates" in text_of(task, "inspect.log")
    assert "1 frame of 'NGC 2420' says" in text_of(task, "inspect.log")


def test_a_mask_made_by_hand_hides_pixels_and_one_of_another_size_is_refused(
    image: Path, field: Field, observer: User, tmp_path: Path
) -> None:
    task = make_task(observer, image, {}, tmp_path)
    hidden = np.zeros(SHAPE, np.float32)
    row, column = round(field.y[0]), round(field.x[0])
    hidden[row - 6 : row + 7, column - 6 : column + 7] = 1
    write_image(task_files.folder(task) / "custom_mask.fits", hidden, [])

    run(task, "inspect", "photometry", by=observer)
    objects = pq.read_table(task_files.folder(task) / "objects.parquet").to_pydict()
    write_image(task_files.folder(task) / "custom_mask.fits", hidden[:-1], [])
    run(task, "inspect", by=observer)

    near = np.hypot(np.array(objects["x"]) - field.x[0], np.array(objects["y"]) - field.y[0]) < 3
    assert not near.any() or (np.array(objects["flags"])[near] & 0x300).all()
    assert task.state == "inspect_failed"
    assert "custom_mask.fits has 420 x 399 pixels, the image 420 x 400" in text_of(
        task, "inspect.log"
    )
    write_image(task_files.folder(task) / "mask.fits", np.zeros(SHAPE, np.float32), [])
    run(task, "photometry", by=observer)
    assert task.state == "photometry_failed"
    assert "custom_mask.fits has 420 x 399 pixels" in text_of(task, "photometry.log")


def test_cleanup_leaves_the_image_alone_and_forgets_where_it_lies(
    image: Path, observer: User, tmp_path: Path
) -> None:
    task = make_task(observer, image, {"field_ra": 150.0, "zp": 25.0}, tmp_path)
    folder = task_files.folder(task)
    for name in ("custom_mask.fits", "image.orig.fits", "fringe_model.fits", "objects.vot"):
        (folder / name).write_text("made before")
    (folder / "targets").mkdir()

    run(task, "cleanup", by=observer)

    left = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert left == {"image.fits", "image.orig.fits", "fringe_model.fits"}
    assert task.state == "cleanup_done"
    assert "field_ra" not in task.config
    assert "zp" in task.config


def test_what_photometry_found_goes_when_the_image_is_looked_at_anew(
    image: Path, observer: User, tmp_path: Path
) -> None:
    found = {"zp": 25.0, "zp_err": 0.01, "mag_limit": 20.0, "field_ra": 150.0, "fwhm": 3.0}
    task = make_task(observer, image, {**found, "sn": 7}, tmp_path)

    run(task, "inspect", by=observer)

    assert found.keys().isdisjoint(task.config)
    assert task.config["sn"] == 7


def test_a_step_removes_what_it_and_those_behind_it_made_before(
    image: Path, observer: User, tmp_path: Path
) -> None:
    task = make_task(observer, image, {}, tmp_path)
    folder = task_files.folder(task)
    for name in ("notes.txt", "photometry.log", "objects.parquet", "sub_diff.fits", "image.wcs"):
        (folder / name).write_text("made before")
    for name in ("candidates", "targets"):
        (folder / name).mkdir()

    run(task, "inspect", by=observer)

    left = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert left == {"image.fits", "mask.fits", "inspect.log", "notes.txt"}


def test_times_stand_before_the_lines_where_that_is_asked_for(
    image: Path, observer: User, tmp_path: Path
) -> None:
    task = make_task(observer, image, {"timing": True}, tmp_path)

    run(task, "inspect", by=observer)

    assert all(line.startswith("[") for line in text_of(task, "inspect.log").splitlines())


def test_photometry_of_a_task_without_an_image_says_so(app: Flask, observer: User) -> None:
    task = tasks.create(observer, source=None, original_name="nothing", config={})

    run(task, "photometry", by=observer)

    assert task.state == "photometry_failed"
    assert "the task has no image yet" in text_of(task, "photometry.log")


def test_a_saturation_level_of_the_header_holds_unless_another_is_given(
    image: Path, observer: User, tmp_path: Path
) -> None:
    with fits.open(image, mode="update") as hdus:
        hdus[0].header["SATURATE"] = 30_000.0
    told, given = (
        make_task(observer, image, config, tmp_path) for config in ({}, {"saturation": 20_000})
    )

    run(told, "inspect", by=observer)
    run(given, "inspect", by=observer)

    assert told.config["saturation"] == 30_000
    assert "Saturation level is 30000, from the header" in text_of(told, "inspect.log")
    assert given.config["saturation"] == 20_000


@pytest.mark.parametrize(("level", "bits"), [(0.5, "f4"), (99_000.0, "u2")])
def test_a_saturation_level_that_cannot_be_right_is_not_believed(
    image: Path, observer: User, tmp_path: Path, level: float, bits: str
) -> None:
    header = fits.Header({"SATURATE": level})
    pixels = np.clip(fits.getdata(image), 0, 65_535).astype(bits)
    fits.PrimaryHDU(pixels, header).writeto(tmp_path / "odd.fits")
    task = make_task(observer, tmp_path / "odd.fits", {}, tmp_path)

    run(task, "inspect", by=observer)

    assert "from the highest values of the image" in text_of(task, "inspect.log")


def test_a_target_in_pixels_gets_its_place_once_the_image_has_one(
    catalogue: Field, observer: User, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = write_field(catalogue, tmp_path / "bare.fits", rng, has_place=False)
    where = f"x={catalogue.x[3]:.2f} y={catalogue.y[3]:.2f}"
    task = make_task(observer, path, {"target": where}, tmp_path)

    run(task, "inspect", "photometry", by=observer)

    assert "when photometry has found that of the image" in text_of(task, "inspect.log")
    ra, dec = WCS.sky(catalogue.x[3:4], catalogue.y[3:4])
    (target,) = task.config["targets"]
    assert (target["ra"], target["dec"]) == pytest.approx((ra[0], dec[0]), abs=2e-4)
    assert (task.config["target_ra"], task.config["target_dec"]) == (target["ra"], target["dec"])
    measured = Table.read(task_files.folder(task) / "target.vot")
    assert measured["x"][0] == pytest.approx(catalogue.x[3], abs=0.1)


def test_a_target_far_outside_of_the_image_is_refused(
    image: Path, observer: User, tmp_path: Path
) -> None:
    task = make_task(observer, image, {"target": "x=1e5 y=20"}, tmp_path)

    run(task, "inspect", by=observer)

    assert task.state == "inspect_failed"
    assert "it lies far outside of the image, which has 420 x 400" in text_of(task, "inspect.log")


def test_a_centre_may_be_a_name_that_is_known_and_no_other_text(
    catalogue: Field, observer: User, tmp_path: Path, rng: np.random.Generator
) -> None:
    with transaction():
        db.session.add(
            make_frame(object_name="M 31", ra_deg=150.0, dec_deg=20.0, position_role="target")
        )
    path = write_field(catalogue, tmp_path / "bare.fits", rng, has_place=False)
    blind = {"blind_match_wcs": True, "blind_match_sr0": 0.4}
    known, unknown = (
        make_task(observer, path, blind | {"blind_match_center": text}, tmp_path)
        for text in ("M31", "41.27")
    )

    run(known, "photometry", by=observer)
    run(unknown, "photometry", by=observer)

    assert known.state == "photometry_done", text_of(known, "photometry.log")
    assert unknown.state == "photometry_failed"
    assert "blind_match_center: '41.27' cannot be used" in text_of(unknown, "photometry.log")
