"""How the shape of a star varies over a frame: its axes as polynomials of the place."""

from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.normal import MAD_TO_SIGMA

Floats = npt.NDArray[np.float64]
N_TERMS: Final = (1, 3, 6)  # of polynomials of order 0, 1, 2
STARS_A_TERM: Final = 4  # that a polynomial needs
OWN_SCATTER: Final = 0.01  # of a star's axis, by which it may differ from its neighbours'
CLIP_SIGMA: Final = 4.0
GAIN: Final = 0.97  # of the error of stars left out, below which more terms are worth it


def terms_of(u: Floats, v: Floats, n_terms: int) -> Floats:
    """Return the terms of a polynomial at some places.

    Parameters
    ----------
    u, v : float arrays, ``(n,)``
        Places, from -1 to 1 over the frame.
    n_terms : int
        1, 3 or 6.

    Returns
    -------
    float array, ``(n, n_terms)``
        1, u, v, u^2, u v, v^2 as far as wanted.
    """
    every = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=1)
    return every[:, :n_terms]


def vary(shapes: Floats, errors: Floats, place: tuple[Floats, Floats]) -> Floats:
    """Return polynomials through the shapes of stars, of the order that stars left out want.

    Each star is predicted by the others in turn (the residual over one less its leverage); an
    order is taken if it brings them nearer than the one below.

    Parameters
    ----------
    shapes, errors : float arrays, ``(n, k)``
        Numbers of each star's shape and their standard deviations.
    place : tuple of float arrays, ``(n,)``
        Where the stars are, from -1 to 1 over the frame.

    Returns
    -------
    float array, ``(k, t)``
        Coefficients of each number, of 1, 3 or 6 terms.

    References
    ----------
    Allen (1974), Technometrics 16, 125, of the prediction of what is left out.
    """
    weight = 1 / (errors**2 + OWN_SCATTER**2)
    weight = np.where(_is_usual(shapes, weight), weight, 0.0)
    best, least = _fitted(shapes, weight, place, 1)
    for n_terms in N_TERMS[1:]:
        if np.count_nonzero(weight.all(axis=1)) < STARS_A_TERM * n_terms:
            break
        found, off = _fitted(shapes, weight, place, n_terms)
        if off < GAIN * least:
            best, least = found, off
    return best


def _is_usual(shapes: Floats, weight: Floats) -> npt.NDArray[np.bool_]:
    """Tell which stars' numbers are near those of most, by their own errors and all scatter."""
    middle = np.median(shapes, axis=0)
    off = shapes - middle
    scatter = MAD_TO_SIGMA * np.median(np.abs(off), axis=0)
    near = np.abs(off) * np.sqrt(weight) < CLIP_SIGMA * np.hypot(scatter * np.sqrt(weight), 1)
    usual = np.asarray(np.asarray(near, np.bool_).all(axis=1))
    return np.repeat(usual[:, None], shapes.shape[1], axis=1)


def _fitted(
    shapes: Floats, weight: Floats, place: tuple[Floats, Floats], n_terms: int
) -> tuple[Floats, float]:
    """Return coefficients, and the weighted mean square of what stars left out are off by."""
    terms = terms_of(*place, n_terms)
    found, off, total = np.zeros((shapes.shape[1], n_terms)), 0.0, 0.0
    for k in range(shapes.shape[1]):
        w = weight[:, k]
        inverse = np.linalg.pinv(terms.T @ (w[:, None] * terms))
        found[k] = inverse @ (terms.T @ (w * shapes[:, k]))
        leverage = w * np.einsum("ij,jk,ik->i", terms, inverse, terms)
        left = (shapes[:, k] - terms @ found[k]) / np.maximum(1 - leverage, 0.1)
        off, total = off + float(w @ left**2), total + float(w.sum())
    return found, off / max(total, 1e-30)
