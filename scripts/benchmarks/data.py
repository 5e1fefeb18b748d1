"""Synthetic frames for the timings: raw files as a camera writes them, and their masters."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

Plane = npt.NDArray[np.float32]

GAIN, READ_NOISE_E, OVERSCAN, LEVEL = 1.5, 8.0, 64, 1000.0
FWHM, BETA = 3.2, 3.0


def header(kind: str, number: int, side: int, overscan: int) -> fits.Header:
    """Return a header as long as a real camera's."""
    clock = f"{number % 24:02d}:{number % 60:02d}:{number // 840:06.3f}"  # no two are the same
    cards: dict[str, object] = {
        "BUNIT": "adu",
        "OBJECT": "M 31" if kind == "LIGHT" else kind,
        "IMAGETYP": kind,
        "DATE-OBS": f"2026-11-{1 + number % 28:02d}T{clock}",
        "EXPTIME": 0.0 if kind == "BIAS" else 60.0,
        "FILTER": "r",
        "GAIN": GAIN,
        "RDNOISE": READ_NOISE_E,
        "SATURATE": 60000,
        "CCD-TEMP": round(-100 + number % 13 / 100, 2),
        "SET-TEMP": -100.0,
        "XBINNING": 1,
        "YBINNING": 1,
        "INSTRUME": "CAM1",
        "TELESCOP": "1.2 m",
        "OBSERVER": "A. Observer",
        "SITELAT": 42.5,
        "SITELONG": 25.6,
        "AIRMASS": round(1 + number % 997 / 1000, 4),
        "RA": f"00:42:{44 + number % 99 / 100:06.3f}",
        "DEC": "+41:16:09",
        "EQUINOX": 2000.0,
    }
    if overscan:
        cards["BIASSEC"] = f"[{side - overscan + 1}:{side},1:{side}]"
        cards["DATASEC"] = cards["TRIMSEC"] = f"[1:{side - overscan},1:{side}]"
    made = fits.Header()
    made.update(cards)
    for k in range(24):
        made[f"KEY{k:02d}"] = (3.14 * k, "filler of a real instrument's header")
    return made


def write(path: Path, counts: npt.NDArray[np.generic], head: fits.Header) -> None:
    """Write one image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(counts, head).writeto(path, overwrite=True)


def to_counts(adu: Plane) -> npt.NDArray[np.uint16]:
    """Return what a 16-bit converter makes of a plane."""
    return np.clip(np.rint(adu), 0, 65535).astype(np.uint16)


def bias_pattern(side: int) -> Plane:
    """Return the bias of every pixel."""
    column = 3 * np.sin(np.arange(side, dtype=np.float32) / 40)
    return np.broadcast_to(np.float32(LEVEL) + column, (side, side)).astype(np.float32)


def response(side: int) -> Plane:
    """Return the vignetting and the pixels' own response."""
    axis = (np.arange(side, dtype=np.float32) - side / 2) / (side / 2)
    pixels = np.random.default_rng(5).standard_normal((side, side), dtype=np.float32)
    return (1 - 0.15 * (axis[:, None] ** 2 + axis**2)) * (1 + np.float32(0.01) * pixels)


def add_hits(plane: Plane, n: int, rng: np.random.Generator) -> None:
    """Add straight tracks of particles to a plane."""
    ny, nx = plane.shape
    for _ in range(n):
        y, x, angle = rng.uniform(0, ny), rng.uniform(0, nx), rng.uniform(0, np.pi)
        steps = np.arange(rng.integers(1, 12))
        j, i = (y + steps * np.sin(angle)).astype(int), (x + steps * np.cos(angle)).astype(int)
        inside = (j >= 0) & (j < ny) & (i >= 0) & (i < nx)
        plane[j[inside], i[inside]] += np.float32(rng.uniform(300, 4000))


def add_stars(plane: Plane, n: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Add Moffat stars to a plane; returns their x, y and flux."""
    ny, nx = plane.shape
    stars = np.stack([rng.uniform(0, nx, n), rng.uniform(0, ny, n), rng.random(n)])
    stars[2] = np.clip(600 * (1 - stars[2]) ** (-1 / 0.9), 600, 3e6)
    core2 = (FWHM / (2 * np.sqrt(2 ** (1 / BETA) - 1))) ** 2
    for x, y, flux in stars.T:
        reach = 25 if flux < 2e5 else 75
        rows = np.arange(max(0, int(y) - reach), min(ny, int(y) + reach + 1))
        columns = np.arange(max(0, int(x) - reach), min(nx, int(x) + reach + 1))
        r2 = (rows[:, None] - y) ** 2 + (columns - x) ** 2
        peak = flux * (BETA - 1) / (np.pi * core2)
        plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += (
            peak * (1 + r2 / core2) ** -BETA
        ).astype(np.float32)
    return stars


def make_biases(folder: Path, side: int, n: int) -> None:
    """Write bias frames with drifts of the level and particle hits."""
    pattern = bias_pattern(side)
    for k in range(n):
        rng = np.random.default_rng(100 + k)
        noise = rng.standard_normal((side, side), dtype=np.float32)
        adu = pattern + np.float32(READ_NOISE_E / GAIN) * noise + np.float32(rng.normal(0, 2))
        add_hits(adu, 300, rng)
        write(folder / f"bias_{k + 1:05d}.fits", to_counts(adu), header("BIAS", k, side, 0))


def sky_and_stars(side: int, seed: int) -> tuple[Plane, npt.NDArray[np.float64]]:
    """Return the electrons a field gives before the optics dim them."""
    rng = np.random.default_rng(seed)
    axis = np.arange(side, dtype=np.float32) / side
    across = np.broadcast_to(axis, (side, side))
    electrons: Plane = (400 + 60 * across + 30 * axis[:, None]).astype(np.float32)
    return electrons, add_stars(electrons, 5000 * side * side // 4096**2, rng)


def make_science(folder: Path, side: int, n: int) -> None:
    """Write raw science frames, their masters, one calibrated frame and where its stars are."""
    pattern, dim = bias_pattern(side), response(side)
    light, stars = sky_and_stars(side, 1)
    for k in range(n):
        rng = np.random.default_rng(300 + k)
        electrons = rng.poisson(light * dim).astype(np.float32)
        add_hits(electrons, 2000 * side * side // 4096**2, rng)
        electrons[:, side - OVERSCAN :] = 0
        noise = rng.standard_normal((side, side), dtype=np.float32)
        adu = pattern + electrons / GAIN + np.float32(READ_NOISE_E / GAIN) * noise
        head = header("LIGHT", k, side, OVERSCAN)
        write(folder / f"sci_{k + 1:05d}.fits", to_counts(adu), head)
        if k == 0:
            wide = side - OVERSCAN
            calibrated = ((adu - pattern) * GAIN / dim)[:, :wide].astype(np.float32)
            write(folder / "calibrated.fits", np.ascontiguousarray(calibrated), fits.Header())
    np.save(folder / "stars.npy", stars)
    make_masters(folder, pattern, dim, side)


def make_masters(folder: Path, pattern: Plane, dim: Plane, side: int) -> None:
    """Write master bias, flat and bad-pixel map, trimmed and not."""
    flat = dim / np.median(dim)
    bad = np.zeros((side, side), np.uint8)
    rng = np.random.default_rng(9)
    bad[rng.integers(0, side, 5000), rng.integers(0, side, 5000)] = 1
    planes = {"bias": pattern - LEVEL, "flat": flat, "bad": bad}
    for name, plane in planes.items():
        kept = plane.astype(np.uint8 if name == "bad" else np.float32)
        write(folder / f"m{name}.fits", kept, fits.Header())
        trimmed = np.ascontiguousarray(kept[:, : side - OVERSCAN])
        write(folder / f"trimmed_{name}.fits", trimmed, fits.Header())


def make_small(folder: Path, n: int) -> None:
    """Write many small frames of four kinds, a hundred a folder."""
    rng = np.random.default_rng(7)
    base = (1000 + 8 * rng.standard_normal((512, 512))).astype(np.uint16)
    for k in range(n):
        kind = ("BIAS", "FLAT", "LIGHT", "DARK")[k % 4]
        path = folder / f"n{k // 100:03d}" / f"f_{k:05d}.fits"
        write(path, base, header(kind, k, 512, 0))


def make_all(folder: Path, *, side: int, frames: int, small: int) -> None:
    """Make what is not there yet."""
    parts = {
        "bias": partial(make_biases, side=side, n=frames),
        "science": partial(make_science, side=side, n=2),
        "small": partial(make_small, n=small),
    }
    for name, make in parts.items():
        done = folder / f"{name}.done"
        if not done.exists():
            print(f"making {name} frames ...", file=sys.stderr, flush=True)
            make(folder / name)
            done.touch()
