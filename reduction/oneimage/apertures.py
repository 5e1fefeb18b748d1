"""Light of places on one image: circles with the sky of a ring around, or weighted by shape."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import sep

from reduction.flags import PixelFlag
from reduction.image import FloatPlane, Image
from reduction.kernels.annuli import ring_levels, weighted_sums
from reduction.oneimage.options import ApertureOptions
from reduction.photometry.detection import SIGMA_TO_FWHM

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
NOT_LIGHT: Final = PixelFlag.BAD | PixelFlag.NO_DATA | PixelFlag.COSMIC_RAY
WHOLE_FWHM: Final = 4.0  # radius within which all of a star's light is, as in growth curves
WEIGHTED_FWHM: Final = 1.5  # least radius that shapes are looked at over
LEAST_RING_SHARE: Final = 0.5
MASKED_FOOTPRINT, MASKED_APERTURE, MASKED_RING = 0x100, 0x200, 0x400


@dataclass(frozen=True, slots=True)
class Light:
    """What was measured at some places, ``(n,)`` each, in the image's unit.

    Attributes
    ----------
    flux, error : float arrays
        Above the sky, with the noise of pixels, source and sky level.
    sky, sky_error : float arrays
        Level of a pixel around, of the image less its background; and how well the sky within the
        aperture is known: what the aperture would scatter by without any source.
    n_pixels : float array
        Good ones of the aperture, in parts where it cuts them.
    flags : int64 array
        0x200 where pixels of the aperture are masked, 0x400 where most of the ring is.
    """

    flux: Floats
    error: Floats
    sky: Floats
    sky_error: Floats
    n_pixels: Floats
    flags: npt.NDArray[np.int64]

    def scaled(self, factor: float) -> "Light":
        """Return the same with all fluxes times a factor, the level of the sky left as it is."""
        return replace(
            self,
            flux=self.flux * factor,
            error=self.error * factor,
            sky_error=self.sky_error * factor,
        )


@dataclass(frozen=True, slots=True)
class Measurer:
    """An image less its background, on which light is measured.

    Attributes
    ----------
    above : float32 array, ``(ny, nx)``
        Image less background.
    variance : float32 array, ``(ny, nx)``
        Of its pixels.
    masked : bool array, ``(ny, nx)``
        Pixels that tell nothing.
    fwhm_pix : float
        Of a star.
    options : ApertureOptions
        Radii, and how.
    """

    above: FloatPlane
    variance: FloatPlane
    masked: Bits
    fwhm_pix: float
    options: ApertureOptions

    @classmethod
    def of(
        cls, image: Image, background: FloatPlane, fwhm_pix: float, options: ApertureOptions
    ) -> "Measurer":
        """Return what measures on an image."""
        return cls(
            np.ascontiguousarray(image.data - background, np.float32),
            np.maximum(image.variance, np.float32(0)),
            np.asarray((image.mask & np.uint16(NOT_LIGHT)) != 0),
            fwhm_pix,
            options,
        )

    @property
    def radius_pix(self) -> float:
        """Of the aperture."""
        return self.options.rel_aper * self.fwhm_pix

    def light(self, x: Floats, y: Floats) -> Light:
        """Return the light at places, as the options ask for."""
        return self.within(x, y, self.radius_pix, is_weighted=self.options.optimal_extraction)

    def within(
        self, x: Floats, y: Floats, radius_pix: float, *, is_weighted: bool = False
    ) -> Light:
        """Return the light within circles.

        Parameters
        ----------
        x, y : float arrays, ``(n,)``
            Places, pixels counted from 0.
        radius_pix : float
            Of the circles.
        is_weighted : bool
            Whether pixels are weighted by a star's shape, instead of summed.

        References
        ----------
        Naylor (1998), MNRAS 296, 339, of weights; Howell (1989), PASP 101, 616, of the sky's share.
        """
        level, noise, share = self._ring(x, y)
        inside, _, _ = sep.sum_circle((~self.masked).astype(np.float32), x, y, radius_pix, subpix=0)
        whole = np.pi * radius_pix**2
        flags = np.where(inside < 0.999 * whole, MASKED_APERTURE, 0)
        flags |= np.where(share < LEAST_RING_SHARE, MASKED_RING, 0)
        flux, error = self._summed((x, y), level, noise, radius_pix, is_weighted=is_weighted)
        ring = np.pi * self.fwhm_pix**2 * (self.options.rel_bg2**2 - self.options.rel_bg1**2)
        of_level = noise * whole / np.sqrt(np.maximum(ring * share, 1.0))
        sky_error = np.hypot(noise * np.sqrt(whole), of_level)
        return Light(flux, np.hypot(error, of_level), level, sky_error, inside, flags)

    def _ring(self, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
        """Return level and noise of the sky around places; the usual ones where a ring is empty."""
        out = np.empty(len(x)), np.empty(len(x)), np.empty(len(x))
        radii = self.options.rel_bg1 * self.fwhm_pix, self.options.rel_bg2 * self.fwhm_pix
        ring_levels(self.above, self.masked, (x, y), radii, out)
        level, noise, share = out
        usual = float(np.sqrt(np.median(self.variance[~self.masked]))) if len(x) else 0.0
        return np.nan_to_num(level), np.where(np.isfinite(noise), noise, usual), share

    def _summed(
        self, places: tuple[Floats, Floats], level: Floats, noise: Floats, radius_pix: float,
        *, is_weighted: bool,
    ) -> tuple[Floats, Floats]:  # fmt: skip
        flux, error = np.empty(len(level)), np.empty(len(level))
        if is_weighted:
            shape = self.fwhm_pix / SIGMA_TO_FWHM, max(radius_pix, WEIGHTED_FWHM * self.fwhm_pix)
            pixels = self.above, self.variance, self.masked
            weighted_sums(pixels, places, (level, noise), shape, (flux, error))
            return flux, error
        flux, error, _ = sep.sum_circle(
            self.above, *places, radius_pix, var=self.variance, mask=self.masked, subpix=0
        )
        return flux - level * np.pi * radius_pix**2, error
