"""Headers of single images and of what is made from them: repaired, cropped, their place."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from reduction.astrometry.wcs import TanSip
from reduction.cards import ProductCard
from reduction.headers.sky import wcs_cards

_AXES: Final = ("1", "2")
_SIP: Final = re.compile(r"(?:AP?|BP?)_(?:ORDER|\d+_\d+|DMAX)")
_PV: Final = re.compile(r"PV\d+_\d+")
_WCS: Final = re.compile(
    r"CTYPE\d|CRVAL\d|CRPIX\d|CUNIT\d|CDELT\d|CROTA\d|CD\d_\d|PC\d_\d|PC\d{6}|LONPOLE|LATPOLE|"
    r"RADESYS|RADECSYS|EQUINOX|WCSAXES|" + _SIP.pattern + "|" + _PV.pattern
)
_SKY: Final = re.compile(r"(RA-|DEC|GLON|GLAT|ELON|ELAT)")
_TAN: Final = re.compile(r"(RA---|DEC--)(TAN)(-SIP)?$")
_TIMES: Final = ("TIME-OBS", "UT", "UTC", "UT-OBS", "UTSTART", "TIME")
_CLOCK: Final = re.compile(r"\s*(\d{1,2}):(\d{2}):(\d{2}(?:\.\d*)?)\s*")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")

_SATURATIONS: Final = ("SATURATE", "SATLEVEL", "MAXLIN", "DATAMAX")
_NOISES: Final = ("RDNOISE", "READNOIS", "RON")
_GAINS: Final = ("GAIN", "EGAIN", "CCDSENS")
_TOLD: Final[Mapping[str, tuple[str, str]]] = {
    "filter": ("FILTER", "of the image"),
    "time": ("TIME", "[UTC] of the image"),
    "mag_calib": ("MAG", "[mag] measured there"),
    "mag_calib_err": ("MAGERR", "[mag] its error"),
    "mag_limit": ("MAGLIM", "[mag] faintest that would be seen"),
}


def fixed_header(cards: Sequence[ProductCard]) -> list[ProductCard]:
    """Return a header whose common mistakes are mended; what is right stays as it is.

    A projection with SIP or TPV terms is named for what it has, and no longer for what it has
    not; one that is not of the sky, or whose matrix is zero, is taken out; a date without its
    time of day gets the one that stands beside it.

    Parameters
    ----------
    cards : sequence of (keyword, value, comment)
        Of one HDU.

    Returns
    -------
    list of (keyword, value, comment)
        In the same order.
    """
    kept = list(cards)
    if not _is_of_sky(kept):
        kept = [card for card in kept if not _WCS.fullmatch(card[0])]
    return [_named_rightly(card, kept) for card in with_time(kept)]


def has_sky_wcs(cards: Sequence[ProductCard]) -> bool:
    """Tell whether a header places its pixels on the sky, rightly or not."""
    return any(card[0] == "CTYPE1" for card in cards) and _is_of_sky(cards)


def _is_of_sky(cards: Sequence[ProductCard]) -> bool:
    values = {keyword: value for keyword, value, _ in cards}
    types = [values.get(f"CTYPE{i}") for i in _AXES]
    if any(not isinstance(kind, str) or not _SKY.match(kind) for kind in types):
        return False
    if any(not isinstance(values.get(f"CRVAL{i}", 0.0), int | float) for i in _AXES):
        return False
    steps = [
        value
        for keyword, value in values.items()
        if re.fullmatch(r"CD\d_\d", keyword) or (keyword in ("CDELT1", "CDELT2"))
    ]
    return any(isinstance(step, int | float) and step != 0 for step in steps)


def _named_rightly(card: ProductCard, cards: Sequence[ProductCard]) -> ProductCard:
    keyword, value, comment = card
    found = (
        _TAN.match(value) if keyword in ("CTYPE1", "CTYPE2") and isinstance(value, str) else None
    )
    if found is None:
        return card
    names = {name for name, _, _ in cards}
    has_sip = {"A_ORDER", "B_ORDER"} <= names
    has_pv = any(_PV.fullmatch(name) for name in names)
    if has_sip:
        return keyword, f"{found[1]}TAN-SIP", comment
    if has_pv and _has_tpv(names):
        return keyword, f"{found[1]}TPV", comment
    return keyword, f"{found[1]}TAN", comment


def _has_tpv(names: set[str]) -> bool:
    """Tell distortion apart from the native angles that plain projections have as PV1_0 to 4."""
    return any(name.startswith("PV2_") or _number_of(name) > 4 for name in names if "PV" in name)


def _number_of(keyword: str) -> int:
    return int(keyword.rpartition("_")[2]) if _PV.fullmatch(keyword) else 0


def with_time(cards: Sequence[ProductCard]) -> list[ProductCard]:
    """Return a header whose date, where it has no time of day, gets the one that stands by it."""
    values = {keyword: value for keyword, value, _ in cards}
    date = values.get("DATE-OBS")
    clock = next((found for key in _TIMES if (found := _clock(values.get(key)))), None)
    if not isinstance(date, str) or not _DATE.fullmatch(date.strip()) or clock is None:
        return list(cards)
    return [
        (keyword, f"{date.strip()}T{clock}", comment) if keyword == "DATE-OBS" else
        (keyword, value, comment)
        for keyword, value, comment in cards
    ]  # fmt: skip


def _clock(value: object) -> str | None:
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    return f"{int(found[1]):02d}:{found[2]}:{found[3]}" if found else None


def cropped_header(
    cards: Sequence[ProductCard], x0: int, y0: int, shape: tuple[int, int]
) -> list[ProductCard]:
    """Return the header of an image from which columns and rows were cut.

    Parameters
    ----------
    cards : sequence of (keyword, value, comment)
        Of the whole image.
    x0, y0 : int
        Columns and rows cut off at the left and at the bottom.
    shape : tuple of int
        Rows and columns that are left.

    Returns
    -------
    list of (keyword, value, comment)
        Its reference pixel moved along; sections of the readout, which no longer hold, left out.
    """
    moved = {"CRPIX1": x0, "CRPIX2": y0}
    sizes = {"NAXIS1": shape[1], "NAXIS2": shape[0], "IMAGEW": shape[1], "IMAGEH": shape[0]}
    kept: list[ProductCard] = []
    for keyword, value, comment in cards:
        if keyword.endswith("SEC") and isinstance(value, str) and value.strip().startswith("["):
            continue
        if keyword in sizes:
            value = sizes[keyword]
        elif keyword in moved and isinstance(value, int | float):
            value = value - moved[keyword]
        kept.append((keyword, value, comment))
    return kept


def place_cards(wcs: TanSip, shape: tuple[int, int]) -> list[ProductCard]:
    """Return the header of a file that holds nothing but where an image of `shape` lies."""
    return [
        *wcs_cards(wcs, shape),
        ("IMAGEW", shape[1], "columns of the image"),
        ("IMAGEH", shape[0], "rows of the image"),
    ]


def named(name: str, cards: Sequence[ProductCard]) -> list[ProductCard]:
    """Return the cards of an extension of this name."""
    return [("EXTNAME", name, ""), *cards]


def as_primary(cards: Sequence[ProductCard]) -> list[ProductCard]:
    """Return the cards of an image extension as those of a primary HDU."""
    only_extensions = {"XTENSION", "PCOUNT", "GCOUNT"}
    kept = [card for card in cards if card[0] not in only_extensions]
    return [("SIMPLE", True, "conforms to the FITS standard"), *kept]


def cutout_cards(
    name: str, sky: tuple[float, float], pixel: tuple[float, float], more: Mapping[str, object]
) -> list[ProductCard]:
    """Return what the primary HDU of a cutout says: what is in its middle, and where that is.

    Parameters
    ----------
    name : str
        Of the target.
    sky, pixel : tuple of float
        Right ascension and declination, degrees; column and row of the image, from 0.
    more : mapping
        Of ``filter``, ``time``, ``mag_calib``, ``mag_calib_err`` and ``mag_limit`` those known.
    """
    cards: list[ProductCard] = [
        ("NAME", _plain(name), "of the target"),
        ("RA", sky[0], "[deg] ICRS"),
        ("DEC", sky[1], "[deg] ICRS"),
        ("X", pixel[0], "column of the image, from 0"),
        ("Y", pixel[1], "row of the image, from 0"),
    ]
    for key, (keyword, comment) in _TOLD.items():
        value = more.get(key)
        if isinstance(value, str):
            cards.append((keyword, _plain(value), comment))
        elif isinstance(value, int | float) and math.isfinite(value):
            cards.append((keyword, float(value), comment))
    return cards


def _plain(text: str) -> str:
    """Return a text with what headers may hold: printable ASCII."""
    return text.encode("ascii", "replace").decode()[:60]


def stacked_header(
    cards: Sequence[ProductCard],
    names: Sequence[str],
    method: str,
    *,
    exptimes_s: Sequence[float | None],
    middle: str | None = None,
) -> list[ProductCard]:
    """Return the header of images made into one: the first's, with what the others change.

    Parameters
    ----------
    cards : sequence of (keyword, value, comment)
        Of the first image, whose pixels all were laid onto.
    names : sequence of str
        Of all of them.
    method : str
        ``sum``, ``clipped_mean`` or ``median``.
    exptimes_s : sequence of float or None
        Of all of them.
    middle : str or None
        Mean of the middles of their exposures, ISO 8601, UTC.

    Returns
    -------
    list of (keyword, value, comment)
        A sum has all exposures' time, their saturation level and noise; a mean has one's, and as
        many electrons a count more as images.
    """
    n, is_sum = len(names), method == "sum"
    known = [one for one in exptimes_s if one]
    exptime = sum(known) if is_sum else (sum(known) / len(known) if known else 0.0)
    factors = {
        **dict.fromkeys(_SATURATIONS, n if is_sum else 1),
        **dict.fromkeys(_NOISES, math.sqrt(n) if is_sum else 1),
        **dict.fromkeys(_GAINS, 1 if is_sum else n if method == "clipped_mean" else 2 * n / 3),
    }
    made: list[ProductCard] = []
    for keyword, value, comment in cards:
        if keyword in ("EXPTIME", "EXPOSURE") and known:
            value = float(exptime)
        elif keyword == "DATE-AVG" and middle is not None:
            continue
        elif keyword in factors and isinstance(value, int | float):
            value = float(value) * factors[keyword]
        made.append((keyword, value, comment))
    made += [("NCOMBINE", n, "images made into one"), ("STACKHOW", method, "how")]
    if middle is not None:
        made.append(("DATE-AVG", middle, "[UTC] mean of their middles"))
    return made + [(f"STACK{i}", _plain(name), "") for i, name in enumerate(names, 1)]
