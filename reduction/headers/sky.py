"""What a product's header says of its place on the sky, its sources and its zero point."""

from typing import TYPE_CHECKING

import numpy as np

from reduction.astrometry.wcs import Floats, TanSip, no_terms, terms
from reduction.cards import Cards, ProductCard

if TYPE_CHECKING:  # headers are read and written where nothing is put on the sky
    from reduction.onsky import OnSky


def sky_cards(on_sky: "OnSky", shape: tuple[int, int]) -> list[ProductCard]:
    """Return what belongs into the header of the pixels of a frame of `shape`."""
    found = on_sky.detected
    cards: list[ProductCard] = [
        ("NSOURCES", len(found.sources), "sources detected"),
        ("SKYLEVEL", found.sky, "level of the sky"),
        ("SKYNOISE", found.sky_noise, "noise of a pixel of the sky"),
    ]
    if found.fwhm_pix is not None:
        cards.append(("FWHM", found.fwhm_pix, "[pix] full width at half maximum of a star"))
    if found.ellipticity is not None:
        cards.append(("ELLIPTIC", found.ellipticity, "ellipticity of a star"))
    if on_sky.solution is None:
        return [*cards, ("WCSSOLVE", False, on_sky.cause)]
    return [*cards, *_astrometry(on_sky, shape), *_photometry(on_sky)]


def wcs_cards(wcs: TanSip, shape: tuple[int, int]) -> list[ProductCard]:
    """Return a projection's cards; the inverse polynomials are fitted over a frame of `shape`."""
    kind = "-SIP" if wcs.order > 1 else ""
    cards: list[ProductCard] = [
        ("WCSAXES", 2, ""),
        ("CTYPE1", f"RA---TAN{kind}", "tangential projection"),
        ("CTYPE2", f"DEC--TAN{kind}", ""),
        ("CUNIT1", "deg", ""),
        ("CUNIT2", "deg", ""),
        ("RADESYS", "ICRS", ""),
        ("LONPOLE", 180.0, "also where the reference pixel is a pole"),
        ("CRVAL1", wcs.crval[0], "right ascension of the reference pixel, degrees"),
        ("CRVAL2", wcs.crval[1], "declination of the reference pixel, degrees"),
        ("CRPIX1", wcs.crpix[0] + 1, "reference pixel, x, the first is 1"),
        ("CRPIX2", wcs.crpix[1] + 1, "reference pixel, y"),
    ]
    for i in (0, 1):
        cards += [(f"CD{i + 1}_{j + 1}", float(wcs.cd[i, j]), "degrees a pixel") for j in (0, 1)]
    if wcs.order > 1:
        cards += _sip_cards("A", wcs.a) + _sip_cards("B", wcs.b)
        inverse_x, inverse_y = wcs.inverse(shape)
        cards += _sip_cards("AP", inverse_x) + _sip_cards("BP", inverse_y)
    return cards


def _astrometry(on_sky: "OnSky", shape: tuple[int, int]) -> list[ProductCard]:
    solution, reference = on_sky.solution, on_sky.reference
    if solution is None or reference is None:
        return []
    return [
        *wcs_cards(solution.wcs, shape),
        ("WCSSOLVE", True, "proved by stars left out of the fit"),
        ("WCSRMS", on_sky.rms_arcsec, "[arcsec] of stars left out, on one axis"),
        ("WCSNREF", len(solution.stars), "stars matched"),
        ("WCSCAT", reference.name, "reference catalogue"),
    ]


def _photometry(on_sky: "OnSky") -> list[ProductCard]:
    zero, reference = on_sky.zero_point, on_sky.light
    if zero is None or reference is None:
        return []
    cards: list[ProductCard] = [
        ("ZP", zero.value, "[mag] of one count a second"),
        ("ZPERR", zero.total_error, "[mag] its standard error"),
        ("ZPSCAT", zero.scatter_mag, "[mag] intrinsic scatter of the stars"),
        ("ZPN", zero.n_used, "stars it rests on"),
        ("ZPBAND", reference.band, "band of the catalogue"),
    ]
    if zero.colour_term is not None:
        cards += [
            ("ZPCOLOUR", reference.colour_name, "colour of the term"),
            ("ZPCTERM", zero.colour_term, "[mag/mag] colour term"),
            ("ZPCTERR", zero.colour_term_error, "its standard error"),
        ]
    if on_sky.limit_mag is not None:
        cards.append(("LIMITMAG", on_sky.limit_mag, "[mag] five sigma, of a star"))
    return cards


def _sip_cards(name: str, coefficients: Floats) -> list[ProductCard]:
    order = len(coefficients) - 1
    cards: list[ProductCard] = [(f"{name}_ORDER", order, "of the distortion polynomial")]
    for p, q in terms(order):
        if coefficients[p, q] and (p + q >= 2 or name.endswith("P")):
            cards.append((f"{name}_{p}_{q}", float(coefficients[p, q]), ""))
    return cards


def solved_wcs(cards: Cards) -> TanSip | None:
    """Return the projection that `sky_cards` wrote of a solved frame, None where there is none."""
    if cards.get("WCSSOLVE") is not True:
        return None
    crval, crpix = (
        (_number(cards, f"{name}1"), _number(cards, f"{name}2")) for name in ("CRVAL", "CRPIX")
    )
    cd = np.array([[_number(cards, f"CD{i}_{j}") for j in (1, 2)] for i in (1, 2)])
    bends = (_polynomial(cards, name) for name in ("A", "B"))
    return TanSip(crval, (crpix[0] - 1, crpix[1] - 1), cd, *bends)


def _polynomial(cards: Cards, name: str) -> Floats:
    order = int(_number(cards, f"{name}_ORDER"))
    if order < 2:
        return no_terms()
    square = np.zeros((order + 1, order + 1))
    for p, q in terms(order):
        square[p, q] = _number(cards, f"{name}_{p}_{q}")
    return square


def _number(cards: Cards, keyword: str) -> float:
    """Return a number, 0 where there is none: coefficients that are 0 are not written."""
    value = cards.get(keyword)
    return float(value) if isinstance(value, int | float) else 0.0
