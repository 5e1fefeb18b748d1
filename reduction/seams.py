"""Amplifiers of one detector brought to one scale where no flat does it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reduction.camera import Section
from reduction.image import FloatPlane, Image

STRIP_PIX = 16  # on either side of a seam: wide enough to know the sky, narrow against gradients
CELL_PIX = 32  # along a seam; a cell with a star in it is one outlier among many
LEAST_SEAM = 1e-3  # smaller steps between amplifiers are left
LEAST_SIGNIFICANCE = 10.0  # of the sky in a strip; fainter skies say nothing about gains


def match_amplifiers(image: Image, targets: Sequence[Section]) -> tuple[Image, list[str]]:
    """Return an image whose amplifiers are brought to one scale, and a note of by how much.

    As `amplifier_factors` says; an image whose seams are smaller than a thousandth is returned
    as it is.
    """
    factors = amplifier_factors(image, targets)
    change = max(abs(factor - 1.0) for factor in factors)
    if change < LEAST_SEAM:
        return image, []
    note = f"amplifiers matched at their seams by up to {100 * change:.1f} %: there is no flat"
    return apply_factors(image, targets, factors), [note]


def amplifier_factors(
    image: Image, targets: Sequence[Section], *, most: float = 0.05
) -> list[float]:
    """Return what each amplifier's pixels must be multiplied with for the sky to have no seams.

    Stated gains are true to a per cent or two. Across a seam the sky is the same, so the ratios
    of the strips on either side give the factors, by least squares of their logarithms, with a
    mean of one. A flat would hold the same factors: with one there is nothing to do.

    Parameters
    ----------
    image : Image
        Frame above its zero level, ``(ny, nx)``.
    targets : sequence of Section
        The amplifiers' places.
    most : float
        Largest factor believed, less one; where any is larger none is applied.

    Returns
    -------
    list of float
        One for each amplifier; all 1 where the sky is too faint or a seam too large.
    """
    n = len(targets)
    pairs = [(a, b, *_strips(targets[a], targets[b])) for a in range(n) for b in range(n)]
    equations = []
    for a, b, here, there in pairs:
        if here is not None and there is not None:
            ratio = _ratio(image, here, there)
            if ratio is not None:
                equations.append((a, b, np.log(ratio)))
    if not equations:
        return [1.0] * n
    factors = _solve(equations, n)
    if np.abs(factors - 1.0).max() > most:
        return [1.0] * n
    return [float(f) for f in factors]


def apply_factors(image: Image, targets: Sequence[Section], factors: Sequence[float]) -> Image:
    """Return an image with each amplifier's pixels multiplied, and their variance by the square."""
    data, variance = image.data.copy(), image.variance.copy()
    for to, factor in zip(targets, factors, strict=True):
        place = slice(to.y0, to.y1), slice(to.x0, to.x1)
        data[place] *= np.float32(factor)
        variance[place] *= np.float32(factor * factor)
    return Image(data, variance, image.mask, image.unit)


def _strips(a: Section, b: Section) -> tuple[Section | None, Section | None]:
    """Return the strips of `a` and `b` along the seam where `b` lies right of or above `a`."""
    y0, y1 = max(a.y0, b.y0), min(a.y1, b.y1)
    x0, x1 = max(a.x0, b.x0), min(a.x1, b.x1)
    if a.x1 == b.x0 and y1 > y0:
        return (
            Section(y0, y1, max(a.x0, a.x1 - STRIP_PIX), a.x1),
            Section(y0, y1, b.x0, min(b.x1, b.x0 + STRIP_PIX)),
        )
    if a.y1 == b.y0 and x1 > x0:
        return (
            Section(max(a.y0, a.y1 - STRIP_PIX), a.y1, x0, x1),
            Section(b.y0, min(b.y1, b.y0 + STRIP_PIX), x0, x1),
        )
    return None, None


def _ratio(image: Image, here: Section, there: Section) -> float | None:
    """Return the sky of one strip over that of the other, or None where it is not known."""
    one, other = _cells(image, here), _cells(image, there)
    known = np.isfinite(one) & np.isfinite(other) & (one > 0) & (other > 0)
    if np.count_nonzero(known) < 4:
        return None
    ratios = one[known] / other[known]
    centre = float(np.median(ratios))
    scatter = 1.4826 * float(np.median(np.abs(ratios - centre)))
    if scatter * LEAST_SIGNIFICANCE > np.sqrt(ratios.size):
        return None
    return centre


def _cells(image: Image, strip: Section) -> npt.NDArray[np.float64]:
    """Return the medians of a strip's cells along its seam; NaN where no pixel is good."""
    place = slice(strip.y0, strip.y1), slice(strip.x0, strip.x1)
    values: FloatPlane = np.where(image.mask[place] == 0, image.data[place], np.float32(np.nan))
    along = values if values.shape[0] >= values.shape[1] else values.T
    cells = np.array_split(along, max(1, along.shape[0] // CELL_PIX))
    return np.array([_median(cell) for cell in cells])


def _median(cell: FloatPlane) -> float:
    known = cell[np.isfinite(cell)]
    return float(np.median(known)) if known.size else float("nan")


def _solve(equations: Sequence[tuple[int, int, float]], n: int) -> npt.NDArray[np.float64]:
    """Return factors f with ``f[b] / f[a]`` as near to every measured ratio as can be."""
    matrix = np.zeros((len(equations) + 1, n))
    value = np.zeros(len(equations) + 1)
    for k, (a, b, log_ratio) in enumerate(equations):
        matrix[k, b], matrix[k, a], value[k] = 1.0, -1.0, log_ratio
    matrix[-1] = 1.0  # the factors' mean is one
    solution = np.linalg.lstsq(matrix, value, rcond=None)[0]
    return np.asarray(np.exp(solution))
