"""Our own arms, and the floors: reading and writing the same bytes and nothing else."""

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from reduction import fitsio, recipes
from reduction.combine import Method
from reduction.cosmicrays import flag_cosmic_rays
from reduction.flags import PixelFlag
from reduction.image import Image
from reduction.recipes import CalibrateParams, Calibrations
from reduction.warm import warm
from scripts.benchmarks import chain, frame_cones, night, scan, sky
from scripts.benchmarks.combining import biases, combine_biases, opened, out
from scripts.benchmarks.measure import Arm, Meter, run_arm

CHUNK = 1 << 20
NO_HITS = CalibrateParams(cosmic_rays=None)


def read_all(paths: list[Path]) -> None:
    """Read files through one buffer."""
    buffer = bytearray(CHUNK)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def write_bytes(path: Path, size: int) -> None:
    """Write a file of zeros."""
    block = bytes(CHUNK)
    with path.open("wb", buffering=0) as file:
        for start in range(0, size, CHUNK):
            file.write(block[: min(CHUNK, size - start)])


def floor_combine(meter: Meter, folder: Path) -> None:
    """Read every frame once and write one plane of floats."""
    from astropy.io import fits

    paths, target = biases(folder), out(folder, "floor")
    pixels = int(fits.getheader(paths[0])["NAXIS1"]) ** 2

    def work() -> None:
        read_all(paths)
        write_bytes(target, 4 * pixels)

    meter.time(work)


def combine_with(method: Method, name: str, meter: Meter, folder: Path) -> None:
    """Combine in a worker that is warm; the first time shows what memory it takes."""
    warm()
    out(folder, name)
    meter.note(**combine_biases(folder, method, name))
    meter.time(lambda: combine_biases(folder, method, name))


def median_numpy(meter: Meter, folder: Path) -> None:
    """Combine by numpy's median, tile by tile."""
    from astropy.io import fits

    paths, target = biases(folder), out(folder, "numpy")

    def work() -> None:
        with ExitStack() as opened_files:
            planes = [
                opened_files.enter_context(
                    fits.open(path, memmap=True, do_not_scale_image_data=True)
                )[0].data
                for path in paths
            ]
            result = np.empty(planes[0].shape, np.float32)
            for y in range(0, len(result), 128):
                tile = np.stack([plane[y : y + 128] for plane in planes]).astype(np.float32)
                result[y : y + 128] = np.median(tile + 32768, axis=0)
        fits.writeto(target, result, overwrite=True)

    meter.time(work)


def masters(folder: Path) -> Calibrations:
    """Return the masters of the science frames, in memory."""
    from astropy.io import fits

    planes = {
        name: np.ascontiguousarray(fits.getdata(folder / "science" / f"trimmed_{name}.fits"))
        for name in ("bias", "flat", "bad")
    }
    bias, flat = planes["bias"].astype(np.float32), planes["flat"].astype(np.float32)
    bad = planes["bad"].astype(np.uint16) * np.uint16(PixelFlag.BAD)
    return Calibrations(
        bias=Image(bias, np.full_like(bias, 1.4), bad, "adu"),
        flat=Image(flat, np.full_like(flat, 1e-6), np.zeros_like(bad), "1"),
    )


def reduce_one(path: Path, target: Path, calibrations: Calibrations, spare: Image | None) -> Image:
    """Take one raw frame to a product on disk, over the image of the one before."""
    result = recipes.calibrate(
        opened(path), calibrations=calibrations, params=NO_HITS, threads=1, spare=spare
    )
    cards = [("STEPS", " ".join(result.done), "what was done")]
    fitsio.write_product(target, result.image, cards)
    return result.image


def detrend(meter: Meter, folder: Path) -> None:
    """Reduce one raw frame to SCI, VAR and DQ, with masters in memory."""
    warm()
    calibrations, target = masters(folder), out(folder, "detrended")
    raw = folder / "science" / "sci_00001.fits"
    done: list[Image] = []

    def work() -> None:
        done.append(reduce_one(raw, target, calibrations, done.pop() if done else None))

    meter.time(work)


def product_size(folder: Path) -> int:
    """Return the bytes of a product: two planes of floats and one of flags."""
    return (folder / "science" / "trimmed_flat.fits").stat().st_size * 10 // 4


def floor_detrend(meter: Meter, folder: Path) -> None:
    """Read one raw frame and write as many bytes as its product has."""
    target, size = out(folder, "floor"), product_size(folder)

    def work() -> None:
        read_all([folder / "science" / "sci_00001.fits"])
        write_bytes(target, size)

    meter.time(work)


def cosmics(meter: Meter, folder: Path) -> None:
    """Flag the hits of one calibrated frame."""
    from astropy.io import fits

    from scripts.benchmarks.data import READ_NOISE_E

    warm()
    path = folder / "science" / "calibrated.fits"

    def work() -> None:
        data = fits.getdata(path).astype(np.float32)
        variance, mask = data + np.float32(READ_NOISE_E**2), np.zeros(data.shape, np.uint16)
        flagged = flag_cosmic_rays(Image(data, variance, mask, "electron"))
        hits = (flagged.mask & np.uint16(PixelFlag.COSMIC_RAY)) != 0
        meter.note(hits=int(hits.sum()))

    meter.time(work)


ARMS: dict[str, Arm] = {
    "floor_combine": floor_combine,
    "combine_clip": partial(combine_with, "sigma_clip", "clip"),
    "combine_median": partial(combine_with, "median", "median"),
    "median_numpy": median_numpy,
    "detrend": detrend,
    "floor_detrend": floor_detrend,
    "cosmics": cosmics,
    **scan.ARMS,
    **night.ARMS,
    **sky.ARMS,
    **chain.ARMS,
    **frame_cones.ARMS,
}

if __name__ == "__main__":
    run_arm(ARMS, sys.argv[1:])
