"""Small raw frames written into RAW, as a camera program writes them."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from app import paths
from tests.numbering import number

SHAPE = (48, 64)
BIAS_ADU = 1000.0
READ_NOISE_ADU = 5.0
GAIN_E_PER_ADU = 2.0
SKY_ADU = 400.0
DARK_ADU_PER_S = 0.5

_IMAGETYP = {"bias": "Bias Frame", "dark": "Dark Frame", "flat": "Flat Field", "science": "Light"}
Plane = npt.NDArray[np.float64]


def response() -> Plane:
    """A flat field: brighter in the middle, one dead pixel."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    flat: Plane = 1.0 - 0.1 * (((x - 32) / 32) ** 2 + ((y - 24) / 24) ** 2)
    flat[10, 20] = 0.05
    return flat


def pixels(kind: str, rng: np.random.Generator, exptime_s: float) -> Plane:
    """The counts of one frame, with its noise."""
    signal = np.zeros(SHAPE) if kind == "bias" else np.full(SHAPE, DARK_ADU_PER_S * exptime_s)
    if kind == "flat":
        signal = signal + 20_000 * response()
    if kind == "science":
        signal = signal + SKY_ADU * response()
    electrons = rng.poisson(signal * GAIN_E_PER_ADU)
    noise = rng.normal(0, READ_NOISE_ADU, SHAPE)
    return np.asarray(electrons / GAIN_E_PER_ADU + BIAS_ADU + noise)


def write_raw(kind: str, **values: Any) -> Path:
    """Write one frame below RAW and return its path.

    `name`, `night` (its folder and evening), `data`, `exptime_s` and `cards` may be given.
    """
    second = number("raw frame")
    rng = np.random.default_rng(second)
    exptime_s = values.get("exptime_s", 0.0 if kind == "bias" else 10.0)
    data = values.get("data")
    plane = pixels(kind, rng, exptime_s) if data is None else data
    night = values.get("night", "2026-11-20")
    start = datetime.fromisoformat(f"{night}T20:00:00") + timedelta(seconds=second)
    cards = {
        "IMAGETYP": _IMAGETYP[kind],
        "EXPTIME": exptime_s,
        "DATE-OBS": start.isoformat(),
        "INSTRUME": "TestCam",
        "XBINNING": 1,
        "YBINNING": 1,
        "CCD-TEMP": -10.0,
        "GAIN": GAIN_E_PER_ADU,
        "EGAIN": GAIN_E_PER_ADU,
        "RDNOISE": READ_NOISE_ADU * GAIN_E_PER_ADU,
        "OBJECT": "NGC 2420" if kind == "science" else "",
        "FILTER": "r",
        "SWCREATE": "Test",
    } | values.get("cards", {})
    path: Path = paths.current().raw / night / values.get("name", f"{kind}_{second:04d}.fits")
    path.parent.mkdir(parents=True, exist_ok=True)
    header = fits.Header([(k, v) for k, v in cards.items() if v is not None])
    counts = np.clip(np.round(plane), 0, 65535).astype(np.uint16)
    fits.PrimaryHDU(counts, header).writeto(path)
    return path
