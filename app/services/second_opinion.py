"""Other programs asked where a frame points: solve-field and ASTAP, where they are installed."""

import functools
import logging
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from astropy.io import fits

from app.services import refcats
from reduction.astrometry.placing import Elsewhere, Opinion
from reduction.astrometry.solution import Pointing, StarList
from reduction.headers.extensions import forget_size

log = logging.getLogger(__name__)
CPU_S: Final = 60
TIMEOUT_S: Final = 90.0
MOST_STARS: Final = 200  # of the brightest, that are shown to them
FIELD_OF_POINTING: Final = 0.2  # of a frame's width, that they may be off
STAR_COUNTS, STAR_SIGMA_PIX = 20_000.0, 1.3  # how stars are drawn for a program that wants pixels
Asked = Callable[[str, StarList, Path], Pointing | None]


def elsewhere() -> Elsewhere:
    """Return what is turned to where a frame's hints do not lead to a place."""
    return Elsewhere(refcats.quads, installed())


def installed() -> Sequence[Opinion]:
    """Return the programs that can be asked here; none on most machines."""
    return [
        partial(_opinion, ask, path)
        for name, ask in _PROGRAMS.items()
        if (path := _path_of(name)) is not None
    ]


@functools.cache
def _path_of(name: str) -> str | None:
    return shutil.which(name)


def _opinion(ask: Asked, program: str, stars: StarList) -> Pointing | None:
    """Return where a program says the stars are, None where it does not know."""
    with tempfile.TemporaryDirectory(prefix="coelostat-") as folder:
        try:
            return ask(program, stars, Path(folder))
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            log.warning("%s gave no opinion: %s", program, error)
            return None


def _ask_solve_field(program: str, stars: StarList, folder: Path) -> Pointing | None:
    """Show solve-field a list of stars; it writes a WCS where its indexes know them."""
    ny, nx = stars.shape
    columns = [
        fits.Column("X", "E", array=stars.x[:MOST_STARS] + 1),
        fits.Column("Y", "E", array=stars.y[:MOST_STARS] + 1),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(folder / "stars.xyls")
    words = ["--x-column", "X", "--y-column", "Y", "--width", str(nx), "--height", str(ny)]
    words += ["--no-plots", "--overwrite", "--cpulimit", str(CPU_S), "--no-remove-lines"]
    words += ["--uniformize", "0"]  # its own Python is not everywhere; the brightest come first
    _run([program, *words, "--dir", str(folder), str(folder / "stars.xyls")], folder)
    return _pointing(folder / "stars.wcs", stars)


def _ask_astap(program: str, stars: StarList, folder: Path) -> Pointing | None:
    """Draw the stars for ASTAP, which wants pixels; it writes a WCS beside them."""
    fits.PrimaryHDU(_drawn(stars)).writeto(folder / "stars.fits")
    words = ["-f", str(folder / "stars.fits"), "-r", "180", "-fov", "0", "-wcs"]
    _run([program, *words], folder)
    return _pointing(folder / "stars.wcs", stars)


_PROGRAMS: Final = {"solve-field": _ask_solve_field, "astap_cli": _ask_astap, "astap": _ask_astap}


def _run(command: Sequence[str], folder: Path) -> None:
    # A list, no shell: every word is ours; what it prints is of no use.
    subprocess.run(  # noqa: S603
        command, cwd=folder, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _drawn(stars: StarList) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint16]]":
    ny, nx = stars.shape
    plane = np.full(stars.shape, 1000.0)
    reach = int(math.ceil(4 * STAR_SIGMA_PIX))
    for rank, (x, y) in enumerate(zip(stars.x[:MOST_STARS], stars.y[:MOST_STARS], strict=True)):
        rows = np.arange(max(0, int(y) - reach), min(ny, int(y) + reach + 1))
        columns = np.arange(max(0, int(x) - reach), min(nx, int(x) + reach + 1))
        r2 = (rows[:, None] - y) ** 2 + (columns - x) ** 2
        peak = STAR_COUNTS / (1 + rank / 20)
        plane[np.ix_(rows, columns)] += peak * np.exp(-r2 / (2 * STAR_SIGMA_PIX**2))
    noise = np.random.default_rng(1).normal(0, 20, stars.shape)
    return np.clip(plane + noise, 0, 65535).astype(np.uint16)


def _pointing(path: Path, stars: StarList) -> Pointing | None:
    """Return the middle and the scale that a header says, None where there is none."""
    if not path.exists():
        return None
    from astropy.wcs import WCS
    from astropy.wcs.utils import proj_plane_pixel_scales

    header = fits.Header.fromtextfile(path) if _is_in_lines(path) else fits.getheader(path)
    forget_size(header)  # it says 0: there is no image with it
    wcs = WCS(header, naxis=2)
    if not wcs.has_celestial:
        return None
    ny, nx = stars.shape
    ra, dec = wcs.all_pix2world([(nx - 1) / 2], [(ny - 1) / 2], 0)
    scale_arcsec = 3600 * float(np.sqrt(np.prod(proj_plane_pixel_scales(wcs))))
    width_deg = max(stars.shape) * scale_arcsec / 3600
    return Pointing(float(ra[0]), float(dec[0]), scale_arcsec, FIELD_OF_POINTING * width_deg)


def _is_in_lines(path: Path) -> bool:
    return b"\n" in path.read_bytes()[:82]
