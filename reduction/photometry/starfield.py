"""The stars of a frame as they are fitted, and those that show once the others are taken off."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.flags import PixelFlag
from reduction.image import FloatPlane, Image
from reduction.kernels import psf as kernel
from reduction.kernels import psfgroups as groups_kernel
from reduction.kernels.circles import circle_sums
from reduction.kernels.mesh import Pixels
from reduction.kernels.stars import Light
from reduction.photometry.apertures import Apertures
from reduction.photometry.background import Levels, Surface
from reduction.photometry.deblend import DetectionParams, Footprints, find_footprints
from reduction.photometry.detection import Detected, light_of
from reduction.photometry.neighbours import group_near
from reduction.photometry.profile import RADIUS_FWHM

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
FIT_FWHM: Final = 1.25  # radius of the pixels a star is fitted to
LEASH_FWHM: Final = 0.7  # a star is not followed farther from where it was found
MOST_PASSES: Final = 8
SETTLED_PIX: Final = 0.003
FIXED_SIGNAL: Final = 8.0  # of fainter ones the place is kept: noise would pull it to light
HIDDEN_SIGNAL: Final = 5.0  # of what is left, for a star that was not found before
HIDDEN_SHARE: Final = 0.05  # of the light taken off there: the profile is not known better
HIDDEN_APART_FWHM: Final = 0.6  # two stars nearer to each other cannot be told apart


@dataclass(frozen=True, slots=True)
class StarField:
    """A frame and its stars; the fits change `stars` and `model` in place.

    Attributes
    ----------
    light : Light
        Frame above its sky; saturated pixels are not looked at.
    model : float32 array, ``(ny, nx)``
        Light of all stars, as fitted last.
    stars : Stars
        Places and fluxes, those of the frame's sources first.
    sky_variance : float array, ``(n,)``
        Of a pixel of sky at each star.
    slope : float
        Variance of a pixel for each unit of light.
    home : float array, ``(n, 2)``
        Where each star was found.
    is_fixed : bool array, ``(n,)``
        Whose place is not fitted.
    fwhm_pix : float
        Width of a star.
    """

    light: Light
    model: FloatPlane
    stars: kernel.Stars
    sky_variance: Floats
    slope: float
    home: Floats
    is_fixed: npt.NDArray[np.bool_]
    fwhm_pix: float

    def __len__(self) -> int:
        return len(self.stars.x)

    @property
    def noise(self) -> kernel.Noise:
        """Variance of pixels."""
        return kernel.Noise(self.sky_variance, self.slope)

    def near(self, which: Indices) -> Indices:
        """Return some stars and all whose light reaches them."""
        tree = cKDTree(self.home)
        around = tree.query_ball_point(self.home[which], RADIUS_FWHM * self.fwhm_pix)
        return np.unique(np.concatenate([np.asarray(one, np.int64) for one in around]))

    def fit(
        self, shape: kernel.Shape, which: Indices, passes: int = MOST_PASSES
    ) -> tuple[groups_kernel.Fitted, groups_kernel.Groups]:
        """Fit some of the stars until they rest, and draw the model of them alone."""
        places = self.home[which]
        first, order = group_near(places[:, 0], places[:, 1], self.fwhm_pix)
        home_x, home_y = np.ascontiguousarray(self.home.T)
        leash = LEASH_FWHM * self.fwhm_pix
        quiet = np.zeros(len(first) - 1, np.uint8)
        groups = groups_kernel.Groups(
            first, which[order], home_x, home_y, self.is_fixed, quiet, leash
        )
        fitted = groups_kernel.Fitted(*(np.zeros(len(self)) for _ in range(6)))
        self.model[...] = 0
        x, y, flux = (column[which] for column in self.stars)
        kernel.add_all(self.model, shape, kernel.Stars(x, y, flux))
        state = self.stars, self.noise, fitted
        for _ in range(passes):
            radius = FIT_FWHM * self.fwhm_pix
            step = groups_kernel.fit_groups(self.light, self.model, shape, state, groups, radius)
            if step < SETTLED_PIX:
                break
        return fitted, groups

    def seen(self, shape: kernel.Shape) -> Floats:
        """Return how much of the light each star is fitted by is on good pixels, ``(n,)``."""
        found = np.empty(len(self))
        kernel.seen_shares(self.light, shape, self.stars, FIT_FWHM * self.fwhm_pix, found)
        return found

    def with_stars(self, x: Floats, y: Floats, flux: Floats, sky_variance: Floats) -> "StarField":
        """Return the same with more stars behind the others."""
        stars = self.stars
        more = kernel.Stars(
            np.append(stars.x, x), np.append(stars.y, y), np.append(stars.flux, flux)
        )
        return StarField(
            self.light,
            self.model,
            more,
            np.append(self.sky_variance, sky_variance),
            self.slope,
            np.concatenate([self.home, np.column_stack([x, y])]),
            np.append(self.is_fixed, np.zeros(len(x), np.bool_)),
            self.fwhm_pix,
        )


def field_of(image: Image, detected: Detected, apertures: Apertures, slope: float) -> StarField:
    """Return the stars of a frame as they were found.

    Parameters
    ----------
    image : Image
        Calibrated frame.
    detected : Detected
        Its sources and their width.
    apertures : Apertures
        Fluxes to begin with.
    slope : float
        Variance of a pixel for each unit of light.

    Returns
    -------
    StarField
        Ready to be fitted.
    """
    light = light_of(image, detected.background)
    sources = detected.sources
    flux = np.where(np.isfinite(apertures.total), apertures.total, 0.0)
    return StarField(
        light=light._replace(bits=np.uint16(light.bits | PixelFlag.SATURATED)),
        model=np.zeros(image.shape, np.float32),
        stars=kernel.Stars(sources.x.copy(), sources.y.copy(), np.maximum(flux, 0.0)),
        sky_variance=sky_variance(detected, sources.x, sources.y),
        slope=slope,
        home=np.column_stack([sources.x, sources.y]),
        is_fixed=sources.snr < FIXED_SIGNAL,
        fwhm_pix=detected.fwhm_pix or 1.0,
    )


def sky_variance(detected: Detected, x: Floats, y: Floats) -> Floats:
    """Return the variance of a pixel of sky at some places."""
    if detected.noise is None:
        return np.full(len(x), detected.sky_noise**2)
    ny, nx = detected.background.shape
    rows = np.clip(np.rint(y), 0, ny - 1).astype(np.int64)
    columns = np.clip(np.rint(x), 0, nx - 1).astype(np.int64)
    variance = np.asarray(detected.noise.along(rows, columns), np.float64) ** 2
    return np.where(np.isfinite(variance), variance, detected.sky_noise**2)


def variance_slope(light: Light, detected: Detected, chosen: Indices) -> float:
    """Return how a pixel's variance grows with its light, as the frame says of bright stars."""
    x, y = detected.sources.x[chosen], detected.sources.y[chosen]
    sky = sky_variance(detected, x, y)
    j, i = np.rint(y).astype(int), np.rint(x).astype(int)
    with np.errstate(invalid="ignore", divide="ignore"):
        slopes = (light.variance[j, i] - sky) / (light.data[j, i] - light.sky[j, i])
    slopes = slopes[np.isfinite(slopes)]
    return max(0.0, float(np.median(slopes))) if len(slopes) else 0.0


def with_hidden(field: StarField, detected: Detected) -> StarField:
    """Return a field with the stars that show once the light of the others is taken off.

    Parameters
    ----------
    field : StarField
        As fitted with all of its stars.
    detected : Detected
        Of the same frame.

    Returns
    -------
    StarField
        The same where nothing shows.
    """
    if detected.noise is None or not len(field):
        return field
    footprints = _left_over(field, detected.noise)
    n = len(footprints)
    mine = footprints.owner >= 0
    owner, signal = footprints.owner[mine], footprints.signal[mine].astype(np.float64)
    total = np.maximum(np.bincount(owner, signal, n), 1e-30)
    x = np.bincount(owner, signal * footprints.x[mine], n) / total
    y = np.bincount(owner, signal * footprints.y[mine], n) / total
    flux, error = _in_circles(field, field.light._replace(sky=field.light.sky + field.model), x, y)
    taken, _ = _in_circles(field, _alone(field), x, y)
    apart, _ = cKDTree(np.column_stack([field.stars.x, field.stars.y])).query(
        np.column_stack([x, y]) if n else np.empty((0, 2))
    )
    real = (flux > HIDDEN_SIGNAL * error) & (flux > HIDDEN_SHARE * taken)
    real &= apart > HIDDEN_APART_FWHM * field.fwhm_pix
    return field.with_stars(x[real], y[real], flux[real], sky_variance(detected, x[real], y[real]))


def _left_over(field: StarField, noise: Surface) -> Footprints:
    """Return what is above the noise once all models are taken off."""
    light = field.light
    flat = Surface(np.zeros_like(noise.pieces), noise.starts, noise.middles)
    pixels = Pixels(light.data - light.sky - field.model, light.mask, light.bits)
    levels = Levels(flat, noise, 0.0, 1.0)
    return find_footprints(pixels, light.variance, levels, DetectionParams(), field.fwhm_pix)


def _alone(field: StarField) -> Light:
    """Return the model as if it were the frame."""
    return field.light._replace(data=field.model, sky=np.zeros_like(field.model))


def _in_circles(field: StarField, light: Light, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return light and noise within a FWHM of some places."""
    flux, error = np.empty((len(x), 1)), np.empty((len(x), 1))
    circle_sums(light, (x, y), np.array([field.fwhm_pix]), flux, error)
    return flux[:, 0], error[:, 0]
