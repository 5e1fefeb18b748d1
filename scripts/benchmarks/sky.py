"""Our arms on the sky, and their data: sources, places with and without hints, zero points."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from reduction.simulate.fields import Field, Recipe, error_pix, make_field
from scripts.benchmarks.data import READ_NOISE_E
from scripts.benchmarks.measure import Arm, Meter

One = TypeVar("One")
FIELDS: Final = 10
SIDE: Final = 2048
# As an observatory's: hundreds of stars, a pointing known to a tenth of the field.
RECIPE: Final = Recipe(n_stars=300, side=SIDE, pointing_off=0.1, distortion=0.001)
BLIND_RECIPE: Final = Recipe(n_stars=300, side=SIDE, pointing_off=0.8, distortion=0.001)
RIGHT_PIX: Final = 1.0
CONES, CONE_DEG = 2000, 0.15
ZERO_POINTS: Final = 50
QUADS_OF_FIELD: Final = (0.1, 0.5)  # sides of solve-field's quads, of a field's width


def only(one: One, *_place: float) -> list[One]:
    """Return the one thing there is, wherever is asked for."""
    return [one]


def hinted_fields() -> Iterator[Field]:
    """Yield the fields that are solved with a pointing, as they were made."""
    rng = np.random.default_rng(61)
    for _ in range(FIELDS):
        yield make_field(rng, RECIPE)


def blind_fields() -> Iterator[Field]:
    """Yield the fields that are solved without any hint; each has a piece of sky of its own."""
    rng = np.random.default_rng(62)
    for _ in range(FIELDS):
        yield make_field(rng, BLIND_RECIPE)


def make(folder: Path, n_catalogue: int) -> None:
    """Write what is not there yet: fields as arrays and for solve-field, stars for cones."""
    done = folder / "sky.done"
    if done.exists():
        return
    print("making fields and a catalogue ...", file=sys.stderr, flush=True)
    sky = folder / "sky"
    shutil.rmtree(sky, ignore_errors=True)
    sky.mkdir(parents=True)
    for kind, fields in (("hinted", hinted_fields()), ("blind", blind_fields())):
        for k, field in enumerate(fields):
            write_field(sky / f"{kind}_{k:02d}", field)
    make_calibration(sky / "zero_points.npz")
    make_cones(sky, n_catalogue)
    done.touch()


def write_field(path: Path, field: Field) -> None:
    """Write a field for the peers: arrays, and a list of stars with an index for solve-field."""
    from astropy.io import fits

    near, stars = field.catalogue, field.stars
    truth = field.truth
    np.savez(
        path.with_suffix(".npz"),
        x=stars.x,
        y=stars.y,
        ra=near.ra_deg,
        dec=near.dec_deg,
        pointing=(field.pointing.ra_deg, field.pointing.dec_deg),
        scale_arcsec=field.pointing.scale_arcsec,
        centre=truth.crval,
    )
    one = [fits.Column(n, "E", array=v + 1) for n, v in (("X", stars.x), ("Y", stars.y))]
    fits.BinTableHDU.from_columns(one).writeto(path.with_suffix(".xyls"), overwrite=True)
    program = shutil.which("build-astrometry-index")
    if program is None:
        return
    sky = [fits.Column(n, "D", array=v) for n, v in (("RA", near.ra_deg), ("DEC", near.dec_deg))]
    sky.append(fits.Column("MAG", "E", array=np.arange(len(near.ra_deg)) / 1000))
    listed = path.with_suffix(".stars")
    fits.BinTableHDU.from_columns(sky).writeto(listed, overwrite=True)
    width_arcmin = truth.scale_arcsec * SIDE / 60
    low, high = (share * width_arcmin for share in QUADS_OF_FIELD)
    nside = max(1, int(60 * 58.6 / low / 2))
    index = path.parent / f"{path.name}_index"
    index.mkdir()
    words = ["-N", str(nside), "-l", f"{low:.3f}", "-u", f"{high:.3f}", "-S", "MAG", "-E"]
    words += ["-A", "RA", "-D", "DEC", "-i", str(listed), "-o", str(index / "index.fits")]
    subprocess.run([program, *words], check=False, capture_output=True)


def make_calibration(path: Path) -> None:
    """Write stars of many frames: instrumental magnitudes beside a catalogue's, some wrong."""
    rng = np.random.default_rng(63)
    n = 800
    mag, colour = rng.uniform(12, 19, (ZERO_POINTS, n)), rng.normal(0.7, 0.4, (ZERO_POINTS, n))
    error = 0.003 + 0.002 * 10 ** (0.3 * (mag - 15))
    seen = mag - 24.0 - 0.05 * colour + rng.normal(0, np.hypot(error, 0.01))
    seen = np.where(rng.random(mag.shape) < 0.03, seen - rng.uniform(0.2, 2, mag.shape), seen)
    flux = 10 ** (-0.4 * seen)
    np.savez(path, flux=flux, flux_error=flux * error, mag=mag, colour=colour)


def make_cones(folder: Path, n: int) -> None:
    """Build a catalogue of the whole sky, and write its stars and the places asked for."""
    from reduction.refcat.build import Spec, build
    from reduction.refcat.systems import Band, System

    rng = np.random.default_rng(64)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    mag = rng.uniform(8, 19, n).astype(np.float32)
    spec = Spec("bench", "made", 2016.0, (Band("r", System.SDSS, has_error=False),))
    build(folder / "catalogue", [{"ra": ra, "dec": dec, "r": mag}], spec)
    at_ra, at_dec = rng.uniform(0, 360, CONES), np.degrees(np.arcsin(rng.uniform(-1, 1, CONES)))
    np.savez(folder / "cones.npz", ra=ra, dec=dec, mag=mag, at_ra=at_ra, at_dec=at_dec)


def detect_sources(meter: Meter, folder: Path) -> None:
    """Find the sources of a calibrated frame: background, deblending, centroids, shapes, fluxes."""
    from astropy.io import fits

    from reduction.image import Image
    from reduction.photometry.detection import DetectionParams, detect

    data = fits.getdata(folder / "science" / "calibrated.fits").astype(np.float32)
    variance = np.maximum(data, 0) + np.float32(READ_NOISE_E**2)
    image = Image(data, variance, np.zeros(data.shape, np.uint16), "electron")
    params = DetectionParams()
    n = len(detect(image, params).sources)  # also loads the kernels
    meter.note(sources=n)
    meter.time(lambda: detect(image, params))


def solve_hinted(meter: Meter, _folder: Path) -> None:
    """Solve fields with a pointing and a scale."""
    from reduction.astrometry.solver import solve

    fields = list(hinted_fields())
    solve(fields[0].stars, fields[0].catalogue, fields[0].pointing)
    meter.time(
        lambda: meter.note(
            solved=sum(
                error_pix(solve(f.stars, f.catalogue, f.pointing).wcs, f.truth, SIDE) < RIGHT_PIX
                for f in fields
            )
        )
    )


def solve_blind(meter: Meter, _folder: Path) -> None:
    """Solve fields without pointing and scale; the quads of their sky are there."""
    from reduction.astrometry.placing import Elsewhere, Hints, place
    from reduction.astrometry.quads import quads_of

    work = [(f, quads_of(f.catalogue.ra_deg, f.catalogue.dec_deg)) for f in blind_fields()]

    def solve_all() -> None:
        right = 0
        for field, index in work:
            found = place(
                field.stars,
                Hints(None, None, None),
                partial(only, field.catalogue),
                Elsewhere(partial(only, index)),
            )
            right += error_pix(found.solution.wcs, field.truth, SIDE) < RIGHT_PIX
        meter.note(solved=right)

    solve_all()
    meter.time(solve_all)


def zero_points(meter: Meter, folder: Path) -> None:
    """Fit zero points with a colour term, outliers left out."""
    from reduction.photometry.zeropoint import CalibrationStars, fit_zero_point

    stars = np.load(folder / "sky" / "zero_points.npz")
    frames = [
        CalibrationStars(
            flux_per_s=stars["flux"][k],
            flux_error_per_s=stars["flux_error"][k],
            mag=stars["mag"][k],
            mag_error=np.full(stars["mag"].shape[1], 0.003),
            colour=stars["colour"][k],
        )
        for k in range(ZERO_POINTS)
    ]

    def fit_all() -> None:
        found = np.array([fit_zero_point(one).value for one in frames])
        meter.note(off_mmag=float(1000 * np.abs(np.median(found) - 24.0)))

    fit_all()
    meter.time(fit_all)


def cones(meter: Meter, folder: Path) -> None:
    """Ask a stored catalogue for the stars around many places."""
    from reduction.refcat.store import Catalogue

    catalogue = Catalogue.newest(folder / "sky" / "catalogue")
    asked = np.load(folder / "sky" / "cones.npz")
    places: list[tuple[float, float]] = list(
        zip(asked["at_ra"].tolist(), asked["at_dec"].tolist(), strict=True)
    )
    meter.time(
        lambda: meter.note(
            stars=sum(len(catalogue.cone(ra, dec, CONE_DEG, epoch=2026.0)) for ra, dec in places)
        )
    )


ARMS: dict[str, Arm] = {
    "detect": detect_sources,
    "solve": solve_hinted,
    "solve_blind": solve_blind,
    "zero_points": zero_points,
    "cones": cones,
}
