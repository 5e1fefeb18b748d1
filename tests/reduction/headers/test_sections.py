"""Read-outs: sections, amplifiers, mosaics."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from reduction.camera import Section
from reduction.errors import BadFileError
from reduction.fitsio import read_headers
from reduction.frameinfo import FrameInfo
from reduction.headers import translate
from reduction.headers.sections import parse_section
from tests.reduction.headers.texts import card, write_image


def frames(path: Path) -> list[FrameInfo]:
    return translate(read_headers(path), file_name=path.name)


@pytest.mark.parametrize(
    ("text", "section", "flips"),
    [
        ("[1:512,1:522]", Section(0, 522, 0, 512), (False, False)),
        ("[   4:  13,   1: 520]", Section(0, 520, 3, 13), (False, False)),
        ("[1025:2048,3072:2049]", Section(2048, 3072, 1024, 2048), (False, True)),
        ("[3072:2049, 1025:2048]", Section(1024, 2048, 2048, 3072), (True, False)),
    ],
)
def test_section_is_one_based_inclusive_and_may_run_backwards(
    text: str, section: Section, flips: tuple[bool, bool]
) -> None:
    span = parse_section(text)

    assert span is not None
    assert (span.section, (span.flip_x, span.flip_y)) == (section, flips)


@pytest.mark.parametrize(
    "text", ["UNKNOWN", "[4096:4109]", "[1:4096, :]", "[0,513:0,1536]", "[0:5,1:2]", ""]
)
def test_what_is_no_section_is_none(text: str) -> None:
    assert parse_section(text) is None


def test_overscan_is_cut_to_the_rows_of_the_data(tmp_path: Path) -> None:
    cards = card("TRIMSEC", "[5:24,3:18]"), card("BIASSEC", "[26:30,1:20]")

    (info,) = frames(write_image(tmp_path / "a.fits", *cards))

    (amplifier,) = info.amplifiers
    assert amplifier.data == Section(2, 18, 4, 24)
    assert amplifier.overscan == Section(2, 18, 25, 30)
    assert amplifier.target == Section(0, 16, 0, 20)
    assert (info.nx, info.ny) == (20, 16)


@pytest.mark.parametrize("bias", ["UNKNOWN", "N/A", "[20:30,1:20]", "[31:40,1:20]"])
def test_overscan_that_cannot_be_is_none(tmp_path: Path, bias: str) -> None:
    cards = card("DATASEC", "[1:25,1:20]"), card("BIASSEC", bias)

    (info,) = frames(write_image(tmp_path / "a.fits", *cards))

    assert info.amplifiers[0].overscan is None
    assert info.nx == 25


def mosaic(path: Path, sections: list[str], *, name: str = "SCI") -> Path:
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for i, section in enumerate(sections):
        hdu = fits.ImageHDU(np.zeros((4, 6), np.float32), name=name)
        if section:
            hdu.header["DETSEC"] = section
        hdu.header["GAIN"] = 1.0 + i
        hdu.header["DATE-OBS"] = f"2024-05-01T02:0{i}:00"
        hdus.append(hdu)
    hdus.writeto(path)
    return path


def test_amplifiers_that_tile_a_detector_are_one_frame(tmp_path: Path) -> None:
    (info,) = frames(mosaic(tmp_path / "m.fits", ["[101:106,1:4]", "[112:107,1:4]"]))

    assert (info.nx, info.ny, info.hdus) == (12, 4, (1, 2))
    assert [a.target.x0 for a in info.amplifiers] == [0, 6]
    assert [a.flip_x for a in info.amplifiers] == [False, True]
    assert info.gain_e_per_adu == 1.5


def test_detectors_with_gaps_between_them_are_frames_of_their_own(tmp_path: Path) -> None:
    found = frames(mosaic(tmp_path / "m.fits", ["[1:6,1:4]", "[101:106,1:4]"]))

    assert [info.hdus for info in found] == [(1,), (2,)]


def test_images_without_detector_sections_are_exposures_of_their_own(tmp_path: Path) -> None:
    found = frames(mosaic(tmp_path / "m.fits", ["", ""]))

    assert [info.hdus for info in found] == [(1,), (2,)]
    assert found[0].start_utc != found[1].start_utc


def test_planes_of_uncertainty_and_mask_are_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "ccd.fits"
    plane = np.ones((4, 6), np.float32)
    fits.HDUList(
        [
            fits.PrimaryHDU(plane),
            fits.ImageHDU(plane, name="UNCERT"),
            fits.ImageHDU(plane.astype(np.uint8), name="MASK"),
        ]
    ).writeto(path)

    (info,) = frames(path)

    assert info.hdus == (0,)


def test_file_without_any_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.fits"
    fits.PrimaryHDU().writeto(path)

    with pytest.raises(BadFileError, match="holds no image") as refused:
        frames(path)
    assert refused.value.code == "no_image"


@pytest.mark.parametrize(("side", "overscan"), [("Red", (2, 24)), ("Blue", (0, 8))])
def test_goodman_is_trimmed_by_the_pipelines_rule_at_any_binning(
    tmp_path: Path, side: str, overscan: tuple[int, int]
) -> None:
    cards = (
        card("INSTRUME", "Goodman Spectro"),
        card("INSTCONF", side),
        card("CCDSUM", "2 2"),
        card("TRIMSEC", "[1:2071,1:20]"),
    )

    (info,) = frames(write_image(tmp_path / "g.fits", *cards, shape=(20, 2071)))

    (amplifier,) = info.amplifiers
    assert amplifier.data == Section(1, 20, 25, 2055)
    assert amplifier.overscan is not None
    assert (amplifier.overscan.x0, amplifier.overscan.x1) == overscan
