"""Particle hits, against the method written out with full-frame filters."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from reduction.combine import Run
from reduction.cosmicrays import CosmicRayParams, flag_cosmic_rays
from reduction.flags import PixelFlag
from reduction.image import Image

Plane = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
READ_NOISE = 8.0
EDGE = 8  # the published method says nothing of the frame's border


def laplacian_plus(image: Plane) -> Plane:
    """Oversample twice, take the Laplacian, cut at zero, average back."""
    fine = np.kron(image, np.ones((2, 2)))
    kernel = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    edges = np.maximum(ndimage.convolve(fine, kernel, mode="nearest"), 0)
    return np.asarray(edges.reshape(image.shape[0], 2, image.shape[1], 2).mean(axis=(1, 3)))


def exact(image: Plane, *, sigma: float, fraction: float, contrast: float, rounds: int) -> Bools:
    """Find hits with medians over the whole frame, round by round."""
    clean, hits = image.copy(), np.zeros(image.shape, bool)
    for _ in range(rounds):
        noise = np.sqrt(np.maximum(ndimage.median_filter(clean + READ_NOISE**2, 5), 1e-5))
        scaled = laplacian_plus(clean) / (2 * noise)
        edges = scaled - ndimage.median_filter(scaled, 5)
        fine = ndimage.median_filter(clean, 3)
        structure = np.maximum((fine - ndimage.median_filter(fine, 7)) / noise, 0.01)
        found = (edges > sigma) & (edges / structure > contrast)
        for threshold in (sigma, sigma * fraction):
            found = ndimage.binary_dilation(found, np.ones((3, 3))) & (edges > threshold)
        if not found.any():
            break
        hits |= found
        for y, x in np.argwhere(hits):
            box = slice(max(0, y - 2), y + 3), slice(max(0, x - 2), x + 3)
            rest = clean[box][~hits[box]]
            clean[y, x] = np.median(rest) if rest.size else np.median(clean[~hits])
    return hits


def frame(
    rng: np.random.Generator, *, side: int = 240, stars: int = 60, hits: int = 40, fwhm: float = 3.2
) -> tuple[Plane, Bools, Bools]:
    """Return a frame in electrons, where particles hit it, and the cores of its bright stars."""
    y, x = np.mgrid[:side, :side]
    light = np.full((side, side), 400.0)
    core2 = (fwhm / (2 * np.sqrt(2 ** (1 / 3) - 1))) ** 2
    cores = np.zeros((side, side), bool)
    for _ in range(stars):
        cx, cy = rng.uniform(0, side, 2)
        flux = min(600 * (1 - rng.random()) ** (-1 / 0.9), 1e6)
        light += flux * 2 / (np.pi * core2) * (1 + ((x - cx) ** 2 + (y - cy) ** 2) / core2) ** -3
        if flux > 1e4:
            cores[min(side - 1, round(cy)), min(side - 1, round(cx))] = True
    electrons = rng.poisson(light).astype(np.float64)
    hit = np.zeros((side, side), bool)
    for _ in range(hits):
        at, angle = rng.uniform(0, side, 2), rng.uniform(0, np.pi)
        steps = np.arange(rng.integers(1, 12))
        j, i = (
            (at[0] + steps * np.sin(angle)).astype(int),
            (at[1] + steps * np.cos(angle)).astype(int),
        )
        inside = (j >= 0) & (j < side) & (i >= 0) & (i < side)
        electrons[j[inside], i[inside]] += rng.uniform(500, 4000)
        hit[j[inside], i[inside]] = True
    return electrons + rng.normal(0, READ_NOISE, electrons.shape), hit, cores


def image_of(electrons: Plane) -> Image:
    data = electrons.astype(np.float32)
    return Image(
        data, data + np.float32(READ_NOISE**2), np.zeros(data.shape, np.uint16), "electron"
    )


def hits_of(image: Image) -> Bools:
    return np.asarray((image.mask & PixelFlag.COSMIC_RAY) != 0)


@pytest.mark.parametrize(
    ("stars", "hits", "fwhm"), [(60, 40, 3.2), (60, 40, 2.2), (1500, 60, 3.2), (0, 80, 3.0)]
)
def test_same_pixels_as_with_medians_over_the_whole_frame(
    stars: int, hits: int, fwhm: float, rng: np.random.Generator
) -> None:
    electrons, _, _ = frame(rng, stars=stars, hits=hits, fwhm=fwhm)
    params = CosmicRayParams()

    ours = hits_of(flag_cosmic_rays(image_of(electrons), params=params))

    theirs = exact(
        electrons.astype(np.float32).astype(np.float64),
        sigma=params.edge_sigma,
        fraction=params.neighbour_fraction,
        contrast=params.contrast,
        rounds=params.rounds,
    )
    inside = np.s_[EDGE:-EDGE, EDGE:-EDGE]
    both, either = ours[inside] & theirs[inside], ours[inside] | theirs[inside]
    assert theirs.sum() > 100
    assert both.sum() / either.sum() >= 0.99


def test_hits_are_found_and_star_cores_are_not_eaten(rng: np.random.Generator) -> None:
    electrons, hit, cores = frame(rng, side=500, stars=150, hits=60)

    found = hits_of(flag_cosmic_rays(image_of(electrons)))

    assert (found & hit).sum() / hit.sum() > 0.98
    assert (found & ~ndimage.binary_dilation(hit, np.ones((3, 3)), iterations=2)).sum() < 20
    assert not (found & cores & ~ndimage.binary_dilation(hit, iterations=3)).any()


def test_threads_and_repetition_change_no_byte(rng: np.random.Generator) -> None:
    image = image_of(frame(rng)[0])

    masks = [flag_cosmic_rays(image, run=Run(n)).mask.tobytes() for n in (1, 2, 2)]

    assert masks[0] == masks[1] == masks[2]


def test_image_is_left_as_it_was_unless_interpolation_is_asked_for(
    rng: np.random.Generator,
) -> None:
    electrons, hit, _ = frame(rng, stars=0)
    image = image_of(electrons)
    before = image.data.copy()

    flagged = flag_cosmic_rays(image)
    filled = flag_cosmic_rays(image, params=CosmicRayParams(interpolate=True))

    assert np.array_equal(image.data, before)
    assert flagged.data is image.data
    assert not (flagged.mask & PixelFlag.INTERPOLATED).any()
    replaced = (filled.mask & PixelFlag.INTERPOLATED) != 0
    assert np.array_equal(replaced, hits_of(flagged))
    assert np.array_equal(filled.data[~replaced], image.data[~replaced])
    assert filled.data[hit & replaced].max() < 400 + 6 * np.sqrt(464)
    assert filled.variance[hit & replaced].max() < 600


@pytest.mark.parametrize("flag", [PixelFlag.BAD, PixelFlag.NO_DATA])
def test_bad_pixels_are_no_hits_and_make_none(flag: PixelFlag, rng: np.random.Generator) -> None:
    electrons, _, _ = frame(rng, stars=0, hits=0)
    image = image_of(electrons)
    image.mask[50, 60] = image.mask[:, 100] = image.mask[120:126, 150:156] = flag
    image.data[50, 60] = 60000.0
    image.data[:, 100] = 0.0
    image.data[120:126, 150:156] = 0.0
    clean = hits_of(flag_cosmic_rays(image_of(electrons)))

    found = hits_of(flag_cosmic_rays(image))

    assert not (found & ~clean).any()


def test_saturated_star_is_left_alone_and_a_saturated_hit_is_not(rng: np.random.Generator) -> None:
    electrons, _, _ = frame(rng, stars=0, hits=0)
    y, x = np.mgrid[:240, :240]
    electrons += 3e5 * np.exp(-((y - 80) ** 2 + (x - 90) ** 2) / 8)
    electrons[180, 60:64] = 9e4
    image = image_of(np.minimum(electrons, 6e4))
    image.mask[image.data >= 6e4] = PixelFlag.SATURATED

    found = hits_of(flag_cosmic_rays(image))

    assert found[180, 60:64].all()
    assert not found[70:90, 80:100].any()


def test_frame_of_unknown_gain_keeps_its_stars(rng: np.random.Generator) -> None:
    electrons, hit, cores = frame(rng, stars=80, hits=20)
    adu = (electrons / 3.0).astype(np.float32)
    noise2 = np.float32(np.median(electrons + READ_NOISE**2) / 9)
    image = Image(adu, np.full_like(adu, noise2), np.zeros(adu.shape, np.uint16), "adu")

    flagged = flag_cosmic_rays(image)

    found = hits_of(flagged)
    assert (found & hit).sum() / hit.sum() > 0.9
    assert not (found & cores & ~ndimage.binary_dilation(hit, iterations=3)).any()
    assert np.array_equal(flagged.variance, image.variance)


def test_frame_of_nothing_has_no_hits() -> None:
    image = image_of(np.zeros((40, 40)))
    image.mask[:] = PixelFlag.NO_DATA

    assert not hits_of(flag_cosmic_rays(image)).any()
