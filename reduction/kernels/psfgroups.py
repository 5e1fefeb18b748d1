"""Inner loops of fitting the point spread function to stars that overlap, group by group."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit
from reduction.kernels.psf import (
    LEAST_VARIANCE,
    Noise,
    Shape,
    Stars,
    add_star,
    local_table,
    phase,
    slopes_at,
    window_of,
)
from reduction.kernels.stars import Light

Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
LONGEST_STEP_PIX = 0.5  # of a star in one round
QUIET_PIX, QUIET_ROUNDS = 0.01, 2


class Fitted(NamedTuple):
    """What a fit tells besides places and fluxes, ``(n,)`` each."""

    error: Floats
    x_error: Floats
    y_error: Floats
    chi2: Floats
    n_pixels: Floats
    alone: Floats  # share of the model's light, weighted as the star's own, that is the star's


class Groups(NamedTuple):
    """Stars that are fitted together: members of group g are ``order[first[g]:first[g + 1]]``."""

    first: Indices
    order: Indices
    home_x: Floats  # where each star was found
    home_y: Floats
    is_fixed: npt.NDArray[np.bool_]  # its place is not fitted
    quiet: npt.NDArray[np.uint8]  # rounds each group has not moved for, then it is left
    leash: float  # in pixels, a star is not followed farther from where it was found


@njit(cache=True, nogil=True)
def fit_groups(
    light: Light,
    model: Plane,
    shape: Shape,
    state: tuple[Stars, Noise, Fitted],
    groups: Groups,
    radius: float,
) -> float:
    """Fit the stars of each group together, all others taken off; return the largest step.

    One step of Gauss and Newton in flux and place; `model` holds the light of all stars and is
    kept so.
    """
    stars, noise, fitted = state
    largest = 0.0
    work = np.empty((4, 4))
    for g in range(groups.first.size - 1):
        if groups.quiet[g] >= QUIET_ROUNDS:
            continue
        members = groups.order[groups.first[g] : groups.first[g + 1]]
        tables = np.empty((members.size, shape.tables.shape[1], shape.tables.shape[2]))
        for m in range(members.size):
            s = members[m]
            local_table(shape, stars.x[s], stars.y[s], tables[m])
            add_star(model, shape, (stars.x[s], stars.y[s], -stars.flux[s]), tables[m], work)
        normal, right = np.zeros((3 * members.size, 3 * members.size)), np.zeros(3 * members.size)
        gather_equations(light, model, (shape, tables, radius), state, members, (normal, right))
        hold(groups, members, normal, right)
        step = solve_step(stars, groups, members, (normal, right), fitted)
        groups.quiet[g] = groups.quiet[g] + 1 if step < QUIET_PIX else 0
        largest = max(largest, step)
        for m in range(members.size):
            s = members[m]
            add_star(model, shape, (stars.x[s], stars.y[s], stars.flux[s]), tables[m], work)
    return largest


@njit(cache=True, nogil=True)
def gather_equations(
    light: Light,
    model: Plane,
    psf: tuple[Shape, Floats, float],
    state: tuple[Stars, Noise, Fitted],
    members: Indices,
    equations: tuple[Floats, Floats],
) -> None:
    """Add up the normal equations of a group over the pixels near any of its members."""
    stars, noise, fitted = state
    shape, tables, radius = psf
    normal, right = equations
    x0, x1, y0, y1 = box_of(stars, members, radius, model.shape)
    for s in members:
        fitted.chi2[s], fitted.n_pixels[s], fitted.alone[s] = 0.0, 0.0, 0.0
    row, shares = np.empty(3 * members.size), np.zeros((2, members.size))
    nodes, weights = phases(stars, members, shape)
    for j in range(y0, y1):
        for i in range(x0, x1):
            s = nearest(stars, members, (i, j), radius)
            seen = float(light.data[j, i] - light.sky[j, i])
            if s < 0 or (light.mask[j, i] & light.bits) != 0 or not math.isfinite(seen):
                continue
            splines = nodes, weights, shape.step
            expected = draw_row(stars, (members, tables), splines, (i, j), row)
            others = float(model[j, i])
            add_shares(row, max(expected, 0.0) + max(others, 0.0), shares)
            variance = noise.sky[s] + noise.slope * max(expected + others, 0.0)
            weight = 1.0 / max(variance, LEAST_VARIANCE)
            off = seen - others - expected
            fitted.chi2[s] += off * off * weight
            fitted.n_pixels[s] += 1
            add_equation(row, off, weight, normal, right)
    for a in range(right.size):
        for b in range(a):
            normal[a, b] = normal[b, a]
    for m in range(members.size):
        flux = stars.flux[members[m]]
        fitted.alone[members[m]] = flux * shares[0, m] / shares[1, m] if shares[1, m] > 0 else 0.0


@njit(cache=True, nogil=True)
def box_of(
    stars: Stars, members: Indices, radius: float, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return first and last columns and rows of the pixels near any of some stars."""
    x0, x1, y0, y1 = size[1], 0, size[0], 0
    for s in members:
        a, b = window_of(stars.x[s], radius, size[1])
        c, d = window_of(stars.y[s], radius, size[0])
        x0, x1, y0, y1 = min(x0, a), max(x1, b), min(y0, c), max(y1, d)
    return x0, x1, y0, y1


@njit(cache=True, nogil=True)
def nearest(stars: Stars, members: Indices, at: tuple[int, int], radius: float) -> int:
    """Return which star is the nearest to a pixel, -1 where none is within a radius."""
    found, best = -1, radius * radius
    for s in members:
        r2 = (at[0] - stars.x[s]) ** 2 + (at[1] - stars.y[s]) ** 2
        if r2 < best:
            found, best = s, r2
    return found


@njit(cache=True, nogil=True)
def phases(stars: Stars, members: Indices, shape: Shape) -> tuple[Indices, Floats]:
    """Return where in their tables the pixels of each star begin, and its spline weights."""
    nodes, weights = np.empty((members.size, 2), np.int64), np.empty((members.size, 4, 4))
    for m in range(members.size):
        s = members[m]
        nodes[m, 0], nodes[m, 1] = phase(shape, stars.x[s], stars.y[s], weights[m])
    return nodes, weights


@njit(cache=True, nogil=True)
def draw_row(
    stars: Stars,
    drawn: tuple[Indices, Floats],
    splines: tuple[Indices, Floats, float],
    at: tuple[int, int],
    row: Floats,
) -> float:
    """Write how a pixel's light grows with each star's flux and place, and return the light."""
    members, tables = drawn
    nodes, weights, step = splines
    stride = int(round(1 / step))
    expected = 0.0
    for m in range(members.size):
        s = members[m]
        node = nodes[m, 0] + stride * at[0], nodes[m, 1] + stride * at[1]
        v, by_x, by_y = slopes_at(tables[m], node, weights[m], step)
        row[3 * m], row[3 * m + 1], row[3 * m + 2] = v, -by_x * stars.flux[s], -by_y * stars.flux[s]
        expected += stars.flux[s] * v
    return expected


@njit(cache=True, nogil=True)
def add_shares(row: Floats, light: float, shares: Floats) -> None:
    """Add a pixel's share of each star, squared, and its share times all light there."""
    for m in range(shares.shape[1]):
        shares[0, m] += row[3 * m] * row[3 * m]
        shares[1, m] += row[3 * m] * light


@njit(cache=True, nogil=True)
def add_equation(row: Floats, off: float, weight: float, normal: Floats, right: Floats) -> None:
    """Add a pixel to the upper half of the normal equations."""
    for a in range(row.size):
        if row[a] == 0:
            continue
        factor = weight * row[a]
        right[a] += factor * off
        for b in range(a, row.size):
            normal[a, b] += factor * row[b]


@njit(cache=True, nogil=True)
def hold(groups: Groups, members: Indices, normal: Floats, right: Floats) -> None:
    """Keep what is not fitted, or cannot be, where it is."""
    for m in range(members.size):
        for k in range(3):
            a = 3 * m + k
            if normal[a, a] > 0 and not (k > 0 and groups.is_fixed[members[m]]):
                continue
            normal[a, :], normal[:, a], right[a] = 0.0, 0.0, 0.0
            normal[a, a] = 1.0


@njit(cache=True, nogil=True)
def solve_step(
    stars: Stars,
    groups: Groups,
    members: Indices,
    equations: tuple[Floats, Floats],
    fitted: Fitted,
) -> float:
    """Move the members of a group by the solution, write their errors; return the largest move."""
    normal, right = equations
    scale = np.empty(right.size)
    for a in range(right.size):
        scale[a] = 1.0 / math.sqrt(normal[a, a])
    for a in range(right.size):
        for b in range(right.size):
            normal[a, b] *= scale[a] * scale[b]
        normal[a, a] *= 1 + 1e-9  # two sources on one place have no solution
    inverse = np.linalg.inv(normal)
    step = np.zeros(right.size)
    for a in range(right.size):
        for b in range(right.size):
            step[a] += inverse[a, b] * scale[a] * scale[b] * right[b]
    largest = 0.0
    for m in range(members.size):
        s, a = members[m], 3 * m
        largest = max(largest, move(stars, groups, s, (step[a], step[a + 1], step[a + 2])))
        fitted.error[s] = math.sqrt(max(inverse[a, a], 0.0)) * scale[a]
        fitted.x_error[s] = math.sqrt(max(inverse[a + 1, a + 1], 0.0)) * scale[a + 1]
        fitted.y_error[s] = math.sqrt(max(inverse[a + 2, a + 2], 0.0)) * scale[a + 2]
    return largest


@njit(cache=True, nogil=True)
def move(stars: Stars, groups: Groups, s: int, by: tuple[float, float, float]) -> float:
    """Change a star's flux, and its place as far as its leash; return how far it went."""
    flux, x, y = by
    if not math.isfinite(flux + x + y):
        return 0.0  # nothing can be told of a star whose light is beyond all numbers
    stars.flux[s] += flux
    dx = min(max(x, -LONGEST_STEP_PIX), LONGEST_STEP_PIX)
    dy = min(max(y, -LONGEST_STEP_PIX), LONGEST_STEP_PIX)
    from_home = (stars.x[s] + dx - groups.home_x[s], stars.y[s] + dy - groups.home_y[s])
    if math.hypot(from_home[0], from_home[1]) >= groups.leash:
        return 0.0
    stars.x[s] += dx
    stars.y[s] += dy
    return max(abs(dx), abs(dy))
