"""Frames as cameras write them, placed: extensions, turned, mirrored, with a WCS that is wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

from reduction import fitsio, recipes
from reduction.astrometry.placing import Elsewhere
from reduction.astrometry.quads import quads_of
from reduction.astrometry.wcs import TanSip
from reduction.frameinfo import FrameInfo
from reduction.headers.known_wcs import header_wcs
from reduction.headers.translate import translate
from reduction.image import Image
from reduction.onsky import OnSky, put_on_sky
from reduction.recipes import Calibrations
from reduction.refcat.geometry import separations_deg
from reduction.reference import AskCatalogue, Reference
from tests.reduction.photometry.stars import make_sky

SHAPE = (480, 600)
SCALE_DEG = 0.8 / 3600
CENTRE = (120.0, 35.0)
LEVEL = 1000.0
RIGHT: dict[str, Any] = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 300.5, "CRPIX2": 240.5,
    "CRVAL1": CENTRE[0], "CRVAL2": CENTRE[1], "CD1_1": -SCALE_DEG, "CD1_2": 0.0,
    "CD2_1": 0.0, "CD2_2": SCALE_DEG,
}  # fmt: skip
TURNED = {"CD1_1": 0.0, "CD1_2": SCALE_DEG, "CD2_1": SCALE_DEG, "CD2_2": 0.0}
WRONG: dict[str, dict[str, Any]] = {
    "elsewhere": RIGHT | {"CRVAL1": 121.5, "CRVAL2": 33.2},
    "a field off": RIGHT | {"CRVAL1": 120.12},
    "turned and mirrored": RIGHT | TURNED,
    "twice too large": RIGHT | {name: 2 * RIGHT[name] for name in ("CD1_1", "CD2_2")},
    "of a detector": RIGHT | {"CTYPE1": "PIXEL", "CTYPE2": "PIXEL"},
    "without a matrix": {k: v for k, v in RIGHT.items() if not k.startswith("CD")},
}
Pixels = npt.NDArray[np.uint16]


def truth(angle_deg: float, flip: float) -> TanSip:
    turn = np.radians(angle_deg)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = (SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2
    return TanSip(CENTRE, middle, SCALE_DEG * rotation @ np.diag([-flip, 1.0]))


def field(rng: np.random.Generator, true: TanSip) -> tuple[Pixels, Reference]:
    """Return the counts of a frame and a catalogue of its stars and of those around."""
    sky = make_sky(rng, 120, shape=SHAPE, flux=(5e3, 3e5))
    x, y = rng.uniform(-1200, 1800, 1500), rng.uniform(-1200, 1700, 1500)
    around = (x < 0) | (y < 0) | (x > SHAPE[1]) | (y > SHAPE[0])
    flux = np.exp(rng.uniform(np.log(5e3), np.log(3e5), 1500))[around]
    ra, dec = true.sky(np.append(sky.x, x[around]), np.append(sky.y, y[around]))
    mag = 24 - 2.5 * np.log10(np.append(sky.flux, flux))
    order = np.argsort(mag)
    known = Reference("made", "r", ra[order], dec[order], mag[order], np.full(len(mag), 0.01))
    return np.clip(np.rint(sky.image.data + LEVEL), 0, 65535).astype(np.uint16), known


def near(known: Reference) -> AskCatalogue:
    def ask(ra_deg: float, dec_deg: float, radius_deg: float) -> list[Reference]:
        away = separations_deg(known.ra_deg, known.dec_deg, ra_deg, dec_deg)
        return [known] if (away < radius_deg).any() else []

    return ask


def written(path: Path, pixels: Pixels, cards: dict[str, Any], *, extension: int) -> Path:
    """Write a frame whose image is the primary one or in an extension, a table before it."""
    primary = fits.PrimaryHDU(pixels if extension == 0 else None)
    primary.header.update(
        {"IMAGETYP": "LIGHT", "INSTRUME": "CAM1", "DATE-OBS": "2026-01-01T02:00:00",
         "EXPTIME": 60.0, "FILTER": "r", "GAIN": 1.0, "RDNOISE": 5.0, "SATURATE": 65000}
    )  # fmt: skip
    hdus = fits.HDUList([primary])
    if extension:
        column = fits.Column("TEMP", "E", array=np.zeros(3))
        hdus += [fits.BinTableHDU.from_columns([column]), fits.ImageHDU(pixels, name="SCI")]
    hdus[extension].header.update(cards)
    hdus.writeto(path)
    return path


def opened(path: Path) -> tuple[Image, FrameInfo]:
    info = translate(fitsio.read_headers(path), file_name=path.name)[0]
    exposure = fitsio.open_exposure(path, info)
    return recipes.calibrate(exposure, calibrations=Calibrations()).image, info


def put(path: Path, known: Reference) -> OnSky:
    image, info = opened(path)
    quads = quads_of(known.ra_deg, known.dec_deg)
    return put_on_sky(image, info, near(known), Elsewhere(lambda: [quads]))


def off_pix(found: OnSky, true: TanSip) -> float:
    """Return how far the place of a corner is from the truth, pixels."""
    assert found.solution is not None, found.message
    x, y = found.solution.wcs.pixel(*true.sky(np.array([20.0]), np.array([450.0])))
    return float(np.hypot(x[0] - 20.0, y[0] - 450.0))


@pytest.mark.parametrize("wrong", WRONG)
def test_a_frame_whose_wcs_is_wrong_is_placed_where_it_is(
    wrong: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    true = truth(0.0, 1.0)
    pixels, known = field(rng, true)
    path = written(tmp_path / "a.fits", pixels, WRONG[wrong], extension=0)

    found = put(path, known)

    assert off_pix(found, true) < 0.2
    assert found.zero_point is not None


@pytest.mark.parametrize("cards", [RIGHT, WRONG["elsewhere"], {}], ids=["right", "wrong", "no"])
def test_an_image_in_an_extension_is_placed_whatever_its_wcs_says(
    cards: dict[str, Any], tmp_path: Path, rng: np.random.Generator
) -> None:
    true = truth(0.0, 1.0)
    pixels, known = field(rng, true)
    path = written(tmp_path / "a.fits", pixels, cards, extension=2)

    found = put(path, known)

    assert off_pix(found, true) < 0.2
    assert found.found_by == ("pointing" if cards == RIGHT else "quads")


@pytest.mark.parametrize("angle_deg", [37.0, 90.0, 180.0, 271.0])
@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_turned_and_mirrored_frames_are_told_from_a_wcs_that_says_they_are_not(
    angle_deg: float, flip: float, tmp_path: Path, rng: np.random.Generator
) -> None:
    true = truth(angle_deg, flip)
    pixels, known = field(rng, true)
    path = written(tmp_path / "a.fits", pixels, RIGHT, extension=2)
    said = header_wcs([(k, v, "") for k, v in RIGHT.items()], SHAPE)

    found = put(path, known)

    assert off_pix(found, true) < 0.2
    assert found.solution is not None
    assert found.found_by == "pointing"
    assert found.solution.wcs.is_flipped is true.is_flipped
    assert said is not None
    assert said.is_flipped is False
