"""Amplifiers of one detector brought to one scale where no flat does it."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt

from reduction.camera import Section
from reduction.image import FloatPlane, Image
from reduction.normal import MAD_TO_SIGMA

STRIP_PIX = 16  # at a seam, and again as far from it as the gradient's lever
LEVER_PIX = 48  # from strip to strip: a short one lets the gradient's noise into the step
CELL_PIX = 32  # along a seam; a cell with a star in it is one outlier among many
LEAST_CELLS = 8  # of a short seam
Strips = tuple[Section, Section]  # along a seam: the one beside it and the one a lever behind
CLIP_SIGMA = 2.5  # of a cell's pixels about their median
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
    equations = []
    for a, b in permutations(range(n), 2):
        seam = _seam(targets[a], targets[b])
        ratio = _ratio(image, *seam) if seam is not None else None
        if ratio is not None:
            equations.append((a, b, float(np.log(ratio))))
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


def _seam(a: Section, b: Section) -> tuple[Strips, Strips] | None:
    """Return the strips of `a` and `b` along their seam if `b` lies right of or above `a`."""
    y0, y1 = max(a.y0, b.y0), min(a.y1, b.y1)
    x0, x1 = max(a.x0, b.x0), min(a.x1, b.x1)
    near, far = STRIP_PIX, STRIP_PIX + LEVER_PIX
    if a.x1 == b.x0 and y1 > y0 and min(a.shape[1], b.shape[1]) >= far:
        x = a.x1
        here = Section(y0, y1, x - near, x), Section(y0, y1, x - far, x - LEVER_PIX)
        return here, (Section(y0, y1, x, x + near), Section(y0, y1, x + LEVER_PIX, x + far))
    if a.y1 == b.y0 and x1 > x0 and min(a.shape[0], b.shape[0]) >= far:
        y = a.y1
        here = Section(y - near, y, x0, x1), Section(y - far, y - LEVER_PIX, x0, x1)
        return here, (Section(y, y + near, x0, x1), Section(y + LEVER_PIX, y + far, x0, x1))
    return None


def _ratio(image: Image, here: Strips, there: Strips) -> float | None:
    """Return the sky on one side of a seam over that on the other, or None if not known."""
    one, other = _at_edge(image, here), _at_edge(image, there)
    known = np.isfinite(one) & np.isfinite(other) & (one > 0) & (other > 0)
    if np.count_nonzero(known) < LEAST_CELLS // 2:
        return None
    ratios = one[known] / other[known]
    centre = float(np.median(ratios))
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(ratios - centre)))
    if scatter * LEAST_SIGNIFICANCE > np.sqrt(ratios.size):
        return None
    return centre


def _at_edge(image: Image, strips: Strips) -> npt.NDArray[np.float64]:
    """Return the sky of each cell at the seam, its gradient across it taken into account."""
    near, far = (_cells(image, strip) for strip in strips)
    return near + (near - far) * (STRIP_PIX / 2 / LEVER_PIX)


def _cells(image: Image, strip: Section) -> npt.NDArray[np.float64]:
    """Return the sky in a strip's cells along its seam; NaN where no pixel is good."""
    place = slice(strip.y0, strip.y1), slice(strip.x0, strip.x1)
    values: FloatPlane = np.where(image.mask[place] == 0, image.data[place], np.float32(np.nan))
    along = values if values.shape[0] >= values.shape[1] else values.T
    cells = np.array_split(along, max(LEAST_CELLS, along.shape[0] // CELL_PIX))
    return np.array([_level(cell) for cell in cells])


def _level(cell: FloatPlane) -> float:
    """Return a cell's sky. Not the median alone: raw counts are whole, and so is theirs."""
    known = cell[np.isfinite(cell)].astype(np.float64)
    if not known.size:
        return float("nan")
    away = np.abs(known - np.median(known))
    return float(known[away <= CLIP_SIGMA * MAD_TO_SIGMA * np.median(away)].mean())


def _solve(equations: Sequence[tuple[int, int, float]], n: int) -> npt.NDArray[np.float64]:
    """Return factors f with ``f[b] / f[a]`` as near to every measured ratio as can be."""
    matrix = np.zeros((len(equations) + 1, n))
    value = np.zeros(len(equations) + 1)
    for k, (a, b, log_ratio) in enumerate(equations):
        matrix[k, b], matrix[k, a], value[k] = 1.0, -1.0, log_ratio
    matrix[-1] = 1.0  # the factors' mean is one
    solution = np.linalg.lstsq(matrix, value, rcond=None)[0]
    return np.asarray(np.exp(solution))
