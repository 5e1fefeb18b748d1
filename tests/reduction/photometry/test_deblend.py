"""Detection against another program's: as complete and as well parted, source by source."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import sep
from astropy.io import fits
from scipy.spatial import cKDTree

from reduction.flags import PixelFlag
from reduction.image import Image
from reduction.photometry.deblend import filter_taps
from reduction.photometry.detection import DetectionParams, detect
from tests.realdata import needs_shared, shared
from tests.reduction.photometry.stars import Sky, make_sky

NIGHTS = ["2013-06-27", "2021-03-28", "2015-12-26"]
RIM_PIX = 8  # the edges of some of the real frames are no sky


def by_sep(image: Image, *, clean: bool = False) -> npt.NDArray[np.void]:
    """Return what sep finds at the same threshold, deblending on."""
    data = np.ascontiguousarray(image.data)
    sky = sep.Background(data)
    noise = np.sqrt(np.minimum(image.variance, sky.rms() ** 2)).astype(np.float32)
    found: npt.NDArray[np.void] = sep.extract(
        data - sky.back(dtype=np.float32),
        4.0,
        err=noise,
        filter_type="matched",
        minarea=5,
        deblend_nthresh=32,
        deblend_cont=0.005,
        clean=clean,
    )
    return found


def share_found(sky: Sky, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Return which share of the stars has a source of its own."""
    away, which = cKDTree(np.column_stack([x, y])).query(np.column_stack([sky.x, sky.y]))
    near = away < max(1.5, 0.8 * sky.sigma_pix)
    return len(np.unique(which[near])) / len(sky.x)


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize(
    ("fwhm_pix", "n_stars"), [(2.0, 900), (3.0, 250), (3.0, 900), (6.0, 300), (8.0, 120)]
)
def test_no_fewer_stars_are_found_than_by_sep(
    fwhm_pix: float, n_stars: int, clean: bool, rng: np.random.Generator
) -> None:
    sky = make_sky(rng, n_stars, fwhm_pix=fwhm_pix, flux=(500.0, 1e5))

    ours, theirs = detect(sky.image).sources, by_sep(sky.image, clean=clean)

    found = share_found(sky, ours.x, ours.y)
    assert found >= share_found(sky, theirs["x"], theirs["y"])
    strange = len(ours) - round(found * n_stars)
    assert strange <= 0.05 * len(ours)  # blends of several stars among them


def frame_of(path: Path) -> Image:
    """Return a real frame as an image, its noise taken from its sky, its rim left out."""
    with fits.open(path) as hdus:
        data = np.ascontiguousarray(hdus[0].data, np.float32)
    noise = sep.Background(data).globalrms
    mask = np.full(data.shape, PixelFlag.BAD, np.uint16)
    mask[RIM_PIX:-RIM_PIX, RIM_PIX:-RIM_PIX] = 0
    return Image(data, np.full(data.shape, noise**2, np.float32), mask, "adu")


@needs_shared
@pytest.mark.parametrize("night", NIGHTS)
def test_what_sep_finds_on_a_real_frame_is_found(night: str) -> None:
    image = frame_of(sorted(shared("data", "RAW", night).glob("*.fit*"))[-1])

    found, theirs = detect(image), by_sep(image)

    # Those as large as a star; sep takes a few pixels of noise for sources besides.
    sure = theirs[theirs["npix"] > (found.fwhm_pix or 4.0) ** 2]
    assert found.footprints is not None
    inside = (sure["ypeak"] > RIM_PIX) & (sure["ypeak"] < image.shape[0] - RIM_PIX)
    inside &= (sure["xpeak"] > RIM_PIX) & (sure["xpeak"] < image.shape[1] - RIM_PIX)
    sure = sure[inside]
    owner = found.footprints.plane(image.shape)[sure["ypeak"], sure["xpeak"]]
    assert np.mean(owner > 0) > 0.99
    assert len(found.sources) > len(sure)


def test_two_threads_find_what_one_does(rng: np.random.Generator) -> None:
    sky = make_sky(rng, 300)

    one, two = detect(sky.image), detect(sky.image, DetectionParams(threads=2))

    assert np.array_equal(one.sources.x, two.sources.x)
    assert np.array_equal(one.background, two.background)


def test_footprints_are_numbered_as_the_sources(rng: np.random.Generator) -> None:
    found = detect(make_sky(rng, 60).image)

    assert found.footprints is not None
    numbers = found.footprints.plane((512, 512))
    rows, columns = np.rint(found.sources.y).astype(int), np.rint(found.sources.x).astype(int)
    is_own = numbers[rows, columns] == np.arange(1, len(found.sources) + 1)
    assert is_own.mean() > 0.98
    assert numbers.max() == len(found.sources)


def test_filter_is_as_wide_as_asked() -> None:
    taps = filter_taps(8.0)
    offsets = np.arange(len(taps)) - len(taps) // 2

    sigma = np.sqrt(np.sum(taps * offsets**2) / np.sum(taps))

    assert sigma == pytest.approx(0.65 * 8.0 / 2.3548, rel=0.08)
    assert list(filter_taps(None)) == [0.5, 1.0, 0.5]
