"""A detector with known gain, noise and pattern, that takes exposures for the tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from reduction.camera import Amplifier, Section
from reduction.exposure import Exposure
from reduction.frameinfo import FrameInfo, FrameKind

Plane = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Detector:
    """One amplifier, ``(ny, nx)``, with an overscan of `overscan` columns to its right."""

    ny: int = 200
    nx: int = 240
    overscan: int = 40
    gain: float = 1.5
    read_noise_e: float = 6.0
    level_adu: float = 1000.0
    dark_e_per_s: float = 0.0
    saturation_adu: float = 60000.0
    dtype: str = ">i2"
    stated: bool = True
    hot: Sequence[tuple[int, int]] = field(default=())

    def pattern(self) -> Plane:
        """Return the fixed pattern of the bias, in ADU."""
        return np.broadcast_to(4 * np.sin(np.arange(self.nx) / 7), (self.ny, self.nx)).copy()

    def response(self) -> Plane:
        """Return what fraction of the light every pixel answers to; its mode is about 1."""
        y, x = np.mgrid[0 : self.ny, 0 : self.nx]
        r2 = ((y / self.ny - 0.5) ** 2 + (x / self.nx - 0.5) ** 2) * 4
        pixels = np.random.default_rng(5).normal(1, 0.005, (self.ny, self.nx))
        return np.asarray((1 - 0.1 * r2) * pixels)

    def dark_rate(self) -> Plane:
        """Return the dark current in electrons per second."""
        rate = np.full((self.ny, self.nx), self.dark_e_per_s)
        for y, x in self.hot:
            rate[y, x] += 400.0
        return rate

    def info(self, kind: FrameKind, exptime_s: float, band: str | None = None) -> FrameInfo:
        ny, nx, n_over = self.ny, self.nx, self.overscan
        amp = Amplifier(
            hdu=0,
            data=Section(0, ny, 0, nx),
            overscan=Section(0, ny, nx, nx + n_over) if n_over else None,
            target=Section(0, ny, 0, nx),
            gain_e_per_adu=self.gain if self.stated else None,
            read_noise_e=self.read_noise_e if self.stated else None,
            saturation_adu=self.saturation_adu,
        )
        return FrameInfo(
            writer="test",
            kind=kind,
            nx=nx,
            ny=ny,
            amplifiers=(amp,),
            exptime_s=exptime_s,
            band=band,
            temp_c=-20.0,
        )

    def expose(
        self,
        kind: FrameKind,
        rng: np.random.Generator,
        light_e: Plane | float = 0.0,
        *,
        exptime_s: float = 0.0,
        drift_adu: float = 0.0,
        name: str = "frame",
        band: str | None = None,
    ) -> Exposure:
        """Take a frame of `light_e` electrons (before the pixels' response) a pixel."""
        electrons = rng.poisson(
            np.asarray(light_e) * self.response() + self.dark_rate() * exptime_s
        ).astype(np.float64)
        adu = np.full((self.ny, self.nx + self.overscan), self.level_adu + drift_adu)
        adu += np.linspace(0, 6, self.ny)[:, None]
        adu[:, : self.nx] += self.pattern() + electrons / self.gain
        adu += rng.normal(0, self.read_noise_e / self.gain, adu.shape)
        info = self.info(kind, exptime_s, band)
        return self.digitised(adu, info, name)

    def digitised(self, adu: Plane, info: FrameInfo, name: str) -> Exposure:
        """Return a plane of ADU as the file would hold it."""
        dtype = np.dtype(self.dtype)
        if dtype.kind == "f":
            return Exposure(info, {0: adu.astype(dtype)}, name=name)
        counts = np.clip(np.rint(adu), 0, 65535)
        offset = 32768.0 if dtype.kind == "i" else 0.0
        return Exposure(info, {0: (counts - offset).astype(dtype)}, {0: offset}, name=name)

    def biases(self, n: int, rng: np.random.Generator, drift_adu: float = 2.0) -> list[Exposure]:
        return [
            self.expose(
                FrameKind.BIAS, rng, drift_adu=float(rng.normal(0, drift_adu)), name=f"bias{k}"
            )
            for k in range(n)
        ]

    def darks(self, n: int, rng: np.random.Generator, exptime_s: float) -> list[Exposure]:
        return [
            self.expose(FrameKind.DARK, rng, exptime_s=exptime_s, name=f"dark{k}") for k in range(n)
        ]

    def flats(
        self, levels_e: Sequence[float], rng: np.random.Generator, band: str = "r"
    ) -> list[Exposure]:
        return [
            self.expose(FrameKind.FLAT, rng, level, exptime_s=1.0, name=f"flat{k}", band=band)
            for k, level in enumerate(levels_e)
        ]


def with_plane(exposure: Exposure, plane: npt.NDArray[np.generic]) -> Exposure:
    """Return an exposure with other stored pixels."""
    return replace(exposure, planes={0: plane})


def pixels(exposure: Exposure) -> npt.NDArray[np.int16]:
    """Return a copy of an exposure's stored pixels, to be changed (of any type, for that)."""
    copy: npt.NDArray[np.int16] = np.array(exposure.planes[0])
    return copy
