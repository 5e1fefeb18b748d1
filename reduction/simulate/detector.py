"""A CCD with all the marks a calibration must remove, and how it is read out."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from reduction.simulate.params import NightParams, Stream, stream

Plane = npt.NDArray[np.float64]
RawImage = npt.NDArray[np.uint16]

ADC_MAX = 65535
DRIFT_ADU = 1.5  # how far the bias wanders along the columns within one frame
FRAME_DRIFT_ADU = 2.0  # and from one frame to the next


@dataclass(frozen=True, slots=True)
class BadPixels:
    """Where the detector is bad: ``x``, ``y`` zero-based, and what each pixel does.

    `kind` is "hot" (`value`: dark electrons a second) or "cold" (`value`: response, 0 to 1).
    """

    x: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]
    kind: npt.NDArray[np.str_]
    value: Plane


@dataclass(frozen=True, slots=True)
class Detector:
    """The fixed properties of the camera, each plane ``(ny, nx)`` without overscan.

    Attributes
    ----------
    bias_adu : array
        Mean bias above nothing, ADU.
    dark_e_per_s : array
        Dark current with glow and hot pixels.
    response : mapping of str to array
        By band: vignetting, dust, pixel response, dead pixels; its mode is 1.
    fringe : array
        Fringe pattern between -1 and 1.
    bad : BadPixels
        The truth of hot and cold pixels.
    """

    bias_adu: Plane
    dark_e_per_s: Plane
    response: dict[str, Plane]
    fringe: Plane
    bad: BadPixels


def build_detector(params: NightParams) -> Detector:
    """Build the night's camera.

    Parameters
    ----------
    params : NightParams
        Shape, bands and levels.

    Returns
    -------
    Detector
        The same for the same parameters.
    """
    rng = stream(params, Stream.DETECTOR)
    bad = _bad_pixels(params, rng)
    hot, cold = bad.kind == "hot", bad.kind == "cold"
    dark = _dark_current(params)
    dark[bad.y[hot], bad.x[hot]] += bad.value[hot]
    common = _vignetting(params.shape) * (1.0 + rng.normal(0.0, 0.006, params.shape))
    response = {}
    for band in params.bands:
        plane = common * _dust(params.shape, rng) * (1.0 + rng.normal(0.0, 0.003, params.shape))
        plane /= _mode(plane)
        plane[bad.y[cold], bad.x[cold]] *= bad.value[cold]
        response[band.name] = plane
    return Detector(
        bias_adu=_bias(params, rng),
        dark_e_per_s=dark,
        response=response,
        fringe=_fringes(params.shape, rng),
        bad=bad,
    )


def read_out(
    expected_e: Plane,
    hits_e: Plane | None,
    *,
    detector: Detector,
    params: NightParams,
    rng: np.random.Generator,
) -> RawImage:
    """Turn expected electrons into the file's numbers.

    In the order of the real thing: photons and dark electrons arrive (Poisson), particles add
    theirs, full wells spill along the columns, the amplifier adds its noise, the converter
    counts in ADU, and it stops at 65535.

    Parameters
    ----------
    expected_e : array
        Mean electrons of each pixel, ``(ny, nx)``.
    hits_e : array or None
        Electrons that particles left.
    detector, params
        The camera.
    rng : Generator
        This frame's random numbers.

    Returns
    -------
    uint16 array
        ``(ny, nx + overscan)``; the overscan columns are the last.
    """
    ny, nx = expected_e.shape
    charge = rng.poisson(expected_e).astype(np.float64)
    if hits_e is not None:
        charge += hits_e
    _bleed(charge, params.full_well_e)
    noise_adu = params.read_noise_e / params.gain_e_per_adu
    adu = rng.standard_normal((ny, nx + params.overscan), dtype=np.float32) * np.float32(noise_adu)
    adu += (params.bias_adu + _drift(ny, rng)).astype(np.float32)[:, None]
    adu[:, :nx] += detector.bias_adu + charge / params.gain_e_per_adu
    return np.asarray(np.clip(np.rint(adu), 0, ADC_MAX), dtype=np.uint16)


def _drift(ny: int, rng: np.random.Generator) -> Plane:
    """Return the slow walk of the bias along the columns, the same in data and overscan."""
    u = np.linspace(-1.0, 1.0, ny)
    steps = rng.normal(0.0, DRIFT_ADU, 3)
    walk: Plane = rng.normal(0.0, FRAME_DRIFT_ADU) + np.polynomial.legendre.legval(u, [0.0, *steps])
    return walk


def _bleed(charge: Plane, full_well_e: float) -> None:
    """Spill, in place, what full wells cannot hold along their columns, half each way."""
    columns = np.flatnonzero((charge > full_well_e).any(axis=0))
    if not columns.size:
        return
    wells = charge[:, columns]
    half = np.maximum(wells - full_well_e, 0.0) / 2
    np.minimum(wells, full_well_e, out=wells)
    for order in (slice(None), slice(None, None, -1)):
        carried = np.zeros(columns.size)
        for row, spill in zip(wells[order], half[order], strict=True):
            taken = np.minimum(full_well_e - row, carried)
            row += taken
            carried += spill - taken
    charge[:, columns] = wells


def _bias(params: NightParams, rng: np.random.Generator) -> Plane:
    """Return the structure of the bias, ADU: columns, a ramp at the first ones, a slow wave."""
    ny, nx = params.shape
    columns = gaussian_filter1d(rng.normal(0.0, 1.5, nx), 0.6)
    ramp = 12.0 * np.exp(-np.arange(nx) / 15.0)
    wave = 2.0 * np.sin(2 * np.pi * np.arange(nx) / nx)
    pixels = rng.normal(0.0, 0.4, (ny, nx))
    return np.asarray((columns + ramp + wave)[None, :] + pixels)


def _dark_current(params: NightParams) -> Plane:
    """Return electrons a second: thermal, and the glow of the amplifier in one corner."""
    ny, nx = params.shape
    y, x = np.mgrid[:ny, :nx]
    glow = 0.15 * np.exp(-np.hypot(x / nx, y / ny) / 0.08)
    return np.asarray(params.dark_e_per_s + glow)


def _bad_pixels(params: NightParams, rng: np.random.Generator) -> BadPixels:
    """Scatter hot pixels, dead pixels and two weak part-columns."""
    ny, nx = params.shape
    n_hot, n_dead = round(300 * params.area), round(120 * params.area)
    chosen = rng.choice(ny * nx, n_hot + n_dead, replace=False)
    y, x = np.divmod(chosen, nx)
    value = np.concatenate([rng.lognormal(1.6, 1.0, n_hot), rng.uniform(0.0, 0.4, n_dead)])
    kind = np.array(["hot"] * n_hot + ["cold"] * n_dead)
    for column, weak in zip(rng.choice(nx, 2, replace=False), (0.25, 0.55), strict=True):
        rows = np.arange(rng.integers(ny // 8, ny // 2), ny)
        new = ~np.isin(rows * nx + column, chosen)  # no pixel is listed twice
        y, x = np.append(y, rows[new]), np.append(x, np.full(new.sum(), column))
        value = np.append(value, np.full(new.sum(), weak))
        kind = np.append(kind, np.full(new.sum(), "cold"))
    return BadPixels(x=x, y=y, kind=kind, value=value)


def _vignetting(shape: tuple[int, int]) -> Plane:
    """Return the fall of light to the corners, around a wide plateau: its mode is well defined."""
    ny, nx = shape
    y, x = np.mgrid[:ny, :nx]
    radius = np.hypot((x - 0.49 * nx) / nx, (y - 0.52 * ny) / ny) / np.sqrt(0.5)
    return np.asarray(1.0 - 0.16 * radius**5)


def _dust(shape: tuple[int, int], rng: np.random.Generator) -> Plane:
    """Return the shadows of dust: rings where it lies on the filter, spots on the window."""
    ny, nx = shape
    plane = np.ones(shape)
    y, x = np.mgrid[:ny, :nx]
    size = min(shape) / 1024
    for _ in range(7):
        depth, outer = rng.uniform(0.01, 0.06), rng.uniform(8.0, 34.0) * size
        inner = outer * rng.choice([0.0, 0.35, 0.45, 0.5])
        radius = np.hypot(x - rng.uniform(0, nx), y - rng.uniform(0, ny))
        edges = _soft_step(outer - radius) - (_soft_step(inner - radius) if inner else 0.0)
        plane *= 1.0 - depth * edges
    return plane


def _soft_step(distance: Plane) -> Plane:
    """Return 0 outside and 1 inside, over about three pixels."""
    return np.asarray(0.5 * (1.0 + np.tanh(distance / 1.5)))


def _fringes(shape: tuple[int, int], rng: np.random.Generator) -> Plane:
    """Return interference fringes of a layer of smoothly varying thickness, within -1 and 1."""
    size = min(shape)
    thickness = gaussian_filter(rng.normal(size=shape), size / 7, mode="reflect")
    thickness *= 9.0 / np.ptp(thickness)
    y, x = np.mgrid[: shape[0], : shape[1]] / size
    thickness += 4.0 * np.hypot(x - 0.2, y + 0.3)
    pattern = 0.7 * np.cos(2 * np.pi * thickness) + 0.3 * np.cos(2 * np.pi * 1.37 * thickness + 1.0)
    return np.asarray(pattern - pattern.mean())


def _mode(plane: Plane) -> float:
    """Return the most common value: the peak of a smoothed histogram."""
    counts, edges = np.histogram(plane, bins=2000, range=(0.7, 1.1))
    smooth = gaussian_filter1d(counts.astype(float), 10.0)
    return float((edges[:-1] + edges[1:])[np.argmax(smooth)] / 2)
